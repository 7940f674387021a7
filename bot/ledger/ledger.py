"""The ledger: `decide` is the one write, and state rows are the fold of the events they stand beside."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from bot.domain.cancellation import FORM, STATE, State
from bot.domain.decisions import Decision, Refusal, retried
from bot.domain.errors import TamperedError
from bot.domain.events import Event, NewEvent, canonical, stamp, whole
from bot.domain.fold import apply
from bot.domain.order import listed
from bot.ledger.chain import GENESIS, Verified, digest, event_of, moment
from bot.ledger.leases import Lease, LeaseLostError, Leases
from bot.ledger.outbox import Outbox
from bot.ledger.proof import Proof, columns
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
        self._proof = Proof(store)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime], readonly: bool = False) -> Self:
        """Open or create the ledger at `path`."""
        ledger = cls(Store(path, readonly=readonly), now=now)
        if not readonly:
            ledger.modernise()
        return ledger

    def modernise(self) -> None:
        """Fold every state row anew where an older version of the bot wrote them: its states had another form."""
        with self._store.writing():
            if self._store.one("select 1 from forms where form = :form", {"form": FORM}):
                return
            for row in self._store.run("select distinct cancellation as id from events where seq = 1 order by 1"):
                self._keep(self.rebuilt(row["id"]))
            self._store.run("insert into forms (form) values (:form)", {"form": FORM})

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each commit that appended events."""
        self._listeners.append(changed)

    # --- writing -----------------------------------------------------------------------------------------------

    def order(self, event: NewEvent, *, delivery: str | None = None, names: tuple[str, ...] = ()) -> Ordered:
        """Open a cancellation with its `requested` event, and keep the names it lists.

        The same `delivery` again opens nothing new.
        """
        with self._store.writing():
            ordered = self._order(event, delivery, names)
        self._tell()
        return ordered

    def again(
        self,
        old: int,
        event: NewEvent,
        *,
        names: tuple[str, ...] = (),
        late: Callable[[], Refusal | None] = lambda: None,
    ) -> Ordered | Refusal:
        """Open a cancellation over what `old` left over, and link both; a second time it is that same one.

        `late` is asked when the write is this one's turn: what has been given up on meanwhile must not happen.
        """
        with self._store.writing():
            if refusal := late():
                return refusal
            state = self.state(old)
            if state is not None and state.retried_as is not None:
                return Ordered(state.retried_as, repeated=True)
            new = self._next()
            linked = self._decide(old, lambda latest, now: retried(latest, now, actor=event.actor, new=new))
            if isinstance(linked, Refusal):
                return linked
            ordered = self._order(event, None, names)
        self._tell()
        return ordered

    def _order(self, event: NewEvent, delivery: str | None, names: tuple[str, ...]) -> Ordered:
        key = sha256(delivery.encode()).hexdigest() if delivery else None
        if seen := self._store.one("select cancellation from deliveries where key = :key", {"key": key}):
            return Ordered(seen["cancellation"], repeated=True)
        identity = self._next()
        if names:
            self.keep_list(names)
        stored = self._append(event, identity, 1)
        if key:
            self._store.run("delete from deliveries where at < :old", {"old": stamp(stored.at - DELIVERED_AGAIN)})
            self._store.run(
                "insert into deliveries (key, cancellation, at) values (:key, :cancellation, :at)",
                {"key": key, "cancellation": identity, "at": stamp(stored.at)},
            )
        self._keep(apply(None, stored))
        return Ordered(identity, repeated=False)

    def _next(self) -> int:
        row = self._store.one("select coalesce(max(cancellation), 0) + 1 as id from events")
        return int(row["id"]) if row else 1

    def decide(
        self,
        cancellation: int,
        decision: Decision,
        *,
        lease: Lease | None = None,
        lists: Iterable[tuple[str, ...]] = (),
    ) -> State | Refusal:
        """Make `decision` on the latest state and record what it decided, in one transaction.

        `lists` are the lists of names that its events speak of. Returns the state after it, or the refusal that the
        latest state implies. Raises LeaseLostError when `lease` is given and not held any more; nothing is recorded
        then.
        """
        with self._store.writing():
            if lease is not None and not self.leases.holds(lease):
                raise LeaseLostError(lease.name)
            decided = self._decide(cancellation, decision)
            if not isinstance(decided, Refusal):
                for names in lists:
                    self.keep_list(names)
        if not isinstance(decided, Refusal):
            self._tell()
        return decided

    def _decide(self, cancellation: int, decision: Decision) -> State | Refusal:
        state = self.state(cancellation)
        if state is None:
            return Refusal(f"There is no cancellation #{cancellation}.")
        now = self._time()
        decided = decision(state, now)
        if isinstance(decided, Refusal):
            return decided
        for event in decided:
            state = apply(state, self._append(event, state.id, state.seq + 1, at=now))
        self._keep(state)
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
        key = listed(names).sha256
        self._store.run(
            "insert into lists (sha256, names) values (:key, :names) on conflict (sha256) do nothing",
            {"key": key, "names": whole("\n".join(names))},
        )
        return key

    def names(self, sha256: str | None) -> tuple[str, ...]:
        """Return a list of names by its SHA-256; raises TamperedError when it is not there."""
        if sha256 is None:
            return ()
        row = self._store.one("select names from lists where sha256 = :key", {"key": sha256})
        if row is None:
            # Not a database that is ill: one cancellation cannot go on, and the others can.
            raise TamperedError(f"The list of names {sha256[:12]} is not in the ledger.", event=None)
        return tuple(str(row["names"]).split("\n"))

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
            {**columns(state), "state": STATE.dump_json(state).decode()},
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
        return self._proof.verify()

    def honest(self, cancellation: int) -> bool:
        """Tell whether a cancellation's state row is what its events say, column by column."""
        return self._proof.honest(cancellation)

    def rebuilt(self, cancellation: int) -> State:
        """Fold a cancellation's events anew: what its state row must equal."""
        return self._proof.rebuilt(cancellation)

    def _states(self, sql: str, parameters: dict[str, Any]) -> list[State]:
        return [STATE.validate_json(row["state"]) for row in self._store.run(sql, parameters)]
