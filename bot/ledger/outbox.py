"""What Slack has been shown so far: each cancellation's card, each person's Home, and a cursor for each sink."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.domain.events import stamp
from bot.ledger.store import Store

MOST_PARTS: Final = 1000
"""A sink that tells events in parts counts so many for each: more than a reply and its file, or a few dozen people."""
DIRECT: Final = "direct"
"""The sinks that know who was written to directly, one for each cancellation: `direct:7`."""


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
    """The tables `cards`, `cursors` and `homes`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def card(self, cancellation: int) -> CardRow | None:
        """Return a cancellation's card."""
        row = self._store.one("select * from cards where cancellation = :id", {"id": cancellation})
        return CardRow(**row) if row else None

    def behind(self) -> list[int]:
        """Return the cancellations whose card, thread or people are behind their state, oldest first."""
        rows = self._store.run(
            "select c.id from cancellations c left join cards on cards.cancellation = c.id"
            " left join cursors on cursors.sink = :direct || c.id"
            " where c.carded = 1 and (cards.cancellation is null or cards.shown < c.event or cards.told < c.event"
            " or cursors.event < c.event * :parts + :parts - 1) order by c.id",
            {"direct": f"{DIRECT}:", "parts": MOST_PARTS},
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

    def lose(self, cancellation: int, ts: str) -> None:
        """Store that a card is not in Slack any more, unless another one has taken its place."""
        self._store.run(
            "update cards set ts = null, shown = 0 where cancellation = :id and ts = :ts",
            {"id": cancellation, "ts": ts},
        )

    def unposted(self) -> list[int]:
        """Return the cancellations whose card is not in Slack though it was, or was tried, oldest first."""
        return [
            row["cancellation"]
            for row in self._store.run("select cancellation from cards where ts is null order by cancellation")
        ]

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

    def open_home(self, user: str, at: datetime) -> None:
        """Store that somebody opened their Home."""
        self._store.run(
            "insert into homes (person, opened, shown) values (:person, :at, 0)"
            " on conflict (person) do update set opened = excluded.opened, shown = 0",
            {"person": user, "at": stamp(at)},
        )

    def homes(self, *, since: datetime) -> dict[str, int]:
        """Return who has opened their Home since then, with what it shows: a number that stands for a view."""
        rows = self._store.run(
            "select person, shown from homes where opened >= :since order by opened", {"since": stamp(since)}
        )
        return {row["person"]: row["shown"] for row in rows}

    def show_home(self, user: str, shown: int) -> None:
        """Store what somebody's Home shows."""
        self._store.run("update homes set shown = :shown where person = :person", {"person": user, "shown": shown})

    def forget_home(self, user: str) -> None:
        """Forget that somebody opened their Home."""
        self._store.run("delete from homes where person = :person", {"person": user})
