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
from bot.ledger.schema import MIGRATIONS, statements

BUSY: Final = 5.0
"""Seconds that a write waits for another process's write."""
PRIVATE: Final = 0o600
WAL_TRIES: Final = 100
"""How often a new file is tried to be switched to the write-ahead log, while other processes do the same."""

Row = dict[str, Any]


class Store:
    """The database.

    All threads share one connection under one lock: measured faster than a connection for each thread, and a read
    within a transaction of the same thread sees that transaction. Other processes are kept apart by `begin immediate`;
    a plain `begin` would fail at once, without waiting, when it comes to write.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        with _told(path):
            self._database = _open(path, readonly=readonly)
            try:
                if not readonly:
                    _use_wal(self._database)
                    self._database.execute("pragma synchronous=full")
                    self._migrate()
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

    def _migrate(self) -> None:
        # Two processes may start at once: the list of what was applied is read inside the write transaction.
        with self.writing():
            self.run("create table if not exists migrations (name text primary key)")
            applied = {row["name"] for row in self.run("select name from migrations")}
            for name, sql in MIGRATIONS:
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


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"The ledger {path} could not be used: {error}.",
            advice="Nothing was changed. Check the disk's space, the file's owner and who else has it open.",
        ) from error
