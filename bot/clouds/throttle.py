"""The throttle: a call waits for its slot, and all threads and processes share the slots."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from math import inf
from typing import Final

from bot.clouds.door import PIECE, Door
from bot.domain.errors import CloudError

MARGIN: Final = 1.02
"""Calls are spaced so much wider than the limit: evenly spaced calls at exactly the limit break it by microseconds."""
LATE: Final = 0.05
"""Seconds after its slot when a call that is recorded first still goes on: `on_time` is the one to be strict."""
EARLY: Final = 0.2
"""Seconds before its slot that a call which is recorded first is let go: a commit may wait 100 ms for another's."""
TOLERANCE: Final = 0.015
"""Seconds after its slot that a call may still be sent; the margin gives 20 ms in each second."""
ROOMS: Final = (0.0, 0.0, 0.2, 0.8)
"""Seconds that a call may come late to its slot, and to each that it takes in place of a missed one.

So much wider are those slots: on a machine where every step takes long no slot of the usual width would be met.
"""
WIDEST: Final = 3.2
"""The same for each slot that a read takes after those, until it meets one; a recorded call is handed back."""
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
SOON: Final = 10.0
"""Seconds that somebody who only looks is kept waiting for a slot; then they are told when to ask again."""
FEW_SLOTS: Final = 10
"""So many slots they are kept waiting at a slow rate, where that is longer: that is a queue and no cloud's wish."""
AFTER_THROTTLING: Final = 1.0
"""Seconds an operation rests after a throttling answer that names no time."""


Reserve = Callable[[str, str, float], float]
"""Reserves the next slot of (quota, operation), so many seconds wide; returns its time in seconds since 1970."""
Push = Callable[[str, str, float], None]
"""Holds (quota, operation) back for some seconds."""
Ahead = Callable[[str, str], float]
"""Returns how many seconds the next slot of (quota, operation) lies ahead."""
Stopped = Callable[[], bool]
"""Tells whether what is waited for is not wanted any more."""
_Key = tuple[str, str]


class StoppedError(Exception):
    """What a slot was waited for is not wanted any more; nothing was sent."""


def never() -> bool:
    """Tell that it is still wanted."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    longest: float = inf
    stopped: Stopped = never


class Throttle:
    """Waits for slots. `now` is the time in seconds since 1970, `sleep` takes seconds and may raise to end a wait.

    `nap` sleeps, too, and does not raise, so that what has been recorded as sent comes to its end; it is `sleep` where
    none is given. Without `ahead` a wait is known to be too long only once its slot is reserved.
    """

    def __init__(
        self,
        *,
        reserve: Reserve,
        push: Push,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        nap: Callable[[float], None] | None = None,
        ahead: Ahead = lambda _quota, _operation: 0.0,
    ) -> None:
        self._reserve = reserve
        self._ahead = ahead
        self._push = push
        self._now = now
        self._sleep = sleep
        self._nap = nap or sleep
        self._lock = threading.Lock()
        self._doors: dict[_Key, Door] = {}
        self._urgent: Counter[str] = Counter()
        self._pushes: Counter[_Key] = Counter()
        self._mine = threading.local()

    @contextmanager
    def on_terms(self, *, longest: float = inf, stopped: Stopped = never) -> Iterator[None]:
        """Let this thread's waits in here end early.

        They raise StoppedError once `stopped` says so, and CloudError at once where the slot lies further ahead than
        `longest` seconds.
        """
        before, self._mine.terms = self._terms, _Terms(longest=longest, stopped=stopped)
        try:
            yield
        finally:
            self._mine.terms = before

    def wait(self, quota: str, operation: str, qps: float, *, patient: bool = False) -> None:
        """Return when a call of `operation` may be sent, at `qps` calls a second for the whole quota.

        A `patient` wait starts only when nobody urgent waits on the quota, or has waited for PATIENCE.
        """
        if not patient:
            with self._urgently(quota):
                self._meet((quota, operation), qps)
            return
        # Naps are counted, not read from a clock that somebody may set.
        for _ in range(round(PATIENCE / POLITE)):
            if not self._urgent[quota]:
                break
            self._sleep(POLITE)
        self._meet((quota, operation), qps)

    def early(self, quota: str, operation: str, qps: float) -> None:
        """Return up to EARLY before a call of `operation` may be sent; this thread's `on_time` waits for the rest.

        What is done between the two, as recording that the call is sent, takes now 1 ms and now 50: sent right after
        it, calls that left evenly would arrive in bunches.
        """
        key, spacing = (quota, operation), MARGIN / qps
        with self._urgently(quota), self._passed(key, qps):
            while True:
                slot = self._take(key, spacing)
                due = max(slot.at, self._now())
                self._rest(slot.at - EARLY)
                # A slot from before a throttling answer is given up, too: it lies in the time the cloud asked for.
                if self._now() - due <= LATE and slot.pushes == self._pushes[key]:
                    break
        self._slots_of_mine()[key] = slot, spacing

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

    def tire(self) -> None:
        """Raise StoppedError where this thread waits for what is not wanted any more."""
        if self._terms.stopped():
            raise StoppedError

    @contextmanager
    def _urgently(self, quota: str) -> Iterator[None]:
        with self._lock:
            self._urgent[quota] += 1
        try:
            yield
        finally:
            with self._lock:
                self._urgent[quota] -= 1

    def _meet(self, key: _Key, qps: float) -> None:
        """Return within a slot: where one is missed, within another."""
        spacing = MARGIN / qps
        with self._passed(key, qps):
            for room in chain(ROOMS, repeat(WIDEST)):
                slot = self._take(key, spacing + room)
                self._bear(slot.at - self._now(), spacing)
                self._rest(slot.at)
                if self._now() - slot.at <= room + TOLERANCE and slot.pushes == self._pushes[key]:
                    return

    def _rest(self, until: float) -> None:
        """Sleep in pieces; also where there is nothing to wait for: a process that leaves is let go here."""
        left = until - self._now()
        while True:
            piece = max(0.0, min(left, PIECE))
            self._sleep(piece)
            # Counted down as well: a clock that is set back must not make it longer.
            left = min(left - piece, until - self._now())
            if left <= 0:
                return
            self.tire()

    def _bear(self, seconds: float, spacing: float) -> None:
        """Raise CloudError where a slot lies further ahead than this thread waits."""
        if seconds > max(self._terms.longest, FEW_SLOTS * spacing):
            raise CloudError(
                f"The cloud asked to be left alone until about {seconds:.0f} s from now.",
                advice="Try again then. Nothing was changed.",
            )

    @property
    def _terms(self) -> _Terms:
        terms: _Terms = self._mine.__dict__.get("terms", _Terms())
        return terms

    def _take(self, key: _Key, width: float) -> "_Slot":
        pushes = self._pushes[key]
        return _Slot(at=self._reserve(*key, width), pushes=pushes)

    @contextmanager
    def _passed(self, key: _Key, qps: float) -> Iterator[None]:
        """Keep few threads ahead, so that what is stopped has few slots to waste."""
        with self._lock:
            door = self._doors.setdefault(key, Door(max(3, int(qps * LATENCY) + 1)))

        def mind() -> None:
            self.tire()
            if self._terms.longest < inf:
                self._bear(self._ahead(*key), MARGIN / qps)

        with door.passed(mind):
            yield

    def _slots_of_mine(self) -> "dict[_Key, tuple[_Slot, float]]":
        slots: dict[_Key, tuple[_Slot, float]] = self._mine.__dict__.setdefault("slots", {})
        return slots


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    at: float
    pushes: int
    """How many throttling answers there had been when it was reserved."""
