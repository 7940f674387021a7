"""The slash command: acknowledged at once, and what was acknowledged is stored."""

from typing import Any, Final

import structlog
from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient

from bot.domain.command import help_text, parse
from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError, UsageError
from bot.domain.order import (
    AskHelp,
    AskJobs,
    AskList,
    AskPending,
    AskPreview,
    AskShow,
    Cancel,
    CancelJob,
    OpenForm,
    Order,
    RetryOne,
    StopOne,
)
from bot.domain.policy import choose_account
from bot.domain.status import Status
from bot.domain.wording import COMMAND
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, Keeper
from bot.engine.presses import Presses
from bot.engine.rooms import Rooms
from bot.slack.again import Again
from bot.slack.answers import Answers
from bot.slack.escape import code, mention, safe
from bot.slack.form import Form
from bot.slack.lists import batches
from bot.slack.looks import Looks
from bot.slack.message import CUT, Message, said
from bot.slack.orders import Answered, Asked, Orders, about

log = structlog.get_logger()

IN_TIME: Final = 2.5
"""Seconds after the receipt in which something may still be done; Slack gives up after 3."""
RESTARTING: Final = "I am being restarted. Nothing was done; try again in a minute."
LONGEST_NEAREST: Final = 1500
"""Characters of a command that is shown as the nearest right one."""


