"""What docs/datasette.yml makes of a ledger in Datasette, and the views that it tells of.

Datasette: https://docs.datasette.io/en/stable/metadata.html
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest
import yaml
from datasette.app import Datasette

from bot.ledger.ledger import Ledger
from tests.builders import Clock
from tests.house.tree import ROOT
from tests.ledger import varied

METADATA: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "datasette.yml").read_text())
SHOWN: Final[dict[str, Any]] = METADATA["databases"]["ota-bot"]
TOLD: Final = {name: told for name, told in SHOWN["tables"].items() if not told.get("hidden")}
ASKED: Final = {
    "who_approved_what": {"person": "U0LEA"},
    "broke_glass": {},
    "person": {"person": "U0ANN", "since": "2026-01-03", "until": "2026-01-03"},
    "device": {"device": "pump-117"},
    "failed_calls": {},
}
"""What each query is asked with."""


class Reply(NamedTuple):
    """What Datasette answered: the HTTP status, and the page or the rows."""

    status: int
    content: Any


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasette") / "ota-bot.db"


@pytest.fixture(scope="module")
def ledger(path: Path) -> Iterator[Ledger]:
    """Return a filled ledger whose bot still has it open."""
    clock = Clock()
    with closing(Ledger.open(path, now=clock)) as opened:
        varied.fill(opened, clock)
        yield opened


@pytest.fixture(scope="module")
def replies(ledger: Ledger, path: Path) -> dict[str, Reply]:
    """Return what one Datasette answers to everything that these tests ask."""
    del ledger
    tables = [f"/ota-bot/{name}" for name in TOLD]
    queries = [f"/ota-bot/{name}?{urlencode(words)}" for name, words in ASKED.items()]
    rows = [f"/ota-bot/{name}.json?_shape=array" for name in TOLD]
    answers = [f"/ota-bot/{name}.json?{urlencode({'_shape': 'array', **words})}" for name, words in ASKED.items()]
    return asyncio.run(_get(path, ("/", "/ota-bot", *tables, *queries, *rows, *answers, *map(_sql, WRITES))))


async def _get(path: Path, pages: tuple[str, ...]) -> dict[str, Reply]:
    datasette = Datasette([str(path)], metadata=METADATA, settings={"suggest_facets": False})
    found = {}
    for page in pages:
        answer = await datasette.client.get(page)
        found[page] = Reply(answer.status_code, answer.json() if ".json" in page else answer.text)
    for database in datasette.databases.values():
        database.close()
    datasette.executor.shutdown()
    return found


def _sql(statement: str) -> str:
    return f"/ota-bot.json?{urlencode({'sql': statement})}"


WRITES: Final = ("delete from events", "update events set actor = 'U0EVE'", "with x as (select 1) delete from lists")


def rows(replies: dict[str, Reply], name: str) -> Any:
    """Return the rows of a view, or of a query."""
    return next(reply.content for page, reply in replies.items() if page.startswith(f"/ota-bot/{name}.json"))


def test_every_page_opens(replies: dict[str, Reply]) -> None:
    """Datasette opens the file while a bot has it open, and every view, table and query in it."""
    assert {} == {page: reply for page, reply in replies.items() if "sql=" not in page and reply.status != 200}


@pytest.mark.parametrize("name", [*TOLD, *ASKED])
def test_everything_has_rows(replies: dict[str, Reply], name: str) -> None:
    """No view and no query is empty on a ledger in which something of each kind has happened."""
    assert [] != rows(replies, name)


@pytest.mark.parametrize("name", TOLD)
def test_columns_that_are_explained_are_there(replies: dict[str, Reply], name: str) -> None:
    """What is said of a column is said of one that there is."""
    assert set() == set(TOLD[name].get("columns", {})) - set(rows(replies, name)[0])


def test_everything_is_told_or_hidden(ledger: Ledger, path: Path) -> None:
    """Every table and view of the file is described for an auditor, or hidden as the bot's own."""
    del ledger
    with closing(sqlite3.connect(path)) as file:
        there = {name for (name,) in file.execute("select name from sqlite_master where type in ('table', 'view')")}

    assert there == set(SHOWN["tables"])
    assert [] == [name for name, told in TOLD.items() if "description" not in told]
    assert set(ASKED) == set(SHOWN["queries"])


