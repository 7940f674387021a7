"""An approval and a kill: both clocks go on while nobody is there, and nothing is lost or done twice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pytest

from bot.playground.world import ANN, LEA
from tests.journeys.leads import ABOVE, MAX, READ, RESUMED, WAITING, End, Leads, over
from tests.journeys.stage import PATIENCE, Stories, until


def gone(scene: Leads) -> None:
    """Wait until Slack has noticed that the process is gone."""
    scene.slack.wait_for(lambda: not scene.slack.connections, PATIENCE)


def passed(scene: Leads) -> None:
    """Wait until the present wait is over, with nobody there to end it."""
    deadline = scene.state().deadline
    assert deadline is not None
    until(lambda: datetime.now(UTC) > deadline, within=30)


def dead_at_the_deadline(scene: Leads) -> End:
    """Kill it while it waits for approval, and start it when the time to answer is over."""
    scene.rule(f'{ABOVE}\nexpires = "20s"')
    with scene.process() as bot:
        bot.ready()
        scene.asked()
        until(scene.stored)
        bot.kill()
    gone(scene)
    passed(scene)
    before = scene.kinds()
    with scene.process() as bot:
        bot.ready()
        scene.card_in("Expired", within=RESUMED)
        late = scene.answered(LEA, "approve", force=True)
        return over(scene, "Expired", late, str("expired" in before), told="nobody answered in time")


def dead_while_it_waits(scene: Leads) -> End:
    """Kill it while it waits for approval, start it again, send an old press once more, and approve."""
    with scene.process() as bot:
        bot.ready()
        number = scene.ordered()
        confirmed = scene.slack.press(ANN, scene.card_in("Waiting for confirmation", number), "confirm")
        scene.card_in(WAITING)
        bot.kill()
    gone(scene)
    with scene.process() as bot:
        bot.ready()
        before = len(scene.slack.ephemerals(ANN))
        scene.slack.redeliver(confirmed)
        replayed = scene.told(ANN, before)
        approved = scene.press(LEA, "approve")
        scene.card_in("Done", within=RESUMED)
        bot.kill()
    gone(scene)
    with scene.process() as bot:
        bot.ready()
        before = len(scene.slack.ephemerals(LEA))
        scene.slack.redeliver(approved)
        return over(scene, "Done", replayed, scene.told(LEA, before))


def dead_before_the_start(scene: Leads) -> End:
    """Kill it between approval and start, and start it again while it may still start."""
    _approved_and_killed(scene)
    with scene.process() as bot:
        bot.ready()
        return over(scene, "Done")


def dead_until_it_is_void(scene: Leads) -> End:
    """Kill it between approval and start, and start it again when it may not start any more."""
    scene.rule(f'{ABOVE}\nrun_within = "3s"')
    _approved_and_killed(scene)
    passed(scene)
    with scene.process() as bot:
        bot.ready()
        return over(scene, "Voided", told="not started in time")


def _approved_and_killed(scene: Leads) -> None:
    with scene.process() as bot:
        bot.ready()
        scene.asked()
        scene.cloud.faults.add("latency", READ, seconds=5.0, times=None)
        scene.press(LEA, "approve")
        bot.kill()
    assert (["approved"], []) == ([event.kind for event in scene.events("approved", "started")], scene.sent)
    scene.cloud.faults.clear()
    gone(scene)


def two_on_one_ledger(scene: Leads) -> End:
    """Let two processes take an approver's press each at the same moment."""
    with scene.process() as first, scene.process() as second:
        first.ready()
        second.ready()
        scene.slack.wait_for(lambda: scene.slack.connections == 2, PATIENCE)
        scene.asked()
        with ThreadPoolExecutor(2) as people:
            list(people.map(partial(scene.press, button="approve"), (LEA, MAX)))
        return over(scene, "Done", told="#1 is approved")


PLAYS: Final[tuple[Callable[[Leads], End], ...]] = (
    dead_at_the_deadline,
    dead_while_it_waits,
    dead_before_the_start,
    dead_until_it_is_void,
    two_on_one_ledger,
)
Ends = Callable[[Callable[[Leads], End]], End]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], End]]:
    told = Stories(tmp_path_factory.mktemp("killed"), *PLAYS, stage=Leads)
    yield told.end
    told.close()


def test_a_deadline_passes_while_it_is_dead(ends: Ends) -> None:
    """Nobody answered in time, and nobody was there to see it: restarted, it closes the card and takes no answer."""
    end = ends(dead_at_the_deadline)

    assert ["requested", "previewed", "confirmed", "expired"] == end.kinds[:4]
    assert ["retry"] == [button.action_id for button in end.card.buttons]
    assert "Nobody answered in time. Nothing was cancelled." in end.shown
    assert "#1 is already “Expired”" in end.answers[0]
    assert ("False", 0) == (end.answers[1], end.runs)


def test_a_wait_outlives_a_kill(ends: Ends) -> None:
    """What waited is approved after a restart; presses from before one, sent again, are late and change nothing."""
    end = ends(dead_while_it_waits)

    assert "#1 is already “Waiting for approval”. Nothing was changed." == end.answers[0]
    assert "#1 is already “Done”. Nothing was changed." == end.answers[1]
    once = ("confirmed", "approved", "started", "finished")
    assert dict.fromkeys(once, 1) == {kind: end.kinds.count(kind) for kind in once}
    assert 1 == end.runs


def test_killed_before_its_start_it_starts_once(ends: Ends) -> None:
    """Approved and killed, it starts once the dead process's lease has lapsed, by one run of one call."""
    end = ends(dead_before_the_start)

    assert (1, 1) == (end.kinds.count("started"), end.runs)
    assert "accepted 52 · confirmed 52" in end.shown


def test_killed_too_long_it_is_void(ends: Ends) -> None:
    """Approved and not started within `run_within`, it never starts, and its card says so."""
    end = ends(dead_until_it_is_void)

    assert ["voided"] == [kind for kind in end.kinds if kind in {"started", "voided"}]
    assert "It was not started in time. Nothing was cancelled." in end.shown
    assert ["retry"] == [button.action_id for button in end.card.buttons]
    assert 0 == end.runs


def test_two_bots_take_one_vote(ends: Ends) -> None:
    """Of two approvals at once, taken by two bots on one ledger, one is stored, and one run is made."""
    end = ends(two_on_one_ledger)

    assert (1, 1, 1) == (end.kinds.count("approved"), end.kinds.count("started"), end.runs)
    assert 1 == len([text for text in end.direct[ANN] if "is approved" in text])
