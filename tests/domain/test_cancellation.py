"""The fold: whatever is decided, the state is what the events say, and the promises hold."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import decisions
from bot.domain.cancellation import BEFORE_START, LATER, OPEN, RAN, STATE, WAITING, Phase, State, apply, order_body
from bot.domain.decisions import Refusal
from bot.domain.events import Event, Kind, NewEvent
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    BEGINNINGS,
    BOB,
    CALLS,
    COUNTS,
    DONE,
    FAILED,
    NOW,
    PAUSES,
    RUNNING,
    TAKEN,
    THROTTLED,
    UNKNOWN,
    Clock,
    Life,
    any_step,
    by_bot,
    folded,
    life_in,
    record,
    refuse_order,
    requested,
    send,
    show_preview,
    start,
    verify,
    void,
)

seeds = st.integers(min_value=0, max_value=2**32)
lengths = st.integers(min_value=5, max_value=60)


def lived(seed: int, length: int) -> Life:
    """Lead a life through decisions that dice choose; nothing may raise."""
    dice = Random(seed)  # noqa: S311 - dice for a test
    life = Life(clock=Clock()).after(*dice.choice(BEGINNINGS))
    for _ in range(length):
        life.clock.turn(dice.choice(PAUSES))
        for decision in any_step(dice):
            life.decide(decision)
    return life


@given(seeds, lengths)
@settings(deadline=None, max_examples=250, derandomize=True)
def test_the_state_is_the_fold(seed: int, length: int) -> None:
    """A state stored as JSON after every event equals the fold of all events, whatever was decided."""
    life = lived(seed, length)
    kept: State | None = None
    for event in life.events:
        kept = STATE.validate_json(STATE.dump_json(apply(kept, event)))

    assert life.state == kept == folded(life.events)


@given(seeds, lengths)
@settings(deadline=None, max_examples=250, derandomize=True)
def test_nothing_runs_unconfirmed(seed: int, length: int) -> None:
    """No call is sent unless the requester confirmed exactly this plan and the run was started after that."""
    events = lived(seed, length).events
    kinds = [event.kind for event in events]
    before = kinds[: kinds.index(Kind.CALL_SENT)] if Kind.CALL_SENT in kinds else kinds

    if Kind.CALL_SENT in kinds or Kind.STARTED in kinds:
        confirmed = events[kinds.index(Kind.CONFIRMED)]
        previewed = events[kinds.index(Kind.PREVIEWED)]
        assert (ANN, previewed.body["digest"]) == (confirmed.actor, confirmed.body["plan"])
        assert before.index(Kind.CONFIRMED) < before.index(Kind.STARTED)
    assert max(Counter(kinds)[kind] for kind in (Kind.PREVIEWED, Kind.CONFIRMED, Kind.STARTED, Kind.FINISHED)) <= 1


def call_faults(events: list[Event]) -> list[str]:
    """Follow each call through the events, without the fold, and return what must not have happened."""
    out: dict[int, int] = {}
    done: set[int] = set()
    sendings: dict[int, list[Event]] = defaultdict(list)
    faults: list[str] = []
    over = False
    for event in events:
        body: Any = event.body
        if event.kind == Kind.CALL_SENT:
            call = body["call"]
            sendings[call].append(event)
            wrong = {
                "unplanned": not 1 <= call <= CALLS,
                "done": call in done,
                "out": call in out,
                "numbered wrongly": body["attempt"] != len(sendings[call]),
                "too late": event.at - sendings[call][0].at >= timedelta(minutes=5),
                "over": over,
            }
            faults += [f"call {call} was sent: {name}" for name, at_fault in wrong.items() if at_fault]
            out[call] = body["attempt"]
        elif event.kind == Kind.CALL_FINISHED:
            if body["call"] in done:
                faults.append(f"call {body['call']} was done already")
            if out.pop(body["call"], None) is None and body.get("by") != "read":
                faults.append(f"call {body['call']} was not out")
            done |= {body["call"]} if body["outcome"] == "done" else set()
        elif event.kind in {Kind.STOPPED, Kind.FINISHED}:
            over = True
    return faults + [f"call {call} was sent too often" for call, sent in sendings.items() if len(sent) > 5]


@given(seeds, lengths)
@settings(deadline=None, max_examples=400, derandomize=True)
def test_a_call_is_never_sent_twice_at_once(seed: int, length: int) -> None:
    """No call that is done, out, unplanned, stopped, late or tried five times is sent; figures count it once."""
    life = lived(seed, length)
    done = {event.body["call"] for event in life.events if event.body.get("outcome") == "done"}

    assert [] == call_faults(life.events)
    assert 52 * len(done) == (life.state.run.accepted if life.state.run else 0)


@given(seeds, lengths)
@settings(deadline=None, max_examples=150, derandomize=True)
def test_an_end_is_an_end(seed: int, length: int) -> None:
    """Once ended, a cancellation keeps its phase, and `ended` is set exactly when it is not open."""
    life = lived(seed, length)
    states = [folded(life.events[: index + 1]) for index in range(len(life.events))]
    after = [state.phase for state in states if state.phase not in OPEN]

    assert len(set(after)) <= 1
    assert [state.phase not in OPEN for state in states] == [state.ended is not None for state in states]


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
    CancelDevices(names=("a", "b"), product="P", firmware="F"),
    CancelStrategy(job="J1"),
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


def test_an_order_without_statuses_has_no_size() -> None:
    """An order by device names has no count of statuses."""
    life = life_in(Phase.WAITING_CONFIRMATION)

    assert None is replace(life.state, order=CancelDevices(names=("a",), job="J1")).size


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
    assert [False, False, True, True] == [run.is_done(2) for run in runs if run]


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
