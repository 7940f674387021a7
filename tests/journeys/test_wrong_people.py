"""Whoever may not cancel is told why, that is stored, and nothing is cancelled."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from bot.playground.slack.values import Delivery, Message
from bot.playground.slack.workspace import BOT_USER
from bot.playground.world import ANN, AUDIT, BEN, LEA, OPS
from tests.journeys.stage import PATIENCE, WORDS, Scene, until

GUEST, ULTRA, STRANGER, FOREIGNER, GONE, ROBOT, APP, CARL = (
    "U0GUEST",
    "U0ULTRA",
    "U0STRANGER",
    "W0FOREIGN",
    "U0GONE",
    "U0ROBOT",
    "U0APP",
    "U0CARL",
)
SIDE, SHARED, CELLAR = "C0SIDE", "C0SIDE", "C0CELLAR"
ORGANISATION: Final = "people of other organisations (Slack Connect) may not cancel anything"
ELSEWHERE: Final = "Slack says that you come from another workspace (T0ELSEWHERE) than mine"
REASONS: Final = {
    GUEST: "guests of this workspace may not cancel anything",
    ULTRA: "guests of this workspace may not cancel anything",
    STRANGER: ORGANISATION,
    FOREIGNER: ORGANISATION,
    GONE: "deactivated accounts may not cancel anything",
    ROBOT: "bots may not cancel anything",
    APP: "bots may not cancel anything",
    BEN: "not among the requesters of account pumps",
    LEA: "not among the requesters of account pumps",
}
"""What each of them is told. All but Ben and Lea are in the group on call: the group is not what stops them."""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give a world with everybody in it who may not cancel, and one card of Ann's that waits for her."""
    with Scene(tmp_path_factory.mktemp("crowd")) as scene:
        slack = scene.slack
        slack.add_user(GUEST, "guest", is_restricted=True)
        slack.add_user(ULTRA, "ultra", is_restricted=True, is_ultra_restricted=True)
        slack.add_user(STRANGER, "stranger", is_stranger=True)
        slack.add_user(FOREIGNER, "foreigner", team_id="T0ELSEWHERE")
        slack.add_user(GONE, "gone", deleted=True)
        slack.add_user(ROBOT, "robot", is_bot=True)
        slack.add_user(APP, "app", is_app_user=True)
        everybody = [ANN, *REASONS]
        slack.add_group("S0ONCALL", "oncall", [user for user in everybody if user not in (BEN, LEA)])
        slack.add_channel(OPS, "ota-ops", everybody)
        slack.add_channel(SHARED, "ota-with-supplier", everybody, is_ext_shared=True)
        slack.add_channel(CELLAR, "cellar", everybody, bot_member=False, is_private=True)
        with scene.hosted():
            scene.order()
            scene.card()
            yield scene


def told(world: Scene, user: str, before: Sequence[Message] = ()) -> str:
    """Wait for the next thing that this person alone sees, beside what is said while they wait, and return it."""

    def refusals() -> list[str]:
        texts = [message.text for message in world.slack.ephemerals(user)[len(before) :]]
        return [text for text in texts if "What comes of it follows here" not in text]

    return world.slack.wait_for(refusals, PATIENCE)[0]


def refused(world: Scene, user: str) -> list[tuple[int | None, str, str]]:
    """Return the refusals of a person that are stored: of which cancellation, of what, and why."""
    return [
        (event.cancellation, event.body["what"], event.body["reason"])
        for event in world.events("refused")
        if event.actor == user
    ]


@pytest.mark.parametrize("user", REASONS)
def test_an_order_is_refused_with_its_reason(crowd: Scene, user: str) -> None:
    """Guests, strangers, the deactivated, bots and members outside the groups may not order; that is stored."""
    before = crowd.slack.ephemerals(user)

    crowd.order(user=user, force=True)

    answer = told(crowd, user, before)
    orders = [(what, reason) for _, what, reason in refused(crowd, user)]
    assert f"Refused: {REASONS[user]}. Nothing was changed." in answer
    assert ("order", REASONS[user]) in orders
    assert ["previewed"] == [event.kind for event in crowd.events("previewed")]
    assert ([], {}) == (crowd.sent, crowd.canceled)


