"""The rows of an exported cancellation's sheets: what became of each device, and of each attempt."""

import csv
from collections import Counter
from dataclasses import replace
from datetime import datetime
from io import StringIO

import pytest

from bot.domain import decisions
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided
from bot.domain.fates import NOT_SENT, TAKEN, attempts, fates
from bot.domain.leftover import MOVED_ON, NOTHING_THERE
from bot.domain.order import CancelDevices, listed
from bot.domain.plan import freeze
from bot.domain.spreadsheet import line
from tests.builders import (
    ALONE,
    EVIDENCE,
    LARGE,
    MOVED,
    NAMED,
    NAMES,
    RUNNING,
    UNKNOWN,
    Life,
    confirm,
    finish,
    life_in,
    named,
    preview,
    record,
    requested,
    send,
    send_rest,
    show_names,
    skip,
    split,
    start_names,
)

MORE = (*NAMES, "pump-900")


def names(sha256: str | None) -> tuple[str, ...]:
    """Read a list."""
    return {listed(known).sha256: known for known in (NAMES, MORE)}.get(sha256 or "", ())


def found(life: Life) -> Counter[tuple[str, int | None]]:
    """Count the devices by what became of them."""
    return Counter((fate.why, fate.call) for fate in fates(life.state, names, life.events))


def test_each_device_once() -> None:
    """Each device has one row: taken, moved on, failed, not sent, or nothing there to begin with."""
    opening = requested(order=CancelDevices(names=MORE, job="J1"))
    life = Life(opening=opening).after(*NAMED, send_rest(1), record(), send_rest(2), record(MOVED, 2))
    life.after(split(2, moved=198), send_rest(4), record(call=4), skip(3), finish())

    assert {
        (TAKEN, 1): 200,
        (MOVED_ON, 2): 198,
        (TAKEN, 4): 1,
        (NOT_SENT, 5): 1,
        (MOVED_ON, 3): 50,
        (NOTHING_THERE, None): 1,
    } == found(life)


def test_two_jobs_with_one_list() -> None:
    """Of two jobs that list the same devices each device has a row for each, with that job's call."""
    order = CancelDevices(names=NAMES, product="P", firmware="F")
    seen = replace(preview(), reading=named(), others=(replace(preview().job, id="J2"),))

    def show(state: State, now: datetime) -> Decided:
        frozen = freeze(order, seen, LARGE, {"J1": NAMES, "J2": NAMES})
        return decisions.show_preview(
            state, now, preview=seen, plan=frozen, estimate=1, verdict=ALONE, account=LARGE, evidence=EVIDENCE
        )

    life = Life(opening=requested(order=order)).after(show, confirm(approval=LARGE.approval), start_names())
    for call in range(1, 7):
        life.after(send_rest(call), record(call=call))
    rows = fates(life.state, names, life.events)

    assert {("J1", 1): 200, ("J1", 2): 200, ("J1", 3): 50, ("J2", 4): 200, ("J2", 5): 200, ("J2", 6): 50} == Counter(
        (fate.job, fate.call) for fate in rows
    )


def test_before_the_start() -> None:
    """Before a start no device was sent."""
    assert {(NOT_SENT, None): 450} == found(Life().after(show_names()))


def test_without_names() -> None:
    """A plan that lists no devices has no rows."""
    assert {} == found(life_in(Phase.DONE))


def test_attempts() -> None:
    """Each end of an attempt is a row, and so is an attempt without one."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN), record(by="read"))
    first = ("CancelOTATaskByJob", "J1", 52, "2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:05.000000Z")

    assert [
        (1, 1, *first, "unknown", "NoAnswer", "timed out", ""),
        (1, 1, *first, "done", "", "", "R1"),
    ] == list(attempts(life.state, life.events))
    out = Life().after(*RUNNING, send())
    assert [(1, 1, *first[:-1], "", "", "", "", "")] == list(attempts(out.state, out.events))


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_spreadsheet_runs_nothing(first: str) -> None:
    """What looks like a formula begins with an apostrophe, and what does not is as it was."""
    written = line([f"{first}1+1", f"a{first}1", -1])

    assert [[f"'{first}1+1", f"a{first}1", "'-1"]] == list(csv.reader(StringIO(written, newline="")))


def test_a_line_of_a_sheet() -> None:
    """A cell with a comma, a quote or a line end is quoted; nothing is an empty cell, and 0 is 0."""
    assert 'a,,0,"a,""b","c\nd"\r\n' == line(["a", None, 0, 'a,"b', "c\nd"])
