"""The audit channel as the ledger's outside witness: how its lines name events, and how they are read back. Pure.

The export's form: https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports (a list of messages for each
day); conversations.history answers with the same messages in an object.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot.domain.events import Event, Kind

DIGITS: Final = 12
"""How many digits of a digest are shown."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MARK: Final = re.compile(r"(?:^|\s)event ([1-9][0-9]{0,17}) ([0-9a-f]{64}|[0-9a-f]{12})\s*\Z")


def mark(event: Event) -> str:
    """Return what a line of the audit channel ends with: the event's id, and digits of its digest.

    A checkpoint has all 64, so that nobody can look for another ledger with the same first ones.
    """
    entire = event.kind in {Kind.CHECKPOINT, Kind.CONTINUED}
    return f"event {event.id} {event.digest if entire else event.digest[:DIGITS]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a line of the channel says of the ledger."""

    event: int
    digits: str
    """The first 12, or all 64, hex digits of the event's digest."""
    at: datetime | None = None
    """When it was posted, as Slack says."""
    by: str = ""
    """Who posted it, as Slack says."""

    @property
    def when(self) -> str:
        """When it was posted, and by whom, for a person."""
        at = f" on {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at else ""
        return f"{at} by {self.by}" if self.by else at


def claims(export: Any) -> tuple[Claim, ...]:
    """Return what the bot's lines in an export say, in order of the events.

    Where the export tells which messages are of bots, people's are passed over: they may quote a line. Raises
    ValueError when it is no list of messages.
    """
    messages = export.get("messages") if isinstance(export, Mapping) else export
    if not isinstance(messages, list):
        raise ValueError("there is no list of messages in it")  # noqa: TRY004 - a file's content, not a type
    found = [(message, claim) for message in messages if isinstance(message, Mapping) for claim in _claims(message)]
    by_bots = [(message, claim) for message, claim in found if _by_bot(message)]
    return tuple(sorted((claim for _, claim in by_bots or found), key=lambda claim: claim.event))


def _claims(message: Mapping[str, Any]) -> Iterator[Claim]:
    said = _MARK.search(str(message.get("text") or ""))
    if said is not None:
        by = str(message.get("bot_id") or message.get("user") or "")
        yield Claim(event=int(said[1]), digits=said[2], at=_posted(message.get("ts")), by=by)


def _by_bot(message: Mapping[str, Any]) -> bool:
    return bool(message.get("bot_id") or message.get("bot_profile")) or message.get("subtype") == "bot_message"


def _posted(ts: Any) -> datetime | None:
    try:
        return _EPOCH + timedelta(seconds=float(ts))
    except (ArithmeticError, TypeError, ValueError):
        return None


def every(exports: Iterable[Any]) -> tuple[Claim, ...]:
    """Return what the bot's lines in several exports say, in order of the events; those that overlap count once."""
    told = {(claim.event, claim.digits, claim.at): claim for export in exports for claim in claims(export)}
    return tuple(sorted(told.values(), key=lambda claim: claim.event))
