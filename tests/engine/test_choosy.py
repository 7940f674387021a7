"""A cloud that takes a call whole or not at all, as EnOS: who moved on is left out, and nobody is lost or hit twice."""

from typing import Final

import pytest

from bot.domain.account import Qps
from bot.domain.call import Answer
from bot.domain.cancellation import Phase
from bot.domain.order import CancelDevices, CancelJob
from bot.domain.running import MOST_LOOKS
from bot.domain.status import Status
from tests.engine.scene import figures
from tests.engine.yard import ENOS, MOVED, UNKNOWN, Sent, Yard, Yards

NAMES: Final = tuple(f"pump-{number:03}" for number in range(1, 121))
DEVICES: Final = CancelDevices(names=NAMES, job="J1")
JOB: Final = CancelJob(job="J1", statuses=(Status.QUEUED, Status.NOTIFIED))
SLOW: Final = Qps(job=1, devices=0.4, strategy=1, query=1)
"""So slow that one thread sends the calls one after another."""


def pumps(yards: Yards, **changes: object) -> Yard:
    """Return a yard of EnOS with 120 queued devices, and one that is being flashed."""
    yard = yards(ENOS, **({"qps": SLOW} | changes))
    yard.fleet.add("J1", NAMES)
    yard.fleet.add("J1", ["flashing"], Status.IN_PROGRESS)
    return yard


def moved_on(yard: Yard) -> int:
    """Return how many devices had moved on."""
    run = yard.state().run
    assert run is not None
    return run.moved_on


@pytest.mark.parametrize("order", [DEVICES, JOB], ids=["devices", "job"])
def test_story(yards: Yards, order: CancelDevices | CancelJob) -> None:
    """Named devices, or a job's, go in calls of fifty by key; each call's devices are looked at just before."""
    yard = pumps(yards)
    state = yard.run(yard.running(order))

    assert (Phase.DONE, (120, 120, 120, 0)) == (state.phase, figures(state))
    assert [50, 50, 20] == [len(sent.names) for sent in yard.fleet.sent]
    assert {"still 1": 1, "still 2": 1, "still 3": 1} == {
        read: count for read, count in yard.fleet.reads.items() if read.startswith("still")
    }
    assert [0, 1] == [moved_on(yard), yard.fleet.count("J1", "in-progress")]


def test_who_moved_on_is_left_out(yards: Yards) -> None:
    """Devices that moved on since the plan are left out of their call, counted, and their positions recorded."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[48:53])
    state = yard.run(identity)

    assert (Phase.DONE, (115, 115, 115, 0), 5) == (state.phase, figures(state), moved_on(yard))
    assert [[48, 49], [50, 51, 52], None] == [body.get("left_out") for body in yard.bodies("call_sent")]
    assert [48, 47, 20] == [body["count"] for body in yard.bodies("call_sent")]


def test_all_of_a_call_moved_on(yards: Yards) -> None:
    """A call of which every device has moved on is not sent; it is recorded, and the run is done."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[50:100])
    state = yard.run(identity)

    assert (Phase.DONE, (70, 70, 70, 0), 50) == (state.phase, figures(state), moved_on(yard))
    assert [{"v": 1, "action": "cancelTask", "call": 2, "count": 50}] == yard.bodies("call_skipped")
    assert {1: 1, 3: 1} == yard.sendings()


def test_moved_on_between_the_look_and_the_call(yards: Yards) -> None:
    """A call that is refused for a device that moved on in between is looked at again, and sent without it."""
    yard = pumps(yards)

    def play(sent: Sent) -> tuple[Answer, bool] | None:
        if (sent.number, sent.attempt) == (2, 1):
            yard.fleet.move("J1", NAMES[60:62])
            return MOVED, False
        return None

    yard.fleet.play = play
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, (120, 118, 118, 0), 2) == (state.phase, figures(state), moved_on(yard))
    assert {1: 1, 2: 2, 3: 1} == yard.sendings()
    assert (*NAMES[50:60], *NAMES[62:100]) == yard.fleet.calls(2)[1].names


def whole(sent: Sent) -> tuple[Answer, bool] | None:
    """Refuse every call of more than one device."""
    return (MOVED, False) if len(sent.names) > 1 else None


def test_refused_whole_again_and_again(yards: Yards) -> None:
    """A call that is refused after each look goes on device by device, each sent once."""
    yard = pumps(yards)
    yard.fleet.play = lambda sent: whole(sent) if sent.number == 3 else None
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, (120, 120, 120, 0), 0) == (state.phase, figures(state), moved_on(yard))
    assert {1: 1, 2: 1, 3: MOST_LOOKS} | dict.fromkeys(range(4, 24), 1) == yard.sendings()
    assert [list(range(100, 120))] == [body["at"] for body in yard.bodies("call_split")]


def test_all_calls_are_split(yards: Yards) -> None:
    """So it is where every call is refused whole, from several threads at once: nobody is lost or hit twice."""
    yard = pumps(yards, qps=Qps(job=1, devices=5, strategy=1, query=1))
    yard.fleet.play = whole
    state = yard.run(yard.running(DEVICES))
    singles = [sent.names[0] for sent in yard.fleet.sent if len(sent.names) == 1]

    assert (Phase.DONE, (120, 120, 120, 0)) == (state.phase, figures(state))
    assert list(NAMES) == sorted(singles)
    assert 3 == len(yard.bodies("call_split"))


