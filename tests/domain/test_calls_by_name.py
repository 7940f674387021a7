"""The decisions on calls by name: what is left out, skipped and split, and what is ordered again."""

from dataclasses import replace

import pytest

from bot.domain import decisions, running
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import REPEATABLE, Phase, Split
from bot.domain.decisions import Decision, Refusal
from bot.domain.events import Kind
from bot.domain.plan import Call
from bot.domain.reading import Named
from bot.domain.running import MOST_ATTEMPTS, RETRY_WITHIN
from tests.builders import (
    ANN,
    BOB,
    DONE,
    FAILED,
    IN_A_FILE,
    MOVED,
    NAMES,
    THROTTLED,
    UNKNOWN,
    Life,
    Made,
    by_name,
    finish,
    keep_names,
    life_in,
    made,
    named,
    record,
    requested,
    send_rest,
    skip,
    split,
    stop,
    void,
)

REFUSED = Made(refused=True)
ONCE = (send_rest(1, moved=3), record(MOVED, 1))
"""The first call, sent without three devices and refused for one that moved on meanwhile."""


def figures(life: Life) -> tuple[int, int, int]:
    """Return how many calls a run has, and how many devices were accepted and had moved on."""
    run = life.state.run
    assert run is not None
    return run.calls, run.accepted, run.moved_on


# --- sent ------------------------------------------------------------------------------------------------------------


def test_who_is_left_out_is_kept() -> None:
    """`call_sent` says at which positions of the list devices were left out, and how many were sent."""
    life = by_name(send_rest(2, moved=2))

    assert {
        "v": 1,
        "action": "CancelOTATaskByDevice",
        "call": 2,
        "attempt": 1,
        "count": 198,
        "left_out": [200, 201],
    } == life.events[-1].body
    assert (3, 0, 2) == figures(life)
    assert (3, 198, 2) == figures(life.after(record(DONE, 2)))


def test_who_is_left_out_later_is_counted_once() -> None:
    """A device that is left out of every attempt of a call has moved on once."""
    life = by_name(*ONCE)
    seen = [figures(life)]
    for more in (0, 2):
        life.after(send_rest(1, moved=more), record(MOVED, 1))
        seen.append(figures(life))

    assert [(3, 0, 3), (3, 0, 3), (3, 0, 5)] == seen


def test_moved_on_may_be_sent_again() -> None:
    """A call that is refused for devices that moved on is sent again without them, five times within five minutes."""
    life, sent = by_name(), 0
    while isinstance(life.decide(send_rest(1, moved=1)), tuple):
        sent += 1
        life.after(record(MOVED, 1))
    late = by_name(*ONCE)
    late.clock.turn(RETRY_WITHIN)

    assert MOST_ATTEMPTS == sent
    assert REFUSED == made(late.decide(send_rest(1)))


# --- skipped and split -----------------------------------------------------------------------------------------------


def test_a_call_of_which_all_moved_on() -> None:
    """A call whose devices have all moved on is settled without being sent, and all of them are counted."""
    first, again = by_name(skip(3)), by_name(*ONCE, skip(1))

    assert {"v": 1, "action": "CancelOTATaskByDevice", "call": 3, "count": 50} == first.events[-1].body
    assert [(3, 0, 50), (3, 0, 200)] == [figures(first), figures(again)]
    assert [REFUSED] * 2 == [made(first.decide(send_rest(3))), made(first.decide(skip(3)))]


def test_a_run_of_skipped_calls_alone_cancelled_nothing() -> None:
    """Where every device had moved on before its call, nothing was cancelled, and the run is not called done."""
    look: Decision = lambda state, now: running.verify(state, now, reading=named(0, canceled=0))  # noqa: E731

    assert Phase.FAILED is by_name(skip(1), skip(2), skip(3), look, finish()).state.phase


def test_a_run_with_skipped_calls_is_done() -> None:
    """Calls with nothing left to send do not stand in the way of Done, and the look decides as ever."""
    way = (send_rest(1), record(DONE, 1), skip(2), send_rest(3), record(DONE, 3))
    look: Decision = lambda state, now: running.verify(state, now, reading=named(0, canceled=250))  # noqa: E731

    assert [Phase.DONE, Phase.PARTLY_DONE] == [by_name(*way, *looks, finish()).state.phase for looks in ((look,), ())]


def test_a_split_call_goes_on_device_by_device() -> None:
    """A call that is split becomes a call for each of its remaining devices, numbered behind the last one."""
    life = by_name(*ONCE, split(1, moved=190))
    run, plan = life.state.run, life.state.plan
    assert run is not None
    assert plan is not None

    assert list(range(193, 200)) == life.events[-1].body["at"]
    assert (Split(call=1, first=4, at=tuple(range(193, 200))),) == run.splits
    assert (10, 0, 193) == figures(life)
    assert [(number, (189 + number,)) for number in range(4, 11)] == [
        (call.number, call.at) for call in (run.call(plan, number) for number in range(4, 11))
    ]
    assert [True, False, False] == [run.is_settled(number) for number in (1, 2, 4)]
    with pytest.raises(LookupError, match="the run has no call 11"):
        run.call(plan, 11)


