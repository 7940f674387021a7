"""Find every problem of a config at once: the file, tokens, scopes, groups, channels, quorum, credentials, clock."""

import argparse
import sys
import tempfile
from pathlib import Path

from bot.cli.reach import reach_directly
from bot.config import Mode, Need, Settings, load
from bot.domain.errors import LedgerError
from bot.domain.policy import alone, unguarded
from bot.engine.directory import TerminalDirectory
from bot.engine.keeper import Halt
from bot.ledger.ledger import Ledger
from bot.slack.app import web_client
from bot.slack.checkup import Checkup
from bot.wiring.engine import build_engine, now
from bot.wiring.logs import set_up


def check(given: argparse.Namespace) -> int:
    """Report every problem and who can run how much alone; 1 if there is a problem."""
    settings = load(given.config, given.environ, needs=frozenset({Need.SLACK, Need.CLOUDS}))
    set_up(secrets=settings.secrets, environ=given.environ, verbose=given.verbose)
    reach_directly(settings.slack.api_url, given.environ)
    checkup = _checkup(settings)
    problems = [*_ledger_problems(settings), *_slack_problems(settings, checkup), *_cloud_problems(settings)]
    for account in settings.accounts.values():
        print(alone(account))
        for warning in (unguarded(account), *(checkup.warnings(account) if checkup else ())):
            if warning:
                print(f"warning: {warning}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}" if problems else "no problems")
    return 1 if problems else 0


def _ledger_problems(settings: Settings) -> list[str]:
    if settings.database.startswith("postgresql://"):
        return ["database: this version keeps its ledger in SQLite; give the path of a file"]
    path = Path(settings.database)
    if not path.exists():
        return [] if path.parent.is_dir() else [f"database: there is no folder {path.parent}"]
    try:
        Ledger.open(path, now=now, readonly=True).close()
    except LedgerError as error:
        return [f"database: {error}"]
    return []


def _checkup(settings: Settings) -> Checkup | None:
    slack = settings.slack
    if slack.mode is not Mode.SOCKET or slack.bot_token is None or slack.app_token is None:
        return None
    return Checkup(web_client(slack.bot_token, slack.api_url), slack.app_token)


def _slack_problems(settings: Settings, checkup: Checkup | None) -> list[str]:
    if checkup is None:
        return ['slack.mode: this version speaks Socket Mode; set mode = "socket"']
    return checkup.problems(settings.accounts, settings.audit_channel)


def _cloud_problems(settings: Settings) -> list[str]:
    problems = []
    # The throttle wants a ledger; a check must not make the real one.
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(Path(folder) / "check.db", now=now)
        engine = build_engine(settings, ledger, TerminalDirectory(now=now), Halt())
        for name in settings.accounts:
            cloud = engine.rooms.clouds.get(name)
            if cloud is None:
                problems.append(f"accounts.{name}: cancelling on this cloud is not in this version yet")
            else:
                problems += [f"accounts.{name}: {problem}" for problem in cloud.probe()]
        engine.close()
    return problems
