"""Trying again what failed: each thing by itself, at growing pauses, so that one failure holds up nothing else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.domain.errors import LedgerError
from bot.slack.posts import reason, refused

PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before something that failed is tried again; the last one repeats."""
PATIENCE: Final = 60
"""Refusals in a row, about an hour of them, after which Slack is asked only now and then; breakdowns end by themselves.
"""
RARELY: Final = 600.0
"""Seconds between those tries."""

log = structlog.get_logger()


class Tries:
    """Remembers what failed, how often, and when its next try is due."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, datetime] = {}
        self._at: dict[str, int] = {}

    def attempt(self, what: str, work: Callable[[], bool], *, at: int = 0) -> bool:
        """Do `work` if it is due; returns what it returns, and False where it is not due or fails.

        `at` is how far something has come that is done bit by bit: where that has changed, its failures are forgotten.
        """
        if self._at.get(what, at) != at:
            self._failures.pop(what, None)
        self._at[what] = at
        if self._not_before.get(what, self._now()) > self._now():
            return False
        try:
            done = work()
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - one card that cannot be told must not silence the others
            failures = self._failures[what] = self.failures(what) + 1
            weary = failures > PATIENCE and refused(error)
            pause = RARELY if weary else PAUSES[min(failures, len(PAUSES)) - 1]
            self._not_before[what] = self._now() + timedelta(seconds=pause)
            log.warning("publishing_failed", what=what, error=reason(error), again_in=pause)
            return False
        self._not_before.pop(what, None)
        # What only waits for a slot has not worked: forgiven, it would take each slot that comes free, and fail again.
        if done:
            self._failures.pop(what, None)
            self._at.pop(what, None)
        return done

    def failures(self, what: str) -> int:
        """Return how often something has failed since it last worked."""
        return self._failures.get(what, 0)

    def soonest(self) -> float:
        """Return the seconds until something falls due; what is due already waits for something else, without end."""
        rests = ((at - self._now()).total_seconds() for at in self._not_before.values())
        return min((rest for rest in rests if rest > 0), default=float("inf"))
