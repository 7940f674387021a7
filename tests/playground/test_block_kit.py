"""Block Kit's limits, as the local Slack holds bots to them."""

from typing import Any

import pytest
from slackblocks import _limits as limits

from bot.playground.slack.block_kit import problems, view_problems


def plain(length: int = 1) -> dict[str, Any]:
    return {"type": "plain_text", "text": "x" * length}


def mrkdwn(length: int = 1) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": "x" * length}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(), **more}


def actions(*elements: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def confirm(**more: Any) -> dict[str, Any]:
    return button(confirm={"title": plain(), "text": plain(), "confirm": plain(), "deny": plain(), **more})


def select(options: int, **more: Any) -> dict[str, Any]:
    choices = [{"text": plain(), "value": str(number)} for number in range(options)]
    return {"type": "static_select", "options": choices, **more}


def text_input(element: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "input", "label": plain(), "element": element or {"type": "plain_text_input"}}


def table(rows: int, columns: int = 1, cell: int = 1) -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x" * cell}] * columns] * rows}


def rich(*parts: Any) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(parts)}]}


SECTION = {"type": "section", "text": mrkdwn()}


def sections(count: int) -> list[Any]:
    return [SECTION] * count


FITS: dict[str, list[Any]] = {
    "blocks": sections(limits.MESSAGE_BLOCKS_MAX_ITEMS),
    "section": [{"type": "section", "text": mrkdwn(limits.SECTION_TEXT_MAX_LENGTH)}],
    "fields": [{"type": "section", "fields": [mrkdwn(limits.SECTION_FIELDS_ITEM_MAX_LENGTH)] * 10}],
    "header": [{"type": "header", "text": plain(limits.HEADER_TEXT_MAX_LENGTH)}],
    "context": [{"type": "context", "elements": [mrkdwn()] * limits.CONTEXT_ELEMENTS_MAX_ITEMS}],
    "actions": [actions(*[button()] * limits.ACTIONS_ELEMENTS_MAX_ITEMS)],
    "button": [actions(button(text=plain(75), value="x" * limits.BUTTON_VALUE_MAX_LENGTH, style="danger"))],
    "confirm": [actions(confirm(title=plain(100), text=plain(300), confirm=plain(30), deny=plain(30)))],
    "select": [actions(select(limits.SELECT_OPTIONS_MAX_ITEMS))],
    "table": [table(limits.TABLE_ROWS_MAX_ITEMS, 20), SECTION],
    "rich text": [rich({"type": "text", "text": "x"}, {"type": "user", "user_id": "U1"}), {"type": "divider"}],
}
TOO_MUCH: dict[str, list[Any]] = {
    "blocks: must be a list of 0 to 50": sections(51),
    "blocks/0/type: unsupported type `nonsense`": [{"type": "nonsense"}],
    "blocks/0/type: unsupported type `input`": [text_input()],
    "blocks/0/type: unsupported type `str`": ["nonsense"],
    "blocks/0/text/text: must be 1 to 3000 characters, got 3001": [{"type": "section", "text": mrkdwn(3001)}],
    "blocks/0/text/text: must be 1 to 3000 characters, got 0": [{"type": "section", "text": mrkdwn(0)}],
    "blocks/0: needs text or fields": [{"type": "section"}],
    "blocks/0/fields: must be a list of 1 to 10": [{"type": "section", "fields": [mrkdwn()] * 11}],
    "blocks/0/fields/0/text: must be 1 to 2000": [{"type": "section", "fields": [mrkdwn(2001)]}],
    "blocks/0/text/text: must be 1 to 150": [{"type": "header", "text": plain(151)}],
    "blocks/0/text/type: unsupported type `mrkdwn`": [{"type": "header", "text": mrkdwn()}],
    "blocks/0/text/verbatim: not allowed": [{"type": "section", "text": {**plain(), "verbatim": True}}],
    "blocks/0/elements: must be a list of 1 to 10": [{"type": "context", "elements": [mrkdwn()] * 11}],
    "blocks/0/elements: must be a list of 1 to 25": [actions(*[button()] * 26)],
    "blocks/0/elements: must be": [actions()],
    "blocks/0/elements/0/text/text: must be 1 to 75": [actions(button(text=plain(76)))],
    "blocks/0/elements/0/value: must be 0 to 2000": [actions(button(value="x" * 2001))],
    "blocks/0/elements/0/value: must be a string": [actions(button(value=7))],
    "blocks/0/elements/0/style: must be one of": [actions(button(style="default"))],
    "blocks/0/elements/0/action_id: must be 0 to 255": [actions(button(action_id="x" * 256))],
    "blocks/0/elements/0/confirm/title/text": [actions(confirm(title=plain(101)))],
    "blocks/0/elements/0/confirm/text/text": [actions(confirm(text=plain(301)))],
    "blocks/0/elements/0/confirm/text/type": [actions(confirm(text=mrkdwn()))],
    "blocks/0/elements/0/confirm/deny: required": [actions(confirm(deny=None))],
    "blocks/0/elements/0/options: must be a list of 1 to 100": [actions(select(101))],
    "blocks/0/elements/0/initial_option: must be one": [actions(select(2, initial_option={"text": plain()}))],
    "blocks/0/elements/0: needs options or option_groups, not both": [
        actions(select(1, option_groups=[{"label": plain(), "options": [{"text": plain(), "value": "1"}]}]))
    ],
    "blocks/0/elements/0/options/0/text/type: unsupported type `mrkdwn`": [
        actions({"type": "static_select", "options": [{"text": mrkdwn(), "value": "1"}]})
    ],
    "blocks/0/elements/0/options/0/value: must be 1 to 150": [
        actions({"type": "static_select", "options": [{"text": plain(), "value": "x" * 151}]})
    ],
    "blocks/0/elements/0/options: must be a list of 1 to 10": [actions({**select(11), "type": "radio_buttons"})],
    "blocks/0/block_id: must be 0 to 255": [{**SECTION, "block_id": "x" * 256}],
    "block_id: `a` appears more than once": [{**SECTION, "block_id": "a"}] * 2,
    "action_id: `a` appears more than once": [actions(button(action_id="a")), actions(button(action_id="a"))],
    "blocks: only one table allowed": [table(1), table(1)],
    "blocks/0/rows: must be a list of 1 to 100": [table(101)],
    "blocks/0/rows/0: must be a list of 1 to 20": [table(1, 21)],
    "blocks/0/rows: more than 10000 characters": [table(2, 1, 5001)],
    "blocks/0/elements/0/elements/0/text: must be 1": [rich({"type": "text", "text": ""})],
    "blocks/0/elements/0/elements/0/type: unsupported": [rich({"type": "nonsense"})],
    "blocks: more than 12000 characters of markdown": [{"type": "markdown", "text": "x" * 6001}] * 2,
}


