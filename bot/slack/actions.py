"""The card's buttons: who pressed is looked up, the ledger decides, and only then Slack is answered."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from slack_bolt import Ack, BoltContext, BoltResponse

from bot.domain.cancellation import State
from bot.domain.decisions import Refusal, refused
from bot.domain.errors import LedgerError
from bot.engine.keeper import Halt, HaltError, Keeper
from bot.engine.presses import REASONED, Presses
from bot.engine.rooms import remember
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.again import Again
from bot.slack.answers import Answers
from bot.slack.buttons import VALUE
from bot.slack.commands import refusal_message
from bot.slack.message import Message, notice, said
from bot.slack.people import text_at
from bot.slack.reasons import Reasons

log = structlog.get_logger()

BUTTONS: Final = ("confirm", "withdraw", "approve", "reject", "break_glass", "stop", "retry", "order_anyway")
UNTIL_STORED: Final = (0.05, 0.1, 0.2, 0.4)
"""Seconds between looks for a card that is in Slack already while Slack's answer to its post is not stored yet."""


class Actions:
    """Answers presses of the buttons that a card has, and whatever else Slack sends that nobody may or can answer."""

    def __init__(
        self,
        ledger: Ledger,
        presses: Presses,
        keeper: Keeper,
        answers: Answers,
        halt: Halt,
        *,
        again: Again,
        reasons: Reasons,
    ) -> None:
        self._again = again
        self._reasons = reasons
        self._ledger = ledger
        self._presses = presses
        self._keeper = keeper
        self._answers = answers
        self._halt = halt

    def pressed(self, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext) -> None:
        """Take one press. What the payload says is a reference; whether it counts is read from the ledger."""
        user = text_at(body, "user", "id")
        try:
            done = self._decided(body, action, user, context)
        except LedgerError as error:
            done = Refusal(str(error))
        except Exception:
            log.exception("press_failed", user=user)
            done = Refusal("I failed at that, and my log says why. Look at the card before you press again.")
        ack()
        if isinstance(done, Refusal):
            self.tell(body, refusal_message(done))

    def unknown(self, ack: Ack, body: dict[str, Any]) -> BoltResponse:
        """Answer a form or a shortcut that is not there yet, or not any more."""
        return self._refused(ack, body, "I do not know that form: it is not from this version of me. Nothing was done.")

    def foreign(self, ack: Ack, body: dict[str, Any], team: str) -> BoltResponse:
        """Refuse whatever Slack says comes from another workspace than the bot's own."""
        reason = f"Slack says that you come from another workspace ({team or 'it does not say which'}) than mine"
        self._keeper.answer(lambda: self._remember(body, team, reason))
        return self._refused(ack, body, f"Refused: {reason}. Nothing was changed.")

    def tell(self, body: dict[str, Any], message: Message) -> None:
        """Show `message` to whoever sent a payload, off the thread that has to acknowledge it."""
        url, channel, user = text_at(body, "response_url"), _channel(body), _user(body)
        self._keeper.answer(lambda: self._answers.answer(url or None, channel, user, message))

    def _refused(self, ack: Ack, body: dict[str, Any], text: str) -> BoltResponse:
        if body.get("type") is None:  # a slash command, which is answered by its acknowledgement
            return ack(text=said(text).text, response_type="ephemeral")
        if body["type"] == "view_submission":
            return ack(response_action="update", view=notice(text))
        self.tell(body, said(text))
        return ack()

    def _remember(self, body: dict[str, Any], team: str, reason: str) -> None:
        action: dict[str, Any] = (body.get("actions") or [{}])[0]
        # An order that is refused is over: what was pressed on a card must never pass for one.
        of = "press" if body.get("actions") else "order"
        what = text_at(action, "action_id") or text_at(body, "view", "callback_id") or of
        refusal = refused(_user(body)[:40], reason, what=what[:40], evidence={"team": team[:40]})
        remember(self._ledger, refusal, self._pressed_card(body, action))

    def _decided(self, body: dict[str, Any], action: dict[str, Any], user: str, context: BoltContext) -> Refusal | None:
        button = text_at(action, "action_id")
        if button not in BUTTONS:
            return Refusal("I do not know that button: it is not from this version of me. Nothing was done.")
        # Closed, it takes no new work, and what runs goes on: that may be stopped until the process leaves.
        if self._halt.asked or (self._halt.closed and button != "stop"):
            return Refusal("I am being restarted. Nothing was done; press again in a minute.")
        if not context["in_time"]():
            return Refusal("That press reached me too late. Nothing was done, press again.")
        value = text_at(action, "value")
        if not VALUE.fullmatch(value) or not user:
            return Refusal("That button carries nothing I know. Nothing was changed.")
        # Only the question whether a repeated order is meant stands elsewhere, where its asker alone sees it.
        cancellation = int(value) if button == "order_anyway" else self._pressed_card(body, action)
        if cancellation is None:
            return Refusal(f"That message is not the card of #{value}. Nothing was changed; use the card itself.")
        return self._taken(button, cancellation, user, body, context["in_time"])

    def _taken(
        self, button: str, cancellation: int, user: str, body: dict[str, Any], in_time: Callable[[], bool]
    ) -> Refusal | None:
        channel, url = _channel(body), text_at(body, "response_url") or None
        if button == "retry":
            trigger = text_at(body, "trigger_id")
            delivery = "\n".join((trigger, user, button, str(cancellation))) if trigger else None
            return self._again.press(cancellation, user, channel, url, delivery=delivery, in_time=in_time)
        if button in REASONED:
            return self._reasons.ask(button, cancellation, user, channel, trigger=text_at(body, "trigger_id"), url=url)
        done = self._presses.press(button, cancellation, user, channel, in_time=in_time)
        if button == "order_anyway" and isinstance(done, State):
            self._keeper.check_soon(cancellation)
        return done if isinstance(done, Refusal) else None

    def _pressed_card(self, body: dict[str, Any], action: dict[str, Any]) -> int | None:
        """Return the cancellation that a button names, if the message it is on is that one's card."""
        value, ts = text_at(action, "value"), text_at(body, "container", "message_ts") or text_at(body, "message", "ts")
        row = self._card(int(value)) if VALUE.fullmatch(value) else None
        return row.cancellation if row is not None and (row.channel, row.ts) == (_channel(body), ts) else None

    def _card(self, cancellation: int) -> CardRow | None:
        row = self._ledger.outbox.card(cancellation)
        for pause in UNTIL_STORED:
            if row is None or row.ts is not None:
                break
            with suppress(HaltError):
                self._halt.sleep(pause)
            row = self._ledger.outbox.card(cancellation)
        return row


def _user(body: dict[str, Any]) -> str:
    return text_at(body, "user", "id") or text_at(body, "user_id")


def _channel(body: dict[str, Any]) -> str:
    places = (("channel", "id"), ("container", "channel_id"), ("channel_id",))
    return next(filter(None, (text_at(body, *path) for path in places)), "")
