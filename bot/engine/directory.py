"""Who people are: asked of Slack, or of this machine for people at its terminal."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from bot.domain.account import Account
from bot.domain.policy import Person, Sight

TERMINAL: Final = "cli:"
"""What the ids of people at a terminal begin with."""
PRESS: Final = 1.5
"""Seconds in which a press's identity must be known: Slack wants its answer within 3."""
UNHURRIED: Final = 15.0
"""Seconds for the same where nobody's acknowledgement waits."""


class Directory(Protocol):
    """Tells who an actor is. Raises DirectoryError when that cannot be learnt; nothing may be done then."""

    def look(
        self, actor: str, channel: str | None, account: Account, *, within: float, since: datetime | None = None
    ) -> Sight:
        """Look an actor and the channel up; only the groups that `account` names matter. At most `within` seconds.

        What was learnt before `since` is asked anew.
        """

    def approvers(self, account: Account, *, besides: str, enough: int, within: float) -> tuple[str, ...]:
        """Return people who may approve on `account`, other than one; no more than are `enough` are looked for."""


class TerminalDirectory:
    """The directory of people at this machine's terminal: the operating system has said who they are."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now

    def look(
        self, actor: str, channel: str | None, account: Account, *, within: float, since: datetime | None = None
    ) -> Sight:
        """Take a `cli:` id for what it is; it has no groups and no channel."""
        del channel, account, within, since
        return Sight(person=Person(id=actor), at=self._now())

    def approvers(self, account: Account, *, besides: str, enough: int, within: float) -> tuple[str, ...]:
        """Find nobody: what is ordered at a terminal is not approved there."""
        del account, besides, enough, within
        return ()
