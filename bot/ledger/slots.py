"""The throttle's rows: for each quota and operation the next moment at which a call may be sent.

One row, one statement: calls of all threads and processes are spaced evenly, in order of asking, and a kill wastes at
most the slots that were reserved.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from bot.ledger.store import Store

STEPPED_CLOCK: Final = 900.0
"""A slot further ahead than these seconds was written by a clock that has been set back since."""
LONGEST_PUSH: Final = 120.0
"""The most seconds that one throttling answer holds an operation back."""
SLOWEST: Final = 8.0
"""The most that the spacing is stretched after throttling answers."""
RECOVERY: Final = 0.9
"""What the stretch shrinks to with each slot taken."""


class Slots:
    """The table of slots."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def reserve(self, quota: str, operation: str, spacing: float) -> float:
        """Reserve the next slot, `spacing` seconds after the one before, and return its time (seconds since 1970).

        The clock is read when the write is this one's turn: slots from before that would be taken in one burst.
        """
        with self._store.writing():
            now = self._now().timestamp()
            free_at, slow = self._row(quota, operation, now)
            self._write(quota, operation, free_at + spacing * slow, max(1.0, slow * RECOVERY))
        return free_at

    def take(self, quota: str, operation: str, spacing: float) -> float:
        """Take a slot if one is free now and return 0; else take none and return the seconds until one is."""
        with self._store.writing():
            now = self._now().timestamp()
            free_at, slow = self._row(quota, operation, now)
            if free_at > now:
                return free_at - now
            self._write(quota, operation, now + spacing * slow, max(1.0, slow * RECOVERY))
        return 0.0

    def push(self, quota: str, operation: str, seconds: float) -> None:
        """Hold the operation back, because the other side said that it is too fast, and space its calls wider."""
        with self._store.writing():
            now = self._now().timestamp()
            free_at, slow = self._row(quota, operation, now)
            held = now + min(max(seconds, 0.0), LONGEST_PUSH)
            self._write(quota, operation, max(free_at, held), min(SLOWEST, slow * 2))

    def ahead(self, quota: str, operation: str) -> float:
        """Return how many seconds the next slot lies ahead."""
        now = self._now().timestamp()
        return self._row(quota, operation, now)[0] - now

    def of(self, quota: str) -> dict[str, tuple[float, float]]:
        """Return, for each operation of a quota, the seconds to its next slot, and how many times wider it is spaced.

        It is wider than 1 after throttling answers, and until so many slots were taken since.
        """
        now = self._now().timestamp()
        rows = self._store.run("select operation from slots where quota = :quota order by operation", {"quota": quota})
        found = {row["operation"]: self._row(quota, row["operation"], now) for row in rows}
        return {operation: (free_at - now, slow) for operation, (free_at, slow) in found.items()}

    def _row(self, quota: str, operation: str, now: float) -> tuple[float, float]:
        row = self._store.one(
            "select free_at, slow from slots where quota = :quota and operation = :operation",
            {"quota": quota, "operation": operation},
        )
        if row is None:
            return now, 1.0
        stepped = row["free_at"] > now + STEPPED_CLOCK
        return (now if stepped else max(now, row["free_at"])), row["slow"]

    def _write(self, quota: str, operation: str, free_at: float, slow: float) -> None:
        self._store.run(
            "insert into slots (quota, operation, free_at, slow) values (:quota, :operation, :free_at, :slow)"
            " on conflict (quota, operation) do update set free_at = excluded.free_at, slow = excluded.slow",
            {"quota": quota, "operation": operation, "free_at": free_at, "slow": slow},
        )
