"""Run the bot, for real: connects to Slack and stays until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Final

from bot.cli.reach import reach_directly
from bot.config import Need, load
from bot.engine.keeper import Halt, HaltError
from bot.wiring import Bot
from bot.wiring.logs import set_up

LONGEST_FAREWELL: Final = 9.0
"""Seconds after a signal when the process leaves whatever is still out: the ledger is whole at every moment."""


def run(given: argparse.Namespace) -> int:
    """Run until a signal; prints one line starting `ready` once Slack is connected."""
    settings = load(given.config, given.environ, needs=frozenset({Need.SLACK, Need.CLOUDS}))
    set_up(secrets=settings.secrets, verbose=given.verbose)
    reach_directly(settings.slack.api_url, given.environ)
    halt, over = Halt(), threading.Event()
    last = threading.Timer(LONGEST_FAREWELL, os._exit, (0,))
    last.daemon = True

    def leave(_signal: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # a second signal finds it started
            last.start()
        halt.ask()
        over.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    bot = Bot(settings, halt=halt)
    try:
        print(bot.start(), flush=True)
        # In steps: a signal between the interpreter's look and the lock's sleep would be heard only after the sleep.
        while not over.wait(0.5):
            pass
    except HaltError:
        pass
    finally:
        halt.ask()
        bot.stop()
        print("stopped", file=sys.stderr)
    return 0
