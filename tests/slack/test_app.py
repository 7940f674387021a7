"""The connection: open when Slack has said hello, and closed for good."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from slack_sdk import WebClient

from bot.domain.secret import Secret
from bot.engine.keeper import Halt
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.world import ANN, BEN, LEA, OPS
from bot.slack.actions import Actions
from bot.slack.answers import Answers
from bot.slack.app import GREETING, LATE, LISTENERS, SlackApp
from bot.slack.commands import IN_TIME
from bot.slack.watch import Lost
from tests.builders import Clock
from tests.journeys.leads import MAX, Leads
from tests.journeys.stage import WORDS, Scene, until


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
        client,
        Secret(slack.app_token),
        commands,
        actions,
        form=form,
        reasons=form,
        homes=nothing,
        timer=timer,
        halt=Halt(),
    )


def closed(app: SlackApp, slack: LocalSlack) -> None:
    app.close()
    slack.wait_for(lambda: not slack.connections)


def test_connected_means_that_slack_has_said_hello(slack: LocalSlack, app: SlackApp) -> None:
    """When `connect` returns, Slack has greeted, and what is typed from then on is acknowledged."""
    app.connect()
    assert app._handler.client.session is not None
    assert app._handler.client.session.greeted.is_set()
    slack.wait_for(lambda: slack.connections)
    assert None is slack.command("U0ANN", "C0OPS", "help").failure

    closed(app, slack)
    assert not app.connected


def test_a_slack_that_does_not_greet_is_not_waited_for(slack: LocalSlack, app: SlackApp) -> None:
    """An open socket without a hello is an open socket, a moment later."""
    greet = slack.sockets._hello
    slack.sockets._hello = lambda: {"type": "something"}  # type: ignore[method-assign]
    began = time.monotonic()

    app.connect()

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
    app.connect()
    slack.wait_for(lambda: slack.connections)
    slack.command(ANN, "C0OPS", "job J1 queued")

    closed(app, slack)

    answered = [call.args["text"] for call in slack.calls if call.method == "response_url"]
    assert told == answered


# --- when all threads are busy ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Leads, list[str]]]:
    """Give a world in which everything that people can do waited for a thread until Slack had given up.

    With it comes what the ledger held before.
    """
    with Leads(tmp_path_factory.mktemp("late")) as leads, leads.hosted() as bot:
        waiting = leads.asked(leads.batch("job-large"))
        small = leads.ordered(leads.batch("job-small", devices=5))
        card = leads.card_in("Waiting for confirmation", small)
        leads.press(LEA, "reject", waiting)
        reasons = leads.slack.wait_for(lambda: leads.slack.views(LEA))[-1]
        leads.order("")
        form, before = (
            until(lambda: [view for view in leads.slack.views(ANN) if "submit" in view.body])[-1],
            leads.kinds(),
        )
        app, free = bot._app, threading.Event()
        assert app is not None
        for _ in range(LISTENERS):
            app._pool.submit(free.wait)
        leads.slack.sockets.ack_within = 0.1
        deliveries = [
            leads.slack.command(ANN, OPS, leads.batch("job-typed")),
            leads.slack.press(ANN, card, "confirm"),
            leads.press(MAX, "approve", waiting),
            leads.slack.submit_view(LEA, reasons, {"reason": "It is the wrong batch."}),
            leads.slack.submit_view(ANN, form, {"job": "job-small", "statuses": ["queued"]}),
            leads.slack.shortcut(BEN, "cancel_form"),
        ]
        assert ["operation_timeout"] * len(deliveries) == [one.failure for one in deliveries]
        app._timer = lambda: time.monotonic() + IN_TIME
        free.set()
        until(lambda: leads.slack.dms(ANN) and leads.slack.dms(BEN) and leads.slack.dms(LEA))
        until(lambda: leads.slack.ephemerals(MAX) and "too late" in leads.slack.ephemerals(ANN)[-2].text)
        yield leads, before


def test_what_is_late_does_nothing(late: tuple[Leads, list[str]]) -> None:
    """Orders, presses, reasons, forms and shortcuts whose turn comes when Slack has given up leave no trace."""
    leads, before = late

    assert before == leads.kinds()
    assert [] == leads.sent
    assert () == leads.slack.views(BEN)


def test_what_is_late_is_said(late: tuple[Leads, list[str]]) -> None:
    """Whoever did something that came too late is told that nothing was done, and how to do it again."""
    slack = late[0].slack
    told = {user: [one.text for one in slack.ephemerals(user) if "too late" in one.text] for user in (ANN, MAX)}

    assert {
        ANN: [
            "That press reached me too late. Nothing was done, press again.",
            "That reached me too late. Nothing was done; type it again.",
        ],
        MAX: ["That press reached me too late. Nothing was done, press again."],
    } == {user: sorted(texts) for user, texts in told.items()}
    for user in (ANN, BEN, LEA):
        assert LATE == slack.dms(user)[-1].text


# --- when the process is about to leave ------------------------------------------------------------------------------


def test_what_is_typed_while_it_leaves_is_answered(tmp_path: Path) -> None:
    """Between the signal and the end of the connection, a command is answered and not done."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        bot._halt.ask()

        answered = scene.order().shown

        assert "I am being restarted. Nothing was done; try again in a minute." == answered
        assert [] == scene.events("requested")


