"""Runs of many calls, killed between any two writes: the next process does what is left, and nothing twice."""

from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Final

import pytest

from bot.domain.account import Qps
from bot.domain.call import Answer
from bot.domain.cancellation import Phase
from bot.domain.order import Cancel, CancelDevices, CancelStrategy
from bot.domain.status import Status
from tests.engine.deadly import crash
from tests.engine.scene import LEA, figures
from tests.engine.yard import ALIYUN, ENOS, FAILED, MOVED, THROTTLED, UNKNOWN, Sent, Yard, Yards

NAMES: Final = tuple(f"pump-{number}" for number in range(1, 8))
DEVICES: Final = CancelDevices(names=NAMES, job="J1")
STRATEGY: Final = CancelStrategy(job="J1", statuses=(Status.QUEUED,))
SIDES: Final = ("before", "after")
ONE_THREAD: Final = Qps(job=1, devices=0.1, strategy=1, query=1)
THREADS: Final = Qps(job=1, devices=5, strategy=1, query=1)
FAULTS: Final[dict[str, tuple[Answer, bool]]] = {
    "throttled": (THROTTLED, False),
    "lost before": (UNKNOWN, False),
    "lost after": (UNKNOWN, True),
}


def pumps(yards: Yards, *, qps: Qps, enos: bool = False) -> Yard:
    """Return a yard with seven queued devices that go three at a time."""
    yard = yards(ENOS if enos else ALIYUN, qps=qps, names_per_call=3)
    yard.fleet.add("J1", NAMES)
    return yard


def fault(kind: str) -> Callable[[Sent], tuple[Answer, bool] | None]:
    """Let the first attempt at the second call go wrong."""
    wrong = FAULTS.get(kind)
    return lambda sent: wrong if (sent.number, sent.attempt) == (2, 1) else None


def brought_on(yard: Yard, order: Cancel, *, at: int, side: str) -> int:
    """Kill a run at a write and let another process bring it to its end; return the id."""
    identity = yard.running(order)
    assert crash(yard, identity, at=at, side=side)
    yard.run(identity, yard.process("two"))
    return identity


def once(yard: Yard) -> bool:
    """Tell whether each device was cancelled by exactly one call, and each call has one success."""
    hit = Counter(name for sent in yard.fleet.done for name in sent.names)
    done = Counter(body["call"] for body in yard.bodies("call_finished") if body["outcome"] == "done")
    return Counter(NAMES) == hit and set(done.values()) == {1} and "canceled" in set(yard.fleet.tasks["J1"].values())


POINTS: Final = [
    *product([""], range(1, 10), SIDES),
    *product(["throttled", "lost before"], range(1, 12), SIDES),
    *product(["lost after"], range(1, 11), SIDES),
]


@pytest.mark.parametrize("qps", [ONE_THREAD, THREADS], ids=["one", "several"])
@pytest.mark.parametrize(("kind", "at", "side"), POINTS)
def test_every_point(yards: Yards, kind: str, at: int, side: str, qps: Qps) -> None:
    """Killed between any two writes of three calls, from one thread or several, each device is cancelled once."""
    yard = pumps(yards, qps=qps)
    yard.fleet.play = fault(kind)
    identity = brought_on(yard, DEVICES, at=at, side=side)
    state = yard.state(identity)

    assert (Phase.DONE, (7, 7, 7, 0)) == (state.phase, figures(state))
    assert once(yard)
    assert (1, 1) == (yard.kinds().count("started"), yard.kinds().count("finished"))


@pytest.mark.parametrize(("at", "side"), [*product(range(1, 8), SIDES)])
def test_every_point_of_a_strategy(yards: Yards, at: int, side: str) -> None:
    """A strategy with its tasks, killed at any point, is brought to its end in that order, each half done once."""
    yard = pumps(yards, qps=ONE_THREAD)
    state = yard.state(brought_on(yard, STRATEGY, at=at, side=side))

    assert (Phase.DONE, (7, 7, 7, 0)) == (state.phase, figures(state))
    assert [1, 2] == [sent.number for sent in yard.fleet.done]


def whole(sent: Sent) -> tuple[Answer, bool] | None:
    """Refuse the second call as often as it is sent whole."""
    return (MOVED, False) if sent.number == 2 else None


