"""Holds what the ledger keeps against its events: the chain, the state rows, the lists."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from bot.domain.errors import TamperedError
from bot.ledger.chain import Verified, verify
from bot.ledger.rows import Rows
from bot.ledger.store import Store

PAGE: Final = 1000
"""Rows read at a time when a whole table is walked."""


class Proof:
    """Recomputes what is kept, from the events."""

    def __init__(self, store: Store, kept: Rows) -> None:
        self._store = store
        self._kept = kept

    def verify(self) -> Verified:
        """Recompute the whole chain, then hold the state rows and the lists against it.

        State rows from before an upgrade are not held against it: their states have another form, and the next start
        makes them anew. Raises TamperedError at the first thing that does not hold.
        """
        found, older = verify(self._rows()), self._kept.older()
        self._verify_states(older=older)
        self._verify_lists()
        self._verify_guards()
        return replace(found, older=older)

    def _verify_states(self, *, older: bool) -> None:
        stray = self._store.one(
            "select id from cancellations where id not in (select cancellation from events where seq = 1) order by id"
        )
        if stray is not None:
            raise TamperedError(f"no event opened what the state row of #{stray['id']} speaks of", event=None)
        if older:
            return
        after = 0
        while rows := self._store.run(
            "select cancellation as id from events where cancellation > :after and seq = 1"
            " order by cancellation limit :most",
            {"after": after, "most": PAGE},
        ):
            for row in rows:
                if not self._kept.honest(row["id"]):
                    raise TamperedError(f"the state row of #{row['id']} is not what its events say", event=None)
            after = rows[-1]["id"]

    def _verify_lists(self) -> None:
        for row in self._store.run("select sha256 from lists order by sha256"):
            kept = self._store.one("select names from lists where sha256 = :key", {"key": row["sha256"]})
            if kept is None or sha256(str(kept["names"]).encode()).hexdigest() != row["sha256"]:
                raise TamperedError(f"the list {row['sha256']} does not have that SHA-256", event=None)

    def _verify_guards(self) -> None:
        """Hold what is kept of the accounts' guards against their last change: hidden, a later change would be, too."""
        changed = {
            body["account"]: body["after"]
            for row in self._store.run("select body from events where kind = 'guard_changed' order by id")
            if (body := json.loads(row["body"]))
        }
        for account, after in changed.items():
            row = self._store.one("select guard from guards where account = :account", {"account": account})
            if (json.loads(row["guard"]) if row else None) != after:
                raise TamperedError(f"the guard kept of account {account} is not that of its last change", event=None)

    def _rows(self) -> Iterator[dict[str, Any]]:
        after = 0
        while rows := self._store.run(
            "select * from events where id > :after order by id limit :most", {"after": after, "most": PAGE}
        ):
            yield from rows
            after = rows[-1]["id"]
