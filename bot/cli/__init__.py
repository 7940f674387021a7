"""The commands of ota-bot. Exit codes: 0 done, 1 a problem that was named, 2 words that were wrong."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bot.cli import afresh, audit, cancel, check, demo, export, options, run, verify
from bot.domain.errors import ConfigError, Error, UsageError

CONFIG: Final = "OTA_BOT_CONFIG"
"""The environment variable that may name the config file."""
USAGE: Final = 2

# Bolt and the Slack SDK read these silently: the first two would drop the bot's token for an OAuth flow.
_UNWANTED: Final = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "SLACK_VERIFICATION_TOKEN")


def parser() -> argparse.ArgumentParser:
    """Describe every command; `--help` prints it, and the README is held against it."""
    top = argparse.ArgumentParser(prog="ota-bot", description="Cancels over-the-air firmware tasks from Slack.")
    top.add_argument("--version", action="version", version=f"ota-bot {version('ota-cancel-bot')}")
    top.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = top.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    running = commands.add_parser("run", help="run the bot, for real", description=run.__doc__)
    _needs_config(running)
    running.set_defaults(do=run.run)
    _demo(commands.add_parser("demo", help="try it without Slack or a cloud", description=demo.__doc__))
    checking = commands.add_parser("check", help="find every problem of a config at once", description=check.__doc__)
    _needs_config(checking)
    checking.set_defaults(do=check.check)
    _cancel(commands.add_parser("cancel", help="cancel from this terminal", description=cancel.__doc__))
    _audit(commands.add_parser("audit", help="read the ledger", description=audit.__doc__))
    return top


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=int, default=0, metavar="N", help="port of the page (default: any free one)")
    command.add_argument("--tour", action="store_true", help="play only the tour, as a transcript, then exit")
    command.set_defaults(do=demo.demo)


def _cancel(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "words",
        nargs="+",
        metavar="WORDS",
        help="as after /ota-cancel: job, devices, strategy or preview; `devices @FILE ...` takes the names from a file",
    )
    _needs_config(command)
    command.set_defaults(do=cancel.cancel)


def _audit(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(title="commands", dest="verb", required=True, metavar="COMMAND")
    _verify(verbs.add_parser("verify", help="prove the ledger", description=verify.__doc__))
    _list(verbs.add_parser("list", help="list the cancellations, newest first", description=audit.listed.__doc__))
    showing = verbs.add_parser("show", help="tell one cancellation's whole story", description=audit.show.__doc__)
    showing.add_argument("id", type=options.number, metavar="ID", help="the cancellation's number, as 7 or #7")
    _needs_config(showing)
    showing.set_defaults(do=audit.show)
    _continue(verbs.add_parser("continue", help="begin a new ledger after another", description=afresh.__doc__))
    _export(verbs.add_parser("export", help="write the events, or one folder", description=export.export.__doc__))


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--witness",
        type=Path,
        action="append",
        metavar="FILE",
        help="an export (JSON) of the audit channel, or a folder of its days; may be given several times",
    )
    _needs_config(command)
    command.set_defaults(do=verify.verify)


def _continue(command: argparse.ArgumentParser) -> None:
    command.add_argument("old", type=Path, metavar="OLD", help="the ledger's file that is closed; it stays as it is")
    _needs_config(command)
    command.set_defaults(do=afresh.go_on)


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
    command.set_defaults(do=audit.listed)


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
    command.set_defaults(do=export.export)


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