@pytest.mark.parametrize("button", ["confirm", "withdraw"])
@pytest.mark.parametrize("user", REASONS)
def test_a_press_on_somebody_elses_card_is_refused(crowd: Scene, user: str, button: str) -> None:
    """None of them can confirm or withdraw what Ann has asked for; each hears why, and it is stored with the card's id.

    Each is refused five times in these tests at most: the eleventh within an hour would not be stored.
    """
    before = crowd.slack.ephemerals(user)
    # A press, unlike a command, says which workspace its person comes from.
    reason = ELSEWHERE if user == FOREIGNER else REASONS[user]
    if (user, button) in ((BEN, "withdraw"), (LEA, "withdraw")):
        # To take back is safe, so no list is asked for: somebody who has left one may still do it.
        reason = "only the person who asked for #1 may withdraw it"

    crowd.slack.press(user, crowd.card(), button, force=True)

    assert f"Refused: {reason}. Nothing was changed." == told(crowd, user, before)
    until(lambda: (1, button, reason) in refused(crowd, user))
    assert "Waiting for confirmation" == crowd.state().phase.value
    assert ([], {}) == (crowd.sent, crowd.canceled)


def test_the_refusal_keeps_its_evidence(crowd: Scene) -> None:
    """What Slack said of the person stands beside the refusal: groups, workspace, flags, and when."""
    before = crowd.slack.ephemerals(GUEST)
    crowd.slack.press(GUEST, crowd.card(), "confirm", force=True)
    told(crowd, GUEST, before)

    evidence = next(event.body["evidence"] for event in crowd.events("refused") if event.actor == GUEST)

    assert (["S0ONCALL"], "T0LOCAL", ["guest"]) == (evidence["groups"], evidence["team"], evidence["flags"])
    assert evidence["at"]


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (AUDIT, "account pumps may not be used in this channel"),
        (CELLAR, "account pumps may not be used in this channel"),
        (SHARED, "this channel is shared with another organisation"),
    ],
    ids=["not listed", "private, without the bot", "shared with another company"],
)
def test_an_order_in_the_wrong_place_is_refused(crowd: Scene, channel: str, reason: str) -> None:
    """Ann herself may not order where the account is not at home, or where another company reads along."""
    before = crowd.slack.ephemerals(ANN)

    crowd.order(user=ANN, channel=channel, force=True)

    assert f"Refused: {reason}. Nothing was changed." in told(crowd, ANN, before)
    assert reason in [why for _, _, why in refused(crowd, ANN)]
    assert ([], {}) == (crowd.sent, crowd.canceled)


def test_another_requester_may_not_confirm(crowd: Scene) -> None:
    """Being allowed to order does not make somebody else's order one's own."""
    crowd.slack.add_user(CARL, "carl")
    crowd.slack.add_group("S0ONCALL", "oncall", [*crowd.slack.groups["S0ONCALL"].users, CARL])
    # Who is in the group is believed for a minute; Carl comes in as a new channel member whom nobody has asked about.
    crowd.slack.add_channel(OPS, "ota-ops", [*crowd.slack.channels[OPS].members, CARL])

    crowd.slack.press(CARL, crowd.card(), "confirm")

    assert "Nothing was changed." in told(crowd, CARL)
    assert "Waiting for confirmation" == crowd.state().phase.value
    assert [] == crowd.events("confirmed")


# --- the right person, the wrong way ---------------------------------------------------------------------------------


def presses(world: Scene, card: Message, button: str, times: int) -> list[Delivery]:
    """Press a button so many times at the same moment."""
    at_once = threading.Barrier(times)

    def press(_number: int) -> Delivery:
        at_once.wait()
        return world.slack.press(ANN, card, button, force=True)

    with ThreadPoolExecutor(times) as fingers:
        return list(fingers.map(press, range(times)))


