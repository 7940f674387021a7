"""What the verbs work with, and how a person being refused is remembered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.clouds.base import Cloud
from bot.domain.account import Account
from bot.domain.events import NewEvent
from bot.engine.directory import Directory
from bot.ledger.ledger import Ledger

HOUR: Final = timedelta(hours=1)
MOST_REFUSALS: Final = 10
"""How many refusals of one person are remembered in an hour; a spammer must not fill the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What the verbs work with, put together once in wiring. `owner` is unique for each process."""

    ledger: Ledger
    accounts: Mapping[str, Account]
    clouds: Mapping[str, Cloud]
    directory: Directory
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    owner: str


def refused_too_often(ledger: Ledger, actor: str) -> bool:
    """Tell whether so many refusals of this person are remembered that another is not."""
    return ledger.refusals(actor, within=HOUR) >= MOST_REFUSALS


def remember(ledger: Ledger, refusal: NewEvent, cancellation: int | None = None) -> None:
    """Store that a person was refused, of a cancellation where it was one; not without end."""

    def full() -> bool:
        # Asked inside the transaction: many commands at once must not all see the same few.
        return refused_too_often(ledger, refusal.actor)

    if cancellation is None:
        ledger.append_unless(refusal, full)
    else:
        ledger.decide(cancellation, lambda _state, _now: () if full() else (refusal,))
