"""Lists of devices as CSV files: which event brings one, and what is in it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.domain.cancellation import REPEATABLE, State
from bot.domain.events import Event, Kind
from bot.domain.leftover import MOVED_OR_OURS, Leftover, Names, absent, leftovers
from bot.domain.spreadsheet import line
from bot.domain.witness import DIGITS
from bot.domain.wording import number
from bot.slack.escape import code, safe
from bot.slack.message import Message

FEW: Final = 10
"""Devices that are named in a message; more are in a file."""
COLUMNS: Final = ("device", "job", "why", "call", "code", "message")
PLANNED: Final = ("device", "job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A file to attach."""

    name: str
    comment: str
    content: bytes
    instead: str = ""
    """What is said in its place, in mrkdwn, where Slack does not take it."""


def beside(event: Event, state: State, names: Names, story: Callable[[], Iterable[Event]]) -> Sheet | Message | None:
    """Return what an event adds to the thread about single devices, beside its reply.

    `names` and `story` read what the ledger has: a list of names, and all events of the cancellation.
    """
    if event.kind == Kind.PREVIEWED:
        return _left_out(state, names)
    if event.kind == Kind.CONFIRMED:
        return _planned(state, names)
    if event.kind == Kind.FINISHED:
        return _left_over(state, names, story)
    return None


def _left_out(state: State, names: Names) -> Sheet | Message | None:
    """Tell which of the named devices the plan leaves out."""
    rows = list(absent(state, names))
    if not rows:
        return None
    if len(rows) <= FEW:
        return Message(text=f"Left out, as there is nothing to cancel for them: {_named(rows)}.")
    comment = f"{number(len(rows))} of the devices named are left out, as there is nothing to cancel for them."
    return Sheet(name=f"left-out-{state.id}.csv", comment=comment, content=written(rows), instead=_first(rows))


def _planned(state: State, names: Names) -> Sheet | None:
    """Show whoever is asked to approve a plan that lists devices which they are."""
    if state.plan is None or not state.plan.by_name or not state.needs:
        return None
    rows = [Leftover(device=name, job=step.job, why="") for step in state.plan.steps for name in names(step.names)]
    comment = f"{number(len(rows))} devices are in the plan {code((state.digest or '')[:DIGITS])}; the file lists them."
    content = written(rows, PLANNED)
    return Sheet(name=f"planned-{state.id}.csv", comment=comment, content=content, instead=_first(rows))


def _left_over(state: State, names: Names, story: Callable[[], Iterable[Event]]) -> Sheet | None:
    """Tell which devices of a run that sends names were not cancelled, and why."""
    if state.plan is None or not state.plan.by_name:
        return None
    rows = list(leftovers(state, names, story()))
    if not rows:
        return None
    which = "1 device was" if len(rows) == 1 else f"{number(len(rows))} devices were"
    if any(row.why == MOVED_OR_OURS for row in rows):
        which = f"At most {which}"
    comment = f"{which} not cancelled; the file says why of each."
    instead = _first(rows)
    if state.phase in REPEATABLE:
        instead += " “Ask again” on the card orders what is left."
    return Sheet(name=f"not-cancelled-{state.id}.csv", comment=comment, content=written(rows), instead=instead)


def _first(rows: Sequence[Leftover]) -> str:
    more = len(rows) - FEW
    return f"They are {_named(rows[:FEW])}{f' and {number(more)} more' if more > 0 else ''}."


def _named(rows: Sequence[Leftover]) -> str:
    return ", ".join(code(row.device) for row in rows)


def unattached(sheet: Sheet, why: str) -> Message:
    """Say in a file's place that Slack does not take it, and what stands in it as far as a message holds that."""
    lines = f"{sheet.comment} I could not attach it: Slack answered {safe(why, 60)}."
    scope = " I lack the scope files:write: install me anew with manifest.yml." if why == "missing_scope" else ""
    return Message(text=f"{lines}{scope} {sheet.instead}".rstrip())


def written(rows: Iterable[Leftover], columns: Sequence[str] = COLUMNS) -> bytes:
    """Write devices as CSV in UTF-8."""
    cells = ([getattr(row, column) or "" for column in columns] for row in rows)
    return "".join(map(line, (columns, *cells))).encode("utf-8", "replace")
