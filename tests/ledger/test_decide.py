"""The one write: a decision is stored whole or not at all, and the state row is the fold of the events."""

import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import decisions
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.errors import LedgerError
from bot.domain.events import BOT, Kind, NewEvent, stamp
from bot.domain.order import Cancel, CancelJob
from bot.ledger.chain import walk
from bot.ledger.leases import LENGTH, Lease, LeaseLostError
from bot.ledger.ledger import Ledger, Ordered
from tests.builders import (
    ANN,
    APPROVED,
    BOB,
    NOW,
    OF_NOTHING,
    ORDER,
    RUNNING,
    TAKEN,
    THROTTLED,
    WAITING,
    Clock,
    by_bot,
    confirm,
    record,
    requested,
    send,
    show_preview,
    stop,
    void,
)
from tests.dice import PAUSES, SORTS, any_step
from tests.ledger import raw
from tests.ledger.conftest import Open


def lead(ledger: Ledger, *made: Decision, actor: str = ANN, order: Cancel = ORDER) -> int:
    """Open a cancellation and make decisions that must not be refused."""
    identity = ledger.order(requested(actor=actor, order=order)).id
    for decision in made:
        assert isinstance(ledger.decide(identity, decision), State)
    return identity


# --- one write -----------------------------------------------------------------------------------------------------


def test_a_decision_is_stored_and_returned(ledger: Ledger) -> None:
    """The state that `decide` returns is the one that is read afterwards, and the last event is its own."""
    identity = ledger.order(requested()).id
    decided = ledger.decide(identity, show_preview())

    assert isinstance(decided, State)
    assert decided == ledger.state(identity)
    assert (2, 2, Phase.WAITING_CONFIRMATION) == (decided.event, decided.seq, decided.phase)


def test_a_refusal_writes_nothing(ledger: Ledger, path: Path) -> None:
    """A refused decision leaves every table as it was, and nobody is told."""
    identity = lead(ledger, *WAITING)
    told: list[None] = []
    ledger.listen(lambda: told.append(None))
    with raw.database(path) as connection:
        before = list(connection.iterdump())
    refusal = ledger.decide(identity, confirm(BOB))

    assert isinstance(refusal, Refusal)
    with raw.database(path) as connection:
        assert before == list(connection.iterdump())
    assert [] == told


def test_all_events_of_a_decision_are_stored_together(ledger: Ledger) -> None:
    """A decision that makes two events stores both, with their own seq."""
    identity = lead(ledger, *APPROVED, stop())
    story = ledger.story(identity)

    assert [("stopped", 4), ("finished", 5)] == [(event.kind, event.seq) for event in story[-2:]]


def test_each_commit_is_told_once(ledger: Ledger) -> None:
    """Whoever listens is told after each commit that appended, when the events can be read."""
    heads: list[int] = []
    ledger.listen(lambda: heads.append(ledger.head()))
    identity = ledger.order(requested()).id
    ledger.decide(identity, show_preview())
    ledger.append(OF_NOTHING)

    assert [1, 2, 3] == heads


class OddError(Exception):
    """What nobody expects."""


@pytest.mark.parametrize("error", [OddError(), KeyboardInterrupt()])
def test_an_exception_in_a_decision_undoes_everything(ledger: Ledger, path: Path, error: BaseException) -> None:
    """What a decision wrote before it raised is not stored, and the ledger goes on working."""
    identity = lead(ledger, *WAITING)
    with raw.database(path) as connection:
        before = list(connection.iterdump())

    def decision(state: State, now: datetime) -> Decided:
        del state, now
        ledger.keep_list(("a", "b"))
        ledger.append(OF_NOTHING)
        ledger.order(requested(actor=BOB), delivery="d")
        ledger.leases.take("x", "me")
        raise error

    with pytest.raises(type(error)):
        ledger.decide(identity, decision)

    with raw.database(path) as connection:
        assert before == list(connection.iterdump())
    assert isinstance(ledger.decide(identity, confirm()), State)
    assert 3 == ledger.verify().events


def test_an_event_that_cannot_be_folded_is_not_stored(ledger: Ledger) -> None:
    """A second event of a decision that does not fit takes the first one back with it."""
    identity = lead(ledger)
    refused = decisions.refused("U0EVE", "no", what="confirm", evidence={})
    misfit = by_bot(Kind.CALL_SENT, action="x", call=1, attempt=1, count=1)

    with pytest.raises(ValueError, match="no start"):
        ledger.decide(identity, lambda _state, _now: (refused, misfit))

    assert (1, 1) == (ledger.head(), ledger.verify().events)


