"""Reads messages as people do: as plain lines for a terminal, and for whom they ring. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bot.playground.slack.values import Payload

NameOf = Callable[[str], str]
_LINK = re.compile(r"<([^<>]+)>")
_PERMALINK = re.compile(r"https?://[^/]+/archives/\w+/p\d+")
_BOLD = re.compile(r"(?<![\w*])\*(\S|\S[^*\n]*\S)\*(?![\w*])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Whom a message names; `everyone` is @channel, @here or @everyone."""

    users: frozenset[str]
    groups: frozenset[str]
    everyone: bool


def mentions(text: str, blocks: Sequence[Payload]) -> Mentions:
    """Read whom a message names.

    People and groups count only where they are shown (with blocks, the text is a fallback that clients hide);
    @channel counts in both, so that one that leaks is never overlooked.
    """
    from_blocks = list(_links(list(blocks)))
    shown = from_blocks if blocks else _LINK.findall(text)
    heads = {link.split("|")[0] for link in shown}
    loud = {link.split("|")[0] for link in [*from_blocks, *_LINK.findall(text)]}
    return Mentions(
        users=frozenset(head[1:] for head in heads if head.startswith("@")),
        groups=frozenset(head.removeprefix("!subteam^") for head in heads if head.startswith("!subteam^")),
        everyone=bool(loud & {"!channel", "!here", "!everyone"}),
    )


def _links(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _links(item)
    elif isinstance(node, dict):
        match node.get("type"):
            case "mrkdwn" | "markdown":
                yield from _LINK.findall(node.get("text", ""))
            case "user":
                yield "@" + node["user_id"]
            case "usergroup":
                yield "!subteam^" + node["usergroup_id"]
            case "broadcast":
                yield "!" + node["range"]
            case _:
                yield from _links(list(node.values()))


def unescaped(mrkdwn: str, name_of: NameOf) -> str:
    """Turn mrkdwn into what is read on the screen: names for ids, fallbacks for dates, no stars."""

    def link(match: re.Match[str]) -> str:
        head, _, label = match[1].partition("|")
        if head.startswith("!date^"):
            return label
        if head.startswith("!subteam^"):
            return "@" + name_of(head.removeprefix("!subteam^"))
        if head[0] in "@#":
            return head[0] + name_of(head[1:])
        if head.startswith("!"):
            return "@" + head[1:]
        # Where a message lies says nothing to a reader, and the address holds a port that is another each time.
        told = not _PERMALINK.fullmatch(head) and label != head
        return f"{label} ({head})" if label and told else label or head

    shown = _LINK.sub(link, _BOLD.sub(r"\1", mrkdwn))
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_PARTS: dict[str, Callable[[Payload, NameOf], str]] = {
    "mrkdwn": lambda part, name_of: unescaped(part["text"], name_of),
    "plain_text": lambda part, _: part["text"],
    "raw_text": lambda part, _: part["text"],
    "text": lambda part, _: part["text"],
    "link": lambda part, _: part.get("text") or part["url"],
    "emoji": lambda part, _: f":{part['name']}:",
    "user": lambda part, name_of: "@" + name_of(part["user_id"]),
    "usergroup": lambda part, name_of: "@" + name_of(part["usergroup_id"]),
    "channel": lambda part, name_of: "#" + name_of(part["channel_id"]),
    "broadcast": lambda part, _: "@" + part["range"],
    "date": lambda part, _: part.get("fallback") or str(part["timestamp"]),
    "button": lambda part, _: f"[{'! ' if part.get('style') == 'danger' else ''}{part['text']['text']}]",
    "image": lambda part, _: f"({part['alt_text']})",
    "divider": lambda _, __: "-" * 40,
    "input": lambda part, name_of: f"{_read(part['label'], name_of)}: {_read(part['element'], name_of)}",
    "table": lambda part, name_of: "\n".join(" | ".join(_read(c, name_of) for c in row) for row in part["rows"]),
}
_BETWEEN = {"section": "\n", "rich_text": "\n", "rich_text_list": "\n", "actions": " ", "context": " "}


def plain(text: str, blocks: Sequence[Payload], name_of: NameOf) -> str:
    """Render a message as lines for a terminal; buttons as [Label], dangerous ones as [! Label]."""
    return "\n".join(_read(block, name_of) for block in blocks) if blocks else unescaped(text, name_of)


def _read(part: Payload, name_of: NameOf) -> str:
    kind = part["type"]
    if kind in _PARTS:
        return _PARTS[kind](part, name_of)
    if "options" in part:
        return " / ".join(option["text"]["text"] for option in part["options"])
    inside = [part.get("text"), *part.get("fields", ()), *part.get("elements", ()), part.get("accessory")]
    lines = [_read(one, name_of) for one in inside if one]
    return (
        _BETWEEN.get(kind, "").join(f"- {line}" if kind == "rich_text_list" else line for line in lines) or f"<{kind}>"
    )
