"""What guards the accounts is kept from start to start, and a change of it is an event."""

from pathlib import Path

import pytest

from bot.domain.account import Approval
from bot.domain.errors import TamperedError
from bot.domain.guard import guard
from bot.ledger.ledger import Ledger
from tests.builders import ACCOUNT, account
from tests.ledger import raw

STRICT = {"prod": guard(ACCOUNT)}
LAX = {"prod": guard(account(approval=Approval(above=10_000)))}


def kinds(ledger: Ledger) -> list[tuple[str, str]]:
    """Return what happened, and by whom."""
    return [(event.kind, event.actor) for event in ledger.events(after=0)]


def test_the_first_start_is_no_change(ledger: Ledger) -> None:
    """A ledger that knew no guard takes what there is, and so does the next start with the same."""
    ledger.keep_guards("bot", STRICT)
    ledger.keep_guards("bot", STRICT)

    assert [] == kinds(ledger)


def test_each_change_is_an_event(ledger: Ledger) -> None:
    """Lowering the guard is an event of whoever started with it, raising it again is another."""
    ledger.keep_guards("bot", STRICT)
    ledger.keep_guards("cli:eve", LAX)
    ledger.keep_guards("bot", STRICT)

    assert [("guard_changed", "cli:eve"), ("guard_changed", "bot")] == kinds(ledger)
    assert 2 == ledger.verify().events


def test_an_account_that_is_gone(ledger: Ledger) -> None:
    """An account that is gone and comes back is two changes."""
    ledger.keep_guards("bot", {**STRICT, "other": guard(ACCOUNT)})
    ledger.keep_guards("bot", STRICT)
    ledger.keep_guards("bot", {**STRICT, "other": guard(ACCOUNT)})

    assert [("guard_changed", "bot")] * 2 == kinds(ledger)
    assert 2 == ledger.verify().events


@pytest.mark.parametrize("hand", ["delete from guards", "update guards set guard = replace(guard, '10000', '100')"])
def test_a_hand_in_the_table_is_seen(ledger: Ledger, path: Path, hand: str) -> None:
    """Who changes what is kept, so that the next start sees no change, is found out."""
    ledger.keep_guards("bot", STRICT)
    ledger.keep_guards("bot", LAX)
    with raw.forging(path) as connection:
        connection.execute(hand)

    with pytest.raises(TamperedError, match="guard kept of account prod"):
        ledger.verify()