@pytest.mark.parametrize("body", [{"v": 1, "x": float("nan")}, {"v": 1, "x": object()}])
def test_a_body_that_is_not_json_is_not_stored(ledger: Ledger, body: dict[str, Any]) -> None:
    """An event that cannot be written as JSON is an error, and nothing is stored."""
    with pytest.raises((ValueError, TypeError)):
        ledger.append(NewEvent(kind=Kind.CHECKPOINT, actor=BOT, body=body))

    assert 0 == ledger.head()


def test_there_is_no_such_cancellation(ledger: Ledger) -> None:
    """A decision on a number that was never given is refused."""
    assert Refusal("There is no cancellation #7.") == ledger.decide(7, void())
    assert None is ledger.state(7)
    with pytest.raises(LedgerError, match="There is no cancellation #7"):
        ledger.rebuilt(7)


# --- time ----------------------------------------------------------------------------------------------------------


def test_time_never_goes_back(ledger: Ledger, clock: Clock, path: Path) -> None:
    """With a clock that was set back an hour, events and decisions keep the time of the last event."""
    identity = lead(ledger, *WAITING)
    clock.turn(-3600)
    seen: list[datetime] = []

    def decision(state: State, now: datetime) -> Decided:
        seen.append(now)
        return confirm()(state, now)

    state = ledger.decide(identity, decision)

    assert [NOW] == seen
    assert isinstance(state, State)
    assert (NOW, NOW + timedelta(minutes=15)) == (state.confirmed_at, state.deadline)
    assert [stamp(NOW)] * 3 == [row["at"] for row in raw.rows(path)]
    assert 3 == ledger.verify().events


def test_a_clock_set_back_does_not_undo_a_deadline(ledger: Ledger, clock: Clock) -> None:
    """A deadline that has passed in the chain's time stays passed."""
    identity = lead(ledger, *WAITING)
    clock.turn(1800)
    ledger.append(OF_NOTHING)
    clock.turn(-1800)

    assert isinstance(ledger.decide(identity, confirm()), Refusal)


