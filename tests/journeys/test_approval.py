"""The second person: who is asked, who may answer, what an answer does, and that it is given once."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from bot.playground.world import ANN, AUDIT, BEN, LEA, OPS
from tests.journeys.leads import GUEST, MAX, STRANGER, WAITING, Leads
from tests.journeys.stage import PATIENCE, until

WRONG: Final = {
    ANN: "not among the approvers of account pumps",
    BEN: "not among the approvers of account pumps",
    GUEST: "guests of this workspace may not cancel anything",
    STRANGER: "people of other organisations (Slack Connect) may not cancel anything",
}
"""Who may not approve Ann's order, and what they are told. The guest and the stranger are in the leads' group."""


@pytest.fixture(scope="module")
def leads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leads]:
    """Give a world in which an order of Ann's, #1, waits for a second person."""
    with Leads(tmp_path_factory.mktemp("leads"), 'break_glass = ["U0ANN"]') as scene, scene.hosted():
        scene.asked()
        yield scene


def test_the_card_shows_who_is_missing(leads: Leads) -> None:
    """The card says how many approvals are missing, of whom, why and until when, and has the buttons for it."""
    card = leads.card_in(WAITING)
    shown = leads.slack.plain(card)

    assert "1 approval is missing" in shown
    assert "@leads" in shown
    assert "up to 59 devices are more than 10" in shown
    assert ["approve", "reject", "withdraw", "break_glass"] == [button.action_id for button in card.buttons]
    assert {"1"} == {button.value for button in card.buttons}


def test_the_approvers_are_called(leads: Leads) -> None:
    """One reply mentions exactly those who may answer, and each of them is written to with a link to the card."""
    (reply,) = leads.slack.wait_for(lambda: leads.slack.thread(OPS, leads.card().ts), PATIENCE)

    assert [f"<@{LEA}>", f"<@{MAX}>"] == re.findall(r"<[@!](?!date)[^>]*>", reply.text)
    place = f"/archives/{OPS}/p{leads.card().ts.replace('.', '')}"
    for user in (LEA, MAX):
        message = leads.direct(user, "#1 waits for your approval")
        assert f"{place}|Go to its card>" in message.text
    assert [] == [message.text for user in (BEN, GUEST, STRANGER, ANN) for message in leads.slack.dms(user)]


@pytest.mark.parametrize("user", WRONG)
def test_the_wrong_people_are_refused(leads: Leads, user: str) -> None:
    """The requester, an outsider, a guest and a stranger press Approve: each hears why, and that is stored."""
    assert f"Refused: {WRONG[user]}. Nothing was changed." == leads.answered(user, "approve", force=True)

    refused = [event for event in leads.events("refused") if event.actor == user and event.body["what"] == "approve"]
    assert [(1, WRONG[user])] == [(event.cancellation, event.body["reason"]) for event in refused]
    assert (WAITING, ()) == (leads.state().phase.value, leads.state().votes)
    assert 0 == leads.runs()


@pytest.mark.parametrize(
    ("user", "button", "reason"),
    [
        (LEA, "withdraw", "only the person who asked for #{number} may withdraw it"),
        (LEA, "break_glass", "not among the requesters of account pumps"),
        (ANN, "reject", "not among the approvers of account pumps"),
        (BEN, "reject", "not among the approvers of account pumps"),
        (BEN, "withdraw", "only the person who asked for #{number} may withdraw it"),
    ],
)
def test_each_button_has_its_people(leads: Leads, user: str, button: str, reason: str) -> None:
    """Whoever may not press a button is told so instead of being asked for a reason."""
    refusal = f"Refused: {reason.format(number=leads.state().id)}. Nothing was changed."

    assert refusal == leads.answered(user, button)

    assert () == leads.slack.views(user)
    assert WAITING == leads.state().phase.value


