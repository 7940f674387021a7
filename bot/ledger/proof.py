"""Holds what the ledger keeps against its events: the chain, the state rows, the lists."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from bot.domain.cancellation import OPEN, STATE, State
from bot.domain.errors import LedgerError, TamperedError
from bot.domain.events import Event, stamp
from bot.domain.fold import apply
from bot.ledger.chain import Verified, event_of, verify
from bot.ledger.store import Store

PAGE: Final = 1000
"""Rows read at a time when a whole table is walked."""


class Proof:
    """Recomputes what is kept, from the events."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
            return row is not None and STATE.validate_json(row.pop("state")) == folded and row == columns(folded)
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
        for event in self._story(cancellation):
            state = apply(state, event)
        if state is None:
            raise LedgerError(f"There is no cancellation #{cancellation}.")
        return state

    def _story(self, cancellation: int) -> Iterator[Event]:
        for row in self._store.run("select * from events where cancellation = :id order by seq", {"id": cancellation}):
            yield event_of(row)

    def _rows(self) -> Iterator[dict[str, Any]]:
        after = 0
        while rows := self._store.run(
            "select * from events where id > :after order by id limit :most", {"after": after, "most": PAGE}
        ):
            yield from rows
            after = rows[-1]["id"]


def columns(state: State) -> dict[str, Any]:
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
