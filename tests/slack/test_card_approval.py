"""The card while a second person is waited for, and what it keeps of that for ever."""

import re
from dataclasses import replace
from typing import Any, Final

import pytest

from bot.domain import approval as voting
from bot.domain import decisions
from bot.domain.account import Approval
from bot.domain.approval import TERMINAL, lost_standing
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.decisions import Decision
from bot.domain.events import NewEvent
from bot.domain.policy import NeedsApproval, Person, Sight
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.playground.slack.block_kit import problems
from bot.slack.buttons import already
from bot.slack.card import card
from bot.slack.reason_views import BUTTON_OF, reason_form
from tests.builders import (
    ANN,
    BOB,
    COUNTS,
    DRAINED,
    EVIDENCE,
    NOW,
    ORDER,
    Life,
    account,
    approve,
    break_glass,
    finish,
    record,
    reject,
    requested,
    send,
    show_preview,
    start,
    stop,
    verify,
    void,
    withdraw,
)
from tests.domain.test_approval import LEA
from tests.slack.test_card_kinds import CARDS
from tests.slack.test_views import buttons, mrkdwn, over_limits, strings, written

RULES: Final = Approval(above=50, people=2, break_glass=(ANN,))
ON: Final = account(approval=RULES, approvers=(BOB, LEA, "S0LEADS"))
UNLISTED: Final = account(approval=replace(RULES, break_glass=()), approvers=ON.approvers)
TOO_MANY: Final = "up to 59 devices are more than 50"
BY: Final = "<!date^1767324845^{time}|03:34 UTC>"


def show(on: Any = ON) -> Decision:
    """Freeze a preview that needs the approval which the rules ask for."""
    verdict = NeedsApproval(on.approval.people, (TOO_MANY,))
    shown = show_preview(approval=on.approval, verdict=verdict)

    def decision(state: State, now: Any) -> Any:
        (made,) = shown(state, now)  # type: ignore[misc]
        policy = {**made.body["policy"], "approvers": list(on.approvers)}
        return (replace(made, body={**made.body, "policy": policy}),)

    return decision


def opened(*, on: Any = ON, via: str, actor: str) -> NewEvent:
    """Return the event that opens it."""
    return decisions.requested(actor, replace(ORDER, reason="1.4.2 bricks pumps"), on, channel="C0OPS", via=via)


def asking(*more: Decision, on: Any = ON, via: str = "slack", actor: str = ANN) -> Life:
    """Return a life that waits for approval, and went on so."""

    def confirm(state: State, now: Any) -> Any:
        return voting.confirm(state, now, actor=actor, account=on, ran_alone=0, evidence=EVIDENCE)

    return Life(opening=opened(on=on, via=via, actor=actor)).after(show(on), confirm, *more)


def expired(life: Life, seconds: float = 3600) -> Life:
    life.clock.turn(seconds)
    return life.after(decisions.expire)


def lost(gone: str) -> str:
    """Return why a start does not hold when this one of those it rests on has left."""
    people = [Person(id=one, deactivated=one == gone) for one in (ANN, BOB, LEA)]
    sights = [Sight(person=one, groups=frozenset(("S0ONCALL", "S0LEADS")), at=NOW) for one in people]
    return lost_standing(asking().state, ON, sights) or ""


