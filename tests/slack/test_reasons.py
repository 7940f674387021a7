"""The modals that ask why: opened for whoever may, taken from them alone, and answered where nothing came of it."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any, Final, cast

import pytest
from slack_bolt import BoltContext

from bot.domain.events import Event
from bot.domain.words import LONGEST_REASON
from bot.engine.keeper import Halt
from bot.playground.slack.values import Delivery, View
from bot.playground.world import ANN, BEN, LEA, OPS
from bot.slack.reasons import NOT_GIVEN, Reasons
from bot.wiring.bot import Bot
from tests.builders import void
from tests.journeys.leads import GUEST, MAX, STRANGER, Leads
from tests.journeys.stage import PATIENCE

JOBS: Final = count(1)
ASKED: Final = {"reject": "Why is it rejected?", "break_glass": "Why can it not wait for approval?"}
MAY: Final = {"reject": LEA, "break_glass": ANN}
"""Who may press each button of Ann's order."""
ENDS: Final = {"reject": "Rejected", "break_glass": "Done"}
KINDS: Final = {"reject": "rejected", "break_glass": "broke_glass"}


class Desk(Leads):
    """The scene with the bot in this process; Ben may order, too, and may break no glass."""

    bot: Bot

    def opened(self, button: str, number: int, user: str | None = None) -> View:
        """Press a button that asks why, and return its modal."""
        user = user or MAY[button]
        assert None is self.press(user, button, number).failure
        view: View = self.slack.wait_for(lambda: self.slack.views(user), PATIENCE)[-1]
        return view

    def sends(self, view: View, reason: str, **changes: Any) -> Delivery:
        """Send what came back in a modal, in the name of whoever is `user`; other `changes` are of the view."""
        user = changes.pop("user", view.user)
        payload = self.slack._interaction("view_submission", user) | {"response_urls": []}
        values = {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}
        body = {**view.body, "id": view.id, "state": {"values": values}, **changes}
        return self.slack._send("interactive", user, payload | {"view": body})

    def decided(self, number: int) -> list[Event]:
        """Return the decisions on an order since it was confirmed."""
        kinds = ("approved", "rejected", "broke_glass", "withdrawn", "voided", "started")
        return [event for event in self.events(*kinds) if event.cancellation == number]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("desk"), 'break_glass = ["U0ANN"]') as desk:
        desk.slack.add_group("S0ONCALL", "oncall", [ANN, BEN])
        with desk.hosted() as bot:
            desk.bot = bot
            yield desk


@pytest.fixture
def number(desk: Desk) -> int:
    """Give an order of Ann's that waits for approval, on a job of its own."""
    return desk.asked(desk.batch(f"why-{next(JOBS)}"))


@pytest.fixture(scope="module")
def open_one(desk: Desk) -> int:
    """Give an order of Ann's that waits for approval, to everybody who decides nothing about it."""
    return desk.asked(desk.batch("why"))


@pytest.fixture(autouse=True)
def nobody_has_a_form_open(desk: Desk) -> Iterator[None]:
    yield
    for user in (ANN, BEN, LEA, MAX):
        desk.slack.close_views(user)


def notice(sent: Delivery) -> str:
    """Return what the modal says in place of its question."""
    answer = sent.answer or {}
    assert "update" == answer["response_action"]
    text: str = answer["view"]["blocks"][0]["text"]["text"]
    return text


# --- opening it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", ASKED)
def test_whoever_may_is_asked_why(desk: Desk, open_one: int, button: str) -> None:
    """The modal asks, says what it is about and what comes of it; it carries the number alone; nothing is decided."""
    view = desk.opened(button, open_one)
    shown = desk.slack.plain(view)

    assert ASKED[button] in shown
    assert f"#{open_one}, the queued tasks of job" in shown
    assert "on pumps: 20 now" in shown
    assert (f"{button}_form", str(open_one)) == (view.callback_id, view.body["private_metadata"])
    assert [] == desk.decided(open_one)


@pytest.mark.parametrize(
    ("button", "user", "why"),
    [
        ("reject", ANN, "not among the approvers of account pumps"),
        ("reject", BEN, "not among the approvers of account pumps"),
        ("reject", GUEST, "guests of this workspace may not cancel anything"),
        ("reject", STRANGER, "people of other organisations (Slack Connect) may not cancel anything"),
        ("break_glass", LEA, "not among the requesters of account pumps"),
        ("break_glass", BEN, "only the person who asked for #{number} may break glass for it"),
    ],
)
def test_nobody_else_is_asked(desk: Desk, open_one: int, button: str, user: str, why: str) -> None:
    """Whoever may not press it sees why, and no modal; it is remembered, and nothing is decided."""
    told = desk.answered(user, button, open_one)

    assert f"Refused: {why.format(number=open_one)}. Nothing was changed." == told
    assert () == desk.slack.views(user)
    assert (user, button, open_one) in [
        (event.actor, event.body["what"], event.cancellation) for event in desk.events("refused")
    ]
    assert [] == desk.decided(open_one)


