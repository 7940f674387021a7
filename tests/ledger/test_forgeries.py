"""History that somebody rewrote so that every digest holds is still not history: each decision is replayed."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from bot.domain.account import Approval
from bot.domain.approval import remind
from bot.domain.errors import TamperedError
from bot.domain.guard import guard
from bot.ledger.chain import walk
from bot.ledger.ledger import Ledger
from bot.ledger.proof import Verified
from tests.builders import DEVICES, NAMES, Clock, account, requested
from tests.cli.large import GUARDED, LARGE_ONE, decide, fill
from tests.ledger import raw
from tests.ledger.forger import Forger, Forgery
from tests.ledger.forgeries import FORGERIES, nobodys_vote


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger with a small cancellation, a large one that was approved, and one that broke the glass."""
    path, clock = tmp_path_factory.mktemp("filled") / "ota-bot.db", Clock()
    ledger = Ledger.open(path, now=clock)
    fill(ledger, clock)
    ledger.close()
    return path


@pytest.fixture
def forger(filled: Path, tmp_path: Path) -> Forger:
    """Return somebody with a copy of it."""
    return Forger(Path(shutil.copy(filled, tmp_path)))


def verified(path: Path) -> Verified:
    """Verify a ledger as an auditor does."""
    ledger = Ledger.open(path, now=Clock(), readonly=True)
    try:
        return ledger.verify()
    finally:
        ledger.close()


def fault(path: Path) -> str:
    """Return what is wrong with a ledger."""
    with pytest.raises(TamperedError) as found:
        verified(path)
    return found.value.message


def test_what_is_rewritten_as_it_was_holds(forger: Forger) -> None:
    """What the forger writes is a ledger: untouched, it verifies, with its approval, its calls and its lists."""
    forger.write()
    found = verified(forger.path)

    assert (3, 1, 7, 1) == (found.cancellations, found.replayed.approvals, found.replayed.sendings, found.lists)
    assert len(forger.rows) == found.events


# --- without the digests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["cancellation", "seq", "at", "actor", "kind", "body", "digest"])
def test_an_edit_of_any_column_of_any_event_is_named(filled: Path, column: str) -> None:
    """Whatever column of whichever event is changed, verification names that event."""
    rows = raw.rows(filled)
    named = []
    for row in rows:
        value = row[column]
        changed = value[:-2] + ("x" if value[-2] != "x" else "y") + value[-1] if isinstance(value, str) else 77
        named.append(broken([*rows[: row["id"] - 1], {**row, column: changed}, *rows[row["id"] :]]))

    assert [row["id"] for row in rows] == named


def test_a_deleted_row_is_named(filled: Path) -> None:
    """Whichever event is taken out of the middle, verification names it."""
    rows = raw.rows(filled)

    assert [row["id"] for row in rows[:-1]] == [broken([each for each in rows if each != row]) for row in rows[:-1]]


def test_a_swapped_pair_is_named(filled: Path) -> None:
    """Whichever neighbours change places, verification names the first of them."""
    rows, named = raw.rows(filled), []
    for index in range(len(rows) - 1):
        one, other = ({**rows[index + 1], "id": index + 1}, {**rows[index], "id": index + 2})
        named.append(broken([*rows[:index], one, other, *rows[index + 2 :]]))

    assert list(range(1, len(rows))) == named


def broken(rows: list[raw.Row]) -> int | None:
    """Return the event at which a chain does not hold."""
    with pytest.raises(TamperedError) as found:
        for _ in walk(rows):
            pass
    return found.value.event


# --- with every digest made anew -----------------------------------------------------------------------------------


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.__name__)
def test_a_forged_decision_is_named(forger: Forger, forgery: Forgery) -> None:
    """Every digest holds, and the event that the rules did not allow is named, with the reason."""
    forgery(forger)
    forger.write()
    kind, reason = FORGERIES[forgery]
    said = fault(forger.path)
    event = int(said.removeprefix("event ").split(":")[0])

    assert kind == raw.one(forger.path, f"select kind from events where id = {event}")  # noqa: S608
    assert reason in said


def test_a_late_approval_is_named(forger: Forger) -> None:
    """An approval that came when the half hour was over is no approval, though all digests hold."""
    forger.delay(forger.of("approved"), 1)
    forger.write()

    assert "approved came after its deadline" in fault(forger.path)


# --- lists ---------------------------------------------------------------------------------------------------------


def of_lists(forger: Forger, statement: str) -> str:
    """Change the lists, and return what is wrong with the ledger then."""
    with raw.forging(forger.path) as file:
        file.execute(statement)
    return fault(forger.path)


def refold(path: Path) -> None:
    """Make the state rows anew, as the events now say."""
    with raw.forging(path) as file:
        file.execute("delete from forms")
    Ledger.open(path, now=Clock()).close()


def test_a_missing_list_is_named(forger: Forger) -> None:
    """A list that an order names and that is not there is named, and so is the order."""
    assert "that #2 names is not in the ledger" in of_lists(forger, "delete from lists")


