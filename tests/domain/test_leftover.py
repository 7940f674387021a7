"""What a run left over: what is ordered again, and what is told of each device."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import decisions, running
from bot.domain.call import Answer, holds
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision
from bot.domain.leftover import MOVED_ON, MOVED_OR_OURS, Leftover, left_over, leftovers, untaken
from bot.domain.offer import CANCEL_DEVICES
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy, listed
from bot.domain.plan import freeze
from bot.domain.policy import Allowed
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    DONE,
    EVIDENCE,
    FAILED,
    MOVED,
    NAMED,
    NAMES,
    ORDER,
    RUNNING,
    TAKEN,
    UNKNOWN,
    Life,
    by_name,
    confirm,
    finish,
    life_in,
    named,
    preview,
    reading,
    record,
    requested,
    send,
    send_rest,
    skip,
    split,
    start_names,
    stop,
)
from tests.dice import lived

Q, N = Status.QUEUED, Status.NOTIFIED
ASKED = (*NAMES, "zzz-1", "zzz-2")
"""Two more devices than have something to cancel."""


def lists(*kept: tuple[str, ...]) -> Callable[[str | None], tuple[str, ...]]:
    """Return the table of lists."""
    table = {listed(names).sha256: names for names in (NAMES, ASKED, *kept)}
    return lambda sha256: table[sha256] if sha256 else ()


def again(state: State) -> Cancel:
    """Return the order for the rest."""
    return left_over(state, lists())


# --- devices ---------------------------------------------------------------------------------------------------------

ORDERED = CancelDevices(names=ASKED, job="J1", account="prod", reason="bad build")


def sent(call: int, answer: Answer, *, moved: int = 0) -> tuple[Decision, ...]:
    """Return how a call goes out, without some devices that have moved on, and is answered."""
    return send_rest(call, moved=moved), record(answer, call)


@pytest.mark.parametrize(
    ("way", "rest"),
    [
        (
            (*sent(1, DONE), *sent(2, FAILED), *sent(3, DONE)),
            NAMES[200:400],
        ),
        ((*sent(1, DONE), stop()), NAMES[200:]),
        ((stop(),), NAMES),
        ((*sent(1, UNKNOWN), *sent(2, DONE)), (*NAMES[:200], *NAMES[400:])),
        ((*sent(1, FAILED, moved=5), *sent(2, DONE)), (*NAMES[5:200], *NAMES[400:])),
        ((*sent(1, MOVED), split(1, moved=198)), (*NAMES[198:200], *NAMES[200:])),
        (
            (*sent(1, MOVED), split(1, moved=198), *sent(4, DONE)),
            (*NAMES[199:200], *NAMES[200:]),
        ),
    ],
)
def test_the_devices_of_calls_that_were_not_taken(way: tuple[Decision, ...], rest: tuple[str, ...]) -> None:
    """The rest of a run by name is the devices of exactly those calls that failed, are unknown or were not sent."""
    state = by_name(*way, finish(), order=ORDERED).state

    assert CancelDevices(names=rest, job="J1", account="prod", reason="bad build") == again(state)


def test_all_taken_and_never_seen() -> None:
    """Where all calls were taken and the cloud could not be read, all devices are looked at again."""
    taken = [step for call in (1, 2, 3) for step in sent(call, DONE)]
    state = by_name(*taken, finish(), order=ORDERED).state

    assert (Phase.PARTLY_DONE, ASKED) == (state.phase, getattr(again(state), "names", ()))


@pytest.mark.parametrize("way", [NAMED[:1], NAMED[:2]])
def test_devices_that_never_ran(way: tuple[Decision, ...]) -> None:
    """Of an order that ended before its start the rest is the whole, with those that had nothing to cancel then."""
    life = Life(opening=requested(order=ORDERED)).after(*way)
    life.clock.turn(1800)
    state = life.after(decisions.expire).state

    assert CancelDevices(names=ASKED, job="J1", account="prod", reason="bad build") == again(state)


def test_a_firmware_is_named_again() -> None:
    """The rest of a cancel by firmware is again for that firmware, each device once, though it was in two jobs."""
    order = CancelDevices(names=NAMES, product="P", firmware="F")
    seen = replace(preview(), reading=named(), others=(replace(preview().job, id="J2"),))
    some = NAMES[:10]

    def show(state: State, now: object) -> decisions.Decided:
        del now
        frozen = freeze(order, seen, ACCOUNT, {"J1": NAMES, "J2": some})
        return decisions.show_preview(
            state,
            state.at,
            preview=seen,
            plan=frozen,
            estimate=1,
            verdict=Allowed(),
            account=ACCOUNT,
            evidence=EVIDENCE,
        )

    confirmed = confirm(approval=replace(ACCOUNT.approval, above=1000))
    on = replace(ACCOUNT, approval=replace(ACCOUNT.approval, above=1000))
    life = Life(opening=requested(order=order)).after(show, confirmed, start_names(on=on))
    life.after(*sent(1, FAILED), *sent(2, DONE), *sent(3, DONE))
    state = life.after(*sent(4, FAILED), finish()).state

    assert CancelDevices(names=NAMES[:200], product="P", firmware="F") == left_over(state, lists(some))


# --- jobs and strategies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.PARTLY_DONE, Phase.STOPPED, Phase.EXPIRED])
def test_a_job_is_ordered_again_as_it_was(phase: Phase) -> None:
    """A cancel by job hits what is left by itself: it is ordered again as it was."""
    assert ORDER == again(life_in(phase).state)


STRATEGY = CancelStrategy(job="J1", statuses=(Q,), account="prod", reason="bad build")
TASKS = CancelJob(job="J1", statuses=(Q,), account="prod", reason="bad build")


def strategy(*way: Decision, order: Cancel = STRATEGY) -> State:
    """Return a run of a strategy with statuses."""

    def show(state: State, now: object) -> decisions.Decided:
        del now
        return decisions.show_preview(
            state,
            state.at,
            preview=preview(),
            plan=freeze(order, preview(), ACCOUNT),
            estimate=1,
            verdict=Allowed(),
            account=ACCOUNT,
            evidence=EVIDENCE,
        )

    def begin(state: State, now: object) -> decisions.Decided:
        del now
        return running.start(state, state.at, reading=reading(), account=ACCOUNT, evidence=EVIDENCE)

    return Life(opening=requested(order=order)).after(show, confirm(), begin, *way, finish()).state


@pytest.mark.parametrize(
    ("way", "rest"),
    [
        ((send(1), record(FAILED, 1), send(2), record(FAILED, 2)), STRATEGY),
        ((send(1), record(DONE, 1), send(2), record(FAILED, 2)), TASKS),
        ((send(1), record(FAILED, 1), send(2), record(DONE, 2)), replace(STRATEGY, statuses=())),
        ((send(1), record(DONE, 1), stop()), TASKS),
        ((stop(),), STRATEGY),
    ],
)
def test_of_a_strategy_and_its_tasks(way: tuple[Decision, ...], rest: Cancel) -> None:
    """Of a strategy with statuses only that half is ordered again which was not taken."""
    assert rest == again(strategy(*way))


def test_a_strategy_alone() -> None:
    """A strategy that was refused is ordered again as it was."""
    order = CancelStrategy(job="J1")

    assert order == again(strategy(send(1, count=0), record(FAILED, 1), order=order))


# --- what is told of each device -------------------------------------------------------------------------------------


def test_each_device_with_its_reason() -> None:
    """Of each device that no taken call had in it the reason is told: the cloud's, not sent, or nothing to cancel."""
    way = (*sent(1, DONE), *sent(2, FAILED))
    life = by_name(*way, finish(), order=ORDERED)
    told = list(leftovers(life.state, lists(), life.events))
    failed = [
        Leftover(device=name, job="J1", why="failed", call=2, code="iot.ota.Nope", message="no")
        for name in NAMES[200:400]
    ]
    unsent = [Leftover(device=name, job="J1", why="not sent", call=3) for name in NAMES[400:]]
    idle = [Leftover(device=name, job="J1", why="had nothing that could be cancelled") for name in ASKED[450:]]

    assert [*failed, *unsent, *idle] == told


