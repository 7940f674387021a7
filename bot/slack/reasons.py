"""The modals that ask why: for a rejection, and for going on without the approval that is needed.

What comes back in a modal is no authority: who sent it is looked up again, and what it is about is read from the
ledger. Source: https://docs.slack.dev/surfaces/modals.
"""

from typing import Any, Final

import structlog
from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from bot.domain.cancellation import State
from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError
from bot.domain.words import LONGEST_REASON
from bot.engine.keeper import Halt, Keeper
from bot.engine.presses import Presses
from bot.ledger.ledger import Ledger
from bot.slack.answers import Answers
from bot.slack.buttons import VALUE
from bot.slack.commands import refusal_message
from bot.slack.message import notice, said
from bot.slack.people import text_at
from bot.slack.reason_views import BUTTON_OF, reason_form

log = structlog.get_logger()

NOT_GIVEN: Final = "Say why, in a few words: it stays in the record."


class Reasons:
    """Asks whoever pressed such a button for the reason, and takes what they send."""

    def __init__(
        self, ledger: Ledger, client: WebClient, presses: Presses, keeper: Keeper, *, answers: Answers, halt: Halt
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._presses = presses
        self._keeper = keeper
        self._answers = answers
        self._halt = halt

    def ask(
        self, button: str, cancellation: int, user: str, channel: str, *, trigger: str, url: str | None
    ) -> Refusal | None:
        """Open the modal, once the press is acknowledged, for somebody who may press the button."""
        refusal = self._presses.may_give_reason(button, cancellation, user, channel)
        state = self._ledger.state(cancellation)
        if refusal is not None or state is None:
            return refusal
        self._keeper.answer(lambda: self._open(button, state, user, trigger, url))
        return None

    def submitted(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        """Take a reason that was sent, and say in the modal why nothing came of it where that is so."""
        view = body.get("view") or {}
        button, cancellation = BUTTON_OF.get(text_at(view, "callback_id"), ""), text_at(view, "private_metadata")
        reason = text_at(view, "state", "values", "reason", "reason", "value").strip()[:LONGEST_REASON]
        if not reason:
            ack(response_action="errors", errors={"reason": NOT_GIVEN})
            return
        done = self._done(button, cancellation, text_at(body, "user", "id"), reason, context)
        if isinstance(done, Refusal):
            ack(response_action="update", view=notice(refusal_message(done).text))
        else:
            ack()

    def _done(self, button: str, cancellation: str, user: str, reason: str, context: BoltContext) -> State | Refusal:
        if self._halt.closed:
            return Refusal("I am being restarted. Nothing was done; press the button again in a minute.")
        if not VALUE.fullmatch(cancellation) or not button or not user:
            return Refusal("I do not know that form: it is not from this version of me. Nothing was done.")
        try:
            state = self._ledger.state(int(cancellation))
            return self._presses.press(
                button,
                int(cancellation),
                user,
                state.channel if state else None,
                in_time=context["in_time"],
                reason=reason,
            )
        except LedgerError as error:
            return Refusal(str(error))
        except Exception:
            log.exception("reason_failed", user=user)
            return Refusal("I failed at that, and my log says why. Look at the card before you press again.")

    def _open(self, button: str, state: State, user: str, trigger: str, url: str | None) -> None:
        try:
            self._client.views_open(trigger_id=trigger, view=reason_form(button, state))
        except (SlackClientError, OSError) as error:
            log.warning("form_unopened", cancellation=state.id, error=type(error).__name__)
            text = "Slack did not open the form that asks why. Nothing was done; press the button again."
            self._answers.answer(url, state.channel, user, said(text))
