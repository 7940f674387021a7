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
from bot.domain.account import Approval
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.errors import LedgerError
from bot.domain.events import BOT, Kind, NewEvent, stamp
from bot.domain.order import CancelJob
from bot.ledger.leases import LENGTH, Lease, LeaseLostError
from bot.ledger.ledger import Ledger, Ordered
from tests.builders import (
    ANN,
    APPROVED,
    BEGINNINGS,
    BOB,
    FAILED,
    NOW,
    PAUSES,
    RUNNING,
    TAKEN,
    THROTTLED,
    WAITING,
    Clock,
    any_step,
    by_bot,
    confirm,
    finish,
    record,
    requested,
    send,
    show_preview,
    stop,
    verify,
    void,
    withdraw,
)
from tests.ledger import raw
from tests.ledger.conftest import Open

CHECKPOINT = NewEvent(kind=Kind.CHECKPOINT, actor=BOT, body={"v": 1})


def lead(ledger: Ledger, *made: Decision, actor: str = ANN) -> int:
    """Open a cancellation and make decisions that must not be refused."""
    identity = ledger.order(requested(actor=actor)).id
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
    ledger.append(CHECKPOINT)

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
        ledger.append(CHECKPOINT)
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
    ledger.append(CHECKPOINT)
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
    identity = lead(ledger, *dice.choice(BEGINNINGS))
    for _ in range(length):
        clock.turn(dice.choice((*PAUSES, -60)))
        for decision in any_step(dice):
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
    """A chain of random decisions under a clock that also goes back verifies from end to end."""
    ledger, _, path = shared
    lead(ledger, *TAKEN)

    assert len(raw.rows(path)) == ledger.verify().events == ledger.head()


# --- what is asked of the ledger -----------------------------------------------------------------------------------


def test_what_is_open_and_what_is_at_work(ledger: Ledger) -> None:
    """Open is what somebody must still act on; at work is what the bot itself must bring on."""
    ways: list[tuple[Decision, ...]] = [(), WAITING, APPROVED, RUNNING, (*TAKEN, verify(), finish()), (void(),)]
    for way in ways:
        lead(ledger, *way)

    assert [1, 2, 3, 4] == [state.id for state in ledger.open_ones()]
    assert [1, 3, 4] == [state.id for state in ledger.at_work()]
    assert [5, 4] == [state.id for state in ledger.latest(2)]
    assert [5, 4, 3, 2] == [state.id for state in ledger.latest(9)]


def test_what_is_due(ledger: Ledger, clock: Clock) -> None:
    """Due is a wait that is over or a later look, at its very moment, the most overdue first."""
    lead(ledger, *WAITING)
    lead(ledger, *APPROVED)
    lead(ledger, *TAKEN, verify(), finish())
    lead(ledger, *RUNNING)
    seen = []
    for seconds in (59, 1, 839, 1, 899, 1):
        clock.turn(seconds)
        seen.append([state.id for state in ledger.due()])

    assert [[], [3], [3], [3, 2], [3, 2], [3, 2, 1]] == seen


@pytest.mark.parametrize("full", [False, True])
def test_a_refusal_may_be_one_too_many(ledger: Ledger, full: bool) -> None:
    """Whether there is room for one more refusal is asked in the transaction that would store it."""
    event = decisions.refused("U0EVE", "no", what="order", evidence={})
    asked: list[bool] = []

    def is_full() -> bool:
        asked.append(ledger._store._database.conn.in_transaction)
        return full

    ledger.append_unless(event, is_full)

    assert ([True], 0 if full else 1) == (asked, ledger.head())


def test_refusals_are_counted_by_the_hour(ledger: Ledger, clock: Clock) -> None:
    """Only this person's refusals within the time count, with or without a cancellation."""
    identity = lead(ledger)
    refused = decisions.refused("U0EVE", "no", what="confirm", evidence={})
    ledger.append(refused)
    clock.turn(1800)
    ledger.decide(identity, lambda _state, _now: (refused,))
    ledger.append(decisions.refused(BOB, "no", what="order", evidence={}))
    counts = [ledger.refusals("U0EVE", within=timedelta(hours=1))]
    clock.turn(1800)
    counts.append(ledger.refusals("U0EVE", within=timedelta(hours=1)))

    assert [2, 1] == counts


# --- what one person ran alone -------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def ran(ledger: Ledger, *, actor: str = ANN) -> int:
    """Return what a new cancellation of this person would be added to."""
    state = ledger.state(ledger.order(requested(actor=actor)).id)
    assert state is not None
    return ledger.ran_alone(state, window=HOUR)


@pytest.mark.parametrize(
    ("way", "counted"),
    [
        ((), 0),
        (WAITING, 0),
        ((*WAITING, withdraw()), 0),
        (APPROVED, 59),
        ((*APPROVED, void()), 0),
        ((*APPROVED, stop()), 0),
        (RUNNING, 59),
        ((*RUNNING, stop(), finish()), 0),
        ((*RUNNING, send()), 59),
        ((*RUNNING, send(), record(FAILED), finish()), 59),
        ((*TAKEN, verify(), finish()), 59),
    ],
)
def test_what_counts_as_ran_alone(ledger: Ledger, way: tuple[Decision, ...], counted: int) -> None:
    """From the confirmation on the plan's most counts; it is given back where it ended with nothing sent."""
    lead(ledger, *way)

    assert counted == ran(ledger)


def test_ten_small_ones_are_a_large_one(ledger: Ledger) -> None:
    """What one person ran alone is added up; another person's is not."""
    for _ in range(3):
        lead(ledger, *APPROVED)
    lead(ledger, show_preview(), confirm(BOB), actor=BOB)

    assert (177, 59) == (ran(ledger), ran(ledger, actor=BOB))


def test_quotas_are_counted_apart(ledger: Ledger) -> None:
    """What was run on another quota does not count."""
    other = requested()
    identity = ledger.order(NewEvent(kind=other.kind, actor=ANN, body={**other.body, "quota": "other"})).id
    for decision in APPROVED:
        ledger.decide(identity, decision)

    assert 0 == ran(ledger)


def test_the_window_has_an_end(ledger: Ledger, clock: Clock) -> None:
    """What was confirmed an hour ago no longer counts, a microsecond less still does."""
    lead(ledger, *APPROVED)
    clock.at = NOW + HOUR - timedelta(microseconds=1)
    inside = ran(ledger)
    clock.at = NOW + HOUR

    assert (59, 0) == (inside, ran(ledger))


def test_a_cancellation_does_not_count_against_itself(ledger: Ledger) -> None:
    """A cancellation's own devices are not added to it a second time."""
    state = ledger.state(lead(ledger, *APPROVED))

    assert state is not None
    assert 0 == ledger.ran_alone(state, window=HOUR)


def test_the_window_is_summed_within_the_confirmation(ledger: Ledger) -> None:
    """Two confirmations of 59 each: the second sees the first, and is refused at a limit of 100."""
    first, second = lead(ledger, *WAITING), lead(ledger, *WAITING)

    def alone(state: State, now: datetime) -> Decided:
        return confirm(approval=Approval(above=100), ran_alone=ledger.ran_alone(state, window=HOUR))(state, now)

    assert isinstance(ledger.decide(first, alone), State)
    assert isinstance(ledger.decide(second, alone), Refusal)
