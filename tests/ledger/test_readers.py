"""Reading the ledger while it is written."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bot.ledger.ledger import Ledger
from tests.builders import OF_NOTHING, Clock
from tests.ledger.conftest import Open

SQLITE_ONLY: Final = (
    "autoincrement",
    "blob",
    "datetime(",
    "glob",
    "ifnull",
    "insert or",
    "json_",
    "julianday",
    "last_insert_rowid",
    "replace into",
    "rowid",
    "strftime",
    "unixepoch",
    "without",
)


def stuck(ledger: Ledger, milliseconds: int = 30) -> None:
    """Wait a shorter time for other processes than the bot does."""
    ledger._store.run(f"pragma busy_timeout={milliseconds}")


def test_an_audit_reads_while_the_bot_writes(ledger: Ledger, opened: Open) -> None:
    """A reader is not kept out by a write that is under way, and sees it whole or not at all."""
    ledger.append(OF_NOTHING)
    reader = opened(readonly=True)
    with ledger._store.writing():
        ledger.append(OF_NOTHING)
        during = reader.verify().events

    assert (1, 2) == (during, reader.verify().events)


def test_an_audit_reads_what_the_bot_left(path: Path, clock: Clock, opened: Open) -> None:
    """A ledger whose writer has left cleanly is read as well, and stays as it is."""
    ledger = Ledger.open(path, now=clock)
    ledger.append(OF_NOTHING)
    ledger.close()
    before = path.read_bytes()
    reader = opened(readonly=True)

    assert 1 == reader.verify().events
    assert before == path.read_bytes()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "a#b.db", "日本.db"])
def test_any_name_is_read(tmp_path: Path, clock: Clock, name: str) -> None:
    """The file may have any name: nothing in it is taken for a part of an address."""
    path = tmp_path / name
    writer = Ledger.open(path, now=clock)
    writer.append(OF_NOTHING)
    writer.close()
    reader = Ledger.open(path, now=clock, readonly=True)
    found = reader.verify().events
    reader.close()

    assert 1 == found


def test_a_reader_does_not_stop_the_bot(ledger: Ledger, path: Path) -> None:
    """A reader in the middle of its reading does not keep the bot from writing."""
    ledger.append(OF_NOTHING)
    stuck(ledger)
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("begin")
        reader.execute("select * from events").fetchall()
        stored = ledger.append(OF_NOTHING)
        reader.execute("rollback")

    assert 2 == stored.id
