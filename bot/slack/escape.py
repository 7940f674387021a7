"""Makes text from people and clouds harmless in Slack.

Source: https://docs.slack.dev/messaging/formatting-message-text. Everything that could ping or link is built from `&`,
`<` and `>`, which have escapes. What draws (bold, italic, struck, code, a quote, an emoji) has none; characters that
look the same stand in for it, because zero-width characters round it would bring it to life rather than stop it.
"""

import re
from typing import Final

from bot.domain.wording import on_one_line

# Control characters, bidirectional overrides and zero-width characters: a reader cannot see what they do.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_DRAWS: Final = (
    (re.compile(r"\*"), "\u2217"),
    (re.compile(r"~"), "\u223c"),
    (re.compile(r"`"), "'"),
    # Within a word it draws nothing, and most ids can be copied as they are.
    (re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"), "\u02cd"),
    # A quote, at the start of a line; an emoji's name.
    (re.compile(r"^(\s*)>", re.MULTILINE), "\\1\u203a"),
    (re.compile(r":(?=[\w+'-]+:)"), "\u2236"),
)
_HALF: Final = re.compile(r"(?:&[a-z]*|<[^<>]*)\Z")


def plain(text: str, most: int = 3000) -> str:
    """Return `text` for a plain_text object: on one line, unseen characters gone, cut at `most`."""
    return cut(_UNSEEN.sub("", on_one_line(text)), most)


def safe(text: str, most: int = 2000) -> str:
    """Return `text` for mrkdwn, to be read as it was written: cut first, so that no escape is ever split."""
    still = plain(text, most)
    for drawing, stand_in in _DRAWS:
        still = drawing.sub(stand_in, still)
    return _escaped(still)


def quoted(text: str, most: int = 2000) -> str:
    """Return `text` for mrkdwn in quotation marks that nothing in it can close."""
    return f"“{safe(_unquoted(text), most)}”"


def _unquoted(text: str) -> str:
    return re.sub("[“”„‟]", '"', text)


def code(text: str, most: int = 200) -> str:
    """Return `text` as a code span, where nothing draws; a back-tick inside would end it."""
    spanless = plain(text, most).replace("`", "'")
    return f"`{_escaped(spanless)}`"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """Cut `text` to `most` characters, the last of which says so."""
    return text if len(text) <= most else text[: most - 1] + "…"


def trim(mrkdwn: str, most: int) -> str:
    """Cut text that is escaped already to `most` characters, splitting neither an escape nor a mention."""
    return mrkdwn if len(mrkdwn) <= most else _HALF.sub("", mrkdwn[: most - 1]) + "…"


def mention(actor: str) -> str:
    """Return an actor or a group as a mention where Slack knows them, else as they are called.

    Mentions in new messages ring.
    """
    if re.fullmatch(r"S[A-Z0-9]{2,20}", actor):
        return f"<!subteam^{actor}>"
    return f"<@{actor}>" if re.fullmatch(r"[UW][A-Z0-9]{2,20}", actor) else safe(actor, 100)
