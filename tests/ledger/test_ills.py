"""What can happen to a file of SQLite: each is one clear error, nothing is half-written, what passes is got over."""

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Final

import pytest

from bot.domain.errors import LedgerError
from bot.domain.events import BOT
from bot.ledger import sqlite
from bot.ledger.ledger import Ledger
from bot.ledger.schema import MIGRATIONS
from tests.builders import OF_NOTHING, Clock, requested
from tests.ledger import raw
from tests.ledger.conftest import Open

UNCHANGED: Final = "Nothing was changed."
LOCKED: Final = "Nothing was changed. Try again; if it goes on, look who else has the file open."


def refused(work: Callable[[], object]) -> str:
    """Do what must fail, and return what is said of it."""
    with pytest.raises(LedgerError) as raised:
        work()
    return str(raised.value)


def grown(path: Path, clock: Clock) -> Path:
    """Leave a ledger of many pages behind, as a bot that has stopped does."""
    ledger = Ledger.open(path, now=clock)
    with ledger._store.writing():
        for _ in range(60):
            ledger.order(requested())
    ledger.close()
    return path


# --- while it is in use ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["", "-wal"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_is_not_written_on(ledger: Ledger, path: Path, which: str, replaced: bool) -> None:
    """SQLite would go on in a file without a name, and all of it would be gone with the process: each write fails."""
    ledger.order(requested())
    gone = path.with_name(f"{path.name}{which}")
    content = gone.read_bytes()
    kept = path.with_name("kept")
    gone.rename(kept)
    if replaced:
        gone.write_bytes(content)

    assert "was removed or replaced" in refused(lambda: ledger.order(requested()))
    assert UNCHANGED in refused(lambda: ledger.append(OF_NOTHING))
    kept.replace(gone)
    assert 2 == ledger.order(requested()).id
    assert 2 == ledger.verify().events


def test_a_ledger_behind_a_link_is_one(tmp_path: Path, clock: Clock) -> None:
    """A path that leads to the file by a link is no file that was replaced."""
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "far" / "ledger.db")
    ledger = Ledger.open(link, now=clock)
    ledger.order(requested())
    ledger.close()

    assert 1 == raw.one(tmp_path / "far" / "ledger.db", "select count(*) from events")


