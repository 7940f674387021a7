"""The file: private, migrated once, and never half-written, whatever goes wrong with it."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bot.domain.errors import LedgerError
from bot.ledger import sqlite
from bot.ledger.ledger import Ledger
from bot.ledger.schema import MIGRATIONS, statements
from bot.ledger.store import BUSY, Store
from tests.builders import OF_NOTHING, TAKEN, WAITING, Clock, confirm, requested
from tests.ledger import raw
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


# --- the file ------------------------------------------------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Have another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_the_file_is_the_owners_alone(path: Path, clock: Clock, mask: int, before: int | None) -> None:
    """The database and its side files may be read by their owner alone, whatever the umask and whatever was there."""
    with umask(mask):
        if before is not None:
            path.touch()
            path.chmod(before)
        ledger = Ledger.open(path, now=clock)
        ledger.append(OF_NOTHING)
        modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
        ledger.close()

    assert {f"ota-bot.db{suffix}": "0o600" for suffix in ("", "-wal", "-shm")} == modes


def test_a_new_file_is_never_open_to_others(path: Path, clock: Clock) -> None:
    """The file is private before the first byte is in it: an empty one that was made first is narrowed too."""
    path.touch(mode=0o666)
    ledger = Ledger.open(path, now=clock)
    mode = path.stat().st_mode & 0o777
    ledger.close()

    assert 0o600 == mode


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 5000)])
def test_how_it_writes(ledger: Ledger, pragma: str, value: object) -> None:
    """Readers and writers do not block each other, each commit is on the disk, and a write waits 5 s for another's."""
    row = ledger._store.one(f"pragma {pragma}")

    assert row is not None
    assert [value] == list(row.values())
    assert 5.0 == BUSY


ALL: Final = (*MIGRATIONS, *sqlite.MIGRATIONS)
"""What a new file gets, in this order."""

# --- migrations ----------------------------------------------------------------------------------------------------


def schema(path: Path) -> list[str]:
    """Return every statement that made the database."""
    with raw.database(path) as connection:
        return [row[0] for row in connection.execute("select sql from sqlite_master where sql is not null order by 1")]


def test_migrations_are_applied_once(opened: Open, path: Path) -> None:
    """Opening a ledger again changes nothing in its tables."""
    opened()
    before = schema(path)
    opened()

    assert before == schema(path)
    assert len(ALL) == raw.one(path, "select count(*) from migrations")


@pytest.mark.parametrize("known", range(len(ALL)))
def test_an_older_ledger_is_brought_up(opened: Open, path: Path, tmp_path: Path, known: int) -> None:
    """A ledger that an older version made ends with the same tables as a new one, and keeps its events."""
    with raw.database(path) as connection:
        connection.execute("create table migrations (name text primary key)")
        for name, sql in ALL[:known]:
            connection.executescript(sql)
            connection.execute("insert into migrations (name) values (?)", (name,))
    new = Store(tmp_path / "new.db")
    new.close()
    ledger = opened()
    ledger.append(OF_NOTHING)

    assert [sql for sql in schema(tmp_path / "new.db") if "migrations" not in sql] == [
        sql for sql in schema(path) if "migrations" not in sql
    ]
    assert 1 == ledger.verify().events


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    """When a migration fails, the ones before it are taken back as well, and the error says so."""
    with raw.database(path) as connection:
        connection.execute("create table cursors (x text)")
    before = schema(path)

    with pytest.raises(LedgerError, match="table cursors already exists"):
        Store(path)
    assert before == schema(path)


def test_migrations_have_names_of_their_own() -> None:
    """Migrations are numbered in order, each name once; those for SQLite alone by themselves."""
    for prefix, kept in (("", MIGRATIONS), ("sqlite_", sqlite.MIGRATIONS)):
        names = [name.removeprefix(prefix) for name, _ in kept]

        assert sorted(set(names)) == names
        assert [f"{number:04}" for number in range(1, len(names) + 1)] == [name[:4] for name in names]


