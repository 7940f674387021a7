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
from bot.slack.actions import Actions
from bot.slack.answers import Answers
from bot.slack.app import GREETING, SlackApp
from bot.slack.commands import IN_TIME
from tests.builders import ANN, Clock


@pytest.fixture
def app(slack: LocalSlack, client: WebClient) -> SlackApp:
    """Give an app whose command is acknowledged at once."""

    def acknowledged(ack: Any, _body: object, context: dict[str, Any]) -> None:
        assert context["in_time"]()
        ack(text="help", response_type="ephemeral")

    return made(slack, client, acknowledged, time.monotonic)


def made(slack: LocalSlack, client: WebClient, command: Callable[..., None], timer: Callable[[], float]) -> SlackApp:
    """Make an app with the real answers, and a command that does what a test wants."""
    answers = Answers(client, timer=timer, sleep=lambda _seconds: None)
    keeper = cast(Any, SimpleNamespace(answer=lambda work: work()))
    nothing = cast(Any, None)
    actions = Actions(nothing, nothing, keeper, answers, Halt(), again=nothing, reasons=nothing)
    commands = cast(Any, SimpleNamespace(command=command))
    form = cast(Any, SimpleNamespace(changed=command, submitted=command, shortcut=command))
    return SlackApp(
        client, Secret(slack.app_token), commands, actions, form=form, reasons=form, timer=timer, halt=Halt()
    )


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


@pytest.mark.parametrize(("takes", "told"), [(IN_TIME, ["Nothing was done; type it again."]), (IN_TIME - 0.1, [])])
def test_an_acknowledgement_that_comes_too_late_is_said_again(
    slack: LocalSlack, client: WebClient, takes: float, told: list[str]
) -> None:
    """What Slack does not show any more, because it came too late, reaches the asker over the response_url."""
    clock = Clock()

    def command(ack: Any, _body: object, _context: object) -> None:
        clock.turn(takes)
        ack(text="Nothing was done; type it again.", response_type="ephemeral")

    app = made(slack, client, command, lambda: clock().timestamp())
    assert app.connect(within=5)
    slack.wait_for(lambda: slack.connections)
    slack.command(ANN, "C0OPS", "job J1 queued")

    closed(app, slack)

    answered = [call.args["text"] for call in slack.calls if call.method == "response_url"]
    assert told == answered