def test_a_lost_token_cuts_no_run(tmp_path: Path) -> None:
    """When Slack refuses the token for good, nothing new is taken, and the process leaves after the run's end."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=0.7)
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        until(lambda: scene.events("call_sent"))

        scene.slack.bot_token = "xoxb-another"
        bot._client.tokens.refuses("bot_token", "invalid_auth")
        bot._give_up(Lost(reason="slack.bot_token: no", after_runs=True))
        during, answered = bot.lost(), scene.order(f"{WORDS} again").shown
        until(bot.lost)

        assert (None, "slack.bot_token: no") == (during, bot.lost())
        assert "I am being restarted. Nothing was done; try again in a minute." == answered
        assert (1, ["done"]) == (
            len(scene.events("finished")),
            [one.body["outcome"] for one in scene.events("call_finished")],
        )


@pytest.mark.parametrize("way", ["word", "button"])
def test_what_runs_can_be_stopped_while_nothing_new_is_taken(tmp_path: Path, way: str) -> None:
    """A process that closes lets what runs go on, and so lets it be stopped."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=0.7)
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        until(lambda: scene.events("call_sent"))
        bot._halt.close()

        if way == "word":
            scene.order("stop 1")
        else:
            scene.slack.press(ANN, scene.card(), "stop")

        until(lambda: scene.events("stopped"))


def test_a_token_that_is_taken_again_ends_the_wait(tmp_path: Path) -> None:
    """When Slack takes the token again during a run, the process leaves at once: the next one takes the run up."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=0.7)
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        until(lambda: scene.events("call_sent"))
        bot._client.tokens.refuses("bot_token", "invalid_auth")
        bot._give_up(Lost(reason="slack.bot_token: no", after_runs=True))

        bot._client.auth_test()

        assert ("slack.bot_token: no", []) == (bot.lost(), scene.events("finished"))


def test_a_deaf_bot_leaves_at_once(tmp_path: Path) -> None:
    """When only the socket is dead the process leaves at once: the next one takes its runs up."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        bot._give_up(Lost(reason="slack: deaf", after_runs=False))

        assert ("slack: deaf", False) == (bot.lost(), bot._halt.closed)


def test_other_connections_are_told_in_the_audit_channel(tmp_path: Path) -> None:
    """Connections of other processes on the app are told once in the audit channel, with what they may mean."""
    with Scene(tmp_path) as scene, scene.hosted() as bot:
        bot._crowded(1)

        told = scene.slack.wait_for(lambda: scene.slack.messages("C0AUDIT"))

        assert ["Beside mine Slack counts 1 more connection on this app"] == [one.text[:54] for one in told]
