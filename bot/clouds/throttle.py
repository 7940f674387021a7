"""The throttle: a call waits for its slot, and all threads and processes share the slots."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MARGIN: Final = 1.02
"""Calls are spaced so much wider than the limit: evenly spaced calls at exactly the limit break it by microseconds."""
LATE: Final = 0.05
"""Seconds after which a slot is given up: a thread frozen past its slot must not send beside the others."""
EARLY: Final = 0.2
"""Seconds before its slot that a call which is recorded first is let go: a commit may wait 100 ms for another's."""
TOLERANCE: Final = 0.015
"""Seconds after its slot that a recorded call may still be sent; the margin gives 20 ms in each second."""
ROOMS: Final = (0.0, 0.0, 0.2, 0.8)
"""Seconds that a recorded call may come late to its slot, and to each that it takes in place of a missed one.

So much wider are those slots: on a machine where every step takes long no slot of the usual width would be met.
"""
LONGEST: Final = 2.0
"""Seconds that a recorded call waits for a slot at most: a stop counts it as sent, so it may not come much later."""
MOST_SLOTS: Final = 3
"""So many slots it waits at a slow rate, where that is longer."""
LATENCY: Final = 0.5
"""Seconds that one call is reckoned to take, when the number of threads that may wait ahead is chosen."""
POLITE: Final = 0.05
"""Seconds between a patient call's looks at whether something more urgent waits."""
PATIENCE: Final = 30.0
"""Seconds after which a patient call takes its place among the urgent: without an end to them it would never end."""
AFTER_THROTTLING: Final = 1.0
"""Seconds an operation rests after a throttling answer that names no time."""


Reserve = Callable[[str, str, float], float]
"""Reserves the next slot of (quota, operation), so many seconds wide; returns its time in seconds since 1970."""
Push = Callable[[str, str, float], None]
"""Holds (quota, operation) back for some seconds."""
_Key = tuple[str, str]


class Throttle:
    """Waits for slots. `now` is the time in seconds since 1970, `sleep` takes seconds and may raise to end a wait.

    `nap` sleeps, too, and does not raise, so that what has been recorded as sent comes to its end; it is `sleep` where
    none is given.
    """

    def __init__(
        self,
        *,
        reserve: Reserve,
        push: Push,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        nap: Callable[[float], None] | None = None,
    ) -> None:
        self._reserve = reserve
        self._push = push
        self._now = now
        self._sleep = sleep
        self._nap = nap or sleep
        self._lock = threading.Lock()
        self._ahead: dict[_Key, _Gate] = {}
        self._urgent: Counter[str] = Counter()
        self._pushes: Counter[_Key] = Counter()
        self._mine = threading.local()

    def wait(self, quota: str, operation: str, qps: float, *, patient: bool = False) -> None:
        """Return when a call of `operation` may be sent, at `qps` calls a second for the whole quota.

        A `patient` wait starts only when nobody urgent waits on the quota, or has waited for PATIENCE.
        """
        if patient:
            # Naps are counted, not read from a clock that somebody may set.
            for _ in range(round(PATIENCE / POLITE)):
                if not self._urgent[quota]:
                    break
                self._sleep(POLITE)
            self._slot(quota, operation, qps, early=0.0)
            return
        self._urgently(quota, operation, qps, early=0.0)

    def early(self, quota: str, operation: str, qps: float) -> None:
        """Return up to EARLY before a call of `operation` may be sent; this thread's `on_time` waits for the rest.

        What is done between the two, as recording that the call is sent, takes now 1 ms and now 50: sent right after
        it, calls that left evenly would arrive in bunches.
        """
        self._slots_of_mine()[quota, operation] = self._urgently(quota, operation, qps, early=EARLY), MARGIN / qps

    def on_time(self, quota: str, operation: str) -> bool:
        """Wait for the rest of what this thread waited `early`; return whether the call may be sent now.

        It may not where slot after slot was missed, or the next one lies too far ahead: beside its slot it would
        break the limit. A call that nobody waited `early` for may be sent.
        """
        key = quota, operation
        mine = self._slots_of_mine().pop(key, None)
        if mine is None:
            return True
        slot, spacing = mine
        longest = max(LONGEST, MOST_SLOTS * spacing)
        for number, room in enumerate(ROOMS):
            slot = self._take(key, spacing + room) if number else slot
            if slot.at - self._now() > longest:
                return False
            self._nap(max(0.0, slot.at - self._now()))
            if self._now() - slot.at <= room + TOLERANCE and slot.pushes == self._pushes[key]:
                return True
        return False

    def throttled(self, quota: str, operation: str, wait: float | None) -> None:
        """Take a cloud's word that it is called too fast; `wait` is the seconds it asked for."""
        with self._lock:
            self._pushes[quota, operation] += 1
        self._push(quota, operation, AFTER_THROTTLING if wait is None else wait)

    def _urgently(self, quota: str, operation: str, qps: float, *, early: float) -> "_Slot":
        with self._lock:
            self._urgent[quota] += 1
        try:
            return self._slot(quota, operation, qps, early=early)
        finally:
            with self._lock:
                self._urgent[quota] -= 1

    def _slot(self, quota: str, operation: str, qps: float, *, early: float) -> "_Slot":
        """Return a slot, so long before it."""
        key = quota, operation
        with self._gate(key, qps).passed():
            while True:
                slot = self._take(key, MARGIN / qps)
                due = max(slot.at, self._now())
                # Also where there is nothing to wait for: a process that leaves is let go here and sends nothing new.
                self._sleep(max(0.0, due - early - self._now()))
                # A slot from before a throttling answer is given up, too: it lies in the time that the cloud asked for.
                if self._now() - due <= LATE and slot.pushes == self._pushes[key]:
                    return slot

    def _take(self, key: _Key, width: float) -> "_Slot":
        pushes = self._pushes[key]
        return _Slot(at=self._reserve(*key, width), pushes=pushes)

    def _gate(self, key: _Key, qps: float) -> "_Gate":
        """Keep few threads ahead, so that what is stopped has few slots to waste."""
        with self._lock:
            return self._ahead.setdefault(key, _Gate(max(3, int(qps * LATENCY) + 1)))

    def _slots_of_mine(self) -> "dict[_Key, tuple[_Slot, float]]":
        slots: dict[_Key, tuple[_Slot, float]] = self._mine.__dict__.setdefault("slots", {})
        return slots


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    at: float
    pushes: int
    """How many throttling answers there had been when it was reserved."""


class _Gate:
    """Lets a few threads in at a time, in the order in which they came.

    A semaphore wakes them in order and then lets whoever is quicker in: a large run's next thread, which is awake,
    would pass a small run's, which has to wake up, again and again.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Wait for room and hold it."""
        turn = threading.Event()
        with self._lock:
            if self._room:
                self._room -= 1
                turn.set()
            else:
                self._queue.append(turn)
        turn.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._queue:
                    self._queue.popleft().set()
                else:
                    self._room += 1
