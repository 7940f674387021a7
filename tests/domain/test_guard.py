"""What guards an account, and that a change of it is seen."""

import pytest

from bot.domain.account import Account, Approval
from bot.domain.events import canonical
from bot.domain.guard import changes, guard, guard_line
from tests.builders import ACCOUNT, account

LAX = account(approval=Approval(above=10_000, break_glass=("cli:ann",)), approvers=())


def test_the_first_start_changes_nothing() -> None:
    """Where nothing was known before, there is nothing to tell."""
    assert [] == list(changes("bot", {}, {"prod": guard(ACCOUNT)}))


def test_the_same_guard_changes_nothing() -> None:
    """A start with the same settings makes no event."""
    assert [] == list(changes("bot", {"prod": guard(ACCOUNT)}, {"prod": guard(ACCOUNT)}))


@pytest.mark.parametrize(
    "other",
    [
        LAX,
        account(requesters=("U0EVE",)),
        account(approvers=("U0EVE",)),
        account(channels=("C0OPS", "C0ELSE")),
        account(names_per_call=50),
        account(approval=Approval(people=2)),
        account(approval=Approval(always=())),
    ],
)
def test_each_change_is_an_event(other: Account) -> None:
    """Rules, people, channels and limits: whatever changes is one event with what was and what is."""
    (made,) = changes("cli:eve", {"prod": guard(ACCOUNT)}, {"prod": guard(other)})

    assert ("guard_changed", "cli:eve") == (made.kind, made.actor)
    assert ("prod", guard(ACCOUNT), guard(other)) == (made.body["account"], made.body["before"], made.body["after"])


def test_accounts_come_and_go() -> None:
    """An account that is new, or gone, is a change, too."""
    made = list(changes("bot", {"old": guard(ACCOUNT)}, {"new": guard(ACCOUNT)}))

    assert [("new", None), ("old", guard(ACCOUNT))] == [(each.body["account"], each.body["before"]) for each in made]


def test_it_is_told_in_a_sentence() -> None:
    """The line names each setting that changed, with what it was and what it is."""
    assert (
        "guard of prod changed: above from 100 to 10000; approvers from U0BOB to nobody;"
        " break_glass from nobody to cli:ann"
    ) == guard_line("prod", guard(ACCOUNT), guard(LAX))
    assert guard_line("prod", None, guard(ACCOUNT)).startswith("account prod is new: above 100, always in-progress,")


def test_it_can_be_written() -> None:
    """A guard holds nothing that the ledger cannot write, and no secret."""
    written = canonical(guard(ACCOUNT))

    assert ACCOUNT.key_secret.reveal() not in written
    assert ACCOUNT.key_id.reveal() not in written
