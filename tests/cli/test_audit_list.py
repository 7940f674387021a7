"""`ota-bot audit list`: what there is in the ledger, and what somebody looks for in it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from bot.cli import tables
from bot.domain.cancellation import State
from bot.domain.order import CancelJob
from bot.ledger.ledger import Ledger
from tests.builders import Clock, requested
from tests.cli.auditing import CONFIG, Auditor
from tests.cli.stage import Ended, Terminal

WHAT = "the queued and notified tasks of job J1 on prod · 52 tasks"
GLASS = f"#3 Approved · {WHAT} · U0BOB · 2026-01-03 04:11 UTC · glass broken"
LARGE = "#2 Partly done · 450 devices of job J1 on prod · 450 tasks · U0ANN · 2026-01-02 04:04 UTC"
SMALL = f"#1 Done · {WHAT} · U0ANN · 2026-01-02 03:04 UTC"
BROKEN = "    glass broken by U0BOB at 2026-01-03 04:11 UTC: they burn"
DARK = (
    "Not looked at: 2 that match otherwise. They were ordered by job and name no devices, so the ledger does not say"
    " whether {} was among them.\n"
)


def ids(found: Ended) -> list[int]:
    """Return which were listed."""
    return [int(line.split()[0][1:]) for line in found.out.splitlines() if line.startswith("#")]


def test_newest_first(auditor: Auditor) -> None:
    """Every cancellation is a line, the newest first, with its state, what, who and when."""
    found = auditor.audit("list")

    assert Ended(code=0, out=f"{GLASS}\n{BROKEN}\n{LARGE}\n{SMALL}\n", err="") == found


def test_broke_glass(auditor: Auditor) -> None:
    """With --broke-glass only those are listed that went on without their approval, by whom and why."""
    assert Ended(code=0, out=f"{GLASS}\n{BROKEN}\n", err="") == auditor.audit("list", "--broke-glass")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--account prod", [3, 2, 1]),
        ("--person U0ANN", [2, 1]),
        ("--person U0LEA", [2]),
        ("--person U0BOB", [3]),
        ("--job J1", [3, 2, 1]),
        ("--state done", [1]),
        ("--state DONE --state Partly-Done", [2, 1]),
        ("--since 2026-01-03", [3]),
        ("--until 2026-01-02", [2, 1]),
        ("--until 2026-01-02T03:59", [1]),
        ("--since 2026-01-02T11:30+08:00 --until 2026-01-02", [2]),
        ("--person U0ANN --state done --account prod --job J1", [1]),
        ("--device pump-007", [2]),
    ],
)
def test_what_is_looked_for(auditor: Auditor, words: str, found: list[int]) -> None:
    """All that is given has to be so; a date includes its whole day."""
    assert found == ids(auditor.audit("list", *words.split()))


@pytest.mark.parametrize(
    "words", ["--account nowhere", "--person U0NOBODY", "--job J", "--state failed", "--broke-glass --person U0LEA"]
)
def test_nothing_matches(auditor: Auditor, words: str) -> None:
    """What matches nothing says so, and is no error."""
    assert Ended(code=0, out="", err="Nothing in the ledger matches.\n") == auditor.audit("list", *words.split())


def test_a_device_that_a_job_may_have_had(auditor: Auditor) -> None:
    """Of cancels by job the ledger cannot say which devices they hit: once, and of those that match otherwise."""
    found = auditor.audit("list", "--device", "pump-007")

    assert (f"{LARGE}\n", DARK.format("pump-007")) == (found.out, found.err)
    assert "1 that match" in auditor.audit("list", "--device", "pump-007", "--person", "U0ANN").err


@pytest.mark.parametrize("device", ["pump-00", "PUMP-007", "pump-%", "pump_007", "007"])
def test_no_such_device(auditor: Auditor, device: str) -> None:
    """A device is found by its whole name."""
    assert [] == ids(auditor.audit("list", "--device", device))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--state finished", "there is no state “finished”: the nearest is "),
        ("--since yesterday", "“yesterday” is no date or time as ISO 8601 writes it"),
        ("--until 2026-02-30", "“2026-02-30” is no date or time as ISO 8601 writes it"),
    ],
)
def test_wrong_words(auditor: Auditor, words: str, said: str) -> None:
    """A wrong word is a usage error that says what was expected."""
    found = auditor.audit("list", *words.split())

    assert (2, "") == (found.code, found.out)
    assert said in found.err


def test_an_empty_ledger(terminal: Terminal) -> None:
    """Where there is nothing it is said beside the output, and that is no error; as a process of its own."""
    Ledger.open(terminal.ledger, now=Clock()).close()

    assert Ended(code=0, out="", err="The ledger has no cancellations.\n") == terminal.run(
        "audit", "list", "--config", str(terminal.config)
    )


# --- on a terminal -------------------------------------------------------------------------------------------------


def drawn(auditor: Auditor, width: int) -> str:
    """Return the table as a terminal of a width shows it."""
    shown = StringIO()
    terminal = Console(file=shown, width=width, force_terminal=True, markup=False, emoji=False, highlight=False)
    tables.print_list(auditor.ledger.every(), terminal)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())


@pytest.mark.parametrize("width", [70, 80, 100, 140, 200])
def test_a_table(auditor: Auditor, width: int) -> None:
    """On a terminal there is a table that fits its width and keeps every word."""
    shown = drawn(auditor, width)
    columns = [" ".join(column.split()) for column in _columns(shown)]

    assert max(map(len, shown.splitlines())) <= width
    assert ["#", "state", "what", "account", "devices"] == [column.split()[0] for column in columns[:5]]
    assert columns[7].replace(" ", "").endswith("<http://wiki/[red]INC-7|INC-7>nightwindow")
    assert "theyburn" in columns[7].replace(" ", "")


def _columns(shown: str) -> list[str]:
    """Cut a table into its columns, by where their names stand."""
    lines = shown.splitlines()
    head = next(line for line in lines if "account" in line)
    names = ("#", "state", "what", "account", "devices", "asked", "when", "why")
    if "asked" not in head:  # at some widths the name of the column takes two lines
        names = ("#", "state", "what", "account", "devices", "by", "when", "why")
    starts = [head.index(name) for name in names]
    return [
        "\n".join(line[start:end] for line in lines) for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]


def test_what_people_wrote_steers_nothing(auditor: Auditor) -> None:
    """Neither markup nor what steers a terminal works in people's words."""
    auditor.ledger.order(requested(order=CancelJob(job="J2"), reason="[bold]a[/bold]\x1b[2Jb :smile:\u202e"))
    shown = " ".join(drawn(auditor, 200).split())

    assert "[bold]a[/bold]�[2Jb :smile:�" in shown


