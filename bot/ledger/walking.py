"""Walks the whole chain, in order: every digest, and what holds across cancellations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bot.domain.course import Course, Rules
from bot.domain.errors import STRANGE, TamperedError
from bot.ledger.chain import GENESIS, Chained, walk
from bot.ledger.store import Store

PAGE: Final = 1000
"""Rows read at a time when the whole chain is walked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What the chain says as a whole."""

    events: int
    head: str
    """The digest that everything hangs from."""
    continues: tuple[int, str] | None
    """The last event and the head of the ledger that this one goes on from."""
    unknown: int
    """Events of kinds that this version does not know, which it cannot replay."""
    rules: Rules


def walked(store: Store) -> Walked:
    """Walk the chain; raises TamperedError at the first event that does not hold, naming it and why."""
    course, last = Course(), None
    for last in walk(_rows(store)):
        _hear(course, last)
    return Walked(
        events=last.row["id"] if last else 0,
        head=last.row["digest"] if last else GENESIS,
        continues=course.continues,
        unknown=course.unknown,
        rules=course.rules,
    )


def _hear(course: Course, chained: Chained) -> None:
    row = chained.row
    try:
        wrong = course.hear(row, chained.body, chained.previous, chained.at)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TamperedError(f"event {row['id']}: {STRANGE}", event=row["id"]) from error
    if wrong is not None:
        raise TamperedError(f"event {row['id']}: {wrong}", event=row["id"])


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    after = 0
    while rows := store.run(
        "select * from events where id > :after order by id limit :most", {"after": after, "most": PAGE}
    ):
        yield from rows
        after = rows[-1]["id"]
