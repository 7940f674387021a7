"""What is asked of the ledger: what is open, at work and due, and what somebody ran alone."""

from datetime import datetime, timedelta

import pytest

from bot.domain import decisions
from bot.domain.account import Approval
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Decision
from bot.domain.events import NewEvent
from bot.domain.order import Cancel
from bot.ledger.ledger import Ledger
from tests.builders import (
    ANN,
    APPROVED,
    BOB,
    DEVICES,
    FAILED,
    MOVED,
    NAMED,
    NOW,
    ORDER,
    RUNNING,
    TAKEN,
    WAITING,
    Clock,
    confirm,
    finish,
    record,
    requested,
    send,
    send_rest,
    show_preview,
    skip,
    stop,
    verify,
    void,
    withdraw,
)


def lead(ledger: Ledger, *made: Decision, actor: str = ANN, order: Cancel = ORDER) -> int:
    """Open a cancellation and make decisions that must not be refused."""
    identity = ledger.order(requested(actor=actor, order=order)).id
    for decision in made:
        assert isinstance(ledger.decide(identity, decision), State)
    return identity


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


def test_what_was_sent_is_not_given_back(ledger: Ledger) -> None:
    """What was sent once counts, also where its call was refused and then nothing of it was left to send."""
    refused = (send_rest(1), record(MOVED))
    lead(ledger, *NAMED, *refused, skip(1), skip(2), skip(3), verify(), finish(), order=DEVICES)
    sent = ran(ledger)
    lead(ledger, *NAMED, skip(1), skip(2), skip(3), verify(), finish(), order=DEVICES)

    assert (450, 450) == (sent, ran(ledger))


def test_ten_small_ones_are_a_large_one(ledger: Ledger) -> None:
    """What one person ran alone is added up; another person's is not."""
    for _ in range(3):
        lead(ledger, *APPROVED)
    lead(ledger, show_preview(), confirm(BOB), actor=BOB)

    assert (177, 59) == (ran(ledger), ran(ledger, actor=BOB))


def test_quotas_are_counted_apart(ledger: Ledger) -> None:
    """What was run on another account and quota does not count; a quota with another name forgets nothing."""
    other = requested()
    counted = []
    for changes in ({"quota": "other", "account": "other"}, {"quota": "other"}, {"account": "other"}):
        identity = ledger.order(NewEvent(kind=other.kind, actor=ANN, body={**other.body, **changes})).id
        for decision in APPROVED:
            ledger.decide(identity, decision)
        counted.append(ran(ledger))

    assert [0, 59, 118] == counted


def test_the_window_has_an_end(ledger: Ledger, clock: Clock) -> None:
    """What ended an hour ago no longer counts, a microsecond less still does."""
    lead(ledger, *TAKEN, verify(), finish())
    clock.at = NOW + HOUR - timedelta(microseconds=1)
    inside = ran(ledger)
    clock.at = NOW + HOUR

    assert (59, 0) == (inside, ran(ledger))


def test_what_is_not_over_counts_however_long_it_takes(ledger: Ledger, clock: Clock) -> None:
    """What waits for its start, or runs, is in the window whenever it was confirmed."""
    lead(ledger, *APPROVED)
    lead(ledger, *RUNNING)
    clock.at = NOW + 3 * HOUR

    assert 118 == ran(ledger)


def test_a_cancellation_does_not_count_against_itself(ledger: Ledger) -> None:
    """A cancellation's own devices are not added to it a second time."""
    state = ledger.state(lead(ledger, *APPROVED))

    assert state is not None
    assert 0 == ledger.ran_alone(state, window=HOUR)


def test_the_window_is_summed_within_the_confirmation(ledger: Ledger) -> None:
    """Two confirmations of 59 each: the second sees the first, and needs approval at a limit of 100."""
    first, second = lead(ledger, *WAITING), lead(ledger, *WAITING)

    def alone(state: State, now: datetime) -> Decided:
        return confirm(approval=Approval(above=100), ran_alone=ledger.ran_alone(state, window=HOUR))(state, now)

    phases = [made.phase for each in (first, second) if isinstance(made := ledger.decide(each, alone), State)]

    assert [Phase.APPROVED, Phase.WAITING_APPROVAL] == phases


def test_somebodys_latest(ledger: Ledger) -> None:
    """Somebody's own cancellations are found by an index, newest first, those without a card left out."""
    mine = [ledger.order(requested()).id for _ in range(3)]
    other = ledger.order(requested(actor=BOB)).id
    for number in (*mine[:2], other):
        ledger.decide(number, show_preview())
    plan = ledger._store.run(
        "explain query plan select state from cancellations where carded = 1 and requester = :who order by id desc",
        {"who": ANN},
    )

    assert [2, 1] == [state.id for state in ledger.latest_of(ANN, 5)]
    assert [2] == [state.id for state in ledger.latest_of(ANN, 1)]
    assert ["SEARCH cancellations USING INDEX cancellations_of (requester=?)"] == [row["detail"] for row in plan]
