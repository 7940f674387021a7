"""The tables, as a list of named migrations in SQL that SQLite and PostgreSQL both take. Never edit one; add one."""

from collections.abc import Iterator
from sqlite3 import complete_statement
from typing import Final

MIGRATIONS: Final[tuple[tuple[str, str], ...]] = (
    (
        "0001_events",
        """
        create table events (
            id integer primary key,
            cancellation integer,
            seq integer,
            at text not null,
            actor text not null,
            kind text not null,
            body text not null,
            digest text not null
        );
        create unique index events_by_cancellation on events (cancellation, seq) where cancellation is not null;
        create index events_refused on events (actor, at) where kind = 'refused';
        """,
    ),
    (
        "0002_cancellations",
        """
        create table cancellations (
            id integer primary key,
            event integer not null,
            open integer not null,
            phase text not null,
            requester text not null,
            account text not null,
            quota text not null,
            channel text,
            carded integer not null,
            due text,
            alone integer not null,
            alone_at text,
            state text not null
        );
        create index cancellations_open on cancellations (id) where open = 1;
        create index cancellations_due on cancellations (due) where due is not null;
        create index cancellations_alone on cancellations (requester, quota, alone_at) where alone > 0;
        """,
    ),
    (
        "0003_lists",
        """
        create table lists (sha256 text primary key, names text not null);
        """,
    ),
    (
        "0004_leases_slots_deliveries",
        """
        create table leases (name text primary key, owner text not null, until double precision not null);
        create table slots (
            quota text not null,
            operation text not null,
            free_at double precision not null,
            slow double precision not null,
            primary key (quota, operation)
        );
        create table deliveries (key text primary key, cancellation integer not null, at text not null);
        """,
    ),
    (
        "0005_outbox",
        """
        create table cards (
            cancellation integer primary key,
            channel text not null,
            ts text,
            attempted integer not null,
            shown integer not null,
            told integer not null
        );
        create table cursors (sink text primary key, event integer not null);
        """,
    ),
    (
        "0006_forms",
        """
        create table forms (form integer primary key);
        """,
    ),
    (
        "0007_guards",
        """
        create table guards (account text primary key, guard text not null);
        """,
    ),
    (
        "0008_checkpoints",
        """
        create index events_checkpoints on events (id) where kind = 'checkpoint';
        """,
    ),
    (
        "0009_homes",
        """
        create table homes (person text primary key, opened text not null, shown integer not null);
        create index cancellations_of on cancellations (requester, id) where carded = 1;
        """,
    ),
)


def statements(sql: str) -> Iterator[str]:
    """Yield a migration's statements; those of a trigger end with its own end."""
    statement = ""
    for piece in sql.split(";")[:-1]:
        statement += f"{piece};"
        if complete_statement(statement):
            yield statement.strip()
            statement = ""