TABLE = r"create table \w+ \((?P<columns>.*)\)"
COLUMN = r"\w+ (integer|text|double precision)( not null| primary key)?|primary key \(\w+(, \w+)*\)"
INDEX = r"create (unique )?index \w+ on \w+ \(\w+(, \w+)*\)( where [^;]+)?"


@pytest.mark.parametrize("statement", [each for _, sql in MIGRATIONS for each in statements(sql)])
def test_the_tables_are_plain_sql(statement: str) -> None:
    """Every migration is a table of types that both engines have, or an index: nothing that only SQLite takes."""
    text = re.sub(r"\s+", " ", statement).strip().removesuffix(";")
    table = re.fullmatch(TABLE, text)
    columns = re.split(r", (?![^(]*\))", table["columns"].strip()) if table else []

    assert [] == [column for column in columns if not re.fullmatch(COLUMN, column.strip())]
    assert bool(columns) or re.fullmatch(INDEX, text) is not None


def test_no_text_of_sql_is_sqlites_alone() -> None:
    """No SQL of the ledger uses a word that PostgreSQL does not know; only the store itself speaks of pragmas."""
    folder = Path(__file__).parents[2] / "bot" / "ledger"
    found = [
        f"{source.name}: {word}"
        for source in sorted(folder.glob("*.py"))
        for word in (*SQLITE_ONLY, *(() if source.name == "store.py" else ("pragma", "sqlite_master")))
        for text in re.findall(r'"((?:select|insert|update|delete|create| )[^"]*)"', source.read_text())
        if word in text.lower()
    ]

    assert [] == found


# --- transactions --------------------------------------------------------------------------------------------------


class OddError(Exception):
    """What nobody expects."""


def test_a_block_within_a_block_joins_it(opened: Open, path: Path) -> None:
    """An inner block's writes are seen by others only when the outer one commits, and go with it when it fails."""
    store = opened()._store
    insert = "insert into cursors (sink, event) values ('a', 1)"

    def fail() -> None:
        with store.writing():
            with store.writing():
                store.run(insert)
            raise OddError

    with pytest.raises(OddError):
        fail()
    with store.writing():
        with store.writing():
            store.run(insert)
        during = raw.one(path, "select count(*) from cursors")

    assert (0, 1) == (during, raw.one(path, "select count(*) from cursors"))


def test_a_failed_block_leaves_the_store_usable(ledger: Ledger) -> None:
    """After an error in a transaction the next one begins afresh."""
    with pytest.raises(LedgerError), ledger._store.writing():
        ledger._store.run("insert into nowhere values (1)")

    assert 1 == ledger.append(OF_NOTHING).id


# --- what can go wrong ---------------------------------------------------------------------------------------------


def stuck(ledger: Ledger, milliseconds: int = 30) -> None:
    """Wait a shorter time for other processes than the bot does."""
    ledger._store.run(f"pragma busy_timeout={milliseconds}")


def test_a_locked_ledger_is_an_error(ledger: Ledger, path: Path) -> None:
    """When another process keeps the file locked for too long, the error says so and nothing is written."""
    identity = ledger.order(requested()).id
    ledger.decide(identity, WAITING[0])
    stuck(ledger)
    with raw.database(path) as other:
        other.execute("begin immediate")
        with pytest.raises(LedgerError) as raised:
            ledger.decide(identity, confirm())
        with pytest.raises(LedgerError, match="locked"):
            ledger.leases.take("a", "me")
        readable = ledger.state(identity)
        other.execute("rollback")

    assert f"The ledger {path} could not be used: database is locked." == raised.value.message
    assert "Nothing was changed." in raised.value.advice
    assert readable == ledger.state(identity)
    assert 2 == ledger.verify().events
    ledger.decide(identity, confirm())
    assert 3 == ledger.verify().events


def fill(ledger: Ledger) -> None:
    """Order until there is no more room, or far too often."""
    for _ in range(100):
        ledger.order(requested(reason="x" * 500))


