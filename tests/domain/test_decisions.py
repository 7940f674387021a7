"""The decisions: what each appends in each phase, or that it is refused and nothing is appended."""

from datetime import timedelta
from typing import Any

import pytest

from bot.domain import decisions
from bot.domain.account import Account, Approval
from bot.domain.cancellation import BEFORE_START, OPEN, Phase
from bot.domain.decisions import Decision, Refusal
from bot.domain.events import BOT, Kind
from bot.domain.offer import CANCEL_JOB
from bot.domain.policy import policy_in_force
from bot.domain.reading import Counts
from bot.domain.secret import Secret
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    ANN,
    BOB,
    COUNTS,
    DRAINED,
    NOW,
    ORDER,
    RAN,
    RUNNING,
    STRICT,
    THROTTLED,
    WAITING,
    Life,
    Made,
    account,
    approve,
    break_glass,
    confirm,
    finish,
    life_in,
    made,
    plan,
    record,
    refuse_order,
    reject,
    seen_of,
    send,
    show_preview,
    start,
    stop,
    verify,
    void,
    withdraw,
)

REFUSED = Made(refused=True)
APPENDS: dict[str, tuple[Decision, dict[Phase, tuple[Kind, ...]]]] = {
    "refuse_order": (refuse_order(), {Phase.CHECKING: (Kind.REFUSED,)}),
    "show_preview": (show_preview(), {Phase.CHECKING: (Kind.PREVIEWED,)}),
    "confirm": (confirm(), {Phase.WAITING_CONFIRMATION: (Kind.CONFIRMED,)}),
    "withdraw": (
        withdraw(),
        {Phase.WAITING_CONFIRMATION: (Kind.WITHDRAWN,), Phase.WAITING_APPROVAL: (Kind.WITHDRAWN,)},
    ),
    "expire": (decisions.expire, {}),
    "approve": (approve(), {Phase.WAITING_APPROVAL: (Kind.APPROVED,)}),
    "reject": (reject(), {Phase.WAITING_APPROVAL: (Kind.REJECTED,)}),
    "break_glass": (break_glass(on=account(approval=STRICT)), {Phase.WAITING_APPROVAL: (Kind.BROKE_GLASS,)}),
    "void": (void(), dict.fromkeys(BEFORE_START, (Kind.VOIDED,))),
    "start": (start(), {Phase.APPROVED: (Kind.STARTED,)}),
    "stop": (stop(), {Phase.APPROVED: (Kind.STOPPED, Kind.FINISHED), Phase.RUNNING: (Kind.STOPPED,)}),
    "send": (send(), {Phase.RUNNING: (Kind.CALL_SENT,)}),
    "record": (record(), {}),
    "verify": (verify(), dict.fromkeys(RAN | {Phase.RUNNING}, (Kind.VERIFIED,))),
    "finish": (finish(), {Phase.RUNNING: (Kind.FINISHED,)}),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("name", APPENDS)
def test_each_decision_in_each_phase(name: str, phase: Phase) -> None:
    """A decision appends its events in the phases it belongs to, and is refused in all others."""
    decision, appends = APPENDS[name]
    life = life_in(phase)
    before = life.state

    decided = life.decide(decision)

    assert phase == before.phase
    assert (Made(kinds=appends[phase]) if phase in appends else REFUSED) == made(decided)


@pytest.mark.parametrize("phase", Phase)
def test_a_wait_that_is_over_ends_by_itself(phase: Phase) -> None:
    """Past its deadline an unanswered cancellation expires, one not checked or started is void, others stay."""
    life = life_in(phase)
    life.clock.turn(1800)
    expected = {
        Phase.CHECKING: Made(kinds=(Kind.VOIDED,)),
        Phase.WAITING_CONFIRMATION: Made(kinds=(Kind.EXPIRED,)),
        Phase.WAITING_APPROVAL: Made(kinds=(Kind.EXPIRED,)),
        Phase.APPROVED: Made(kinds=(Kind.VOIDED,)),
    }

    decided = life.decide(decisions.expire)

    assert expected.get(phase, REFUSED) == made(decided)


@pytest.mark.parametrize("phase", sorted(set(Phase) - OPEN))
def test_what_has_ended_stays_as_it_ended(phase: Phase) -> None:
    """No decision moves an ended cancellation to another phase."""
    life = life_in(phase)
    before = life.state

    for decision, _ in APPENDS.values():
        life.decide(decision)

    assert (phase, before.ended, before.ended_by) == (life.state.phase, life.state.ended, life.state.ended_by)


# --- what the events carry -----------------------------------------------------------------------------------------


def test_every_body_has_its_version() -> None:
    """Each event that a decision makes carries `v`, the version of its form."""
    bodies = [event.body for phase in Phase for event in life_in(phase).events]

    assert [1] * len(bodies) == [body["v"] for body in bodies]


def test_an_order_is_stored_as_it_was_asked() -> None:
    """`requested` carries the order, the account, its quota, where it came from and how long it may wait."""
    event = decisions.requested(ANN, ORDER, ACCOUNT, channel="C0OPS", via="slack", retry_of=41)
    expected = {
        "v": 1,
        "order": {"job": "J1", "statuses": ["queued", "notified"], "account": None, "reason": None, "verb": "job"},
        "account": "prod",
        "quota": "prod",
        "channel": "C0OPS",
        "via": "slack",
        "expires": 1800,
        "retry_of": 41,
    }

    assert (Kind.REQUESTED, ANN, expected) == (event.kind, event.actor, event.body)


def test_a_confirmation_says_what_was_confirmed() -> None:
    """`confirmed` carries the plan's SHA-256, the policy as configured, and the evidence as read."""
    life = Life().after(*WAITING, confirm(ran_alone=9))
    event = life.events[-1]

    assert ANN == event.actor
    assert {
        "v": 1,
        "plan": plan().digest,
        "policy": policy_in_force(ACCOUNT),
        "ran_alone": 9,
        "needs": 0,
        "reasons": [],
        "evidence": seen_of(ANN),
    } == event.body


def test_a_call_is_stored_before_and_after() -> None:
    """`call_sent` names action, call and attempt; `call_finished` those and what the cloud answered."""
    life = Life().after(*RUNNING, send(), record(THROTTLED))
    sent, finished = (event.body for event in life.events[-2:])
    named = {"v": 1, "action": CANCEL_JOB, "call": 1, "attempt": 1}

    assert {**named, "count": 52} == sent
    assert {
        **named,
        "outcome": "failed",
        "code": "Throttling.User",
        "message": "slower",
        "request_id": "",
        "again": True,
    } == finished


def test_a_refusal_is_cut() -> None:
    """The reason of a refusal is kept to 300 characters."""
    event = decisions.refused(ANN, "x" * 400, what="order", evidence={})

    assert "x" * 300 == event.body["reason"]


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", [confirm(BOB), withdraw(BOB)])
def test_only_the_requester_answers_the_card(decision: Decision) -> None:
    """Nobody but the requester may confirm or withdraw, and trying appends nothing."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    before = len(life.events)

    decided = life.decide(decision)

    assert isinstance(decided, Refusal)
    assert "Only the person who asked for it" in decided.reason
    assert before == len(life.events)


@pytest.mark.parametrize(
    ("phase", "decision", "said"),
    [
        (Phase.APPROVED, confirm(), "#1 is already “Approved”. Nothing was changed."),
        (Phase.WITHDRAWN, withdraw(), f"#1 is already “Withdrawn” by {ANN}. Nothing was changed."),
        (Phase.VOIDED, confirm(), "#1 is already “Voided”. Nothing was changed."),
        (Phase.CHECKING, confirm(), "#1 is still being checked. Nothing was changed."),
    ],
)
def test_the_second_answer_is_told_what_the_first_was(phase: Phase, decision: Decision, said: str) -> None:
    """An answer that comes too late is told where the cancellation stands, and who brought it there."""
    decided = life_in(phase).decide(decision)

    assert isinstance(decided, Refusal)
    assert said == decided.reason


def test_a_second_stop_names_the_first() -> None:
    """Whoever presses stop on a run that is being stopped is told who was first, and nothing is appended."""
    life = Life().after(*RUNNING, stop(BOB))
    decided = life.decide(stop(ANN))

    assert Refusal(f"It is already being stopped, by {BOB}.", who=BOB) == decided
    assert BOB == life.state.stopped_by


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("early", "expected"), [(1, Made(kinds=(Kind.CONFIRMED,))), (0, REFUSED)])
def test_a_confirmation_at_the_deadline_is_too_late(early: int, expected: Made) -> None:
    """The last microsecond before the deadline still counts, the deadline itself does not."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    life.clock.at = NOW + timedelta(minutes=30) - timedelta(microseconds=early)

    assert expected == made(life.decide(confirm()))


@pytest.mark.parametrize("decision", [confirm(), withdraw()])
def test_a_late_answer_is_told_that_it_is_late(decision: Decision) -> None:
    """An answer after the deadline is not told that the card still waits for it."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    life.clock.turn(1800)

    assert Refusal("The time to answer #1 is over. Nothing was changed.") == life.decide(decision)


def test_a_wait_does_not_end_before_its_time() -> None:
    """A microsecond before the deadline nothing expires."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    life.clock.at = NOW + timedelta(minutes=30) - timedelta(microseconds=1)

    assert REFUSED == made(life.decide(decisions.expire))


def test_the_wait_for_a_confirmation_runs_from_the_first_counts() -> None:
    """A check that took ten minutes leaves the requester the whole time to confirm."""
    life = Life()
    life.clock.turn(600)
    life.after(*WAITING)

    assert NOW + timedelta(minutes=40) == life.state.deadline


@pytest.mark.parametrize(("late", "expected"), [(-1, Kind.STARTED), (0, Kind.VOIDED)])
def test_a_start_that_is_late_voids(late: int, expected: Kind) -> None:
    """What was confirmed and not started within `run_within` is void, and void it stays."""
    life = life_in(Phase.APPROVED)
    life.clock.at = NOW + timedelta(minutes=15, microseconds=late)

    assert Made(kinds=(expected,)) == made(life.decide(start()))


# --- the start -----------------------------------------------------------------------------------------------------


def drained(**counts: int | None) -> Counts:
    """Return counts with all tasks gone but these."""
    return {**DRAINED, **{Status(word): count for word, count in counts.items()}}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (COUNTS, None),
        (drained(queued=59), None),
        (drained(queued=1), None),
        (drained(queued=60), "it would hit 60 devices, more than the 59 that were confirmed"),
        (drained(queued=40, notified=20), "it would hit 60 devices, more than the 59 that were confirmed"),
        (drained(queued=None), "it would hit an unknown number of devices, more than the 59 that were confirmed"),
        (drained(), "nothing is left to cancel: no task is in the statuses that this hits any more"),
        (
            {**DRAINED, Status.IN_PROGRESS: 52},
            "nothing is left to cancel: no task is in the statuses that this hits any more",
        ),
    ],
)
def test_a_start_holds_the_counts_against_the_plan(counts: Counts, expected: str | None) -> None:
    """A run starts on anything from one device up to the confirmed most, and is void on none, more, or unknown."""
    life = life_in(Phase.APPROVED).after(start(counts))

    assert (Phase.VOIDED if expected else Phase.RUNNING, expected or "") == (life.state.phase, life.state.why)


