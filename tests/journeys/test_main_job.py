"""The main job: 40 queued and 12 notified tasks of a job are cancelled, and nothing else is."""

import re
from collections.abc import Iterator

import pytest

from bot.playground.slack.values import Message
from bot.playground.world import ANN, AUDIT, BEN, GUS, JOB, LEA, OPS
from tests.journeys.stage import COUNTS, END, PATIENCE, WORDS, Scene, ended


class Played:
    """The main job, played to its end on a world; what it met on its way is kept."""

    def __init__(self, world: Scene) -> None:
        self.world = world
        self.planned = world.planned()
        self.ordered = world.order()
        self.asked: Message = world.card()
        self.sent_before = list(world.sent)
        self.counts_before = dict(world.cloud.fleet.counts(JOB))
        self.confirmed = world.slack.press(ANN, self.asked, "confirm")
        self.done = world.card_in("Done")
        self.told = world.slack.wait_for(lambda: ended(world, self.done), PATIENCE)
        world.slack.wait_for(lambda: any("done:" in line.text for line in world.slack.messages(AUDIT)), PATIENCE)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with Scene(tmp_path_factory.mktemp("main-job")) as scene, scene.hosted():
        yield Played(scene)


def test_the_order_is_acknowledged_to_the_asker_alone(played: Played) -> None:
    """The asker is told the number, the job and the account at once, and nobody else sees that."""
    (answer,) = played.world.slack.ephemerals(ANN)

    assert f"#1: reading job {JOB} on pumps." in played.ordered.shown.replace("`", "")
    assert played.ordered.shown == played.world.slack.plain(answer)
    assert "" == played.confirmed.shown


def test_the_card_shows_what_would_be_hit(played: Played) -> None:
    """The card that asks for the confirmation shows counts, bound, operation, time, reason and digest."""
    shown = played.world.slack.plain(played.world.slack.message(OPS, played.asked.ts) or played.asked)
    asked = "\n".join(str(block) for block in played.asked.versions[0].blocks)
    digest = played.world.events("previewed")[0].body["digest"]

    assert played.asked.versions[0].text.startswith("Waiting for confirmation: cancellation #1")
    for fact in (
        f"<@{ANN}> wants to cancel *the queued and notified tasks of job {JOB}* on *pumps*",
        "52 now, at most 59",
        "unconfirmed 7, queued 40, notified 12, in-progress 5",
        "`CancelOTATaskByJob` queued, notified",
        "bout 1 s at the account's rate",
        "1.4.2 bricks pumps",
        digest[:12],
    ):
        assert fact in asked
    assert digest[:12] in shown


def test_nothing_is_cancelled_before_the_confirmation(played: Played) -> None:
    """Until the asker presses, the cloud gets no cancelling call and every task stays what it was."""
    assert [] == played.sent_before
    assert COUNTS == played.counts_before


def test_exactly_the_named_tasks_are_cancelled(played: Played) -> None:
    """The 52 queued and notified devices are cancelled, each by one call, and no other device is."""
    assert 52 == len(played.planned)
    assert played.planned == played.world.canceled
    assert {"CONFIRM": 7, "IN_PROGRESS": 5, "CANCELED": 52} == dict(played.world.cloud.fleet.counts(JOB))


def test_one_call_says_every_flag(played: Played) -> None:
    """One call cancels by job and says all five flags outright, as strings."""
    (call,) = played.world.sent

    assert {
        "JobId": JOB,
        "CancelQueuedTask": "true",
        "CancelNotifiedTask": "true",
        "CancelUnconfirmedTask": "false",
        "CancelInProgressTask": "false",
        "CancelScheduledTask": "false",
    } == {name: value for name, value in call.params.items() if name.startswith(("Job", "Cancel"))}
    assert "CancelOTATaskByJob" == call.action
    assert call.executed


