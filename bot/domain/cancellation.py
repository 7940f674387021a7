"""A cancellation's life as a fold: `State`, and `apply`, which advances it by one event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from bot.domain.call import Attempt, Outcome, Ranges, holds, size, with_number
from bot.domain.events import Event, Kind
from bot.domain.order import Cancel
from bot.domain.plan import Plan, Preview, Reading


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
RAN: Final = frozenset({Phase.DONE, Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED})
LATER: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""When a cloud is read again after the end; the figures may change then, the state does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What has happened since the start: calls, their outcomes, and what was seen afterwards."""

    at: datetime
    asked: int | None
    """Devices in the named statuses when read at the start; `None` when the cloud could not tell."""
    reading: Reading
    calls: int
    """How many calls the plan has."""
    done: Ranges = ()
    attempts: Mapping[int, Attempt] = field(default_factory=dict)
    """The latest attempt of each call that was sent and is not done."""
    accepted: int = 0
    """Devices in calls that the cloud took."""
    confirmed: int | None = None
    """Devices seen cancelled when the cloud was read again; `None` before that, or when it cannot tell."""
    left: int | None = None
    """Devices still in the named statuses when the cloud was last read."""
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
        """Whether the cloud took every call."""
        return size(self.done) == self.calls

    def is_done(self, call: int) -> bool:
        """Tell whether the cloud took this call."""
        return holds(self.done, call)


@dataclass(frozen=True, slots=True, kw_only=True)
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
    run: Run | None = None
    stopped_by: str | None = None
    ended: datetime | None = None
    ended_by: str | None = None
    why: str = ""
    """Why it ended, where that needs saying."""

    @property
    def size(self) -> int | None:
        """The devices in the named statuses at the preview; `None` when the cloud cannot tell."""
        if self.preview is None or not hasattr(self.order, "statuses"):
            return None
        return self.preview.reading.size(frozenset(self.order.statuses))

    @property
    def due(self) -> datetime | None:
        """When the bot has something to do by itself: end a wait, or look at the cloud again after the end."""
        if self.ended is None:
            return self.deadline
        if self.run is None or not self.run.accepted or self.run.later >= len(LATER):
            return None
        return self.ended + LATER[self.run.later]

    @property
    def has_card(self) -> bool:
        """Whether people see a card: from the frozen plan on."""
        return self.plan is not None and self.phase is not Phase.REFUSED


STATE: Final = TypeAdapter(State)
"""Writes and reads a state as JSON: the state row."""
PREVIEW: Final = TypeAdapter(Preview)
READING: Final = TypeAdapter(Reading)
_ORDER: Final[TypeAdapter[Cancel]] = TypeAdapter(Cancel)
_PLAN: Final = TypeAdapter(Plan)


def order_body(order: Cancel) -> dict[str, Any]:
    """Return an order as the JSON object that `requested` carries."""
    found: dict[str, Any] = _ORDER.dump_python(order, mode="json")
    return found


def apply(state: State | None, event: Event) -> State:
    """Advance `state` by `event`; `None` stands for "before `requested`".

    A kind that this version does not know moves the counters and nothing else.
    """
    if state is None:
        return _requested(event)
    advance = _ADVANCES.get(event.kind)
    moved = advance(state, event) if advance else state
    return replace(moved, seq=event.seq or 0, event=event.id)


def _requested(event: Event) -> State:
    body = event.body
    return State(
        id=event.cancellation or 0,
        seq=event.seq or 0,
        event=event.id,
        phase=Phase.CHECKING,
        requester=event.actor,
        order=_ORDER.validate_python(body["order"]),
        account=body["account"],
        quota=body["quota"],
        channel=body["channel"],
        via=body["via"],
        at=event.at,
        retry_of=body.get("retry_of"),
        deadline=event.at + timedelta(seconds=body["expires"]),
    )