def test_one_run_of_four_presses(leads: Leads) -> None:
    """Two approvers, each with a double click, all at once: one vote is taken, one run made, and the others hear it."""
    number = leads.asked(leads.batch("job-race"))
    heard = {user: len(leads.slack.ephemerals(user)) for user in (LEA, MAX)}

    with ThreadPoolExecutor(4) as people:
        pressed = list(people.map(lambda user: leads.press(user, "approve", number), (LEA, MAX, LEA, MAX)))
    leads.card_in("Done", number)

    assert [None] * 4 == [one.failure for one in pressed]
    assert 1 == len(leads.of(number, "approved")) == len(leads.of(number, "started")) == leads.runs("job-race")
    late = leads.slack.wait_for(
        lambda: [text for user in heard for text in leads.slack.ephemerals(user)[heard[user] :]][2:], PATIENCE
    )
    assert 1 == len(late)


def test_an_approval_is_told(leads: Leads) -> None:
    """Whoever asked is told of the approval in the thread and directly; the audit channel has a line for it."""
    number = leads.asked(leads.batch("job-told"))

    leads.press(LEA, "approve", number)

    leads.card_in("Done", number)
    assert leads.below(number, f"#{number} is approved").text.startswith(f"<@{ANN}> ")
    told = leads.direct(ANN, f"#{number} is approved by <@{LEA}>; it starts now")
    assert "|Go to its card>" in told.text
    plan = leads.state(number).digest or ""
    line = f"#{number} approved plan {plan[:12]} · lea ({LEA})"
    leads.slack.wait_for(lambda: [one for one in leads.slack.messages(AUDIT) if one.text.startswith(line)], PATIENCE)


def test_a_vote_holds_what_it_rests_on(leads: Leads) -> None:
    """The vote stores the plan's SHA-256, the rule in force, and what Slack said of the approver."""
    number = leads.asked(leads.batch("job-vote"))
    leads.press(MAX, "approve", number)
    leads.card_in("Done", number)

    (vote,) = [event.body for event in leads.events("approved") if event.cancellation == number]

    assert leads.state(number).digest == vote["plan"]
    assert (10, 1, ["S0LEADS"]) == tuple(vote["policy"][name] for name in ("above", "people", "approvers"))
    assert (["S0LEADS"], "T0LOCAL", []) == tuple(vote["evidence"][name] for name in ("groups", "team", "flags"))


def test_a_replayed_approval_changes_nothing(leads: Leads) -> None:
    """The same payload once more, after the end, is a late press."""
    number = leads.asked(leads.batch("job-replay"))
    pressed = leads.press(LEA, "approve", number)
    leads.card_in("Done", number)
    before, stored = len(leads.slack.ephemerals(LEA)), leads.of(number)

    leads.slack.redeliver(pressed)

    assert f"#{number} is already “Done”. Nothing was changed." == leads.told(LEA, before)
    assert (stored, 1) == (leads.of(number), leads.runs("job-replay"))


def test_one_no_ends_it(leads: Leads) -> None:
    """A rejection asks why, ends the order by one word, and is told to whoever asked with the reason."""
    number = leads.asked(leads.batch("job-no"))

    empty = leads.gives_reason(MAX, "reject", "   ", number)
    (form,) = leads.slack.views(MAX)
    sent = leads.slack.submit_view(MAX, form, {"reason": "It is the wrong batch."})

    assert "Say why, in a few words: it stays in the record." == empty.shown
    assert (None, "", ()) == (sent.failure, sent.shown, leads.slack.views(MAX))
    card = leads.card_in("Rejected", number)
    assert "By @max: It is the wrong batch. Nothing was cancelled." in leads.slack.plain(card)
    assert () == card.buttons
    assert leads.below(number, f"#{number} is rejected").text.startswith(f"<@{ANN}> ")
    leads.direct(ANN, f"#{number} is rejected by <@{MAX}>: It is the wrong batch. Nothing was cancelled")
    assert ([("rejected", MAX)], 0) == (leads.of(number, "rejected", "started"), leads.runs("job-no"))


