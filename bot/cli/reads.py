"""What the commands of an auditor read of the ledger."""

import argparse
from collections.abc import Iterator

from bot.config import load
from bot.domain.cancellation import State
from bot.domain.errors import Error, TamperedError
from bot.domain.events import Event, Kind
from bot.domain.fold import apply
from bot.domain.sought import Sought, lists
from bot.ledger.ledger import Ledger
from bot.wiring.engine import open_ledger


def opened(given: argparse.Namespace) -> Ledger:
    """Open the ledger to read it, beside whoever writes; no secret of the config is needed for it."""
    return open_ledger(load(given.config, given.environ, needs=frozenset()), readonly=True)


def whole(ledger: Ledger, cancellation: int) -> tuple[State, list[Event]]:
    """Return a cancellation as its events make it, and these; raises Error where there is none, or none to be read."""
    try:
        story = ledger.story(cancellation)
        state: State | None = None
        for event in story:
            state = apply(state, event)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TamperedError(
            f"The events of #{cancellation} hold what the ledger never writes. `ota-bot audit verify` names the first,"
            f" and `ota-bot audit export {cancellation}` writes them as they are.",
            event=None,
        ) from error
    if state is None:
        raise missing(ledger, cancellation)
    return state, story


def missing(ledger: Ledger, cancellation: int) -> Error:
    """Say that a cancellation is not there, and where it may be."""
    first = ledger.events(after=0, most=1)
    earlier = int(first[0].body["cancellations"]) if first and first[0].kind == Kind.CONTINUED else 0
    where = " It is in the ledger that this one goes on from." if cancellation <= earlier else ""
    return Error(f"There is no cancellation #{cancellation} in the ledger.{where}")


class Found:
    """The cancellations that are sought, as they are read."""

    def __init__(self, ledger: Ledger, sought: Sought) -> None:
        self._ledger = ledger
        self._sought = sought
        self.count = 0
        """Those found so far."""
        self.dark = 0
        """Those that match otherwise and name no devices to search."""

    def __iter__(self) -> Iterator[State]:
        sought, ledger = self._sought, self._ledger
        theirs = ledger.those_of(sought.person) if sought.person is not None else frozenset[int]()
        having = ledger.lists_with(sought.device) if sought.device is not None else None
        for state in ledger.broke_glass() if sought.broke_glass else ledger.every():
            if not sought.matches(state, theirs=theirs):
                continue
            named = lists(state)
            self.dark += having is not None and not named
            if having is None or named & having:
                self.count += 1
                yield state
