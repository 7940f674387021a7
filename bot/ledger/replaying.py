"""Replays cancellations one by one, and holds what is kept of each against its events: its row, and its lists."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cachetools import LRUCache

from bot.domain.cancellation import State
from bot.domain.errors import TamperedError
from bot.domain.events import Event
from bot.domain.order import CancelDevices, Listed
from bot.domain.replay import ReplayError, replayed
from bot.ledger.rows import Rows
from bot.ledger.store import Store

PAGE: Final = 1000
"""Cancellations listed at a time."""
KNOWN: Final = 64
"""Lists whose length is kept in memory: orders that follow each other are often for the same devices."""


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What was replayed."""

    cancellations: int = 0
    approvals: int = 0
    sendings: int = 0
    """Attempts at calls."""
    out: int = 0
    """Of them those that have no result yet, in runs that are still under way."""

    def __add__(self, other: "Replayed") -> "Replayed":
        return Replayed(
            cancellations=self.cancellations + other.cancellations,
            approvals=self.approvals + other.approvals,
            sendings=self.sendings + other.sendings,
            out=self.out + other.out,
        )


class Replaying:
    """Replays what was decided."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = Rows(store)
        self._older = self._kept.older()
        self._lengths: LRUCache[str, int] = LRUCache(KNOWN)

    def replay(self, after: int, upto: int) -> Replayed:
        """Replay the cancellations with numbers above `after`, up to `upto`.

        Raises TamperedError at the first event that the rules did not allow, or the first thing kept that is not what
        the events say. State rows from before an upgrade are not looked at.
        """
        found = Replayed()

        def advance(before: State | None, event: Event) -> State:
            try:
                state = replayed(before, event)
            except ReplayError as error:
                raise TamperedError(f"event {event.id}: {error}", event=event.id) from error
            found.approvals += event.kind == "approved"
            found.sendings += event.kind == "call_sent"
            return state

        while rows := self._store.run(
            "select cancellation as id from events where cancellation > :after and cancellation <= :upto and seq = 1"
            " order by cancellation limit :most",
            {"after": after, "upto": upto, "most": PAGE},
        ):
            for row in rows:
                state = (self._kept.folded if self._older else self._kept.proved)(row["id"], advance)
                if state is None:
                    raise TamperedError(f"the state row of #{row['id']} is not what its events say", event=None)
                self._hold_lists(state)
                found.cancellations += 1
                found.out += len(state.run.out) if state.run else 0
            after = rows[-1]["id"]
        return found

    def lists(self) -> int:
        """Count the lists; raises TamperedError at one that does not have the SHA-256 under which it lies."""
        rows = self._store.run("select sha256 from lists order by sha256")
        for row in rows:
            names = self._names(row["sha256"])
            if names is None or sha256(names.encode()).hexdigest() != row["sha256"]:
                raise TamperedError(f"the list {row['sha256']} does not have that SHA-256", event=None)
        return len(rows)

    def _hold_lists(self, state: State) -> None:
        """Hold the lists that a cancellation's order and plan name against those that are kept."""
        order, steps = state.order, state.plan.steps if state.plan else ()
        ordered = order.listed if isinstance(order, CancelDevices) else None
        planned = [Listed(step.names, step.count) for step in steps if step.names]
        for listed in (*planned, *([ordered] if ordered else [])):
            length = self._length(listed.sha256, state.id)
            if length != listed.count:
                count = f"{listed.count:,} devices, and it has {length:,}"
                raise TamperedError(f"#{state.id} says that the list {listed.sha256} has {count}", event=None)
        for listed in planned if ordered else ():
            if ordered is not None and listed != ordered and not self._set(listed) <= self._set(ordered):
                raise TamperedError(f"the plan of #{state.id} lists devices that were not ordered", event=None)

    def _length(self, key: str, cancellation: int) -> int:
        length = self._lengths.get(key)
        if length is None:
            names = self._names(key)
            if names is None:
                raise TamperedError(f"the list {key} that #{cancellation} names is not in the ledger", event=None)
            length = self._lengths[key] = names.count("\n") + 1 if names else 0
        return length

    def _set(self, listed: Listed) -> set[str]:
        return {*(self._names(listed.sha256) or "").split("\n")}

    def _names(self, key: str) -> str | None:
        row = self._store.one("select names from lists where sha256 = :key", {"key": key})
        return str(row["names"]) if row else None
