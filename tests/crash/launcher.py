"""The real `ota-bot run`, ended by SIGKILL at a point of its life; it notes every seam that it comes to."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from slack_sdk import WebClient

from bot.cli import main
from bot.clouds.http import Http
from bot.ledger.ledger import Ledger
from tests.crash.seams import Seams, point


def kill() -> NoReturn:
    """End this process between two instructions."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


def launch(config: str, notes: str, at: str) -> int:
    """Run the bot of `config`; `at` is empty for a life that nothing disturbs."""
    with Path(notes).open("a", buffering=1) as noted:

        def note(kind: str, what: str) -> None:
            noted.write(f"{kind} {what}\n")

        Seams(kill, point(at) if at else None, note).hook(ledger=Ledger, client=WebClient, cloud=Http)
        return main(["run", "--config", config])


if __name__ == "__main__":
    sys.exit(launch(*sys.argv[1:]))
