"""What tests of several rooms build with: a clock turned by hand, one account, one life of a cancellation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from bot.domain import decisions
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State, apply
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.events import BOT, Event, Kind, NewEvent, canonical
from bot.domain.order import CancelJob
from bot.domain.plan import CANCEL_JOB, Counts, Job, Plan, Preview, Reading, freeze
from bot.domain.secret import Secret
from bot.domain.status import Status

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


def reading(counts: Counts = COUNTS, *, canceled: int | None = 3, at: datetime = NOW) -> Reading:
    """Return what the cloud says of a job."""
    return Reading(at=at, counts=counts, canceled=canceled)


def preview(counts: Counts = COUNTS, *, at: datetime = NOW) -> Preview:
    """Return what the cloud says of an order's job."""
    return Preview(job=Job(id="J1", name="Spring", status="IN_PROGRESS", version="2.1"), reading=reading(counts, at=at))


def plan(counts: Counts = COUNTS, *, order: CancelJob = ORDER) -> Plan:
    """Return the plan that is frozen from an order and these counts."""
    return freeze(order, preview(counts), ACCOUNT)


def requested(*, actor: str = ANN, order: CancelJob = ORDER, reason: str | None = None) -> NewEvent:
    """Return the event that opens a cancellation."""
    given = replace(order, reason=reason) if reason is not None else order
    return decisions.requested(actor, given, ACCOUNT, channel="C0OPS", via="slack")


# --- decisions as people and the bot make them ---------------------------------------------------------------------


def show_preview(counts: Counts = COUNTS, *, approval: Approval | None = None) -> Decision:
    """Freeze a preview of these counts."""
    return lambda state, now: decisions.show_preview(
        state,
        now,
        preview=preview(counts),
        plan=plan(counts),
        estimate=1,
        approval=approval or ACCOUNT.approval,
        evidence=EVIDENCE,
    )


def confirm(actor: str = ANN, *, approval: Approval | None = None, ran_alone: int = 0) -> Decision:
    """Confirm."""
    return lambda state, now: decisions.confirm(
        state, now, actor=actor, approval=approval or ACCOUNT.approval, ran_alone=ran_alone, evidence=EVIDENCE
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
        decided = decisions.start(state, now, reading=seen, account=on, evidence=EVIDENCE)
        if isinstance(decided, Refusal):
            return decided
        return tuple(
            replace(event, body={**event.body, "calls": calls}) if event.kind is Kind.STARTED else event
            for event in decided
        )

    return decision


def stop(actor: str = BOB) -> Decision:
    """Stop."""
    return lambda state, now: decisions.stop(state, now, actor=actor)


def send(call: int = 1, *, count: int = 52) -> Decision:
    """Send a call."""
    return lambda state, now: decisions.send(state, now, call=call, action=CANCEL_JOB, count=count)


def record(answer: Answer = DONE, call: int = 1, *, attempt: int | None = None, by: str | None = None) -> Decision:
    """Record an answer to the call's latest attempt, or to an earlier one."""

    def decision(state: State, now: datetime) -> Decided:
        latest = state.run.attempts.get(call) if state.run else None
        sent = attempt or (latest.number if latest else 1)
        seen = reading(DRAINED, canceled=55, at=now) if by else None
        return decisions.record_answer(state, now, call=call, attempt=sent, action=CANCEL_JOB, answer=answer, seen=seen)

    return decision


def verify(counts: Counts = DRAINED, *, canceled: int | None = 55) -> Decision:
    """Look at the cloud again."""
    return lambda state, now: decisions.verify(state, now, reading=reading(counts, canceled=canceled, at=now))


def blind() -> Decision:
    """Find that the cloud cannot be read again."""
    return lambda state, now: decisions.verify(state, now, reading=None)


def finish(reason: str = "") -> Decision:
    """Finish."""
    return lambda state, now: decisions.finish(state, now, reason=reason)


# --- decisions that dice choose ------------------------------------------------------------------------------------

CALLS: Final = 3
"""How many calls a diced run has."""
GROWN: Final[Counts] = {**COUNTS, Status.QUEUED: 99}
UNSEEN: Final[Counts] = {**COUNTS, Status.QUEUED: None}
PAUSES: Final = (*[0] * 12, 1, 30, 299, 900, 1800)
"""Seconds between diced steps."""


def any_step(dice: Random) -> tuple[Decision, ...]:
    """Choose what happens next: most often a call and its answer, less often what ends a life."""
    person, call = dice.choice((ANN, ANN, BOB)), dice.randint(1, CALLS)
    answer = dice.choice((DONE, DONE, FAILED, THROTTLED, THROTTLED, UNKNOWN, UNKNOWN))
    counts = dice.choice((COUNTS, COUNTS, COUNTS, DRAINED, GROWN, UNSEEN))
    other = account(key_id=Secret("other")), account(approval=Approval(above=10))
    late = record(answer, call, attempt=dice.randint(1, 5), by=dice.choice((None, "read")))
    sending = (send(call), record(answer, call))
    rare: tuple[tuple[Decision, ...], ...] = (
        (show_preview(counts),),
        (confirm(person, ran_alone=dice.choice((0, 0, 80))),),
        (start(counts, on=dice.choice((ACCOUNT, ACCOUNT, *other)), calls=CALLS),),
        (withdraw(person),),
        (stop(person),),
        (finish(),),
        (void(),),
        (refuse_order(),),
        (decisions.expire,),
        (verify(counts, canceled=dice.choice((None, 0, 3, 55))),),
        (blind(),),
    )
    common: tuple[tuple[Decision, ...], ...] = (
        (send(dice.randint(0, CALLS + 1)),),
        (late,),
        (record(answer, call),),
        (*APPROVED, start(calls=CALLS)),
    )
    return dice.choices((sending, dice.choice(common), dice.choice(rare)), weights=(4, 3, 2))[0]


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

BEGINNINGS: Final[tuple[tuple[Decision, ...], ...]] = ((), WAITING, APPROVED, *([(*APPROVED, start(calls=CALLS))] * 4))
"""Where diced lives begin: most of them run."""

WAYS: Final[Mapping[Phase, tuple[Decision, ...]]] = {
    Phase.CHECKING: (),
    Phase.WAITING_CONFIRMATION: WAITING,
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
    if phase is Phase.EXPIRED:
        life.clock.turn(1800)
        return life.after(decisions.expire)
    if phase is Phase.REJECTED:
        life.put(NewEvent(kind=Kind.REJECTED, actor=BOB, body={"v": 1, "reason": "not today"}))
        return life
    # Approvals are not decided yet, but the phase has its rules already.
    life.state = replace(life.state, phase=phase)
    return life


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
