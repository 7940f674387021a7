"""Draws the buttons: which a card has in which state, what they are called and what they ask once more. Pure."""

import re
from typing import Any, Final

from bot.domain.approval import TERMINAL
from bot.domain.cancellation import REPEATABLE, Phase, State
from bot.domain.order import CancelStrategy
from bot.domain.plan import Plan
from bot.domain.wording import number, size_line, target
from bot.slack.escape import mention, plain, safe
from bot.slack.message import Message, plain_text, section

VALUE: Final = re.compile(r"[1-9][0-9]{0,17}")
"""A button's value, and what a modal carries: a cancellation's id, in the digits that the card writes."""
AGAIN: Final = "A cancelled task is not taken up again by itself."


def buttons_of(state: State) -> list[dict[str, Any]]:
    """Return the buttons that the card has in its present state."""
    if state.via == TERMINAL and state.phase in {Phase.WAITING_CONFIRMATION, Phase.WAITING_APPROVAL}:
        # Whoever asked for it at a terminal answers there, and nobody else may.
        return []
    if state.phase is Phase.WAITING_CONFIRMATION and state.plan is not None:
        return [
            _button("confirm", state, _confirm_label(state), style="danger", dialog=_dialog(state, state.plan)),
            _button("withdraw", state, "Keep it" if _strategy_alone(state) else "Keep them"),
        ]
    if state.phase is Phase.WAITING_APPROVAL and state.plan is not None:
        return _approval_buttons(state, state.plan)
    if state.phase in REPEATABLE and state.retried_as is None:
        return [_button("retry", state, "Ask again")]
    stoppable = state.phase is Phase.APPROVED or (state.phase is Phase.RUNNING and state.stopped_by is None)
    return [_button("stop", state, "Stop")] if stoppable else []


def _approval_buttons(state: State, plan: Plan) -> list[dict[str, Any]]:
    does = _confirm_label(state)
    label = f"Approve: {does[:1].lower()}{does[1:]}"
    approval = {**_dialog(state, plan), "title": plain_text(f"{label}?", 100), "confirm": plain_text("Approve", 30)}
    break_glass = _button("break_glass", state, "Go on without approval", style="danger", dialog=_glass_dialog(state))
    listed = state.requester in ((state.policy or {}).get("break_glass") or ())
    return [
        _button("approve", state, label, style="primary", dialog=approval),
        _button("reject", state, "Reject"),
        _button("withdraw", state, "Withdraw"),
        *([break_glass] if listed else []),
    ]


def _glass_dialog(state: State) -> dict[str, Any]:
    missing = (
        "the approval that is missing" if state.missing == 1 else f"the {state.missing} approvals that are missing"
    )
    text = f"It starts without {missing}. The approvers are told, and card and ledger carry the mark for ever."
    return {
        "title": plain_text("Break the glass?", 100),
        "text": plain_text(text, 300),
        "confirm": plain_text("Say why", 30),
        "deny": plain_text("Go back", 30),
        "style": "danger",
    }


def _confirm_label(state: State) -> str:
    if _strategy_alone(state):
        return "Stop this strategy"
    them = "cancel these upgrades" if state.size is None else f"cancel {number(state.size)} upgrades"
    return f"Stop it, {them}" if isinstance(state.order, CancelStrategy) else them[:1].upper() + them[1:]


def _strategy_alone(state: State) -> bool:
    """Tell whether nothing but a batch's strategy is stopped, and no task is touched."""
    return state.plan is not None and not state.plan.statuses


def _dialog(state: State, plan: Plan) -> dict[str, Any]:
    back = "It cannot be started again by this bot." if _strategy_alone(state) else AGAIN
    # Whoever approves may look an hour later: "now" is when the cloud was read.
    counted = f", as counted at {state.preview.reading.at:%H:%M} UTC" if state.preview and plan.statuses else ""
    text = f"{target(state.order)} on {state.account}: {size_line(state.size, plan)}{counted}. {back}"
    return {
        "title": plain_text(f"{_confirm_label(state)}?", 100),
        "text": plain_text(text[:1].upper() + text[1:], 300),
        "confirm": plain_text("Stop it" if isinstance(state.order, CancelStrategy) else "Cancel them", 30),
        "deny": plain_text("Go back", 30),
        "style": "danger",
    }


def _button(
    action: str, state: State, label: str, *, style: str | None = None, dialog: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make a button; its value is the cancellation's id and nothing more, because nothing in Slack is authority."""
    return {
        "type": "button",
        "action_id": action,
        "value": str(state.id),
        "text": plain_text(label, 75),
        "accessibility_label": plain(f"{label}, cancellation #{state.id}", 75),
        **({"style": style} if style else {}),
        **({"confirm": dialog} if dialog else {}),
    }


def already(state: State, like: State, link: str) -> Message:
    """Say that an order is like an open one, with the button that says that it is meant all the same."""
    what = f"{safe(target(like.order), 500)} on {safe(like.account, 100)}"
    seen = f" {link}." if link else ""
    text = (
        f"That is already #{like.id} by {mention(like.requester)} ({like.phase.value.lower()}): {what}.{seen}"
        f" Yours, #{state.id}, is held, and nothing was changed."
        " Press the button if you mean a second one, else leave it."
    )
    anyway = _button("order_anyway", state, "Order it anyway")
    pressed = {"type": "actions", "block_id": f"anyway-{state.id}", "elements": [anyway]}
    return Message(text=text, blocks=(section(text), pressed))
