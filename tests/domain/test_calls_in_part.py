"""What an earlier attempt cancelled, though it was not heard of: it is accepted, not moved on, and never given back."""

import pytest

from bot.domain import running
from bot.domain.call import Answer
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision
from bot.domain.offer import CANCEL_TASKS
from tests.builders import DONE, FAILED, MOVED, THROTTLED, UNKNOWN, by_name, finish, named, record, send_rest

ALL = tuple(range(200))


def send(*, without: int, canceled: int, call: int = 1) -> Decision:
    """Send the first call without some of its 200 devices, of which a look saw so many cancelled."""
    return lambda state, now: running.send(
        state,
        now,
        call=call,
        action=CANCEL_TASKS,
        count=200 - without,
        left_out=ALL[:without],
        canceled=canceled,
    )


def skip(*, canceled: int) -> Decision:
    """Find nothing of the first call left to send."""
    return lambda state, now: running.skip(state, now, call=1, action=CANCEL_TASKS, count=200, canceled=canceled)


def split(*, without: int, canceled: int) -> Decision:
    """Go on with the first call device by device."""
    return lambda state, now: running.split(
        state, now, call=1, action=CANCEL_TASKS, at=ALL[without:], left_out=without, canceled=canceled
    )


def figures(state: State) -> tuple[int, int]:
    """Return how many devices were accepted, and how many had moved on."""
    assert state.run is not None
    return state.run.accepted, state.run.moved_on


@pytest.mark.parametrize("answer", [UNKNOWN, MOVED])
@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (send(without=50, canceled=30), (30, 20)),
        (send(without=50, canceled=90), (50, 0)),
        (skip(canceled=30), (30, 170)),
        (split(without=50, canceled=30), (30, 20)),
    ],
)
def test_cancelled_by_an_earlier_attempt(answer: Answer, then: Decision, expected: tuple[int, int]) -> None:
    """Devices that are seen cancelled after an attempt that may have worked in part are counted as accepted."""
    assert expected == figures(by_name(send_rest(1), record(answer, 1), then).state)


def test_each_is_counted_once() -> None:
    """Those left out before are neither moved on nor cancelled a second time, and the rest is accepted when taken."""
    way = (send_rest(1, moved=10), record(UNKNOWN, 1), send(without=50, canceled=30), record(MOVED, 1))
    life = by_name(*way, send(without=70, canceled=5))

    assert (35, 35) == figures(life.state)
    assert (165, 35) == figures(life.after(record(DONE, 1)).state)


@pytest.mark.parametrize("way", [(), (send_rest(1), record(THROTTLED, 1))])
def test_cancelled_by_others(way: tuple[Decision, ...]) -> None:
    """Before the first attempt, and after one that was throttled, it was somebody else who cancelled."""
    life = by_name(*way, send(without=50, canceled=30))

    assert (0, 50) == figures(life.state)
    assert "canceled" not in life.events[-1].body


def test_a_single_device_of_a_split_call() -> None:
    """A device that turns out cancelled after its call was split was cancelled by the call that was split."""
    life = by_name(send_rest(1), record(MOVED, 1), split(without=190, canceled=0))
    life.after(lambda state, now: running.skip(state, now, call=4, action=CANCEL_TASKS, count=1, canceled=1))

    assert (1, 190) == figures(life.state)


def test_taken_in_part_is_not_failed() -> None:
    """A run of which an attempt cancelled some and the rest was refused is Partly done; all of it, and it is Done."""
    look: Decision = lambda state, now: running.verify(state, now, reading=named(0, canceled=30))  # noqa: E731
    part = by_name(send_rest(1), record(UNKNOWN, 1), send(without=50, canceled=30), record(FAILED, 1), look, finish())
    others = (lambda state, now: running.skip(state, now, call=2, action=CANCEL_TASKS, count=200),)
    last: Decision = lambda state, now: running.skip(state, now, call=3, action=CANCEL_TASKS, count=50)  # noqa: E731
    whole = by_name(send_rest(1), record(MOVED, 1), skip(canceled=200), *others, last, look, finish())

    assert [Phase.PARTLY_DONE, Phase.DONE] == [part.state.phase, whole.state.phase]


@pytest.mark.parametrize("way", [(skip(canceled=0),), (split(without=0, canceled=0),)])
def test_what_was_sent_is_remembered(way: tuple[Decision, ...]) -> None:
    """That a call went out is known for good, whatever became of it."""
    sent, unsent = by_name(send_rest(1), record(MOVED, 1), *way).state.run, by_name(*way).state.run

    assert sent is not None
    assert unsent is not None
    assert (True, False) == (sent.sent, unsent.sent)
