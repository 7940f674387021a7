"""Signals at the terminal: the first one asks the command to end well, whichever it is, and a second one ends it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a polite kill, and a terminal or connection that was closed."""
LEFT: Final = b"\nLeft at once. What was confirmed stays in the ledger; a running bot brings it to its end.\n"


class Interrupts:
    """Whether KeyboardInterrupt may be raised at any moment, or waits until it can be dealt with."""

    def __init__(self) -> None:
        self._held = self._came = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing be broken off here whose result would be lost; `catch_up` afterwards."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def catch_up(self) -> None:
        """Raise KeyboardInterrupt if a signal came while it was held."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def come(self) -> None:
        """Raise KeyboardInterrupt, or remember that it is to be raised."""
        self._came = True
        if not self._held:
            self.catch_up()


@contextmanager
def interrupting() -> Iterator[Interrupts]:
    """Let the first signal raise KeyboardInterrupt here, and the second one leave: the ledger is whole at any moment.

    A signal that is ignored, as by nohup, stays so.
    """
    interrupts, heard = Interrupts(), list[int]()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def hear(number: int, _frame: FrameType | None) -> None:
        _let_go_of_a_closed_terminal()
        heard.append(number)
        if len(heard) > 1:
            os.write(2, LEFT)
            os._exit(1)
        interrupts.come()

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _let_go_of_a_closed_terminal() -> None:
    """Write to nowhere where there is nobody to read: a run must not break off because its progress cannot be shown."""
    for output in (1, 2):
        try:
            os.write(output, b"\n")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)
