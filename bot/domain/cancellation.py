"""A cancellation's life: where it stands, what its run has done, and what is due."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from bot.domain.call import Attempt, Ranges, holds, size
from bot.domain.order import Cancel, CancelDevices, Listed, listed
from bot.domain.plan import Call, Plan, Preview
from bot.domain.reading import Reading


class Phase(StrEnum):
    """Where a cancellation stands, in the words of its card (contract: "What people see in Slack")."""

    CHECKING = "Checking"
    WAITING_CONFIRMATION = "Waiting for confirmation"
    WAITING_APPROVAL = "Waiting for approval"
    APPROVED = "Approved"
    RUNNING = "Running"
    DONE = "Done"
    PARTLY_DONE = "Partly done"
    FAILED = "Failed"
    STOPPED = "Stopped"
    REJECTED = "Rejected"
    WITHDRAWN = "Withdrawn"
    EXPIRED = "Expired"
    VOIDED = "Voided"
    REFUSED = "Refused"
    """The asker may not; has no card."""


WAITING: Final = frozenset({Phase.WAITING_CONFIRMATION, Phase.WAITING_APPROVAL})
BEFORE_START: Final = WAITING | {Phase.CHECKING, Phase.APPROVED}
OPEN: Final = BEFORE_START | {Phase.RUNNING}
"""Everything that somebody or the bot still has to act on."""
REPEATABLE: Final = frozenset({Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED, Phase.EXPIRED, Phase.VOIDED})
"""The ends after which something may be left that somebody wants to order again."""
LATER: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""When a cloud is read again after the end; the figures may change then, the state does not."""

FIRST_REMINDER: Final = timedelta(minutes=5)
"""The pause before the first reminder, where people have half an hour or more to answer."""
REMINDED_WITHIN: Final = 6
"""Where they have less, the first pause is this part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A call that goes on device by device: `first` is the number of the first of its calls of one device."""

    call: int
    first: int
    at: tuple[int, ...]
    """The positions of the devices in the step's list, one a call."""


_Moved = TypeVar("_Moved", "Run", "State")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What has happened since the start: calls, their outcomes, and what was seen afterwards."""

    at: datetime
    asked: int | None
    """Devices in the named statuses when read at the start; `None` when the cloud could not tell."""
    reading: Reading
    calls: int
    """How many calls there are: the plan's, and those that a refused one was split into."""
    done: Ranges = ()
    skipped: Ranges = ()
    """The calls for which nothing was left to send."""
    splits: tuple[Split, ...] = ()
    attempts: Mapping[int, Attempt] = field(default_factory=dict)
    """The latest attempt of each call that was sent and is not done."""
    sent: bool = False
    """Whether anything was ever sent, whatever became of it."""
    accepted: int = 0
    """Devices in calls that the cloud took, and those seen cancelled by attempts of which that was not known."""
    moved_on: int = 0
    """Devices of the plan's lists that were left out, because they had moved on before their call."""
    confirmed: int | None = None
    """Devices seen cancelled when the cloud was read again; `None` before that, or when it cannot tell."""
    left: int | None = None
    """Devices still in the named statuses when the cloud was last read."""
    seen: Reading | None = None
    """The latest verification's reading."""
    verified: datetime | None = None
    later: int = 0
    """How many verifications came after the end."""
    progress: datetime
    """When the run last moved."""

    @property
    def out(self) -> tuple[int, ...]:
        """The calls that were sent and have no recorded answer."""
        return tuple(number for number, attempt in self.attempts.items() if attempt.outcome is None)

    @property
    def complete(self) -> bool:
        """Whether the cloud took every call that there was something to send in."""
        return size(self.done) + size(self.skipped) + len(self.splits) == self.calls

    @property
    def took(self) -> bool:
        """Whether the cloud took anything, as far as is known: a strategy has no devices."""
        return bool(self.done) or self.accepted > 0

    def is_settled(self, call: int) -> bool:
        """Tell whether nothing more is to be sent in this call: it was taken, had nothing left, or was split."""
        split = any(split.call == call for split in self.splits)
        return split or holds(self.done, call) or holds(self.skipped, call)

    def call(self, plan: Plan, number: int) -> Call:
        """Return a call of this run: the plan's, or one of a single device that another was split into.

        Raises LookupError when there is none such.
        """
        # The splits stand in the order of their numbers: in a run of thousands they are not all looked at for each.
        index = bisect_right(self.splits, number, key=lambda split: split.first) - 1
        if index < 0:
            return plan.call(number)
        split = self.splits[index]
        if number >= split.first + len(split.at):
            raise LookupError(f"the run has no call {number}")
        return Call(number=number, step=plan.call(split.call).step, at=(split.at[number - split.first],))


