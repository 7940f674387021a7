"""The preview, and the plan that is frozen from it: what exactly will be sent, and how much it may hit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.events import canonical
from bot.domain.order import CancelJob
from bot.domain.status import Status, flows_into

Counts = Mapping[Status, int | None]
"""Unfinished tasks by status; `None` where the cloud did not tell."""

CANCEL_JOB: Final = "CancelOTATaskByJob"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the cloud said of one job's tasks at one moment."""

    at: datetime
    counts: Counts
    canceled: int | None
    """Tasks of the job that were already cancelled: the base that a verification is held against."""
    finished: Mapping[str, int | None] | None = None
    """Succeeded and failed tasks by the cloud's own status word, where they were asked for."""

    def size(self, statuses: frozenset[Status]) -> int | None:
        """Return how many tasks are in `statuses` together; `None` when one of them is unknown.

        The tasks of a scheduled batch are counted once: `scheduled` is all of its unfinished tasks.
        """
        if any(self.counts.get(status) is None for status in statuses):
            return None
        known = {status: self.counts.get(status) or 0 for status in statuses}
        scheduled = known.pop(Status.SCHEDULED, 0)
        return max(scheduled, sum(known.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The facts of a job that help a person to recognise it; empty where the cloud is silent."""

    id: str
    name: str = ""
    status: str = ""
    dynamic: bool = False
    product: str = ""
    firmware: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the cloud says would be hit by an order."""

    job: Job
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The frozen intent that people confirm and approve; its digest binds them to exactly this."""

    v: int = 1
    cloud: str
    endpoint: str
    region: str | None
    instance: str | None
    org: str | None
    key: str
    """Fingerprint of the key id, not the key."""
    operation: str
    job: str
    statuses: tuple[Status, ...]
    names: str | None = None
    """SHA-256 of the list of names, where the plan names devices."""
    at_most: int | None
    """The most devices it may hit when it starts; `None` when the cloud cannot tell."""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON, in hex."""
        return sha256(canonical(self.body).encode()).hexdigest()

    @property
    def body(self) -> dict[str, Any]:
        """Return the plan as the JSON object that is hashed and stored."""
        return asdict(self)

    def fits(self, account: Account) -> bool:
        """Tell whether `account`, as configured now, is still the cloud, endpoint and key that were planned for."""
        return (self.cloud, self.endpoint, self.region, self.instance, self.org, self.key) == _place(account)


def _place(account: Account) -> tuple[str, str, str | None, str | None, str | None, str]:
    return account.cloud.value, account.endpoint, account.region, account.instance, account.org, account.key


def freeze(order: CancelJob, preview: Preview, account: Account) -> Plan:
    """Freeze an order and what was seen into a plan."""
    cloud, endpoint, region, instance, org, key = _place(account)
    return Plan(
        cloud=cloud,
        endpoint=endpoint,
        region=region,
        instance=instance,
        org=org,
        key=key,
        operation=CANCEL_JOB,
        job=order.job,
        statuses=order.statuses,
        at_most=preview.reading.size(flows_into(frozenset(order.statuses))),
    )
