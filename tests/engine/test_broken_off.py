"""Runs of many calls that end before their time: stopped, taken over, or broken off."""

import threading

import pytest

from bot.domain.account import Qps
from bot.domain.cancellation import Phase
from bot.ledger.leases import LENGTH, LeaseLostError
from tests.engine.scene import LEA, figures
from tests.engine.yard import DEVICES, UNKNOWN, Sent, Yards, pumps


class TestStop:
    def test_mid_batch(self, yards: Yards) -> None:
        """Stopped in the middle, what is out comes to its end and the rest is never sent."""
        yard = pumps(yards, names_per_call=1, qps=Qps(job=1, devices=0.5, strategy=1, query=1))
        identity = yard.running(DEVICES)
        before: list[int] = []

        def play(sent: Sent) -> None:
            if sent.number == 100:
                yard.press("stop", identity, LEA)
                before.append(len(yard.fleet.sent))

        yard.fleet.play = play
        state = yard.run(identity)
        sent = len(yard.fleet.sent)

        assert (Phase.STOPPED, LEA) == (state.phase, state.stopped_by)
        assert before[0] <= sent < before[0] + len({call.thread for call in yard.fleet.sent})
        assert (450, sent, sent, 450 - sent) == figures(state)
        assert 1 == max(yard.sendings().values())

    @pytest.mark.parametrize(("does", "phase", "accepted"), [(True, Phase.STOPPED, 200), (False, Phase.STOPPED, 0)])
    def test_a_lost_call_is_looked_after(self, yards: Yards, does: bool, phase: Phase, accepted: int) -> None:
        """What became of a call that was out when the run was stopped is still found out, and nothing is sent again."""
        yard = pumps(yards, qps=Qps(job=1, devices=0.1, strategy=1, query=1))
        identity = yard.running(DEVICES)

        def stop() -> None:
            yard.press("stop", identity, LEA)

        yard.one.cloud.sending = stop
        yard.fleet.play = lambda _sent: (UNKNOWN, does)
        state = yard.run(identity)

        assert (phase, 1, 1) == (state.phase, len(yard.fleet.sent), yard.fleet.reads["still 1"])
        assert (450, accepted, accepted, 450 - accepted) == figures(state)

    def test_while_threads_wait_for_slots(self, yards: Yards) -> None:
        """Stopped while many threads of the run wait for their slots, none of them sends any more."""
        yard = pumps(yards, names_per_call=10, qps=Qps(job=1, devices=10, strategy=1, query=1))
        identity = yard.running(DEVICES)
        waits: list[int] = []

        def wait() -> None:
            waits.append(len(yard.fleet.sent))
            if len(waits) == 5:
                yard.press("stop", identity, LEA)

        yard.one.cloud.waiting = wait
        state = yard.run(identity)

        assert Phase.STOPPED is state.phase
        assert len(yard.fleet.sent) <= 4


class TestLease:
    def test_lost(self, yards: Yards) -> None:
        """A process that has lost its lease sends nothing more from any of its threads; its successor does the rest."""
        yard = pumps(yards, names_per_call=1, qps=Qps(job=1, devices=0.5, strategy=1, query=1))
        identity = yard.running(DEVICES)
        other = yard.process("two")
        lost: list[int] = []

        def play(sent: Sent) -> None:
            if sent.number == 50 and not lost:
                yard.dies(yard.one)
                yard.clock.turn(LENGTH + 1)
                assert other.rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
                lost.append(len(yard.fleet.sent))

        yard.fleet.play = play
        yard.one.executor.run(identity)

        assert lost[0] + 5 >= len(yard.fleet.sent)
        assert Phase.RUNNING is yard.state(identity).phase

        state = yard.run(identity, other)

        assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
        assert dict.fromkeys(range(1, 451), 1) == yard.sendings()

    def test_two_processes(self, yards: Yards) -> None:
        """Of two processes that take a run of many calls up at once, one sends them all."""
        yard = pumps(yards, names_per_call=5)
        identity = yard.running(DEVICES)
        processes = [yard.process("two"), yard.process("three")]
        barrier = threading.Barrier(2)

        def work(number: int) -> None:
            barrier.wait(10)
            processes[number].executor.run(identity)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        state = yard.state(identity)

        assert (Phase.DONE, dict.fromkeys(range(1, 91), 1)) == (state.phase, yard.sendings())
        assert 1 == yard.kinds().count("started")

    @pytest.mark.parametrize("error", [LeaseLostError("x"), RuntimeError("a bug"), KeyboardInterrupt()])
    def test_what_one_thread_meets_ends_them_all(self, yards: Yards, error: BaseException) -> None:
        """Whatever breaks in one thread ends the others after the call that they are at; a later try does the rest."""
        yard = pumps(yards, names_per_call=1, qps=Qps(job=1, devices=0.5, strategy=1, query=1))
        identity = yard.running(DEVICES)

        def wait() -> None:
            if len(yard.fleet.sent) >= 40:
                raise error

        yard.one.cloud.waiting = wait
        if isinstance(error, LeaseLostError):
            yard.one.executor.run(identity)
        else:
            with pytest.raises(type(error)):
                yard.one.executor.run(identity)
        early = len(yard.fleet.sent)
        yard.one.cloud.waiting = lambda: None
        state = yard.run(identity)

        assert early <= 45
        assert (Phase.DONE, dict.fromkeys(range(1, 451), 1)) == (state.phase, yard.sendings())


class TestResumed:
    def test_stalled(self, yards: Yards) -> None:
        """A run that stood still for too long sends nothing more; its lost calls are looked after, the rest is left."""
        yard = pumps(yards, qps=Qps(job=1, devices=0.1, strategy=1, query=1))
        identity = yard.running(DEVICES)
        broken = [RuntimeError("power cut")]

        def wait() -> None:
            if yard.fleet.sent and broken:
                raise broken.pop()

        yard.one.cloud.waiting = wait
        with pytest.raises(RuntimeError):
            yard.one.executor.run(identity)
        yard.clock.turn(yard.account.approval.run_within.total_seconds() + 1)
        state = yard.run(identity)

        assert (Phase.PARTLY_DONE, (450, 200, 200, 250), 1) == (state.phase, figures(state), len(yard.fleet.sent))
        assert "the run had made no progress for too long" == state.why
        assert 0 == yard.fleet.reads["still 2"]
