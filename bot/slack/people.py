"""Who people are, as Slack says: identity, groups and channels, each looked up at once and kept for a minute.

Sources: users.info, usergroups.users.list, conversations.info (https://docs.slack.dev/reference/methods) and
https://docs.slack.dev/apis/slack-connect: members of other organisations can press buttons, so every press is checked.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, Final

from cachetools import TTLCache
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.account import Account
from bot.domain.errors import DirectoryError
from bot.domain.policy import Person, Place, Sight, personal_fault
from bot.engine.directory import PRESS, TERMINAL, UNHURRIED, TerminalDirectory

READ_AT: Final = " read at"
"""Where an answer of Slack says when it was read; no field of Slack's begins with a space."""
KEPT: Final = 60
"""Seconds that an answer of Slack is believed."""
REMEMBERED: Final = 10_000
LOOKERS: Final = 24
PENDING: Final = ("is_pending_ext_shared", "pending_shared", "pending_connected_team_ids")
"""Where conversations.info says that another organisation is invited to a channel."""


def foreign_team(body: Mapping[str, Any], *, team: str | None, enterprise: str | None) -> str | None:
    """Return the workspace that a payload names and that is not the bot's own, `None` if it is; empty if it names none.

    In the bot's organisation people come from other workspaces, too: who belongs to it is then for users.info to say.
    """
    if enterprise is not None and enterprise in (text_at(body, "enterprise_id"), text_at(body, "enterprise", "id")):
        return None
    named = {text_at(body, *path) for path in (("team_id",), ("team", "id"), ("user", "team_id"))} - {""}
    return None if named == {team} else min(named - {team}, default="")


class SlackDirectory:
    """Looks people up in Slack, from when `identify` has told it whose bot it is.

    `timer` is monotonic, in seconds. Raises DirectoryError when Slack does not answer: nobody is let through then.
    """

    def __init__(
        self,
        client: WebClient,
        *,
        now: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._client = client
        self._team = ""
        self._enterprise: str | None = None
        self._now = now
        self._timer = timer
        self._terminal = TerminalDirectory(now=now)
        self._kept: TTLCache[Hashable, Future[dict[str, Any]]] = TTLCache(REMEMBERED, KEPT, timer=timer)
        self._lock = threading.Lock()
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="people")

    def identify(self, *, team: str, enterprise: str | None) -> None:
        """Take the bot's own workspace and organisation, as auth.test gave them."""
        self._team = team
        self._enterprise = enterprise

    def close(self) -> None:
        """Stop looking people up."""
        self._lookers.shutdown(wait=False, cancel_futures=True)

    def look(
        self, actor: str, channel: str | None, account: Account, *, within: float, since: datetime | None = None
    ) -> Sight:
        """Look the person, the account's groups and the channel up, all at the same time."""
        if actor.startswith(TERMINAL):
            return self._terminal.look(actor, channel, account, within=within, since=since)
        if not self._team:
            raise DirectoryError("I am not connected to Slack yet.")
        groups = sorted({name for name in (*account.requesters, *account.approvers) if name.startswith("S")})
        person = self._ask("users.info", {"user": actor}, since)
        members = {group: self._ask("usergroups.users.list", {"usergroup": group}, since) for group in groups}
        # Where the account is not at home Slack is not asked: a private channel without the bot does not exist for it.
        place = self._ask("conversations.info", {"channel": channel}, since) if channel in account.channels else None
        asked = [person, *members.values(), *([place] if place else [])]
        if wait(asked, timeout=within).not_done:
            raise DirectoryError("Slack did not tell me in time who you are.")
        return Sight(
            person=self._person(actor, person),
            groups=frozenset(group for group, found in members.items() if actor in _users(_answer(found))),
            place=_place(channel, _answer(place)) if channel and place else _elsewhere(channel),
            # As old as the oldest answer that this rests on.
            at=min((answer.result()[READ_AT] for answer in asked if answer.exception() is None), default=self._now()),
        )

    def approvers(self, account: Account, *, besides: str, enough: int, within: float) -> tuple[str, ...]:
        """Return those who may approve, `enough` at most."""
        return self.able(account.approvers, besides=besides, enough=enough, within=within)

    def able(
        self, listed: Iterable[str], *, enough: int, besides: str = "", within: float = UNHURRIED
    ) -> tuple[str, ...]:
        """Look the listed people up, a few at a time, until enough are found who may do anything here at all.

        Whom Slack does not tell about is passed over, unless that leaves too few.
        """
        until = self._timer() + within
        people = [one for one in self.members(listed, within=within) if one != besides]
        found, untold = list[str](), 0
        while people and len(found) < enough:
            some, people = people[:LOOKERS], people[LOOKERS:]
            asked = {one: self._ask("users.info", {"user": one}) for one in some}
            wait(asked.values(), timeout=max(0.0, until - self._timer()))
            for one in some:
                try:
                    found += [one] if personal_fault(self._person(one, asked[one])) is None else []
                except (DirectoryError, TimeoutError):
                    untold += 1
        if untold and len(found) < enough:
            raise DirectoryError("Slack did not tell me who may approve this.")
        return tuple(found[:enough])

    def members(self, listed: Iterable[str], *, within: float = UNHURRIED) -> tuple[str, ...]:
        """Return the Slack users among `listed` and in its groups, sorted."""
        names = tuple(listed)
        groups = [self._ask("usergroups.users.list", {"usergroup": name}) for name in names if name.startswith("S")]
        if wait(groups, timeout=within).not_done:
            raise DirectoryError("Slack did not tell me in time who may approve this.")
        users = {name for name in names if name.startswith(("U", "W"))}
        return tuple(sorted(users.union(*(_users(_answer(group)) for group in groups))))

    def name(self, actor: str) -> str:
        """Return what a person is called, for lines that must not mention them; their id when Slack does not say."""
        if actor.startswith(TERMINAL) or not actor.startswith(("U", "W")):
            return actor
        asked = self._ask("users.info", {"user": actor})
        try:
            wait([asked], timeout=PRESS)
            user = _answer(asked).get("user") or {}
        except DirectoryError:
            return actor
        return str(user.get("real_name") or user.get("name") or actor)

    def _ask(self, method: str, arguments: dict[str, str], since: datetime | None = None) -> Future[dict[str, Any]]:
        """Ask Slack, or join the same question that is being asked or was answered within the minute, and `since`."""
        key = (method, *sorted(arguments.items()))
        with self._lock:
            asked = self._kept.get(key)
            if asked is None or (asked.done() and (asked.exception() is not None or _old(asked, since))):
                asked = self._kept[key] = self._lookers.submit(self._call, method, arguments)
            return asked

    def _call(self, method: str, arguments: dict[str, str]) -> dict[str, Any]:
        found = self._client.api_call(method, params=arguments).data
        return {**(found if isinstance(found, dict) else {}), READ_AT: self._now()}

    def _person(self, actor: str, asked: Future[dict[str, Any]]) -> Person:
        if _unknown(asked):
            return Person(id=actor, ours=False, stranger=True)
        user = _answer(asked).get("user")
        if not isinstance(user, dict) or user.get("id") != actor:
            raise DirectoryError("Slack gave no usable answer about who you are.")
        profile = user.get("profile")
        team = str(user.get("team_id") or (profile.get("team") if isinstance(profile, dict) else None) or "")
        grid = user.get("enterprise_user")
        enterprise = grid.get("enterprise_id") if isinstance(grid, dict) else None
        same_grid = self._enterprise is not None and enterprise == self._enterprise
        return Person(
            id=actor,
            team=team,
            ours=team == self._team or same_grid,
            guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
            # Slackbot says that it is no bot.
            bot=bool(user.get("is_bot") or user.get("is_app_user") or actor == "USLACKBOT"),
            deactivated=bool(user.get("deleted")),
            stranger=bool(user.get("is_stranger")),
        )


