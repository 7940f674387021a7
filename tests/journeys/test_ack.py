"""Acknowledgements: at once, also while much is running, and whatever was acknowledged is stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

import pytest

from bot.playground.slack.values import Delivery
from bot.playground.world import ANN, JOB, OPS
from tests.journeys.stage import Scene, until

RUNNING: Final = 10
ORDERS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """One command that was typed while ten cancellations ran, and what the ledger held when it was acknowledged."""

    delivery: Delivery
    stored: int
    """How many orders the ledger held then."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, list[Typed]]]:
    """Give a world in which ten cancellations run, their calls out, and what became of orders typed meanwhile."""
    with Scene(tmp_path_factory.mktemp("busy")) as scene, scene.hosted() as bot:
        for number in range(1, RUNNING + 1):
            scene.cloud.fleet.add_job(f"job-{number}", counts={"QUEUED": 5})
            scene.order(f"job job-{number} queued because it is one of many")
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=4.0, times=RUNNING)
        until(lambda: len(scene.events("previewed")) == RUNNING)
        for number in range(1, RUNNING + 1):
            # What a press of the button does: the cards come one a second, and would take ten.
            bot._intake.press("confirm", number, ANN, OPS, in_time=lambda: True)
        until(lambda: len(scene.events("call_sent")) == RUNNING)
        typed = []
        for number in range(ORDERS):
            delivery = scene.order(f"job {JOB} queued because it is number {number}")
            typed.append(Typed(delivery=delivery, stored=len(scene.events("requested"))))
        assert [] == scene.events("call_finished")
        yield scene, typed


def test_acknowledgements_do_not_wait_for_runs(busy: tuple[Scene, list[Typed]]) -> None:
    """With ten cancellations running, each order is acknowledged far within Slack's three seconds."""
    _, typed = busy
    seconds = [one.delivery.acked_in or 99.0 for one in typed]

    assert median(seconds) < 0.3
    assert max(seconds) < 1.5


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
