"""`ota-bot` as a real process, with a config file, a simulated cloud and nothing else of this environment."""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.playground.cloud.aliyun_cloud import AliyunCloud

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5}
CANCEL: Final = "CancelOTATaskByJob"
KEY_ID: Final = "LTAIterminal+id="
KEY_SECRET: Final = "terminal+secret/of=two"
ME: Final = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
CONFIG: Final = """\
database = "{folder}/ledger.db"

[accounts.pumps]
cloud = "aliyun"
endpoint = "{cloud}"
key_id = "env:KEY_ID"
key_secret = "env:KEY_SECRET"
requesters = ["{requester}"]
approvers = ["S0LEADS"]
channels = ["C0OPS"]
"""
# A shell that starts things in the background has them ignore Ctrl-C; a terminal does not.
MAIN: Final = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from bot.cli import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A terminal in a folder with a config file."""

    folder: Path
    cloud: AliyunCloud

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "ota-bot.toml"

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.db"

    def configure(self, *, requester: str = ME, more: str = "") -> None:
        """Write the config file."""
        text = CONFIG.format(folder=self.folder, cloud=self.cloud.url, requester=requester)
        self.config.write_text(text + more)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `ota-bot`; an environment variable claims that somebody else sits here."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        claims = {"USER": "mallory", "LOGNAME": "mallory", "SUDO_USER": "mallory", "USERNAME": "mallory"}
        secrets = {"KEY_ID": KEY_ID, "KEY_SECRET": KEY_SECRET}
        return subprocess.Popen(  # noqa: S603 - the words of tests
            [sys.executable, "-c", MAIN, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=kept | claims | secrets | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=self.folder,
        )

    def run(self, *arguments: str, typed: str = "") -> Ended:
        """Run `ota-bot` to its end, with something typed."""
        return ended(self.start(*arguments), typed)

    def cancel(self, words: str, *, typed: str = "") -> Ended:
        """Run `ota-bot cancel`."""
        return self.run("cancel", *words.split(), "--config", str(self.config), typed=typed)


def ended(process: "subprocess.Popen[str]", typed: str = "") -> Ended:
    """Wait for the end of a process; it must not have shown a secret or a traceback."""
    with process:
        out, err = process.communicate(typed, timeout=60)
    shown = out + err
    leaks = [secret for secret in (KEY_SECRET, KEY_ID, "Signature=", "Traceback") if secret in shown]
    if leaks:
        raise AssertionError(f"{leaks} in: {shown}")
    return Ended(code=process.returncode, out=out, err=err)


def lines(text: str) -> Sequence[str]:
    """Return the lines of a text without the spaces round them."""
    return [line.strip() for line in text.splitlines()]
