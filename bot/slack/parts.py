"""Remembers how much of what an event brings is told: a part that fails must not repeat those before it."""

from bot.domain.events import Event
from bot.ledger.outbox import MOST_PARTS, Outbox


class Parts:
    """The cursors of sinks that tell an event in several parts."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def last(self, sink: str) -> int | None:
        """Return the id of the event that a sink told last, be it in part; `None` for one that never did."""
        cursor = self._outbox.cursor(sink)
        return None if cursor is None else cursor // MOST_PARTS

    def told(self, sink: str, event: Event) -> int:
        """Return how many parts of an event a sink knows to be told."""
        last, told = divmod(self._outbox.cursor(sink) or 0, MOST_PARTS)
        return told if last == event.id else 0

    def ended(self, sink: str, event: Event) -> bool:
        """Tell whether all parts of an event are told."""
        return self.told(sink, event) == MOST_PARTS - 1

    def reach(self, sink: str, event: Event, told: int) -> None:
        """Store that so many parts of an event are told."""
        self._outbox.advance(sink, event.id * MOST_PARTS + told)

    def end(self, sink: str, event: int) -> None:
        """Store that everything up to an event is told."""
        self._outbox.advance(sink, event * MOST_PARTS + MOST_PARTS - 1)
