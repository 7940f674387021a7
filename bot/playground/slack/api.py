"""The Web API's methods that read: who the bot is, people, groups and channels; and how arguments are read."""

import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bot.playground.slack.values import Channel, Group, Payload, Person, Refused, Stored
from bot.playground.slack.workspace import APP_ID, BOT_ID, BOT_USER, TEAM, Workspace

_READ_SCOPES = ("channels:read", "groups:read", "im:read", "mpim:read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A Web API method: `scopes` of which one is enough, the arguments it `needs`, and what it does."""

    run: Callable[[Workspace, Payload], Payload]
    scopes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def parsed(args: Payload, key: str) -> Any:
    """Return an argument that is JSON, from a form (a string) or a JSON body (as it is)."""
    value = args.get(key)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else None
    except ValueError as error:
        raise Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {key}: not JSON"]}) from error


def flag(args: Payload, key: str) -> bool:
    """Return a boolean argument; forms write it as 1 or true."""
    return str(args.get(key, "")).lower() in ("1", "true")


def reachable(slack: Workspace, channel_id: str) -> Channel:
    """Return a channel the bot can see; a private one without the bot does not exist for it."""
    channel = slack.channels.get(channel_id)
    if channel is None or (channel.is_private and BOT_USER not in channel.members):
        raise Refused("channel_not_found")
    return channel


def _auth_test(_slack: Workspace, args: Payload) -> Payload:
    who = {"url": args["_url"] + "/", "team": "Local", "user": "ota-cancel", "team_id": TEAM}
    return {**who, "user_id": BOT_USER, "bot_id": BOT_ID, "is_enterprise_install": False}


def _team_info(_slack: Workspace, _args: Payload) -> Payload:
    return {"team": {"id": TEAM, "name": "Local", "domain": "local"}}


def _user(person: Person) -> Payload:
    user = {key: getattr(person, key) for key in person.__slots__ if key != "enterprise_user"}
    if person.enterprise_user is not None:
        user["enterprise_user"] = dict(person.enterprise_user)
    name = person.real_name or person.name
    profile = {"real_name": name, "display_name": person.name, "team": person.team_id}
    return {**user, "real_name": name, "is_app_user": person.is_app_user, "profile": profile}


def _users_info(slack: Workspace, args: Payload) -> Payload:
    person = slack.people.get(args["user"])
    if person is None:
        raise Refused("user_not_found")
    return {"user": _user(person)}


def _group(group: Group, *, users: bool) -> Payload:
    body = {"id": group.id, "team_id": TEAM, "is_usergroup": True, "name": group.handle, "handle": group.handle}
    body |= {"date_delete": int(group.deleted), "user_count": len(group.users)}
    return {**body, "users": list(group.users)} if users else body


def _usergroups_list(slack: Workspace, args: Payload) -> Payload:
    groups = [group for group in slack.groups.values() if not group.deleted or flag(args, "include_disabled")]
    return {"usergroups": [_group(group, users=flag(args, "include_users")) for group in groups]}


def _usergroups_users_list(slack: Workspace, args: Payload) -> Payload:
    group = slack.groups.get(args["usergroup"])
    if group is None or (group.deleted and not flag(args, "include_disabled")):
        raise Refused("no_such_subteam")
    return {"users": list(group.users)}


def _conversation(channel: Channel) -> Payload:
    if channel.is_im:
        (user,) = channel.members - {BOT_USER}
        return {"id": channel.id, "is_im": True, "user": user, "is_archived": False, "is_org_shared": False}
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": True,
        "is_im": False,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": channel.is_org_shared,
        "is_shared": channel.is_ext_shared or channel.is_org_shared,
        "is_member": BOT_USER in channel.members,
        "context_team_id": TEAM,
    }


def _readable(slack: Workspace, args: Payload) -> Channel:
    channel = reachable(slack, args["channel"])
    needed = "im:read" if channel.is_im else "groups:read" if channel.is_private else "channels:read"
    if needed not in args["_scopes"]:
        raise Refused("missing_scope", needed=needed, provided=",".join(sorted(args["_scopes"])))
    return channel


def _conversations_info(slack: Workspace, args: Payload) -> Payload:
    channel = _readable(slack, args)
    body = _conversation(channel)
    # Slack counts only when it is asked to.
    if flag(args, "include_num_members"):
        body["num_members"] = len(channel.members)
    return {"channel": body}


def _conversations_members(slack: Workspace, args: Payload) -> Payload:
    return {"members": sorted(_readable(slack, args).members), "response_metadata": {"next_cursor": ""}}


def _conversations_open(slack: Workspace, args: Payload) -> Payload:
    person = slack.people.get(args["users"])
    if person is None:
        raise Refused("user_not_found")
    if person.deleted:
        raise Refused("user_disabled")
    return {"channel": {"id": slack.direct(person.id).id}}


def file_payload(slack: Workspace, stored: Stored) -> Payload:
    """Return a file as Slack sends it: its bytes are at `url_private`, for whoever has the bot's token."""
    address, kind = f"{slack.url}/files/{stored.id}/{quote(stored.name)}", stored.name.rpartition(".")[2].lower()
    return {
        "id": stored.id,
        "created": int(stored.at),
        "timestamp": int(stored.at),
        "name": stored.name,
        "title": stored.title or stored.name,
        "mimetype": mimetypes.guess_type(stored.name)[0] or "application/octet-stream",
        "filetype": kind,
        "pretty_type": kind.upper(),
        "user": stored.user,
        "size": len(stored.content),
        "mode": "hosted",
        "is_external": False,
        "url_private": address,
        "url_private_download": address,
    }


def as_payload(slack: Workspace, channel: str, ts: str) -> Payload:
    """Return a message as Slack sends it: in answers of the Web API and inside button presses."""
    message = slack.message(channel, ts)
    if message is None:
        raise Refused("message_not_found")
    body: Payload = {"type": "message", "user": message.user, "ts": ts, "text": message.text, "team": TEAM}
    if message.user == BOT_USER:
        body |= {"bot_id": BOT_ID, "app_id": APP_ID}
    if message.blocks:
        body["blocks"] = list(message.blocks)
    elif len(message.versions) > 1:
        body["edited"] = {"user": message.user, "ts": f"{message.versions[-1].at:.6f}"}
    if message.files:
        body["files"] = [file_payload(slack, one) for one in message.files]
    if message.metadata is not None:
        body["metadata"] = dict(message.metadata)
    return {**body, "thread_ts": message.thread_ts} if message.thread_ts else body


READING: dict[str, Method] = {
    "auth.test": Method(run=_auth_test),
    "team.info": Method(run=_team_info, scopes=("team:read",)),
    "users.info": Method(run=_users_info, scopes=("users:read",), needs=("user",)),
    "usergroups.list": Method(run=_usergroups_list, scopes=("usergroups:read",)),
    "usergroups.users.list": Method(run=_usergroups_users_list, scopes=("usergroups:read",), needs=("usergroup",)),
    "conversations.info": Method(run=_conversations_info, scopes=_READ_SCOPES, needs=("channel",)),
    "conversations.members": Method(run=_conversations_members, scopes=_READ_SCOPES, needs=("channel",)),
    "conversations.open": Method(run=_conversations_open, scopes=("im:write", "mpim:write"), needs=("users",)),
}