def forged(world: Scene, card: Message, value: str, **changes: str) -> Message:
    """Put a copy of the card's first button into the channel, carrying another value."""
    (actions,) = (block for block in card.blocks if block["type"] == "actions")
    button: dict[str, Any] = {**actions["elements"][0], "value": value, **changes}
    return world.slack.post(channel=OPS, user=BOT_USER, text="a copy", blocks=[{**actions, "elements": [button]}])


def test_a_double_click_counts_once(world: Scene) -> None:
    """Of four presses at the same moment one is the confirmation; the others are told that they came too late."""
    world.order()
    card = world.card()

    delivered = presses(world, card, "confirm", 4)

    world.card_in("Done")
    until(lambda: len(world.slack.ephemerals(ANN)) >= 4)
    late = [message.text for message in world.slack.ephemerals(ANN)[1:]]
    assert [None] * 4 == [one.failure for one in delivered]
    assert 1 == len(world.events("confirmed")) == len(world.sent)
    assert 3 == len(late)
    assert all(text.startswith("#1 is already “") and text.endswith("Nothing was changed.") for text in late)


def test_a_press_delivered_again_changes_nothing(world: Scene) -> None:
    """The same envelope once more, as Slack sends it after a lost acknowledgement, is a late press."""
    world.order()
    pressed = world.slack.press(ANN, world.card(), "confirm")
    world.card_in("Done")

    world.slack.redeliver(pressed)

    assert (
        "#1 is already “Done”. Nothing was changed."
        == world.slack.wait_for(lambda: world.slack.ephemerals(ANN)[1:], PATIENCE)[0].text
    )
    assert 1 == len(world.events("confirmed")) == len(world.sent)


def test_an_order_delivered_again_opens_nothing(world: Scene) -> None:
    """The same slash command once more is answered with the number that it has got."""
    first = world.order()
    world.card()

    again = world.slack.redeliver(first)

    assert "That is #1 already." == again.shown
    assert 1 == len(world.events("requested"))


def test_a_button_of_an_older_card_is_too_late(world: Scene) -> None:
    """A client that still shows the red button after the end gets the end told, and nothing is run."""
    world.order()
    card = world.card()
    world.slack.press(ANN, card, "withdraw")
    world.card_in("Withdrawn")

    world.slack.press(ANN, card, "confirm", force=True)

    assert f"#1 is already “Withdrawn” by <@{ANN}>. Nothing was changed." == told(world, ANN)
    assert ([], {}) == (world.sent, world.canceled)


def test_only_the_card_itself_counts(world: Scene) -> None:
    """A copy of the card in the channel confirms nothing, whatever its buttons carry."""
    world.order()
    copy = forged(world, world.card(), "1")

    world.slack.press(ANN, copy, "confirm")

    assert "That message is not the card of #1. Nothing was changed; use the card itself." == told(world, ANN)
    assert [] == world.events("confirmed")


def test_a_card_does_not_press_another(world: Scene) -> None:
    """The card of one cancellation cannot answer for another, though its asker could answer for both."""
    world.cloud.fleet.add_job("another-job", counts={"QUEUED": 5})
    world.order()
    world.order("job another-job queued")
    world.card(2)
    copy = forged(world, world.card(1), "2")

    world.slack.press(ANN, copy, "confirm")

    assert "That message is not the card of #2. Nothing was changed; use the card itself." == told(world, ANN)
    assert [] == world.events("confirmed")


def test_a_press_that_names_another_workspace_is_refused(world: Scene) -> None:
    """A press whose payload says that Ann comes from elsewhere does nothing, whatever users.info says."""
    world.order()
    card = world.card()
    # What users.info said for the order is believed for a minute; from now on the payloads say otherwise.
    world.slack.add_user(ANN, "ann", team_id="T0ELSEWHERE")

    world.slack.press(ANN, card, "confirm")

    assert f"Refused: {ELSEWHERE}. Nothing was changed." == told(world, ANN)
    assert [(1, "confirm", ELSEWHERE)] == refused(world, ANN)
    assert [] == world.events("confirmed")


