"""The slash command: acknowledged at once, and what was acknowledged is stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient

from bot.domain.account import Account
from bot.domain.command import help_text, parse
from bot.domain.decisions import Refusal
from bot.domain.errors import Error, LedgerError, UsageError
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
from bot.domain.policy import Role, choose_account, fault
from bot.domain.status import Status
from bot.domain.wording import COMMAND
from bot.engine.directory import UNHURRIED
from bot.engine.intake import Intake, Rooms
from bot.engine.keeper import Halt, Keeper
from bot.slack.answers import Answers
from bot.slack.escape import code, mention, safe
from bot.slack.looks import Looks
from bot.slack.message import Message, said

log = structlog.get_logger()

IN_TIME: Final = 2.5
"""Seconds after the receipt in which something may still be done; Slack gives up after 3."""
EXECUTED: Final = ("job", "preview", "list", "pending", "show", "stop", "help")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who typed a command, where, and how to answer them."""

    user: str
    channel: str
    url: str | None
    delivery: str | None
    """What tells this delivery from any other, and is the same when Slack delivers it again."""
    in_time: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What to acknowledge with, and what to do once that is said."""

    message: Message
    then: Callable[[], None] | None = None


class Commands:
    """Answers `/ota-cancel`."""

    def __init__(
        self, rooms: Rooms, *, intake: Intake, keeper: Keeper, answers: Answers, client: WebClient, halt: Halt
    ) -> None:
        self._rooms = rooms
        self._intake = intake
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
        )
        answered = self._answered(typed(str(body.get("text") or "")), asked)
        ack(text=answered.message.text, response_type="ephemeral")
        if answered.then is not None:
            answered.then()

    def _answered(self, text: str, asked: Asked) -> Answered:
        if self._halt.asked:
            return _say("I am being restarted. Nothing was done; try again in a minute.")
        if not asked.in_time():
            return _say("That reached me too late. Nothing was done; type it again.")
        try:
            return self._take(parse(text), asked)
        except UsageError as error:
            return Answered(message=usage(error))
        except LedgerError as error:
            return _say(str(error))
        except Exception:
            # Without an acknowledgement the person would see a time-out and type it again.
            log.exception("command_failed", user=asked.user)
            return _say("I failed at that, and my log says why. Look with `list` before you type it again.")

    def _take(self, order: Order, asked: Asked) -> Answered:
        match order:
            case AskHelp() | OpenForm():
                return _help(order)
            case StopOne(id=cancellation):
                return self._stop(cancellation, asked)
            case AskList() | AskPending() | AskShow():
                shown = self._later(lambda: self._looks.shown(order, asked.user, asked.channel), asked)
                return Answered(message=Message(text="Looking it up."), then=lambda: self._keeper.answer(shown))
            case AskPreview(order=inner):
                return self._look(inner, asked)
            case AskJobs() | RetryOne():
                return _say(f"“{order.verb}” is not yet on this account. Nothing was changed.")
            case _:
                asks = isinstance(order, CancelJob) and not order.statuses
                return self._look(order, asked) if asks else self._order(order, asked)

    # --- ordering ----------------------------------------------------------------------------------------------

    def _order(self, order: Cancel, asked: Asked) -> Answered:
        account = choose_account(self._rooms.accounts, order.account, asked.channel)
        reason = self._intake.not_yet(order, account)
        if reason:
            return _say(reason)
        if self._intake.refused_too_often(asked.user):
            # Their next refusal would not be remembered, so who they are comes first and the order after it.
            checked = self._later(lambda: self._checked_order(order, account, asked), asked)
            return Answered(message=Message(text="Checking who you are."), then=lambda: self._keeper.answer(checked))
        return self._stored(order, account, asked)

    def _stored(self, order: Cancel, account: Account, asked: Asked) -> Answered:
        ordered = self._intake.order(
            asked.user, order, account, channel=asked.channel, via="slack", delivery=asked.delivery
        )
        if ordered.repeated:
            return _say(f"That is #{ordered.id} already.")
        if not asked.in_time():
            self._intake.too_late(ordered.id)
            return _say(f"That took too long. Nothing was done (#{ordered.id}); type it again.")
        self._answers.remember(ordered.id, asked.url)
        doing = f"#{ordered.id}: reading {_what(order)} on {safe(account.name)}. What comes of it follows here."
        return Answered(message=Message(text=doing), then=lambda: self._keeper.check(account.name, ordered.id))

    def _checked_order(self, order: Cancel, account: Account, asked: Asked) -> Message:
        sight = self._rooms.directory.look(asked.user, asked.channel, account, within=UNHURRIED)
        refusal = fault(sight, account, Role.REQUEST)
        if refusal:
            return said(f"Refused: {refusal}. Nothing was changed.")
        # The acknowledgement promised no more than a look at who they are; it was in time.
        stored = self._stored(order, account, replace(asked, in_time=lambda: True))
        if stored.then is not None:
            stored.then()
        return stored.message

    def _look(self, order: Cancel, asked: Asked) -> Answered:
        account = choose_account(self._rooms.accounts, order.account, asked.channel)
        reason = self._intake.not_yet(order, account)
        if reason or not isinstance(order, CancelJob):
            return _say(reason or "")
        doing = f"Reading {_what(order)} on {safe(account.name)}; nothing is changed."
        looked = self._later(lambda: said(self._intake.look(asked.user, order, account, channel=asked.channel)), asked)
        return Answered(message=Message(text=doing), then=lambda: self._keeper.look(account.name, looked))

    def _stop(self, cancellation: int, asked: Asked) -> Answered:
        done = self._intake.press("stop", cancellation, asked.user, asked.channel, in_time=asked.in_time)
        if isinstance(done, Refusal):
            return Answered(message=refusal_message(done))
        return _say(f"#{cancellation} is being stopped.")

    def _later(self, work: Callable[[], Message], asked: Asked) -> Callable[[], None]:
        """Make what answers after the acknowledgement, off Bolt's threads."""

        def answer() -> None:
            try:
                message = work()
            except Error as error:
                message = said(str(error))
            self._answers.answer(asked.url, asked.channel, asked.user, message)

        return answer


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


def _help(order: AskHelp | OpenForm) -> Answered:
    statuses = ", ".join(Status)
    words = safe(f"{help_text(verbs=EXECUTED)}\nA status is one of: {statuses}.", 3500)
    lead = "The form is not yet on this account. Type it:\n" if isinstance(order, OpenForm) else ""
    return Answered(message=Message(text=f"{lead}{words}"))


def _what(order: Cancel) -> str:
    return f"job {code(order.job)}" if isinstance(order, CancelJob) else f"“{order.verb}”"


def usage(error: UsageError) -> Message:
    """Show what was wrong with the words, and the nearest command that is right."""
    nearest = f"\nTry: {code(f'{COMMAND} {error.nearest}', 1500)}" if error.nearest else ""
    return Message(text=f"{safe(error.message, 1500)}{nearest}\nNothing was changed.")


def refusal_message(refusal: Refusal) -> Message:
    """Show why nothing was done; who was quicker is named as Slack shows people."""
    text = safe(refusal.reason)
    return Message(text=text.replace(refusal.who, mention(refusal.who)) if refusal.who else text)
