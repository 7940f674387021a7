"""Many calls: each is sent once, whatever threads, stops and answers do, and all that is left is known."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Final

import pytest

from bot.domain.account import Qps
from bot.domain.call import Answer
from bot.domain.cancellation import LATER, Phase
from bot.domain.decisions import Refusal
from bot.domain.order import CancelDevices, CancelJob, CancelStrategy
from bot.domain.running import MOST_ATTEMPTS
from bot.domain.status import Status
from tests.engine.scene import ANN, figures
from tests.engine.yard import DEVICES, DONE, FAILED, NAMES, THROTTLED, UNKNOWN, Sent, Yard, Yards, pumps


def answering(yard: Yard, **by_call: Answer) -> None:
    """Answer some calls otherwise than with done; `unknown` ones are not carried out."""
    answers = {int(name.removeprefix("call_")): answer for name, answer in by_call.items()}
    yard.fleet.play = lambda sent: (answers[sent.number], False) if sent.number in answers else None


class TestBatch:
    def test_story(self, yards: Yards) -> None:
        """450 devices go in three calls, each exactly once; the others of the job are not touched."""
        yard = pumps(yards)
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
        assert {1: 1, 2: 1, 3: 1} == yard.sendings()
        assert Counter(NAMES) == Counter(name for sent in yard.fleet.sent for name in sent.names)
        assert [200, 200, 50] == [len(yard.fleet.calls(number)[0].names) for number in (1, 2, 3)]
        assert 2 == yard.fleet.count("J1", "queued")

    def test_one_look_tells_a_part(self, yards: Yards) -> None:
        """Where all that was taken is seen, a run of which a part was not taken is looked at once and over."""
        yard = pumps(yards)
        answering(yard, call_2=FAILED)
        state = yard.run(yard.running(DEVICES))

        assert (Phase.PARTLY_DONE, (450, 250, 250, 200)) == (state.phase, figures(state))
        assert 1 == yard.fleet.reads["verify"]

    def test_names_are_stored_once(self, yards: Yards) -> None:
        """Of the names no event carries any: they lie once in the table of lists."""
        yard = pumps(yards)
        yard.run(yard.running(DEVICES))
        bodies = str([event.body for event in yard.ledger.events(after=0)])

        assert NAMES == yard.names(1)
        assert [] == [name for name in NAMES if name in bodies]

    def test_a_firmware(self, yards: Yards) -> None:
        """A cancel by firmware sends each job's own devices in calls that name that job, product and firmware."""
        yard = pumps(yards)
        yard.fleet.add("J2", NAMES[:201])
        yard.fleet.add("J3", ["another"])
        state = yard.run(yard.running(CancelDevices(names=NAMES, product="P", firmware="F")))

        assert (Phase.DONE, (651, 651, 651, 0)) == (state.phase, figures(state))
        assert {("J1", 450), ("J2", 201)} == set(
            Counter(sent.job for sent in yard.fleet.sent for _ in sent.names).items()
        )
        assert 1 == yard.fleet.count("J3", "queued")

    def test_only_who_can_be_cancelled_is_sent(self, yards: Yards) -> None:
        """Devices that have nothing to cancel are not sent, and so are ones that the job does not know."""
        yard = pumps(yards)
        yard.fleet.move("J1", NAMES[:300])
        state = yard.run(yard.running(replace(DEVICES, names=(*NAMES, "unheard-of"))))

        assert (Phase.DONE, (150, 150, 150, 0), 1) == (state.phase, figures(state), len(yard.fleet.sent))

    @pytest.mark.parametrize("threads", [1, 2, 8])
    def test_hundreds_of_calls(self, yards: Yards, threads: int) -> None:
        """Hundreds of calls from several threads are each sent exactly once, and every answer is kept."""
        yard = pumps(yards, names_per_call=1, qps=Qps(job=1, devices=threads / 8 - 0.05, strategy=1, query=1))
        state = yard.run(yard.running(DEVICES))

        assert dict.fromkeys(range(1, 451), 1) == yard.sendings()
        assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
        assert threads >= len({sent.thread for sent in yard.fleet.sent})

    def test_several_threads_send_at_once(self, yards: Yards) -> None:
        """A cloud that is slow to answer holds up no other call: several are out at the same time."""
        yard = pumps(yards, names_per_call=100)
        together = threading.Barrier(5)

        def meet() -> None:
            together.wait(10)

        yard.one.cloud.sent = meet
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, 5) == (state.phase, len({sent.thread for sent in yard.fleet.sent}))