@pytest.mark.parametrize(
    "changed",
    [
        account(endpoint="https://iot.ap-southeast-1.aliyuncs.com"),
        account(region="ap-southeast-1"),
        account(instance="iot-2"),
        account(instance=None),
        account(org="o1"),
        account(key_id=Secret("LTAI-other")),
    ],
)
def test_a_start_on_another_cloud_than_planned_voids(changed: Account) -> None:
    """Another endpoint, region, instance, organisation or key than the confirmed one makes it void."""
    life = life_in(Phase.APPROVED).after(start(on=changed))
    why = "the account's cloud, endpoint, instance or key is not the one that was confirmed"

    assert (Phase.VOIDED, why) == (life.state.phase, life.state.why)


def test_a_rotated_secret_of_the_same_key_may_start() -> None:
    """A plan is bound to the key's id, not to its secret."""
    life = life_in(Phase.APPROVED).after(start(on=account(key_secret=Secret("new"), names_per_call=50)))

    assert Phase.RUNNING == life.state.phase


@pytest.mark.parametrize(
    ("approval", "expected"),
    [
        (Approval(above=59), Phase.RUNNING),
        (Approval(above=51), Phase.VOIDED),
        (Approval(always=("queued",)), Phase.VOIDED),
        (Approval(above=10_000, always=()), Phase.RUNNING),
    ],
)
def test_a_start_under_a_stricter_policy_voids(approval: Approval, expected: Phase) -> None:
    """When the rules now ask for a second person, what was confirmed alone does not start."""
    life = life_in(Phase.APPROVED).after(start(on=account(approval=approval)))

    assert expected == life.state.phase


