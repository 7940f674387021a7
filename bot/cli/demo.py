"""Try the bot without Slack or a cloud: plays a tour, then serves the same local Slack as a page to try it in."""

import argparse
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from bot.cli.reach import reach_directly
from bot.playground.tour import play
from bot.playground.world import World
from bot.wiring.logs import set_up


def demo(given: argparse.Namespace) -> int:
    """Play the tour as a transcript of what each person sees, then serve the same local Slack as a page."""
    set_up(secrets=(), environ=given.environ, verbose=given.verbose)
    reach_directly("http://127.0.0.1/", given.environ)
    try:
        world = World(port=given.port)
    except (OSError, OverflowError) as error:
        print(f"Port {given.port} cannot be used: {error}", file=sys.stderr)
        return 1
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, _leave)
    with suppress(KeyboardInterrupt), world:
        play(world)
        if not given.tour:
            world.another()
            print(
                f"\n== Now you: {world.stage.slack.url} ==\n   Open it in a browser; Ctrl-C here ends it.\n"
                f"   Its ledger, while it is there: {_command()} audit list --config {world.folder}/ota-bot.toml",
                flush=True,
            )
            while not threading.Event().wait(0.5):  # in steps, so that no signal is missed
                pass
    return 0


def _command() -> Path:
    """Return the path of `ota-bot` beside the interpreter that runs this."""
    return Path(sys.executable).with_name("ota-bot")


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End the demo; whoever is impatient meanwhile changes nothing about how it ends."""
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.SIG_IGN)
    raise KeyboardInterrupt