@pytest.mark.parametrize("statement", WRITES)
def test_nothing_is_written_through_it(replies: dict[str, Reply], statement: str) -> None:
    """Datasette's page for SQL refuses what would change a row."""
    assert (400, False) == (replies[_sql(statement)].status, replies[_sql(statement)].content["ok"])


def test_the_overview_says_what_became_of_it(replies: dict[str, Reply]) -> None:
    """A row of the overview has who, what, why and the three numbers, newest first and without JSON."""
    found = rows(replies, "overview")

    assert sorted((row["cancellation"] for row in found), reverse=True) == [row["cancellation"] for row in found]
    assert {
        "cancellation": 2,
        "requested_at": "2026-01-03 13:05:08",
        "requested_by": "U0ANN",
        "account": "pumps",
        "what": "cancel 450 named devices",
        "job": "J1",
        "version": "2.1",
        "reason": "5.2.0 drains batteries",
        "approvals_needed": 1,
        "approved_by": "U0LEA",
        "broke_glass": None,
        "state": "Partly done",
        "asked": 450,
        "accepted": 251,
        "confirmed": 251,
        "left_over": 1,
        "ended_at": "2026-01-03 13:13:00",
        "why_ended": None,
        "rest_of": None,
    } == found[-2]


def test_approvals_name_both(replies: dict[str, Reply]) -> None:
    """Each answer of a second person stands beside whoever had asked, and so does a broken glass."""
    found = {(row["answer"], row["who"], row["requested_by"]) for row in rows(replies, "approvals")}

    assert {
        ("approved", "U0LEA", "U0ANN"),
        ("rejected", "U0BOB", "U0ANN"),
        ("broke glass", "U0BOB", "U0BOB"),
    } == found
    assert {"yes"} == {row["plan_was_confirmed"] for row in rows(replies, "approvals")}


def test_a_lost_answer_is_one_row(replies: dict[str, Reply]) -> None:
    """A call whose answer was lost is one row, with what the later look found and why it had to be looked."""
    assert [("done", "a look at the cloud", "NoAnswer")] == [
        (row["outcome"], row["known_from"], row["code"]) for row in rows(replies, "calls") if row["cancellation"] == 7
    ]


def test_a_call_without_an_answer_is_there(replies: dict[str, Reply]) -> None:
    """A call that was sent, and of which nothing is known, is a row that says so."""
    assert [("no answer yet", None)] == [
        (row["outcome"], row["known_from"]) for row in rows(replies, "calls") if row["cancellation"] == 8
    ]


def test_only_rules_that_changed(replies: dict[str, Reply]) -> None:
    """A changed guard is a row for each rule that changed, and none for the others."""
    assert [("pumps", "above", "100", "10000")] == [
        (row["account"], row["rule"], row["before"], row["after"]) for row in rows(replies, "guards_changed")
    ]


def test_devices_are_found_in_lists(replies: dict[str, Reply]) -> None:
    """A device is found by its whole name in the list that a plan names."""
    assert [2] == [row["cancellation"] for row in rows(replies, "device")]


def test_days_are_both_included(replies: dict[str, Reply]) -> None:
    """What a person did on one day is asked with that day twice."""
    assert ["requested", "confirmed"] == [row["what"] for row in rows(replies, "person")]


@pytest.mark.parametrize("view", TOLD)
def test_an_empty_ledger_is_no_error(view: str, tmp_path: Path) -> None:
    """Each view of a ledger in which nothing has happened yet is empty."""
    with closing(Ledger.open(tmp_path / "ota-bot.db", now=Clock())):
        pass
    with closing(sqlite3.connect(tmp_path / "ota-bot.db")) as file:
        assert [] == file.execute(f"select * from {view}").fetchall()  # noqa: S608 - a name from the file