def changed(value: _Moved, **changes: Any) -> _Moved:
    """Return a state or a run with these fields changed.

    A fold does this with every event; `dataclasses.replace`, which goes through all fields, takes ten times as long.
    """
    copy = object.__new__(type(value))
    vars(copy).update(vars(value), **changes)
    return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One approver's consent."""

    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """The mark of a cancellation that went on without the approvers it needed."""

    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class State:
    """One cancellation as its events have left it. Equal to the fold of its events, always."""

    id: int
    seq: int
    """`seq` of the last event applied."""
    event: int
    """`id` of the last event applied."""
    phase: Phase
    requester: str
    order: Cancel
    account: str
    quota: str
    channel: str | None
    via: str
    """Where the order came from: `slack` or `terminal`."""
    at: datetime
    """When it was requested."""
    retry_of: int | None = None
    """The cancellation whose rest this one was ordered for."""
    retried_as: int | None = None
    """The cancellation that was ordered for the rest of this one."""
    held: int | None = None
    """The open cancellation that this one is like, until its asker says that it is meant all the same."""
    anyway: bool = False
    """Whether that was said."""
    listing: int | None = None
    """The tasks that are being listed for it, where that takes so long that people see a card meanwhile."""
    preview: Preview | None = None
    plan: Plan | None = None
    digest: str | None = None
    """The plan's SHA-256."""
    estimate: int | None = None
    """Seconds the calls will take at the account's rate."""
    policy: Mapping[str, Any] | None = None
    """The approval rules as they were when the plan was frozen."""
    deadline: datetime | None = None
    """When the present wait ends by itself."""
    confirmed_at: datetime | None = None
    ran_alone: int = 0
    """What the requester had run alone on the quota when they confirmed."""
    needs: int = 0
    """How many people have to approve it besides the requester."""
    reasons: tuple[str, ...] = ()
    """Why they have to."""
    votes: tuple[Vote, ...] = ()
    broke_glass: BrokenGlass | None = None
    reminded: int = 0
    """How often the approvers were reminded."""
    run: Run | None = None
    stopped_by: str | None = None
    ended: datetime | None = None
    ended_by: str | None = None
    why: str = ""
    """Why it ended, where that needs saying."""

    @property
    def size(self) -> int | None:
        """The devices in the statuses that are hit, at the preview; `None` when the cloud cannot tell."""
        if self.preview is None or self.plan is None:
            return None
        return self.preview.reading.size(frozenset(self.plan.statuses))

    def is_like(self, later: "State") -> bool:
        """Tell whether a later order is for the same operation on the same job and account, and so may be a repeat."""
        return self.id < later.id and self.held is None and self.aim == later.aim

    @property
    def aim(self) -> tuple[str | None, ...]:
        """Return account, operation and job, or firmware: what two orders have in common that may be one."""
        order = self.order
        firmware = (order.product, order.firmware) if isinstance(order, CancelDevices) else ()
        return (self.account, order.verb, order.job, *firmware)

    @property
    def missing(self) -> int:
        """How many approvals are missing."""
        return max(0, self.needs - len(self.votes))

    @property
    def reminder(self) -> datetime | None:
        """When the approvers are to be reminded next: after pauses that double, as long as they may answer."""
        if self.phase is not Phase.WAITING_APPROVAL or self.deadline is None:
            return None
        at = self.reminded_at(self.reminded + 1)
        return at if at is not None and at < self.deadline else None

    def reminded_at(self, time: int) -> datetime | None:
        """Return when the approvers are reminded for the first, second … time; `None` where nobody is waited for."""
        if self.confirmed_at is None or self.deadline is None:
            return None
        pause: timedelta = min(FIRST_REMINDER, (self.deadline - self.confirmed_at) / REMINDED_WITHIN)
        doubled: int = 2**time - 1
        return self.confirmed_at + pause * doubled

    @property
    def due(self) -> datetime | None:
        """When the bot has something to do by itself: remind, end a wait, or look at the cloud again after the end."""
        if self.ended is None:
            return self.reminder or self.deadline
        if self.run is None or not self.run.took or self.run.later >= len(LATER):
            return None
        return self.ended + LATER[self.run.later]

    @property
    def has_card(self) -> bool:
        """Whether people see a card: from the frozen plan on, or from a long listing before it."""
        return (self.plan is not None or self.listing is not None) and self.phase is not Phase.REFUSED


FORM: Final = 4
"""The form of `State`: raised with each change of it, so that rows which an older version wrote are folded anew."""
STATE: Final = TypeAdapter(State)
"""Writes and reads a state as JSON: the state row."""
PREVIEW: Final = TypeAdapter(Preview)
READING: Final = TypeAdapter(Reading)
ORDER: Final[TypeAdapter[Cancel]] = TypeAdapter(Cancel)


def order_body(order: Cancel) -> dict[str, Any]:
    """Return an order as the JSON object that `requested` carries: of a list of names no more than its SHA-256."""
    bare = replace(order, names=(), listed=names_of(order)) if isinstance(order, CancelDevices) else order
    found: dict[str, Any] = ORDER.dump_python(bare, mode="json")
    return found


def names_of(order: CancelDevices) -> Listed | None:
    """Return what stands for an order's names; `None` while they are still to be read from a file."""
    return listed(order.names) if order.names else order.listed
