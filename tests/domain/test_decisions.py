"""The decisions: what each appends in each phase, or that it is refused and nothing is appended."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import decisions
from bot.domain.account import Account, Approval
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import BEFORE_START, OPEN, RAN, Phase, State
from bot.domain.decisions import MOST_ATTEMPTS, RETRY_WITHIN, Decided, Decision, Refusal
from bot.domain.events import BOT, Kind
from bot.domain.order import CancelJob
from bot.domain.plan import CANCEL_JOB, Counts
from bot.domain.policy import Denied, NeedsApproval, policy_in_force
from bot.domain.secret import Secret
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    BOB,
    COUNTS,
    DONE,
    DRAINED,
    EVIDENCE,
    FAILED,
    NOW,
    ORDER,
    RUNNING,
    TAKEN,
    THROTTLED,
    UNKNOWN,
    WAITING,
    Life,
    Made,
    account,
    blind,
    confirm,
    finish,
    life_in,
    made,
    plan,
    preview,
    reading,
    record,
    refuse_order,
    requested,
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
        "policy": policy_in_force(ACCOUNT.approval),
        "ran_alone": 9,
        "evidence": dict(EVIDENCE),
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
        (drained(), "nothing is left to cancel: no task is in the named statuses any more"),
        (
            {**DRAINED, Status.IN_PROGRESS: 52},
            "nothing is left to cancel: no task is in the named statuses any more",
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

    assert (BOT, plan().digest, 52, 1, dict(EVIDENCE)) == (
        event.actor,
        body["plan"],
        body["asked"],
        body["calls"],
        body["evidence"],
    )
    assert {"scheduled": 0, "unconfirmed": 7, "queued": 40, "notified": 12, "in-progress": 5} == body["reading"][
        "counts"
    ]


# --- the policy at the confirmation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approval", "ran_alone", "expected"),
    [
        (Approval(above=59), 0, Made(kinds=(Kind.CONFIRMED,))),
        (Approval(above=58), 0, REFUSED),
        (Approval(above=100), 41, Made(kinds=(Kind.CONFIRMED,))),
        (Approval(above=100), 42, REFUSED),
        (Approval(always=("notified",)), 0, REFUSED),
    ],
)
def test_a_confirmation_alone_stays_within_the_policy(approval: Approval, ran_alone: int, expected: Made) -> None:
    """The requester alone confirms up to `above`, with what they ran alone lately added, and is refused beyond."""
    life = life_in(Phase.WAITING_CONFIRMATION)

    assert expected == made(life.decide(confirm(approval=approval, ran_alone=ran_alone)))


def test_an_unknown_size_is_not_confirmed_alone() -> None:
    """Where the cloud does not tell how many, the requester alone may not confirm."""
    life = Life().after(show_preview({**COUNTS, Status.UNCONFIRMED: None}))

    assert REFUSED == made(life.decide(confirm()))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Denied("no status was named"), "This may not be cancelled: no status was named. Nothing was changed."),
        (NeedsApproval(1, ("a", "b")), "This needs a second person to approve it (a; b)"),
        (NeedsApproval(2, ("a",)), "This needs 2 more people to approve it (a)"),
    ],
)
def test_a_verdict_is_said_in_words(verdict: NeedsApproval | Denied, said: str) -> None:
    """A verdict that stops the requester says why."""
    reason = decisions.verdict_reason(verdict)

    assert said == reason[: len(said)]
    assert "Nothing was changed." in reason


# --- calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [0, -1, 3])
def test_a_call_that_is_not_planned_is_not_sent(call: int) -> None:
    """Only the plan's calls, numbered from 1, may be sent."""
    life = Life().after(*APPROVED, start(calls=2))

    assert Refusal("The plan has no such call.") == life.decide(send(call))


def test_a_call_is_sent_once() -> None:
    """A call that is out is not sent again, and one that is done never."""
    life = Life().after(*RUNNING, send())
    refusals = [life.decide(send())]
    life.after(record(DONE))
    refusals.append(life.decide(send()))

    assert [Refusal("This call is done or out already.")] * 2 == refusals


def test_done_is_final() -> None:
    """After `done` neither another answer nor a read changes the outcome."""
    life = Life().after(*RUNNING, send(), record(DONE))
    late = [life.decide(record(answer, by=by)) for answer in (FAILED, UNKNOWN, DONE) for by in (None, "read")]

    assert [Refusal("Its outcome is recorded already.")] * 6 == late
    assert (((1, 1),), 52) == (life.state.run and life.state.run.done, life.state.run and life.state.run.accepted)


@pytest.mark.parametrize(("answer", "again"), [(THROTTLED, True), (UNKNOWN, True), (FAILED, False)])
def test_what_may_be_sent_again(answer: Answer, again: bool) -> None:
    """After throttling or an unknown outcome a call may be sent again; after another failure it may not."""
    life = Life().after(*RUNNING, send(), record(answer))

    assert (Made(kinds=(Kind.CALL_SENT,)) if again else REFUSED) == made(life.decide(send()))


