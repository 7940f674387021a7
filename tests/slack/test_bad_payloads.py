"""Whatever Slack sends, each envelope is acknowledged once, no listener errs, and a malformed press changes nothing."""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from structlog.testing import capture_logs

from bot.domain.cancellation import Phase
from bot.playground.world import ANN, OPS
from bot.slack.payloads import NOT_UNDERSTOOD, refusal, usable
from bot.wiring.bot import Bot
from tests.builders import NOW
from tests.journeys.stage import Scene, until

JUNK: Final[tuple[Any, ...]] = (
    None,
    True,
    10**30,
    "x" * 5000,
    "\ud800\u202e\x00",
    [None],
    {"id": [1]},
    "7",
    [],
    {},
    "",
)
FAILED: Final = {"listener_failed", "press_failed", "command_failed", "form_failed", "reason_failed", "worker_failed"}
"""What the log says where something was not thought of."""


class Wire:
    """The bot's socket, without Slack at its other end."""

    def __init__(self, bot: Bot, scene: Scene) -> None:
        assert bot._app is not None
        self.scene, self.bot = scene, bot
        self._handler = bot._app._handler
        self._answers: list[SocketModeResponse] = []
        self.team = bot._directory._team
        row = bot._ledger.outbox.card(1)
        self.ts = row.ts if row else None

    def send(self, payload: Any) -> list[SocketModeResponse]:
        """Send an envelope that has just come in, and return how it is acknowledged."""
        self._answers.clear()
        self._handler.client.arrived["e"] = deque([time.monotonic()])
        client = SimpleNamespace(send_socket_mode_response=self._answers.append, logger=logging.getLogger("test"))
        self._handler.handle(cast(Any, client), SocketModeRequest("interactive", "e", payload))
        return list(self._answers)

    @property
    def who(self) -> dict[str, Any]:
        """Who acts, as each interactive payload says it."""
        return {"user": {"id": ANN, "team_id": self.team, "username": "ann"}, "team": {"id": self.team, "domain": "x"}}

    def press(self, button: str, value: str = "1") -> dict[str, Any]:
        """Return a press of a button on the card."""
        return {
            "type": "block_actions",
            **self.who,
            "container": {"type": "message", "message_ts": self.ts},
            "channel": {"id": OPS, "name": "ops"},
            "trigger_id": "t.1",
            "response_url": "http://127.0.0.1:9/none",
            "actions": [{"type": "button", "action_id": button, "block_id": "b", "value": value, "action_ts": "1"}],
        }

    def payloads(self) -> dict[str, dict[str, Any]]:
        """Return a payload for each listener, none of which may change anything."""
        command = {
            "command": "/ota-cancel",
            "text": "list &lt;",
            "user_id": ANN,
            "channel_id": OPS,
            "trigger_id": "t.2",
        }
        reason = {"state": {"values": {"reason": {"reason": {"value": ""}}}}, "private_metadata": "1"}
        shortcut = {"callback_id": "cancel_form", "trigger_id": "t.3", **self.who}
        return {
            "command": {**command, "team_id": self.team, "response_url": "http://127.0.0.1:9/none"},
            "stop": self.press("stop"),
            "reject": self.press("reject"),
            "retry": self.press("retry"),
            "chosen": {**self.press("account"), "view": FORM},
            "form": {"type": "view_submission", **self.who, "view": FORM},
            "reason": {
                "type": "view_submission",
                **self.who,
                "view": {"type": "modal", "callback_id": "reject_form", **reason},
            },
            "closed": {"type": "view_closed", **self.who, "view": FORM, "is_cleared": False},
            "shortcut": {"type": "shortcut", **shortcut},
            "home": {
                "type": "event_callback",
                "team_id": self.team,
                "authorizations": [{"team_id": self.team, "user_id": "U0BOT", "is_bot": True}],
                "event": {
                    "type": "app_home_opened",
                    "user": ANN,
                    "channel": "D0ANN",
                    "tab": "home",
                    "event_ts": "1.0",
                    "view": {"type": "home", "id": "V2", "blocks": [], "state": {"values": {}}},
                },
            },
            "of a message": {"type": "message_action", **shortcut, "channel": {"id": OPS}, "message": {"ts": "1"}},
        }


def field(name: str, **element: Any) -> dict[str, Any]:
    return {"type": "input", "block_id": name, "element": {"action_id": name, **element}}


FORM: Final[Mapping[str, Any]] = {
    "type": "modal",
    "id": "V1",
    "hash": "h",
    "callback_id": "cancel_form",
    "private_metadata": json.dumps({"channel": OPS}),
    "blocks": [field("account"), field("job")],
    "state": {
        "values": {
            "account": {"account": {"selected_option": {"value": "pumps"}}},
            "operation": {"operation": {"selected_option": {"value": "devices"}}},
            "job": {"job": {"value": ""}},
            "statuses": {"statuses": {"selected_options": [{"value": "queued"}]}},
            "names": {"names": {"value": "a"}},
            "file": {"file": {"files": [{"id": "F1", "size": 3}]}},
        }
    },
}
"""A form in which several things are wrong, so that no part of it makes an order."""


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with Scene(tmp_path_factory.mktemp("wire")) as scene, scene.hosted() as bot:
        scene.order()
        scene.card_in("Waiting for confirmation")
        until(lambda: (row := bot._ledger.outbox.card(1)) is not None and row.ts is not None)
        yield Wire(bot, scene)


