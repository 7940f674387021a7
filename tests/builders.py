"""What tests of several rooms build with: a clock turned by hand, one account, one life of a cancellation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot.domain import approval as voting
from bot.domain import decisions, running
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.events import BOT, Event, Kind, NewEvent, canonical
from bot.domain.fold import apply
from bot.domain.offer import CANCEL_DEVICES, CANCEL_JOB
from bot.domain.order import Cancel, CancelDevices, CancelJob, listed
from bot.domain.plan import Job, Plan, Preview, freeze
from bot.domain.policy import Allowed, Verdict
from bot.domain.reading import Counts, Named, Reading
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.ledger.ledger import Ledger

ALONE: Final = Allowed()
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN: Final = "U0ANN"
BOB: Final = "U0BOB"
COUNTS: Final[Counts] = {
    Status.SCHEDULED: 0,
    Status.UNCONFIRMED: 7,
    Status.QUEUED: 40,
    Status.NOTIFIED: 12,
    Status.IN_PROGRESS: 5,
}
DRAINED: Final[Counts] = dict.fromkeys(Status, 0)
ORDER: Final = CancelJob(job="J1", statuses=(Status.QUEUED, Status.NOTIFIED))
EVIDENCE: Final[Mapping[str, Any]] = {"groups": ["S0ONCALL"], "team": "T1", "flags": []}
DONE: Final = Answer(outcome=Outcome.DONE, request_id="R1")
FAILED: Final = Answer(outcome=Outcome.FAILED, code="iot.ota.Nope", message="no")
THROTTLED: Final = Answer(outcome=Outcome.FAILED, code="Throttling.User", message="slower", again=True)
UNKNOWN: Final = Answer(outcome=Outcome.UNKNOWN, code="NoAnswer", message="timed out")
MOVED: Final = Answer(outcome=Outcome.FAILED, code="24620", message="Only init or published tasks can be canceled")
RAN: Final = frozenset({Phase.DONE, Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED})
"""The ends of what was started."""


OF_NOTHING: Final = decisions.refused("U0EVE", "a guest", what="order", evidence={})
"""An event that belongs to no cancellation."""


class Clock:
    """A clock that is turned by hand."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at

    def turn(self, seconds: float) -> None:
        """Turn the clock on, or back."""
        self.at += timedelta(seconds=seconds)


def account(**changes: Any) -> Account:
    """Return an account of Alibaba Cloud on which ann may cancel in one channel."""
    plain = Account(
        name="prod",
        cloud=Cloud.ALIYUN,
        endpoint="https://iot.cn-shanghai.aliyuncs.com",
        region="cn-shanghai",
        instance="iot-1",
        key_id=Secret("LTAI-key"),
        key_secret=Secret("key-secret"),
        quota="prod",
        channels=("C0OPS",),
        requesters=(ANN, "S0ONCALL"),
        approvers=(BOB,),
        qps=Qps(job=5, devices=10, strategy=10, query=10),
        names_per_call=200,
        approval=Approval(),
    )
    return replace(plain, **changes)


ACCOUNT: Final = account()
BOUNDLESS: Final = Approval(above=10**9)
"""Rules by which no size needs anybody else."""


def reading(counts: Counts = COUNTS, *, canceled: int | None = 3, at: datetime = NOW) -> Reading:
    """Return what the cloud says of a job."""
    return Reading(at=at, counts=counts, canceled=canceled)


def preview(counts: Counts = COUNTS, *, at: datetime = NOW) -> Preview:
    """Return what the cloud says of an order's job."""
    return Preview(job=Job(id="J1", name="Spring", status="IN_PROGRESS", version="2.1"), reading=reading(counts, at=at))


def seen_of(actor: str) -> dict[str, Any]:
    """Return what the directory saw of somebody."""
    return {"person": actor, **EVIDENCE}


def standing_of(state: State) -> dict[str, Any]:
    """Return what the directory saw at a start, of whoever asked and of each approver."""
    return {**seen_of(state.requester), "approvers": {vote.actor: seen_of(vote.actor) for vote in state.votes}}


def plan(counts: Counts = COUNTS, *, order: Cancel = ORDER) -> Plan:
    """Return the plan that is frozen from an order and these counts."""
    return freeze(order, preview(counts), ACCOUNT)


