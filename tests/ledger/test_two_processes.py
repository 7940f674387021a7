"""Real processes write to one file: nobody is locked out, nothing is lost, and one decision wins."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from bot.domain.cancellation import Phase
from bot.ledger import sqlite
from bot.ledger.ledger import Ledger
from bot.ledger.schema import MIGRATIONS
from tests.builders import Clock, requested, show_preview
from tests.ledger import raw
from tests.ledger.writer import THREADS

ROOT: Final = Path(__file__).parents[2]
Writer = subprocess.Popen[str]


@contextmanager
def writers(what: str, path: Path, count: int = 0, *, processes: int = 2) -> Iterator[list[Writer]]:
    """Start processes, and let them go all at once when each is ready."""
    command = [sys.executable, "-m", "tests.ledger.writer", what, str(path), str(count)]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)  # noqa: S603
            )
            for _ in range(processes)
        ]
        for process in started:
            stack.callback(process.kill)
        for process in started:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield started


def said(what: str, path: Path, count: int = 0, *, processes: int = 2) -> list[list[str]]:
    """Let processes do their work, and return the lines that each said; any complaint fails the test."""
    with writers(what, path, count, processes=processes) as started:
        answers = [process.communicate(timeout=60) for process in started]

    assert [("", 0)] * processes == [
        (complaint, process.returncode) for (_, complaint), process in zip(answers, started, strict=True)
    ]
    return [lines.splitlines() for lines, _ in answers]


@pytest.fixture
def waiting(ledger: Ledger) -> Ledger:
    """Twelve cancellations that wait for their confirmation, opened now."""
    for _ in range(12):
        ledger.decide(ledger.order(requested()).id, show_preview())
    return ledger


@pytest.fixture
def clock() -> Clock:
    # The writers have the machine's clock; what they find must not be expired.
    clock = Clock()
    clock.at = clock.at.replace(year=9000)
    return clock


def test_a_crowd_writes_to_one_file(path: Path) -> None:
    """Two processes of four threads each write at once: no write is refused, ids have no gaps, the chain holds."""
    each = 15
    lines = said("crowd", path, each)
    ledger = Ledger.open(path, now=Clock())
    count = 2 * THREADS * each
    found = ledger.verify()
    phases = {ledger.rebuilt(identity).phase for identity in range(1, count + 1)}
    ledger.close()

    assert list(range(1, count + 1)) == sorted(int(line) for of_one in lines for line in of_one)
    assert (3 * count, count) == (found.events, found.cancellations)
    assert {Phase.APPROVED} == phases
    assert list(range(1, 3 * count + 1)) == [row["id"] for row in raw.rows(path)]


def test_one_confirmation_wins(waiting: Ledger, path: Path) -> None:
    """Two processes confirm the same cancellations at once: each is confirmed once, and the late one is told so."""
    lines = said("press", path, 12)
    kinds = [row["kind"] for row in raw.rows(path)]
    late = [line for of_one in lines for line in of_one if line != "confirmed"]

    assert 12 == kinds.count("confirmed") == len(late)
    assert set() == set(late) - {f"#{n} is already “Approved”. Nothing was changed." for n in range(1, 13)}
    assert 36 == waiting.verify().events


def test_the_window_holds_between_processes(waiting: Ledger, path: Path) -> None:
    """Two processes that confirm 59 devices each time together stay within a limit of 300 alone."""
    said("alone", path, 12)
    phases = [state.phase for each in range(1, 13) if (state := waiting.state(each)) is not None]

    assert (5, 7) == (phases.count(Phase.APPROVED), phases.count(Phase.WAITING_APPROVAL))
    assert 36 == waiting.verify().events


def test_one_delivery_opens_one_cancellation(ledger: Ledger, path: Path) -> None:
    """Two processes that take the same deliveries open one cancellation for each, and both know it."""
    lines = said("deliver", path, 20)

    assert lines[0] == lines[1]
    assert 20 == len(set(lines[0])) == ledger.verify().events


def test_processes_share_the_slots(path: Path) -> None:
    """Slots that two processes reserve at once are all different, and evenly spaced."""
    times = sorted(float(line) for of_one in said("slots", path, 30) for line in of_one)

    assert 60 == len(times)
    assert min(later - sooner for sooner, later in pairwise(times)) > 0.199


def test_one_process_gets_the_lease(path: Path) -> None:
    """Of two processes that want the same leases exactly one gets each."""
    lines = said("lease", path, 20)

    assert [["False", "True"]] * 20 == [sorted(pair) for pair in zip(*lines, strict=True)]


@pytest.mark.parametrize("attempt", range(4))
def test_processes_open_a_new_file_at_once(path: Path, attempt: int) -> None:
    """Four processes that start at once on a new file all open it, and its tables are made once."""
    del attempt
    lines = said("open", path, processes=4)

    assert [["opened"]] * 4 == lines
    assert len(MIGRATIONS) + len(sqlite.MIGRATIONS) == raw.one(path, "select count(*) from migrations")
    assert "wal" == raw.one(path, "pragma journal_mode")


@pytest.mark.parametrize("commits", [1, 20, 60])
def test_a_kill_loses_nothing(path: Path, commits: int) -> None:
    """A process killed while it commits flat out leaves a chain that holds, with all it had acknowledged."""
    with writers("flood", path, processes=1) as (process,):
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(commits)]
        process.kill()
        # Not communicate(): it would pass over what was read ahead with the lines before.
        rest = process.stdout.read()
    # The last line may have been cut by the kill.
    acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    ledger = Ledger.open(path, now=Clock())
    found = ledger.verify()
    states = [ledger.state(identity) for identity in range(1, found.cancellations + 1)]
    rebuilt = [ledger.rebuilt(identity) for identity in range(1, found.cancellations + 1)]
    again = ledger.order(requested()).id
    ledger.close()

    assert list(range(1, len(acknowledged) + 1)) == acknowledged
    assert {Phase.WAITING_CONFIRMATION} == {state.phase for state in rebuilt[: len(acknowledged)]}
    assert rebuilt == states
    assert found.cancellations - len(acknowledged) in {0, 1}
    assert found.cancellations + 1 == again
    assert "ok" == raw.one(path, "pragma integrity_check")
