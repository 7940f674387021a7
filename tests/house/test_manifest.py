"""manifest.yml is valid, and asks Slack for exactly what the bot uses."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import yaml
from jsonschema import Draft7Validator
from slack_sdk import WebClient

from bot.domain.command import usage_hint
from bot.domain.words import COMMAND
from tests.house.tree import ROOT, Source, sources

SCOPES: Final[dict[str, set[str]]] = {
    "api.test": set(),
    "apps.connections.open": set(),  # asked with the app-level token, which has connections:write
    "auth.test": set(),
    "chat.delete": {"chat:write"},
    "chat.getPermalink": set(),
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.members": {"channels:read", "groups:read"},
    "files.completeUploadExternal": {"files:write"},
    "files.getUploadURLExternal": {"files:write"},
    "files.info": {"files:read"},
    "files.upload.v2": {"files:write"},
    "team.info": {"team:read"},
    "usergroups.list": {"usergroups:read"},
    "usergroups.users.list": {"usergroups:read"},
    "users.conversations": {"channels:read", "groups:read"},
    "users.info": {"users:read"},
    "users.list": {"users:read"},
    "views.open": set(),
    "views.publish": set(),
    "views.push": set(),
    "views.update": set(),
}
"""What a bot token needs for each method, from the method's page on https://docs.slack.dev/reference/methods.

Methods that could be called with wider scopes (messages to channels the bot is not in, another name or icon) are
listed with the narrow one on purpose: the bot does without.
"""
ALLOWED: Final = {"channels:read", "chat:write", "commands", "groups:read", "usergroups:read", "users:read"}
"""A scope that is not listed here takes a decision, and a line in the changelog: everybody has to install again."""
CLIENTS: Final = {name for name in dir(WebClient) if re.fullmatch(r"[a-z]+(_[a-zA-Z0-9]+)+", name)} - {"api_call"}
METHODS: Final = {spelling: name.replace("_", ".") for name in CLIENTS for spelling in (name, name.replace("_", "."))}
"""The methods of slack_sdk's client in both spellings, with their names in Slack's documentation."""


@cache
def manifest() -> dict[str, Any]:
    """Read manifest.yml."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())
    return document


def calls(source: Source) -> Iterator[tuple[str, str]]:
    """Yield each Web API method that a file names, as `client.chat_postMessage` or "chat.postMessage", and where."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(attr=str(name)) | ast.Constant(value=str(name)) if name in METHODS:
                yield METHODS[name], source.at(node)


def used() -> dict[str, str]:
    """Return the Web API methods that the bot uses, each with one place."""
    return {
        method: where for source in sources() if source.room in {"slack", "wiring"} for method, where in calls(source)
    }


def handled() -> set[str]:
    """Return every string that the Slack room may listen to: those it writes, and the command's name."""
    nodes = [node for source in sources() if source.room == "slack" for node in ast.walk(source.tree)]
    written = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return written | ({COMMAND} if "COMMAND" in named else set())


def test_the_manifest_is_valid() -> None:
    """Slack's own schema has nothing to object to."""
    schema = json.loads((ROOT / "tests/house/slack-manifest.schema.json").read_text())

    assert [] == [error.message for error in Draft7Validator(schema).iter_errors(manifest())]


def test_the_bot_has_a_name_that_slack_takes() -> None:
    """The bot's display name keeps to the letters that Slack's documentation allows; the schema takes any."""
    assert re.fullmatch(r"[a-z0-9._-]{1,80}", manifest()["features"]["bot_user"]["display_name"])


def test_scopes_are_the_agreed_ones() -> None:
    """The manifest asks for the agreed scopes, once each, and for none of a user's."""
    scopes = manifest()["oauth_config"]["scopes"]

    assert ["bot"] == list(scopes)
    assert sorted(ALLOWED) == sorted(scopes["bot"])


def test_every_method_is_known() -> None:
    """Each Web API method that the bot uses has its scopes in this file's table."""
    assert {} == {method: where for method, where in used().items() if method not in SCOPES}


def test_every_method_is_covered() -> None:
    """Each Web API method that the bot uses may be called with the scopes of the manifest."""
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])

    assert {} == {
        f"{method} ({where})": missing
        for method, where in used().items()
        if (missing := SCOPES.get(method, set()) - granted)
    }


def test_every_scope_is_used() -> None:
    """Each scope of the manifest is needed by a method that the bot uses, or by its slash command."""
    needed = {"commands"}.union(*(SCOPES.get(method, set()) for method in used()))

    assert set() == set(manifest()["oauth_config"]["scopes"]["bot"]) - needed


def test_the_usage_hint_is_the_grammars() -> None:
    """What Slack shows while somebody types comes from the table that parses it; the words arrive as typed."""
    (command,) = manifest()["features"]["slash_commands"]

    assert COMMAND == command["command"]
    assert usage_hint() == command["usage_hint"]
    assert not command["should_escape"]


def test_everything_enabled_is_handled() -> None:
    """The bot listens to each command, shortcut and event that the manifest makes Slack send."""
    features, settings = manifest()["features"], manifest()["settings"]
    sent = {command["command"] for command in features["slash_commands"]}
    sent |= {shortcut["callback_id"] for shortcut in features.get("shortcuts", [])}
    sent |= set(settings.get("event_subscriptions", {}).get("bot_events", []))

    assert set() == sent - handled()


def test_nothing_that_cannot_be_undone_is_enabled() -> None:
    """Token rotation stays off: Slack does not let it be switched off again, and the bot's token is a static one."""
    settings = manifest()["settings"]

    assert (False, False) == (settings["token_rotation_enabled"], settings["org_deploy_enabled"])
    assert (True, True) == (settings["socket_mode_enabled"], settings["interactivity"]["is_enabled"])