def requested(*, actor: str = ANN, order: Cancel = ORDER, reason: str | None = None) -> NewEvent:
    """Return the event that opens a cancellation."""
    given = replace(order, reason=reason) if reason is not None else order
    return decisions.requested(actor, given, ACCOUNT, channel="C0OPS", via="slack")


# --- decisions as people and the bot make them ---------------------------------------------------------------------


def show_preview(counts: Counts = COUNTS, *, approval: Approval | None = None, verdict: Verdict = ALONE) -> Decision:
    """Freeze a preview of these counts."""
    return lambda state, now: decisions.show_preview(
        state,
        now,
        preview=preview(counts),
        plan=plan(counts),
        estimate=1,
        verdict=verdict,
        account=account(approval=approval) if approval else ACCOUNT,
        evidence=EVIDENCE,
    )


def confirm(actor: str = ANN, *, approval: Approval | None = None, ran_alone: int = 0) -> Decision:
    """Confirm."""
    on = account(approval=approval) if approval else ACCOUNT
    return lambda state, now: voting.confirm(
        state, now, actor=actor, account=on, ran_alone=ran_alone, evidence=seen_of(actor)
    )


def confirm_alone(ledger: Ledger) -> Decision:
    """Confirm with what was run alone before, as the bot sums it, where no size needs anybody else."""

    def decision(state: State, now: datetime) -> Decided:
        before = ledger.ran_alone(state, window=BOUNDLESS.window)
        return confirm(approval=BOUNDLESS, ran_alone=before)(state, now)

    return decision


def approve(actor: str = BOB, *, on: Account = ACCOUNT) -> Decision:
    """Approve."""
    return lambda state, now: voting.approve(state, now, actor=actor, account=on, evidence=seen_of(actor))


def reject(actor: str = BOB, *, reason: str = "not tonight", on: Account = ACCOUNT) -> Decision:
    """Reject."""
    return lambda state, now: voting.reject(state, now, actor=actor, account=on, reason=reason, evidence=seen_of(actor))


def break_glass(actor: str = ANN, *, on: Account = ACCOUNT, reason: str = "pumps burn") -> Decision:
    """Break the glass."""
    return lambda state, now: voting.break_glass(
        state, now, actor=actor, account=on, reason=reason, evidence=seen_of(actor)
    )


def withdraw(actor: str = ANN) -> Decision:
    """Withdraw."""
    return lambda state, now: decisions.withdraw(state, now, actor=actor)


def refuse_order() -> Decision:
    """Refuse the asker."""
    return lambda state, now: decisions.refuse_order(state, now, reason="you are a guest", evidence=EVIDENCE)


def void(reason: str = "it does not hold any more") -> Decision:
    """Void."""
    return lambda state, now: decisions.void(state, now, reason=reason)


def start(counts: Counts = COUNTS, *, on: Account = ACCOUNT, calls: int = 1, canceled: int | None = 3) -> Decision:
    """Start on these counts; with `calls`, as a plan of so many calls would."""

    def decision(state: State, now: datetime) -> Decided:
        seen = reading(counts, canceled=canceled, at=now)
        decided = running.start(state, now, reading=seen, account=on, evidence=standing_of(state))
        if isinstance(decided, Refusal):
            return decided
        return tuple(
            replace(event, body={**event.body, "calls": calls}) if event.kind is Kind.STARTED else event
            for event in decided
        )

    return decision


def stop(actor: str = BOB) -> Decision:
    """Stop."""
    return lambda state, now: running.stop(state, now, actor=actor)


def send(call: int = 1, *, count: int = 52) -> Decision:
    """Send a call."""
    return lambda state, now: running.send(state, now, call=call, action=CANCEL_JOB, count=count)


def record(answer: Answer = DONE, call: int = 1, *, attempt: int | None = None, by: str | None = None) -> Decision:
    """Record an answer to the call's latest attempt, or to an earlier one."""

    def decision(state: State, now: datetime) -> Decided:
        latest = state.run.attempts.get(call) if state.run else None
        sent = attempt or (latest.number if latest else 1)
        seen = reading(DRAINED, canceled=55, at=now) if by else None
        return running.record_answer(state, now, call=call, attempt=sent, action=CANCEL_JOB, answer=answer, seen=seen)

    return decision


