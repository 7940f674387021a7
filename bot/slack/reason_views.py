"""Draws the modals that ask why. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from bot.domain.cancellation import State
from bot.domain.wording import size_line, target
from bot.domain.words import LONGEST_REASON
from bot.slack.message import plain_text

BUTTON_OF: Final[Mapping[str, str]] = {"reject_form": "reject", "break_glass_form": "break_glass"}
"""The buttons that the modals belong to, by the modal's callback_id."""
_FORM_OF: Final = {button: form for form, button in BUTTON_OF.items()}
_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "reject": (
        "Reject",
        "Why is it rejected?",
        "Nothing is cancelled then, and whoever asked for it is told your name and why.",
    ),
    "break_glass": (
        "Go on without approval",
        "Why can it not wait for approval?",
        "It starts at once. The approvers are told, and card and ledger carry your name and reason for ever.",
    ),
}


def reason_form(button: str, state: State) -> dict[str, Any]:
    """Return the modal that asks for the reason of a button of `state`'s card."""
    label, question, comes = _WORDS[button]
    size = f": {size_line(state.size, state.plan)}" if state.plan else ""
    about = f"#{state.id}, {target(state.order)} on {state.account}{size}. {comes}"
    return {
        "type": "modal",
        "callback_id": _FORM_OF[button],
        "private_metadata": str(state.id),
        "title": plain_text(f"{'Reject' if button == 'reject' else 'Break glass for'} #{state.id}", 24),
        "submit": plain_text(label, 24),
        "close": plain_text("Go back", 24),
        "blocks": [
            {"type": "section", "text": plain_text(about, 3000)},
            {
                "type": "input",
                "block_id": "reason",
                "label": plain_text(question, 2000),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "reason",
                    "multiline": True,
                    "max_length": LONGEST_REASON,
                },
            },
        ],
    }
