"""A ledger that cannot be used ends each command with 1 and one line that says what to do, and no traceback."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from bot.cli.check import _ledger_problems
from bot.config import Need, load
from bot.domain.errors import LedgerError
from bot.engine.keeper import Halt
from bot.ledger.ledger import Ledger
from bot.wiring.bot import Bot
from tests.builders import requested
from tests.cli.stage import JOB, Ended, Terminal, lines
from tests.journeys.stage import SECRETS, Scene

COMMANDS: Final = (("audit", "verify"), ("audit", "list"), ("cancel", "job", JOB, "queued"))
CRAMPED: Final = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from bot.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""`ota-bot` where no file may grow beyond so many bytes."""


def made(path: Path) -> None:
    """Leave a ledger behind."""
    ledger = Ledger.open(path, now=lambda: datetime.now(UTC))
    for _ in range(20):
        ledger.order(requested())
    ledger.close()


def damaged(path: Path) -> None:
    """Overwrite all but the file's first page."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))


def newer(path: Path) -> None:
    """Have a newer version make a table."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into migrations (name) values ('9999_more')")


def ran(scene: Scene, most: int) -> Ended:
    """Run the bot, which must not last, where no file may grow beyond so many bytes."""
    command = [sys.executable, "-c", CRAMPED, str(most), "run", "--config", str(scene.config)]
    environ = {**os.environ, **SECRETS}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ, check=False)  # noqa: S603 - the command under test
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize(
    ("ill", "said"), [(damaged, "put a backup in its place"), (newer, "a newer version of the bot")]
)
def test_a_command_ends_with_one_line(terminal: Terminal, ill: Callable[[Path], None], said: str) -> None:
    """Whatever reads or writes the ledger names the file, and what to do."""
    terminal.configure()
    made(terminal.ledger)
    ill(terminal.ledger)
    for words in COMMANDS:
        ended = terminal.run(*words, "--config", str(terminal.config))

        assert (1, "", 1) == (ended.code, ended.out, len(lines(ended.err))), ended.err
        assert said in ended.err
        assert str(terminal.ledger) in ended.err


def test_the_bot_does_not_start_on_a_full_disk(tmp_path: Path) -> None:
    """Where the log cannot be made it leaves, with one line."""
    with Scene(tmp_path) as scene:
        made(scene.database)
        ended = ran(scene, 1_000)

    assert (1, "", 1) == (ended.code, ended.out, len(lines(ended.err)))
    assert f"The ledger {scene.database} could not be used: disk I/O error. Nothing was changed." in ended.err


def test_a_start_that_comes_to_nothing_is_stopped_all_the_same(tmp_path: Path) -> None:
    """Where the first thing to be stored cannot be, that is what the bot ends with, whatever has started by then."""
    with Scene(tmp_path) as scene:
        halt = Halt()
        bot = Bot(load(scene.config, SECRETS, needs=frozenset({Need.SLACK, Need.CLOUDS})), halt=halt)
        bot._ledger._store.run("pragma busy_timeout=20")
        with closing(sqlite3.connect(scene.database, isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(LedgerError, match="locked"):
                bot.start()
            halt.ask()
            bot.stop()

    with pytest.raises(LedgerError, match="closed database"):
        bot._ledger.head()


def test_check_looks_at_the_ledger(tmp_path: Path) -> None:
    """`ota-bot check` tells what the start would end with, beside all other problems."""
    with Scene(tmp_path) as scene:
        settings = load(scene.config, SECRETS, needs=frozenset())
        none = _ledger_problems(settings)
        made(scene.database)
        whole = _ledger_problems(settings)
        newer(scene.database)
        (problem,) = _ledger_problems(settings)

    assert ([], []) == (none, whole)
    assert problem.startswith(f"database: The ledger {scene.database} is of a newer version of the bot")


def test_the_bot_does_not_start_on_a_damaged_ledger(tmp_path: Path) -> None:
    """It leaves with one line."""
    with Scene(tmp_path) as scene:
        made(scene.database)
        damaged(scene.database)
        ended = ran(scene, 2**30)

    assert (1, "", 1) == (ended.code, ended.out, len(lines(ended.err)))
    assert "put a backup in its place" in ended.err
