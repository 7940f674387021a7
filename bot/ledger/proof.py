"""Proves the ledger: the chain, every decision in it, and what is kept beside it."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bot.domain.course import Rules
from bot.domain.errors import TamperedError
from bot.ledger.replaying import Replayed, Replaying
from bot.ledger.rows import Rows
from bot.ledger.store import Store
from bot.ledger.walking import Walked, walked

MANY: Final = 50_000
"""From so many events on several processes share the work."""
MOST_PROCESSES: Final = 8
PARTS: Final = 6
"""Parts for each of them: who is done first takes the next one."""

Tell = Callable[[int, int], None]
"""Hears how many of how many parts are done."""


def unheard(_done: int, _parts: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification found."""

    chain: Walked
    replayed: Replayed
    lists: int
    older: bool
    """Whether the state rows are from before an upgrade, so that they were not held against the events."""

    @property
    def events(self) -> int:
        """How many events there are."""
        return self.chain.events

    @property
    def head(self) -> str:
        """The digest that everything hangs from."""
        return self.chain.head

    @property
    def cancellations(self) -> int:
        """How many cancellations there are."""
        return self.replayed.cancellations


class Proof:
    """Recomputes what is kept, from the events, and replays what was decided."""

    def __init__(self, store: Store, kept: Rows) -> None:
        self._store = store
        self._kept = kept

    def verify(self, tell: Tell = unheard, *, many: int = MANY) -> Verified:
        """Recompute the whole chain, replay every decision, then hold the state rows, lists and guards against it.

        State rows from before an upgrade are not held against it: their states have another form, and the next start
        makes them anew. From `many` events on several processes share the work, and `tell` hears how far it is. Raises
        TamperedError at the first thing that does not hold: of the chain, the lists, the cancellations in their order.
        """
        last = self._store.one(
            "select coalesce(max(id), 0) as id, coalesce(max(cancellation), 0) as number from events"
        )
        events, number = (last["id"], last["number"]) if last else (0, 0)
        if events >= many:
            try:
                with _shared(self._store.path, number) as work:
                    return self._proved(work, tell)
            except BrokenProcessPool:
                pass  # no process could be started, or one was killed: this one does it all
        return self._proved(_alone(self._store, number), tell)

    def _proved(self, work: "_Work", tell: Tell) -> Verified:
        parts, replayed = len(work.replaying) + 1, Replayed()
        tell(0, parts)
        chain = work.walking()
        lists = Replaying(self._store).lists()
        self._verify_strays()
        for done, replaying in enumerate(work.replaying, start=1):
            tell(done, parts)
            replayed += replaying()
        self._verify_guards(chain.rules)
        tell(parts, parts)
        return Verified(chain=chain, replayed=replayed, lists=lists, older=self._kept.older())

    def _verify_strays(self) -> None:
        stray = self._store.one(
            "select id from cancellations where id not in (select cancellation from events where seq = 1) order by id"
        )
        if stray is not None:
            raise TamperedError(f"no event opened what the state row of #{stray['id']} speaks of", event=None)

    def _verify_guards(self, rules: Rules) -> None:
        """Hold what is kept of the accounts' guards against their last change: hidden, a later change would be, too.

        And hold the rules that events name against the guards that an account ever had, where any is known.
        """
        # One transaction: a bot that starts meanwhile may change both.
        with self._store.reading():
            bodies = self._store.run("select body from events where kind = 'guard_changed' order by id")
            rows = self._store.run("select account, guard from guards")
        try:
            kept = {str(row["account"]): json.loads(row["guard"]) for row in rows}
        except (TypeError, ValueError, RecursionError) as error:
            raise TamperedError("what is kept of the accounts' guards cannot be read", event=None) from error
        changes = [json.loads(row["body"]) for row in bodies]
        for account, after in {body["account"]: body["after"] for body in changes}.items():
            if kept.get(account) != after:
                raise TamperedError(f"the guard kept of account {account} is not that of its last change", event=None)
        for account, named in rules.items():
            mine = [body[name] for body in changes if body["account"] == account for name in ("before", "after")]
            guards = [guard for guard in (kept.get(account), *mine) if isinstance(guard, dict)]
            for event, rule in named if guards else ():
                if not any(rule.items() <= guard.items() for guard in guards):
                    raise TamperedError(f"event {event}: account {account} never had the rules it names", event=event)


# --- who does it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The parts of a verification; each is waited for when it is called, and raises what it has found."""

    walking: Callable[[], Walked]
    replaying: tuple[Callable[[], Replayed], ...]


def _alone(store: Store, number: int) -> _Work:
    return _Work(walking=partial(walked, store), replaying=(partial(Replaying(store).replay, 0, number),))


@contextmanager
def _shared(path: Path, number: int) -> Iterator[_Work]:
    """Let several processes do it, each with the file opened for itself; what is not begun is left at an error."""
    workers = min(MOST_PROCESSES, os.cpu_count() or 1)
    size = -(-number // (workers * PARTS)) or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            walking = pool.submit(_walk_file, path)
            replaying = [pool.submit(_replay_file, path, after, after + size) for after in range(0, number, size)]
            yield _Work(walking=walking.result, replaying=tuple(part.result for part in replaying))
        finally:
            pool.shutdown(cancel_futures=True)


def _walk_file(path: Path) -> Walked:
    with closing(Store(path, readonly=True, looked_over=True)) as store:
        return walked(store)


def _replay_file(path: Path, after: int, upto: int) -> Replayed:
    with closing(Store(path, readonly=True, looked_over=True)) as store:
        return Replaying(store).replay(after, upto)