def answered(call: int, answer: Answer) -> Decision:
    """Record the answer to a by-device call's latest attempt."""

    def decision(state: State, now: datetime) -> Decided:
        attempt = state.run.attempts[call].number if state.run else 0
        return running.record_answer(state, now, call=call, attempt=attempt, action=CANCEL_DEVICES, answer=answer)

    return decision


def verify(counts: Counts = DRAINED, *, canceled: int | None = 55) -> Decision:
    """Look at the cloud again."""
    return lambda state, now: running.verify(state, now, reading=reading(counts, canceled=canceled, at=now))


def blind() -> Decision:
    """Find that the cloud cannot be read again."""
    return lambda state, now: running.verify(state, now, reading=None)


def finish(reason: str = "") -> Decision:
    """Finish."""
    return lambda state, now: running.finish(state, now, reason=reason)


# --- a cancel of 450 devices by name, in three calls -----------------------------------------------------------------

NAMES: Final = tuple(f"pump-{number:03}" for number in range(1, 451))
DEVICES: Final = CancelDevices(names=NAMES, job="J1")
IN_A_FILE: Final = CancelDevices(file="F0NAMES", job="J1")
LARGE: Final = account(approval=Approval(above=1000))
"""An account on which 450 devices need nobody else."""


def named(queued: int = 450, *, canceled: int = 0, flashing: int = 0, unlooked: int = 0, at: datetime = NOW) -> Reading:
    """Return what the cloud says of a job and of named devices in it."""
    counts = {Status.QUEUED: queued, Status.IN_PROGRESS: flashing}
    ended = 450 - queued - canceled - flashing - unlooked
    seen = Named(counts=counts, canceled=canceled, ended=max(0, ended), unlooked=unlooked)
    return replace(reading({**DRAINED, Status.QUEUED: 1000}, at=at), named=seen)


def plan_by_name(seen: Reading | None = None, *, names: tuple[str, ...] = NAMES, on: Account = LARGE) -> Plan:
    """Return the plan for devices of one job."""
    return freeze(DEVICES, replace(preview(), reading=seen or named()), on, {"J1": names})


def keep_names(names: tuple[str, ...] = NAMES) -> Decision:
    """Record the names that were read from a file."""
    return lambda state, now: decisions.keep_names(state, now, names=listed(names))


def show_names(seen: Reading | None = None, *, names: tuple[str, ...] = NAMES, on: Account = LARGE) -> Decision:
    """Freeze a preview of named devices."""
    return lambda state, now: decisions.show_preview(
        state,
        now,
        preview=replace(preview(), reading=seen or named()),
        plan=plan_by_name(seen, names=names, on=on),
        estimate=3,
        verdict=ALONE,
        account=on,
        evidence=EVIDENCE,
    )


def start_names(seen: Reading | None = None, *, on: Account = LARGE) -> Decision:
    """Start on these devices."""
    return lambda state, now: running.start(
        state, now, reading=replace(seen or named(), at=now), account=on, evidence=standing_of(state)
    )


def send_rest(call: int, *, moved: int = 0) -> Decision:
    """Send a call without those of its devices that were left out before, and without `moved` more of them."""
    return lambda state, now: _of_call(state, now, call, moved, "send")


def skip(call: int) -> Decision:
    """Find that nothing of a call is left to send."""
    return lambda state, now: _of_call(state, now, call, 0, "skip")


def split(call: int, *, moved: int = 0) -> Decision:
    """Go on with a call device by device, without those that have moved on."""
    return lambda state, now: _of_call(state, now, call, moved, "split")


def _of_call(state: State, now: datetime, call: int, moved: int, what: str) -> Decided:
    run, whole = state.run, tuple[int, ...]()
    if run is not None and state.plan is not None and 1 <= call <= run.calls:
        whole = run.call(state.plan, call).at
    before = run.attempts.get(call) if run else None
    rest = [position for position in whole if position not in (before.left_out if before else ())]
    at = tuple(rest[min(moved, len(rest) - 1) :] if rest else rest)
    left_out = tuple(position for position in whole if position not in at)
    match what:
        case "send":
            return running.send(
                state, now, call=call, action=CANCEL_DEVICES, count=len(at), left_out=left_out if whole else ()
            )
        case "skip":
            return running.skip(state, now, call=call, action=CANCEL_DEVICES, count=len(whole))
        case _:
            return running.split(state, now, call=call, action=CANCEL_DEVICES, at=at, left_out=len(left_out))


