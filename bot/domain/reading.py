"""What a cloud said at one moment: of a job's tasks, and of the named devices' tasks among them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.domain.status import Status

Counts = Mapping[Status, int | None]
"""Unfinished tasks by status; `None` where the cloud did not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What was seen of named devices, each looked at by itself; a long list is looked at as far as that is cheap."""

    counts: Mapping[Status, int]
    """Their unfinished tasks by status."""
    canceled: int = 0
    """Those whose task is cancelled."""
    ended: int = 0
    """Those whose task has ended otherwise."""
    absent: int = 0
    """Those without any task in the job."""
    unlooked: int = 0
    """Those not looked at: their tasks may be in any status."""

    def in_(self, statuses: Iterable[Status]) -> int:
        """Return how many of those looked at are in `statuses`."""
        return sum(self.counts.get(status, 0) for status in statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the cloud said at one moment; of several jobs together, where the order is for several."""

    at: datetime
    counts: Counts
    canceled: int | None
    """Tasks of the job that were already cancelled: the base that a verification is held against."""
    finished: Mapping[str, int | None] | None = None
    """Succeeded and failed tasks by the cloud's own status word, where they were asked for."""
    named: Named | None = None
    """The named devices among them, where the order names devices."""
    batch: str = ""
    """The batch's own JobStatus, where it was asked for."""

    def size(self, statuses: frozenset[Status]) -> int | None:
        """Return how many tasks are in `statuses` together, and may be hit; `None` when that is unknown.

        Of named devices that were not looked at, each may be; but all together no more than the whole job has.
        """
        total = self._total(statuses)
        if self.named is None:
            return total
        most = self.named.in_(statuses) + self.named.unlooked
        return most if total is None or not self.named.unlooked else min(most, total)

    def _total(self, statuses: frozenset[Status]) -> int | None:
        """Count in the whole job; the tasks of a scheduled batch once: `scheduled` is all its unfinished tasks."""
        if any(self.counts.get(status) is None for status in statuses):
            return None
        known = {status: self.counts.get(status) or 0 for status in statuses}
        scheduled = known.pop(Status.SCHEDULED, 0)
        return max(scheduled, sum(known.values()))

    def cancelled_since(self, before: "Reading") -> int | None:
        """Return how many became cancelled since `before`; others who cancel there are counted in, where totals tell.

        `None` when the cloud does not tell.
        """
        most = self.named.canceled if self.named is not None and not self.named.unlooked else None
        if most is not None and (before.named is None or not before.named.unlooked):
            return max(0, most - (before.named.canceled if before.named else 0))
        if self.canceled is None or before.canceled is None:
            return None
        # Of those not looked at before nobody knows whether they were cancelled already.
        grown = max(0, self.canceled - before.canceled)
        return grown if most is None else min(grown, most)
