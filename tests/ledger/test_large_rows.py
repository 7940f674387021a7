"""The row of a large run is not written whole with each event, and what it says is never less for that."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bot.domain import running
from bot.domain.cancellation import State
from bot.domain.decisions import Decision, Refusal
from bot.domain.errors import LedgerError, TamperedError
from bot.domain.order import CancelDevices
from bot.ledger.ledger import Ledger
from bot.ledger.rows import LARGE, WHOLE_EVERY
from tests.builders import (
    DONE,
    FAILED,
    NAMES,
    account,
    answered,
    confirm,
    finish,
    named,
    requested,
    send_rest,
    show_names,
    start_names,
)
from tests.builders import LARGE as ROOMY
from tests.ledger.conftest import Open
from tests.ledger.raw import forging, one

CALLS = LARGE + 2 * WHOLE_EVERY
THESE = NAMES[:CALLS]
ONE_BY_ONE = account(approval=ROOMY.approval, names_per_call=1)


def go(ledger: Ledger, *made: Decision) -> State:
    """Make decisions that must not be refused, and return the state after them."""
    state = ledger.state(1)
    for decision in made:
        decided = ledger.decide(1, decision)
        assert not isinstance(decided, Refusal), decided
        state = decided
    assert state is not None
    return state


def begin(ledger: Ledger) -> None:
    """Start a run of that many calls, of one device each."""
    ledger.order(requested(order=CancelDevices(names=THESE, job="J1")), names=THESE)
    seen = named(CALLS)
    go(
        ledger,
        show_names(seen, names=THESE, on=ONE_BY_ONE),
        confirm(approval=ROOMY.approval),
        start_names(seen, on=ONE_BY_ONE),
    )


def look() -> Decision:
    """Look at the cloud again."""
    return lambda state, now: running.verify(state, now, reading=named(0, canceled=CALLS, at=now))


def sent(call: int) -> Decision:
    """Send a call."""
    return send_rest(call)


def fail(ledger: Ledger, first: int, last: int) -> State:
    """Send these calls; each fails."""
    return go(ledger, *(step for call in range(first, last + 1) for step in (sent(call), answered(call, FAILED))))


@pytest.fixture
def large(ledger: Ledger) -> Ledger:
    """Return a ledger with a run whose row lies behind its last event."""
    begin(ledger)
    fail(ledger, 1, LARGE + 5)
    return ledger


def kept(path: Path) -> int:
    """Return the `seq` of the state that the row holds."""
    found = json.loads(one(path, "select state from cancellations where id = 1"))["seq"]
    assert isinstance(found, int)
    return found


def test_a_small_row_is_whole(ledger: Ledger, path: Path) -> None:
    """Up to so many calls without success the row has every event in it."""
    begin(ledger)

    assert fail(ledger, 1, LARGE).seq == kept(path)


def test_a_large_row_is_written_now_and_then(large: Ledger, path: Path) -> None:
    """Of a large run the row is written whole each so many events, and is never further behind than that."""
    seen = []
    for call in range(LARGE + 6, CALLS + 1):
        seen += [(go(large, step).seq, kept(path)) for step in (sent(call), answered(call, FAILED))]
    written = sorted({whole for _, whole in seen})

    assert WHOLE_EVERY - 1 == max(seq - whole for seq, whole in seen)
    assert {WHOLE_EVERY} == {later - earlier for earlier, later in pairwise(written)}


@pytest.mark.parametrize("calls", [1, 20, WHOLE_EVERY])
def test_whoever_reads_has_the_latest(large: Ledger, opened: Open, calls: int) -> None:
    """Who made it, who opens the ledger anew, and who has read it before all have the fold of all events."""
    other = opened()
    before = other.state(1)
    state = fail(large, LARGE + 6, LARGE + 5 + calls)

    assert before != state
    assert [state] * 4 == [large.rebuilt(1), opened().state(1), other.state(1), opened(readonly=True).state(1)]
    assert [[state]] * 3 == [ledger.at_work() for ledger in (large, other, opened())]


def test_two_in_turns_make_one_story(large: Ledger, opened: Open, path: Path) -> None:
    """Two processes that go on with one large run in turns each see what the other did; no event comes twice."""
    hands = (large, opened())
    for call in range(LARGE + 6, LARGE + 46):
        go(hands[call % 2], sent(call))
        go(hands[call // 2 % 2], answered(call, DONE if call % 3 else FAILED))
    state = hands[0].state(1)

    assert state is not None
    assert [state] * 3 == [hands[1].state(1), large.rebuilt(1), opened().state(1)]
    assert state.seq == large.verify().events == state.event
    assert state.seq - kept(path) < WHOLE_EVERY


def test_a_row_that_lies_behind_is_honest(large: Ledger, opened: Open, path: Path) -> None:
    """A row that is a few events behind is no tampering: the events are there."""
    state = fail(large, LARGE + 6, LARGE + 7)

    assert state.seq > kept(path)
    assert large.honest(1)
    assert not opened(readonly=True).verify().older


FORGERIES: dict[str, Callable[[dict[str, object]], object]] = {
    "a call that is said to be done": lambda state: state["run"]["done"].append([7, 7]),  # type: ignore[index]
    "a requester": lambda state: state.update(requester="U0EVE"),
    "an event further on": lambda state: state.update(event=10**6),
    "an event before": lambda state: state.update(event=1),
    "an event of nobody": lambda state: state.update(event=0),
    "another cancellation": lambda state: state.update(id=2),
    "another seq": lambda state: state.update(seq=1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_row_that_lies_behind_is_found(large: Ledger, opened: Open, path: Path, forgery: str) -> None:
    """What the row holds is held against the events up to there, also where later ones would cover the forgery."""
    state = json.loads(one(path, "select state from cancellations"))
    FORGERIES[forgery](state)
    with forging(path) as forged:
        forged.execute("update cancellations set state = ?", (json.dumps(state),))

    assert not large.honest(1)
    with pytest.raises(TamperedError, match="the state row of #1 is not what its events say"):
        opened(readonly=True).verify()


def test_the_columns_are_never_behind(large: Ledger, path: Path) -> None:
    """What the queries look at is written with each event."""
    state = fail(large, LARGE + 6, LARGE + 6)

    assert state.event == one(path, "select event from cancellations")
    assert "Running" == one(path, "select phase from cancellations")


def test_the_end_is_written_whole(large: Ledger, path: Path) -> None:
    """With its end a run's row has every event in it, and so has the row of what is read after the end."""
    state = go(large, look(), finish())

    assert state.seq == kept(path)
    assert large.honest(1)
    assert go(large, look()).seq == kept(path)


def test_what_is_rolled_back_is_forgotten(large: Ledger, opened: Open) -> None:
    """What a process decided and could not commit is not taken for what happened, though it was in its memory."""
    before = large.state(1)

    def lists() -> Iterator[tuple[str, ...]]:
        yield ("pump-1",)
        raise LedgerError("the disk is full")

    with pytest.raises(LedgerError, match="the disk is full"):
        large.decide(1, sent(LARGE + 6), lists=lists())

    assert [before] * 2 == [large.state(1), opened().state(1)]
    other = fail(opened(), LARGE + 6, LARGE + 6)
    assert [other] * 2 == [large.state(1), large.rebuilt(1)]