def test_five_attempts_are_the_most() -> None:
    """A call is sent five times in all, however often it is throttled."""
    life = Life().after(*RUNNING)
    sent = 0
    while isinstance(life.decide(send()), tuple):
        sent += 1
        life.after(record(THROTTLED))

    assert 5 == sent == MOST_ATTEMPTS


@pytest.mark.parametrize(("after", "again"), [(RETRY_WITHIN - 0.000001, True), (RETRY_WITHIN, False)])
def test_five_minutes_are_the_longest(after: float, again: bool) -> None:
    """A call may be sent again only within five minutes of its first sending, not of its latest."""
    life = Life().after(*RUNNING, send(), record(THROTTLED))
    life.clock.turn(200)
    life.after(send(), record(THROTTLED))
    life.clock.turn(after - 200)

    assert (Made(kinds=(Kind.CALL_SENT,)) if again else REFUSED) == made(life.decide(send()))


def test_attempts_are_counted_for_each_call() -> None:
    """One call's attempts do not use up another's."""
    life = Life().after(*APPROVED, start(calls=2), send(1), record(THROTTLED, 1), send(1), send(2))
    attempts = life.state.run.attempts if life.state.run else {}

    assert {1: 2, 2: 1} == {call: attempt.number for call, attempt in attempts.items()}


def test_an_unknown_outcome_is_settled_by_a_read() -> None:
    """A read that finds nothing left turns an unknown outcome into done, and says that a read did."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN), record(DONE, by="read"))
    body = life.events[-1].body

    assert ("done", "read") == (body["outcome"], body["by"])
    assert life.state.run is not None
    assert (52, True, {}) == (life.state.run.accepted, life.state.run.complete, life.state.run.attempts)


@pytest.mark.parametrize(("canceled", "accepted"), [(55, 52), (13, 10), (3, 0), (200, 52), (None, 52)])
def test_done_by_a_read_counts_what_was_cancelled(canceled: int | None, accepted: int) -> None:
    """Tasks that moved on by themselves are not said to be accepted: no more than became cancelled since the start."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN))
    seen = reading(DRAINED, canceled=canceled)
    settled = life.after(
        lambda state, now: decisions.record_answer(
            state, now, call=1, attempt=1, action=CANCEL_JOB, answer=DONE, seen=seen
        )
    )

    assert settled.state.run is not None
    assert accepted == settled.state.run.accepted


def test_an_unknown_call_is_not_a_failed_one() -> None:
    """A run that ends with a call of which nobody knows is Partly done: only what was refused for sure is Failed."""
    unknown = Life().after(*RUNNING, send(), record(UNKNOWN), finish())
    failed = Life().after(*RUNNING, send(), record(FAILED), finish())

    assert (Phase.PARTLY_DONE, Phase.FAILED) == (unknown.state.phase, failed.state.phase)


def test_an_answer_is_taken_once() -> None:
    """A second answer to the same attempt is refused unless a read brings it."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN))

    assert Refusal("Its outcome is recorded already.") == life.decide(record(DONE))


@pytest.mark.parametrize("late", [THROTTLED, FAILED, UNKNOWN, DONE])
def test_a_late_answer_is_not_the_next_attempts(late: Answer) -> None:
    """The answer to an attempt that was given up for lost is not taken for the answer to the next one."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN), send())
    before = life.state

    assert Refusal("Its outcome is recorded already.") == life.decide(record(late, attempt=1))
    assert before == life.state


def test_a_call_that_was_never_sent_has_no_answer() -> None:
    """An answer to a call that was not sent is refused."""
    life = Life().after(*APPROVED, start(calls=2), send(1))

    assert Refusal("Its outcome is recorded already.") == life.decide(record(DONE, 2))


def test_a_stopped_run_sends_nothing_more() -> None:
    """After stop no call is sent, and the answer of one that is out is still taken."""
    life = Life().after(*APPROVED, start(calls=2), send(1), stop())

    assert Refusal("It was stopped.") == life.decide(send(2))
    assert Made(kinds=(Kind.CALL_FINISHED,)) == made(life.decide(record(DONE)))


# --- the end -------------------------------------------------------------------------------------------------------


def test_a_run_does_not_finish_while_calls_are_out() -> None:
    """As long as an answer is awaited the run is not over."""
    life = Life().after(*RUNNING, send())

    assert Refusal("Calls are still out.") == life.decide(finish())


