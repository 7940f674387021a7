"""What a person enters in a form, and the checks that Slack's client makes before it is sent. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.playground.slack.values import Payload, View, elements_of

_MOST_CHARACTERS = 3000
_MOST_FILES = 10


class CannotAct(ValueError):  # noqa: N818 - named for what a person cannot do
    """Slack's client would not let this person do this: no such button, not in the channel, a field left empty."""


def entered(element: Payload, value: Any) -> Payload:
    """Return an element's part of a payload once `value` was entered: text, option values, or files."""
    kind = element["type"]
    if kind == "file_input":
        return {"type": kind, "files": list(value or ())}
    if kind in ("checkboxes", "multi_static_select"):
        chosen = element.get("initial_options", []) if value is None else [_option(element, one) for one in value]
        return {"type": kind, "selected_options": chosen}
    if kind in ("static_select", "radio_buttons", "overflow"):
        return {
            "type": kind,
            "selected_option": element.get("initial_option") if value is None else _option(element, value),
        }
    what = kind.removesuffix("s_select")
    key, initial = ("value", "initial_value") if what == kind else (f"selected_{what}", f"initial_{what}")
    return {"type": kind, key: element.get(initial) if value is None else value or None}


def _option(element: Payload, value: str) -> Payload:
    groups = [element, *element.get("option_groups", ())]
    options = {option["value"]: option for group in groups for option in group.get("options", ())}
    if value not in options:
        raise CannotAct(f"no option {value!r}, only {sorted(options)}")
    return dict(options[value])


def state_of(view: View, values: Mapping[str, Any]) -> Payload:
    """Return what a view's fields hold by block and action: `values` by action_id, the rest as it was at first.

    Raises CannotAct when there is no such field, or no such option.
    """
    fields = {element["action_id"]: (block, element) for block, element in elements_of(view.blocks)}
    if values.keys() - fields.keys():
        raise CannotAct(f"no such field: {sorted(values.keys() - fields.keys())}, only {sorted(fields)}")
    state: Payload = {}
    for action_id, (block, element) in fields.items():
        if element["type"] not in ("button", "overflow"):
            state.setdefault(block["block_id"], {})[action_id] = entered(element, values.get(action_id))
    return state


def check_filled(view: View, state: Payload) -> None:
    """Make the checks that Slack's client makes before it sends a form; raises CannotAct."""
    for block, element in elements_of(view.blocks):
        part = state.get(block["block_id"], {}).get(element["action_id"])
        if block["type"] != "input" or part is None:
            continue
        name, filled = block["label"]["text"], any(value for key, value in part.items() if key != "type")
        if not filled and not block.get("optional"):
            raise CannotAct(f"“{name}” must be filled in")
        length = len(str(part.get("value") or ""))
        if filled and not element.get("min_length", 0) <= length <= element.get("max_length", _MOST_CHARACTERS):
            most = element.get("max_length", _MOST_CHARACTERS)
            raise CannotAct(f"“{name}” has {length} characters, and takes {element.get('min_length', 0)} to {most}")
        _check_files(name, element, part.get("files") or [])


def _check_files(name: str, element: Payload, files: Sequence[Payload]) -> None:
    most, kinds = element.get("max_files", _MOST_FILES), element.get("filetypes")
    if len(files) > most:
        raise CannotAct(f"“{name}” takes {most} files, not {len(files)}")
    other = next((one["name"] for one in files if kinds and one["filetype"] not in kinds), None)
    if other:
        raise CannotAct(f"“{name}” takes {', '.join(kinds or ())} files, not {other}")