def test_five_thousand_calls(yards: Yards) -> None:
    """5,000 calls from many threads are each sent exactly once; the state stays the fold of ten thousand events."""
    names = tuple(f"pump-{number:04}" for number in range(5000))
    yard = yards(names_per_call=1, qps=Qps(job=5, devices=2, strategy=5, query=10))
    yard.fleet.add("J1", names)
    state = yard.run(yard.running(CancelDevices(names=names, job="J1")))

    assert dict.fromkeys(range(1, 5001), 1) == yard.sendings()
    assert (Phase.DONE, (5000, 5000, 5000, 0)) == (state.phase, figures(state))
    assert state.run is not None
    assert ((1, 5000),) == state.run.done


class TestFailures:
    def test_one_of_three(self, yards: Yards) -> None:
        """One call that fails leaves the run partly done, and says of which call the rest is."""
        yard = pumps(yards)
        answering(yard, call_2=FAILED)
        state = yard.run(yard.running(DEVICES))

        assert (Phase.PARTLY_DONE, (450, 250, 250, 200)) == (state.phase, figures(state))
        assert {1: 1, 2: 1, 3: 1} == yard.sendings()
        assert state.run is not None
        assert (((1, 1), (3, 3)), [2]) == (state.run.done, list(state.run.attempts))

    def test_all_of_them(self, yards: Yards) -> None:
        """Where the cloud takes no call the run has failed, and every call was tried."""
        yard = pumps(yards)
        yard.fleet.play = lambda _sent: (FAILED, False)
        state = yard.run(yard.running(DEVICES))

        assert (Phase.FAILED, (450, 0, 0, 450), {1: 1, 2: 1, 3: 1}) == (state.phase, figures(state), yard.sendings())

    def test_throttled(self, yards: Yards) -> None:
        """A throttled call is sent again by itself; the others are not."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (THROTTLED, False) if sent.number == 2 and sent.attempt < 4 else None
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
        assert {1: 1, 2: 4, 3: 1} == yard.sendings()

    def test_never_through(self, yards: Yards) -> None:
        """A call that never comes through is given up after five times, and the others are taken."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, False) if sent.number == 1 else None
        state = yard.run(yard.running(DEVICES))

        assert (Phase.PARTLY_DONE, (450, 250, 250, 200)) == (state.phase, figures(state))
        assert {1: MOST_ATTEMPTS, 2: 1, 3: 1} == yard.sendings()

    def test_lost_after(self, yards: Yards) -> None:
        """A call of unknown fate that was carried out is settled by a look at its own devices, and not sent again."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 2 else None
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
        assert ({1: 1, 2: 1, 3: 1}, ["still 2"]) == (yard.sendings(), [r for r in yard.fleet.reads if "still" in r])
        assert ["done", "done", "done by read", "unknown"] == sorted(yard.outcomes())

    def test_lost_before(self, yards: Yards) -> None:
        """One that was not carried out is sent again after a look at its own devices, though others are done."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, False) if sent.number == 2 and sent.attempt == 1 else None
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, {1: 1, 2: 2, 3: 1}) == (state.phase, yard.sendings())
        assert 1 == yard.fleet.reads["still 2"]

    def test_lost_and_moved_on(self, yards: Yards) -> None:
        """Devices that moved on by themselves meanwhile are not said to have been accepted."""
        yard = pumps(yards)

        def play(sent: Sent) -> tuple[Answer, bool] | None:
            if sent.number == 2:
                yard.fleet.move("J1", sent.names[:30])
            return (UNKNOWN, True) if sent.number == 2 else None

        yard.fleet.play = play
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, (450, 420, 420, 0)) == (state.phase, figures(state))

    def test_unreadable(self, yards: Yards) -> None:
        """While the cloud cannot be read, a call of unknown fate is not sent again; the others go on meanwhile."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 1 else None
        yard.fleet.unreadable = lambda read: read == "still 1" and yard.fleet.reads[read] < 9
        state = yard.run(yard.running(DEVICES))

        assert (Phase.DONE, {1: 1, 2: 1, 3: 1}, 9) == (state.phase, yard.sendings(), yard.fleet.reads["still 1"])

    def test_never_readable(self, yards: Yards) -> None:
        """If it cannot be read for all of `run_within`, the run ends without a second call or a claim."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 1 else None
        yard.fleet.unreadable = lambda read: read.startswith("still")
        state = yard.run(yard.running(DEVICES))

        assert (Phase.PARTLY_DONE, {1: 1, 2: 1, 3: 1}) == (state.phase, yard.sendings())
        assert (450, 250, 450, 0) == figures(state)


