"""Single events, and what the card and the keeper ask of a state."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256

import pytest

from bot.domain import decisions
from bot.domain.cancellation import BEFORE_START, LATER, OPEN, WAITING, Phase, order_body
from bot.domain.decisions import Refusal
from bot.domain.events import Event, Kind, NewEvent
from bot.domain.fold import apply
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy, Listed, listed
from bot.domain.plan import Call, Step
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    BOB,
    COUNTS,
    DEVICES,
    DONE,
    FAILED,
    IN_A_FILE,
    NOW,
    RAN,
    RUNNING,
    TAKEN,
    THROTTLED,
    UNKNOWN,
    Life,
    by_bot,
    folded,
    keep_names,
    life_in,
    named,
    record,
    refuse_order,
    requested,
    send,
    show_names,
    show_preview,
    start,
    verify,
    void,
)

# --- single events -------------------------------------------------------------------------------------------------


def test_an_unknown_kind_only_moves_the_counters() -> None:
    """An event that a newer version wrote changes nothing but the counters."""
    life = life_in(Phase.APPROVED)
    before = life.state
    newer = Event(id=77, cancellation=1, seq=9, at=NOW, actor=BOB, kind="paused", body={"v": 9}, digest="")

    assert replace(before, seq=9, event=77) == apply(before, newer)


@pytest.mark.parametrize("what", ["confirm", "withdraw", "stop"])
def test_a_refused_press_changes_nothing(what: str) -> None:
    """That somebody was refused at a button is remembered, and the cancellation stays as it was."""
    life = life_in(Phase.WAITING_CONFIRMATION)
    before = life.state
    life.put(decisions.refused("U0EVE", "no", what=what, evidence={}))

    assert replace(before, seq=3, event=3) == life.state


def test_a_refused_order_ends() -> None:
    """An order of somebody who may not order is over, and has no card."""
    life = Life().after(refuse_order())

    assert (Phase.REFUSED, ANN, "you are a guest", False) == (
        life.state.phase,
        life.state.ended_by,
        life.state.why,
        life.state.has_card,
    )


def test_a_call_without_a_start_is_an_error() -> None:
    """A chain in which a call comes before the start cannot be folded."""
    with pytest.raises(ValueError, match="cancellation 1 has calls but no start"):
        Life().put(by_bot(Kind.CALL_SENT, action="x", call=1, attempt=1, count=1))


ORDERS: list[Cancel] = [
    CancelJob(job="J1", statuses=(Status.QUEUED,), account="prod", reason="bad “build”"),
    CancelDevices(listed=listed(("a", "b")), product="P", firmware="F"),
    CancelDevices(file="F0", job="J1"),
    CancelStrategy(job="J1", statuses=(Status.QUEUED,)),
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_comes_back(order: Cancel) -> None:
    """Each kind of order is read from its event as it was asked."""
    event = decisions.requested(ANN, order, ACCOUNT, channel=None, via="terminal", retry_of=3)
    state = Life(opening=event).state

    assert (order, order_body(order), None, "terminal", 3) == (
        state.order,
        event.body["order"],
        state.channel,
        state.via,
        state.retry_of,
    )


def test_names_are_not_in_events() -> None:
    """Of an order's names its event carries no more than what stands for them, and that is what comes back."""
    event = requested(order=CancelDevices(names=("a", "b"), job="J1"))
    sha = sha256(b"a\nb").hexdigest()

    assert ([], {"sha256": sha, "count": 2}) == (event.body["order"]["names"], event.body["order"]["listed"])
    assert CancelDevices(listed=Listed(sha, 2), job="J1") == Life(opening=event).state.order


def test_a_file_becomes_its_names() -> None:
    """Once a file has been read, the order names what was in it, and the file is not asked for again."""
    life = Life(opening=requested(order=IN_A_FILE)).after(keep_names(("a", "b")))

    assert CancelDevices(listed=listed(("a", "b")), job="J1") == life.state.order
    assert {"v": 1, "names": {"sha256": listed(("a", "b")).sha256, "count": 2}} == life.events[-1].body


def test_only_devices_are_listed() -> None:
    """A chain in which names were read for an order that names none cannot be folded."""
    with pytest.raises(TypeError, match="cancellation 1 names no devices"):
        Life().put(by_bot(Kind.LISTED, names={"sha256": "", "count": 1}))


def test_a_plan_of_version_1_is_read() -> None:
    """What the first version planned and ran is folded as the one call by job that it was, under its own digest."""
    life = Life().after(*TAKEN)
    shown = dict(life.events[1].body)
    old = {name: value for name, value in shown["plan"].items() if name not in {"v", "verb", "per_call", "steps"}}
    body = {**shown, "plan": {**old, "v": 1, "operation": "CancelOTATaskByJob", "names": None}, "digest": "d1"}
    state = folded([life.events[0], replace(life.events[1], body=body), *life.events[2:]])

    assert state.plan is not None
    assert ((Step(action="CancelOTATaskByJob", job="J1"),), 1, "d1") == (state.plan.steps, state.plan.v, state.digest)
    assert (Call(number=1, step=state.plan.steps[0]), "job") == (state.plan.call(1), state.plan.verb)
    assert replace(life.state, plan=state.plan, digest="d1") == state


# --- what the card and the keeper ask ------------------------------------------------------------------------------


def test_the_phases_are_sorted() -> None:
    """Waiting is before the start, what is before the start or runs is open, and what ran is not."""
    assert WAITING < BEFORE_START < OPEN
    assert set() == OPEN & RAN
    assert {Phase.REJECTED, Phase.WITHDRAWN, Phase.EXPIRED, Phase.VOIDED, Phase.REFUSED} == set(Phase) - OPEN - RAN