def test_events_are_given_as_they_are_stored(ledger: Ledger, path: Path) -> None:
    """An event that is read has the columns of its row."""
    identity = lead(ledger, *WAITING)
    stored, events = raw.rows(path), ledger.events(after=0)

    assert stored == [
        {
            "id": event.id,
            "cancellation": event.cancellation,
            "seq": event.seq,
            "at": stamp(event.at),
            "actor": event.actor,
            "kind": event.kind,
            "body": json.dumps(event.body, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
            "digest": event.digest,
        }
        for event in events
    ]
    assert events == ledger.story(identity)
    assert events[1:] == ledger.events(after=1) == ledger.story(identity, after=1)
    assert events[:1] == ledger.events(after=0, most=1)


# --- orders --------------------------------------------------------------------------------------------------------


def test_the_same_delivery_opens_nothing_new(ledger: Ledger, path: Path) -> None:
    """A delivery that comes again is answered with the cancellation it opened, and stored once, as a hash."""
    first = ledger.order(requested(), delivery="trigger-1")
    other = ledger.order(requested(), delivery="trigger-2")
    again = ledger.order(requested(actor=BOB), delivery="trigger-1")

    assert [Ordered(1, repeated=False), Ordered(2, repeated=False), Ordered(1, repeated=True)] == [first, other, again]
    assert 2 == ledger.head()
    with raw.database(path) as connection:
        assert "trigger-1" not in "\n".join(connection.iterdump())


def test_orders_without_a_delivery_are_all_new(ledger: Ledger) -> None:
    """An order that came by no delivery is never taken for another."""
    assert [1, 2, 3] == [ledger.order(requested()).id for _ in range(3)]


def test_a_repeated_delivery_is_known_after_a_restart(opened: Open) -> None:
    """Deliveries are remembered in the database, not in the process."""
    opened().order(requested(), delivery="trigger-1")

    assert Ordered(1, repeated=True) == opened().order(requested(), delivery="trigger-1")


# --- leases --------------------------------------------------------------------------------------------------------


def test_a_lost_lease_decides_nothing(ledger: Ledger, clock: Clock) -> None:
    """Who holds the lease may decide; once it has lapsed or another has it, the decision is not even made."""
    identity = lead(ledger, *RUNNING)
    mine = ledger.leases.take("cancellation:1", "me")
    assert mine is not None
    ledger.decide(identity, send(), lease=mine)
    clock.turn(LENGTH)
    with pytest.raises(LeaseLostError):
        ledger.decide(identity, record(THROTTLED), lease=mine)
    ledger.leases.take("cancellation:1", "another")
    with pytest.raises(LeaseLostError):
        ledger.decide(identity, record(THROTTLED), lease=mine)

    assert 5 == ledger.head()
    assert isinstance(ledger.decide(identity, record(THROTTLED)), State)


def test_a_lease_that_was_never_taken_decides_nothing(ledger: Ledger) -> None:
    """A lease that is not in the database counts for nothing."""
    identity = lead(ledger, *WAITING)

    with pytest.raises(LeaseLostError):
        ledger.decide(identity, confirm(), lease=Lease("cancellation:1", "me"))

    assert 2 == ledger.head()


# --- texts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("lone \ud800 and \udfff", "lone \ufffd and \ufffd"),
        ("pair \ud83d\ude00", "pair \U0001f600"),
        ("nul \x00 bell \x07 next\u2028line", "nul \x00 bell \x07 next\u2028line"),
        ("'; drop table events; --", "'; drop table events; --"),
        (":id :at {0} %s", ":id :at {0} %s"),
        ("中" * 1_000_000, "中" * 1_000_000),
    ],
)
def test_any_text_is_stored(ledger: Ledger, given: str, kept: str) -> None:
    """Whatever people write is stored as it is, lone surrogates replaced, and the chain holds."""
    identity = ledger.order(requested(actor=f"U{given}", reason=given)).id
    state = ledger.state(identity)

    assert state is not None
    assert isinstance(state.order, CancelJob)
    assert (f"U{kept}", kept) == (state.requester, state.order.reason)
    assert state == ledger.rebuilt(identity)
    assert 1 == ledger.verify().events


def test_names_are_kept_once(ledger: Ledger, path: Path) -> None:
    """A list of names lies once in the database, under the SHA-256 of its lines."""
    names = ("a", "b", "中\ud800")
    keys = {ledger.keep_list(names), ledger.keep_list(names)}

    assert 1 == raw.one(path, "select count(*) from lists")
    assert keys == {raw.one(path, "select sha256 from lists")}
    assert "a\nb\n中\ufffd" == raw.one(path, "select names from lists")


# --- the state row is the fold -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Ledger, Clock, Path]]:
    # One ledger for all examples, so that each also has the others' cancellations beside its own.
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ota-bot.db"
        ledger = Ledger.open(path, now=clock)
        yield ledger, clock, path
        ledger.close()


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=0, max_value=30))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_the_state_row_is_the_fold(shared: tuple[Ledger, Clock, Path], seed: int, length: int) -> None:
    """Whatever is decided, the state row and its columns are what a full fold of the events says."""
    ledger, clock, path = shared
    dice = Random(seed)  # noqa: S311 - dice for a test
    sort = dice.choice(SORTS)
    identity = lead(ledger, *dice.choice(sort.beginnings), order=sort.order)
    for _ in range(length):
        clock.turn(dice.choice((*PAUSES, -60)))
        for decision in any_step(dice, sort):
            ledger.decide(identity, decision)
    state = ledger.rebuilt(identity)
    with raw.database(path) as connection:
        row = dict(connection.execute("select * from cancellations where id = ?", (identity,)).fetchone())

    assert state == ledger.state(identity)
    assert (state.event, state.phase.value, int(state.phase in OPEN), int(state.has_card)) == (
        row["event"],
        row["phase"],
        row["open"],
        row["carded"],
    )
    assert (stamp(state.due) if state.due else None) == row["due"]


def test_the_chain_of_all_examples_holds(shared: tuple[Ledger, Clock, Path]) -> None:
    """A chain of random decisions under a clock that also goes back holds from end to end."""
    ledger, _, path = shared
    lead(ledger, *TAKEN)

    assert ledger.head() == len(list(walk(raw.rows(path))))
