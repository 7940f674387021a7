"""A ledger that an older version of the bot wrote is taken over: its events are read, its state rows folded anew."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Refusal
from bot.domain.events import Kind
from bot.domain.offer import CANCEL_JOB
from tests.builders import confirm, requested, show_preview
from tests.ledger.conftest import Open
from tests.ledger.raw import database


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
    with database(path) as older:
        older.execute("delete from forms")
        older.execute("update cancellations set state = '{\"id\": 1}'")

    assert [Kind.REQUESTED.value, Kind.PREVIEWED.value] == [event.kind for event in opened().story(1)]
    assert opened().honest(1)


def test_rows_of_this_form_are_left_alone(opened: Open, path: Path) -> None:
    """Rows in this version's form are not touched at the start: a forged one stays to be found by `verify`."""
    ledger = opened()
    ledger.order(requested())
    with database(path) as forged:
        forged.execute("update cancellations set state = replace(state, 'Checking', 'Approved')")

    assert not opened().honest(1)
