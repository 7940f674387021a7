"""The ledger: `decide` is the one write, and state rows are the fold of the events they stand beside."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from bot.domain.cancellation import State
from bot.domain.decisions import Decision, Refusal, event, retried
from bot.domain.events import BOT, Event, Kind, NewEvent, canonical, stamp, whole
from bot.domain.fold import apply
from bot.domain.guard import Guard, changes
from bot.domain.order import listed
from bot.ledger.chain import GENESIS, digest, event_of, moment
from bot.ledger.leases import Lease, LeaseLostError, Leases
from bot.ledger.outbox import Outbox
from bot.ledger.reader import Reader
from bot.ledger.slots import Slots
from bot.ledger.store import Store

CHECKPOINT_EVERY: Final = timedelta(days=1)
"""How often the audit channel is told where the whole chain stands."""
DELIVERED_AGAIN: Final = timedelta(hours=1)
"""How long a delivery is known again; Slack repeats within minutes."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The cancellation an order opened, or the one that the same delivery had opened before."""

    id: int
    repeated: bool


class Ledger(Reader):
    """The append-only chain of events and what is kept beside it, in one database.

    `now` gives the time (UTC, aware). Raises LedgerError when the database cannot be used.
    """

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        super().__init__(store, now=now)
        self._listeners: list[Callable[[], None]] = []
        self.leases = Leases(store, now=now)
        self.slots = Slots(store, now=now)
        self.outbox = Outbox(store)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime], readonly: bool = False) -> Self:
        """Open or create the ledger at `path`; where another version of the bot wrote its rows, make them anew."""
        ledger = cls(Store(path, readonly=readonly), now=now)
        if not readonly:
            ledger._rows.modernise()
        return ledger

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each commit that appended events."""
        self._listeners.append(changed)

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
        delivery: str | None = None,
        names: tuple[str, ...] = (),
        late: Callable[[], Refusal | None] = lambda: None,
    ) -> Ordered | Refusal:
        """Open a cancellation over what `old` left over, and link both; a second time it is that same one.

        The same `delivery` again gives what it gave before, also where that came to nothing meanwhile.
        `late` is asked when the write is this one's turn: what has been given up on meanwhile must not happen.
        """
        with self._store.writing():
            if seen := self._delivered(delivery):
                return seen
            if refusal := late():
                return refusal
            state = self.state(old)
            if state is not None and state.retried_as is not None:
                self._keep_delivery(delivery, state.retried_as, self._time())
                return Ordered(state.retried_as, repeated=True)
            new = self._next()
            linked = self._decide(old, lambda latest, now: retried(latest, now, actor=event.actor, new=new))
            if isinstance(linked, Refusal):
                return linked
            ordered = self._order(event, delivery, names)
        self._tell()
        return ordered

    def _order(self, event: NewEvent, delivery: str | None, names: tuple[str, ...]) -> Ordered:
        if seen := self._delivered(delivery):
            return seen
        identity = self._next()
        if names:
            self.keep_list(names)
        stored = self._append(event, identity, 1)
        self._keep_delivery(delivery, identity, stored.at)
        self._rows.keep(apply(None, stored), stored.digest, before=None)
        return Ordered(identity, repeated=False)

    def _delivered(self, delivery: str | None) -> Ordered | None:
        seen = self._store.one("select cancellation from deliveries where key = :key", {"key": _key(delivery)})
        return Ordered(seen["cancellation"], repeated=True) if seen else None

    def _keep_delivery(self, delivery: str | None, cancellation: int, at: datetime) -> None:
        if delivery:
            self._store.run("delete from deliveries where at < :old", {"old": stamp(at - DELIVERED_AGAIN)})
            self._store.run(
                "insert into deliveries (key, cancellation, at) values (:key, :cancellation, :at)",
                {"key": _key(delivery), "cancellation": cancellation, "at": stamp(at)},
            )

    def _next(self) -> int:
        return self.last_cancellation() + 1

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
        before = self._rows.latest(cancellation)
        if before is None:
            return Refusal(f"There is no cancellation #{cancellation}.")
        state, digest, now = before.state, before.digest, self._time()
        decided = decision(state, now)
        if isinstance(decided, Refusal):
            return decided
        for made in decided:
            stored = self._append(made, state.id, state.seq + 1, at=now)
            state, digest = apply(state, stored), stored.digest
        if decided:
            self._rows.keep(state, digest, before=before)
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

    def checkpoint(self) -> Event | None:
        """Record where the chain stands, once a day: the audit channel is told of it with the whole digest."""
        with self._store.writing():
            last = self._store.one("select at from events where kind = 'checkpoint' order by id desc limit 1")
            last = last or self._store.one("select at from events where id = 1")
            head = self._store.one("select id, digest from events order by id desc limit 1")
            if last is None or head is None or self._time() - moment(last["at"]) < CHECKPOINT_EVERY:
                return None
            stored = self._append(event(Kind.CHECKPOINT, BOT, events=head["id"], head=head["digest"]), None, None)
        self._tell()
        return stored

    def begin(self, first: NewEvent, guards: Mapping[str, Guard]) -> Event:
        """Record what an empty ledger goes on from, and the guards that held there."""
        with self._store.writing():
            stored = self._append(first, None, None)
            self._write_guards(guards)
        self._tell()
        return stored

    def keep_guards(self, actor: str, guards: Mapping[str, Guard]) -> None:
        """Record which accounts' guards are others than when the bot, or a command, last started on this ledger."""
        with self._store.writing():
            for change in changes(actor, self.guards(), guards):
                self._append(change, None, None)
            self._write_guards(guards)
        self._tell()

    def _write_guards(self, guards: Mapping[str, Guard]) -> None:
        self._store.run("delete from guards")
        for account, guard in guards.items():
            self._store.run(
                "insert into guards (account, guard) values (:account, :guard)",
                {"account": account, "guard": canonical(guard)},
            )

    def keep_list(self, names: tuple[str, ...]) -> str:
        """Store a list of names once, and return its SHA-256 (of the names, one a line)."""
        key = listed(names).sha256
        self._store.run(
            "insert into lists (sha256, names) values (:key, :names) on conflict (sha256) do nothing",
            {"key": key, "names": whole("\n".join(names))},
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

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()


def _key(delivery: str | None) -> str | None:
    return sha256(delivery.encode("utf-8", "surrogatepass")).hexdigest() if delivery else None
