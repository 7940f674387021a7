"""Read the ledger, also while the bot runs; needs neither Slack nor a cloud."""

import argparse
import sys
from contextlib import closing

from bot.cli.reads import Found, opened, whole
from bot.cli.tables import facts, print_list, print_story, printing
from bot.domain.sought import Sought
from bot.domain.story import told


def listed(given: argparse.Namespace) -> int:
    """Print the cancellations, newest first; of several options all have to hold, and all times are UTC."""
    sought = Sought(
        account=given.account,
        person=given.person,
        job=given.job,
        device=given.device,
        since=given.since,
        until=given.until,
        phases=frozenset(given.state),
        broke_glass=given.broke_glass,
    )
    with closing(opened(given)) as ledger, printing() as console:
        found = Found(ledger, sought)
        print_list(found, console)
    if not found.count:
        nothing = "The ledger has no cancellations." if sought.everything else "Nothing in the ledger matches."
        print(nothing, file=sys.stderr)
    if found.dark:
        print(
            f"Not looked at: {found.dark:,} that match otherwise. They were ordered by job and name no devices, so"
            f" the ledger does not say whether {sought.device} was among them.",
            file=sys.stderr,
        )
    return 0


def show(given: argparse.Namespace) -> int:
    """Tell one cancellation's whole story in order: who, when, why, counts, calls and what the cloud answered."""
    with closing(opened(given)) as ledger:
        state, story = whole(ledger, given.id)
    with printing() as console:
        print_story(facts(state), told(story), console)
    return 0
