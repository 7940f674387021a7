"""The door to an operation's slots: a few threads of the process are let in, in the order in which they came."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

PIECE: Final = 0.5
"""Seconds that a wait lasts at most before it looks whether it is still wanted."""


class Door:
    """Lets a few threads in at a time, in the order in which they came.

    A semaphore wakes them in order and then lets whoever is quicker in: a large run's next thread, which is awake,
    would pass a small run's, which has to wake up, again and again.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def passed(self, mind: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Wait for room and hold it; `mind` is asked before and now and then, and may raise to end the wait."""
        mind()
        turn = self._queued()
        try:
            while not turn.wait(PIECE):
                mind()
            yield
        finally:
            self._leave(turn)

    def _queued(self) -> threading.Event:
        turn = threading.Event()
        with self._lock:
            if self._room:
                self._room -= 1
                turn.set()
            else:
                self._queue.append(turn)
        return turn

    def _leave(self, turn: threading.Event) -> None:
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
            elif self._queue:
                self._queue.popleft().set()
            else:
                self._room += 1
