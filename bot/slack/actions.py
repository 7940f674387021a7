"""The card's buttons: who pressed is looked up, the ledger decides, and only then Slack is answered."""

from contextlib import suppress
from typing import Any, Final

import structlog
from slack_bolt import Ack, BoltContext

from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, HaltError, Keeper
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.answers import Answers
from bot.slack.commands import refusal_message

log = structlog.get_logger()

BUTTONS: Final = ("confirm", "withdraw", "stop")
MOST_DIGITS: Final = 18
UNTIL_STORED: Final = (0.05, 0.1, 0.2, 0.4)
"""Seconds between looks for a card that is in Slack already while Slack's answer to its post is not stored yet."""


class Actions:
    """Answers presses of the buttons that a card has."""

    def __init__(self, ledger: Ledger, intake: Intake, keeper: Keeper, answers: Answers, halt: Halt) -> None:
        self._ledger = ledger
        self._intake = intake
        self._keeper = keeper
        self._answers = answers
        self._halt = halt

    def pressed(self, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext) -> None:
        """Take one press. What the payload says is a reference; whether it counts is read from the ledger."""
        user = _text(body, "user", "id")
        channel = _text(body, "channel", "id") or _text(body, "container", "channel_id")
        try:
            done = self._decided(body, action, user, channel, context)
        except LedgerError as error:
            done = Refusal(str(error))
        except Exception:
            log.exception("press_failed", user=user)
            done = Refusal("I failed at that, and my log says why. Look at the card before you press again.")
        ack()
        if isinstance(done, Refusal):
            refusal, url = done, body.get("response_url")
            self._keeper.answer(
                lambda: self._answers.answer(
                    url if isinstance(url, str) else None, channel, user, refusal_message(refusal)
                )
            )

    def _decided(
        self, body: dict[str, Any], action: dict[str, Any], user: str, channel: str, context: BoltContext
    ) -> Refusal | None:
        if self._halt.asked:
            return Refusal("I am being restarted. Nothing was done; press again in a minute.")
        if not context["in_time"]():
            return Refusal("That press reached me too late. Nothing was done, press again.")
        value = action.get("value")
        if not isinstance(value, str) or not value.isdecimal() or len(value) > MOST_DIGITS or not user:
            return Refusal("That button carries nothing I know. Nothing was changed.")
        misplaced = self._misplaced(
            int(value), channel, _text(body, "container", "message_ts") or _text(body, "message", "ts")
        )
        if misplaced:
            return misplaced
        button = str(action.get("action_id"))
        done = self._intake.press(button, int(value), user, channel, in_time=context["in_time"])
        return done if isinstance(done, Refusal) else None

    def _misplaced(self, cancellation: int, channel: str, ts: str) -> Refusal | None:
        row = self._card(cancellation)
        if row is not None and row.channel == channel and row.ts == ts:
            return None
        return Refusal(f"That message is not the card of #{cancellation}. Nothing was changed; use the card itself.")

    def _card(self, cancellation: int) -> CardRow | None:
        row = self._ledger.outbox.card(cancellation)
        for pause in UNTIL_STORED:
            if row is None or row.ts is not None:
                break
            with suppress(HaltError):
                self._halt.sleep(pause)
            row = self._ledger.outbox.card(cancellation)
        return row


def _text(body: dict[str, Any], *path: str) -> str:
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
