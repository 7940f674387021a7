"""Run the bot, for real: connects to Slack and stays until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from types import FrameType

from bot.cli.reach import reach_directly
from bot.config import Need, load
from bot.engine.keeper import Halt, HaltError
from bot.wiring import Bot
from bot.wiring.logs import set_up


def run(given: argparse.Namespace) -> int:
    """Run until a signal; prints one line starting `ready` once Slack is connected."""
    settings = load(given.config, given.environ, needs=frozenset({Need.SLACK, Need.CLOUDS}))
    set_up(secrets=settings.secrets, verbose=given.verbose)
    reach_directly(settings.slack.api_url, given.environ)
    halt, over = Halt(), threading.Event()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        halt.ask()
        over.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    bot = Bot(settings, halt=halt)
    try:
        print(bot.start(), flush=True)
        over.wait()
    except HaltError:
        pass
    finally:
        halt.ask()
        bot.stop()
        print("stopped", file=sys.stderr)
    return 0
