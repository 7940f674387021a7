"""Makes text from people and clouds harmless in Slack.

Source: https://docs.slack.dev/messaging/formatting-message-text: only `&`, `<` and `>` are special, and everything
that could ping or link is built from them.
"""

import re
from typing import Final

# Control characters, bidirectional overrides and zero-width characters: a reader cannot see what they do.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

_HALF: Final = re.compile(r"(?:&[a-z]*|<[^<>]*)\Z")


def plain(text: str, most: int = 3000) -> str:
    """Return `text` for a plain_text object: unseen characters gone, cut at `most`."""
    return cut(_UNSEEN.sub("", text), most)


def safe(text: str, most: int = 2000) -> str:
    """Return `text` for mrkdwn: cut first, so that no escape is ever split, then escaped."""
    return plain(text, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, most: int = 200) -> str:
    """Return `text` as a code span; a back-tick inside would end it."""
    spanless = text.replace("`", "'")
    return f"`{safe(spanless, most)}`"


def cut(text: str, most: int) -> str:
    """Cut `text` to `most` characters, the last of which says so."""
    return text if len(text) <= most else text[: most - 1] + "…"


def trim(mrkdwn: str, most: int) -> str:
    """Cut text that is escaped already to `most` characters, splitting neither an escape nor a mention."""
    return mrkdwn if len(mrkdwn) <= most else _HALF.sub("", mrkdwn[: most - 1]) + "…"


def mention(actor: str) -> str:
    """Return an actor as a mention where Slack knows them, else as they are called; mentions in new messages ring."""
    return f"<@{actor}>" if re.fullmatch(r"[UW][A-Z0-9]{2,20}", actor) else safe(actor, 100)
