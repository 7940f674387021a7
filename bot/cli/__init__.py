"""The commands of ota-bot. Exit codes: 0 done, 1 a problem that was named, 2 words that were wrong."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bot.cli import options
from bot.domain.errors import ConfigError, Error, UsageError

CONFIG: Final = "OTA_BOT_CONFIG"
"""The environment variable that may name the config file."""
USAGE: Final = 2

# What each command does; its module is imported when it is given, so that none waits for what the others need.
RUN: Final = "Run the bot, for real: connects to Slack and stays until SIGTERM or SIGINT."
DEMO: Final = (
    "Try the bot without Slack or a cloud: plays a tour, then serves the same local Slack as a page to try it in."
)
CHECK: Final = (
    "Find every problem of a config at once: the file, tokens, scopes, groups, channels, quorum, credentials, clock."
)
CANCEL: Final = "Cancel from this terminal, when Slack is down: the same preview, plan, policy and ledger as in Slack."
AUDIT: Final = "Read the ledger, also while the bot runs; needs neither Slack nor a cloud."
VERIFY: Final = (
    "Prove the ledger: recompute every digest, replay every decision, and hold it against the audit channel's export."
)
LIST: Final = "Print the cancellations, newest first; of several options all have to hold, and all times are UTC."
SHOW: Final = "Tell one cancellation's whole story in order: who, when, why, counts, calls and what the cloud answered."
CONTINUE: Final = (
    "Begin a new ledger, at the config's `database`, that goes on from OLD, which is closed and kept whole. The "
    "first event of the new one carries the head of the old one, so that neither can be changed without the "
    "other."
)
EXPORT: Final = "Write all events of the ledger, or of one cancellation, in order and each with its digest."

# Bolt and the Slack SDK read these silently: the first two would drop the bot's token for an OAuth flow.
_UNWANTED: Final = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "SLACK_VERIFICATION_TOKEN")


def parser() -> argparse.ArgumentParser:
    """Describe every command; `--help` prints it, and the README is held against it."""
    top = argparse.ArgumentParser(prog="ota-bot", description="Cancels over-the-air firmware tasks from Slack.")
    top.add_argument("--version", action="version", version=f"ota-bot {version('ota-cancel-bot')}")
    top.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = top.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    running = commands.add_parser("run", help="run the bot, for real", description=RUN)
    _needs_config(running)
    running.set_defaults(do=_later("run"))
    _demo(commands.add_parser("demo", help="try it without Slack or a cloud", description=DEMO))
    checking = commands.add_parser("check", help="find every problem of a config at once", description=CHECK)
    _needs_config(checking)
    checking.set_defaults(do=_later("check"))
    _cancel(commands.add_parser("cancel", help="cancel from this terminal", description=CANCEL))
    _audit(commands.add_parser("audit", help="read the ledger", description=AUDIT))
    return top


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=int, default=0, metavar="N", help="port of the page (default: any free one)")
    command.add_argument("--tour", action="store_true", help="play only the tour, as a transcript, then exit")
    command.set_defaults(do=_later("demo"))


def _cancel(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "words",
        nargs="+",
        metavar="WORDS",
        help="as after /ota-cancel: job, devices, strategy or preview; `devices @FILE ...` takes the names from a file",
    )
    _needs_config(command)
    command.set_defaults(do=_later("cancel"))


def _audit(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(title="commands", dest="verb", required=True, metavar="COMMAND")
    _verify(verbs.add_parser("verify", help="prove the ledger", description=VERIFY))
    _list(verbs.add_parser("list", help="list the cancellations, newest first", description=LIST))
    showing = verbs.add_parser("show", help="tell one cancellation's whole story", description=SHOW)
    showing.add_argument("id", type=options.number, metavar="ID", help="the cancellation's number, as 7 or #7")
    _needs_config(showing)
    showing.set_defaults(do=_later("audit", "show"))
    _continue(verbs.add_parser("continue", help="begin a new ledger after another", description=CONTINUE))
    _export(verbs.add_parser("export", help="write the events, or one folder", description=EXPORT))


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--witness",
        type=Path,
        action="append",
        metavar="FILE",
        help="an export (JSON) of the audit channel, or a folder of its days; may be given several times",
    )
    _needs_config(command)
    command.set_defaults(do=_later("verify"))


def _continue(command: argparse.ArgumentParser) -> None:
    command.add_argument("old", type=Path, metavar="OLD", help="the ledger's file that is closed; it stays as it is")
    _needs_config(command)
    command.set_defaults(do=_later("afresh", "go_on"))


def _list(command: argparse.ArgumentParser) -> None:
    command.add_argument("--account", metavar="NAME", help="only those on this account")
    command.add_argument(
        "--person", metavar="ID", help="only those in which this person did anything, as U0… or cli:ann"
    )
    command.add_argument("--job", metavar="ID", help="only those of this job")
    command.add_argument(
        "--device", metavar="NAME", help="only those that name this device, in the order or in the plan"
    )
    command.add_argument(
        "--since", type=options.since, metavar="TIME", help="asked for then or later: a date or a date-time, of UTC"
    )
    command.add_argument(
        "--until", type=options.until, metavar="TIME", help="asked for then or earlier; a date includes that day"
    )
    command.add_argument(
        "--state",
        type=options.state,
        action="append",
        default=[],
        metavar="WORD",
        help="only those that are so now, as partly-done; may be given several times",
    )
    command.add_argument("--broke-glass", action="store_true", help="only those that went on without their approval")
    _needs_config(command)
    command.set_defaults(do=_later("audit", "listed"))


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "id", type=options.number, nargs="?", metavar="ID", help="the cancellation (default: all events)"
    )
    command.add_argument("--format", choices=("jsonl", "csv"), help="how the events are written (default: jsonl)")
    command.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="a new folder, for you alone, for all there is of ID: story, events, plan, lists, calls, and their check",
    )
    _needs_config(command)
    command.set_defaults(do=_later("export"))


def _later(module: str, function: str = "") -> Callable[[argparse.Namespace], int]:
    """Return what does a command, once it is given."""

    def do(given: argparse.Namespace) -> int:
        found: Callable[[argparse.Namespace], int] = getattr(import_module(f"bot.cli.{module}"), function or module)
        return found(given)

    return do


def _needs_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, metavar="FILE", help=f"the config file (default: ${CONFIG})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    for name in _UNWANTED:
        os.environ.pop(name, None)
    if hasattr(given, "config"):
        given.config = given.config or _configured()
        if given.config is None:
            parser().error(f"no config file: give --config FILE, or set {CONFIG}")
    do: Callable[[argparse.Namespace], int] = given.do
    given.environ = os.environ
    try:
        return do(given)
    except UsageError as error:
        nearest = f"\nTry: ota-bot cancel {shlex.join(error.nearest.split())}" if error.nearest else ""
        print(f"{error.message}{nearest}", file=sys.stderr)
        return USAGE
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    except Error as error:
        print(error, file=sys.stderr)
        return 1


def _configured() -> Path | None:
    named = os.environ.get(CONFIG)
    return Path(named) if named else None
