"""The ledger's file without the ledger: its rows, and its digests straight from the contract's text."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as anybody could, and commit what was done to it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection
        connection.commit()


@contextmanager
def forging(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as somebody who may write it can: with every guard out of the way."""
    with database(path) as connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f'drop trigger "{name}"')
        yield connection


def rows(path: Path) -> list[Row]:
    """Return the events in order."""
    with database(path) as connection:
        return [dict(row) for row in connection.execute("select * from events order by id")]


def one(path: Path, sql: str) -> Any:
    """Return the first value of the first row."""
    with database(path) as connection:
        return connection.execute(sql).fetchone()[0]


def digest(previous: str, row: Row) -> str:
    """Return the SHA-256 of the previous digest, a line break, and the row as canonical JSON."""
    columns = {name: row[name] for name in ("actor", "at", "cancellation", "id", "kind", "seq")}
    value = {**columns, "body": json.loads(row["body"])}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def forge(path: Path) -> None:
    """Give every row the digest that it should have, as somebody with the file and the contract can."""
    previous = "0" * 64
    with forging(path) as connection:
        for row in connection.execute("select * from events order by id").fetchall():
            previous = digest(previous, dict(row))
            connection.execute("update events set digest = ? where id = ?", (previous, row["id"]))