@pytest.mark.parametrize("case", FITS)
def test_what_fits(case: str) -> None:
    """A message that uses a limit up is taken."""
    assert [] == problems("message", FITS[case])


@pytest.mark.parametrize("problem", TOO_MUCH)
def test_what_does_not(problem: str) -> None:
    """A message that breaks a limit is refused, and the answer points at the place."""
    found = problems("message", TOO_MUCH[problem])
    assert found
    assert found[0].startswith(problem)


def test_no_list() -> None:
    """Blocks that are no list are refused."""
    assert ["blocks: must be a list of 0 to 50 items"] == problems("message", "x")


def modal(**more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": plain(24), "submit": plain(24), "blocks": [text_input()], **more}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"title": plain(25)}, "view/title/text: must be 1 to 24"),
        ({"title": None}, "view/title: required"),
        ({"submit": plain(25)}, "view/submit/text: must be 1 to 24"),
        ({"close": plain(25)}, "view/close/text: must be 1 to 24"),
        ({"private_metadata": "x" * 3001}, "view/private_metadata: must be 0 to 3000"),
        ({"callback_id": "x" * 256}, "view/callback_id: must be 0 to 255"),
        ({"blocks": sections(101)}, "blocks: must be a list of 0 to 100"),
        ({"blocks": [table(1)]}, "blocks/0/type: unsupported type `table`"),
        ({"blocks": [text_input({"type": "plain_text_input", "max_length": 3001})]}, "blocks/0/element/max_length"),
        ({"blocks": [text_input({"type": "file_input", "max_files": 11})]}, "blocks/0/element/max_files: must be 1"),
        (
            {"blocks": [text_input({"type": "plain_text_input", "min_length": 9, "max_length": 8})]},
            "blocks/0/element/min_length: more than max_length",
        ),
        ({"blocks": [{**text_input(), "hint": plain(2001)}]}, "blocks/0/hint/text: must be 1 to 2000"),
        ({"blocks": [{**text_input(), "label": plain(2001)}]}, "blocks/0/label/text: must be 1 to 2000"),
        ({"blocks": [{**text_input(), "optional": "yes"}]}, "blocks/0/optional: must be one of"),
        ({"notify_on_close": "yes"}, "view/notify_on_close: must be one of"),
        ({"type": "message"}, "view/type: must be modal or home"),
    ],
)
def test_modals(more: dict[str, Any], problem: str) -> None:
    """A modal's own limits hold."""
    assert view_problems({**modal(), **more})[0].startswith(problem)


def test_a_form_needs_a_submit_button() -> None:
    """A modal with a field needs `submit`, and is taken with it."""
    without = modal()
    del without["submit"]
    assert [] == view_problems(modal())
    assert ["view/submit: required when there is an input block"] == view_problems(without)


def test_files_are_for_modals() -> None:
    """A file field is taken in a modal and refused in a Home tab."""
    field = text_input({"type": "file_input", "filetypes": ["csv"]})
    assert [] == view_problems(modal(blocks=[field]))
    assert ["blocks/0/element/type: unsupported type `file_input`"] == view_problems(
        {"type": "home", "blocks": [field]}
    )