NAMED: Final[tuple[Decision, ...]] = (show_names(), confirm(approval=LARGE.approval), start_names())
"""The way of 450 devices into their run."""


def by_name(*ways: Decision, order: Cancel = DEVICES) -> "Life":
    """Return a life of 450 devices by name that runs, and went on so."""
    return Life(opening=requested(order=order)).after(*NAMED, *ways)


# --- lives ---------------------------------------------------------------------------------------------------------


class Life:
    """One cancellation in memory, folded as the ledger folds it: every body is what the stored JSON says."""

    def __init__(self, *, clock: Clock | None = None, opening: NewEvent | None = None) -> None:
        self.clock = clock or Clock()
        self.events: list[Event] = []
        self.state = apply(None, self._stored(opening or requested()))

    def decide(self, decision: Decision) -> Decided:
        """Make a decision now and apply what it decided."""
        decided = decision(self.state, self.clock())
        for event in () if isinstance(decided, Refusal) else decided:
            self.put(event)
        return decided

    def after(self, *made: Decision) -> "Life":
        """Make decisions that must not be refused."""
        for decision in made:
            decided = self.decide(decision)
            if isinstance(decided, Refusal):
                raise AssertionError(decided.reason)  # noqa: TRY004 - the test went wrong, not a type
        return self

    def put(self, event: NewEvent) -> None:
        """Apply an event that nobody decided."""
        self.state = apply(self.state, self._stored(event))

    def _stored(self, event: NewEvent) -> Event:
        number = len(self.events) + 1
        stored = Event(
            id=number,
            cancellation=1,
            seq=number,
            at=self.clock(),
            actor=event.actor,
            kind=event.kind.value,
            body=json.loads(canonical(dict(event.body))),
            digest="",
        )
        self.events.append(stored)
        return stored


def folded(events: list[Event]) -> State:
    """Fold events anew."""
    state: State | None = None
    for event in events:
        state = apply(state, event)
    if state is None:
        raise AssertionError("there are no events")
    return state


WAITING: Final[tuple[Decision, ...]] = (show_preview(),)
APPROVED: Final[tuple[Decision, ...]] = (*WAITING, confirm())
RUNNING: Final[tuple[Decision, ...]] = (*APPROVED, start())
TAKEN: Final[tuple[Decision, ...]] = (*RUNNING, send(), record())

STRICT: Final = Approval(above=0, break_glass=(ANN,))
"""Rules by which everything needs somebody else."""
ASKING: Final[tuple[Decision, ...]] = (*WAITING, confirm(approval=STRICT))

WAYS: Final[Mapping[Phase, tuple[Decision, ...]]] = {
    Phase.CHECKING: (),
    Phase.WAITING_CONFIRMATION: WAITING,
    Phase.WAITING_APPROVAL: ASKING,
    Phase.REJECTED: (*ASKING, reject()),
    Phase.APPROVED: APPROVED,
    Phase.RUNNING: RUNNING,
    Phase.DONE: (*TAKEN, verify(), finish()),
    Phase.PARTLY_DONE: (*APPROVED, start(calls=2), send(), record(), finish()),
    Phase.FAILED: (*RUNNING, send(), record(FAILED), finish()),
    Phase.STOPPED: (*RUNNING, stop(), finish()),
    Phase.WITHDRAWN: (*WAITING, withdraw()),
    Phase.VOIDED: (void(),),
    Phase.REFUSED: (refuse_order(),),
}
"""The decisions that lead to each phase."""


def life_in(phase: Phase) -> Life:
    """Return a life that has come to `phase`."""
    life = Life()
    if phase in WAYS:
        return life.after(*WAYS[phase])
    life.after(*WAITING)
    life.clock.turn(1800)  # what is left is a wait that nobody ended
    return life.after(decisions.expire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of a decision, in the words of a table."""

    kinds: tuple[str, ...] = ()
    refused: bool = False


def made(decided: Decided) -> Made:
    """Say what became of a decision."""
    return Made(refused=True) if isinstance(decided, Refusal) else Made(kinds=tuple(event.kind for event in decided))


def by_bot(kind: Kind, **body: Any) -> NewEvent:
    """Return an event of the bot."""
    return NewEvent(kind=kind, actor=BOT, body={"v": 1, **body})
