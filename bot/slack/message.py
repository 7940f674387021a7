"""What is posted to Slack: a sentence, and the blocks it is drawn with. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.slack.escape import plain, safe, trim

FIELD: Final = 2000
"""Characters of a section's field (Block Kit)."""
TEXT: Final = 3900
"""Characters of a message's text; chat.update refuses more than 4,000."""
CUT: Final = "_(The rest is in a file that I send you directly.)_"
"""What stands at the end of an answer that does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What to post: a full sentence for screen readers and notifications, and the blocks."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    broadcast: bool = False
    """Whether a reply is shown in the channel, too."""
    whole: str = ""
    """Everything that it should say, unescaped, where that is more than fits; it is sent as a file."""


def said(text: str) -> Message:
    """Return plain text of the bot's own, or of people and clouds, as a message."""
    entire = safe(text, len(text) + 1)
    if len(entire) <= TEXT:
        return Message(text=entire)
    return Message(text=f"{trim(safe(text, TEXT), TEXT - len(CUT) - 1)}\n{CUT}", whole=text)


def lines(shown: Sequence[str], entire: Sequence[str]) -> Message:
    """Return lines, escaped, as one message; where not all fit, as many as do, and all, unescaped, as a file."""
    if sum(len(each) + 1 for each in shown) <= TEXT:
        return Message(text="\n".join(shown))
    room, fit = TEXT - len(CUT), 0
    for each in shown:
        room -= len(each) + 1
        if room < 0:
            break
        fit += 1
    return Message(text="\n".join([*shown[:fit], CUT]), whole="\n".join(entire))


def notice(text: str) -> dict[str, Any]:
    """Return a modal that says one thing, in place of the form that was sent."""
    return {
        "type": "modal",
        "title": plain_text("Nothing was done", 24),
        "close": plain_text("Close", 24),
        "blocks": [{"type": "section", "text": plain_text(text, 3000)}],
    }


def when(at: datetime) -> str:
    """Return a time within the day, such as a deadline, that each reader sees in their own time zone."""
    return f"<!date^{int(at.timestamp())}^{{time}}|{at:%H:%M} UTC>"


def dated(at: datetime) -> str:
    """Return a time that may lie on another day, as each reader sees it in their own time zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def section(text: str) -> dict[str, Any]:
    """Make a section of mrkdwn."""
    return {"type": "section", "text": mrkdwn(text, 3000)}


def mrkdwn(text: str, most: int = FIELD) -> dict[str, Any]:
    """Make a text object; its parts were cut before they were escaped, so only hostile text is longer than `most`."""
    return {"type": "mrkdwn", "text": trim(text, most), "verbatim": True}


def plain_text(text: str, most: int) -> dict[str, Any]:
    """Make a text object that nothing in it can bring to life."""
    return {"type": "plain_text", "text": plain(text, most), "emoji": False}
