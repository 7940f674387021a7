# ruff: noqa: S608 - the statements are this file's own
"""Rows of the chain and of the lists cannot be changed or removed through SQL, whatever words it is put in."""

import sqlite3
from pathlib import Path

import pytest

from bot.ledger.ledger import Ledger
from tests.builders import NAMES, OF_NOTHING, requested
from tests.ledger import raw


@pytest.fixture
def kept(ledger: Ledger, path: Path) -> Path:
    """Return a ledger with events and a list."""
    ledger.order(requested(), names=NAMES)
    ledger.append(OF_NOTHING)
    return path


ROW = "'2026-01-02T03:04:05.000000Z', 'U0EVE', 'refused', '{}', 'x'"


@pytest.mark.parametrize(
    "statement",
    [
        "update events set actor = 'U0EVE'",
        "update or replace events set id = 2 where id = 1",
        "delete from events",
        "delete from events where id = 2",
        f"insert into events values (2, null, null, {ROW})",
        f"insert or replace into events values (1, 1, 1, {ROW})",
        f"replace into events values (2, null, null, {ROW})",
        f"replace into events values (3, 1, 1, {ROW})",
        f"insert or ignore into events values (9, null, null, {ROW})",
        f"insert into events values (null, null, null, {ROW})",
        f"insert into events values (1, 1, 1, {ROW}) on conflict (id) do update set actor = 'U0EVE'",
        "update lists set names = ''",
        "delete from lists",
    ],
)
@pytest.mark.parametrize("recursive", ["on", "off"])
def test_nothing_is_changed_or_removed(kept: Path, statement: str, recursive: str) -> None:
    """Updates, deletes, and inserts that would replace are refused whole, with a sentence that says why."""
    before = raw.rows(kept), raw.one(kept, "select group_concat(sha256 || names) from lists")
    with raw.database(kept) as file:
        file.execute(f"pragma recursive_triggers = {recursive}")
        with pytest.raises(sqlite3.IntegrityError, match=r"(events|lists) are (never|only)"):
            file.execute(statement)

    assert before == (raw.rows(kept), raw.one(kept, "select group_concat(sha256 || names) from lists"))


@pytest.mark.parametrize("verb", ["insert into", "insert or replace into", "replace into", "insert or ignore into"])
def test_a_list_is_never_replaced(kept: Path, verb: str) -> None:
    """Other names under a SHA-256 that is there are refused; the same ones again change nothing."""
    key, names = raw.one(kept, "select sha256 from lists"), "\n".join(NAMES)
    with raw.database(kept) as file:
        with pytest.raises(sqlite3.IntegrityError, match="lists are never changed"):
            file.execute(f"{verb} lists values (?, 'others')", (key,))
        file.execute(f"{verb} lists values (?, ?)", (key, names))

    assert (1, names) == (raw.one(kept, "select count(*) from lists"), raw.one(kept, "select names from lists"))


def test_what_is_added_at_the_end_is_taken(kept: Path) -> None:
    """The next event may be inserted: it is the chain that says whether it belongs there."""
    with raw.database(kept) as file:
        file.execute(f"insert into events values (3, null, null, {ROW})")

    assert 3 == len(raw.rows(kept))
