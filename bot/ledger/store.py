"""One connection to the database file, one lock, and transactions that see each other whole."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from bot.domain.errors import LedgerError
from bot.ledger import sqlite
from bot.ledger.schema import MIGRATIONS, statements

BUSY: Final = 5.0
"""Seconds that a write waits for another process's write."""
PRIVATE: Final = 0o600
WAL_TRIES: Final = 100
"""How often a new file is tried to be switched to the write-ahead log, while other processes do the same."""

CHECK: Final = "Nothing was changed. Check the disk's space, the file's owner and who else has it open."
DAMAGED: Final = "Nothing was changed. Stop the bot, keep the file as it is, and put a backup in its place."
ADVICE: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "Nothing was changed. Try again; if it goes on, look who else has the file open.",
    sqlite3.SQLITE_FULL: "Nothing was changed. Make room on its disk and try again.",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
"""What to do after an error of SQLite, by its primary code."""
PRIMARY: Final = 0xFF
"""The bits of an error's code that are the primary one."""

Row = dict[str, Any]
_ALL: Final = (*MIGRATIONS, *sqlite.MIGRATIONS)
_Files = tuple[tuple[int, int] | None, ...]
"""Device and inode of the database and of its write-ahead log."""


class Store:
    """The database.

    All threads share one connection under one lock: measured faster than a connection for each thread, and a read
    within a transaction of the same thread sees that transaction. Other processes are kept apart by `begin immediate`;
    a plain `begin` would fail at once, without waiting, when it comes to write. A file that another connection has just
    `looked_over` for damage is not looked over again.
    """

    def __init__(self, path: Path, *, readonly: bool = False, looked_over: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._target = path.resolve()
        self._files: _Files = ()
        with _told(path):
            self._database = _open(path, readonly=readonly)
            try:
                if not readonly:
                    _use_wal(self._database)
                    self._database.execute("pragma synchronous=full")
                if not looked_over:
                    self._check()
                self._refuse_newer()
                if readonly:
                    self._refuse_others()
                else:
                    self._migrate()
                    self._files = _files(self._target)
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        """Close the connection; the store cannot be used afterwards."""
        with self._lock:
            self._database.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run the block in one transaction, begun for writing; nested blocks join it.

        Raises LedgerError when the database is locked, full, read-only or broken; nothing is stored then.
        """
        with self._lock, _told(self.path):
            if self._depth:
                yield
                return
            self._database.execute("begin immediate")
            self._depth += 1
            try:
                yield
                self._still_there()
                self._database.execute("commit")
            except BaseException:
                if self._database.conn.in_transaction:
                    self._database.execute("rollback")
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run the block's reads in one transaction: they see the same moment."""
        with self._lock, _told(self.path):
            self._database.execute("begin")
            try:
                yield
            finally:
                self._database.execute("rollback")

    def run(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Run one statement and return its rows, if it has any."""
        with self._lock, _told(self.path):
            cursor = self._database.execute(sql, dict(parameters or {}))
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
        """Run one statement and return its first row."""
        rows = self.run(sql, parameters)
        return rows[0] if rows else None

    def _still_there(self) -> None:
        """Raise LedgerError where the file was removed or replaced: SQLite would write on into one without a name."""
        if self._files and self._files != _files(self._target):
            raise LedgerError(
                f"The ledger {self.path} was removed or replaced while it was in use.",
                advice="Nothing was changed. Stop the bot, put the file back from a backup, and start it again.",
            )

    def _check(self) -> None:
        """Raise LedgerError where the file is damaged: a second and a half for each gigabyte, once for each process."""
        found = [str(value) for row in self.run("pragma quick_check(1)") for value in row.values()]
        if found != ["ok"]:
            what = " ".join(" ".join(found).split())[:300]
            raise LedgerError(f"The ledger {self.path} is damaged: {what}.", advice=DAMAGED)

    def _refuse_newer(self) -> None:
        """Raise LedgerError where a newer version made tables: what it keeps in them this one would not."""
        if self.one("select 1 as found from sqlite_master where name = 'migrations'") is None:
            return
        newer = {str(row["name"]) for row in self.run("select name from migrations")} - {name for name, _ in _ALL}
        if newer:
            raise LedgerError(
                f"The ledger {self.path} is of a newer version of the bot, with {', '.join(sorted(newer))}.",
                advice="Nothing was changed. Start that version, or put a backup from before it in the file's place.",
            )

    def _refuse_others(self) -> None:
        """Raise LedgerError where the file is a database without events."""
        if self.one("select 1 as found from sqlite_master where name = 'events'") is None:
            raise LedgerError(f"{self.path} is no ledger of this bot.", advice="Nothing was changed. Check the path.")

    def _migrate(self) -> None:
        # Two processes may start at once: the list of what was applied is read inside the write transaction.
        with self.writing():
            self.run("create table if not exists migrations (name text primary key)")
            applied = {row["name"] for row in self.run("select name from migrations")}
            for name, sql in _ALL:
                if name in applied:
                    continue
                for statement in statements(sql):
                    self.run(statement)
                self.run("insert into migrations (name) values (:name)", {"name": name})


def _open(path: Path, *, readonly: bool) -> Database:
    if readonly:
        if not path.exists():
            raise LedgerError(f"There is no ledger at {path}.", advice="Check `database` in the config file.")
        uri = f"{path.absolute().as_uri()}?mode=ro"
        return _wrap(sqlite3.connect(uri, uri=True, timeout=BUSY, check_same_thread=False, isolation_level=None))
    _make_private(path)
    return _wrap(sqlite3.connect(path, timeout=BUSY, check_same_thread=False, isolation_level=None))


def _use_wal(database: Database) -> None:
    """Switch the write-ahead log on: once, by whoever comes first.

    Where several processes do it at once it fails in spite of the busy timeout, so a write, which does wait, is tried
    before the next look.
    """
    for _ in range(WAL_TRIES):
        if database.execute("pragma journal_mode").fetchone()[0] == "wal":
            return
        with suppress(sqlite3.OperationalError):
            database.execute("pragma journal_mode=wal")
            return
        database.execute("begin immediate")
        database.execute("rollback")


def _wrap(connection: sqlite3.Connection) -> Database:
    # Plugins of other installed packages have no business in the ledger's connection.
    return Database(connection, execute_plugins=False)


def _make_private(path: Path) -> None:
    """Create the file for the owner alone; SQLite gives its side files the same mode.

    A file that is there is not opened for it: closing it again would drop the locks of this process's connections.
    """
    target = path.resolve()
    with suppress(FileExistsError):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    if target.is_file():
        target.chmod(PRIVATE)


def _files(target: Path) -> _Files:
    """Return which files the database and its log are now; SQLite names the log after where a link leads."""
    return tuple(_identity(each) for each in (target, target.with_name(f"{target.name}-wal")))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        advice = ADVICE.get(getattr(error, "sqlite_errorcode", 0) & PRIMARY, CHECK)
        raise LedgerError(f"The ledger {path} could not be used: {error}.", advice=advice) from error
