"""The decisions on calls and on the end of a run: what is sent, how it ends, what it comes to."""

from dataclasses import replace

import pytest

from bot.domain import decisions, running
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.events import Kind
from bot.domain.offer import CANCEL_JOB
from bot.domain.order import CancelJob
from bot.domain.policy import Allowed
from bot.domain.reading import Counts
from bot.domain.running import MOST_ATTEMPTS, RETRY_WITHIN
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    APPROVED,
    BOB,
    COUNTS,
    DONE,
    DRAINED,
    EVIDENCE,
    FAILED,
    NOW,
    RUNNING,
    TAKEN,
    THROTTLED,
    UNKNOWN,
    Life,
    Made,
    blind,
    confirm,
    finish,
    life_in,
    made,
    plan,
    preview,
    reading,
    record,
    requested,
    send,
    start,
    stop,
    verify,
)

REFUSED = Made(refused=True)


def drained(**counts: int | None) -> Counts:
    """Return counts with all tasks gone but these."""
    return {**DRAINED, **{Status(word): count for word, count in counts.items()}}


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
        lambda state, now: running.record_answer(
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


def test_an_ended_run_is_not_settled_any_more() -> None:
    """What a look shows of an unknown call after the end changes nothing about how the run ended."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN), finish())
    before = life.state

    assert isinstance(life.decide(record(DONE, by="read")), Refusal)
    assert before == life.state


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
            verdict=Allowed(),
            account=ACCOUNT,
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


@pytest.mark.parametrize(("answer", "settled"), [(UNKNOWN, True), (FAILED, False), (THROTTLED, False)])
def test_a_read_settles_what_is_unknown_alone(answer: Answer, settled: bool) -> None:
    """What the cloud has refused was not done, whatever a later look at its counts may suggest."""
    life = Life().after(*RUNNING, send(), record(answer))

    assert settled == (not isinstance(life.decide(record(DONE, by="read")), Refusal))