STRICTER: Final = replace(ON, approval=replace(RULES, people=3))
MORE: Final = {**COUNTS, Status.QUEUED: 60}
FEWER: Final = {**COUNTS, Status.QUEUED: 28}
YES: Final = (approve(BOB, on=ON), approve(LEA, on=ON))
BROKEN: Final = break_glass(on=ON, reason="pumps burn.")
RUN: Final = (start(on=ON), send(), record(), verify(), finish())
LIVES: Final[dict[str, Life]] = {
    "to be confirmed": Life(opening=requested(reason="1.4.2 bricks pumps")).after(show()),
    "asked": asking(),
    "asked, not listed": asking(on=UNLISTED),
    "to be confirmed at a terminal": Life(opening=opened(via=TERMINAL, actor="cli:ann")).after(show()),
    "asked at a terminal": asking(via=TERMINAL, actor="cli:ann"),
    "one yes": asking(approve(BOB, on=ON)),
    "approved": asking(*YES),
    "rejected": asking(approve(BOB, on=ON), reject(LEA)),
    "withdrawn": asking(approve(BOB, on=ON), withdraw()),
    "expired": expired(asking(approve(BOB, on=ON))),
    "not started": expired(asking(*YES)),
    "voided": asking(*YES, void()),
    "voided, an approver gone": asking(*YES, void(lost(LEA))),
    "voided, the asker gone": asking(*YES, void(lost(ANN))),
    "voided, stricter rules": asking(*YES, start(on=STRICTER)),
    "voided, more of them": asking(*YES, start(MORE, on=ON)),
    "voided, none left": asking(*YES, start(DRAINED, on=ON)),
    "voided, another key": asking(*YES, start(on=replace(ON, key_id=Secret("another")))),
    "fewer, running": asking(*YES, start(FEWER, on=ON)),
    "fewer, done": asking(*YES, start(FEWER, on=ON), *RUN[1:]),
    "fewer, stopped": asking(*YES, start(FEWER, on=ON), stop(), finish()),
    "running": asking(*YES, start(on=ON)),
    "stopped": asking(*YES, start(on=ON), stop(), finish()),
    "done": asking(*YES, *RUN),
    "glass broken": asking(BROKEN),
    "glass broken after a yes": asking(approve(BOB, on=ON), BROKEN),
    "glass broken, running": asking(BROKEN, start(on=ON)),
    "glass broken, stopped": asking(BROKEN, start(on=ON), stop(), finish()),
    "glass broken, done": asking(BROKEN, *RUN),
    "glass broken, partly done": asking(BROKEN, start(on=ON, calls=2), send(), record(), finish()),
    "glass broken, failed": asking(BROKEN, start(on=ON), finish()),
    "glass broken, voided": asking(BROKEN, void()),
    "glass broken, not started": expired(asking(BROKEN)),
}
"""Every way on which a second person matters, by what has come of it."""
GLASS: Final = [name for name in LIVES if name.startswith("glass broken")]


def drawn(name: str) -> str:
    """Return all that Slack reads for mentions on a card."""
    return "\n".join(mrkdwn(card(LIVES[name].state).blocks))


def offered(name: str) -> dict[str, dict[str, Any]]:
    return {button["action_id"]: button for button in buttons(card(LIVES[name].state))}


# --- what it says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("to be confirmed", f"After you confirm it needs the approval of 2 other people: {TOO_MANY}."),
        (
            "asked",
            (
                f"*2 approvals are missing*; <@{BOB}>, <@{LEA}>, <!subteam^S0LEADS> may give them until {BY}."
                f" They are needed because {TOO_MANY}."
            ),
        ),
        (
            "one yes",
            (
                f"Yes from <@{BOB}>. *1 approval is missing*; <@{LEA}>, <!subteam^S0LEADS> may give it until {BY}."
                f" It is needed because {TOO_MANY}."
            ),
        ),
        (
            "asked at a terminal",
            "It needs the approval of 2 other people, which nobody gives to what was ordered at a terminal: ",
        ),
    ],
)
def test_it_says_what_is_missing(name: str, said: str) -> None:
    """The card says who has said yes, how many are missing, who may give it until when, and why it is needed."""
    assert said in drawn(name)


def test_it_says_the_rule_and_what_comes() -> None:
    """The rule in force, the plan's digest, and what happens with the last answer and without one."""
    found = drawn("asked")

    assert (
        "The rule: more than 50 devices need the approval of 2 other people, and in-progress always."
        " With the last approval it starts at once, or not at all after 15 min."
    ) in found
    assert f"Without an answer by {BY} nothing is cancelled." in found
    assert f"`{(LIVES['asked'].state.digest or '')[:12]}`" in found


@pytest.mark.parametrize(("name", "said"), [("asked", "2 approvals are missing"), ("one yes", "1 approval is missing")])
def test_its_sentence_says_it_too(name: str, said: str) -> None:
    """Who reads the text alone hears how many are missing; it mentions nobody."""
    text = card(LIVES[name].state).text

    assert f". {said}. Why: 1.4.2 bricks pumps." in text
    assert "<" not in text


