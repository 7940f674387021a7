"""What lies beside the chain, state rows and lists, is held against it."""

from pathlib import Path

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.errors import TamperedError
from bot.ledger.ledger import Ledger
from tests.builders import confirm, requested, show_preview
from tests.ledger.raw import forging


def waiting(ledger: Ledger) -> State:
    """Bring a cancellation to where its requester is asked."""
    ledger.order(requested())
    state = ledger.decide(1, show_preview())
    assert isinstance(state, State)
    return state


def test_a_forged_state_is_found(ledger: Ledger, path: Path) -> None:
    """A state row that says more than its events is named by `verify`, though the chain itself holds."""
    waiting(ledger)
    with forging(path) as forged:
        forged.execute(
            "update cancellations set state = replace(state, :now, :then)",
            {"now": Phase.WAITING_CONFIRMATION.value, "then": Phase.APPROVED.value},
        )

    with pytest.raises(TamperedError, match="the state row of #1 is not what its events say"):
        ledger.verify()


def test_honest_rows_hold(ledger: Ledger) -> None:
    """State rows and lists that nobody touched are content with the chain."""
    waiting(ledger)
    ledger.keep_list(("pump-1", "pump-2"))
    ledger.decide(1, confirm())

    assert 3 == ledger.verify().events


def test_a_changed_list_is_found(ledger: Ledger, path: Path) -> None:
    """A list of names that was changed does not have its SHA-256 any more, and `verify` names it."""
    key = ledger.keep_list(("pump-1", "pump-2"))
    with forging(path) as forged:
        forged.execute("update lists set names = 'pump-9'")

    with pytest.raises(TamperedError, match=f"the list {key} does not have that SHA-256"):
        ledger.verify()
