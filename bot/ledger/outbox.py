"""What Slack has been shown so far: each cancellation's card, and a cursor for each line-by-line sink."""

from dataclasses import dataclass

from bot.ledger.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """How far a cancellation has been told in Slack."""

    cancellation: int
    channel: str
    ts: str | None = None
    """Slack's id of the card; `None` before the first post is known to have landed."""
    attempted: int = 0
    """How often a first post was attempted."""
    shown: int = 0
    """The event up to which the card is drawn."""
    told: int = 0
    """The event up to which the thread is told."""


class Outbox:
    """The tables `cards` and `cursors`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def card(self, cancellation: int) -> CardRow | None:
        """Return a cancellation's card."""
        row = self._store.one("select * from cards where cancellation = :id", {"id": cancellation})
        return CardRow(**row) if row else None

    def behind(self) -> list[int]:
        """Return the cancellations whose card or thread is behind their state, oldest first."""
        rows = self._store.run(
            "select c.id from cancellations c left join cards on cards.cancellation = c.id"
            " where c.carded = 1 and (cards.cancellation is null or cards.shown < c.event or cards.told < c.event)"
            " order by c.id"
        )
        return [row["id"] for row in rows]

    def keep(self, card: CardRow) -> None:
        """Store how far a card has come."""
        self._store.run(
            "insert into cards (cancellation, channel, ts, attempted, shown, told)"
            " values (:cancellation, :channel, :ts, :attempted, :shown, :told)"
            " on conflict (cancellation) do update set channel = excluded.channel, ts = excluded.ts,"
            " attempted = excluded.attempted, shown = excluded.shown, told = excluded.told",
            {
                "cancellation": card.cancellation,
                "channel": card.channel,
                "ts": card.ts,
                "attempted": card.attempted,
                "shown": card.shown,
                "told": card.told,
            },
        )

    def told(self, cancellation: int, event: int) -> None:
        """Store that a card's thread is told up to `event`."""
        self._store.run("update cards set told = :event where cancellation = :id", {"event": event, "id": cancellation})

    def cursor(self, sink: str) -> int | None:
        """Return the last event that `sink` has told; `None` for a sink that never was."""
        row = self._store.one("select event from cursors where sink = :sink", {"sink": sink})
        return row["event"] if row else None

    def untold(self) -> bool:
        """Tell whether there is no sink at all yet: no bot has ever run on this ledger."""
        return self._store.one("select 1 as found from cursors limit 1") is None

    def advance(self, sink: str, event: int) -> None:
        """Move the cursor of `sink`."""
        self._store.run(
            "insert into cursors (sink, event) values (:sink, :event)"
            " on conflict (sink) do update set event = excluded.event",
            {"sink": sink, "event": event},
        )