@pytest.mark.parametrize(
    "name", ["approved", "running", "stopped", "done", "rejected", "withdrawn", "expired", "not started", "voided"]
)
def test_who_said_yes_stays_on_it(name: str) -> None:
    """Whatever came of it, the card keeps who has approved."""
    votes = ", ".join(f"<@{vote.actor}>" for vote in LIVES[name].state.votes)

    assert f"Yes from {votes}." in drawn(name)
    assert "missing" not in drawn(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rejected", f"By <@{LEA}>: not tonight. Nothing was cancelled."),
        ("withdrawn", f"Taken back by <@{ANN}>. Nothing was cancelled."),
        ("expired", "Not everybody who was needed answered in time. Nothing was cancelled."),
        ("not started", "It was not started in time. Nothing was cancelled."),
    ],
)
def test_it_says_how_it_ended(name: str, said: str) -> None:
    """A closed card says by whom or why, and that nothing was cancelled."""
    assert said in drawn(name)


def test_whom_a_void_names_is_mentioned() -> None:
    """A reason of the bot's own that names an approver by id mentions them, and the text alone mentions nobody."""
    shown = card(LIVES["voided, an approver gone"].state)

    assert f"\n<@{LEA}>, who agreed to it, may not do so any more: deactivated accounts" in (
        "\n" + drawn("voided, an approver gone")
    )
    assert "<" not in shown.text


def test_a_persons_words_mention_nobody() -> None:
    """An id that somebody types as a reason stays what was typed."""
    shown = card(asking(approve(BOB, on=ON), reject(LEA, reason=f"ask {BOB} first")).state)

    assert f"By <@{LEA}>: ask {BOB} first." in "\n".join(mrkdwn(shown.blocks))


@pytest.mark.parametrize("name", LIVES)
def test_what_shrank_is_said(name: str) -> None:
    """That fewer were hit than the preview showed is said from the start on, for ever, and nowhere else."""
    assert name.startswith("fewer, ") == ("12 fewer than at the preview." in drawn(name))


@pytest.mark.parametrize("name", LIVES)
def test_a_terminal_answers_itself(name: str) -> None:
    """A card that waits for somebody at a terminal says that it is answered there."""
    assert ("terminal" in name) == ("It is answered at the terminal where it was ordered." in drawn(name))


@pytest.mark.parametrize("name", LIVES)
def test_broken_glass_is_marked_for_ever(name: str) -> None:
    """The mark, who made it and why, is on the card in every later phase, in blocks and text, and on no other card."""
    shown = card(LIVES[name].state)
    mark = f"*Glass broken* by <@{ANN}>, so it went on without the approval it needed: pumps burn."

    assert (name in GLASS) == (mark in "\n".join(mrkdwn(shown.blocks)))
    assert (name in GLASS) == ("It went on without the approval it needed: pumps burn" in shown.text)


def test_the_mark_and_a_yes_stand_together() -> None:
    """Who had said yes before the glass was broken stays on the card."""
    assert f"Yes from <@{BOB}>." in drawn("glass broken after a yes")


# --- what it offers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("to be confirmed", ["confirm", "withdraw"]),
        ("asked", ["approve", "reject", "withdraw", "break_glass"]),
        ("one yes", ["approve", "reject", "withdraw", "break_glass"]),
        ("asked, not listed", ["approve", "reject", "withdraw"]),
        ("asked at a terminal", []),
        ("to be confirmed at a terminal", []),
        ("approved", ["stop"]),
        ("glass broken", ["stop"]),
        ("rejected", []),
        ("withdrawn", []),
        ("expired", ["retry"]),
        ("voided", ["retry"]),
        ("not started", ["retry"]),
    ],
)
def test_the_buttons_are_the_contracts(name: str, actions: list[str]) -> None:
    """Approving has its four buttons, the glass only where the asker is listed, and a terminal's order has none."""
    assert actions == list(offered(name))


def test_approving_is_asked_twice() -> None:
    """The button says what is approved, and a dialog says it again with size, job and that it cannot be undone."""
    button = offered("asked")["approve"]
    dialog = button["confirm"]

    assert ("Approve: cancel 52 upgrades", "primary") == (button["text"]["text"], button["style"])
    assert ("Approve: cancel 52 upgrades?", "Approve", "Go back") == tuple(
        dialog[part]["text"] for part in ("title", "confirm", "deny")
    )
    assert (
        "The queued and notified tasks of job J1 on prod: 52 now, at most 59, as counted at 03:04 UTC."
        " A cancelled task is not taken up again by itself."
    ) == dialog["text"]["text"]


