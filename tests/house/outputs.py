"""What an auditor's commands print, on a ledger with three cancellations and an export of its audit channel."""

import io
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import chdir, closing, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from bot.cli import main
from bot.ledger.ledger import Ledger
from tests.builders import Clock
from tests.cli.large import channel, fill

CONFIG = """\
database = "ota-bot.db"

[accounts.prod]
cloud = "aliyun"
region = "cn-shanghai"
key_id = "env:KEY_ID"
key_secret = "env:KEY_SECRET"
"""


def outputs(commands: Iterable[str]) -> dict[str, str]:
    """Run each command in a folder with that ledger, and return what it prints, as a fenced block."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("ota-bot.toml").write_text(CONFIG)
        clock = Clock()
        with closing(Ledger.open(Path("ota-bot.db"), now=clock)) as ledger:
            fill(ledger, clock, why="2.1 bricks pumps, see INC-7")
            clock.turn(25 * 3600)
            ledger.checkpoint()
            Path("audit.json").write_text(json.dumps(channel(ledger)))
        return {command: f"```text\n$ {command}\n{_printed(command)}```" for command in commands}


def _printed(command: str) -> str:
    """Return what a command prints where the environment names the config file."""
    said = io.StringIO()
    environ = {"OTA_BOT_CONFIG": "ota-bot.toml", "COLUMNS": "100", "NO_COLOR": "1"}
    with mock.patch.dict(os.environ, environ), redirect_stdout(said), redirect_stderr(said):
        main(command.split()[1:])
    return said.getvalue()
