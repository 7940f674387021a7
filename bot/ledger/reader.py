"""What is asked of the ledger: states, events, lists of names, and whether all of it holds."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from bot.domain.cancellation import State
from bot.domain.errors import TamperedError
from bot.domain.events import Event, Kind, stamp, whole
from bot.domain.guard import Guard
from bot.domain.order import listed
from bot.domain.witness import Claim
from bot.ledger.chain import GENESIS, event_of
from bot.ledger.proof import Proof, Tell, Verified, unheard
from bot.ledger.rows import Rows
from bot.ledger.store import Row, Store
from bot.ledger.witnessed import Witnessed, hold

PAGE: Final = 1000
"""Events read at a time when the whole chain is walked."""
_STORED: Final = (
    "select actor, at, body, cancellation, digest, id, kind, seq, coalesce("
    "(select digest from events as earlier where earlier.id = events.id - 1), :genesis) as previous from events"
)
"""Rows as they are, each with the digest before it."""


class Reader:
    """The ledger as it is read. `now` gives the time (UTC, aware); raises LedgerError when the database cannot be."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._rows = Rows(store)
        self._proof = Proof(store, self._rows)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def state(self, cancellation: int) -> State | None:
        """Return the latest state of a cancellation."""
        known = self._rows.latest(cancellation)
        return known.state if known else None

    def open_ones(self) -> list[State]:
        """Return every cancellation that is not over, oldest first."""
        return self._rows.states("where open = 1 order by id")

    def at_work(self) -> list[State]:
        """Return the cancellations that the bot itself has to bring on, oldest first."""
        return self._rows.states("where open = 1 and phase in ('Checking', 'Approved', 'Running') order by id")

    def due(self) -> list[State]:
        """Return the cancellations whose wait is over, or that are to be looked at once more, oldest first."""
        return self._rows.states("where due <= :now order by due limit 100", {"now": stamp(self._now())})

    def latest(self, count: int) -> list[State]:
        """Return the latest cancellations that got as far as a card, newest first."""
        return self._rows.states("where carded = 1 order by id desc limit :n", {"n": count})

    def latest_of(self, requester: str, count: int) -> list[State]:
        """Return somebody's latest cancellations that got as far as a card, newest first."""
        return self._rows.states(
            "where carded = 1 and requester = :requester order by id desc limit :n",
            {"requester": requester, "n": count},
        )

    def every(self) -> Iterator[State]:
        """Yield every cancellation, newest first."""
        row = self._store.one("select coalesce(max(cancellation), 0) as id from events")
        for cancellation in range(int(row["id"]) if row else 0, 0, -1):
            state = self.state(cancellation)
            if state is not None:
                yield state

    def broke_glass(self) -> Iterator[State]:
        """Yield the cancellations that went on without the approval they needed, newest first.

        The events say which they are: a state row that hides it is not asked.
        """
        for row in self._store.run(
            "select distinct cancellation as id from events where kind = 'broke_glass' order by cancellation desc"
        ):
            yield self._rows.rebuilt(row["id"])

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

    def ran_alone(self, state: State, *, window: timedelta, now: datetime | None = None) -> int:
        """Sum the devices that the requester of `state` runs alone on its quota, or ran within `window`; not its own.

        The account counts beside the quota: a quota that is given another name forgets nothing. `now` is the time of
        the decision that it is summed for.
        """
        return self.ran_alone_by(state.requester, state.account, state.quota, window=window, besides=state.id, now=now)

    def ran_alone_by(
        self,
        requester: str,
        account: str,
        quota: str,
        *,
        window: timedelta,
        besides: int = 0,
        now: datetime | None = None,
    ) -> int:
        """Sum what somebody runs alone, or ran within `window`, for whom there need not be an order yet."""
        row = self._store.one(
            "select coalesce(sum(alone), 0) as n from cancellations where requester = :requester"
            " and (quota = :quota or account = :account) and id <> :id and alone > 0"
            " and (open = 1 or alone_at > :since)",
            {
                "account": account,
                "requester": requester,
                "quota": quota,
                "id": besides,
                "since": stamp((now or self._now()) - window),
            },
        )
        return int(row["n"]) if row else 0

    def names(self, sha256: str | None) -> tuple[str, ...]:
        """Return a list of names by its SHA-256; no names for `None`.

        Raises TamperedError when it is not there, or is not what that SHA-256 stands for.
        """
        if sha256 is None:
            return ()
        row = self._store.one("select names from lists where sha256 = :key", {"key": sha256})
        # Not a database that is ill: one cancellation cannot go on, and the others can.
        if row is None:
            raise TamperedError(f"The list of names {sha256[:12]} is not in the ledger.", event=None)
        names = tuple(str(row["names"]).split("\n")) if row["names"] != "" else ()
        if listed(names).sha256 != sha256:
            raise TamperedError(f"The list of names {sha256[:12]} was changed in the ledger.", event=None)
        return names

    def guards(self) -> dict[str, Guard]:
        """Return what guarded each account when the bot, or a command, last started on this ledger."""
        rows = self._store.run("select account, guard from guards")
        return {str(row["account"]): json.loads(row["guard"]) for row in rows}

    def last_cancellation(self) -> int:
        """Return the number of the last cancellation, here or in the ledger that this one goes on from."""
        # Without the condition, which the index has, too, every event would be looked at.
        row = self._store.one("select max(cancellation) as id from events where cancellation is not null")
        if row is not None and row["id"] is not None:
            return int(row["id"])
        first = self.events(after=0, most=1)
        return int(first[0].body["cancellations"]) if first and first[0].kind == Kind.CONTINUED else 0

    def in_use(self) -> bool:
        """Tell whether a process works on this ledger: it holds leases."""
        now = self._now().timestamp()
        return self._store.one("select 1 as held from leases where until > :now", {"now": now}) is not None

    def held_against(self, claims: Iterable[Claim]) -> Witnessed:
        """Hold the ledger against what the audit channel was told; raises TamperedError where they differ."""
        with self._store.reading():
            return hold(self._store, claims)

    def verify(self, tell: Tell = unheard) -> Verified:
        """Recompute the whole chain, then hold the state rows and the lists against it.

        Raises TamperedError at the first thing that does not hold.
        """
        return self._proof.verify(tell)

    def honest(self, cancellation: int) -> bool:
        """Tell whether a cancellation's state row is what its events say, column by column."""
        return self._rows.honest(cancellation)

    def rebuilt(self, cancellation: int) -> State:
        """Fold a cancellation's events anew: what its state row must equal."""
        return self._rows.rebuilt(cancellation)

    # --- for whoever searches and exports --------------------------------------------------------------------------

    def those_of(self, person: str) -> frozenset[int]:
        """Return the cancellations in which somebody did something."""
        rows = self._store.run(
            "select distinct cancellation as id from events where actor = :actor and cancellation is not null",
            {"actor": whole(person)},
        )
        return frozenset(int(row["id"]) for row in rows)

    def lists_with(self, device: str) -> frozenset[str]:
        """Return the SHA-256 of every list of names that has this one."""
        # LIKE would ignore case, and names may hold its wildcards.
        rows = self._store.run(
            "select sha256 from lists where instr(char(10) || names || char(10), char(10) || :name || char(10)) > 0",
            {"name": whole(device)},
        )
        return frozenset(str(row["sha256"]) for row in rows)

    def rows(self, *, cancellation: int | None = None, after: int = 0, most: int = PAGE) -> list[Row]:
        """Return up to `most` rows of the chain, or of one cancellation, with an id above `after`, as they are stored.

        Each comes with `previous`, the digest of the row before it in the chain.
        """
        # With `+` SQLite does not walk the whole chain for the order: it goes by the cancellation's own index.
        those = (
            "id > :after order by id" if cancellation is None else "cancellation = :of and +id > :after order by +id"
        )
        return self._store.run(
            f"{_STORED} where {those} limit :most",
            {"after": after, "of": cancellation, "most": most, "genesis": GENESIS},
        )
