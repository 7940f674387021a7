"""Begin a new ledger, at the config's `database`, that goes on from OLD, which is closed and kept whole.

The first event of the new one carries the head of the old one, so that neither can be changed without the other.
"""

import argparse
from contextlib import closing

from bot.cli.person import person
from bot.config import load
from bot.domain.errors import LedgerError
from bot.ledger import afresh
from bot.ledger.ledger import Ledger
from bot.wiring.engine import now, open_ledger


def go_on(given: argparse.Namespace) -> int:
    """Verify the old ledger, begin the new one, and print what binds them."""
    settings = load(given.config, given.environ, needs=frozenset())
    if not given.old.exists():
        raise LedgerError(f"There is no ledger at {given.old}.", advice="Nothing was changed.")
    with closing(Ledger.open(given.old, now=now, readonly=True)) as old:
        first = afresh.last_words(old, actor=person(), now=now())
        with closing(open_ledger(settings)) as new:
            body = afresh.go_on(new, first, old).body
    print(f"{settings.database} goes on from {given.old}: {body['events']:,} events, head {body['head']}.")
    print(f"Keep {given.old} whole. The next cancellation is #{body['cancellations'] + 1}.")
    return 0