class Commands:
    """Answers `/ota-cancel`."""

    def __init__(
        self,
        rooms: Rooms,
        *,
        intake: Intake,
        presses: Presses,
        keeper: Keeper,
        answers: Answers,
        client: WebClient,
        halt: Halt,
        orders: Orders,
        form: Form,
        again: Again,
    ) -> None:
        self._rooms = rooms
        self._orders = orders
        self._filled = form
        self._again = again
        self._intake = intake
        self._presses = presses
        self._keeper = keeper
        self._answers = answers
        self._looks = Looks(rooms, client)
        self._halt = halt

    def command(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        """Take one slash command: parse, store, acknowledge; everything slow comes afterwards."""
        asked = Asked(
            user=str(body.get("user_id") or ""),
            channel=str(body.get("channel_id") or ""),
            url=body.get("response_url") if isinstance(body.get("response_url"), str) else None,
            delivery=_delivery(body),
            in_time=context["in_time"],
            trigger=str(body.get("trigger_id") or ""),
        )
        answered = self._answered(typed(str(body.get("text") or "")), asked)
        ack(text=answered.message.text, response_type="ephemeral")
        if answered.message.whole:
            self._keeper.answer(lambda: self._answers.attach(asked.user, answered.message))
        if answered.then is not None:
            answered.then()

    def _answered(self, text: str, asked: Asked) -> Answered:
        if not asked.in_time() and not self._halt.asked:
            return _say("That reached me too late. Nothing was done; type it again.")
        try:
            order = parse(text)
            # Closed, it takes no new work, and what runs goes on: that may be looked at and stopped.
            looks = isinstance(order, StopOne | AskShow | AskList | AskPending | AskHelp)
            if self._halt.asked or (self._halt.closed and not looks):
                return _say(RESTARTING)
            return self._take(order, asked)
        except UsageError as error:
            return Answered(message=usage(error))
        except LedgerError as error:
            return _say(str(error))
        except Exception:
            # Without an acknowledgement the person would see a time-out and type it again.
            log.exception("command_failed", user=asked.user)
            return _say("I failed at that, and my log says why. Look with `list` before you type it again.")

    def _take(self, order: Order, asked: Asked) -> Answered:  # noqa: PLR0911 - one line for each word
        match order:
            case AskHelp():
                return _help()
            case OpenForm():
                return self._form(asked)
            case StopOne(id=cancellation):
                return self._stop(cancellation, asked)
            case AskList() | AskPending() | AskShow():
                shown = self._orders.later(lambda: self._looks.shown(order, asked.user, asked.channel), asked)
                return Answered(message=Message(text="Looking it up."), then=lambda: self._keeper.answer(shown))
            case AskPreview(order=inner):
                return self._look(inner, asked)
            case AskJobs():
                return self._jobs(order, asked)
            case RetryOne(id=cancellation):
                return self._retry(cancellation, asked)
            case CancelJob(statuses=()):
                return self._look(order, asked)
            case _:
                return self._order(order, asked)

    # --- ordering ----------------------------------------------------------------------------------------------

    def _order(self, order: Cancel, asked: Asked) -> Answered:
        return self._orders.take(order, choose_account(self._rooms.accounts, order.account, asked.channel), asked)

    def _look(self, order: Cancel, asked: Asked) -> Answered:
        account = choose_account(self._rooms.accounts, order.account, asked.channel)
        reason = self._intake.unable(order, account)
        if reason:
            return _say(reason)
        doing = f"Reading {about(order)} on {safe(account.name)}; nothing is changed."

        def look() -> Message:
            shown = self._intake.look(asked.user, order, account, channel=asked.channel)
            return refusal_message(shown) if isinstance(shown, Refusal) else said(shown)

        looked = self._orders.later(look, asked)
        return Answered(message=Message(text=doing), then=lambda: self._keeper.look(account.name, looked))

    def _jobs(self, order: AskJobs, asked: Asked) -> Answered:
        account = choose_account(self._rooms.accounts, order.account, asked.channel)

        def read() -> Message:
            found = self._intake.jobs(asked.user, account, channel=asked.channel)
            return refusal_message(found) if isinstance(found, Refusal) else batches(account, *found)

        later = self._orders.later(read, asked)
        doing = f"Reading the running batches on {safe(account.name)}; nothing is changed."
        return Answered(message=Message(text=doing), then=lambda: self._keeper.look(account.name, later))

    def _retry(self, cancellation: int, asked: Asked) -> Answered:
        told = self._again.ask(
            cancellation, asked.user, asked.channel, asked.url, delivery=asked.delivery, in_time=asked.in_time
        )
        if isinstance(told, Refusal):
            return Answered(message=refusal_message(told))

        def link() -> None:
            linked = told.linked()
            if linked != told.message:
                self._answers.answer(asked.url, asked.channel, asked.user, linked)

        return Answered(message=told.message, then=lambda: self._keeper.answer(link))

    def _form(self, asked: Asked) -> Answered:
        opening = Message(text="Opening the form.")
        return Answered(
            message=opening,
            then=lambda: self._keeper.answer(
                lambda: self._filled.open(asked.user, asked.channel, asked.trigger, asked.url)
            ),
        )

    def _stop(self, cancellation: int, asked: Asked) -> Answered:
        done = self._presses.press("stop", cancellation, asked.user, asked.channel, in_time=asked.in_time)
        if isinstance(done, Refusal):
            return Answered(message=refusal_message(done))
        return _say(f"#{cancellation} is being stopped.")


def _delivery(body: dict[str, Any]) -> str | None:
    """Name a delivery by its trigger_id, with who, where and what, should a server not make it unique."""
    if not body.get("trigger_id"):
        return None
    return "\n".join(str(body.get(name)) for name in ("trigger_id", "user_id", "channel_id", "text"))


def typed(text: str) -> str:
    """Undo the three escapes that Slack puts into a command's text."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _say(text: str) -> Answered:
    return Answered(message=said(text))


def _help() -> Answered:
    return _say(f"{help_text()}\nA status is one of: {', '.join(Status)}.")


def usage(error: UsageError) -> Message:
    """Show what was wrong with the words, and the nearest command that is right."""
    command = f"{COMMAND} {error.nearest}"
    nearest = f"\nTry: {code(command, LONGEST_NEAREST)}" if error.nearest else ""
    # A command that is cut cannot be typed: it comes whole as a file.
    cut = len(command) > LONGEST_NEAREST
    text = f"{safe(error.message, 1500)}{nearest}\nNothing was changed.{f' {CUT}' if cut else ''}"
    return Message(text=text, whole=f"{error.message}\nTry: {command}\nNothing was changed." if cut else "")


def refusal_message(refusal: Refusal) -> Message:
    """Show why nothing was done; who was quicker is named as Slack shows people."""
    text = safe(refusal.reason)
    return Message(text=text.replace(refusal.who, mention(refusal.who)) if refusal.who else text)