def test_a_command_that_names_another_workspace_is_refused(world: Scene) -> None:
    """A command of another workspace is refused in its acknowledgement, stored as refused, and opens nothing."""
    typed = world.order("help")

    again = world.slack._send(typed.kind, ANN, {**typed.payload, "text": WORDS, "team_id": "T0ELSEWHERE"})

    assert f"Refused: {ELSEWHERE}. Nothing was changed." == again.shown
    assert [(None, "order", ELSEWHERE)] == until(lambda: refused(world, ANN))
    assert [] == world.events("requested")


@pytest.mark.parametrize("button", ["approve_all", "stop_all", "s" * 255])
def test_a_button_that_nobody_knows_does_nothing(crowd: Scene, button: str) -> None:
    """A button of another version of the bot is acknowledged and answered, and nothing is done."""
    before = crowd.slack.ephemerals(ANN)

    pressed = crowd.slack.press(ANN, forged(crowd, crowd.card(), "1", action_id=button), button)

    assert None is pressed.failure
    assert "I do not know that button: it is not from this version of me. Nothing was done." == told(crowd, ANN, before)
    assert "Waiting for confirmation" == crowd.state().phase.value


def test_a_form_that_nobody_knows_does_nothing(crowd: Scene) -> None:
    """A form of another version is acknowledged, and says in its place that nothing was done; so is its closing."""
    form: dict[str, Any] = {
        "type": "modal",
        "callback_id": "form_of_another_version",
        "title": {"type": "plain_text", "text": "Cancel"},
    }
    note = {"type": "section", "text": {"type": "plain_text", "text": "A form"}}
    form |= {"blocks": [note], "notify_on_close": True}

    closed = crowd.slack.close_view(ANN, crowd.slack.show_view(ANN, form))
    sent = crowd.slack.submit_view(ANN, crowd.slack.show_view(ANN, form), {})
    (shown,) = crowd.slack.views(ANN)

    assert (None, None) == (sent.failure, getattr(closed, "failure", "none was sent"))
    assert "I do not know that form: it is not from this version of me. Nothing was done." in crowd.slack.plain(shown)


def test_a_shortcut_that_nobody_knows_does_nothing(crowd: Scene) -> None:
    """A shortcut of another version is acknowledged."""
    assert None is crowd.slack.shortcut(ANN, "form_of_another_version").failure


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "1 or 1=1", "9" * 30, "{}", "²", "\u0661", "\uff11", "01", "1\n", " 1"]
)
def test_a_button_that_carries_rubbish_does_nothing(crowd: Scene, value: str) -> None:
    """Whatever a button carries, the answer is a sentence, and nothing is changed."""
    before = crowd.slack.ephemerals(ANN)

    pressed = crowd.slack.press(ANN, forged(crowd, crowd.card(), value), "confirm")

    assert None is pressed.failure
    assert "Nothing was changed" in told(crowd, ANN, before)
    assert [] == crowd.events("confirmed")


def test_slack_not_saying_who_it_is_means_no(world: Scene) -> None:
    """When Slack does not answer who pressed, the press fails closed, within the time, and may be repeated."""
    world.order()
    card = world.card()
    world.slack.add_user(CARL, "carl")
    world.slack.add_channel(OPS, "ota-ops", [ANN, CARL])
    world.slack.faults.add("users.info", delay=1.7)

    pressed = world.slack.press(CARL, card, "confirm")

    assert (pressed.acked_in or 99) < 2.5
    assert "Slack did not tell me in time who you are. Nothing was done, press again." == told(world, CARL)
    assert [] == world.events("confirmed", "refused")


def test_words_are_no_order(world: Scene) -> None:
    """Words that make no order are answered, and neither stored nor shown to anybody else."""
    shown = world.order(WORDS.replace("queued", "queud")).shown

    assert "“queud” does not fit there" in shown
    assert [] == world.events()
    assert () == world.slack.messages(OPS)
