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
from bot.domain.errors import Error
from bot.engine.keeper import Halt, HaltError
from bot.wiring.bot import Bot
from bot.wiring.logs import set_up

LONGEST_FAREWELL: Final = 9.0
"""Seconds after a signal when the process leaves whatever is still out: the ledger is whole at every moment."""


def run(given: argparse.Namespace) -> int:
    """Run until a signal, or until Slack is lost for good: then returns 1, having said why.

    Prints one line starting `ready` once Slack is connected.
    """
    settings = load(given.config, given.environ, needs=frozenset({Need.SLACK, Need.CLOUDS}))
    set_up(secrets=settings.secrets, environ=given.environ, verbose=given.verbose)
    reach_directly(settings.slack.api_url, given.environ)
    halt, over = Halt(), threading.Event()
    farewells = {code: threading.Timer(LONGEST_FAREWELL, os._exit, (code,)) for code in (0, 1)}

    def leave_in_time(code: int) -> None:
        farewells[code].daemon = True
        with suppress(RuntimeError):  # a second signal finds it started
            farewells[code].start()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        leave_in_time(0)
        halt.ask()
        over.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    bot, lost = Bot(settings, halt=halt), None
    try:
        print(bot.start(), flush=True)
        # In steps: a signal between the interpreter's look and the lock's sleep would be heard only after the sleep.
        while lost is None and not over.wait(0.5):
            lost = bot.lost()
        if lost is not None:
            leave_in_time(1)
    except HaltError:
        pass
    except Error:
        leave_in_time(1)
        raise
    finally:
        halt.ask()
        bot.stop()
        print("stopped", file=sys.stderr)
    if lost is not None:
        print(lost, file=sys.stderr)
        return 1
    return 0