def test_a_no_that_comes_too_late_is_said_in_its_form(leads: Leads) -> None:
    """A reason that is sent when the order has been withdrawn changes nothing, and the form says so."""
    number = leads.asked(leads.batch("job-late"))
    leads.press(LEA, "reject", number)
    form = leads.slack.wait_for(lambda: leads.slack.views(LEA), PATIENCE)[-1]
    leads.press(ANN, "withdraw", number)

    leads.slack.submit_view(LEA, form, {"reason": "It is the wrong batch."})

    assert f"#{number} is already “Withdrawn” by" in leads.slack.plain(leads.slack.views(LEA)[-1])
    leads.slack.close_view(LEA, leads.slack.views(LEA)[-1])
    assert [("withdrawn", ANN)] == leads.of(number, "withdrawn", "rejected")
    assert () == leads.card_in("Withdrawn", number).buttons


@pytest.mark.parametrize(("user", "job"), [(ANN, "job-stop-1"), (MAX, "job-stop-2")])
def test_what_is_approved_can_be_stopped(leads: Leads, user: str, job: str) -> None:
    """Between approval and start a requester or an approver stops it; an outsider cannot."""
    number = leads.asked(leads.batch(job))
    leads.cloud.faults.add("latency", "ListOTATaskByJob", seconds=2.0)
    leads.press(LEA, "approve", number)
    until(lambda: leads.of(number, "approved"))

    leads.card_in("Approved", number)
    outsider = leads.answered(BEN, "stop", number)
    leads.press(user, "stop", number)

    leads.card_in("Stopped", number)
    assert "Refused: not among the requesters or approvers of account pumps. Nothing was changed." == outsider
    assert ([("stopped", user)], 0) == (leads.of(number, "stopped", "started"), leads.runs(job))


def test_the_glass_is_broken(leads: Leads) -> None:
    """A listed requester goes on with a reason: it runs, those passed over are told, and the mark stays for ever."""
    number = leads.asked(leads.batch("job-glass"))

    assert None is leads.gives_reason(ANN, "break_glass", "Pumps flood the plant.", number).failure

    shown = leads.slack.plain(leads.card_in("Done", number))
    assert "Glass broken by @ann, so it went on without the approval it needed: Pumps flood the plant" in shown
    assert "accepted 20 · confirmed 20" in shown
    told = "went on without you"
    for user in (LEA, MAX):
        assert "Why: Pumps flood the plant." in leads.direct(user, told).text
    leads.below(number, told)
    line = f"#{number} BROKE GLASS for plan"
    (said,) = leads.slack.wait_for(
        lambda: [one.text for one in leads.slack.messages(AUDIT) if one.text.startswith(line)], PATIENCE
    )
    assert ": “Pumps flood the plant.” · ann" in said
    assert [("broke_glass", ANN)] == leads.of(number, "broke_glass", "approved")
    assert 1 == leads.runs("job-glass")


def test_the_same_order_twice(leads: Leads) -> None:
    """An order like an open one is answered with a link to that, and goes on only when its asker says so."""
    words = leads.batch("job-twice", 5)
    first = leads.ordered(words)
    leads.card_in("Waiting for confirmation", first)
    before = len(leads.slack.ephemerals(ANN))

    second = leads.ordered(words)

    answer = leads.slack.wait_for(lambda: leads.slack.ephemerals(ANN)[before + 1 :], PATIENCE)[0]
    place = f"/archives/{OPS}/p{leads.card(first).ts.replace('.', '')}"
    assert f"already #{first} by <@{ANN}> (waiting for confirmation): the queued tasks of job job-twice" in answer.text
    assert f"{place}|Go to its card>" in answer.text
    assert [("order_anyway", str(second))] == [(button.action_id, button.value) for button in answer.buttons]
    assert [] == leads.cards(second)
    leads.slack.press(ANN, answer, "order_anyway")
    leads.card_in("Waiting for confirmation", second)
    assert [("ordered_anyway", ANN)] == leads.of(second, "ordered_anyway")