def test_the_card_says_the_three_figures_apart(played: Played) -> None:
    """The finished card says asked, accepted, confirmed and what is left, in its blocks and in its text."""
    shown = played.world.slack.plain(played.done)

    assert shown.startswith("Done · cancellation #1")
    assert "asked 52 · accepted 52 · confirmed 52 · left 0" in shown
    assert "asked 52, accepted 52, confirmed 52" in played.done.text
    assert () == played.done.buttons


def test_there_is_one_card(played: Played) -> None:
    """The card is edited in place: the channel holds one message of the cancellation, and its thread the story."""
    assert [played.asked.ts] == [message.ts for message in played.world.slack.messages(OPS)]
    assert [
        "Confirmed by ann. Started: asked 52, 1 call.",
        END.format(statuses="queued and notified", job=JOB, number=1, count=52),
    ] == [reply.text for reply in played.told]


def test_the_end_rings_the_askers_phone_alone(played: Played) -> None:
    """The card and the reply ring the asker once each; nobody else's phone rings, not for the audit lines either."""
    slack = played.world.slack

    assert [("mention", played.asked.ts), ("mention", played.told[-1].ts)] == [
        (ring.why, ring.message.ts) for ring in slack.notifications(ANN)
    ]
    assert [] == [ring for user in (BEN, GUS, LEA) for ring in slack.notifications(user)]


def test_the_ledger_tells_the_story(played: Played) -> None:
    """The ledger holds each step once, by whom it was taken, and what the person's decision rested on."""
    events = played.world.events()
    kinds = ["requested", "previewed", "confirmed", "started", "call_sent", "call_finished", "verified", "finished"]

    assert kinds == [event.kind for event in events]
    assert [ANN, "bot", ANN, "bot", "bot", "bot", "bot", "bot"] == [event.actor for event in events]
    requested, previewed, confirmed, _, call_sent, call_finished, *_ = (event.body for event in events)
    assert "1.4.2 bricks pumps" == requested["order"]["reason"]
    assert previewed["digest"] == confirmed["plan"]
    assert ["S0ONCALL"] == confirmed["evidence"]["groups"]
    assert 100 == confirmed["policy"]["above"]
    assert ("CancelOTATaskByJob", 1, 1) == (call_sent["action"], call_sent["call"], call_sent["attempt"])
    assert ("done", played.world.sent[0].request_id) == (call_finished["outcome"], call_finished["request_id"])


def test_the_chain_holds(played: Played) -> None:
    """Recomputing the chain finds every event in order, and the last one's digest as its head."""
    found = played.world.verified()

    assert (len(played.world.events()), 1, played.world.events()[-1].digest) == (
        found.events,
        found.cancellations,
        found.head,
    )


def test_the_audit_channel_is_a_witness(played: Played) -> None:
    """Each decision and the end have a line, in order, ending with the event's id and the digits of its digest."""
    lines = [line.text for line in played.world.slack.messages(AUDIT)]
    digests = {event.id: event.digest for event in played.world.events()}
    ends = [re.search(r"event (\d+) ([0-9a-f]{12})$", line) for line in lines]

    assert [(3, digests[3][:12]), (8, digests[8][:12])] == [(int(end[1]), end[2]) for end in ends if end]
    assert lines[0].startswith("#1 confirmed plan ")
    assert "because “1.4.2 bricks pumps”" in lines[0]
    assert lines[1].startswith("#1 done: asked 52, accepted 52, confirmed 52, left 0")
    assert [] == [line for line in lines if re.search(r"<[@!#]", line)]


def test_withdrawn_is_not_run(world: Scene) -> None:
    """An order that its asker takes back says so on its card, has no button any more and cancels nothing."""
    world.order(WORDS)
    world.slack.press(ANN, world.card(), "withdraw")

    card = world.card_in("Withdrawn")

    assert () == card.buttons
    assert ["requested", "previewed", "withdrawn"] == world.kinds()
    assert ([], {}) == (world.sent, world.canceled)