RESULTS: list[tuple[tuple[Decision, ...], Phase]] = [
    ((send(1), record(DONE, 1), send(2), record(DONE, 2), verify()), Phase.DONE),
    ((send(1), record(DONE, 1), send(2), record(DONE, 2)), Phase.PARTLY_DONE),
    ((send(1), record(DONE, 1), send(2), record(FAILED, 2), verify()), Phase.PARTLY_DONE),
    ((send(1), record(DONE, 1), verify()), Phase.PARTLY_DONE),
    ((send(1), record(FAILED, 1), send(2), record(FAILED, 2), verify()), Phase.FAILED),
    ((verify(),), Phase.FAILED),
    ((stop(), verify()), Phase.STOPPED),
    ((send(1), record(DONE, 1), stop(), verify()), Phase.STOPPED),
    ((send(1), record(DONE, 1), send(2), stop(), record(DONE, 2), verify()), Phase.DONE),
]


@pytest.mark.parametrize(("way", "expected"), RESULTS)
def test_the_result_of_a_run(way: tuple[Decision, ...], expected: Phase) -> None:
    """All taken and verified is Done, some is Partly done, none is Failed; a stop that left something is Stopped."""
    life = Life().after(*APPROVED, start(calls=2), *way, finish())

    assert expected == life.state.phase


def test_a_finished_run_says_its_figures() -> None:
    """`finished` carries asked, accepted, confirmed and what is left, apart."""
    life = Life().after(*RUNNING, send(), record(DONE), verify(drained(queued=2), canceled=53), finish("enough"))
    expected = {"v": 1, "result": "Done", "asked": 52, "accepted": 52, "confirmed": 50, "left": 2, "reason": "enough"}

    assert expected == life.events[-1].body
    assert "enough" == life.state.why


def test_a_stop_before_the_start_ends_it() -> None:
    """What is approved and not started is Stopped at once, with nothing accepted."""
    life = life_in(Phase.APPROVED).after(stop())
    expected = {"v": 1, "result": "Stopped", "asked": None, "accepted": 0, "confirmed": 0, "left": None}

    assert expected == life.events[-1].body
    assert (Phase.STOPPED, BOB) == (life.state.phase, life.state.stopped_by)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(3, 55, 52), (3, 3, 0), (3, 1, 0), (3, 900, 897), (None, 55, None), (3, None, None)],
)
def test_what_was_seen_cancelled(before: int | None, after: int | None, expected: int | None) -> None:
    """Confirmed is what was cancelled on the job since the start, never below 0, or unknown."""
    life = Life().after(*APPROVED, start(canceled=before), send(), record(DONE), verify(canceled=after))

    assert life.state.run is not None
    assert expected == life.state.run.confirmed


def test_a_run_is_not_verified_blindly() -> None:
    """A cloud that cannot be read does not make a run Done."""
    life = Life().after(*TAKEN)

    assert Refusal("A run is not verified without a read.") == life.decide(blind())
    assert Phase.PARTLY_DONE == life.after(finish()).state.phase


def test_a_later_look_that_saw_nothing_keeps_the_figures() -> None:
    """After the end a cloud that cannot be read leaves the figures as they were, and the look still counts."""
    life = Life().after(*TAKEN, verify(drained(queued=2), canceled=53), finish(), blind())
    run = life.state.run

    assert run is not None
    assert (50, 2, 1) == (run.confirmed, run.left, run.later)


def test_a_scheduled_batch_that_began_is_nothing_to_cancel() -> None:
    """A scheduled batch that started while people decided has nothing scheduled left, so the start is void."""
    order = CancelJob(job="J1", statuses=(Status.SCHEDULED,))
    counts = {**COUNTS, Status.SCHEDULED: 64}
    life = Life(opening=requested(order=order))
    frozen = plan(counts, order=order)

    def show(state: State, now: object) -> Decided:
        del now
        return decisions.show_preview(
            state,
            NOW,
            preview=preview(counts),
            plan=frozen,
            estimate=1,
            approval=ACCOUNT.approval,
            evidence=EVIDENCE,
        )

    life.after(show, confirm(), start(COUNTS))

    assert (64, Phase.VOIDED) == (frozen.at_most, life.state.phase)


def test_a_plan_without_statuses_is_never_confirmed() -> None:
    """Even a plan that should not exist, one that names nothing, is denied."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    life.state = replace(life.state, plan=replace(plan(), statuses=()))
    decided = life.decide(confirm())

    assert isinstance(decided, Refusal)
    assert "no status was named" in decided.reason


def test_what_is_read_at_the_start_is_kept_as_the_base() -> None:
    """The counts at the start stay the base of every later verification."""
    life = Life().after(*APPROVED, start(canceled=10), send(), record(DONE), verify(canceled=40), verify(canceled=50))

    assert life.state.run is not None
    assert (reading(canceled=10), 40) == (life.state.run.reading, life.state.run.confirmed)


def test_a_repeatable_failure_is_told_from_a_final_one() -> None:
    """Only what may be sent again is marked so in the ledger."""
    bodies = [Life().after(*RUNNING, send(), record(answer)).events[-1].body for answer in (THROTTLED, FAILED)]

    assert [True, False] == [body.get("again", False) for body in bodies]
    assert [Outcome.FAILED.value] * 2 == [body["outcome"] for body in bodies]
