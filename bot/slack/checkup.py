"""Finds what is wrong between the configuration and the workspace: tokens, scopes, groups, channels, quorum."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.domain.account import Account
from bot.domain.secret import Secret
from bot.slack.people import invites

SCOPES: Final = (
    *("commands", "chat:write", "users:read", "usergroups:read", "channels:read", "groups:read"),
    *("files:read", "files:write"),
)
"""The bot scopes that the manifest asks for."""
UNKNOWN: Final = frozenset({"user_not_found", "user_not_visible", "users_not_found"})
"""Slack's words for somebody whom the workspace does not know."""
TOO_OFTEN: Final = "ratelimited"
SLACKBOT: Final = "USLACKBOT"
"""Slackbot, which says that it is no bot."""
UNABLE: Final = ("deleted", "is_bot", "is_app_user", "is_restricted", "is_ultra_restricted", "is_stranger")
"""What users.info says of people who may do nothing."""


class Checkup:
    """Asks Slack about everything that the configuration names; reads only."""

    def __init__(self, client: WebClient, app_token: Secret) -> None:
        self._client = client
        self._app_token = app_token
        self._members: dict[str, frozenset[str]] = {}
        self._able: dict[str, bool] = {}
        self._team: str | None = None
        self._enterprise: str | None = None

    def problems(self, accounts: Mapping[str, Account], audit_channel: str | None) -> list[str]:
        """Return every problem, each on one line; an empty list when there is none."""
        try:
            missing = self._missing_scopes()
        except SlackApiError as error:
            refused = f"slack.bot_token: Slack does not take the bot token ({_why(error)})"
            return [refused, *self._app_token_problems()]
        except (SlackClientError, OSError) as error:
            return [f"slack.api_url: Slack could not be reached ({_why(error)}), so nothing about it was checked"]
        lack = f"slack: the bot lacks the scopes {', '.join(missing)}; install it with manifest.yml"
        found = [*([lack] if missing else []), *self._app_token_problems()]
        found += self._group_problems(accounts.values())
        found += self._channel_problems(accounts.values(), audit_channel)
        for account in accounts.values():
            found += self._quorum_problems(account)
        return found

    def warnings(self, account: Account) -> list[str]:
        """Return what is allowed and seldom meant, once `problems` has looked at everything."""
        return [*self._few_approvers(account), *self._listed_in_vain(account), *self._unbreakable_glass(account)]

    def _missing_scopes(self) -> list[str]:
        """Return the scopes that the bot token lacks, none where Slack does not say; raises when Slack refuses it."""
        own = self._client.auth_test()
        self._team, self._enterprise = own.get("team_id"), own.get("enterprise_id")
        headers = {name.lower(): value for name, value in own.headers.items()}
        granted = {name.strip() for name in str(headers.get("x-oauth-scopes") or "").split(",")} - {""}
        return [scope for scope in SCOPES if scope not in granted] if granted else []

    def _app_token_problems(self) -> list[str]:
        try:
            self._client.apps_connections_open(app_token=self._app_token.reveal())
        except (SlackClientError, OSError) as error:
            if _why(error) == TOO_OFTEN:
                return ["slack.app_token: Slack was asked too often to look at it; check again in a minute"]
            cure = "it is an xapp- token with connections:write"
            return [f"slack.app_token: Slack does not take the app token ({_why(error)}); {cure}"]
        return []

    def _group_problems(self, accounts: Iterable[Account]) -> list[str]:
        problems = []
        for account in accounts:
            for key in ("requesters", "approvers"):
                for group in (name for name in getattr(account, key) if name.startswith("S")):
                    problem = self._load(group)
                    if problem:
                        problems.append(f"accounts.{account.name}.{key}: {problem}")
        return problems

    def _load(self, group: str) -> str | None:
        if group in self._members:
            return None
        try:
            users = self._client.usergroups_users_list(usergroup=group).get("users")
        except (SlackClientError, OSError) as error:
            return f"group {group} cannot be read ({_why(error)})"
        self._members[group] = frozenset(users if isinstance(users, list) else ())
        return None if self._members[group] else f"group {group} is empty"

    def _channel_problems(self, accounts: Iterable[Account], audit_channel: str | None) -> list[str]:
        named = [(f"accounts.{account.name}.channels", channel) for account in accounts for channel in account.channels]
        problems = [
            f"accounts.{account.name}.channels: none, so nobody can use it"
            for account in accounts
            if not account.channels
        ]
        for key, channel in named + ([("audit_channel", audit_channel)] if audit_channel else []):
            problems += [f"{key}: channel {channel} {fault}" for fault in self._channel_faults(channel, key)]
        return problems

    def _channel_faults(self, channel: str, key: str) -> list[str]:
        try:
            found: Any = self._client.conversations_info(channel=channel).get("channel") or {}
        except (SlackClientError, OSError) as error:
            return [f"cannot be read ({_why(error)}); is the bot in it?"]
        outsiders = "they read every line of it" if key == "audit_channel" else "every order in it is refused"
        faults = (
            (found.get("is_archived"), "is archived"),
            (found.get("is_ext_shared"), f"is shared with another organisation; {outsiders}"),
            (
                invites(found) and not found.get("is_ext_shared"),
                f"is about to be shared with another organisation; {outsiders}",
            ),
            (not found.get("is_member"), "does not have the bot in it; type /invite @ota-cancel there"),
        )
        return [fault for at_fault, fault in faults if at_fault]

    def _quorum_problems(self, account: Account) -> list[str]:
        problems = []
        approvers = frozenset(filter(self._may, self._people(account.approvers)))
        if not account.requesters:
            problems.append(f"accounts.{account.name}.requesters: nobody may order")
        # Whoever asks does not count: an approver who is the only requester approves nothing. A terminal's orders do
        # not count either: nobody approves them.
        requesters = self._slack_users(account.requesters)
        if self._unread(account.approvers):
            return problems
        besides = max((len(approvers - {one}) for one in requesters), default=len(approvers))
        if besides < account.approval.people:
            problems.append(
                f"accounts.{account.name}.approvers: {account.approval.people} are needed besides the requester and"
                f" there are {besides}, so nothing above {account.approval.above:,} devices can be approved"
            )
        return problems

    def _few_approvers(self, account: Account) -> list[str]:
        """Name the requesters who alone lack approvers, being one of the few themselves."""
        approvers = frozenset(filter(self._may, self._people(account.approvers)))
        requesters = self._slack_users(account.requesters)
        needed = account.approval.people
        if self._unread(account.approvers):
            return []
        lacking = sorted(one for one in requesters if len(approvers - {one}) < needed)
        if not lacking or len(lacking) == len(requesters):
            return []
        named = ", ".join(lacking)
        there = f"{needed} are needed besides the requester and for {named} there are {needed - 1}"
        above = f"nothing above {account.approval.above:,} devices of theirs can be approved"
        return [f"accounts.{account.name}.approvers: {there}, so {above}"]

    def _listed_in_vain(self, account: Account) -> list[str]:
        """Name who is listed by their id and may do nothing: guests, strangers, bots, the deactivated, the unknown."""
        return [
            f"accounts.{account.name}.{key}: {one} may do nothing here (unknown, a guest, a bot or deactivated)"
            for key in ("requesters", "approvers")
            for one in getattr(account, key)
            if one.startswith(("U", "W")) and not self._may(one)
        ]

    def _unbreakable_glass(self, account: Account) -> list[str]:
        """Name who is listed to break glass and cannot, and whether that is everybody; unread groups leave it open."""
        listed = account.approval.break_glass
        if self._unread(account.requesters):
            return []
        requesters, users = self._people(account.requesters), self._slack_users(listed)
        faults = [
            f"{one} {'may do nothing here' if one in requesters else 'is no requester'}"
            for one in listed
            if one not in requesters or (one in users and not self._may(one))
        ]
        if not faults:
            return []
        if len(faults) == len(listed):
            return [f"accounts.{account.name}: nobody may break glass when no approver answers: {', '.join(faults)}"]
        return [f"accounts.{account.name}: not all who are listed may break glass: {', '.join(faults)}"]

    def _unread(self, names: Iterable[str]) -> bool:
        """Tell whether there are groups among `names` that Slack did not tell about."""
        return any(name.startswith("S") and name not in self._members for name in names)

    def _may(self, user: str) -> bool:
        """Tell whether somebody may do anything at all; whom Slack does not tell about now is not complained of."""
        if user not in self._able:
            try:
                found: Any = self._client.users_info(user=user).get("user") or {}
            except SlackApiError as error:
                found = {"deleted": _why(error) in UNKNOWN}
            except (SlackClientError, OSError):
                found = {}
            self._able[user] = not (any(map(found.get, UNABLE)) or self._is_foreign(found) or user == SLACKBOT)
        return self._able[user]

    def _is_foreign(self, user: Mapping[str, Any]) -> bool:
        """Tell whether somebody is of another workspace, and not of the bot's organisation."""
        team = user.get("team_id")
        enterprise = (user.get("enterprise_user") or {}).get("enterprise_id")
        if not team or not self._team or (self._enterprise and enterprise == self._enterprise):
            return False
        return bool(team != self._team)

    def _slack_users(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(name for name in self._people(names) if name.startswith(("U", "W")))

    def _people(self, names: Iterable[str]) -> frozenset[str]:
        people = [self._members.get(name, frozenset()) if name.startswith("S") else {name} for name in names]
        return frozenset().union(*people)


def _why(error: BaseException) -> str:
    if isinstance(error, SlackApiError):
        return str(error.response.get("error") or "refused")
    return type(error).__name__