def test_a_changed_list_is_named(forger: Forger) -> None:
    """A list with other names has another SHA-256."""
    changed = "update lists set names = replace(names, 'pump-001', 'pump-999')"

    assert "does not have that SHA-256" in of_lists(forger, changed)


def test_a_list_of_another_length_is_named(forger: Forger) -> None:
    """An order that says of its list that it has fewer names is named."""
    forger.of("requested")["body"]["order"]["listed"]["count"] = 449
    forger.write()
    refold(forger.path)

    assert "has 449 devices, and it has 450" in fault(forger.path)


def test_a_plan_with_other_devices_is_named(forger: Forger) -> None:
    """A plan may list some of the devices that were ordered, and no others."""
    few = "pump-001\npump-002"
    key = sha256(few.encode()).hexdigest()
    forger.of("requested")["body"]["order"]["listed"] = {"sha256": key, "count": 2}
    forger.write()
    with raw.forging(forger.path) as file:
        file.execute("insert into lists values (?, ?)", (key, few))
    refold(forger.path)

    assert "the plan of #2 lists devices that were not ordered" in fault(forger.path)


# --- rules ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Forger:
    """Return somebody with a ledger on which a bot has started, and a large order went on with approval."""
    path, clock = tmp_path / "ota-bot.db", Clock()
    ledger = Ledger.open(path, now=clock)
    ledger.keep_guards("bot", {"prod": guard(GUARDED)})
    identity = ledger.order(requested(order=DEVICES), names=NAMES).id
    for decision in LARGE_ONE:
        clock.turn(301 if decision is remind else 7)
        decide(ledger, identity, decision)
    ledger.close()
    return Forger(path)


@pytest.mark.parametrize("rule", [{"above": 10**6}, {"approvers": ["U0EVE", "S0LEADS"]}])
def test_rules_that_an_account_never_had_are_named(guarded: Forger, rule: dict[str, object]) -> None:
    """Rules that are in no guard of the account, as the bot's starts have kept them, are no rules."""
    assert 1 == verified(guarded.path).cancellations
    for kind in ("confirmed", "approved", "started"):
        guarded.of(kind, cancellation=1)["body"]["policy"] |= rule
    guarded.write()
    event = raw.one(guarded.path, "select id from events where kind = 'confirmed'")
    refold(guarded.path)

    assert f"event {event}: account prod never had the rules it names" == fault(guarded.path)


def test_rules_that_an_account_had_before_are_right(guarded: Forger) -> None:
    """A config that changed since takes nothing from what was decided by the old one."""
    ledger = Ledger.open(guarded.path, now=Clock())
    for above in (5, 7):
        ledger.keep_guards("bot", {"prod": guard(account(approval=Approval(above=above)))})
    ledger.close()

    assert 1 == verified(guarded.path).cancellations


@pytest.mark.parametrize("kept", ["{", b"\x00", "[" * 100_000])
def test_a_guard_that_cannot_be_read_is_named(guarded: Forger, kept: object) -> None:
    """What is kept of the guards has to be what the bot writes."""
    with raw.forging(guarded.path) as file:
        file.execute("update guards set guard = ?", (kept,))

    assert "what is kept of the accounts' guards cannot be read" == fault(guarded.path)


# --- by two processes ----------------------------------------------------------------------------------------------


def beside(path: Path) -> Verified:
    """Verify a ledger as one with very many events: its chain is walked by a process of its own."""
    ledger = Ledger.open(path, now=Clock(), readonly=True)
    try:
        return ledger._proof.verify(many=1)
    finally:
        ledger.close()


def test_two_processes_find_the_same(filled: Path) -> None:
    """What two processes find together is what one finds."""
    assert verified(filled) == beside(filled)


def test_a_fault_of_the_chain_comes_first(forger: Forger) -> None:
    """Where both the chain and a decision are wrong, the chain's first fault is named, as by one process."""
    nobodys_vote(forger)
    forger.write()
    with raw.forging(forger.path) as file:
        file.execute("update events set actor = 'U0EVE' where id = 30")
    with pytest.raises(TamperedError) as found:
        beside(forger.path)

    assert (fault(forger.path), 30) == (found.value.message, found.value.event)


def test_what_cannot_be_read_is_the_chains_fault(forger: Forger) -> None:
    """An event that cannot even be replayed is named by the chain's walk."""
    with raw.forging(forger.path) as file:
        file.execute("update events set body = '{' where id = 5")
    with pytest.raises(TamperedError, match="event 5: its body is not JSON"):
        beside(forger.path)


def test_a_forged_decision_is_named_by_two(forger: Forger) -> None:
    """A decision that the rules did not allow is named though the chain holds."""
    nobodys_vote(forger)
    forger.write()
    with pytest.raises(TamperedError, match="who was not entitled"):
        beside(forger.path)
