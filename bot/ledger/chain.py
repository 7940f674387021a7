"""The hash chain: how a row's digest is made, and the recomputation that finds a changed, lost or moved row."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, Final

from bot.domain.errors import STRANGE, TamperedError
from bot.domain.events import Event, canonical

GENESIS: Final = "0" * 64
"""The digest before the first event."""
_DECODER: Final = json.JSONDecoder()
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def digest(previous: str, row: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 that binds `row` (body as JSON value) to everything before it (contract: "The ledger")."""
    names = ("actor", "at", "body", "cancellation", "id", "kind", "seq")
    return sha256(f"{previous}\n{canonical({name: row[name] for name in names})}".encode()).hexdigest()


def moment(text: str) -> datetime:
    """Read a stored time."""
    return datetime.fromisoformat(text)


def _value(text: str) -> Any:
    """Read JSON as `json.loads` does, twice as fast where there are no spaces round it."""
    value, end = _DECODER.raw_decode(text)
    return value if end == len(text) else json.loads(text)


def event_of(row: Mapping[str, Any]) -> Event:
    """Read a stored row."""
    return Event(
        id=row["id"],
        cancellation=row["cancellation"],
        seq=row["seq"],
        at=moment(row["at"]),
        actor=row["actor"],
        kind=row["kind"],
        body=_value(row["body"]),
        digest=row["digest"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """An event whose place in the chain holds."""

    row: Mapping[str, Any]
    body: Any
    """Its body as JSON value."""
    previous: str
    """The digest of the event before it."""
    at: datetime


def walk(rows: Iterable[Mapping[str, Any]]) -> Iterator[Chained]:
    """Yield the events of `rows`, ordered by id, each when its place in the chain is proved.

    Memory grows with the number of cancellations alone, by a number for each. Raises TamperedError at the first row
    that does not hold, naming it and why.
    """
    previous, last_at = GENESIS, ""
    seqs: dict[int, int] = {}
    for expected, row in enumerate(rows, start=1):
        try:
            value, at = _checked(row, expected, previous, last_at, seqs)
        except (TypeError, ValueError, RecursionError) as error:
            raise TamperedError(f"event {row['id']}: {STRANGE}", event=expected) from error
        yield Chained(row=row, body=value, previous=previous, at=at)
        previous, last_at = row["digest"], row["at"]


def _checked(
    row: Mapping[str, Any], expected: int, previous: str, last_at: str, seqs: dict[int, int]
) -> tuple[Any, datetime]:
    """Return an event's body and time; raises TamperedError where its place in the chain does not hold."""
    event = row["id"]
    if event != expected:
        raise TamperedError(f"event {expected} is missing: the next row has id {event}", event=expected)
    value, at = _body(row), moment(row["at"])
    if canonical(value) != row["body"]:
        raise TamperedError(f"event {event}: its body is not canonical JSON", event=event)
    if not _TIME.fullmatch(row["at"]):
        raise TamperedError(f"event {event}: its time {row['at']} is not written as the ledger writes it", event=event)
    if row["at"] < last_at:
        raise TamperedError(f"event {event}: its time {row['at']} lies before the previous event's", event=event)
    cancellation, seq = row["cancellation"], row["seq"]
    if (cancellation is None) != (seq is None):
        raise TamperedError(f"event {event}: cancellation and seq do not go together", event=event)
    if cancellation is not None:
        if seq != seqs.get(cancellation, 0) + 1:
            raise TamperedError(f"event {event}: seq {seq} of #{cancellation} is out of order", event=event)
        seqs[cancellation] = seq
    if _digest(previous, row) != row["digest"]:
        raise TamperedError(f"event {event}: its digest does not match its columns and the row before", event=event)
    return value, at


def _digest(previous: str, row: Mapping[str, Any]) -> str:
    """Return what `digest` does, of a stored row: its body is canonical already, and need not be written again."""
    number, seq = row["cancellation"], row["seq"]
    text = (
        f'{previous}\n{{"actor":{encode_basestring(row["actor"])},"at":"{row["at"]}","body":{row["body"]}'
        f',"cancellation":{"null" if number is None else f"{number:d}"},"id":{row["id"]:d}'
        f',"kind":{encode_basestring(row["kind"])},"seq":{"null" if seq is None else f"{seq:d}"}}}'
    )
    return sha256(text.encode()).hexdigest()


def _body(row: Mapping[str, Any]) -> Any:
    try:
        return _value(row["body"])
    except (ValueError, TypeError) as error:
        raise TamperedError(f"event {row['id']}: its body is not JSON", event=row["id"]) from error
