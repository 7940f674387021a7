"""The preview, and the plan that is frozen from it: what exactly will be sent, and how much it may hit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import accumulate
from typing import Any

from bot.domain.account import Account, Cloud
from bot.domain.events import canonical
from bot.domain.offer import BY_DEVICE, CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY, CANCEL_TASKS
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy, listed
from bot.domain.reading import Reading
from bot.domain.status import Status, flows_into

Names = Mapping[str, tuple[str, ...]]
"""Device names by job, sorted, each once."""


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
    revives: bool = False
    """Whether the job's own retries may take up again what was cancelled (EnOS: `retryPolicy.enableRetry`)."""
    created: str = ""
    """When it was made, as the cloud writes it, for whoever sorts jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the cloud says would be hit by an order."""

    job: Job
    reading: Reading
    others: tuple[Job, ...] = ()
    """The firmware's other unfinished jobs, where the order is for a firmware."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs that the order is for."""
        return (self.job, *self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A preview, and the devices that would be sent, for an order that is carried out by names."""

    preview: Preview
    names: Names = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation on one job: as many calls as its list of names needs, or one."""

    action: str
    """The vendor's operation."""
    job: str
    product: str | None = None
    firmware: str | None = None
    names: str | None = None
    """SHA-256 of the list of names, where the operation takes names."""
    count: int = 0
    """How many names the list has."""
    calls: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a plan."""

    number: int
    step: Step
    at: tuple[int, ...] = ()
    """Positions in the step's list of names, from 0; empty where the operation takes no names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The frozen intent that people confirm and approve; its digest binds them to exactly this."""

    v: int = 2
    cloud: str
    endpoint: str
    region: str | None
    instance: str | None
    org: str | None
    key: str
    """Fingerprint of the key id, not the key."""
    verb: str
    job: str
    """The job that was named; of a firmware's jobs the first."""
    statuses: tuple[Status, ...]
    """The statuses that are hit."""
    at_most: int | None
    """The most devices it may hit when it starts; `None` when the cloud cannot tell."""
    per_call: int
    """Names in one call."""
    steps: tuple[Step, ...]
    """In this order, each begun when the one before has come to its end."""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON, in hex."""
        return sha256(canonical(self.body).encode()).hexdigest()

    @property
    def body(self) -> dict[str, Any]:
        """Return the plan as the JSON object that is hashed and stored."""
        return asdict(self)

    @property
    def operation(self) -> str:
        """The vendor's operations, in order."""
        return ", then ".join(dict.fromkeys(step.action for step in self.steps))

    @property
    def calls(self) -> int:
        """How many calls the plan has."""
        return sum(step.calls for step in self.steps)

    @property
    def by_name(self) -> bool:
        """Whether the plan lists each device that it may hit."""
        return any(step.names is not None for step in self.steps)

    def call(self, number: int) -> Call:
        """Return a call by its number, 1 for the first; raises LookupError when the plan has none such."""
        ends = accumulate(step.calls for step in self.steps)
        found = [(step, end) for step, end in zip(self.steps, ends, strict=True) if 1 <= number <= end]
        if not found:
            raise LookupError(f"the plan has no call {number}")
        step, end = found[0]
        index = number - 1 - (end - step.calls)
        at = range(index * self.per_call, min((index + 1) * self.per_call, step.count)) if step.names else ()
        return Call(number=number, step=step, at=tuple(at))

    def fits(self, account: Account) -> bool:
        """Tell whether `account`, as configured now, is still the cloud, endpoint and key that were planned for."""
        return (self.cloud, self.endpoint, self.region, self.instance, self.org, self.key) == _place(account)

    def stakes(self, reading: Reading) -> tuple[str, ...]:
        """Return the words that the approval rules look at: the statuses that would be hit, and `strategy`.

        A cancel by device counts as `in-progress` when a named device was seen so, or not all were looked at.
        """
        named = reading.named
        spared = named is not None and not named.unlooked and not named.counts.get(Status.IN_PROGRESS)
        statuses = [status for status in self.statuses if not (spared and status is Status.IN_PROGRESS)]
        strategy = ["strategy"] if any(step.action == CANCEL_STRATEGY for step in self.steps) else []
        return (*(status.value for status in statuses), *strategy)


def _place(account: Account) -> tuple[str, str, str | None, str | None, str | None, str]:
    return account.cloud.value, account.endpoint, account.region, account.instance, account.org, account.key


def freeze(order: Cancel, preview: Preview, account: Account, names: Names | None = None) -> Plan:
    """Freeze an order and what was seen into a plan; `names` are the devices to send, where it is carried out so."""
    cloud, endpoint, region, instance, org, key = _place(account)
    statuses = BY_DEVICE[account.cloud] if isinstance(order, CancelDevices) else order.statuses
    steps = _steps(order, preview, account, names or {})
    return Plan(
        cloud=cloud,
        endpoint=endpoint,
        region=region,
        instance=instance,
        org=org,
        key=key,
        verb=order.verb,
        job=preview.job.id,
        statuses=statuses,
        at_most=most(order, preview, frozenset(statuses), steps),
        per_call=account.names_per_call,
        steps=steps,
    )


def most(order: Cancel, preview: Preview, statuses: frozenset[Status], steps: tuple[Step, ...]) -> int | None:
    """Return the most devices that these steps may hit; `None` when the cloud cannot tell."""
    if isinstance(order, CancelDevices):
        return preview.reading.size(statuses)
    if any(step.names for step in steps):
        return sum(step.count for step in steps)  # whatever joins the job, no other device is sent
    return preview.reading.size(flows_into(statuses))


def _steps(order: Cancel, preview: Preview, account: Account, names: Names) -> tuple[Step, ...]:
    per_call = account.names_per_call
    match order:
        case CancelStrategy(job=job, statuses=statuses):
            tasks = (Step(action=CANCEL_JOB, job=job),) if statuses else ()
            return (Step(action=CANCEL_STRATEGY, job=job), *tasks)
        case CancelJob(job=job) if account.cloud is not Cloud.ENOS:
            return (Step(action=CANCEL_JOB, job=job),)
        case _ if account.cloud is Cloud.ENOS:
            return tuple(_by_name(CANCEL_TASKS, job, names, per_call) for job in preview.jobs)
        case _:
            return tuple(_by_name(CANCEL_DEVICES, job, names, per_call) for job in preview.jobs if names.get(job.id))


def _by_name(action: str, job: Job, names: Names, per_call: int) -> Step:
    these = names.get(job.id, ())
    return Step(
        action=action,
        job=job.id,
        product=job.product or None,
        firmware=job.firmware or None,
        names=listed(these).sha256,
        count=len(these),
        calls=-(-len(these) // per_call),
    )


def modern(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan's stored body in the form of this version; version 1 knew cancels by job alone."""
    if body["v"] != 1:
        return dict(body)
    kept = {name: value for name, value in body.items() if name not in {"operation", "names"}}
    return {**kept, "verb": "job", "per_call": 1, "steps": [{"action": body["operation"], "job": body["job"]}]}
