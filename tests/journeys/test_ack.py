"""Acknowledgements: before anything slow, also while much is running, and whatever was acknowledged is stored.

How fast they are is measured in benchmarks/.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest
from slack_bolt import BoltContext

from bot.playground.slack.values import Delivery
from bot.playground.world import ANN, JOB, OPS
from tests.journeys.stage import WORDS, Scene, until

RUNNING: Final = 10
ORDERS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """One command that was typed while ten cancellations ran, and what the ledger held when it was acknowledged."""

    delivery: Delivery
    stored: int
    """How many orders the ledger held then."""
    finished: int
    """How many of the runs' calls had been answered by then."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, list[Typed]]]:
    """Give a world in which ten cancellations run, their calls out, and what became of orders typed meanwhile."""
    with Scene(tmp_path_factory.mktemp("busy")) as scene, scene.hosted() as bot:
        for number in range(1, RUNNING + 1):
            scene.cloud.fleet.add_job(f"job-{number}", counts={"QUEUED": 5})
            scene.order(f"job job-{number} queued because it is one of many")
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=7.0, times=RUNNING)
        until(lambda: len(scene.events("previewed")) == RUNNING)
        for number in range(1, RUNNING + 1):
            # What a press of the button does: the cards come one a second, and would take ten.
            bot._presses.press("confirm", number, ANN, OPS, in_time=lambda: True)
        until(lambda: len(scene.events("call_sent")) == RUNNING)
        typed = []
        for number in range(ORDERS):
            delivery = scene.order(f"job {JOB} queued because it is number {number}")
            stored, finished = len(scene.events("requested")), len(scene.events("call_finished"))
            typed.append(Typed(delivery=delivery, stored=stored, finished=finished))
        yield scene, typed


def test_acknowledgements_do_not_wait_for_runs(busy: tuple[Scene, list[Typed]]) -> None:
    """With ten cancellations running, each order is acknowledged before the cloud has answered them all."""
    _, typed = busy

    assert [None] * ORDERS == [one.delivery.failure for one in typed]
    assert [] == [one for one in typed if one.finished == RUNNING]


@pytest.mark.parametrize(
    ("words", "stored"),
    [(WORDS, 1), (f"preview {WORDS}", 0), (f"job {JOB}", 0), ("list", 0), ("pending", 0), ("show 1", 0), ("help", 0)],
)
def test_acknowledged_before_any_network(scene: Scene, words: str, stored: int) -> None:
    """When a command is acknowledged an order is stored already, and neither Slack nor the cloud was asked anything."""
    with scene.hosted() as bot:
        commands = bot._commands(bot._halt, bot._form(bot._halt))
        calls = len(scene.slack.calls)
        seen = []

        def acknowledge(**_answer: str) -> None:
            seen.append((len(scene.slack.calls) - calls, len(scene.cloud.arrivals), len(bot._ledger.events(after=0))))

        body = {"user_id": ANN, "channel_id": OPS, "text": words, "trigger_id": "1.a"}
        commands.command(cast(Any, acknowledge), body, BoltContext({"in_time": lambda: True}))

        assert [(0, 0, stored)] == seen
        if words != "help":
            until(lambda: len(scene.slack.calls) > calls)


def test_acknowledged_is_stored(busy: tuple[Scene, list[Typed]]) -> None:
    """When an order is acknowledged it is in the ledger: each acknowledgement finds one more."""
    _, typed = busy

    assert list(range(RUNNING + 1, RUNNING + ORDERS + 1)) == [one.stored for one in typed]
    assert [f"#{number}:" for number in range(RUNNING + 1, RUNNING + ORDERS + 1)] == [
        one.delivery.shown.split()[0] for one in typed
    ]


def test_many_at_once_are_all_stored(world: Scene) -> None:
    """Of forty orders typed at the same moment each is acknowledged, stored once, and numbered without a gap."""
    with ThreadPoolExecutor(40) as people:
        delivered = list(people.map(lambda number: world.order(f"job {JOB} queued because {number}"), range(40)))

    assert [None] * 40 == [one.failure for one in delivered]
    assert list(range(1, 41)) == sorted(int(one.shown.split(":")[0].removeprefix("#")) for one in delivered)
    assert sorted(map(str, range(40))) == sorted(event.body["order"]["reason"] for event in world.events("requested"))
