"""A copy that is made while the bot writes, as the README says to: by SQLite's own backup, never of the file alone."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bot.cli import main
from bot.ledger.ledger import Ledger
from tests.builders import OF_NOTHING, Clock, confirm_alone, requested, show_preview
from tests.cli.stage import CONFIG

THREADS: Final = 3
COPIES: Final = 4


def backed_up(path: Path, copy: Path) -> Path:
    """Copy a ledger as `sqlite3 ota-bot.db ".backup copy.db"` does: from a process of its own, in one go."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def work(ledger: Ledger, over: threading.Event) -> None:
    """Order, preview and confirm until it is over."""
    while not over.is_set():
        identity = ledger.order(requested()).id
        ledger.decide(identity, show_preview())
        ledger.decide(identity, confirm_alone(ledger))


@pytest.fixture
def copies(ledger: Ledger, path: Path, tmp_path: Path) -> list[Path]:
    """Give copies that were made one after the other while several threads wrote."""
    ledger._store.run("pragma synchronous=off")
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(ledger, over)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        made = []
        for number in range(COPIES):
            at = ledger.head()
            while ledger.head() < at + 10:
                over.wait(0.005)
            made.append(backed_up(path, tmp_path / f"copy-{number}.db"))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return made


def test_a_copy_is_the_ledger_of_one_moment(ledger: Ledger, copies: list[Path], clock: Clock) -> None:
    """Each copy holds, states and lists included, and its head is the digest that the ledger has at that event.

    So a head that was written down proves which events a copy has: all up to that one, and no other.
    """
    digests = {event.id: event.digest for event in ledger.events(after=0, most=1_000_000)}
    ends = []
    for copy in copies:
        opened = Ledger.open(copy, now=clock, readonly=True)
        found = opened.verify()
        ends.append(found.events)
        opened.close()

        assert digests[found.events] == found.head
    assert sorted(set(ends)) == ends


def test_a_copy_is_a_ledger(ledger: Ledger, copies: list[Path], clock: Clock) -> None:
    """A bot goes on with a copy as with the ledger itself, to which nothing happens by that."""
    before = ledger.verify()
    restored = Ledger.open(copies[-1], now=clock)
    stored = restored.append(OF_NOTHING)

    assert stored.id == restored.verify().events
    assert before == ledger.verify()
    restored.close()


def test_audit_verify_takes_a_copy(
    copies: list[Path], tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ota-bot audit verify` with a copy as its database tells the copy's head."""
    copy = Ledger.open(copies[-1], now=clock, readonly=True)
    head = copy.verify().head
    copy.close()
    config = tmp_path / "ota-bot.toml"
    text = CONFIG.format(folder=tmp_path, cloud="https://iot.example.com", requester="cli:ann")
    config.write_text(text.replace("ledger.db", copies[-1].name))

    assert 0 == main(["audit", "verify", "--config", str(config)])
    assert f"head {head}." in capsys.readouterr().out


def test_the_file_alone_is_no_copy(ledger: Ledger, path: Path, tmp_path: Path, clock: Clock) -> None:
    """A copy of the file without its log lacks what was stored last, and holds all the same: the head tells it."""
    ledger.order(requested())
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    copy = Ledger.open(tmp_path / "copy.db", now=clock)

    assert ledger.verify().head != copy.verify().head
    copy.close()
