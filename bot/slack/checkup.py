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


class Checkup:
    """Asks Slack about everything that the configuration names; reads only."""

    def __init__(self, client: WebClient, app_token: Secret) -> None:
        self._client = client
        self._app_token = app_token
        self._members: dict[str, frozenset[str]] = {}

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

    def _missing_scopes(self) -> list[str]:
        """Return the scopes that the bot token lacks, none where Slack does not say; raises when Slack refuses it."""
        headers = {name.lower(): value for name, value in self._client.auth_test().headers.items()}
        granted = {name.strip() for name in str(headers.get("x-oauth-scopes") or "").split(",")} - {""}
        return [scope for scope in SCOPES if scope not in granted] if granted else []

    def _app_token_problems(self) -> list[str]:
        try:
            self._client.apps_connections_open(app_token=self._app_token.reveal())
        except (SlackClientError, OSError) as error:
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
        approvers = self._people(account.approvers)
        if not account.requesters:
            problems.append(f"accounts.{account.name}.requesters: nobody may order")
        # Whoever asks does not count: an approver who is the only requester approves nothing.
        besides = max((len(approvers - {one}) for one in self._people(account.requesters)), default=len(approvers))
        if besides < account.approval.people:
            problems.append(
                f"accounts.{account.name}.approvers: {account.approval.people} are needed besides the requester and"
                f" there are {besides}, so nothing above {account.approval.above} devices can be approved"
            )
        return problems

    def _people(self, names: Iterable[str]) -> frozenset[str]:
        people = [self._members.get(name, frozenset()) if name.startswith("S") else {name} for name in names]
        return frozenset().union(*people)


def _why(error: BaseException) -> str:
    if isinstance(error, SlackApiError):
        return str(error.response.get("error") or "refused")
    return type(error).__name__