def test_a_start_records_what_it_rests_on() -> None:
    """`started` carries the plan, the count and the counts as read, and the evidence."""
    event = life_in(Phase.RUNNING).events[-1]
    body: dict[str, Any] = dict(event.body)

    assert (BOT, plan().digest, 52, 1, policy_in_force(ACCOUNT), {**seen_of(ANN), "approvers": {}}) == (
        event.actor,
        body["plan"],
        body["asked"],
        body["calls"],
        body["policy"],
        body["evidence"],
    )
    assert {"scheduled": 0, "unconfirmed": 7, "queued": 40, "notified": 12, "in-progress": 5} == body["reading"][
        "counts"
    ]


# --- the policy at the confirmation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approval", "ran_alone", "phase"),
    [
        (Approval(above=59), 0, Phase.APPROVED),
        (Approval(above=58), 0, Phase.WAITING_APPROVAL),
        (Approval(above=100), 41, Phase.APPROVED),
        (Approval(above=100), 42, Phase.WAITING_APPROVAL),
        (Approval(always=("notified",)), 0, Phase.WAITING_APPROVAL),
    ],
)
def test_a_confirmation_alone_stays_within_the_policy(approval: Approval, ran_alone: int, phase: Phase) -> None:
    """The requester alone starts up to `above`, with what they ran alone lately added; beyond approvers are asked."""
    life = life_in(Phase.WAITING_CONFIRMATION).after(confirm(approval=approval, ran_alone=ran_alone))

    assert phase is life.state.phase


def test_an_unknown_size_is_not_confirmed_alone() -> None:
    """Where the cloud does not tell how many, the requester alone does not start it."""
    life = Life().after(show_preview({**COUNTS, Status.UNCONFIRMED: None}), confirm())

    assert Phase.WAITING_APPROVAL is life.state.phase
