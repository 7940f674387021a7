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


@contextmanager
def interrupting() -> Iterator[None]:
    """Let the first signal raise KeyboardInterrupt here, and the second one leave: the ledger is whole at any moment.

    A signal that is ignored, as by nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        _let_go_of_a_closed_terminal()
        heard.append(number)
        if len(heard) > 1:
            os.write(2, LEFT)
            os._exit(1)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield
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
