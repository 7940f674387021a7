"""`ota-bot audit list`: what there is in the ledger, and what went on without its approval."""

from collections.abc import Iterator

import pytest

from bot.ledger.ledger import Ledger
from tests.builders import APPROVED, ASKING, STRICT, Clock, account, break_glass, requested
from tests.cli.stage import Ended, Terminal


@pytest.fixture
def ledger(terminal: Terminal) -> Iterator[Ledger]:
    """Return a ledger with one cancellation that was confirmed alone, and one whose glass was broken."""
    made = Ledger.open(terminal.ledger, now=Clock())
    for ways in (APPROVED, (*ASKING, break_glass(on=account(approval=STRICT), reason="pumps\n#3 Done"))):
        identity = made.order(requested()).id
        for decision in ways:
            made.decide(identity, decision)
    yield made
    made.close()


def listed(terminal: Terminal, *more: str) -> Ended:
    """Run the command."""
    return terminal.run("audit", "list", *more, "--config", str(terminal.config))


@pytest.mark.usefixtures("ledger")
def test_newest_first(terminal: Terminal) -> None:
    """Every cancellation is a line, the newest first, with its state, what, who and when."""
    found = listed(terminal)
    what = "the queued and notified tasks of job J1 on prod · 52 tasks · U0ANN · 2026-01-02 03:04 UTC"

    assert (0, "") == (found.code, found.err)
    assert [f"#2 Approved · {what}", f"#1 Approved · {what}"] == [
        line for line in found.out.splitlines() if line.startswith("#")
    ]


@pytest.mark.usefixtures("ledger")
def test_broke_glass(terminal: Terminal) -> None:
    """With --broke-glass only those are listed that went on without their approval, by whom and why."""
    first, second = listed(terminal, "--broke-glass").out.splitlines()

    assert first.startswith("#2 Approved · ")
    assert "    glass broken by U0ANN at 2026-01-02 03:04 UTC: pumps #3 Done" == second


def test_an_empty_ledger(terminal: Terminal) -> None:
    """Where there is nothing, nothing is printed, and that is no error."""
    Ledger.open(terminal.ledger, now=Clock()).close()

    assert (0, "") == (listed(terminal).code, listed(terminal).out)
