"""Cancellations and their stories as they are read: rich tables on a terminal, plain lines where it is piped."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bot.cli.shown import printable, say
from bot.domain.cancellation import State
from bot.domain.errors import Error
from bot.domain.events import BOT
from bot.domain.run_story import figures
from bot.domain.story import Line
from bot.domain.wording import job_line, number, on_one_line, one_line, ordered_again, target

Facts = Sequence[tuple[str, str]]
"""What stands above a story: names and what they are."""
PAGE: Final = 100
"""Rows of a table."""
_LEAST: Final = {
    "#": 2,
    "state": 8,
    "what": 8,
    "account": 7,
    "devices": 7,
    "asked by": 6,
    "when, UTC": 10,
    "why": 5,
}
"""The columns of a list, and how wide each is at least: a date is never broken."""
_WISHES: Final = (
    ("why", 10),
    ("what", 26),  # a job's id of Alibaba Cloud
    ("asked by", 11),  # a person's of Slack
    ("state", 12),
    ("devices", 9),
    ("account", 10),
    ("why", 24),
    ("what", 44),
    ("when, UTC", 16),
)
"""Which columns grow, in this order, and how far; the rest is for the last."""


@contextmanager
def printing() -> Iterator[Console | None]:
    """Return the terminal to draw on, `None` where the output is piped; whoever reads it may stop reading."""
    try:
        yield Console(markup=False, emoji=False, highlight=False) if sys.stdout.isatty() else None
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
    except OSError as error:
        _write_nowhere()
        raise Error(f"The output could not be written: {error.strerror}.", advice="It is not whole.") from error


def _write_nowhere() -> None:
    """Have what is left in the buffer go nowhere: as the interpreter ends it flushes once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_list(states: Iterable[State], console: Console | None) -> None:
    """Print cancellations, one after the other."""
    if console is not None:
        for table in list_tables(states, console.width):
            console.print(table)
        return
    for state in states:
        say(one_line(state))
        if state.broke_glass is not None:
            say(f"    {glass(state)}")


def print_story(facts: Facts, story: Iterable[Line], console: Console | None) -> None:
    """Print one cancellation's story under what it is about."""
    if console is not None:
        console.print(facts_table(facts), story_table(story), sep="\n")
        return
    for text in (*plain_facts(facts), "", *map(plain_line, story)):
        say(text)


# --- plain ---------------------------------------------------------------------------------------------------------


def facts(state: State) -> Facts:
    """Return what a cancellation is, as it stands."""
    order = state.order
    place = f"in channel {state.channel}" if state.channel else f"at a {state.via}"
    again = ("again", ordered_again(state.retried_as)) if state.retried_as else ("", "")
    shown = (
        ("state", state.phase.value),
        ("order", target(order)),
        ("job", job_line(state.preview, status=False) if state.preview else ""),
        ("account", _account(state)),
        ("asked by", f"{state.requester} {place}, {when(state.at)}"),
        ("why", on_one_line(order.reason) if order.reason else "no reason was given"),
        ("approved by", ", ".join(f"{vote.actor}, {when(vote.at)}" for vote in state.votes)),
        ("plan", state.digest or "none"),
        ("figures", figures(state.run) if state.run else "nothing was sent"),
        ("ended", _ended(state)),
        again,
        ("glass", glass(state)),
    )
    return [("cancellation", f"#{state.id}"), *(fact for fact in shown if fact[1])]


def _account(state: State) -> str:
    """Return the account, and the cloud and endpoint that the plan was made for."""
    plan = state.plan
    return f"{state.account} ({plan.cloud}, {plan.endpoint})" if plan else state.account


def _ended(state: State) -> str:
    """Say when it ended, and where that is not told by the figures, by whom and why."""
    if state.ended is None:
        return ""
    who = f" by {state.ended_by}" if state.ended_by not in {None, BOT} else ""
    return f"{when(state.ended)}{who}{f', because {on_one_line(state.why)}' if state.why else ''}"


def glass(state: State) -> str:
    """Say who went on without approval, and why; nothing where nobody did."""
    mark = state.broke_glass
    return f"glass broken by {mark.actor} at {mark.at:%Y-%m-%d %H:%M} UTC: {on_one_line(mark.reason)}" if mark else ""


def plain_facts(facts: Facts) -> list[str]:
    """Return facts as lines."""
    return [f"{name:<13} {value}" for name, value in facts]


def plain_line(line: Line) -> str:
    """Return a story's line with its event, time and actor."""
    event = line.event
    return f"event {event.id}  {when(event.at)}  {on_one_line(event.actor)}  {line.text}"


def when(at: datetime) -> str:
    """Write a time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# --- drawn ---------------------------------------------------------------------------------------------------------


def list_tables(states: Iterable[State], width: int) -> Iterator[Table]:
    """Draw cancellations, newest first, as tables of PAGE rows that look alike on a terminal of `width` columns.

    Each comes as soon as its rows are found, so the widths are those of the terminal, whatever the later rows hold.
    """
    rest, widths = iter(states), dict[str, int]()
    while page := list(islice(rest, PAGE)):
        widths = widths or _widths(width, len(str(page[0].id)))
        yield _list_table(page, widths)


def _widths(width: int, digits: int) -> dict[str, int]:
    """Share a terminal's width out among the columns of a list: what each needs, and then what does it most good."""
    widths = {**_LEAST, "#": max(digits, _LEAST["#"])}
    spare = width - sum(widths.values()) - 2 * len(widths) - 1  # each has a space and a gap; the last gap is an edge
    for name, wish in (*_WISHES, ("why", width)):
        more = max(0, min(wish - widths[name], spare))
        widths[name] += more
        spare -= more
    return widths


def _list_table(states: Iterable[State], widths: Mapping[str, int]) -> Table:
    """Draw a page of cancellations."""
    numbers = {"#", "devices"}
    columns = (
        Column(name, width=width, overflow="fold", justify="right" if name in numbers else "left")
        for name, width in widths.items()
    )
    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for state in states:
        touches = state.plan is not None and bool(state.plan.statuses)
        why = "\n".join(filter(None, (on_one_line(state.order.reason or ""), glass(state))))
        cells = (
            str(state.id),
            state.phase.value,
            target(state.order),
            state.account,
            number(state.size) if touches else "",
            state.requester,
            f"{state.at:%Y-%m-%d %H:%M}",
            why,
        )
        table.add_row(*map(_text, cells))
    return table


def facts_table(facts: Facts) -> Table:
    """Draw facts, one under the other."""
    table = Table.grid(Column(style="bold", no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in facts:
        table.add_row(_text(name), _text(value))
    return table


def story_table(story: Iterable[Line]) -> Table:
    """Draw a story, an event a row."""
    table = Table(
        Column("event", justify="right", no_wrap=True),
        Column("when, UTC", min_width=10),
        Column("who", overflow="fold"),
        Column("what", ratio=1, overflow="fold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        expand=True,
    )
    for line in story:
        event = line.event
        cells = (str(event.id), f"{event.at:%Y-%m-%d %H:%M:%S}", event.actor, line.text)
        table.add_row(*map(_text, cells))
    return table


def _text(words: str) -> Text:
    """Return what people and clouds wrote as it is: nothing in it is markup, and nothing steers the terminal."""
    return Text(printable(words))