@pytest.mark.parametrize("button", ASKED)
def test_what_is_over_is_not_asked(desk: Desk, number: int, button: str) -> None:
    """A press on the card as it was before the end is told the end, and no modal opens."""
    desk.press(ANN, "withdraw", number)
    desk.card_in("Withdrawn", number)

    told = desk.answered(MAY[button], button, number, force=True)

    assert f"#{number} is already “Withdrawn” by <@{ANN}>. Nothing was changed." == told
    assert () == desk.slack.views(MAY[button])


@pytest.mark.parametrize("fault", [{"error": "expired_trigger_id"}, {"status": 500}, {"drop": True}])
def test_a_modal_that_does_not_open_is_said(desk: Desk, open_one: int, fault: dict[str, Any]) -> None:
    """When Slack opens no modal, whoever pressed hears that nothing was done, and what to do."""
    desk.slack.faults.add("views.open", **fault)

    told = desk.answered(LEA, "reject", open_one)

    assert "Slack did not open the form that asks why. Nothing was done; press the button again." == told
    assert [] == desk.decided(open_one)


# --- sending it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", ASKED)
def test_without_a_reason_nothing_happens(desk: Desk, open_one: int, button: str) -> None:
    """An empty reason is answered on its field, the modal stays, and nothing is decided."""
    view = desk.opened(button, open_one)

    sent = [desk.sends(view, reason) for reason in ("", "   ", " \n\t ")]

    assert [{"response_action": "errors", "errors": {"reason": NOT_GIVEN}}] * 3 == [one.answer for one in sent]
    assert [view.id] == [one.id for one in desk.slack.views(MAY[button])]
    assert [] == desk.decided(open_one)


@pytest.mark.parametrize("button", ASKED)
def test_a_reason_decides(desk: Desk, number: int, button: str) -> None:
    """The reason stands in the ledger with the plan's digest and what is known of who gave it; the modal closes."""
    view = desk.opened(button, number)

    sent = desk.slack.submit_view(view.user, view, {"reason": "  the pumps\nflood  "})

    assert (None, (), {}) == (sent.failure, desk.slack.views(view.user), sent.answer or {})
    event = desk.decided(number)[0]
    assert (KINDS[button], MAY[button], "the pumps\nflood", desk.state(number).digest) == (
        event.kind,
        event.actor,
        event.body["reason"],
        event.body["plan"],
    )
    assert "T0LOCAL" == event.body["evidence"]["team"]
    assert "the pumps flood" in desk.slack.plain(desk.card_in(ENDS[button], number))


def test_a_long_reason_is_cut(desk: Desk, number: int) -> None:
    """Whatever a forged modal holds, no more of it is kept than one may type."""
    desk.sends(desk.opened("reject", number), "x" * 3000)

    assert ["x" * LONGEST_REASON] == [event.body["reason"] for event in desk.decided(number)]


@pytest.mark.parametrize(
    ("button", "user", "why"),
    [
        ("reject", ANN, "Refused: not among the approvers of account pumps. Nothing was changed."),
        ("reject", BEN, "Refused: not among the approvers of account pumps. Nothing was changed."),
        ("break_glass", LEA, "Refused: not among the requesters of account pumps. Nothing was changed."),
        (
            "break_glass",
            BEN,
            "Refused: only the person who asked for #{number} may break glass for it. Nothing was changed.",
        ),
    ],
)
def test_somebody_elses_answer_counts_for_nothing(desk: Desk, open_one: int, button: str, user: str, why: str) -> None:
    """That a modal is open is no authority: whoever sends it is looked up, and told why not."""
    view = desk.opened(button, open_one)

    assert why.format(number=open_one) == notice(desk.sends(view, "pumps flood", user=user))
    assert [] == desk.decided(open_one)
    assert (user, button, open_one) in [
        (event.actor, event.body["what"], event.cancellation) for event in desk.events("refused")
    ]


@pytest.mark.parametrize("button", ASKED)
def test_a_replayed_answer_changes_nothing(desk: Desk, number: int, button: str) -> None:
    """The same modal sent again, in its envelope or a new one, finds what it has done and is told so."""
    view = desk.opened(button, number)
    first = desk.sends(view, "pumps flood")
    desk.card_in(ENDS[button], number)
    before = desk.decided(number)

    again = [desk.slack.redeliver(first), desk.sends(view, "another reason")]

    assert [True, True] == [f"#{number} is already “{ENDS[button]}”" in notice(one) for one in again]
    assert before == desk.decided(number)


@pytest.mark.parametrize("button", ASKED)
def test_an_answer_after_the_end_changes_nothing(desk: Desk, number: int, button: str) -> None:
    """What ended while somebody was typing is told in the modal."""
    view = desk.opened(button, number)
    desk.bot._ledger.decide(number, void("another key"))

    assert f"#{number} is already “Voided”. Nothing was changed." == notice(desk.sends(view, "pumps flood"))
    assert ["voided"] == [event.kind for event in desk.decided(number)]


