"""The cards of strategies, named devices and orders that were asked for again, and the list of running batches."""

import re
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from bot.domain import decisions, running
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision
from bot.domain.errors import UsageError
from bot.domain.events import Kind, NewEvent
from bot.domain.order import Cancel, CancelDevices, CancelStrategy
from bot.domain.plan import Job, Preview, freeze
from bot.domain.reading import Named, Reading
from bot.domain.status import Status
from bot.playground.slack.block_kit import problems
from bot.slack.card import card
from bot.slack.commands import LONGEST_NEAREST, usage
from bot.slack.lists import batches, listing
from bot.slack.message import CUT, TEXT
from bot.slack.views import reply
from tests.builders import (
    ACCOUNT,
    ALONE,
    ANN,
    COUNTS,
    EVIDENCE,
    NOW,
    Life,
    confirm,
    finish,
    life_in,
    record,
    send,
    stop,
)

APPROVAL: Final = replace(ACCOUNT.approval, always=())
ON: Final = replace(ACCOUNT, approval=APPROVAL)
NAMES: Final = tuple(f"d{n:03}" for n in range(40))
ORDERS: Final[dict[str, Cancel]] = {
    "strategy": CancelStrategy(job="J1", reason="it bricks"),
    "strategy and tasks": CancelStrategy(job="J1", statuses=(Status.QUEUED,), reason="it bricks"),
    "devices": CancelDevices(names=NAMES, job="J1", reason="it bricks"),
}
NOPE: Final = Answer(outcome=Outcome.FAILED, code="iot.ota.Nope", message="no")


def shown(order: Cancel, *, dynamic: bool = True) -> Preview:
    named = Named(counts={Status.QUEUED: 40}) if isinstance(order, CancelDevices) else None
    reading = Reading(at=NOW, counts=COUNTS, canceled=0, batch="IN_PROGRESS", named=named)
    return Preview(job=Job(id="J1", name="Spring", status="IN_PROGRESS", dynamic=dynamic, product="P"), reading=reading)


def waiting(order: Cancel, *, dynamic: bool = True) -> Life:
    """Order, up to the card that asks to be confirmed."""
    seen = shown(order, dynamic=dynamic)
    life = Life(opening=decisions.requested(ANN, order, ON, channel="C0OPS", via="slack"))
    plan = freeze(order, seen, ON, {"J1": NAMES})
    return life.after(
        partial(
            decisions.show_preview,
            preview=seen,
            plan=plan,
            estimate=1,
            verdict=ALONE,
            account=ON,
            evidence=EVIDENCE,
        )
    )


def begun_run(order: Cancel, *made: Decision) -> Life:
    """Order, confirm, start, and make further decisions."""
    begun = partial(running.start, reading=shown(order).reading, account=ON, evidence=EVIDENCE)
    return waiting(order).after(confirm(approval=APPROVAL), begun, *made)


def cards() -> dict[str, State]:
    """Return each kind of order in each phase that it comes through."""
    states: dict[str, State] = {}
    for name, order in ORDERS.items():
        calls = 2 if name == "strategy and tasks" else 1
        sent = [step for call in range(1, calls + 1) for step in (send(call, count=1), record(NOPE, call))]
        for life in (
            waiting(order),
            waiting(order).after(confirm(approval=APPROVAL)),
            begun_run(order),
            begun_run(order, send(count=1), stop()),
            begun_run(order, stop(), finish()),
            begun_run(order, *sent, finish()),
            begun_run(order, send(count=40), record(), *sent[2:], finish()),
        ):
            states[f"{name}, {life.state.phase.value}, {life.state.seq}"] = life.state
    return states


CARDS: Final = cards()


@pytest.mark.parametrize("name", CARDS)
def test_no_other_state_word_is_on_it(name: str) -> None:
    """A strategy's and a list's card have the present state word and no other, in blocks, buttons and text."""
    state = CARDS[name]
    drawn = card(state)
    others = [phase.value for phase in Phase if phase is not state.phase]

    assert [] == [word for word in others if re.search(rf"\b{word}\b", f"{drawn.blocks} {drawn.text}")]
    assert [] == problems("message", list(drawn.blocks))


def buttons(state: State) -> dict[str, str]:
    """Return a card's buttons: what is written on them, by action."""
    elements: list[dict[str, Any]] = [one for block in card(state).blocks for one in block.get("elements", ())]
    return {one["action_id"]: one["text"]["text"] for one in elements if "action_id" in one}


