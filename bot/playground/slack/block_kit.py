"""Checks messages, modals and Home tabs against Block Kit's limits, as strictly as Slack does. Pure.

The figures are those of https://docs.slack.dev/reference/block-kit; kinds of blocks and elements that are not in the
tables below are refused.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

Surface = Literal["message", "modal", "home"]
Check = Callable[[Any], Iterable[str]]
"""Yields what is wrong with a value, each as `/path/to/it: what`."""

_MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
_TABLE_COLUMNS, _TABLE_CHARACTERS = 20, 10_000
_MARKDOWN_CHARACTERS = 12_000


def problems(surface: Surface, blocks: Any) -> list[str]:
    """List every reason for which Slack would answer `invalid_blocks`; empty when there is none."""
    wrong = [f"blocks{problem}" for problem in _many(_BLOCKS[surface], _MOST_BLOCKS[surface], least=0)(blocks)]
    return wrong or list(_together(blocks))


def view_problems(view: Any) -> list[str]:
    """List every reason for which Slack would refuse a modal or Home view."""
    if _type(view) not in _VIEWS:
        return ["view/type: must be modal or home"]
    wrong = [f"view{problem}" for problem in _VIEWS[view["type"]](view)] + problems(view["type"], view.get("blocks"))
    if not wrong and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
        wrong.append("view/submit: required when there is an input block")
    return wrong


def _together(blocks: list[dict[str, Any]]) -> Iterator[str]:
    inside = [[*block.get("elements", ()), block.get("accessory"), block.get("element")] for block in blocks]
    elements = [element for element in chain.from_iterable(inside) if element]
    for key, things in (("block_id", blocks), ("action_id", elements)):
        counted = Counter(thing[key] for thing in things if key in thing)
        yield from (f"{key}: `{value}` appears more than once" for value, count in counted.items() if count > 1)
    if sum(block["type"] == "table" for block in blocks) > 1:
        yield "blocks: only one table allowed"
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > _MARKDOWN_CHARACTERS:
        yield f"blocks: more than {_MARKDOWN_CHARACTERS} characters of markdown"


def _type(thing: Any) -> str:
    return str(thing.get("type")) if isinstance(thing, dict) else type(thing).__name__


def _string(most: int, least: int = 0) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, str):
            yield ": must be a string"
        elif not least <= len(value) <= most:
            yield f": must be {least} to {most} characters, got {len(value)}"

    return check


def _number(least: int, most: int) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, int) or not least <= value <= most:
            yield f": must be {least} to {most}"

    return check


def _one_of(*choices: Any) -> Check:
    return lambda value: () if value in choices else (f": must be one of {choices}",)


def _shape(needed: Mapping[str, Check], **optional: Check) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, dict):
            yield ": must be an object"
            return
        yield from (f"/{key}: required" for key in needed if value.get(key) is None)
        for key, inner in {**needed, **optional}.items():
            if value.get(key) is not None:
                yield from (f"/{key}{problem}" for problem in inner(value[key]))

    return check


def _many(inner: Check, most: int, least: int = 1) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            yield f": must be a list of {least} to {most} items"
        else:
            yield from (f"/{at}{problem}" for at, item in enumerate(value) for problem in inner(item))

    return check


def _by_type(kinds: Mapping[str, Check]) -> Check:
    def check(value: Any) -> Iterable[str]:
        kind = _type(value)
        return kinds[kind](value) if kind in kinds else (f"/type: unsupported type `{kind}`",)

    return check


def _all(*checks: Check) -> Check:
    return lambda value: chain.from_iterable(check(value) for check in checks)


def _not_here(_value: Any) -> Iterable[str]:
    return (": not allowed here",)


def _plain(most: int) -> Check:
    return _by_type({"plain_text": _shape({"text": _string(most, 1)}, emoji=_one_of(True, False), verbatim=_not_here)})


def _text(most: int) -> Check:
    mrkdwn = _shape({"text": _string(most, 1)}, verbatim=_one_of(True, False), emoji=_not_here)
    return lambda value: _by_type({"mrkdwn": mrkdwn})(value) if _type(value) == "mrkdwn" else _plain(most)(value)


def _initial_is_an_option(element: dict[str, Any]) -> Iterator[str]:
    groups = [{"options": element.get("options", [])}, *element.get("option_groups", [])]
    options = [option for group in groups for option in group.get("options") or ()]
    initial = [*element.get("initial_options", []), *filter(None, [element.get("initial_option")])]
    if any(one not in options for one in initial):
        yield "/initial_option: must be one of the options exactly"


def _ordered(least: str, most: str) -> Check:
    return lambda value: (f"/{least}: more than {most}",) if value.get(least, 0) > value.get(most, 3000) else ()


def _one_kind_of_options(element: dict[str, Any]) -> Iterator[str]:
    if "options" in element and "option_groups" in element:
        yield ": needs options or option_groups, not both"


def _has_any(*keys: str) -> Check:
    return lambda value: () if any(key in value for key in keys) else (f": needs {' or '.join(keys)}",)


_ID = _string(255)
_STYLE = _one_of("primary", "danger")
_CONFIRM = _shape({"title": _plain(100), "text": _plain(300), "confirm": _plain(30), "deny": _plain(30)}, style=_STYLE)
_COMMON = _shape({}, action_id=_ID, confirm=_CONFIRM, placeholder=_plain(150))
_OPTION = _shape({"text": _plain(75), "value": _string(150, 1)}, description=_plain(75))
_RICHER_OPTION = _shape({"text": _text(75), "value": _string(150, 1)}, description=_text(75))
_OPTION_GROUP = _shape({"label": _plain(75), "options": _many(_OPTION, 100)})
_ALTERNATIVES = _shape({}, options=_many(_OPTION, 100), option_groups=_many(_OPTION_GROUP, 100))
_SELECT = _all(
    _COMMON, _has_any("options", "option_groups"), _one_kind_of_options, _ALTERNATIVES, _initial_is_an_option
)
_TEN = _all(_COMMON, _shape({"options": _many(_RICHER_OPTION, 10)}), _initial_is_an_option)
_IMAGE = _shape({"alt_text": _string(2000, 1)}, image_url=_string(3000, 1))
_BUTTON = _shape(
    {"text": _plain(75)}, value=_string(2000), url=_string(3000), accessibility_label=_string(75), style=_STYLE
)
_LENGTHS = {"min_length": _number(0, 3000), "max_length": _number(1, 3000)}
_TEXT_INPUT = _shape({}, initial_value=_string(3000), multiline=_one_of(True, False), **_LENGTHS)

_ACTIONS: dict[str, Check] = {
    "button": _all(_COMMON, _BUTTON),
    "overflow": _all(_COMMON, _shape({"options": _many(_OPTION, 5)})),
    "checkboxes": _TEN,
    "radio_buttons": _TEN,
    "static_select": _SELECT,
    "users_select": _COMMON,
    "conversations_select": _COMMON,
    "channels_select": _COMMON,
}
_INPUTS: dict[str, Check] = {
    **{kind: check for kind, check in _ACTIONS.items() if kind not in ("button", "overflow")},
    "multi_static_select": _SELECT,
    "plain_text_input": _all(_COMMON, _TEXT_INPUT, _ordered("min_length", "max_length")),
    "number_input": _COMMON,
    "file_input": _all(_COMMON, _shape({}, max_files=_number(1, 10), filetypes=_many(_string(50, 1), 100))),
}
_WORDS = _by_type(
    {
        "text": _shape({"text": _string(3000, 1)}),
        "link": _shape({"url": _string(3000, 1)}),
        "user": _shape({"user_id": _ID}),
        "usergroup": _shape({"usergroup_id": _ID}),
        "channel": _shape({"channel_id": _ID}),
        "emoji": _shape({"name": _ID}),
        "broadcast": _shape({"range": _one_of("here", "channel", "everyone")}),
        "date": _shape({"timestamp": _number(0, 2**40), "format": _ID}),
    }
)
_PARAGRAPH = _shape({"elements": _many(_WORDS, 1000)})
_LIST = _many(_by_type({"rich_text_section": _PARAGRAPH}), 1000)
_RICH_PARTS = {
    "rich_text_section": _PARAGRAPH,
    "rich_text_preformatted": _PARAGRAPH,
    "rich_text_quote": _PARAGRAPH,
    "rich_text_list": _shape({"elements": _LIST, "style": _one_of("bullet", "ordered")}),
}
_RICH_TEXT = _shape({"elements": _many(_by_type(_RICH_PARTS), 1000)})
_CELL = _by_type({"raw_text": _shape({"text": _string(_TABLE_CHARACTERS, 1)}), "rich_text": _RICH_TEXT})


def _characters(node: Any) -> int:
    if isinstance(node, list):
        return sum(map(_characters, node))
    if isinstance(node, dict):
        return len(str(node.get("text", ""))) + _characters(node.get("elements"))
    return 0


def _table_characters(table: dict[str, Any]) -> Iterator[str]:
    if _characters(table.get("rows")) > _TABLE_CHARACTERS:
        yield f"/rows: more than {_TABLE_CHARACTERS} characters in all"


def _input(elements: Mapping[str, Check]) -> Check:
    needed = {"label": _plain(2000), "element": _by_type(elements)}
    return _shape(needed, hint=_plain(2000), optional=_one_of(True, False), dispatch_action=_one_of(True, False))


_SECTION = _shape(
    {}, text=_text(3000), fields=_many(_text(2000), 10), accessory=_by_type({**_ACTIONS, "image": _IMAGE})
)
_CONTEXT_PARTS = {"image": _IMAGE, "mrkdwn": _text(3000), "plain_text": _text(3000)}
_EVERYWHERE: dict[str, Check] = {
    "actions": _shape({"elements": _many(_by_type(_ACTIONS), 25)}),
    "context": _shape({"elements": _many(_by_type(_CONTEXT_PARTS), 10)}),
    "divider": _shape({}),
    "header": _shape({"text": _plain(150)}),
    "image": _IMAGE,
    "rich_text": _RICH_TEXT,
    "section": _all(_has_any("text", "fields"), _SECTION),
}
_TABLE = _all(_shape({"rows": _many(_many(_CELL, _TABLE_COLUMNS), 100)}), _table_characters)
_KINDS: dict[Surface, dict[str, Check]] = {
    "message": {**_EVERYWHERE, "table": _TABLE, "markdown": _shape({"text": _string(_MARKDOWN_CHARACTERS, 1)})},
    "modal": {**_EVERYWHERE, "input": _input(_INPUTS), "alert": _shape({"text": _text(200)})},
    "home": {
        **_EVERYWHERE,
        "table": _TABLE,
        "input": _input({kind: check for kind, check in _INPUTS.items() if kind != "file_input"}),
    },
}
_NAMED = _shape({}, block_id=_ID)
_BLOCKS: dict[Surface, Check] = {
    surface: _by_type({kind: _all(_NAMED, check) for kind, check in kinds.items()}) for surface, kinds in _KINDS.items()
}
_VIEW = {"private_metadata": _string(3000), "callback_id": _ID, "external_id": _ID}
_ON_CLOSE = {"notify_on_close": _one_of(True, False), "clear_on_close": _one_of(True, False)}
_VIEWS: dict[str, Check] = {
    "modal": _shape({"title": _plain(24)}, submit=_plain(24), close=_plain(24), **_ON_CLOSE, **_VIEW),
    "home": _shape({}, **_VIEW),
}
