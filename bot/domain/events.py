"""Events: the facts the ledger keeps, and their canonical form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

Body = Mapping[str, Any]
"""A JSON object; every body carries `v`, the version of its form. No floats, no secrets."""

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
BOT: Final = "bot"
"""The actor of what the bot did by itself."""


class Kind(StrEnum):
    """What may happen to a cancellation, and to the ledger as a whole (contract: "The ledger")."""

    REFUSED = "refused"
    REQUESTED = "requested"
    LISTED = "listed"
    """The names of an order have been read from the file that was uploaded."""
    CHECKING = "checking"
    """What an order would hit is being listed, which takes so long that people see a card meanwhile."""
    PREVIEWED = "previewed"
    HELD = "held"
    """An order is like one that is open already, and waits for its asker to say that it is meant all the same."""
    ORDERED_ANYWAY = "ordered_anyway"
    CONFIRMED = "confirmed"
    REMINDED = "reminded"
    """Whoever has not answered yet is asked once more to approve."""
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    STARTED = "started"
    CALL_SENT = "call_sent"
    CALL_FINISHED = "call_finished"
    CALL_SKIPPED = "call_skipped"
    """Every device of a call had moved on by itself: nothing was left to send."""
    CALL_SPLIT = "call_split"
    """A call that the cloud keeps refusing whole goes on device by device, as calls of its own."""
    STOPPED = "stopped"
    VERIFIED = "verified"
    FINISHED = "finished"
    RETRIED = "retried"
    VOIDED = "voided"
    BROKE_GLASS = "broke_glass"
    GUARD_CHANGED = "guard_changed"
    CHECKPOINT = "checkpoint"
    """Where the chain stood, told to the audit channel once a day with the whole digest."""
    CONTINUED = "continued"
    """The first event of a ledger that goes on where another one was closed: the head of that one."""


KINDS: Final = frozenset(kind.value for kind in Kind)
"""The kinds that this version knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What a decision wants recorded; the ledger adds id, seq, time and digest."""

    kind: Kind
    actor: str
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the ledger."""

    id: int
    cancellation: int | None
    seq: int | None
    at: datetime
    actor: str
    kind: str
    """A `Kind`, or one that a newer version of the bot wrote."""
    body: Body
    digest: str


def whole(text: str) -> str:
    """Return `text` with each lone surrogate replaced by U+FFFD, so that it can be stored as UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def canonical(value: Any) -> str:
    """Return `value` as canonical JSON: sorted keys, no spaces, UTF-8, lone surrogates replaced by U+FFFD."""
    text = _sorted(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Made whole before it is sorted: a name that is replaced may sort elsewhere, or be one that is there already.
        return _sorted(json.loads(whole(text)))
    return text


_sorted: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def stamp(at: datetime) -> str:
    """Return `at` (UTC, aware) as the ledger writes it, with microseconds."""
    return at.strftime(TIME_FORMAT)
