"""manifest.yml is valid, and asks Slack for exactly what the bot uses."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final, cast

import pytest
import yaml
from jsonschema import Draft7Validator
from slack_bolt import BoltRequest
from slack_sdk import WebClient

from bot.domain.cancellation import Phase
from bot.domain.command import usage_hint
from bot.domain.secret import Secret
from bot.domain.words import COMMAND
from bot.engine.keeper import Halt
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.workspace import TEAM
from bot.slack.actions import BUTTONS
from bot.slack.app import SlackApp, web_client
from bot.slack.buttons import already
from bot.slack.card import card
from bot.slack.reason_views import BUTTON_OF
from tests.builders import ANN, STRICT, Life, confirm, life_in, show_preview
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
ALLOWED: Final = {
    *("channels:read", "chat:write", "commands", "files:read", "files:write"),
    *("groups:read", "usergroups:read", "users:read"),
}
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


class Ears:
    """The bot's listeners, as ones that only say which of them heard something."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def command(self, ack: Any, _body: object, _context: object) -> None:
        """Hear a slash command."""
        self.heard.append("command")
        ack(text="", response_type="ephemeral")

    def pressed(self, ack: Any, *_given: object) -> None:
        """Hear a button."""
        self.heard.append("pressed")
        ack()

    def changed(self, ack: Any, *_given: object) -> None:
        """Hear a choice in the form."""
        self.heard.append("changed")
        ack()

    def submitted(self, ack: Any, *_given: object) -> None:
        """Hear a form."""
        self.heard.append("submitted")
        ack()

    def shortcut(self, ack: Any, *_given: object) -> None:
        """Hear the shortcut."""
        self.heard.append("shortcut")
        ack()

    def opened(self, _user: str) -> None:
        """Hear that somebody opened their Home."""
        self.heard.append("opened")

    def unknown(self, ack: Any, *_given: object) -> None:
        """Hear what nobody else listens to."""
        self.heard.append("unknown")
        ack()


class Listening:
    """The real app with ears for listeners, and the envelopes of a Slack."""

    def __init__(self, slack: LocalSlack) -> None:
        self._ears = Ears()
        ears = cast(Any, self._ears)
        client = web_client(Secret(slack.bot_token), slack.api_url)
        self._app = SlackApp(
            client,
            Secret(slack.app_token),
            ears,
            ears,
            form=ears,
            reasons=ears,
            homes=ears,
            timer=lambda: 0.0,
            halt=Halt(),
        )

    def who(self, payload: dict[str, Any]) -> str:
        """Return which listener hears a payload; `nobody` when it is not even acknowledged."""
        self._ears.heard.clear()
        request = BoltRequest(mode="socket_mode", body={"team_id": TEAM, "user_id": ANN, **payload})
        answered = self._app._app.dispatch(request)
        return "".join(self._ears.heard) or ("an event's" if answered.status == HTTPStatus.OK else "nobody")

    def close(self) -> None:
        """Let its threads go."""
        self._app._pool.shutdown()


@pytest.fixture(scope="module")
def listening() -> Iterator[Listening]:
    """Give the app as a Slack finds it."""
    with LocalSlack() as slack:
        listening = Listening(slack)
        yield listening
        listening.close()


def interaction(kind: str, **more: Any) -> dict[str, Any]:
    """Return an interactive payload."""
    return {"type": kind, "user": {"id": ANN, "team_id": TEAM}, "team": {"id": TEAM}, **more}


def drawn_buttons() -> set[str]:
    """Return the action_ids of every button: those that a card has in any phase, and that under a held order."""
    states = [life_in(phase).state for phase in Phase if phase not in (Phase.CHECKING, Phase.REFUSED)]
    states.append(Life().after(show_preview(approval=STRICT), confirm(approval=STRICT)).state)
    drawn = [*map(card, states), already(states[0], states[1], "")]
    elements = [element for message in drawn for block in message.blocks for element in block.get("elements", ())]
    return {element["action_id"] for element in elements if "action_id" in element}


def written(key: str) -> set[str]:
    """Return every value that the Slack room writes under a key of a payload, as it stands there."""
    nodes = [node for source in sources() if source.room == "slack" for node in ast.walk(source.tree)]
    items = [item for node in nodes if isinstance(node, ast.Dict) for item in zip(node.keys, node.values, strict=True)]
    return {ast.unparse(value) for name, value in items if isinstance(name, ast.Constant) and name.value == key}


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


def test_each_command_is_heard(listening: Listening) -> None:
    """The bot hears each command that the manifest makes Slack send, and no other."""
    commands = [command["command"] for command in manifest()["features"]["slash_commands"]]
    heard = {command: listening.who({"command": command, "text": ""}) for command in [*commands, "/other"]}

    assert {**dict.fromkeys(commands, "command"), "/other": "nobody"} == heard


def test_each_shortcut_and_event_is_heard(listening: Listening) -> None:
    """A listener of its own hears each shortcut and event that the manifest makes Slack send."""
    sent = [
        interaction(kind, callback_id=shortcut["callback_id"])
        for shortcut in manifest()["features"].get("shortcuts", [])
        for kind in ("shortcut", "message_action")
        if (shortcut["type"] == "global") == (kind == "shortcut")
    ]
    events = manifest()["settings"].get("event_subscriptions", {}).get("bot_events", [])
    sent += [{"type": "event_callback", "event": {"type": event, "user": ANN}} for event in events]

    assert [] == [payload for payload in sent if listening.who(payload) in ("unknown", "nobody")]


def test_each_button_is_heard(listening: Listening) -> None:
    """The buttons that the cards draw are those that are listened to; any other is heard, too, and is answered."""
    buttons = {*BUTTONS, "of an old card"}
    presses = {button: interaction("block_actions", actions=[{"action_id": button}]) for button in buttons}

    assert set(BUTTONS) == drawn_buttons()
    # Buttons are made in one place, which the cards above have all been through; a reason is typed into a field.
    assert {"action", "'reason'"} == written("action_id")
    assert dict.fromkeys(buttons, "pressed") == {button: listening.who(press) for button, press in presses.items()}


def test_each_form_is_heard(listening: Listening) -> None:
    """A listener of its own hears each form that the Slack room draws; any other is heard, too, and is answered."""

    def sent(kind: str, form: str) -> str:
        return listening.who(interaction(kind, view={"type": "modal", "callback_id": form, "id": "V1"}))

    # The modals that ask why are drawn by one function, which has their names from a table.
    forms = {ast.literal_eval(name) for name in written("callback_id") - {"_FORM_OF[button]"}} | BUTTON_OF.keys()
    kinds = ("view_submission", "view_closed")

    assert {"cancel_form", "reject_form", "break_glass_form"} == forms
    assert [] == [form for form in forms if sent("view_submission", form) in ("unknown", "nobody")]
    assert ["unknown"] * 4 == [sent(kind, form) for kind in kinds for form in ("of an old card", "")]


def test_unknown_shortcuts_are_heard(listening: Listening) -> None:
    """A shortcut that the manifest does not have is acknowledged."""
    assert "unknown" == listening.who(interaction("shortcut", callback_id="of an old version"))


def test_nothing_that_cannot_be_undone_is_enabled() -> None:
    """Token rotation stays off: Slack does not let it be switched off again, and the bot's token is a static one."""
    settings = manifest()["settings"]

    assert (False, False) == (settings["token_rotation_enabled"], settings["org_deploy_enabled"])
    assert (True, True) == (settings["socket_mode_enabled"], settings["interactivity"]["is_enabled"])
