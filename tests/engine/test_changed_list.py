"""A list of devices that somebody changed in the ledger's file is never sent, and the card says why."""

import sqlite3
from contextlib import closing

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError
from tests.engine.deadly import crash
from tests.engine.scene import ANN, OPS
from tests.engine.yard import DEVICES, Yard, Yards, pumps

CHANGED = "the list of devices in the ledger is not the one that was confirmed"
HANDS = ("update lists set names = replace(names, 'pump', 'tank')", "delete from lists")


def tamper(yard: Yard, statement: str) -> None:
    """Change the lists in the ledger's file."""
    with closing(sqlite3.connect(yard.ledger._store.path)) as connection, connection:
        connection.execute("drop trigger lists_are_not_changed")
        connection.execute("drop trigger lists_are_not_removed")
        connection.execute(statement)


def ended(yard: Yard, identity: int, owner: str = "two") -> State:
    """Have a process go on with it, and return what the ledger holds then; `verify` would cry about the list."""
    yard.process(owner).executor.run(identity)
    state = yard.ledger.state(identity)
    assert state is not None
    return state


@pytest.mark.parametrize("hand", HANDS)
def test_before_the_start_it_is_void(yards: Yards, hand: str) -> None:
    """Changed between the confirmation and the start, the cancellation is void at once, and nothing is sent."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    tamper(yard, hand)
    state = ended(yard, identity)

    assert (Phase.VOIDED, CHANGED, []) == (state.phase, state.why, yard.fleet.sent)


@pytest.mark.parametrize("hand", HANDS)
def test_within_a_run_it_ends(yards: Yards, hand: str) -> None:
    """Changed while a run is taken over, the run ends with what was sent until then; no other call is sent."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)

    def die(_sent: object) -> None:
        if len(yard.fleet.sent) >= 1:
            raise KeyboardInterrupt

    yard.fleet.play = die
    with pytest.raises(KeyboardInterrupt):
        yard.run(identity)
    sent = len(yard.fleet.sent)
    yard.fleet.play = lambda _sent: None
    tamper(yard, hand)
    yard.clock.turn(60)
    state = ended(yard, identity)

    assert (CHANGED, sent) == (state.why, len(yard.fleet.sent))
    assert state.phase in {Phase.PARTLY_DONE, Phase.FAILED}


@pytest.mark.parametrize("hand", HANDS)
def test_it_is_not_ordered_again(yards: Yards, hand: str) -> None:
    """What a changed list left over is not ordered again."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    tamper(yard, hand)
    ended(yard, identity)
    refusal = yard.one.presses.retry(identity, ANN, OPS, via="slack", in_time=lambda: True)

    assert isinstance(refusal, Refusal)
    assert "list of names" in refusal.reason
    assert yard.ledger.state(identity + 1) is None


FORGED = "update cancellations set state = replace(state, '\"pump-1\"', '\"tank-1\"'), requester = 'U0EVE'"


def test_a_forged_state_is_not_started(yards: Yards) -> None:
    """Whoever changes the state row of what was confirmed has nothing sent by it."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    tamper(yard, FORGED)

    with pytest.raises(LedgerError, match="is not what its events say"):
        ended(yard, identity)
    assert [] == yard.fleet.sent


def test_a_forged_state_is_not_taken_up(yards: Yards) -> None:
    """Nor is a run gone on with whose state row was changed while nobody had it."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    crash(yard, identity, at=1, side="after")
    tamper(yard, FORGED)
    yard.clock.turn(60)

    with pytest.raises(LedgerError, match="is not what its events say"):
        ended(yard, identity)
    assert [] == yard.fleet.sent