@pytest.mark.parametrize("qps", [ONE_THREAD, THREADS], ids=["one", "several"])
@pytest.mark.parametrize(("at", "side"), [*product(range(1, 21), SIDES)])
def test_every_point_of_a_split(yards: Yards, at: int, side: str, qps: Qps) -> None:
    """So is a run on EnOS in which one call is refused again and again, and goes on device by device."""
    yard = pumps(yards, qps=qps, enos=True)
    yard.fleet.play = whole
    state = yard.state(brought_on(yard, DEVICES, at=at, side=side))

    assert (Phase.DONE, (7, 7, 7, 0)) == (state.phase, figures(state))
    assert once(yard)
    assert 1 == yard.kinds().count("call_split")


@pytest.mark.parametrize(("at", "side"), [*product(range(1, 9), SIDES)])
def test_every_point_of_a_skip(yards: Yards, at: int, side: str) -> None:
    """So is one in which a call has nothing left to send: that is counted once."""
    yard = pumps(yards, qps=ONE_THREAD, enos=True)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[2:6])
    assert crash(yard, identity, at=at, side=side)
    state = yard.run(identity, yard.process("two"))

    assert (Phase.DONE, (3, 3, 3, 0)) == (state.phase, figures(state))
    assert state.run is not None
    assert (4, ((2, 2),)) == (state.run.moved_on, state.run.skipped)


def test_points_are_all(yards: Yards) -> None:
    """Undisturbed runs make so many writes, so that the points above leave none out."""
    writes = {}
    for name, order, play, enos in (
        ("devices", DEVICES, fault(""), False),
        ("strategy", STRATEGY, fault(""), False),
        ("throttled", DEVICES, fault("throttled"), False),
        ("lost after", DEVICES, fault("lost after"), False),
        ("split", DEVICES, whole, True),
    ):
        yard = pumps(yards, qps=ONE_THREAD, enos=enos)
        yard.fleet.play = play
        yard.run(yard.running(order))
        writes[name] = len(yard.kinds()) - len(["requested", "previewed", "confirmed"])

    assert {"devices": 9, "strategy": 7, "throttled": 11, "lost after": 10, "split": 20} == writes


@pytest.mark.parametrize("times", [2, 3, 4])
def test_again_and_again(yards: Yards, times: int) -> None:
    """Killed in each of several processes with calls out, every device is still cancelled once."""
    yard = pumps(yards, qps=THREADS)
    identity = yard.running(DEVICES)
    for _ in range(times):
        crash(yard, identity, at=3, side="after")
    state = yard.run(identity, yard.process("two"))

    assert (Phase.DONE, (7, 7, 7, 0)) == (state.phase, figures(state))
    assert once(yard)


@pytest.mark.parametrize(("at", "side"), [*product(range(1, 8), SIDES)])
def test_stopped_while_nobody_ran_it(yards: Yards, at: int, side: str) -> None:
    """Stopped between two processes, lost calls are looked after by the next one, and nothing more is sent."""
    yard = pumps(yards, qps=ONE_THREAD)
    identity = yard.running(DEVICES)
    crash(yard, identity, at=at, side=side)
    sent = len(yard.fleet.sent)
    yard.press("stop", identity, LEA)
    state = yard.run(identity, yard.process("two"))
    done = sum(len(call.names) for call in yard.fleet.done)

    assert len(yard.fleet.sent) == sent
    assert state.phase is (Phase.DONE if done == len(NAMES) else Phase.STOPPED)
    assert done == (state.run.accepted if state.run else 0)


@pytest.mark.parametrize(("at", "side"), [*product(range(1, 10), SIDES)])
def test_failed_stays_failed(yards: Yards, at: int, side: str) -> None:
    """A call that the cloud refused for good is not sent again by the next process, and what is left is its devices."""
    yard = pumps(yards, qps=ONE_THREAD)
    yard.fleet.play = lambda sent: (FAILED, False) if sent.number == 2 else None
    state = yard.state(brought_on(yard, DEVICES, at=at, side=side))
    lost = [body for body in yard.bodies("call_finished") if body["code"] == "Interrupted"]

    assert (Phase.PARTLY_DONE, (7, 4, 4, 3)) == (state.phase, figures(state))
    assert len(yard.fleet.calls(2)) <= 1 + len(lost)
    assert NAMES[3:6] == yard.names(yard.retry(1))