def test_piped_words_steer_nothing(auditor: Auditor) -> None:
    """What is piped may end on a terminal: a job that was typed with a control character is shown without it."""
    auditor.ledger.order(requested(order=CancelJob(job="J2\x1b[2J")))

    assert "batch J2�[2J" in auditor.audit("list").out


def test_page_after_page(auditor: Auditor) -> None:
    """A table comes as soon as its rows are found, and all look alike."""
    short, read = auditor.ledger.rebuilt(1), list[int]()

    def found() -> Iterator[State]:
        for number in range(1200, 950, -1):
            read.append(number)
            yield replace(short, id=number, account="a" if number > 1100 else "a-much-longer-name-of-an-account")

    pages = tables.list_tables(found(), 100)
    first = next(pages)

    assert tables.PAGE == len(read) == first.row_count
    rest = list(pages)
    assert [100, 50] == [table.row_count for table in rest]
    assert 1 == len({tuple(column.width for column in table.columns) for table in (first, *rest)})


def test_an_id_stays_whole(auditor: Auditor) -> None:
    """At 100 columns and more neither a job's id of Alibaba Cloud nor a person's of Slack is broken."""
    job, person = "XUbmsMHmkqv0PiAG8xyz010001", "U0123456789"
    auditor.ledger.order(requested(order=CancelJob(job=job), actor=person))

    assert [] == [width for width in (100, 120, 200) if {job, person} - {*drawn(auditor, width).split()}]


def test_nothing_is_drawn_of_nothing() -> None:
    """Where nothing is found there is no table."""
    assert [] == list(tables.list_tables([], 80))


def test_no_secret_is_needed(auditor: Auditor) -> None:
    """The config's secrets are nowhere, and the ledger is read all the same."""
    assert "NOT_HERE" in CONFIG
    assert 0 == auditor.audit("list").code
