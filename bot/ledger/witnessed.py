"""Holds the ledger against what its audit channel was told: a cut tail and a rewritten chain show there."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.domain.errors import Error, TamperedError
from bot.domain.events import Kind
from bot.domain.witness import Claim
from bot.ledger.chain import event_of
from bot.ledger.store import Store

WHOLE: Final = 64
"""The digits of a whole digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What a witness says of a ledger."""

    lines: int
    """The lines that speak of this ledger."""
    whole: int
    """Of them those with all digits."""
    first: int = 0
    last: int = 0
    """The events of the first and of the last of them."""
    at: datetime | None = None
    """When the last one was posted."""
    before: int = 0
    """The lines that speak of the ledger that this one goes on from."""


def hold(store: Store, claims: Iterable[Claim]) -> Witnessed:
    """Hold every claim against the ledger; raises TamperedError at the first event that is not as it was told.

    Raises Error where it cannot be told which lines are of this ledger, and which of the one that it goes on from.
    """
    mine, older = _parted(store, tuple(claims))
    for claim in mine:
        row = store.one("select digest from events where id = :id", {"id": claim.event})
        if row is None:
            there = store.one("select coalesce(max(id), 0) as id from events")
            raise TamperedError(
                f"event {claim.event}, which the channel was told of{claim.when}, is not in the ledger: its end was cut"
                f" off, the last one here is event {there['id'] if there else 0}",
                event=claim.event,
            )
        if not row["digest"].startswith(claim.digits):
            raise TamperedError(
                f"event {claim.event} is not the one that the channel was told of{claim.when}: there its digest is"
                f" {claim.digits}, here {row['digest'][: len(claim.digits)]}; it, or one before it, was written anew",
                event=claim.event,
            )
    whole = sum(len(claim.digits) == WHOLE for claim in mine)
    if not mine:
        return Witnessed(lines=0, whole=0, before=len(older))
    last = mine[-1]
    return Witnessed(lines=len(mine), whole=whole, first=mine[0].event, last=last.event, at=last.at, before=len(older))


def _parted(store: Store, claims: tuple[Claim, ...]) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Tell apart what was posted of this ledger and, before its beginning, of the one that it goes on from."""
    row = store.one("select * from events where id = 1")
    if row is None or row["kind"] != Kind.CONTINUED:
        return claims, ()
    first = event_of(row)
    # The channel's own order counts, not the clocks: its line for the first event stands between the two.
    lines = [claim.at for claim in claims if claim.event == 1 and claim.digits == first.digest and claim.at]
    if not lines and any(claim.at is not None and claim.at < first.at for claim in claims):
        raise Error(
            "The channel has lines from before this ledger's first event, which says that it goes on from another one,"
            " and none for that event itself.",
            advice="Nothing was proved. Start the bot, so that it tells the channel; else that first event is forged.",
        )
    older = {id(claim): claim for claim in claims if lines and claim.at is not None and claim.at < min(lines)}
    for claim in older.values():
        _held_against_the_closed_one(claim, first.body)
    return tuple(claim for claim in claims if id(claim) not in older), tuple(older.values())


def _held_against_the_closed_one(claim: Claim, body: Any) -> None:
    last, head = int(body["events"]), str(body["head"])
    if claim.event > last or (claim.event == last and not head.startswith(claim.digits)):
        raise TamperedError(
            f"the ledger says that it goes on from one that ended with event {last}, {head[: len(claim.digits)]}; the"
            f" channel was told{claim.when} of event {claim.event}, {claim.digits}",
            event=1,
        )
