"""The ledger: `decide` is the one write, and state rows are the fold of the events they stand beside."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from bot.domain.cancellation import OPEN, STATE, State, apply
from bot.domain.decisions import Decision, Refusal
from bot.domain.errors import LedgerError, TamperedError
from bot.domain.events import Event, NewEvent, canonical, stamp, whole
from bot.ledger.chain import GENESIS, Verified, digest, event_of, moment, verify
from bot.ledger.leases import Lease, LeaseLostError, Leases
from bot.ledger.outbox import Outbox
from bot.ledger.slots import Slots
from bot.ledger.store import Store

DELIVERED_AGAIN: Final = timedelta(hours=1)
"""How long a delivery is known again; Slack repeats within minutes."""
PAGE: Final = 1000
"""Events read at a time when the whole chain is walked."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The cancellation an order opened, or the one that the same delivery had opened before."""

    id: int
    repeated: bool


class Ledger:
    """The append-only chain of events and what is kept beside it, in one database.

    `now` gives the time (UTC, aware). Raises LedgerError when the database cannot be used.
    """

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._listeners: list[Callable[[], None]] = []
        self.leases = Leases(store, now=now)
        self.slots = Slots(store, now=now)
        self.outbox = Outbox(store)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime], readonly: bool = False) -> Self:
        """Open or create the ledger at `path`."""
        return cls(Store(path, readonly=readonly), now=now)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each commit that appended events."""
        self._listeners.append(changed)

    # --- writing -----------------------------------------------------------------------------------------------

    def order(self, event: NewEvent, *, delivery: str | None = None) -> Ordered:
        """Open a cancellation with its `requested` event; the same `delivery` again opens nothing new."""
        key = sha256(delivery.encode()).hexdigest() if delivery else None
        with self._store.writing():
            if seen := self._store.one("select cancellation from deliveries where key = :key", {"key": key}):
                return Ordered(seen["cancellation"], repeated=True)
            row = self._store.one("select coalesce(max(cancellation), 0) + 1 as id from events")
            identity: int = row["id"] if row else 1
            stored = self._append(event, identity, 1)
            if key:
                self._store.run("delete from deliveries where at < :old", {"old": stamp(stored.at - DELIVERED_AGAIN)})
                self._store.run(
                    "insert into deliveries (key, cancellation, at) values (:key, :cancellation, :at)",
                    {"key": key, "cancellation": identity, "at": stamp(stored.at)},
                )
            self._keep(apply(None, stored))
        self._tell()
        return Ordered(identity, repeated=False)

    def decide(self, cancellation: int, decision: Decision, *, lease: Lease | None = None) -> State | Refusal:
        """Make `decision` on the latest state and record what it decided, in one transaction.

        Returns the state after it, or the refusal that the latest state implies. Raises LeaseLostError when `lease` is
        given and not held any more; nothing is recorded then.
        """
        with self._store.writing():
            state = self.state(cancellation)
            if state is None:
                return Refusal(f"There is no cancellation #{cancellation}.")
            if lease is not None and not self.leases.holds(lease):
                raise LeaseLostError(lease.name)
            now = self._time()
            decided = decision(state, now)
            if isinstance(decided, Refusal):
                return decided
            for event in decided:
                state = apply(state, self._append(event, state.id, state.seq + 1, at=now))
            self._keep(state)
        self._tell()
        return state

    def append(self, event: NewEvent) -> Event:
        """Record an event that belongs to no cancellation."""
        with self._store.writing():
            stored = self._append(event, None, None)
        self._tell()
        return stored

    def append_unless(self, event: NewEvent, full: Callable[[], bool]) -> None:
        """Record an event that belongs to no cancellation, unless `full`, asked in the same transaction, says no."""
        with self._store.writing():
            if full():
                return
            self.append(event)

    def keep_list(self, names: tuple[str, ...]) -> str:
        """Store a list of names once, and return its SHA-256 (of the names, one a line)."""
        text = whole("\n".join(names))
        key = sha256(text.encode()).hexdigest()
        self._store.run(
            "insert into lists (sha256, names) values (:key, :names) on conflict (sha256) do nothing",
            {"key": key, "names": text},
        )
        return key

    def _append(
        self, event: NewEvent, cancellation: int | None, seq: int | None, *, at: datetime | None = None
    ) -> Event:
        head = self._store.one("select id, digest from events order by id desc limit 1")
        # Read back before it is sorted: a name that is no text would sort otherwise after the reading than before.
        body = json.loads(canonical(dict(event.body)))
        row = {
            "id": head["id"] + 1 if head else 1,
            "cancellation": cancellation,
            "seq": seq,
            "at": stamp(at or self._time()),
            "actor": whole(event.actor),
            "kind": event.kind.value,
            "body": canonical(body),
        }
        row["digest"] = digest(head["digest"] if head else GENESIS, {**row, "body": body})
        self._store.run(
            "insert into events (id, cancellation, seq, at, actor, kind, body, digest)"
            " values (:id, :cancellation, :seq, :at, :actor, :kind, :body, :digest)",
            row,
        )
        return event_of(row)

    def _time(self) -> datetime:
        """Return the time of a decision: never before the last event's, as the events themselves."""
        head = self._store.one("select at from events order by id desc limit 1")
        return max(self._now(), moment(head["at"])) if head else self._now()

    def _keep(self, state: State) -> None:
        self._store.run(
            "insert into cancellations"
            " (id, event, open, phase, requester, account, quota, channel, carded, due, alone, alone_at, state)"
            " values (:id, :event, :open, :phase, :requester, :account, :quota, :channel, :carded, :due,"
            " :alone, :alone_at, :state)"
            " on conflict (id) do update set event = excluded.event, open = excluded.open, phase = excluded.phase,"
            " carded = excluded.carded, due = excluded.due, alone = excluded.alone,"
            " alone_at = excluded.alone_at, state = excluded.state",
            {**_columns(state), "state": STATE.dump_json(state).decode()},
        )

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    # --- reading -----------------------------------------------------------------------------------------------

    def state(self, cancellation: int) -> State | None:
        """Return the latest state of a cancellation."""
        row = self._store.one("select state from cancellations where id = :id", {"id": cancellation})
        return STATE.validate_json(row["state"]) if row else None

    def open_ones(self) -> list[State]:
        """Return every cancellation that is not over, oldest first."""
        return self._states("select state from cancellations where open = 1 order by id", {})

    def at_work(self) -> list[State]:
        """Return the cancellations that the bot itself has to bring on, oldest first."""
        return self._states(
            "select state from cancellations"
            " where open = 1 and phase in ('Checking', 'Approved', 'Running') order by id",
            {},
        )

    def due(self) -> list[State]:
        """Return the cancellations whose wait is over, or that are to be looked at once more, oldest first."""
        now = stamp(self._now())
        return self._states("select state from cancellations where due <= :now order by due limit 100", {"now": now})

    def latest(self, count: int) -> list[State]:
        """Return the latest cancellations that got as far as a card, newest first."""
        return self._states("select state from cancellations where carded = 1 order by id desc limit :n", {"n": count})

    def story(self, cancellation: int, *, after: int = 0) -> list[Event]:
        """Return a cancellation's events in order, those with an id above `after`."""
        rows = self._store.run(
            "select * from events where cancellation = :id and id > :after order by seq",
            {"id": cancellation, "after": after},
        )
        return [event_of(row) for row in rows]

    def events(self, *, after: int, most: int = PAGE) -> list[Event]:
        """Return up to `most` events of the chain with an id above `after`, in order."""
        rows = self._store.run(
            "select * from events where id > :after order by id limit :most", {"after": after, "most": most}
        )
        return [event_of(row) for row in rows]

    def head(self) -> int:
        """Return the id of the last event; 0 before the first."""
        row = self._store.one("select coalesce(max(id), 0) as id from events")
        return int(row["id"]) if row else 0

    def refusals(self, actor: str, *, within: timedelta) -> int:
        """Count how often `actor` was refused within the time before now."""
        row = self._store.one(
            "select count(*) as n from events where kind = 'refused' and actor = :actor and at > :since",
            {"actor": whole(actor), "since": stamp(self._now() - within)},
        )
        return int(row["n"]) if row else 0

    def ran_alone(self, state: State, *, window: timedelta) -> int:
        """Sum the devices that the requester of `state` ran alone on its quota within `window`, this one left out."""
        row = self._store.one(
            "select coalesce(sum(alone), 0) as n from cancellations where requester = :requester and quota = :quota"
            " and id <> :id and alone > 0 and alone_at > :since",
            {
                "requester": state.requester,
                "quota": state.quota,
                "id": state.id,
                "since": stamp(self._now() - window),
            },
        )
        return int(row["n"]) if row else 0

    def verify(self) -> Verified:
        """Recompute the whole chain, then hold the state rows and the lists against it.

        Raises TamperedError at the first thing that does not hold.
        """
        found = verify(self._rows())
        self._verify_states()
        self._verify_lists()
        return found

    def honest(self, cancellation: int) -> bool:
        """Tell whether a cancellation's state row is what its events say, column by column."""
        # One transaction: a bot that runs may move both between two reads.
        with self._store.reading():
            row = self._store.one("select * from cancellations where id = :id", {"id": cancellation})
            folded = self.rebuilt(cancellation)
        try:
            return row is not None and STATE.validate_json(row.pop("state")) == folded and row == _columns(folded)
        except ValueError:  # the state is not even one
            return False

    def _verify_states(self) -> None:
        after, opened = 0, 0
        while rows := self._store.run(
            "select cancellation as id from events where cancellation > :after and seq = 1"
            " order by cancellation limit :most",
            {"after": after, "most": PAGE},
        ):
            for row in rows:
                if not self.honest(row["id"]):
                    raise TamperedError(f"the state row of #{row['id']} is not what its events say", event=None)
            after, opened = rows[-1]["id"], opened + len(rows)
        kept = self._store.one("select count(*) as n from cancellations where id <= :last", {"last": after})
        if kept is None or kept["n"] != opened:
            raise TamperedError("there are state rows of cancellations that no event opened", event=None)

    def _verify_lists(self) -> None:
        for row in self._store.run("select sha256 from lists order by sha256"):
            kept = self._store.one("select names from lists where sha256 = :key", {"key": row["sha256"]})
            if kept is None or sha256(str(kept["names"]).encode()).hexdigest() != row["sha256"]:
                raise TamperedError(f"the list {row['sha256']} does not have that SHA-256", event=None)

    def rebuilt(self, cancellation: int) -> State:
        """Fold a cancellation's events anew: what its state row must equal."""
        state: State | None = None
        for event in self.story(cancellation):
            state = apply(state, event)
        if state is None:
            raise LedgerError(f"There is no cancellation #{cancellation}.")
        return state

    def _rows(self) -> Iterator[dict[str, Any]]:
        after = 0
        while rows := self._store.run(
            "select * from events where id > :after order by id limit :most", {"after": after, "most": PAGE}
        ):
            yield from rows
            after = rows[-1]["id"]

    def _states(self, sql: str, parameters: dict[str, Any]) -> list[State]:
        return [STATE.validate_json(row["state"]) for row in self._store.run(sql, parameters)]


def _columns(state: State) -> dict[str, Any]:
    """Return what a state row says beside the state itself, for the queries."""
    alone, alone_at = _alone(state)
    return {
        "id": state.id,
        "event": state.event,
        "open": int(state.phase in OPEN),
        "phase": state.phase.value,
        "requester": state.requester,
        "account": state.account,
        "quota": state.quota,
        "channel": state.channel,
        "carded": int(state.has_card and state.channel is not None),
        "due": stamp(state.due) if state.due else None,
        "alone": alone,
        "alone_at": stamp(alone_at) if alone_at else None,
    }


def _alone(state: State) -> tuple[int, datetime | None]:
    """Return what this cancellation adds to its requester's window; what ended with nothing sent is given back."""
    if state.confirmed_at is None or state.plan is None:
        return 0, None
    nothing_sent = state.run is None or not (state.run.done or state.run.attempts)
    if state.ended is not None and nothing_sent:
        return 0, None
    return state.plan.at_most or 0, state.confirmed_at
