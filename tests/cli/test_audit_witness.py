"""`ota-bot audit verify --witness`: the ledger held against what the audit channel was told."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.cli import main
from bot.domain.decisions import void
from bot.domain.witness import mark
from bot.ledger.ledger import Ledger
from tests.builders import Clock, requested
from tests.cli.large import channel as told_of
from tests.cli.large import fill
from tests.cli.stage import Terminal
from tests.ledger import raw
from tests.ledger.forger import Forger

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def channel(terminal: Terminal) -> list[dict[str, Any]]:
    """Return what the audit channel was told of a filled ledger, as an export has it, with people's talk between."""
    clock = Clock()
    ledger = Ledger.open(terminal.ledger, now=clock)
    fill(ledger, clock)
    clock.turn(25 * 3600)
    ledger.checkpoint()
    told = told_of(ledger)
    ledger.close()
    return told


@pytest.fixture
def verify(terminal: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Verify with an export of these messages as witness."""

    def run(messages: object) -> tuple[int, str, str]:
        file = tmp_path / "audit.json"
        file.write_text(json.dumps(messages))
        code = main(["audit", "verify", "--config", str(terminal.config), "--witness", str(file)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_the_channel_agrees(channel: list[dict[str, Any]], verify: Verify) -> None:
    """Every line is held against the ledger, and it is said up to which event nothing was cut or rewritten."""
    code, out, err = verify(channel)

    assert (0, "") == (code, err)
    assert "The channel agrees: 8 lines, 1 of them with the whole digest, from event 3 to event 34" in out
    assert "- So no event up to 34 was cut off or written anew." in out
    assert "--witness" not in out


def test_what_no_line_speaks_of_is_said(channel: list[dict[str, Any]], verify: Verify) -> None:
    """Events after the last line have no witness yet."""
    code, out, _ = verify(channel[:-2])

    assert 0 == code
    assert "- No line speaks of the 2 events after it." in out


def test_a_cut_tail_is_caught(terminal: Terminal, channel: list[dict[str, Any]], verify: Verify) -> None:
    """Events that were cut off at the end, with their state rows, verify alone and not against the channel."""
    with raw.forging(terminal.ledger) as file:
        file.execute("delete from events where id > 29")
        file.execute("delete from cancellations where id = 3")
    code, out, err = verify(channel)

    assert (1, "") == (code, out)
    assert err.startswith("TAMPERED: event 32, which the channel was told of on 2026-01-03 04:11:")
    assert "its end was cut off, the last one here is event 29" in err


def test_a_chain_written_anew_is_caught(terminal: Terminal, channel: list[dict[str, Any]], verify: Verify) -> None:
    """A chain that was written anew from the middle verifies alone; the channel names the first event that it knew."""
    forger = Forger(terminal.ledger)
    forger.of("call_finished", nth=1)["body"]["request_id"] = "another"
    forger.write()
    assert 0 == main(["audit", "verify", "--config", str(terminal.config)])
    code, _, err = verify(channel)

    assert 1 == code
    assert "event 29 is not the one that the channel was told of on 2026-01-02 04:11:20 UTC" in err
    assert "it, or one before it, was written anew" in err


def test_days_in_a_folder(
    terminal: Terminal, channel: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export is a folder with a file for each day; several may be given."""
    days = tmp_path / "days"
    days.mkdir()
    (days / "2026-01-02.json").write_text(json.dumps(channel[:5]))
    (days / "2026-01-03.json").write_text(json.dumps(channel[5:-1]))
    last = tmp_path / "last.json"
    last.write_text(json.dumps({"ok": True, "messages": channel[-1:]}))
    given = ["audit", "verify", "--config", str(terminal.config), "--witness", str(days), "--witness", str(last)]

    assert 0 == main(given)
    assert "The channel agrees: 8 lines" in capsys.readouterr().out


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("export", [[], [{"text": "good morning", "bot_id": "B1"}], {}, "text", 7])
def test_an_export_without_lines_proves_nothing(verify: Verify, export: object) -> None:
    """A file of another channel, or of something else, is an error and no proof."""
    code, out, err = verify(export)

    assert (1, "") == (code, out)
    assert "Nothing was proved." in err


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_none(
    terminal: Terminal, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """A file that is not JSON is named, and so is one that is not there."""
    file = tmp_path / "x.json"
    file.write_bytes(content)
    said = {file: "is not an export of a Slack channel", tmp_path / "no.json": "could not be read: No such file"}
    for path, reason in said.items():
        assert 1 == main(["audit", "verify", "--config", str(terminal.config), "--witness", str(path)])
        assert f"{path} {reason}" in capsys.readouterr().err


# --- a ledger that goes on from another one --------------------------------------------------------------------------


def go_on(terminal: Terminal, old: Path) -> int:
    """Begin a new ledger at the config's path."""
    return main(["audit", "continue", str(old), "--config", str(terminal.config)])


@pytest.fixture
def closed(terminal: Terminal, channel: list[dict[str, Any]]) -> Path:
    """Return a ledger in which everything is over, moved out of the way."""
    del channel
    clock = Clock()
    clock.turn(72 * 3600)
    ledger = Ledger.open(terminal.ledger, now=clock)
    ledger.decide(3, partial(void, reason="too late"))
    ledger.close()
    return terminal.ledger.rename(terminal.ledger.with_name("2025.db"))


def test_a_new_ledger_goes_on(
    terminal: Terminal, closed: Path, channel: list[dict[str, Any]], verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first event carries the head of the old one, numbers go on, and the same channel witnesses both."""
    assert 0 == go_on(terminal, closed)
    said = capsys.readouterr().out
    head = raw.rows(closed)[-1]["digest"]
    new = Ledger.open(terminal.ledger, now=Clock())
    ordered, first = new.order(requested()).id, new.events(after=0)[0]
    new.close()
    told = {"text": f"goes on · {mark(first)}", "ts": f"{first.at.timestamp() + 1}", "bot_id": "B1"}
    code, out, err = verify([*channel, told])

    assert f"goes on from {closed}: 35 events, head {head}." in said
    assert 4 == ordered
    assert ("continued", 35, head) == (first.kind, first.body["events"], first.body["head"])
    assert (0, "") == (code, err)
    assert f"It goes on from a ledger that ended with event 35, whose head is\n{head}" in out
    assert "The channel has 8 lines from before this ledger, of the one that it goes on from." in out
    assert "The channel agrees: 1 line, 1 of them with the whole digest, from event 1 to event 1" in out


def test_a_closed_ledger_that_was_cut_is_caught(
    terminal: Terminal, closed: Path, channel: list[dict[str, Any]], verify: Verify
) -> None:
    """A head that the channel knows to be no head was made of a ledger whose end was cut off."""
    with raw.forging(closed) as file:
        file.execute("delete from events where id > 29")
        file.execute("delete from cancellations where id = 3")
    assert 0 == go_on(terminal, closed)
    code, _, err = verify([*channel, line_of_the_first(terminal)])

    assert 1 == code
    assert "it goes on from one that ended with event 29" in err
    assert "of event 32" in err


def test_a_first_event_that_the_channel_was_not_told_of_proves_nothing(
    terminal: Terminal, closed: Path, channel: list[dict[str, Any]], verify: Verify
) -> None:
    """Who invents a ledger that goes on from another one does not get rid of what the channel was told."""
    assert 0 == go_on(terminal, closed)
    code, _, err = verify(channel)

    assert 1 == code
    assert "none for that event itself. Nothing was proved." in err


def test_the_channels_order_counts_and_not_the_clocks(
    terminal: Terminal, closed: Path, channel: list[dict[str, Any]], verify: Verify
) -> None:
    """A line of the old ledger that was posted after the new one's first event, by its clock, is the old one's."""
    assert 0 == go_on(terminal, closed)
    first = line_of_the_first(terminal)
    late = {**channel[-1], "ts": str(float(first["ts"]) - 0.5)}
    code, out, _ = verify([*channel[:-1], late, first])

    assert 0 == code
    assert "The channel has 8 lines from before this ledger" in out


def line_of_the_first(terminal: Terminal) -> dict[str, Any]:
    """Return the channel's line for the ledger's first event."""
    ledger = Ledger.open(terminal.ledger, now=Clock(), readonly=True)
    first = ledger.events(after=0)[0]
    ledger.close()
    return {"text": f"goes on · {mark(first)}", "ts": f"{first.at.timestamp() + 1}", "bot_id": "B1"}


@pytest.mark.usefixtures("channel")
def test_what_is_open_is_not_left_behind(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """A ledger with an order that is not over is not closed, and no new one is made."""
    old = terminal.ledger.rename(terminal.ledger.with_name("2025.db"))

    assert 1 == go_on(terminal, old)
    assert "#3 in the old ledger are not over. Nothing was changed." in capsys.readouterr().err
    assert not terminal.ledger.exists()


def test_a_ledger_with_events_is_not_begun_again(
    terminal: Terminal, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there are events already, nothing is added."""
    assert 0 == go_on(terminal, closed)
    assert 1 == go_on(terminal, closed)
    assert "The new ledger has events already. Nothing was changed." in capsys.readouterr().err
    assert 1 == len(raw.rows(terminal.ledger))