Path = tuple[str | int, ...]


def places(body: Any, path: Path = ()) -> Iterator[Path]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(body: Any, path: Path, change: Callable[[Any, Any], None]) -> Any:
    copy = json.loads(json.dumps(body))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return copy


def spoilt(body: Any, kinds: int) -> Iterator[tuple[Path, Any]]:
    """Yield a payload with each of its fields missing, or replaced by some kinds of junk in turn."""
    for number, path in enumerate(places(body)):
        yield path, changed(body, path, lambda holder, key: holder.__delitem__(key))
        for kind in range(kinds):
            junk = JUNK[(number * 5 + kind * 3) % len(JUNK)]
            yield path, changed(body, path, lambda holder, key, junk=junk: holder.__setitem__(key, junk))  # type: ignore[misc]


def test_every_payload_is_acknowledged_once(wire: Wire) -> None:
    """Whatever is missing in a payload, or of another type, is acknowledged, and no listener errs over it."""
    wrong: list[tuple[str, Path, str]] = []
    for name, payload in wire.payloads().items():
        for path, body in ((), payload), *spoilt(payload, kinds=1):
            with capture_logs() as logs:
                answers = wire.send(body)
            # A command of another name is another app's.
            if len(answers) != 1 and not (path == ("command",) and isinstance(body.get("command"), str)):
                wrong.append((name, path, f"{len(answers)} answers"))
            wrong += [(name, path, line["event"]) for line in logs if line["event"] in FAILED]

    assert [] == wrong


def test_a_malformed_press_changes_nothing(wire: Wire) -> None:
    """A press that lacks who pressed, what, or on which card is no press, whatever stands there instead."""
    press = wire.press("confirm")
    needed: set[Path] = {
        ("user",),
        ("user", "id"),
        ("container",),
        ("container", "message_ts"),
        ("channel",),
        ("channel", "id"),
    }
    needed |= {("actions",), ("actions", 0), ("actions", 0, "action_id"), ("actions", 0, "value")}
    for path, body in spoilt(press, kinds=4):
        if path in needed:
            wire.send(body)
    state = wire.bot._ledger.state(1)

    assert state is not None
    assert Phase.WAITING_CONFIRMATION is state.phase


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message", "text": "hello", "user": ANN, "channel_type": "im"},
        {"type": "app_home_opened", "tab": "messages", "user": ANN},
        {"type": "app_home_opened", "tab": "home", "user": "nobody"},
        {"type": "app_home_opened", "tab": "home"},
        {"type": "of a later version of Slack"},
    ],
    ids=["message", "other tab", "no person", "nobody", "unknown"],
)
def test_other_events_are_acknowledged_quietly(wire: Wire, event: dict[str, Any]) -> None:
    """An event that says nothing to the bot is acknowledged, does nothing, and is not warned of."""
    before, homes = wire.bot._ledger.head(), wire.bot._ledger.outbox.homes(since=NOW)
    with capture_logs() as logs:
        answers = wire.send({"type": "event_callback", "team_id": wire.team, "event": event})

    # Private answers to what was sent before may still be given up on meanwhile, which is told as information.
    warned = [entry for entry in logs if entry["log_level"] != "info"]
    assert ([None], []) == ([answer.payload for answer in answers], warned)
    assert (before, homes) == (wire.bot._ledger.head(), wire.bot._ledger.outbox.homes(since=NOW))


def test_an_event_of_another_workspace_does_nothing(wire: Wire) -> None:
    """Where Slack says that an event is of another workspace, it is acknowledged, and nobody is remembered for it."""
    event = {"type": "app_home_opened", "tab": "home", "user": "U0FARAWAY"}
    before = wire.bot._ledger.head()

    answers = wire.send({"type": "event_callback", "team_id": "T0OTHER", "event": event})

    assert [None] == [answer.payload for answer in answers]
    assert "U0FARAWAY" not in wire.bot._ledger.outbox.homes(since=NOW)
    assert before == wire.bot._ledger.head()


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"type": "dialog"}, {"type": ["block_actions"]}])
def test_what_is_no_payload_is_not_handed_on(wire: Wire, payload: Any) -> None:
    """An envelope with something else in it is acknowledged, and Bolt, which would err, does not see it."""
    assert not usable(payload)
    # slack_sdk lets no other in.
    assert not isinstance(payload, dict | str) or 1 == len(wire.send(payload))


def test_who_sent_what_cannot_be_read_is_told() -> None:
    """A command is answered, and a form that was sent shows it in its place."""
    answered = refusal({"text": "list"})
    shown = refusal({"type": "view_submission"})

    assert answered is not None
    assert NOT_UNDERSTOOD == answered["text"]
    assert NOT_UNDERSTOOD in str(shown)
    assert None is refusal({"type": "block_actions"})
