"""The throttle: a call waits for its slot, and all threads and processes share the slots."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

MARGIN: Final = 1.02
"""Calls are spaced so much wider than the limit: evenly spaced calls at exactly the limit break it by microseconds."""
LATE: Final = 0.05
"""Seconds after which a slot is given up: a thread frozen past its slot must not send beside the others."""
LATENCY: Final = 0.5
"""Seconds that one call is reckoned to take, when the number of threads that may wait ahead is chosen."""
POLITE: Final = 0.05
"""Seconds between a patient call's looks at whether something more urgent waits."""
AFTER_THROTTLING: Final = 1.0
"""Seconds an operation rests after a throttling answer that names no time."""


Reserve = Callable[[str, str, float], float]
"""Reserves the next slot of (quota, operation), so many seconds wide; returns its time in seconds since 1970."""
Push = Callable[[str, str, float], None]
"""Holds (quota, operation) back for some seconds."""


class Throttle:
    """Waits for slots. `now` is the time in seconds since 1970, `sleep` takes seconds and may raise to end a wait."""

    def __init__(
        self, *, reserve: Reserve, push: Push, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._reserve = reserve
        self._push = push
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._ahead: dict[tuple[str, str], threading.Semaphore] = {}
        self._urgent: Counter[str] = Counter()

    def wait(self, quota: str, operation: str, qps: float, *, patient: bool = False) -> None:
        """Return when a call of `operation` may be sent, at `qps` calls a second for the whole quota.

        A `patient` wait starts only when nobody urgent waits on the quota.
        """
        if patient:
            while self._urgent[quota]:
                self._sleep(POLITE)
            self._slot(quota, operation, qps)
            return
        with self._lock:
            self._urgent[quota] += 1
        try:
            self._slot(quota, operation, qps)
        finally:
            with self._lock:
                self._urgent[quota] -= 1

    def throttled(self, quota: str, operation: str, wait: float | None) -> None:
        """Take a cloud's word that it is called too fast; `wait` is the seconds it asked for."""
        self._push(quota, operation, AFTER_THROTTLING if wait is None else wait)

    def _slot(self, quota: str, operation: str, qps: float) -> None:
        with self._gate(quota, operation, qps):
            while True:
                at = self._reserve(quota, operation, MARGIN / qps)
                due = max(at, self._now())
                # Also where there is nothing to wait for: a process that leaves is let go here and sends nothing new.
                self._sleep(max(0.0, due - self._now()))
                if self._now() - due <= LATE:
                    return

    def _gate(self, quota: str, operation: str, qps: float) -> threading.Semaphore:
        """Keep few threads ahead, so that what is stopped has few slots to waste."""
        with self._lock:
            return self._ahead.setdefault((quota, operation), threading.Semaphore(max(3, int(qps * LATENCY) + 1)))
