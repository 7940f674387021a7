"""Once a day the ledger says where its chain stands, for the audit channel to keep."""

import pytest

from bot.ledger.ledger import CHECKPOINT_EVERY, Ledger
from tests.builders import OF_NOTHING, Clock
from tests.ledger.conftest import Open

DAY = CHECKPOINT_EVERY.total_seconds()


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """Return a ledger with its first event."""
    ledger.append(OF_NOTHING)
    return ledger


def test_an_empty_ledger_has_none(ledger: Ledger, clock: Clock) -> None:
    """Where nothing has happened there is nothing to witness."""
    clock.turn(10 * DAY)

    assert ledger.checkpoint() is None


def test_the_first_comes_a_day_after_the_first_event(begun: Ledger, clock: Clock) -> None:
    """It names the event before it and that one's digest, and it is chained like any other."""
    clock.turn(DAY - 1)
    assert begun.checkpoint() is None
    clock.turn(1)
    stored = begun.checkpoint()
    before = begun.events(after=0)[0]

    assert stored is not None
    assert (2, "bot", "checkpoint") == (stored.id, stored.actor, stored.kind)
    assert {"v": 1, "events": 1, "head": before.digest} == stored.body
    assert 2 == begun.verify().events


def test_one_a_day_is_enough(begun: Ledger, opened: Open, clock: Clock) -> None:
    """Of several processes that look, or of one that looks often, one records it, and the next day one does again."""
    other, made = opened(), []
    for _ in range(3 * 24):
        clock.turn(DAY / 24)
        made += [begun.checkpoint(), other.checkpoint()]

    assert 3 == sum(event is not None for event in made)
    assert [2, 3, 4] == [event.id for event in begun.events(after=1)]


def test_years_away_are_one_checkpoint(begun: Ledger, clock: Clock) -> None:
    """Days on which no bot ran are not made up for."""
    clock.turn(1000 * DAY)

    assert begun.checkpoint() is not None
    assert begun.checkpoint() is None