@pytest.mark.parametrize(
    ("order", "labels"),
    [
        ("strategy", {"confirm": "Stop this strategy", "withdraw": "Keep it"}),
        ("strategy and tasks", {"confirm": "Stop it, cancel 40 upgrades", "withdraw": "Keep them"}),
        ("devices", {"confirm": "Cancel 40 upgrades", "withdraw": "Keep them"}),
    ],
)
def test_the_buttons_say_what_they_do(order: str, labels: dict[str, str]) -> None:
    """Each kind of order is confirmed with words of its own."""
    assert labels == buttons(waiting(ORDERS[order]).state)


def test_a_strategy_touches_no_task() -> None:
    """The card of a strategy alone says that it hits no device, and that tasks that exist stay."""
    drawn = card(waiting(ORDERS["strategy"]).state)

    assert "wants to stop *the strategy of batch J1* on *prod*" in str(drawn.blocks)
    assert "Tasks that exist already stay" in str(drawn.blocks)
    assert "none: it stops the batch from taking devices in, and touches no task" in drawn.text


def test_a_static_batch_is_warned_of() -> None:
    """A strategy of a static batch is warned of before anybody confirms it."""
    assert "This is a static batch" in str(card(waiting(ORDERS["strategy"], dynamic=False).state).blocks)


@pytest.mark.parametrize("phase", [Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED, Phase.EXPIRED, Phase.VOIDED])
def test_what_is_asked_for_again_has_no_button(phase: Phase) -> None:
    """Once the rest was asked for again, the card says as what, and offers it no second time."""
    life = life_in(phase)
    before = buttons(life.state)

    life.put(NewEvent(kind=Kind.RETRIED, actor=ANN, body={"v": 1, "as": 42}))

    assert {"retry": "Ask again"} == before
    assert {} == buttons(life.state)
    assert "What was left is asked for again as #42." in str(card(life.state).blocks)
    told = reply(life.events[-1], life.state)
    assert told is not None
    assert f"What was left is asked for again as #42, by {ANN}." == told.text


def test_the_new_card_says_whose_rest_it_is() -> None:
    """The card of an order for what another left over names that one."""
    assert "This is for what #7 left over." in str(card(replace(waiting(ORDERS["devices"]).state, retry_of=7)).blocks)


# --- lists and answers -----------------------------------------------------------------------------------------------


def test_running_batches_are_listed() -> None:
    """Each running batch has its counts; the line to type next, and how many older ones there are, are said."""
    text = batches(ACCOUNT, [shown(ORDERS["strategy"])], 3).text

    assert "`/ota-cancel job J1 on prod`" in text
    assert "• J1 · “Spring” · dynamic batch" in text
    assert "unconfirmed 7, queued 40, notified 12, in-progress 5" in text
    assert "… and 3 older, not counted here" in text


def test_no_running_batch_is_said() -> None:
    """An account without running batches is answered in a sentence."""
    assert "No batch is under way on prod." == batches(ACCOUNT, [], 0).text


@pytest.mark.parametrize(("unlooked", "said"), [(1, "1 older firmware, whose"), (1200, "1,200 older firmwares, whose")])
def test_firmwares_that_were_not_looked_at_are_said(unlooked: int, said: str) -> None:
    """A list that may lack batches says of how many firmwares, also where it is empty."""
    lists: tuple[list[Preview], ...] = ([], [shown(ORDERS["strategy"])])

    assert [True, True] == [said in batches(ACCOUNT, found, 0, unlooked).text for found in lists]


def test_a_list_that_does_not_fit_is_whole_in_a_file() -> None:
    """Of a list that is too long whole lines are shown, that there are more is said, and all are in the file."""
    order = ORDERS["strategy"]
    many = [replace(shown(order), job=Job(id=f"J{n}", name="<*`" * 80)) for n in range(40)]

    told = batches(ACCOUNT, many, 0)

    assert len(told.text) <= TEXT
    assert told.text.endswith(CUT)
    assert [f"J{n} " for n in range(40)] == re.findall(r"^(J\d+ )", told.whole, re.MULTILINE)
    assert "<*`<*`" in told.whole


def test_a_short_list_has_no_file() -> None:
    """What fits is not sent a second time."""
    assert "" == listing("The latest", [CARDS[next(iter(CARDS))]]).whole


@pytest.mark.parametrize(("names", "whole"), [(3, False), (400, True)])
def test_a_command_that_cannot_be_shown_whole_is_a_file(names: int, *, whole: bool) -> None:
    """The nearest right command is shown if it fits, since a cut one cannot be typed; else it comes as a file."""
    nearest = f"devices {','.join(f'pump-{n:04}' for n in range(names))} job J1"

    told = usage(UsageError("“jbo” does not fit there.", nearest=nearest))

    assert whole == (len(nearest) > LONGEST_NEAREST)
    assert whole == (nearest in told.whole)
    assert whole != (nearest in told.text)
    assert len(told.text) <= TEXT