def test_the_approver_who_was_first_wins(desk: Desk, number: int) -> None:
    """An approval while somebody types why they reject it stands, and they are told."""
    view = desk.opened("reject", number)
    desk.press(MAX, "approve", number)
    desk.card_in("Done", number)

    assert f"#{number} is already “Done”. Nothing was changed." == notice(desk.sends(view, "not tonight"))
    assert ["approved", "started"] == [event.kind for event in desk.decided(number)]


@pytest.mark.parametrize("what", ["", "x", "-1", "0", "4711", "٣", "1" * 30])
def test_a_number_that_is_none_is_answered(desk: Desk, open_one: int, what: str) -> None:
    """A modal about nothing that there is says so, whatever its number is."""
    said = notice(desk.sends(desk.opened("reject", open_one), "pumps flood", private_metadata=what))

    assert "Nothing was" in said
    assert [] == desk.decided(open_one)


def test_a_guest_by_now_decides_nothing(desk: Desk, open_one: int) -> None:
    """Who may is looked at when the reason comes, and not when the modal was opened."""
    view = desk.opened("reject", open_one, MAX)
    desk.slack.add_user(MAX, "max", is_restricted=True)
    forget(desk)

    said = notice(desk.sends(view, "not tonight"))

    desk.slack.add_user(MAX, "max")
    forget(desk)
    assert "Refused: guests of this workspace may not cancel anything. Nothing was changed." == said
    assert [] == desk.decided(open_one)


def test_a_slack_that_says_nothing_of_people_decides_nothing(desk: Desk, open_one: int) -> None:
    """When Slack does not say who somebody is, the modal says that nothing was done."""
    view = desk.opened("reject", open_one)
    forget(desk)
    desk.slack.faults.add("users.info", error="internal_error", times=3)

    said = notice(desk.sends(view, "not tonight"))

    desk.slack.faults.__init__()  # type: ignore[misc]
    assert "Slack did not tell me who you are (internal_error). Nothing was done, press again." == said
    assert [] == desk.decided(open_one)


def forget(desk: Desk) -> None:
    """Have Slack asked anew about people, of whom an answer is kept for a minute."""
    with desk.bot._directory._lock:
        desk.bot._directory._kept.clear()


# --- leaving, and too late -----------------------------------------------------------------------------------------


class Told:
    """An acknowledgement that only remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def __call__(self, **given: Any) -> None:
        """Take it."""
        self.given.append(given)

    @property
    def said(self) -> str:
        """What the modal says in place of its question."""
        (given,) = self.given
        text: str = given["view"]["blocks"][0]["text"]["text"]
        return text


def delivered(desk: Desk, number: int, *, halt: Halt, in_time: bool) -> str:
    """Deliver a reason to listeners of a process that may be leaving, in time or not; return what is answered."""
    bot, told = desk.bot, Told()
    reasons = Reasons(bot._ledger, bot._client, bot._presses, bot._keeper, answers=bot._answers, halt=halt)
    values = {"reason": {"reason": {"value": "not tonight"}}}
    view = {"callback_id": "reject_form", "private_metadata": str(number), "state": {"values": values}}
    context = BoltContext({"in_time": partial(bool, in_time)})
    reasons.submitted(cast(Any, told), {"user": {"id": LEA}, "view": view}, context)
    return told.said


def test_what_comes_too_late_does_nothing(desk: Desk, open_one: int) -> None:
    """A reason that Slack has given up on decides nothing."""
    said = delivered(desk, open_one, halt=desk.bot._halt, in_time=False)

    assert "That took too long, and Slack has already given up on it. Nothing was done, press again." == said
    assert [] == desk.decided(open_one)


def test_a_bot_that_leaves_takes_no_reasons(desk: Desk, open_one: int) -> None:
    """While the process is leaving, a reason is answered and decides nothing."""
    halt = Halt()
    halt.ask()

    said = delivered(desk, open_one, halt=halt, in_time=True)

    assert "I am being restarted. Nothing was done; press the button again in a minute." == said
    assert [] == desk.decided(open_one)


def test_the_channel_is_asked_for_again(desk: Desk, open_one: int) -> None:
    """A channel that is shared with another organisation by now is no place to decide in."""
    view = desk.opened("reject", open_one)
    members = sorted(desk.slack.channels[OPS].members)
    desk.slack.add_channel(OPS, "ota-ops", members, is_ext_shared=True)
    forget(desk)

    said = notice(desk.sends(view, "not tonight"))

    desk.slack.add_channel(OPS, "ota-ops", members)
    forget(desk)
    assert "Refused: this channel is shared with another organisation. Nothing was changed." == said
    assert [] == desk.decided(open_one)