class TestStrategy:
    ORDER: Final = CancelStrategy(job="J1", statuses=(Status.QUEUED,))

    def test_strategy_first(self, yards: Yards) -> None:
        """The strategy is stopped before its tasks are cancelled, so that nobody joins in between."""
        yard = pumps(yards)
        state = yard.run(yard.running(self.ORDER))

        assert ["CancelOTAStrategyByJob", "CancelOTATaskByJob"] == [sent.action for sent in yard.fleet.sent]
        assert (Phase.DONE, (452, 452, 452, 0)) == (state.phase, figures(state))
        assert ["call_sent", "call_finished"] * 2 == [kind for kind in yard.kinds() if kind.startswith("call")]

    @pytest.mark.parametrize("answer", [THROTTLED, UNKNOWN])
    def test_only_when_it_has_ended(self, yards: Yards, answer: Answer) -> None:
        """The tasks wait until the strategy has come to its end, through all its attempts."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (answer, False) if sent.number == 1 and sent.attempt < 3 else None
        state = yard.run(yard.running(self.ORDER))

        assert [1, 1, 1, 2] == [sent.number for sent in yard.fleet.sent]
        assert (Phase.DONE, "CANCELED") == (state.phase, yard.fleet.batch)

    def test_a_strategy_that_was_stopped(self, yards: Yards) -> None:
        """A strategy of unknown fate that is found stopped is done, and not stopped again."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 1 else None
        state = yard.run(yard.running(self.ORDER))

        assert ([1, 2], Phase.DONE) == ([sent.number for sent in yard.fleet.sent], state.phase)
        assert ["unknown", "done by read", "done"] == yard.outcomes()

    def test_alone(self, yards: Yards) -> None:
        """A strategy alone touches no task."""
        yard = pumps(yards)
        state = yard.run(yard.running(CancelStrategy(job="J1")))

        assert (Phase.DONE, (0, 0, 0, 0), 452) == (state.phase, figures(state), yard.fleet.count("J1", "queued"))

    def test_refused(self, yards: Yards) -> None:
        """A strategy that is refused leaves its tasks to be cancelled all the same, and the end says so."""
        yard = pumps(yards)
        answering(yard, call_1=FAILED)
        state = yard.run(yard.running(self.ORDER))

        assert (Phase.PARTLY_DONE, (452, 452, 452, 0)) == (state.phase, figures(state))
        assert "the strategy was not stopped, so devices may still join the batch" == state.why

    def test_shows_late(self, yards: Yards) -> None:
        """A strategy whose batch does not show yet that it was stopped is looked at again, and later after the end."""
        yard = pumps(yards)
        yard.fleet.play = lambda _sent: (DONE, False)

        def stop_showing() -> None:
            if yard.fleet.reads["verify"] == 2:
                yard.fleet.batch = "CANCELED"

        yard.one.cloud.reading = stop_showing
        state = yard.run(yard.running(CancelStrategy(job="J1")))

        assert (Phase.DONE, 3, "CANCELED") == (state.phase, yard.fleet.reads["verify"], yard.fleet.batch)
        assert state.ended is not None
        assert state.ended + LATER[0] == state.due


def test_a_job_beside_is_counted_at_the_start(yards: Yards) -> None:
    """What is asked is counted at the start: devices that moved on since the preview are not."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[:50])
    state = yard.run(identity)

    assert (Phase.DONE, (400, 450, 400, 0)) == (state.phase, figures(state))


def test_nothing_left_at_the_start(yards: Yards) -> None:
    """Where all named devices have moved on meanwhile, the run is void and nothing is sent."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES)
    state = yard.run(identity)

    assert (Phase.VOIDED, []) == (state.phase, yard.fleet.sent)


def test_in_progress_meanwhile(yards: Yards) -> None:
    """A named device that began to flash since the confirmation voids it where that needs a second person."""
    yard = pumps(yards, approval=replace(yards().account.approval, always=("in-progress",)))
    identity = yard.running(DEVICES)
    yard.fleet.move("J1", NAMES[:1], "in-progress")
    state = yard.run(identity)

    assert (Phase.VOIDED, "the approval rules are stricter now than when it was agreed to") == (
        state.phase,
        state.why,
    )


def test_a_job_that_is_gone(yards: Yards) -> None:
    """An order that the cloud refuses for good is told in its words, and has no card."""
    yard = pumps(yards)
    state = yard.state(yard.order(CancelJob(job="J9", statuses=(Status.QUEUED,))))

    assert (Phase.VOIDED, False) == (state.phase, state.has_card)
    assert ["#1: There is no job J9. Nothing was changed."] == yard.told.texts


def test_a_refused_press_leaves_a_run_alone(yards: Yards) -> None:
    """A second confirmation while calls go out changes nothing."""
    yard = pumps(yards)
    identity = yard.running(DEVICES)
    pressed: list[object] = []
    yard.one.cloud.sending = lambda: pressed.append(yard.press("confirm", identity, ANN))
    state = yard.run(identity)

    assert (Phase.DONE, 3) == (state.phase, len(yard.fleet.sent))
    assert [Refusal] * 3 == [type(press) for press in pressed]
