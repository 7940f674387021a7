"""What is posted to Slack: a sentence, and the blocks it is drawn with. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.slack.escape import plain, safe, trim

FIELD: Final = 2000
"""Characters of a section's field (Block Kit)."""
TEXT: Final = 3900
"""Characters of a message's text; chat.update refuses more than 4,000."""
DIGITS: Final = 12
"""How many digits of a digest are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What to post: a full sentence for screen readers and notifications, and the blocks."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    broadcast: bool = False
    """Whether a reply is shown in the channel, too."""


def said(text: str) -> Message:
    """Return plain text of the bot's own, or of people and clouds, as a message."""
    return Message(text=trim(safe(text, TEXT), TEXT))


def notice(text: str) -> dict[str, Any]:
    """Return a modal that says one thing, in place of the form that was sent."""
    return {
        "type": "modal",
        "title": plain_text("Nothing was done", 24),
        "close": plain_text("Close", 24),
        "blocks": [{"type": "section", "text": plain_text(text, 3000)}],
    }


def when(at: datetime) -> str:
    """Return a time that each reader sees in their own time zone."""
    return f"<!date^{int(at.timestamp())}^{{time}}|{at:%H:%M} UTC>"


def section(text: str) -> dict[str, Any]:
    """Make a section of mrkdwn."""
    return {"type": "section", "text": mrkdwn(text, 3000)}


def mrkdwn(text: str, most: int = FIELD) -> dict[str, Any]:
    """Make a text object; its parts were cut before they were escaped, so only hostile text is longer than `most`."""
    return {"type": "mrkdwn", "text": trim(text, most), "verbatim": True}


def plain_text(text: str, most: int) -> dict[str, Any]:
    """Make a text object that nothing in it can bring to life."""
    return {"type": "plain_text", "text": plain(text, most), "emoji": False}