@pytest.mark.parametrize("phase", Phase)
def test_a_card_from_the_plan_on(phase: Phase) -> None:
    """People see a card from the frozen plan on, and none of an order that was refused or never got so far."""
    assert (phase not in {Phase.CHECKING, Phase.REFUSED, Phase.VOIDED}) == life_in(phase).state.has_card


def test_a_voided_plan_keeps_its_card() -> None:
    """What had a card when it was voided keeps it."""
    assert life_in(Phase.APPROVED).after(void()).state.has_card


def test_the_size_is_what_the_preview_saw() -> None:
    """The size is unknown before the preview, and then what the named statuses held."""
    assert (None, 52) == (Life().state.size, life_in(Phase.WAITING_CONFIRMATION).state.size)


def test_the_size_of_named_devices() -> None:
    """Of named devices the size is how many of them can be cancelled, whatever else is in the job."""
    life = Life(opening=requested(order=DEVICES)).after(show_names(named(300, flashing=20, canceled=130)))

    assert 320 == life.state.size


def test_the_cloud_is_looked_at_three_times_more() -> None:
    """After the end the cloud is read again after 1, 5 and 30 minutes, counted from the end, and then no more."""
    life = life_in(Phase.DONE)
    dues = [life.state.due]
    for _ in LATER:
        life.clock.turn(70)
        life.after(verify())
        dues.append(life.state.due)

    assert [NOW + timedelta(minutes=minutes) for minutes in (1, 5, 30)] + [None] == dues


def test_later_looks_change_figures_alone() -> None:
    """A later verification changes what was confirmed and is left, not the state and not when it ended."""
    life = life_in(Phase.DONE)
    before = life.state
    life.clock.turn(60)
    life.after(verify(COUNTS, canceled=30))
    run = life.state.run

    assert (Phase.DONE, before.ended) == (life.state.phase, life.state.ended)
    assert run is not None
    assert (27, 52, 1, NOW) == (run.confirmed, run.left, run.later, run.progress)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STOPPED, Phase.VOIDED, Phase.WITHDRAWN, Phase.EXPIRED])
def test_what_took_nothing_is_not_looked_at_again(phase: Phase) -> None:
    """Where the cloud took no call there is nothing to verify later."""
    assert None is life_in(phase).state.due


def test_a_run_has_no_deadline() -> None:
    """While it runs, no clock ends it."""
    assert None is life_in(Phase.RUNNING).state.due


def test_progress_is_what_moved() -> None:
    """A run's progress moves with each sending, answer and look."""
    life = Life().after(*RUNNING)
    moments = []
    for decision in (send(), record(THROTTLED), send(), record(DONE), verify()):
        life.clock.turn(10)
        life.after(decision)
        moments.append(life.state.run and life.state.run.progress)

    assert [NOW + timedelta(seconds=10 * step) for step in range(1, 6)] == moments


def test_what_is_out() -> None:
    """A call is out from its sending to its answer, and a read may still settle it later."""
    life = Life().after(*APPROVED, start(calls=2), send(1), send(2))
    runs = [life.state.run]
    for decision in (record(UNKNOWN, 1), record(DONE, 2), record(DONE, 1, by="read")):
        life.after(decision)
        runs.append(life.state.run)

    assert [(1, 2), (2,), (), ()] == [run.out for run in runs if run]
    assert [False, False, False, True] == [run.complete for run in runs if run]
    assert [False, False, True, True] == [run.is_settled(2) for run in runs if run]


def test_what_was_accepted_adds_up() -> None:
    """The devices of every call that the cloud took are added, those of other calls are not."""
    way = (
        send(1, count=200),
        record(DONE, 1),
        send(2, count=200),
        record(FAILED, 2),
        send(3, count=7),
        record(DONE, 3),
    )
    life = Life().after(*APPROVED, start(calls=3), *way)

    assert life.state.run is not None
    assert (207, ((1, 1), (3, 3))) == (life.state.run.accepted, life.state.run.done)


def test_the_first_sending_is_kept() -> None:
    """An attempt keeps the time of the call's first sending, from which its five minutes run."""
    life = Life().after(*RUNNING, send(), record(THROTTLED))
    life.clock.turn(30)
    life.after(send())

    assert life.state.run is not None
    assert (2, NOW) == (life.state.run.attempts[1].number, life.state.run.attempts[1].first)


def test_a_refusal_changes_nothing() -> None:
    """A refused decision appends nothing."""
    life = Life().after(*TAKEN)
    before, events = life.state, len(life.events)

    assert isinstance(life.decide(send()), Refusal)
    assert (before, events) == (life.state, len(life.events))


def test_a_rejection_keeps_its_reason() -> None:
    """Why an approver rejected it is kept with who it was."""
    life = life_in(Phase.WAITING_APPROVAL)
    life.put(NewEvent(kind=Kind.REJECTED, actor=BOB, body={"v": 1, "reason": "wrong job"}))

    assert (Phase.REJECTED, BOB, "wrong job") == (life.state.phase, life.state.ended_by, life.state.why)


def test_the_opening_event_is_the_requesters() -> None:
    """The requester is the actor of the first event, whoever else acts later."""
    life = Life(opening=requested(actor=BOB)).after(show_preview(), void())

    assert BOB == life.state.requester


def test_a_held_order_gets_no_card() -> None:
    """A look that ends after another process has held the order as a repeat shows nothing: its asker is asked first."""
    life = Life().after(partial(decisions.hold, like=7))

    assert isinstance(life.decide(show_preview()), Refusal)
    assert Phase.CHECKING is life.state.phase
