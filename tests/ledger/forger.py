"""Somebody who may write the ledger's file, knows the contract, and rewrites history so that every digest holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.domain.events import canonical
from tests.ledger import raw


class Forger:
    """The events of a ledger as they are to be: each a dict of columns, its body as JSON value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = [{**row, "body": json.loads(row["body"])} for row in raw.rows(path)]

    def of(self, kind: str, *, cancellation: int = 2, nth: int = 0) -> dict[str, Any]:
        """Return an event of a cancellation, the first of its kind or a later one."""
        return [row for row in self.rows if (row["kind"], row["cancellation"]) == (kind, cancellation)][nth]

    def drop(self, row: dict[str, Any]) -> None:
        """Leave an event out."""
        self.rows.remove(row)

    def put(self, before: dict[str, Any], kind: str, actor: str = "bot", **body: Any) -> dict[str, Any]:
        """Put an event before another one, at that one's time."""
        made = {**before, "kind": kind, "actor": actor, "body": {"v": 1, **body}}
        self.rows.insert(self.rows.index(before), made)
        return made

    def copy(self, row: dict[str, Any], *, after: dict[str, Any]) -> dict[str, Any]:
        """Put a copy of an event behind another one."""
        made = {**row, "body": json.loads(json.dumps(row["body"])), "at": after["at"]}
        self.rows.insert(self.rows.index(after) + 1, made)
        return made

    def delay(self, row: dict[str, Any], hours: int) -> None:
        """Move an event, and all after it, so many hours on."""
        for later in self.rows[self.rows.index(row) :]:
            day, hour = int(later["at"][8:10]), int(later["at"][11:13]) + hours
            later["at"] = f"{later['at'][:8]}{day + hour // 24:02}T{hour % 24:02}{later['at'][13:]}"

    def write(self) -> None:
        """Put the events in the place of the old ones, numbered and chained anew."""
        previous, seqs = "0" * 64, dict[int, int]()
        with raw.forging(self.path) as file:
            file.execute("delete from events")
            for identity, row in enumerate(self.rows, start=1):
                one = row["cancellation"]
                if one is not None:
                    seqs[one] = seqs.get(one, 0) + 1
                if row["kind"] == "checkpoint":
                    row["body"] |= {"events": identity - 1, "head": previous}
                stored = {**row, "id": identity, "seq": seqs[one] if one else None, "body": canonical(row["body"])}
                previous = stored["digest"] = raw.digest(previous, stored)
                file.execute(
                    "insert into events values (:id, :cancellation, :seq, :at, :actor, :kind, :body, :digest)", stored
                )


Forgery = Callable[[Forger], object]