def test_two_splits() -> None:
    """Of several splits each has its own numbers, and the plan's calls stay what they are."""
    life = by_name(*ONCE, split(1, moved=195), send_rest(3), record(MOVED, 3), split(3, moved=47))
    run, plan = life.state.run, life.state.plan
    assert run is not None
    assert plan is not None

    assert [4, 6] == [split.first for split in run.splits]
    assert [(198,), (199,), (447,), (448,), (449,)] == [run.call(plan, number).at for number in range(4, 9)]
    assert plan.call(2) == run.call(plan, 2) == Call(number=2, step=plan.steps[0], at=tuple(range(200, 400)))


def test_a_single_device_is_not_split() -> None:
    """A call of one device is what a split comes to: it is never split again."""
    life = by_name(*ONCE, split(1, moved=195), send_rest(4), record(MOVED, 4))

    assert Refusal("A call of one device cannot be split.") == life.decide(split(4))


def test_a_single_device_may_be_sent() -> None:
    """The calls of single devices are sent, answered and counted as others, and then the run is complete."""
    life = by_name(*ONCE, split(1, moved=195), skip(2), skip(3), send_rest(4), record(DONE, 4), skip(5))

    assert life.state.run is not None
    assert ((5, 1, 449), True) == (figures(life), life.state.run.complete)


@pytest.mark.parametrize("decision", [skip(1), split(1)])
@pytest.mark.parametrize(
    "way",
    [
        (send_rest(1),),
        (send_rest(1), record(DONE, 1)),
        (send_rest(1), record(FAILED, 1)),
        (skip(1),),
        (*ONCE, split(1)),
        (stop(),),
        (stop(), finish()),
    ],
)
def test_what_cannot_be_skipped_or_split(way: tuple[Decision, ...], decision: Decision) -> None:
    """A call that is out, done, failed for good or settled, or of a run that was stopped, is left as it is."""
    assert REFUSED == made(by_name(*way).decide(decision))


# --- a read settles a call by name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("canceled", "accepted"), [(200, 200), (150, 150), (0, 0), (450, 198)])
def test_a_read_counts_the_calls_own_devices(canceled: int, accepted: int) -> None:
    """What a read has settled counts those of the call's devices that were seen cancelled, not more than were sent."""
    life = by_name(send_rest(1, moved=2 if accepted == 198 else 0), record(UNKNOWN, 1))
    seen = replace(named(0), canceled=None, named=Named(counts={}, canceled=canceled))
    life.after(
        lambda state, now: running.record_answer(
            state, now, call=1, attempt=1, action="CancelOTATaskByDevice", answer=DONE, seen=seen
        )
    )

    assert accepted == figures(life)[1]


# --- names from a file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.CHECKING}))
def test_names_come_while_it_is_checked(phase: Phase) -> None:
    """The names of a file are recorded while the order is being checked, and not later."""
    assert REFUSED == made(life_in(phase).decide(keep_names()))


def test_a_file_is_read_while_it_is_checked() -> None:
    """Names are recorded by their SHA-256 and count."""
    life = Life(opening=requested(order=IN_A_FILE))

    assert Made(kinds=(Kind.LISTED,)) == made(life.decide(keep_names(NAMES)))
    assert 450 == life.events[-1].body["names"]["count"]


# --- ordered again ---------------------------------------------------------------------------------------------------


def again(actor: str = ANN, new: int = 9) -> Decision:
    """Order what is left again."""
    return lambda state, now: decisions.retried(state, now, actor=actor, new=new)


@pytest.mark.parametrize("phase", Phase)
def test_what_may_be_ordered_again(phase: Phase) -> None:
    """What was partly done, failed, stopped, expired or voided may be ordered again; nothing else."""
    expected = Made(kinds=(Kind.RETRIED,)) if phase in REPEATABLE else REFUSED

    assert expected == made(life_in(phase).decide(again()))
    assert REPEATABLE == {Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED, Phase.EXPIRED, Phase.VOIDED}


def test_it_is_ordered_again_once() -> None:
    """A second press is told which cancellation the first one opened, and the end stays what it was."""
    life = Life().after(void(), again(BOB, 41))

    assert Refusal("#1 was ordered again already, as #41. Nothing was changed.") == life.decide(again(ANN, 42))
    assert (41, Phase.VOIDED, {"v": 1, "as": 41}) == (life.state.retried_as, life.state.phase, life.events[-1].body)


def test_what_is_unknown_or_throttled_is_not_moved_on() -> None:
    """Only the code for devices that moved on, an unknown outcome and what the cloud calls temporary are repeated."""
    other = Answer(outcome=Outcome.FAILED, code="24617", message="not running")
    expected = {"24620": True, "24617": False, "Throttling.User": True, "NoAnswer": True}
    answers = (MOVED, other, THROTTLED, UNKNOWN)
    found = {answer.code: by_name(send_rest(1), record(answer, 1)).decide(send_rest(1)) for answer in answers}

    assert expected == {code: not made(decided).refused for code, decided in found.items()}
