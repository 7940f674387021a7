"""Stop: what is out comes to its end, and nothing more is sent."""

from datetime import datetime, timedelta

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal
from tests.engine.scene import ANN, LEA, OPS, figures
from tests.engine.stage import CANCEL, WHOLE, Stage
from tests.engine.yard import DEVICES, THROTTLED, Yards, pumps


class TestStop:
    def test_before_the_start(self, stage: Stage) -> None:
        """Stopped before its start, nothing is ever sent."""
        identity = stage.confirmed()
        stage.press("stop", identity, LEA)
        state = stage.run(identity)

        assert (Phase.STOPPED, LEA, []) == (state.phase, state.stopped_by, stage.cancels)

    def test_while_waiting_for_a_slot(self, stage: Stage) -> None:
        """Stopped while it waits for its slot, nothing is sent."""
        identity = stage.confirmed()
        stage.one.cloud.waiting = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (Phase.STOPPED, (52, 0, 0, 52), []) == (state.phase, figures(state), stage.cancels)

    def test_while_the_call_is_out(self, stage: Stage) -> None:
        """Stopped while its only call is out, the answer is kept and the run is what it has come to."""
        identity = stage.confirmed()
        stage.one.cloud.sending = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (Phase.DONE, WHOLE, LEA) == (state.phase, figures(state), state.stopped_by)
        assert ["done"] == stage.outcomes()

    @pytest.mark.parametrize(
        ("kind", "phase", "expected"),
        [
            ("drop_before", Phase.STOPPED, ["unknown"]),
            ("drop_after", Phase.DONE, ["unknown", "done by read"]),
            ("throttle", Phase.STOPPED, ["failed"]),
        ],
    )
    def test_while_a_lost_call_is_out(self, stage: Stage, kind: str, phase: Phase, expected: list[str]) -> None:
        """Stopped while a call is out that gets lost, a read still tells what became of it; nothing is sent again."""
        identity = stage.confirmed()
        stage.simulated.faults.add(kind, CANCEL)
        stage.one.cloud.sending = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (phase, expected, 1) == (state.phase, stage.outcomes(), len(stage.cancels))

    @pytest.mark.parametrize("operation", [CANCEL, "ListOTATaskByJob"])
    def test_while_the_cloud_wants_to_be_left_alone(self, stage: Stage, operation: str) -> None:
        """Stopped by another process while a wait of two minutes runs, of a call or a read, it ends at once."""
        identity, other = stage.confirmed(), stage.process("two")
        stage.simulated.faults.add("throttle", CANCEL, seconds=120, header="Retry-After", times=None)
        renew, stopped = stage.clock.turned, list[datetime]()

        def turned() -> None:
            renew()
            if len(stage.cancels) == 1 and not stopped:
                stage.ledger.slots.push("main", operation, 120)
                done = other.presses.press("stop", identity, LEA, OPS, in_time=lambda: True)
                assert isinstance(done, State)
                stopped.append(stage.clock.now())

        stage.clock.turned = turned
        state = stage.run(identity)

        assert (Phase.STOPPED, LEA, 1) == (state.phase, state.stopped_by, len(stage.cancels))
        assert state.ended is not None
        assert state.ended - stopped[0] < timedelta(seconds=2)

    def test_in_the_pause_between_attempts(self, yards: Yards) -> None:
        """Stopped in the pause after a refused attempt, it does not wait for the pause's end, and sends nothing."""
        yard = pumps(yards)
        identity = yard.running(DEVICES)
        yard.fleet.play = lambda _sent: (THROTTLED, False)
        renew, began = yard.clock.turned, list[datetime]()

        def turned() -> None:
            renew()
            if len(yard.fleet.sent) >= 12 and not began:  # several threads send between two looks
                yard.press("stop", identity)
                began.append(yard.clock.now())

        yard.clock.turned = turned
        state = yard.run(identity)

        kinds = yard.kinds()
        assert (Phase.STOPPED, 0) == (state.phase, kinds[kinds.index("stopped") :].count("call_sent"))
        assert state.ended is not None
        assert state.ended - began[0] < timedelta(seconds=2)

    def test_twice(self, stage: Stage) -> None:
        """A second stop says who was first and changes nothing."""
        identity = stage.confirmed()
        answers: list[State | Refusal] = []
        stage.one.cloud.sending = lambda: answers.extend(stage.press("stop", identity, who) for who in (LEA, ANN))
        stage.run(identity)

        assert Refusal(f"It is already being stopped, by {LEA}.", who=LEA) == answers[1]
        assert 1 == stage.kinds().count("stopped")

    def test_after_the_end(self, stage: Stage) -> None:
        """A stop after the end changes nothing."""
        identity = stage.confirmed()
        stage.run(identity)

        assert isinstance(stage.press("stop", identity), Refusal)
        assert Phase.DONE is stage.state().phase


def stop(stage: Stage, identity: int) -> None:
    """Stop it."""
    done = stage.press("stop", identity, LEA)
    assert not isinstance(done, Refusal), done.reason
