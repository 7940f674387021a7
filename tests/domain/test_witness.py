"""What the audit channel's lines say of the ledger, as an export of Slack has them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.events import Event, Kind
from bot.domain.witness import Claim, claims, every, mark
from tests.builders import NOW

EVENT = Event(id=41, cancellation=7, seq=3, at=NOW, actor="U0ANN", kind="confirmed", body={"v": 1}, digest="ab" * 32)
POSTED = datetime(2023, 11, 14, 22, 13, 20, 100000, tzinfo=UTC)


def line(text: str, **more: Any) -> dict[str, Any]:
    """Return a message of an export."""
    return {"type": "message", "text": text, "ts": "1700000000.100000", **more}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (EVENT, f"event 41 {'ab' * 6}"),
        (replace(EVENT, kind=Kind.CHECKPOINT), f"event 41 {'ab' * 32}"),
        (replace(EVENT, kind=Kind.CONTINUED), f"event 41 {'ab' * 32}"),
    ],
)
def test_a_mark_is_read_back(event: Event, expected: str) -> None:
    """A line ends with the event and 12 digits, a checkpoint with all 64, and says the same when it is read."""
    assert expected == mark(event)
    assert (Claim(event=41, digits=expected.rsplit(maxsplit=1)[-1], at=POSTED),) == claims(
        [line(f"#7 done · ann · {mark(event)}")]
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "event 41",
        "event 41 abcdefabcdef!",
        "event 0 abcdefabcdef",
        "event 41 abcdefabcde",
        "event 41 ABCDEFABCDEF",
        "the event 41 abcdefabcdef was odd",
        "prevent 41 abcdefabcdef",
        f"event {10**30} abcdefabcdef",
    ],
)
def test_other_words_claim_nothing(text: str) -> None:
    """A line that does not end as the bot's do says nothing of the ledger."""
    assert () == claims([line(text)])


@pytest.mark.parametrize("whose", [{"bot_id": "B1"}, {"subtype": "bot_message"}, {"bot_profile": {"name": "ota"}}])
def test_only_bots_are_believed(whose: dict[str, Any]) -> None:
    """Where an export tells which messages are of bots, what people wrote is passed over."""
    found = claims([line("done · event 2 aaaaaaaaaaaa", **whose), line("see event 3 bbbbbbbbbbbb", user="U0EVE")])

    assert [2] == [claim.event for claim in found]


def test_everybody_is_believed_where_nobody_is_a_bot() -> None:
    """An export that does not tell bots from people is read all the same."""
    found = claims([line("done · event 3 aaaaaaaaaaaa", user="U0BOT"), line("event 2 bbbbbbbbbbbb")])

    assert [2, 3] == [claim.event for claim in found]


@pytest.mark.parametrize("ts", [None, "", "soon", "nan", "1e99", [], {}])
def test_a_strange_time_is_no_time(ts: object) -> None:
    """A line whose time cannot be read still counts."""
    assert (Claim(event=2, digits="a" * 12),) == claims([{"text": "event 2 aaaaaaaaaaaa", "ts": ts}])


def test_several_days_are_one_witness() -> None:
    """The files of an export, one for each day, and the answer of conversations.history are read alike."""
    days = [[line("event 5 aaaaaaaaaaaa")], {"ok": True, "messages": [line("event 4 bbbbbbbbbbbb"), "odd", None]}]

    assert [4, 5] == [claim.event for claim in every(days)]


@pytest.mark.parametrize("export", [None, 1, "text", {}, {"messages": {}}])
def test_what_is_no_list_is_said(export: object) -> None:
    """What is no list of messages is no export."""
    with pytest.raises(ValueError, match="no list of messages"):
        claims(export)
