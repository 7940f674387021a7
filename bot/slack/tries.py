"""Trying again what failed: each thing by itself, at growing pauses, so that one failure holds up nothing else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.domain.errors import LedgerError
from bot.slack.posts import reason

PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before something that failed is tried again; the last one repeats."""

log = structlog.get_logger()


class Tries:
    """Remembers what failed, how often, and when its next try is due."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, datetime] = {}

    def attempt(self, what: str, work: Callable[[], bool]) -> bool:
        """Do `work` if it is due; returns what it returns, and False where it is not due or fails."""
        if self._not_before.get(what, self._now()) > self._now():
            return False
        try:
            done = work()
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - one card that cannot be told must not silence the others
            failures = self._failures[what] = self.failures(what) + 1
            pause = PAUSES[min(failures, len(PAUSES)) - 1]
            self._not_before[what] = self._now() + timedelta(seconds=pause)
            log.warning("publishing_failed", what=what, error=reason(error), again_in=pause)
            return False
        self._failures.pop(what, None)
        self._not_before.pop(what, None)
        return done

    def failures(self, what: str) -> int:
        """Return how often something has failed since it last worked."""
        return self._failures.get(what, 0)

    def soonest(self) -> float:
        """Return the seconds until something falls due; what is due already waits for something else, without end."""
        rests = ((at - self._now()).total_seconds() for at in self._not_before.values())
        return min((rest for rest in rests if rest > 0), default=float("inf"))
