"""Read the ledger, also while the bot runs; needs neither Slack nor a cloud."""

import argparse
import sys

from bot.cli.shown import say
from bot.config import load
from bot.domain.errors import TamperedError
from bot.domain.wording import on_one_line, one_line
from bot.wiring import open_ledger


def listed(given: argparse.Namespace) -> int:
    """Print every cancellation, newest first; with --broke-glass those that went on without their approval, and why."""
    ledger = open_ledger(load(given.config, given.environ, needs=frozenset()), readonly=True)
    try:
        for state in ledger.broke_glass() if given.broke_glass else ledger.every():
            say(one_line(state))
            if state.broke_glass is not None:
                mark = state.broke_glass
                say(f"    glass broken by {mark.actor} at {mark.at:%Y-%m-%d %H:%M} UTC: {on_one_line(mark.reason)}")
    finally:
        ledger.close()
    return 0


def verify(given: argparse.Namespace) -> int:
    """Recompute every digest; 1 at the first event that does not hold."""
    ledger = open_ledger(load(given.config, given.environ, needs=frozenset()), readonly=True)
    try:
        found = ledger.verify()
    except TamperedError as error:
        print(f"TAMPERED: {error.message}.", file=sys.stderr)
        return 1
    finally:
        ledger.close()
    print(f"The chain holds: {found.events:,} events, {found.cancellations:,} cancellations, head {found.head}.")
    print("Proved: no event was changed, removed from the middle, inserted or moved.")
    if found.older:
        print("Not looked at: the state rows, which are from before the bot was upgraded. It folds them anew from the")
        print("events at its next start.")
    print("Not proved: that no events were cut off at the end. The audit channel's last line names an event and its")
    print("first twelve digits: it has to be here, with these.")
    return 0
