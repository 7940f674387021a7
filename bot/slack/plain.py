"""Draws the card once more, as little as it can be, for when Slack does not take the whole of it. Pure.

Whatever Slack minds, a person still has to see the state, who asked for what, and how to act.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from bot.domain.cancellation import State
from bot.domain.wording import COMMAND
from bot.slack.buttons import buttons_of
from bot.slack.card import EARLIER, card
from bot.slack.escape import code, mention, trim
from bot.slack.message import Message, plain_text, section

SHORT: Final = 1200
"""Characters of the card's sentence: Slack may have found the whole too long."""
_DIALOG: Final[dict[str, Any]] = {
    "title": plain_text("Are you sure?", 100),
    "text": plain_text("Read the message above before you answer. A cancelled task is not taken up again.", 300),
    "confirm": plain_text("Yes", 30),
    "deny": plain_text("Go back", 30),
}


def plain_card(state: State, *, reposted: bool = False) -> Message:
    """Draw the card as its sentence and its buttons."""
    text, pressed = _text(state, reposted=reposted), [_bare(button) for button in buttons_of(state)]
    if not pressed:
        return Message(text=text)
    return Message(text=text, blocks=(section(text), {"type": "actions", "elements": pressed}))


def words_alone(state: State, *, reposted: bool = False) -> Message:
    """Draw the card as its sentence, and say why there is nothing to press."""
    text = _text(state, reposted=reposted)
    if not buttons_of(state):
        return Message(text=text)
    stop = f" To end it, type {code(f'{COMMAND} stop {state.id}')}." if state.run is not None else ""
    return Message(text=f"{text} Slack does not take the buttons, so nothing can be pressed here.{stop}")


FORMS: Final[Sequence[Callable[..., Message]]] = (card, plain_card, words_alone)
"""The card, and what takes its place where Slack does not take the one before."""


def _text(state: State, *, reposted: bool) -> str:
    earlier = f" {EARLIER}" if reposted else ""
    look = f"Slack did not take the whole card; {code(f'{COMMAND} show {state.id}')} has more."
    return f"{trim(card(state).text, SHORT)} Asked for by {mention(state.requester)}. {look}{earlier}"


def _bare(button: dict[str, Any]) -> dict[str, Any]:
    """Return a button without any words that come from elsewhere."""
    kept = {name: value for name, value in button.items() if name in ("type", "action_id", "value", "text", "style")}
    return {**kept, **({"confirm": _DIALOG} if "confirm" in button else {})}
