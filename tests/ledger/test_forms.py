"""A ledger that an older version of the bot wrote is taken over: its events are read, its state rows folded anew."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bot.domain.cancellation import FORM, Phase, State
from bot.domain.decisions import Decided, Refusal
from bot.domain.errors import TamperedError
from bot.domain.events import Kind
from bot.domain.offer import CANCEL_JOB
from tests.builders import confirm, requested, show_preview
from tests.ledger.conftest import Open
from tests.ledger.raw import forging


def older_preview(state: State, now: datetime) -> Decided:
    """Freeze a plan as version 1 wrote it: one operation, no steps."""
    decided = show_preview()(state, now)
    assert not isinstance(decided, Refusal)
    written = []
    for event in decided:
        plan = dict(event.body["plan"])
        for name in ("verb", "per_call", "steps"):
            del plan[name]
        old = {**plan, "v": 1, "operation": CANCEL_JOB, "names": None}
        written.append(replace(event, body={**event.body, "plan": old}))
    return tuple(written)


def test_an_older_plan_goes_on(opened: Open) -> None:
    """A plan of version 1 is read as one call by job, so that what waited through an upgrade can be confirmed."""
    ledger = opened()
    ledger.order(requested())
    ledger.decide(1, older_preview)
    confirmed = ledger.decide(1, confirm())

    assert isinstance(confirmed, State)
    assert confirmed.plan is not None
    assert (Phase.APPROVED, 1, CANCEL_JOB) == (confirmed.phase, confirmed.plan.calls, confirmed.plan.operation)


def test_older_state_rows_are_folded_anew(opened: Open, path: Path) -> None:
    """State rows in another form than this version's are replaced by the fold of their events when it opens."""
    ledger = opened()
    ledger.order(requested())
    ledger.decide(1, older_preview)
    with forging(path) as older:
        older.execute("delete from forms")
        older.execute("update cancellations set state = '{\"id\": 1}'")

    assert [Kind.REQUESTED.value, Kind.PREVIEWED.value] == [event.kind for event in opened().story(1)]
    assert opened().honest(1)


def older_ledger(opened: Open, path: Path) -> None:
    """Leave a ledger as an older version of the bot did, its state rows in that version's form."""
    opened().order(requested())
    with forging(path) as older:
        older.execute("delete from forms")
        older.execute("update cancellations set state = '{\"id\": 1}', due = null, alone = 9")


OLDER = (
    "update forms set form = 1",
    "delete from forms",
    "drop table forms; delete from migrations where name = '0006_forms'",
)
"""How the file says that its rows are in an older form; the last as before there were forms."""


@pytest.mark.parametrize("before", OLDER)
def test_rows_from_before_an_upgrade_are_no_tampering(opened: Open, path: Path, before: str) -> None:
    """Between an upgrade and its first start `verify` holds the chain, and says that the rows are older."""
    older_ledger(opened, path)
    with forging(path) as older:
        older.executescript(before)
    found = opened(readonly=True).verify()

    assert (1, True) == (found.events, found.older)


@pytest.mark.parametrize("before", OLDER)
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update events set actor = 'U0EVE'", "event 1"),
        ("insert into lists (sha256, names) values ('ab', 'pump-1')", "the list ab"),
        ("update cancellations set id = 7", "the state row of #7"),
    ],
)
def test_tampering_from_before_an_upgrade_is_found(
    opened: Open, path: Path, before: str, statement: str, named: str
) -> None:
    """In an older form, too, a changed event, a changed list and a row that no event opened are found."""
    older_ledger(opened, path)
    with forging(path) as older:
        older.executescript(before)
        older.execute(statement)

    with pytest.raises(TamperedError, match=named):
        opened(readonly=True).verify()


def test_after_the_first_start_the_rows_are_held(opened: Open, path: Path) -> None:
    """The first start makes the rows anew, and from then on they are held against their events again."""
    older_ledger(opened, path)
    opened()

    assert not opened(readonly=True).verify().older


@pytest.mark.parametrize("others", [(FORM + 1,), (FORM - 1,), (FORM - 1, FORM + 1)])
@pytest.mark.parametrize("also", [True, False])
def test_rows_of_another_version_are_folded_anew(
    opened: Open, path: Path, others: tuple[int, ...], *, also: bool
) -> None:
    """Whoever goes to another version and back has the rows folded into his own form, whichever forms are listed."""
    opened().order(requested())
    with forging(path) as newer:
        newer.executemany("insert into forms (form) values (?)", [(form,) for form in others])
        newer.execute("delete from forms where form = :form and not :also", {"form": FORM, "also": also})
        newer.execute("update cancellations set state = '{\"id\": 1}'")

    assert opened().honest(1)
    assert not opened(readonly=True).verify().older


def test_rows_of_this_form_are_left_alone(opened: Open, path: Path) -> None:
    """Rows in this version's form are not touched at the start: a forged one stays to be found by `verify`."""
    ledger = opened()
    ledger.order(requested())
    with forging(path) as forged:
        forged.execute("update cancellations set state = replace(state, 'Checking', 'Approved')")

    assert not opened().honest(1)