def _old(asked: Future[dict[str, Any]], since: datetime | None) -> bool:
    return since is not None and asked.result()[READ_AT] < since


def _unknown(asked: Future[dict[str, Any]]) -> bool:
    """Tell whether Slack says outright that this workspace does not know the person."""
    error = asked.exception(timeout=0)
    known = ("user_not_found", "user_not_visible", "users_not_found")
    return isinstance(error, SlackApiError) and error.response.get("error") in known


def _answer(asked: "Future[dict[str, Any]]") -> dict[str, Any]:
    try:
        return asked.result(timeout=0)
    except SlackApiError as error:
        why = error.response.get("error", "error") if hasattr(error.response, "get") else "error"
        raise DirectoryError(f"Slack did not tell me who you are ({why}).") from error
    except Exception as error:
        # Whatever went wrong between Slack and here, nobody is let through.
        raise DirectoryError(f"Slack did not tell me who you are ({type(error).__name__}).") from error


def _users(found: dict[str, Any]) -> frozenset[str]:
    users = found.get("users")
    return frozenset(user for user in users if isinstance(user, str)) if isinstance(users, list) else frozenset()


def _elsewhere(channel: str | None) -> Place | None:
    return Place(id=channel) if channel else None


def _place(channel: str, found: dict[str, Any]) -> Place:
    place = found.get("channel")
    if not isinstance(place, dict):
        raise DirectoryError("Slack gave no usable answer about this channel.")
    return Place(id=channel, external=bool(place.get("is_ext_shared")) or invites(place))


def invites(place: Mapping[str, Any]) -> bool:
    """Tell whether a channel is about to be shared with another organisation."""
    return any(place.get(flag) for flag in PENDING)


def text_at(body: Mapping[str, Any], *path: str) -> str:
    """Return the text at the end of a path through a payload; empty where there is none."""
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
