"""Two processes on one ledger and one Slack app: each order is run once and has one card."""

import signal
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from bot.ledger.leases import LENGTH
from bot.playground.world import ANN, AUDIT, OPS
from tests.journeys.stage import END, PATIENCE, Scene, ended, until

JOBS: Final = 4
DEVICES: Final = 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give a world in which two bots have carried out the orders of four jobs."""
    with Scene(tmp_path_factory.mktemp("two-bots")) as scene:
        for number in range(1, JOBS + 1):
            scene.cloud.fleet.add_job(f"job-{number}", counts={"QUEUED": DEVICES})
        with scene.process() as first, scene.process() as second:
            first.ready()
            second.ready()
            scene.slack.wait_for(lambda: scene.slack.connections == 2, PATIENCE)
            for number in range(1, JOBS + 1):
                scene.order(f"job job-{number} queued because both of us are here")
            for number in range(1, JOBS + 1):
                scene.slack.press(ANN, scene.card(number), "confirm")
            for number in range(1, JOBS + 1):
                card = scene.card_in("Done", number, within=2 * PATIENCE)
                scene.slack.wait_for(partial(ended, scene, card), 2 * PATIENCE)
            scene.slack.wait_for(lambda: len(scene.slack.messages(AUDIT)) >= 2 * JOBS, 2 * PATIENCE)
        yield scene


def test_each_order_is_run_once(shared: Scene) -> None:
    """Each job is cancelled by one call, and its ledger entries are those of one run."""
    assert [f"job-{number}" for number in range(1, JOBS + 1)] == sorted(call.params["JobId"] for call in shared.sent)
    assert dict.fromkeys(("requested", "previewed", "confirmed", "started", "call_sent", "finished"), JOBS) == {
        kind: shared.kinds().count(kind)
        for kind in ("requested", "previewed", "confirmed", "started", "call_sent", "finished")
    }
    for number in range(1, JOBS + 1):
        assert {1} == set(shared.cloud.fleet.canceled(f"job-{number}").values())


def test_each_order_has_one_card(shared: Scene) -> None:
    """The channel holds one card of each, and its thread tells each step once."""
    for number in range(1, JOBS + 1):
        (card,) = shared.cards(number)
        started, end = shared.slack.thread(OPS, card.ts)
        assert f"Confirmed by ann. Started: asked {DEVICES}, 1 call." == started.text
        assert END.format(statuses="queued", job=f"job-{number}", number=number, count=DEVICES) == end.text


def test_each_decision_has_one_audit_line(shared: Scene) -> None:
    """The audit channel tells each confirmation and each end once, in the ledger's order."""
    lines = [line.text for line in shared.slack.messages(AUDIT)]
    told = [int(line.split(" event ")[1].split()[0]) for line in lines]

    assert [event.id for event in shared.events("confirmed", "finished")] == told


def test_both_answered(shared: Scene) -> None:
    """Slack hands each envelope to one of the two; whichever it is acknowledges it, and the chain stays one."""
    answers = [message.text for message in shared.slack.ephemerals(ANN)]

    assert JOBS == len([text for text in answers if "What comes of it follows here" in text])
    assert len(shared.events()) == shared.verified().events


def test_one_takes_over_from_the_other(scene: Scene) -> None:
    """When the one that writes the cards leaves as it should, the other goes on at once, waiting for no lease."""
    with scene.process() as first:
        first.ready()
        scene.order()
        card = scene.card()
        until(lambda: scene.stored() == card.ts)
        with scene.process() as second:
            second.ready()
            first.send(signal.SIGTERM)
            assert 0 == first.ended(PATIENCE)
            scene.slack.wait_for(lambda: scene.slack.connections == 1, PATIENCE)

            scene.slack.press(ANN, card, "confirm")

            scene.card_in("Done", within=LENGTH - 2)
    assert 1 == len(scene.sent)