@contextmanager
def no_room(beyond: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_for_a_while_is_got_over(ledger: Ledger, path: Path) -> None:
    """While the log cannot grow nothing is stored and that is said; afterwards it goes on where it was."""
    ledger.order(requested())
    room = path.with_name(f"{path.name}-wal").stat().st_size
    with no_room(max(room, 40_000)):
        said = refused(lambda: [ledger.order(requested(reason="x" * 500)) for _ in range(100)])
        stored = ledger.head()

    assert UNCHANGED in said
    assert stored == len(ledger.open_ones()) == ledger.verify().events
    assert stored + 1 == ledger.order(requested()).id
    assert stored + 1 == ledger.verify().events


def test_every_thread_is_told_of_a_lock(ledger: Ledger, path: Path) -> None:
    """Whatever thread writes while another process has the file locked gets this one error, and may try again."""
    ledger._store.run("pragma busy_timeout=20")
    said: list[str] = []
    works = (
        lambda: ledger.order(requested()),
        lambda: ledger.append(OF_NOTHING),
        lambda: ledger.slots.reserve("q", "job", 0.2),
        lambda: ledger.slots.push("q", "job", 1.0),
        lambda: ledger.leases.take("a", "me"),
        lambda: ledger.leases.renew("me"),
        lambda: ledger.outbox.advance("audit", 1),
        lambda: ledger.keep_guards(BOT, {}),
    )
    with raw.database(path) as other:
        other.execute("begin immediate")
        threads = [threading.Thread(target=lambda work=work: said.append(refused(work))) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.execute("rollback")

    assert {f"The ledger {path} could not be used: database is locked. {LOCKED}"} == set(said)
    assert len(works) == len(said)
    assert 1 == ledger.order(requested()).id


# --- at the start ---------------------------------------------------------------------------------------------------


def damaged(path: Path, clock: Clock) -> Iterator[str]:
    """Damage the file in one way after the other."""
    size = grown(path, clock).stat().st_size
    whole = path.read_bytes()
    for at in range(4096, size, 4096 * 3):
        path.write_bytes(whole[:at] + b"\xaa" * 4096 + whole[at + 4096 :])
        yield f"overwritten at {at}"
    for length in (50, 100, 5000, 8192, size // 2, size - 4096):
        path.write_bytes(whole[:length])
        yield f"cut to {length}"
    path.write_bytes(b"\x00" * size)
    yield "only zeroes"


@pytest.mark.parametrize("readonly", [False, True])
def test_a_damaged_file_is_found_at_the_start(path: Path, clock: Clock, readonly: bool) -> None:
    """Wherever a page was overwritten or cut off, the ledger does not open, and the file stays as it is."""
    for how in damaged(path, clock):
        before = path.read_bytes()
        said = refused(lambda: Ledger.open(path, now=clock, readonly=readonly))

        assert f"The ledger {path} " in said, how
        assert "put a backup in its place" in said, how
        assert before == path.read_bytes(), how


def test_a_lost_log_is_an_earlier_ledger(ledger: Ledger, path: Path, clock: Clock, tmp_path: Path) -> None:
    """A file without the log that was beside it is whole, and ends earlier: that the head tells, not the chain."""
    ledger.order(requested())
    ledger._store.run("pragma wal_checkpoint(truncate)")
    earlier = ledger.verify()
    ledger.order(requested())
    alone = tmp_path / "alone.db"
    copy(path, alone)
    found = Ledger.open(alone, now=clock)

    assert earlier == found.verify()
    assert ledger.verify().head != found.verify().head
    found.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_ledger_is_refused(path: Path, clock: Clock, readonly: bool) -> None:
    """A file in which a newer version made tables is left to that version."""
    grown(path, clock)
    with raw.database(path) as newer:
        newer.execute("insert into migrations (name) values ('9999_more')")
    said = refused(lambda: Ledger.open(path, now=clock, readonly=readonly))

    assert f"The ledger {path} is of a newer version of the bot, with 9999_more. {UNCHANGED}" in said
    assert len(MIGRATIONS) + len(sqlite.MIGRATIONS) + 1 == raw.one(path, "select count(*) from migrations")


def test_a_row_that_cannot_be_read_says_which(opened: Open, path: Path) -> None:
    """A state row that is no state is an error with its number."""
    ledger = opened()
    ledger.order(requested())
    with raw.database(path) as other:
        other.execute("update cancellations set state = 'no state'")

    assert "The state row of #1 cannot be read." in refused(lambda: opened().state(1))


def test_a_row_that_cannot_be_read_hides_no_other(opened: Open, path: Path) -> None:
    """In a list it stands as its events have it, so that everything else goes on."""
    ledger = opened()
    for _ in range(2):
        ledger.order(requested())
    with raw.database(path) as other:
        other.execute("update cancellations set state = 'no state' where id = 1")

    assert [(1, "U0ANN"), (2, "U0ANN")] == [(state.id, state.requester) for state in opened().at_work()]


def test_a_delivery_may_have_any_name(ledger: Ledger) -> None:
    """A trigger with half a character, as JSON can write it, is one delivery all the same."""
    assert [1, 1] == [ledger.order(requested(), delivery="t\ud800").id for _ in range(2)]


def test_a_folder_that_may_not_be_written_is_an_error(path: Path, clock: Clock) -> None:
    """A ledger whose log cannot be made beside it says so, and stays as it is."""
    grown(path, clock)
    log = path.with_name(f"{path.name}-wal")
    log.mkdir()

    assert UNCHANGED in refused(lambda: Ledger.open(path, now=clock))
    log.rmdir()
    assert 60 == Ledger.open(path, now=clock, readonly=True).head()
