"""A local Slack with people in it, and a client that speaks to it as the bot's does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk import WebClient

from bot.domain.secret import Secret
from bot.playground.slack.limits import Faults
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.workspace import BOT_USER
from bot.slack.app import web_client
from tests.builders import ANN, BOB
from tests.journeys.stage import Scene
from tests.slack.tabs import CID, EVE, GUEST, Tabs

OPS = "C0OPS"
AUDIT = "C0AUDIT"


@pytest.fixture(scope="module")
def running() -> Iterator[LocalSlack]:
    """Give one local Slack to all tests of a file, because starting and stopping takes longer than most of them."""
    with LocalSlack() as running:
        yield running


@pytest.fixture
def slack(running: LocalSlack) -> LocalSlack:
    """Give the local Slack as it was on its first day: Ann on call, Bob, a channel and one for the audit."""
    for kept in (running.people, running.groups, running.channels, running.calls, running.rings, running._messages):
        kept.clear()
    running.faults = Faults()
    running.add_user(BOT_USER, "ota-cancel", is_bot=True)
    running.add_user(ANN, "ann", real_name="Ann Arbor")
    running.add_user(BOB, "bob")
    running.add_group("S0ONCALL", "oncall", [ANN])
    running.add_channel(OPS, "ops", [ANN, BOB])
    running.add_channel(AUDIT, "audit", [ANN, BOB])
    return running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """Give the bot's client of it."""
    return web_client(Secret(slack.bot_token), slack.api_url)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Scene]:
    """Give a Slack and a cloud with the real bot connected to them, in this process."""
    with Scene(tmp_path) as scene, scene.hosted():
        yield scene


@pytest.fixture
def tabs(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Tabs]:
    slack.homes.clear()
    slack.add_user(CID, "cid")
    slack.add_user(EVE, "eve")
    slack.add_user(GUEST, "guest", is_restricted=True)
    slack.add_group("S0ONCALL", "oncall", [ANN, GUEST])
    made = Tabs(tmp_path, slack, client)
    yield made
    made.close()
