"""Takes orders, whether they were typed or filled in: stored before they are acknowledged, and checked afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.domain.account import Account
from bot.domain.errors import Error
from bot.domain.order import Cancel
from bot.domain.policy import Role, fault
from bot.engine.directory import UNHURRIED
from bot.engine.intake import Intake
from bot.engine.keeper import Keeper
from bot.engine.rooms import Rooms, refused_too_often
from bot.slack.answers import Answers
from bot.slack.escape import code, safe
from bot.slack.message import Message, said


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asked for something, where, and how to answer them."""

    user: str
    channel: str
    url: str | None
    delivery: str | None
    """What tells this delivery from any other, and is the same when Slack delivers it again."""
    in_time: Callable[[], bool]
    trigger: str = ""
    """What a form is opened with, for 3 s."""
    again: str = "type it again"
    """What to do when it came too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What to acknowledge with, and what to do once that is said."""

    message: Message
    then: Callable[[], None] | None = None
    fault: str = ""
    """Why it was not taken, unescaped, where the asker has to do something about it."""
    late: bool = False
    """Whether that is only because it came too late: it may be sent again as it is."""


class Orders:
    """Stores orders and hands them on to be checked."""

    def __init__(self, rooms: Rooms, intake: Intake, keeper: Keeper, answers: Answers) -> None:
        self._rooms = rooms
        self._intake = intake
        self._keeper = keeper
        self._answers = answers

    def take(self, order: Cancel, account: Account, asked: Asked) -> Answered:
        """Store an order, or say why it is none; nothing slow happens here."""
        reason = self._intake.unable(order, account)
        if reason:
            return Answered(message=said(reason), fault=reason)
        if refused_too_often(self._rooms.ledger, asked.user):
            # Their next refusal would not be remembered, so who they are comes first and the order after it.
            checked = self.later(lambda: self._checked(order, account, asked), asked)
            return Answered(message=Message(text="Checking who you are."), then=lambda: self._keeper.answer(checked))
        return self._stored(order, account, asked)

    def later(self, work: Callable[[], Message], asked: Asked) -> Callable[[], None]:
        """Make what answers after the acknowledgement, off Bolt's threads."""

        def answer() -> None:
            try:
                message = work()
            except Error as error:
                message = said(str(error))
            self._answers.answer(asked.url, asked.channel, asked.user, message)

        return answer

    def _stored(self, order: Cancel, account: Account, asked: Asked) -> Answered:
        ordered = self._intake.order(
            asked.user, order, account, channel=asked.channel, via="slack", delivery=asked.delivery
        )
        if ordered.repeated:
            return Answered(message=said(f"That is #{ordered.id} already."))
        if not asked.in_time():
            self._intake.too_late(ordered.id)
            late = f"That took too long. Nothing was done (#{ordered.id}); {asked.again}."
            return Answered(message=said(late), fault=late, late=True)
        self._answers.remember(ordered.id, asked.url)
        doing = f"#{ordered.id}: reading {about(order)} on {safe(account.name)}. What comes of it follows here."
        return Answered(message=Message(text=doing), then=lambda: self._keeper.check(account.name, ordered.id))

    def _checked(self, order: Cancel, account: Account, asked: Asked) -> Message:
        sight = self._rooms.directory.look(asked.user, asked.channel, account, within=UNHURRIED)
        refusal = fault(sight, account, Role.REQUEST)
        if refusal:
            return said(f"Refused: {refusal}. Nothing was changed.")
        # The acknowledgement promised no more than a look at who they are; it was in time.
        stored = self._stored(order, account, replace(asked, in_time=lambda: True))
        if stored.then is not None:
            stored.then()
        return stored.message


def about(order: Cancel) -> str:
    """Return what the cloud is read for."""
    return f"job {code(order.job)}" if order.job else "the firmware's jobs"
