"""The hash chain: how a row's digest is made, and the recomputation that finds a changed, lost or moved row."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from bot.domain.errors import TamperedError
from bot.domain.events import TIME_FORMAT, Event, canonical

GENESIS: Final = "0" * 64
"""The digest before the first event."""


def digest(previous: str, row: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 that binds `row` (body as JSON value) to everything before it (contract: "The ledger")."""
    names = ("actor", "at", "body", "cancellation", "id", "kind", "seq")
    return sha256(f"{previous}\n{canonical({name: row[name] for name in names})}".encode()).hexdigest()


def moment(text: str) -> datetime:
    """Read a stored time."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


def event_of(row: Mapping[str, Any]) -> Event:
    """Read a stored row."""
    return Event(
        id=row["id"],
        cancellation=row["cancellation"],
        seq=row["seq"],
        at=moment(row["at"]),
        actor=row["actor"],
        kind=row["kind"],
        body=json.loads(row["body"]),
        digest=row["digest"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification found: so many events, and the head that everything hangs from."""

    events: int
    cancellations: int
    head: str
    older: bool = False
    """Whether the state rows are from before an upgrade, so that they were not held against the events."""


def verify(rows: Iterable[Mapping[str, Any]]) -> Verified:
    """Recompute the chain over `rows`, ordered by id; memory grows with the number of cancellations alone.

    Raises TamperedError at the first row that does not hold, naming it and why.
    """
    previous, last_at, count = GENESIS, "", 0
    seqs: dict[int, int] = {}
    for row in rows:
        count += 1
        try:
            _check(row, count, previous, last_at, seqs)
        except (TypeError, ValueError, RecursionError) as error:
            raise TamperedError(f"event {row['id']}: it holds what the ledger never writes", event=count) from error
        previous, last_at = row["digest"], row["at"]
    return Verified(events=count, cancellations=len(seqs), head=previous)


def _check(row: Mapping[str, Any], expected: int, previous: str, last_at: str, seqs: dict[int, int]) -> None:
    event = row["id"]
    if event != expected:
        raise TamperedError(f"event {expected} is missing: the next row has id {event}", event=expected)
    value = _body(row)
    if canonical(value) != row["body"]:
        raise TamperedError(f"event {event}: its body is not canonical JSON", event=event)
    if row["at"] < last_at:
        raise TamperedError(f"event {event}: its time {row['at']} lies before the previous event's", event=event)
    cancellation, seq = row["cancellation"], row["seq"]
    if (cancellation is None) != (seq is None):
        raise TamperedError(f"event {event}: cancellation and seq do not go together", event=event)
    if cancellation is not None:
        if seq != seqs.get(cancellation, 0) + 1:
            raise TamperedError(f"event {event}: seq {seq} of #{cancellation} is out of order", event=event)
        seqs[cancellation] = seq
    if digest(previous, {**row, "body": value}) != row["digest"]:
        raise TamperedError(f"event {event}: its digest does not match its columns and the row before", event=event)


def _body(row: Mapping[str, Any]) -> Any:
    try:
        return json.loads(row["body"])
    except (ValueError, TypeError) as error:
        raise TamperedError(f"event {row['id']}: its body is not JSON", event=row["id"]) from error
