"""Lists of devices as CSV files: which event brings one, and what is in it. Pure.

RFC 4180 by the csv module. Spreadsheets run what looks like a formula, and names and messages come from elsewhere: such
cells begin with an apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Final

from bot.domain.cancellation import State
from bot.domain.events import Event, Kind
from bot.domain.leftover import Leftover, Names, leftovers
from bot.domain.order import CancelDevices
from bot.domain.wording import number
from bot.slack.escape import code, safe
from bot.slack.message import Message

FEW: Final = 10
"""Devices that are named in a message; more are in a file."""
COLUMNS: Final = ("device", "job", "why", "call", "code", "message")
NOTHING_THERE: Final = "had nothing that could be cancelled"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A file to attach."""

    name: str
    comment: str
    content: bytes


def beside(event: Event, state: State, names: Names) -> Sheet | Message | None:
    """Return what an event adds to the thread about single devices, beside its reply."""
    if event.kind == Kind.PREVIEWED:
        return _left_out(state, names)
    if event.kind == Kind.FINISHED:
        return _left_over(state, names)
    return None


def _left_out(state: State, names: Names) -> Sheet | Message | None:
    """Tell which of the named devices the plan leaves out."""
    order, plan = state.order, state.plan
    if not isinstance(order, CancelDevices) or order.listed is None or plan is None:
        return None
    sent = {name for step in plan.steps for name in names(step.names)}
    absent = [name for name in names(order.listed.sha256) if name not in sent]
    if not absent:
        return None
    if len(absent) <= FEW:
        return Message(text=f"Left out, as there is nothing to cancel for them: {', '.join(map(code, absent))}.")
    rows = [Leftover(device=name, job=plan.job, why=NOTHING_THERE) for name in absent]
    comment = f"{number(len(absent))} of the devices named are left out, as there is nothing to cancel for them."
    return Sheet(name=f"left-out-{state.id}.csv", comment=comment, content=written(rows))


def _left_over(state: State, names: Names) -> Sheet | None:
    """Tell which devices of a run that sends names were not cancelled, and why."""
    if state.plan is None or not state.plan.by_name:
        return None
    rows = list(leftovers(state, names))
    if not rows:
        return None
    which = "1 device was" if len(rows) == 1 else f"{number(len(rows))} devices were"
    comment = f"{which} not cancelled; the file says why of each."
    return Sheet(name=f"not-cancelled-{state.id}.csv", comment=comment, content=written(rows))


def unattached(sheet: Sheet, why: str) -> Message:
    """Say in a file's place that Slack does not take it, and where its lines are to be had."""
    lines = f"{sheet.comment} I could not attach it: Slack answered {safe(why, 60)}."
    scope = " I lack the scope files:write: install me anew with manifest.yml." if why == "missing_scope" else ""
    return Message(text=f"{lines}{scope} `ota-bot audit show` has what was sent in each call.")


def written(rows: Iterable[Leftover]) -> bytes:
    """Write devices as CSV in UTF-8."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_harmless(str(getattr(row, column) or "")) for column in COLUMNS])
    return text.getvalue().encode("utf-8", "replace")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