def test_a_full_disk_is_an_error(ledger: Ledger, path: Path) -> None:
    """When there is no more room the error says so, nothing is half-written, and it goes on when there is room."""
    store = ledger._store
    identity = ledger.order(requested()).id
    pages = raw.one(path, "pragma page_count")
    store.run(f"pragma max_page_count={pages + 2}")
    with pytest.raises(LedgerError, match="database or disk is full"):
        fill(ledger)
    written = ledger.head()
    full = (ledger.verify().events, len(ledger.open_ones()))
    store.run("pragma max_page_count=1000000")
    ledger.decide(identity, WAITING[0])

    assert written > 1
    assert (written, written) == full
    assert written + 1 == ledger.verify().events
    assert "ok" == raw.one(path, "pragma integrity_check")


def test_a_read_only_ledger_is_not_written(ledger: Ledger, opened: Open) -> None:
    """A ledger opened for reading reads, and refuses every write."""
    identity = ledger.order(requested()).id
    reader = opened(readonly=True)

    assert ledger.state(identity) == reader.state(identity)
    with pytest.raises(LedgerError, match="readonly"):
        reader.decide(identity, WAITING[0])
    with pytest.raises(LedgerError, match="readonly"):
        reader.keep_list(("a",))
    assert 1 == reader.verify().events


@contextmanager
def not_root() -> Iterator[None]:
    """Be somebody who may not write everywhere; root becomes nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("content", [b"", b"\x00" * 4096])
def test_a_file_that_may_not_be_written_is_an_error(clock: Clock, content: bytes) -> None:
    """A file that may not be written is an error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ota-bot.db"
        path.write_bytes(content)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        with not_root(), pytest.raises(LedgerError, match=re.escape(str(path))):
            Ledger.open(path, now=clock)
        Path(folder).chmod(0o700)

    assert not path.exists()


def test_a_file_that_is_no_ledger_is_an_error(path: Path, clock: Clock) -> None:
    """A file with something else in it is left as it is, and the error names it."""
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(LedgerError) as raised:
        Ledger.open(path, now=clock)

    assert f"The ledger {path} could not be used: file is not a database." == raised.value.message
    assert b"Dear diary, " * 1000 == path.read_bytes()


def test_a_broken_file_is_an_error(path: Path, clock: Clock, opened: Open) -> None:
    """A file whose pages were overwritten is an error, not a chain that seems to hold."""
    ledger = Ledger.open(path, now=clock)
    for decision in TAKEN:
        ledger.decide(ledger.order(requested()).id, decision)
    ledger.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    with pytest.raises(LedgerError, match=r"malformed|damaged"):
        opened(readonly=True).verify()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, clock: Clock, readonly: bool) -> None:
    """A path that cannot be opened is an error that names it."""
    path = tmp_path / "nowhere" / "ota-bot.db"

    with pytest.raises(LedgerError, match=re.escape(str(path))):
        Ledger.open(path, now=clock, readonly=readonly)


def test_a_folder_is_no_ledger(tmp_path: Path, clock: Clock) -> None:
    """A folder in the file's place is an error that names it."""
    with pytest.raises(LedgerError, match=re.escape(str(tmp_path))):
        Ledger.open(tmp_path, now=clock)


def test_reading_makes_no_ledger(path: Path, clock: Clock) -> None:
    """Reading a ledger that is not there says so and makes no file."""
    with pytest.raises(LedgerError) as raised:
        Ledger.open(path, now=clock, readonly=True)

    assert f"There is no ledger at {path}." == raised.value.message
    assert not path.exists()


def test_a_closed_ledger_is_an_error(path: Path, clock: Clock) -> None:
    """Whoever comes after the ledger was closed is told so."""
    ledger = Ledger.open(path, now=clock)
    ledger.close()

    with pytest.raises(LedgerError, match="closed database"):
        ledger.append(OF_NOTHING)