@pytest.mark.parametrize(
    ("name", "missing"),
    [("asked", "the 2 approvals that are missing"), ("one yes", "the approval that is missing")],
)
def test_breaking_the_glass_is_dangerous(name: str, missing: str) -> None:
    """The red button's dialog says what it goes on without, who hears of it, and that the mark stays."""
    button = offered(name)["break_glass"]

    assert ("Go on without approval", "danger") == (button["text"]["text"], button["style"])
    assert (
        f"It starts without {missing}. The approvers are told, and card and ledger carry the mark for ever."
    ) == button["confirm"]["text"]["text"]


def test_a_held_order_shows_the_open_one() -> None:
    """The answer to a repeat names the open one, who asked for it and where it is; its button is the new one's."""
    like, held = LIVES["asked"].state, replace(LIVES["asked"].state, id=7)
    message = already(held, like, "<https://a.example|Go to its card>")

    assert (
        f"That is already #1 by <@{ANN}> (waiting for approval): the queued and notified tasks of job J1 on prod."
        " <https://a.example|Go to its card>. Yours, #7, is held, and nothing was changed. Press the button"
        " if you mean a second one, else leave it."
    ) == message.text
    assert [("order_anyway", "7", "Order it anyway")] == [
        (button["action_id"], button["value"], button["text"]["text"]) for button in buttons(message)
    ]
    assert [] == problems("message", list(message.blocks))


# --- every phase ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIVES)
def test_no_other_state_word_is_on_it(name: str) -> None:
    """In no phase does another state's word stand on the card, in whatever case, buttons and dialogs included."""
    state = LIVES[name].state
    shown = card(state, reposted=True)
    others = [phase.value for phase in Phase if phase is not state.phase]
    # Partly done has another's word in its own.
    read = re.sub(rf"\b{state.phase.value}\b", "", written(shown), flags=re.IGNORECASE)

    assert [] == [word for word in others if re.search(rf"\b{word}\b", read, re.IGNORECASE)]


@pytest.mark.parametrize("name", LIVES)
def test_slack_takes_it(name: str) -> None:
    """Every such card is within Slack's limits, and its buttons carry the number alone."""
    shown = card(LIVES[name].state)

    assert [] == problems("message", list(shown.blocks))
    assert [] == over_limits(shown)
    assert {"1"} >= {button["value"] for button in buttons(shown)}


def test_many_approvers_are_cut() -> None:
    """However many are listed and have said yes, and however long the reasons, Slack takes the card."""
    many = tuple(f"U0APP{number:03}" for number in range(300))
    state = LIVES["asked"].state
    policy = {**(state.policy or {}), "approvers": list(many)}
    shown = card(replace(state, policy=policy, reasons=("<&>" * 900,) * 3))

    assert [] == problems("message", list(shown.blocks))
    assert [] == over_limits(shown)
    assert 10 == "\n".join(mrkdwn(shown.blocks)).count("<@U0APP")


@pytest.mark.parametrize("button", BUTTON_OF.values())
def test_slack_takes_the_forms(button: str) -> None:
    """The modals that ask why are within Slack's limits, also for a hostile account, and carry the number alone."""
    state = replace(LIVES["asked"].state, account="<!channel>" * 60, id=2**40)
    view = reason_form(button, state)

    assert [] == problems("modal", view["blocks"])
    assert (str(state.id), 24) >= (view["private_metadata"], len(view["title"]["text"]))
    assert all(part["type"] == "plain_text" for part in (view["title"], view["submit"], view["close"]))


def test_every_kind_of_order_can_be_approved() -> None:
    """A strategy, a strategy with its tasks and named devices have an approve button that says what it does."""
    labels = {
        name.split(",")[0]: next(iter(buttons(card(replace(state, phase=Phase.WAITING_APPROVAL, needs=1)))))
        for name, state in CARDS.items()
        if state.phase in OPEN - {Phase.RUNNING, Phase.APPROVED}
    }

    assert {
        "strategy": "Approve: stop this strategy",
        "strategy and tasks": "Approve: stop it, cancel 40 upgrades",
        "devices": "Approve: cancel 40 upgrades",
    } == {name: button["text"]["text"] for name, button in labels.items()}
    assert "" not in strings([button["text"] for button in labels.values()])