def test_who_moved_on_is_told_of() -> None:
    """Devices that a call left out are told of, also where the rest of it was taken, was split, or nothing was left."""
    way = (*sent(1, DONE, moved=2), *sent(2, MOVED), split(2, moved=197), skip(3))
    life = by_name(*way, finish())
    told = [left for left in leftovers(life.state, lists(), life.events) if left.why == MOVED_ON]

    gone = [(1, NAMES[:2]), (2, NAMES[200:397]), (3, NAMES[400:])]
    assert [Leftover(device=name, job="J1", why=MOVED_ON, call=n) for n, names in gone for name in names] == told


def test_of_a_call_that_was_sent_again_the_last_sending_counts() -> None:
    """Devices that moved on between two sendings of a call are told of once, with those that had before."""
    life = by_name(*sent(1, MOVED, moved=2), *sent(1, DONE, moved=3), *sent(2, DONE), *sent(3, DONE), finish())
    told = [left.device for left in leftovers(life.state, lists(), life.events)]

    assert [*NAMES[:5]] == told


@pytest.mark.parametrize(("ours", "told_of"), [(0, 3), (2, 3), (3, 0)])
def test_who_was_cancelled_by_an_attempt_is_not_said_to_have_moved_on(ours: int, told_of: int) -> None:
    """Devices left out that an earlier attempt cancelled are not in the list; where only some are, it says so."""
    again = partial(running.send, call=1, action=CANCEL_DEVICES, count=197, left_out=(0, 1, 2), canceled=ours)
    life = by_name(*sent(1, UNKNOWN), again, record(DONE), *sent(2, DONE), *sent(3, DONE), finish())
    told = list(leftovers(life.state, lists(), life.events))

    assert [(name, MOVED_OR_OURS if ours else MOVED_ON) for name in NAMES[:told_of]] == [
        (left.device, left.why) for left in told
    ]


@pytest.mark.parametrize("life", [life_in(Phase.EXPIRED), Life().after(*TAKEN), Life().after(*RUNNING)])
def test_without_names_nothing_is_told_of_devices(life: Life) -> None:
    """A cancel by job, and one that never ran, has no devices to tell of."""
    assert [] == list(leftovers(life.state, lists(), life.events))


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=5, max_value=60))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_who_was_not_taken_is_told_of_once(seed: int, length: int) -> None:
    """Whatever became of a run, each device of its open calls is told of once, and nobody of a call that was taken."""
    life = lived(seed, length)
    state = life.state
    run, plan = state.run, state.plan
    if run is None or plan is None or not plan.by_name:
        return
    told = Counter(left.device for left in untaken(state, lists()))
    why = {left.device: left.why for left in leftovers(state, lists(), life.events)}
    moved = {device for device in why if why[device] == MOVED_ON}
    unsure = {device for device in why if why[device] == MOVED_OR_OURS}
    taken = {NAMES[at] for n in range(1, run.calls + 1) if holds(run.done, n) for at in run.call(plan, n).at}

    assert 1 == max(told.values(), default=1)
    assert len(NAMES) >= told.total()
    assert not run.complete or not told
    assert len(moved) <= run.moved_on <= len(moved | unsure)
    assert not (taken | moved | unsure) & set(told)
