"""What an approval asks for and does not outlive: two people, reminders, growth, other rules, nobody to ask."""

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from bot.playground.world import ANN, AUDIT, JOB, LEA
from tests.journeys.leads import ABOVE, MAX, READ, RESUMED, WAITING, End, Leads, over
from tests.journeys.stage import COMMAND, PATIENCE, SECRETS, Stories

# --- reminders, and two people -----------------------------------------------------------------------------------


def two_are_needed(scene: Leads) -> End:
    """Need two people of whom one takes their time: who has not answered is reminded, and nobody after the end."""
    scene.rule(f'{ABOVE}\npeople = 2\nexpires = "48s"')
    with scene.hosted():
        scene.asked()
        scene.press(LEA, "approve")
        scene.below(1, "it still needs 1 more approval")
        scene.slack.wait_for(lambda: "Yes from" in scene.slack.plain(scene.card()), PATIENCE)
        half = scene.slack.plain(scene.card_in(WAITING))
        twice = scene.answered(LEA, "approve")
        scene.below(1, "still waits", within=RESUMED)
        scene.direct(MAX, "still waits", within=RESUMED)
        scene.press(MAX, "approve")
        scene.card_in("Done")
        # The next reminder would come 24 s after the confirmation.
        confirmed = scene.state().confirmed_at
        assert confirmed is not None
        time.sleep(max(0.0, confirmed.timestamp() + 25 - time.time()))
        return over(scene, "Done", half, twice, told="it starts now")


# --- what does not hold any more ---------------------------------------------------------------------------------


def grown(scene: Leads) -> End:
    """Let the job grow beyond what is on the card while somebody makes up their mind; then ask again."""
    with scene.hosted():
        scene.asked()
        scene.cloud.fleet.add_tasks(JOB, "QUEUED", 30, device_prefix="late")
        scene.press(LEA, "approve")
        over(scene, "Voided", told="more than the 59")
        scene.press(ANN, "retry")
        scene.card_in("Waiting for confirmation", 2)
        return over(scene, "Voided")


def stricter(scene: Leads) -> End:
    """Raise the number of people between approval and start, which a restart lies between."""
    with scene.hosted():
        scene.asked()
        scene.cloud.faults.add("http_503", READ, times=None)
        scene.press(LEA, "approve")
        scene.card_in("Approved")
    scene.cloud.faults.clear()
    scene.rule(f"{ABOVE}\npeople = 2")
    with scene.hosted():
        return over(scene, "Voided", told="stricter now")


def lowered(scene: Leads) -> End:
    """Lower the guard between two starts."""
    with scene.hosted():
        scene.asked()
    scene.rule('above = 5000\nbreak_glass = ["U0ANN"]')
    with scene.hosted():
        lines = scene.slack.wait_for(
            lambda: [line.text for line in scene.slack.messages(AUDIT) if "guard of pumps" in line.text], PATIENCE
        )
        return over(scene, WAITING, *lines)


def nobody_to_ask(scene: Leads) -> End:
    """Order something large where the only approver is whoever orders; ask `ota-bot check` about it, too."""
    scene.slack.add_group("S0LEADS", "leads", [ANN])
    with scene.hosted():
        scene.order()
        refused = scene.told(ANN, 1)
        small = scene.ordered(scene.batch("job-small", 5))
        scene.card_in("Waiting for confirmation", small)
    checked = subprocess.run(  # noqa: S603 - the command under test
        [COMMAND, "check", "--config", scene.config],
        capture_output=True,
        check=False,
        env=dict(SECRETS),
        text=True,
        timeout=60,
    )
    return End(
        scene=scene,
        events=scene.events(),
        card=scene.card(small),
        shown="",
        runs=len(scene.sent),
        thread=[],
        direct={},
        answers=(refused, str(checked.returncode), checked.stderr, str(scene.cards(1))),
    )


PLAYS: Final[tuple[Callable[[Leads], End], ...]] = (
    two_are_needed,
    grown,
    stricter,
    lowered,
    nobody_to_ask,
)
Ends = Callable[[Callable[[Leads], End]], End]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], End]]:
    told = Stories(tmp_path_factory.mktemp("ends"), *PLAYS, stage=Leads)
    yield told.end
    told.close()


def test_two_people(ends: Ends) -> None:
    """With `people = 2` one yes is half: the card names who gave it, a second one by them is none, the next runs it."""
    end = ends(two_are_needed)
    half, twice = end.answers

    assert "Yes from @lea" in half
    assert "1 approval is missing" in half
    assert twice.startswith("You have approved #1 already")
    assert [LEA, MAX] == [event.actor for event in end.events if event.kind == "approved"]
    assert 1 == end.runs


def test_reminders(ends: Ends) -> None:
    """Only who has not answered is reminded, in the thread and directly, and nobody once it has its answer."""
    end = ends(two_are_needed)

    assert 1 == end.kinds.count("reminded")
    (reminder,) = [text for text in end.thread if "still waits" in text]
    assert reminder.startswith(f"<@{MAX}> #1 ")
    assert [0, 1] == [len([text for text in end.direct[user] if "still waits" in text]) for user in (LEA, MAX)]


def test_a_job_that_grew_is_not_run(ends: Ends) -> None:
    """More devices than the card said: void, and “Ask again” opens a new order with a confirmation of its own."""
    end = ends(grown)

    assert "It would hit 82 devices, more than the 59 that were confirmed. Nothing was cancelled." in end.shown
    assert "asked for again as #2" in end.shown
    assert (1, ANN, ()) == (end.scene.state(2).retry_of, end.scene.state(2).requester, end.scene.state(2).votes)
    assert (0, 0) == (end.kinds.count("started"), end.runs)


def test_stricter_rules_at_the_restart(ends: Ends) -> None:
    """One yes was enough when it was given, and is not at the start: void."""
    end = ends(stricter)

    assert ["approved", "voided"] == [kind for kind in end.kinds if kind in {"approved", "started", "voided"}]
    assert "The approval rules are stricter now than when it was agreed to" in end.shown
    assert 0 == end.runs


def test_a_lowered_guard_is_seen(ends: Ends) -> None:
    """A start with other rules than the last is an event and a line of the audit channel that say from what to what."""
    end = ends(lowered)
    (changed,) = [event for event in end.events if event.kind == "guard_changed"]

    assert ("pumps", 10, 5000) == (
        changed.body["account"],
        changed.body["before"]["above"],
        changed.body["after"]["above"],
    )
    (line,) = end.answers
    assert "guard of pumps changed: above from 10 to 5000; break_glass from nobody to U0ANN" in line
    assert f"event {changed.id} {changed.digest[:12]}" in line


def test_a_quorum_that_cannot_be_reached(ends: Ends) -> None:
    """Where nobody but the asker may approve, a large order is refused and a small one is not; `check` says so."""
    refused, code, problems, cards = ends(nobody_to_ask).answers

    assert "of the approvers of account pumps (S0LEADS) there are none besides you who may" in refused
    assert "[]" == cards
    assert "1" == code
    assert "accounts.pumps.approvers: 1 are needed besides the requester and there are 0" in problems
