"""A bot that is killed at any moment and started again ends right: nothing lost, nothing done twice.

A dead process's leases last ten seconds, so the moments are played at the same time, each in a world of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from bot.playground.slack.values import Message
from bot.playground.world import ANN, JOB, OPS
from tests.journeys.stage import END, Scene, Stories, until

RESUMED: Final = 40.0
"""Seconds for a lease to lapse and the rest to be done, on a machine that plays seven worlds at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a world looked when all was over."""

    planned: dict[str, int]
    canceled: dict[str, int]
    kinds: list[str]
    outcomes: list[tuple[str, str | None]]
    """Of each `call_finished`: the outcome, and what told it."""
    cards: list[Message]
    thread: list[str]
    shown: str
    chain: int
    told_twice: bool
    """Whether a second card is to be expected."""


def after_the_ack(scene: Scene) -> End:
    """Kill it when the order is acknowledged and the cloud has not been read for it yet."""
    scene.cloud.faults.add("latency", "QueryOTAJob", seconds=3.0)
    with scene.process() as bot:
        bot.ready()
        scene.order()
        bot.kill()
    assert ["requested"] == scene.kinds()
    return resumed(scene, confirm=True)


def while_it_waits(scene: Scene) -> End:
    """Kill it when the card waits for its confirmation; it is confirmed with the next process."""
    with scene.process() as bot:
        bot.ready()
        scene.order()
        card = scene.card()
        until(lambda: scene.stored() == card.ts)
        bot.kill()
    return resumed(scene, confirm=True)


def before_the_card_is_stored(scene: Scene) -> End:
    """Kill it when the card is in the channel and Slack's answer to the post was lost."""
    scene.slack.faults.add("chat.postMessage", drop=True, after=True)
    with scene.process() as bot:
        bot.ready()
        scene.order()
        scene.card()
        bot.kill()
    assert None is scene.stored()
    return resumed(scene, confirm=True, cards=2)


def after_the_confirmation(scene: Scene) -> End:
    """Kill it as soon as the confirmation is acknowledged."""
    with scene.process() as bot:
        bot.ready()
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        bot.kill()
    assert "confirmed" in scene.kinds()
    return resumed(scene)


def with_a_call_out_that_is_lost(scene: Scene) -> End:
    """Kill it while a call is out that never reaches the cloud's jobs."""
    return _with_a_call_out(scene, "hang")


def with_a_call_out_that_works(scene: Scene) -> End:
    """Kill it while a call is out that the cloud carries out and never answers."""
    return _with_a_call_out(scene, "hang_after")


def before_the_verification(scene: Scene) -> End:
    """Kill it when the call is answered and what came of it has not been read yet."""
    with scene.process() as bot:
        bot.ready()
        scene.order()
        card = scene.card()
        scene.cloud.faults.add("latency", "ListOTATaskByJob", seconds=3.0)
        scene.slack.press(ANN, card, "confirm")
        until(lambda: scene.events("call_finished"))
        bot.kill()
    assert "verified" not in scene.kinds()
    return resumed(scene)


def _with_a_call_out(scene: Scene, fault: str) -> End:
    scene.cloud.faults.add(fault, "CancelOTATaskByJob", seconds=3.0)
    with scene.process() as bot:
        bot.ready()
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        until(lambda: scene.sent)
        bot.kill()
    assert [] == scene.events("call_finished")
    return resumed(scene)


def resumed(scene: Scene, *, confirm: bool = False, cards: int = 1) -> End:
    """Start it again, confirm where that is still to be done, and look at everything once it is over."""
    planned = dict.fromkeys([f"device-{number:06d}" for number in range(8, 60)], 1)
    scene.slack.wait_for(lambda: not scene.slack.connections)
    with scene.process() as bot:
        bot.ready()
        if confirm:
            scene.slack.wait_for(lambda: len(scene.cards()) == cards, RESUMED)
            scene.slack.press(ANN, scene.card(), "confirm")
        done = scene.card_in("Done", within=RESUMED)
        scene.slack.wait_for(lambda: any("Done: " in one.text for one in scene.slack.thread(OPS, done.ts)), RESUMED)
    return End(
        planned=planned,
        canceled=scene.canceled,
        kinds=scene.kinds(),
        outcomes=[(event.body["outcome"], event.body.get("by")) for event in scene.events("call_finished")],
        cards=scene.cards(),
        thread=[reply.text for reply in scene.slack.thread(OPS, done.ts)],
        shown=scene.slack.plain(done),
        chain=scene.verified().events,
        told_twice=cards > 1,
    )


MOMENTS: Final[tuple[Callable[[Scene], End], ...]] = (
    after_the_ack,
    while_it_waits,
    before_the_card_is_stored,
    after_the_confirmation,
    with_a_call_out_that_is_lost,
    with_a_call_out_that_works,
    before_the_verification,
)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    told = Stories(tmp_path_factory.mktemp("killed"), *MOMENTS)
    yield told
    told.close()


@pytest.fixture(params=MOMENTS, ids=lambda moment: moment.__name__)
def end(request: pytest.FixtureRequest, stories: Stories) -> End:
    found: End = stories.end(request.param)
    return found


def test_exactly_the_planned_tasks_are_cancelled(end: End) -> None:
    """Whenever it is killed, the 52 planned devices are cancelled, by one call each, and no other device is."""
    assert end.planned == end.canceled


def test_one_call_is_done(end: End) -> None:
    """The ledger holds one order, one confirmation, one start, one done call and one end."""
    once = ("requested", "previewed", "confirmed", "started", "finished")

    assert dict.fromkeys(once, 1) == {kind: end.kinds.count(kind) for kind in once}
    assert ["done"] == [outcome for outcome, _ in end.outcomes if outcome == "done"]


def test_the_card_is_right(end: End) -> None:
    """The card ends with the figures that are true."""
    assert "asked 52 · accepted 52 · confirmed 52 · left 0" in end.shown
    assert () == end.cards[-1].buttons


def test_a_second_card_says_so(end: End) -> None:
    """There is one card, or every later one says that an earlier one may lie above."""
    later = ["An earlier card of this may lie above" in str(card.versions[0].blocks) for card in end.cards[1:]]

    assert all(later)
    assert end.told_twice == bool(later)


def test_the_end_is_told_once(end: End) -> None:
    """The reply that rings the asker comes once: no moment lies between Slack's answer to it and its record."""
    ends = [text for text in end.thread if "Done: " in text]

    assert [END.format(statuses="queued and notified", job=JOB, number=1, count=52)] == ends


def test_the_chain_holds(end: End) -> None:
    """The chain of events recomputes over the kill, without a gap."""
    assert len(end.kinds) == end.chain


def test_a_lost_call_is_sent_again_after_a_look(stories: Stories) -> None:
    """A call that was out is unknown; the read finds the tasks untouched, and only then it is sent once more."""
    end = stories.end(with_a_call_out_that_is_lost)

    assert [("unknown", None), ("done", None)] == end.outcomes
    assert 2 == end.kinds.count("call_sent")


def test_a_call_that_worked_is_not_sent_again(stories: Stories) -> None:
    """A call that was out is unknown; the read finds nothing left to cancel, so that it counts as done."""
    end = stories.end(with_a_call_out_that_works)

    assert [("unknown", None), ("done", "read")] == end.outcomes
    assert 1 == end.kinds.count("call_sent")


def test_a_call_that_was_answered_is_not_sent_again(stories: Stories) -> None:
    """A done call is final: after the kill only the reading goes on."""
    end = stories.end(before_the_verification)

    assert [("done", None)] == end.outcomes
    assert 1 == end.kinds.count("call_sent")
