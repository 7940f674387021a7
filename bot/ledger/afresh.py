"""Begins a new ledger that goes on from one that is closed: the old one is kept whole, and its head binds both."""

from datetime import datetime, timedelta
from typing import Final

from bot.domain.approval import ran_alone
from bot.domain.cancellation import State
from bot.domain.decisions import event
from bot.domain.errors import LedgerError
from bot.domain.events import Event, Kind, NewEvent
from bot.ledger.ledger import Ledger
from bot.ledger.reader import Reader

UNCHANGED: Final = "Nothing was changed."
MOST: Final = 10
"""Cancellations that are named in an error."""


def last_words(old: Reader, *, actor: str, now: datetime) -> NewEvent:
    """Return the first event of the ledger after `old`: its head, its last event's id, its last cancellation's number.

    Raises TamperedError where `old` does not hold, and LedgerError where something still needs it: a bot that has it
    open, orders that are not over, or what was run alone and still counts.
    """
    if old.in_use():
        raise LedgerError("A bot has the old ledger open.", advice=f"{UNCHANGED} Stop it first.")
    found = old.verify()
    if not found.events:
        raise LedgerError("The old ledger has no events: there is nothing to go on from.", advice=UNCHANGED)
    if old.in_use() or old.head() != found.events:
        raise LedgerError("A bot has written to the old ledger meanwhile.", advice=f"{UNCHANGED} Stop it first.")
    if waiting := old.open_ones():
        them = ", ".join(f"#{state.id}" for state in waiting[:MOST])
        raise LedgerError(f"{them} in the old ledger are not over.", advice=f"{UNCHANGED} Let them come to their end.")
    for state in old.every():
        _counts_no_more(state, now)
    return event(Kind.CONTINUED, actor, head=found.head, events=found.events, cancellations=old.last_cancellation())


def go_on(new: Ledger, first: NewEvent, old: Reader) -> Event:
    """Begin `new` with the last words of `old`, and with the guards that held there.

    Raises LedgerError where `new` is not empty.
    """
    if new.head():
        raise LedgerError("The new ledger has events already.", advice=f"{UNCHANGED} Give `database` another path.")
    return new.begin(first, old.guards())


def _counts_no_more(state: State, now: datetime) -> None:
    """Raise LedgerError where what somebody ran alone would be forgotten while it counts."""
    alone, since = ran_alone(state)
    if not alone or since is None or state.policy is None:
        return
    until = since + timedelta(seconds=state.policy["window"])
    if until > now:
        raise LedgerError(
            f"What {state.requester} ran alone in #{state.id} counts until {until:%Y-%m-%d %H:%M} UTC.",
            advice=f"{UNCHANGED} Do it after that.",
        )
