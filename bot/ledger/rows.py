"""The state rows: what each cancellation has come to, drawn from its events, with columns for the queries."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache

from bot.domain.approval import ran_alone
from bot.domain.cancellation import FORM, OPEN, STATE, Phase, State
from bot.domain.errors import LedgerError
from bot.domain.events import Event, stamp
from bot.domain.fold import apply
from bot.ledger.chain import event_of
from bot.ledger.schema import MIGRATIONS
from bot.ledger.store import Row, Store

LARGE: Final = 100
"""With more in it than this a run's state is too large to be written with each event."""
WHOLE_EVERY: Final = 64
"""Events from one writing of a large state to the next; those after it are read from the chain."""
MOST_KNOWN: Final = 64
"""Cancellations whose latest state is kept in memory."""
_SELECT: Final = (
    "select id, state, (select digest from events where events.id = cancellations.event) as digest from cancellations "
)


Advance = Callable[[State | None, Event], State]
"""Advances a state by an event; `None` stands for "before the first"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A cancellation's latest state."""

    state: State
    digest: str | None
    """Of its last event, which binds all before it: what has this digest is this state, even after a rollback."""
    whole: int
    """The `seq` of the state that its row holds; the events after it make the latest one."""


class Rows:
    """The table `cancellations`: its columns are always the latest state's, its `state` may be a few events behind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: LRUCache[int, Known] = LRUCache(MOST_KNOWN)
        self._lock = threading.Lock()

    def latest(self, cancellation: int) -> Known | None:
        """Return the latest state of a cancellation."""
        head = self._store.one(
            "select digest from events where id = (select event from cancellations where id = :id)",
            {"id": cancellation},
        )
        known = self._remembered(cancellation, head["digest"] if head else None)
        if known is not None:
            return known
        row = self._store.one(f"{_SELECT} where id = :id", {"id": cancellation})
        return self._of(row) if row else None

    def states(self, those: str, parameters: Mapping[str, Any] | None = None) -> list[State]:
        """Return the latest states of `those`, as SQL says after the table's name."""
        rows = self._store.run(f"{_SELECT} {those}", parameters)
        return [self._listed(row) for row in rows]

    def _listed(self, row: Row) -> State:
        """Return a state for a list: a row that cannot be read must not hide the others, and its events have it all."""
        try:
            return (self._remembered(row["id"], row["digest"]) or self._of(row)).state
        except LedgerError:
            return self.rebuilt(row["id"])

    def keep(self, state: State, digest: str | None, *, before: Known | None) -> None:
        """Store a state whose last event has this digest; `before` is what was known before its events."""
        row = columns(state)
        lately = before.whole if before is not None and _is_large(state) else None
        if lately is not None and state.seq - lately < WHOLE_EVERY:
            self._store.run(
                "update cancellations set event = :event, open = :open, phase = :phase, carded = :carded, due = :due,"
                " alone = :alone, alone_at = :alone_at where id = :id",
                row,
            )
        else:
            lately = state.seq
            self._store.run(
                "insert into cancellations"
                " (id, event, open, phase, requester, account, quota, channel, carded, due, alone, alone_at, state)"
                " values (:id, :event, :open, :phase, :requester, :account, :quota, :channel, :carded, :due,"
                " :alone, :alone_at, :state)"
                " on conflict (id) do update set event = excluded.event, open = excluded.open, phase = excluded.phase,"
                " carded = excluded.carded, due = excluded.due, alone = excluded.alone,"
                " alone_at = excluded.alone_at, state = excluded.state",
                {**row, "state": STATE.dump_json(state).decode()},
            )
        self._remember(Known(state=state, digest=digest, whole=lately))

    def _of(self, row: Row) -> Known:
        try:
            whole = STATE.validate_json(row["state"])
        except ValueError as error:
            raise LedgerError(
                f"The state row of #{row['id']} cannot be read.", advice="Look with `ota-bot audit verify`."
            ) from error
        state, digest = whole, row["digest"]
        for event in self._events(row["id"], after=whole.event):
            state, digest = apply(state, event), event.digest
        return self._remember(Known(state=state, digest=digest, whole=whole.seq))

    def _remembered(self, cancellation: int, digest: str | None) -> Known | None:
        with self._lock:
            known = self._known.get(cancellation)
        return known if known is not None and digest is not None and known.digest == digest else None

    def _remember(self, known: Known) -> Known:
        with self._lock:
            self._known[known.state.id] = known
        return known

    def _events(self, cancellation: int, *, after: int = 0) -> Iterator[Event]:
        rows = self._store.run(
            "select * from events where cancellation = :id and id > :after order by seq",
            {"id": cancellation, "after": after},
        )
        return map(event_of, rows)

    # --- from the events alone -----------------------------------------------------------------------------------

    def rebuilt(self, cancellation: int) -> State:
        """Fold a cancellation's events anew: what its latest state must equal."""
        state = self.folded(cancellation, apply)
        if state is None:
            raise LedgerError(f"There is no cancellation #{cancellation}.")
        return state

    def folded(self, cancellation: int, advance: Advance) -> State | None:
        """Fold a cancellation's events with `advance`; `None` where there are none."""
        state: State | None = None
        for event in self._events(cancellation):
            state = advance(state, event)
        return state

    def honest(self, cancellation: int) -> bool:
        """Tell whether a cancellation's row is what its events say, column by column; memory is not believed."""
        return self.proved(cancellation, apply) is not None

    def proved(self, cancellation: int, advance: Advance) -> State | None:
        """Fold a cancellation's events with `advance`; `None` where its row is not what they say, column by column.

        Raises what `advance` raises.
        """
        # One transaction: a bot that runs may move both between two reads.
        with self._store.reading():
            row = self._store.one("select * from cancellations where id = :id", {"id": cancellation})
            events = self._events(cancellation)
        try:
            kept = STATE.validate_json(row.pop("state")) if row is not None else None
        except ValueError:  # the state is not even one
            kept = None
        state = then = None
        for event in events:
            state = advance(state, event)
            # What the row holds is held against the events up to there: a later one might cover what was forged.
            then = state if kept is not None and event.id == kept.event else then
        same = state is not None and kept is not None and kept == then and row == columns(state)
        return state if same else None

    def older(self) -> bool:
        """Tell whether another version of the bot wrote the rows, whose states have another form."""
        applied = {row["name"] for row in self._store.run("select name from migrations")}
        if any(name not in applied for name, _ in MIGRATIONS):
            return True
        return {row["form"] for row in self._store.run("select form from forms")} != {FORM}

    def modernise(self) -> None:
        """Fold every row anew where another version of the bot wrote them."""
        with self._store.writing():
            if not self.older():
                return
            for row in self._store.run("select distinct cancellation as id from events where seq = 1 order by 1"):
                try:
                    self.keep(self.rebuilt(row["id"]), None, before=None)
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                    raise LedgerError(
                        f"The events of #{row['id']} cannot be read.", advice="Look with `ota-bot audit verify`."
                    ) from error
            # This one alone: whoever goes back to an older version has the rows folded into that one's form.
            self._store.run("delete from forms")
            self._store.run("insert into forms (form) values (:form)", {"form": FORM})


def _is_large(state: State) -> bool:
    run = state.run
    if run is None or state.phase is not Phase.RUNNING:
        return False
    return len(run.attempts) + len(run.splits) + len(run.done) + len(run.skipped) > LARGE


def columns(state: State) -> dict[str, Any]:
    """Return what a state row says beside the state itself, for the queries."""
    alone, alone_at = ran_alone(state)
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
