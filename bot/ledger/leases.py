"""Leases: who works on a cancellation or on Slack's outbox right now; a dead worker's lapses by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.ledger.store import Store

LENGTH: Final = 10.0
"""Seconds a lease lasts without renewal."""
RENEW_EVERY: Final = 3.0
"""Seconds between renewals."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim on `name` by `owner` (unique for each process)."""

    name: str
    owner: str


class LeaseLostError(Exception):
    """Somebody else holds the lease by now: whoever thought to hold it leaves its work alone."""


class Leases:
    """The table of leases."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def take(self, name: str, owner: str) -> Lease | None:
        """Take the lease on `name` unless somebody else's is still running."""
        with self._store.writing():
            now = self._now().timestamp()
            rows = self._store.run(
                "insert into leases (name, owner, until) values (:name, :owner, :until)"
                " on conflict (name) do update set owner = excluded.owner, until = excluded.until"
                " where leases.owner = excluded.owner or leases.until <= :now"
                # Further ahead than any lease lasts: written by a clock that has been set back since. Not by a moment:
                # a live lease must not be lost to a clock that is being adjusted, or to another machine's.
                " or leases.until > :stepped returning name",
                {"name": name, "owner": owner, "until": now + LENGTH, "now": now, "stepped": now + 2 * LENGTH},
            )
        return Lease(name, owner) if rows else None

    def renew(self, owner: str) -> None:
        """Prolong every lease of `owner` that has not lapsed."""
        now = self._now().timestamp()
        self._store.run(
            "update leases set until = :until where owner = :owner and until > :now",
            {"until": now + LENGTH, "owner": owner, "now": now},
        )

    def release(self, lease: Lease) -> None:
        """Give a lease back, so that the next worker need not wait for it to lapse."""
        self._store.run(
            "delete from leases where name = :name and owner = :owner", {"name": lease.name, "owner": lease.owner}
        )

    def release_all(self, owner: str) -> None:
        """Give every lease of `owner` back."""
        self._store.run("delete from leases where owner = :owner", {"owner": owner})

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease is still held."""
        row = self._store.one(
            "select 1 as held from leases where name = :name and owner = :owner and until > :now",
            {"name": lease.name, "owner": lease.owner, "now": self._now().timestamp()},
        )
        return row is not None