def _previewed(state: State, event: Event) -> State:
    body = event.body
    return replace(
        state,
        phase=Phase.WAITING_CONFIRMATION,
        preview=PREVIEW.validate_python(body["preview"]),
        plan=_PLAN.validate_python(body["plan"]),
        digest=body["digest"],
        estimate=body["estimate"],
        policy=body["policy"],
        deadline=event.at + timedelta(seconds=body["policy"]["expires"]),
    )


def _confirmed(state: State, event: Event) -> State:
    within = timedelta(seconds=event.body["policy"]["run_within"])
    return replace(
        state,
        phase=Phase.APPROVED,
        confirmed_at=event.at,
        ran_alone=event.body.get("ran_alone", 0),
        deadline=event.at + within,
    )


def _started(state: State, event: Event) -> State:
    body = event.body
    run = Run(
        at=event.at,
        asked=body["asked"],
        reading=READING.validate_python(body["reading"]),
        calls=body["calls"],
        progress=event.at,
    )
    return replace(state, phase=Phase.RUNNING, run=run, deadline=None)


def _call_sent(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    before = run.attempts.get(body["call"])
    attempt = Attempt(number=body["attempt"], first=before.first if before else event.at, count=body["count"])
    return replace(state, run=replace(run, attempts={**run.attempts, body["call"]: attempt}, progress=event.at))


def _call_finished(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    call, outcome = body["call"], Outcome(body["outcome"])
    sent = run.attempts[call]
    others = {number: attempt for number, attempt in run.attempts.items() if number != call}
    if outcome is Outcome.DONE:
        done = with_number(run.done, call)
        accepted = run.accepted + body.get("count", sent.count)
        moved = replace(run, done=done, attempts=others, accepted=accepted, progress=event.at)
    else:
        ended = replace(
            sent, outcome=outcome, again=body.get("again", False), code=body["code"], message=body["message"]
        )
        moved = replace(run, attempts={**run.attempts, call: ended}, progress=event.at)
    return replace(state, run=moved)


def _stopped(state: State, event: Event) -> State:
    return replace(state, stopped_by=event.actor)


def _verified(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    seen = replace(
        run,
        confirmed=body["confirmed"],
        left=body["left"],
        verified=event.at,
        later=run.later + (0 if state.phase is Phase.RUNNING else 1),
        progress=event.at if state.phase is Phase.RUNNING else run.progress,
    )
    return replace(state, run=seen)


def _finished(state: State, event: Event) -> State:
    return _ended(replace(state, phase=Phase(event.body["result"])), event)


def _ended(state: State, event: Event) -> State:
    return replace(
        state, ended=event.at, ended_by=event.actor, why=event.body.get("reason") or state.why, deadline=None
    )


def _end(phase: Phase) -> Callable[[State, Event], State]:
    return lambda state, event: _ended(replace(state, phase=phase), event)


def _refused(state: State, event: Event) -> State:
    """End the order of somebody who may not order; a refused press on a card changes nothing."""
    return _end(Phase.REFUSED)(state, event) if event.body.get("what") == "order" else state


def _run(state: State) -> Run:
    if state.run is None:
        raise ValueError(f"cancellation {state.id} has calls but no start")
    return state.run


_ADVANCES: Final[Mapping[str, Callable[[State, Event], State]]] = {
    Kind.REFUSED: _refused,
    Kind.PREVIEWED: _previewed,
    Kind.CONFIRMED: _confirmed,
    Kind.WITHDRAWN: _end(Phase.WITHDRAWN),
    Kind.REJECTED: _end(Phase.REJECTED),
    Kind.EXPIRED: _end(Phase.EXPIRED),
    Kind.VOIDED: _end(Phase.VOIDED),
    Kind.STARTED: _started,
    Kind.CALL_SENT: _call_sent,
    Kind.CALL_FINISHED: _call_finished,
    Kind.STOPPED: _stopped,
    Kind.VERIFIED: _verified,
    Kind.FINISHED: _finished,
}
