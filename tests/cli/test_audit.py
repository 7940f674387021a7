"""`ota-bot audit verify` as an auditor uses it: beside a running bot, and after somebody's hand in the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bot.cli import main
from bot.domain.events import Kind, NewEvent
from bot.ledger.ledger import Ledger
from tests.builders import requested
from tests.cli.stage import Ended, Terminal, lines


def event(number: int) -> NewEvent:
    return NewEvent(kind=Kind.REFUSED, actor="U0GUS", body={"v": 1, "what": "order", "reason": f"number {number}"})


@pytest.fixture
def writer(terminal: Terminal) -> Iterator[Ledger]:
    """Return a ledger that somebody has open for writing, with five events."""
    ledger = Ledger.open(terminal.ledger, now=lambda: datetime.now(UTC))
    for number in range(5):
        ledger.append(event(number))
    yield ledger
    ledger.close()


def verify(terminal: Terminal) -> Ended:
    """Run the command."""
    return terminal.run("audit", "verify", "--config", str(terminal.config))


def tamper(terminal: Terminal, *statements: str) -> None:
    """Do what only somebody with the file can do, with every guard out of the way."""
    with closing(sqlite3.connect(terminal.ledger)) as connection, connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f'drop trigger "{name}"')
        for statement in statements:
            connection.execute(statement)


def test_beside_a_writer(terminal: Terminal, writer: Ledger) -> None:
    """While somebody has the ledger open and has just written, its chain is read, and its head is told."""
    found = verify(terminal)
    head = writer.events(after=4)[0].digest

    assert (0, "") == (found.code, found.err)
    assert f"The chain holds: 5 events, 0 cancellations, head {head}." == lines(found.out)[0]


def test_before_the_first_start_after_an_upgrade(terminal: Terminal, writer: Ledger) -> None:
    """State rows of the version before are said to be made anew at the next start, and are no tampering."""
    writer.order(requested())
    tamper(terminal, "delete from forms", "update cancellations set state = '{}'")
    found = verify(terminal)

    assert (0, "") == (found.code, found.err)
    assert "The chain holds: 6 events" in found.out
    assert "from before the bot was upgraded" in found.out
    assert "at its next start" in found.out


def test_within_a_write(terminal: Terminal, writer: Ledger) -> None:
    """Even in the middle of a write the reader neither waits nor sees half of it."""
    with writer._store.writing():
        writer.append(event(5))
        found = verify(terminal)

    assert 0 == found.code
    assert "The chain holds: 5 events" in found.out


def test_after_the_writer(terminal: Terminal, writer: Ledger) -> None:
    """A ledger that nobody has open is read as well, and is not changed by it."""
    writer.close()
    before = terminal.ledger.read_bytes()
    found = verify(terminal)

    assert 0 == found.code
    assert before == terminal.ledger.read_bytes()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update events set body = replace(body, 'number 2', 'number 9') where id = 3", "event 3"),
        ("update events set actor = 'U0ANN' where id = 2", "event 2"),
        ("update events set at = '2020-01-01T00:00:00.000000Z' where id = 4", "event 4"),
        ("update events set kind = 'approved' where id = 5", "event 5"),
        ("update events set digest = replace(digest, substr(digest, 1, 1), 'x') where id = 1", "event 1"),
        ("update events set body = 'no json' where id = 2", "event 2"),
        ("delete from events where id = 3", "event 3"),
        ("delete from events where id = 1", "event 1"),
        ("update events set id = 9 where id = 5", "event 5"),
    ],
)
@pytest.mark.usefixtures("writer")
def test_tampered(terminal: Terminal, capsys: pytest.CaptureFixture[str], statement: str, named: str) -> None:
    """A changed, removed or moved event exits with 1 and is named."""
    tamper(terminal, statement)
    code, shown = main(["audit", "verify", "--config", str(terminal.config)]), capsys.readouterr()

    assert (1, "") == (code, shown.out)
    assert shown.err.startswith("TAMPERED: ")
    assert named in shown.err


def test_tampered_beside_a_writer(terminal: Terminal, writer: Ledger) -> None:
    """The same as a process of its own, while the writer has the file open and goes on."""
    tamper(terminal, "update events set actor = 'U0ANN' where id = 2")
    writer.append(event(5))
    found = verify(terminal)

    assert (1, "") == (found.code, found.out)
    assert "event 2" in found.err


def test_no_ledger(terminal: Terminal) -> None:
    """A ledger that is not there exits with 1, says where it was looked for, and is not made."""
    found = verify(terminal)

    assert 1 == found.code
    assert str(terminal.ledger) in found.err
    assert not terminal.ledger.exists()


def test_no_secrets_needed(terminal: Terminal, writer: Ledger) -> None:
    """An auditor needs the file alone: no key has to be in the environment."""
    text = terminal.config.read_text().replace("env:KEY_ID", "env:NOWHERE").replace("env:KEY_SECRET", "env:NOWHERE_2")
    terminal.config.write_text(text)

    assert 5 == writer.head()
    assert 0 == verify(terminal).code
