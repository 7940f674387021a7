"""The connection: open when Slack has said hello, and closed for good."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from slack_sdk import WebClient

from bot.domain.secret import Secret
from bot.engine.keeper import Halt
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.app import GREETING, SlackApp


@pytest.fixture
def app(slack: LocalSlack, client: WebClient) -> SlackApp:
    """Give an app whose listeners only acknowledge."""

    def acknowledged(ack: Callable[[], None], context: dict[str, Any]) -> None:
        assert context["in_time"]()
        ack()

    listeners = cast(Any, SimpleNamespace(command=acknowledged, pressed=acknowledged))
    return SlackApp(client, Secret(slack.app_token), listeners, listeners, timer=time.monotonic, halt=Halt())


def closed(app: SlackApp, slack: LocalSlack) -> None:
    app.close()
    slack.wait_for(lambda: not slack.connections)


def test_connected_means_that_slack_has_said_hello(slack: LocalSlack, app: SlackApp) -> None:
    """When `connect` returns, Slack has greeted, and what is typed from then on is acknowledged."""
    assert app.connect(within=5)
    assert app._handler.greeted.is_set()
    slack.wait_for(lambda: slack.connections)
    assert None is slack.command("U0ANN", "C0OPS", "help").failure

    closed(app, slack)
    assert not app.connected


def test_a_slack_that_does_not_greet_is_not_waited_for(slack: LocalSlack, app: SlackApp) -> None:
    """An open socket without a hello is an open socket, a moment later."""
    greet = slack.sockets._hello
    slack.sockets._hello = lambda: {"type": "something"}  # type: ignore[method-assign]
    began = time.monotonic()

    assert app.connect(within=5)

    assert GREETING <= time.monotonic() - began < GREETING + 2
    slack.sockets._hello = greet  # type: ignore[method-assign]
    closed(app, slack)