def test_split_and_moved_on(yards: Yards) -> None:
    """Who moves on before a split, or between it and the own call, is counted as such once."""
    yard = pumps(yards)

    def play(sent: Sent) -> tuple[Answer, bool] | None:
        if sent.number == 3:
            yard.fleet.move("J1", NAMES[100 : 100 + sent.attempt])
        if sent.number == 4:
            yard.fleet.move("J1", NAMES[118:120])
        return whole(sent) if sent.number >= 3 else None

    yard.fleet.play = play
    state = yard.run(yard.running(DEVICES))
    gone = MOST_LOOKS + 2

    assert (Phase.DONE, (120, 120 - gone, 120 - gone, 0), gone) == (state.phase, figures(state), moved_on(yard))
    assert 2 == len(yard.bodies("call_skipped"))


def test_a_split_that_fails_in_part(yards: Yards) -> None:
    """Of a split call the single devices that the cloud does not take are what is left, and nothing else."""
    yard = pumps(yards)

    def play(sent: Sent) -> tuple[Answer, bool] | None:
        return (MOVED, False) if sent.number == 3 or sent.names == (NAMES[110],) else None

    yard.fleet.play = play
    state = yard.run(yard.running(DEVICES))
    again = yard.retry(1)

    assert (Phase.PARTLY_DONE, (120, 119, 119, 1)) == (state.phase, figures(state))
    assert (NAMES[110],) == yard.names(again)
    assert MOST_LOOKS == sum(sent.names == (NAMES[110],) for sent in yard.fleet.sent)


def test_unknown(yards: Yards) -> None:
    """A call of unknown fate is settled by a look at those of its devices that were sent."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[:3])
    yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 1 else None
    state = yard.run(identity)

    assert (Phase.DONE, (117, 117, 117, 0), 3) == (state.phase, figures(state), moved_on(yard))
    assert {1: 1, 2: 1, 3: 1} == yard.sendings()


def test_unknown_and_half_gone(yards: Yards) -> None:
    """One that was not carried out is sent again with those that are still there."""
    yard = pumps(yards)

    def play(sent: Sent) -> tuple[Answer, bool] | None:
        if sent.number == 1 and sent.attempt == 1:
            yard.fleet.move("J1", NAMES[:20])
            return UNKNOWN, False
        return None

    yard.fleet.play = play
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, (120, 100, 100, 0), 20) == (state.phase, figures(state), moved_on(yard))
    assert NAMES[20:50] == yard.fleet.calls(1)[1].names


def test_unreadable_before_a_call(yards: Yards) -> None:
    """While a call's devices cannot be looked at it is not sent, and it is once they can."""
    yard = pumps(yards)
    yard.fleet.unreadable = lambda read: read == "still 2" and yard.fleet.reads[read] < 5
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, {1: 1, 2: 1, 3: 1}, 5) == (state.phase, yard.sendings(), yard.fleet.reads["still 2"])


def test_never_readable(yards: Yards) -> None:
    """A call whose devices can never be looked at is not sent at all; the others are."""
    yard = pumps(yards)
    yard.fleet.unreadable = lambda read: read == "still 2"
    state = yard.run(yard.running(DEVICES))

    assert (Phase.PARTLY_DONE, {1: 1, 3: 1}, (120, 70, 70, 50)) == (state.phase, yard.sendings(), figures(state))


def test_a_job_drained_meanwhile(yards: Yards) -> None:
    """Devices that join a job after the plan was frozen are not in it, and are not hit."""
    yard = pumps(yards)
    identity = yard.running(JOB)
    yard.fleet.add("J1", ["late-1", "late-2"])
    state = yard.run(identity)

    assert (Phase.DONE, (120, 120, 120, 0), 2) == (state.phase, figures(state), yard.fleet.count("J1", "queued"))


@pytest.mark.parametrize(("seconds", "attempts"), [(29, 2), (31, 1)])
def test_a_look_that_has_grown_old(yards: Yards, seconds: int, attempts: int) -> None:
    """Where the wait for a slot was long, the devices are looked at again before the call is sent."""
    yard = pumps(yards)

    def wait() -> None:
        yard.clock.sleep(seconds)
        yard.fleet.move("J1", NAMES[:10])
        yard.one.cloud.waiting = lambda: None

    yard.one.cloud.waiting = wait
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, (120, 110, 110, 0), 10) == (state.phase, figures(state), moved_on(yard))
    assert {1: attempts, 2: 1, 3: 1} == yard.sendings()


def test_nobody_is_left_after_the_wait(yards: Yards) -> None:
    """Where all of a call have moved on during a long wait, nothing is sent in the slot."""
    yard = pumps(yards)

    def wait() -> None:
        yard.clock.sleep(31)
        yard.fleet.move("J1", NAMES[:50])
        yard.one.cloud.waiting = lambda: None

    yard.one.cloud.waiting = wait
    state = yard.run(yard.running(DEVICES))

    assert (Phase.DONE, {2: 1, 3: 1}, 50) == (state.phase, yard.sendings(), moved_on(yard))
