"""A process that is killed between any two writes: the next one brings the run to its right end."""

from itertools import product
from typing import Final

import pytest

from bot.domain.cancellation import Phase
from bot.domain.running import MOST_ATTEMPTS
from bot.ledger.leases import LENGTH
from tests.engine.deadly import crash
from tests.engine.scene import figures
from tests.engine.stage import CANCEL, TAKEN, WHOLE, Stage

POINTS: Final = [
    *product(["none"], range(1, 6), ["before", "after"]),
    *product(["drop_before", "http_500"], range(1, 8), ["before", "after"]),
    *product(["drop_after", "system_exception_after"], range(1, 7), ["before", "after"]),
    *product(["throttle"], range(1, 8), ["before", "after"]),
]


class TestCrash:
    @pytest.mark.parametrize(("kind", "at", "side"), POINTS)
    def test_every_point(self, stage: Stage, kind: str, at: int, side: str) -> None:
        """Killed between any two writes, the next process brings it to the right end with the work done once."""
        identity = stage.confirmed()
        if kind != "none":
            stage.simulated.faults.add(kind, CANCEL)

        assert crash(stage, identity, at=at, side=side)

        state = stage.run(identity, stage.process("two"))

        assert (Phase.DONE, WHOLE, TAKEN) == (state.phase, figures(state), stage.counts)
        assert 1 == stage.executed
        assert 1 == [outcome.split()[0] for outcome in stage.outcomes()].count("done")
        assert (1, 1) == (stage.kinds().count("started"), stage.kinds().count("finished"))

    def test_points_are_all(self, stage: Stage) -> None:
        """An undisturbed run makes five writes, so that the points above leave none out."""
        assert not crash(stage, stage.confirmed(), at=6, side="before")
        assert Phase.DONE is stage.state().phase

    @pytest.mark.parametrize("times", [2, 3])
    def test_again_and_again(self, stage: Stage, times: int) -> None:
        """Killed with its call out several times in a row, the run still does its work once."""
        identity = stage.confirmed()
        killed = [crash(stage, identity, at=2, side="after")]
        killed += [crash(stage, identity, at=2, side="after") for _ in range(times - 1)]
        state = stage.run(identity, stage.process("two"))

        assert [True] * times == killed
        assert (Phase.DONE, 1, WHOLE) == (state.phase, stage.executed, figures(state))

    def test_attempts_count_over_processes(self, stage: Stage) -> None:
        """Attempts are counted in the ledger: a fifth process does not start from one."""
        identity = stage.confirmed()
        for _ in range(MOST_ATTEMPTS):
            crash(stage, identity, at=2, side="after")
        state = stage.run(identity, stage.process("two"))

        assert (Phase.FAILED, []) == (state.phase, stage.cancels)
        assert [1, 2, 3, 4, 5] == [body["attempt"] for body in stage.bodies("call_sent")]

    @pytest.mark.parametrize(("side", "phase", "taken"), [("before", Phase.DONE, 52), ("after", Phase.FAILED, 0)])
    def test_stalled(self, stage: Stage, side: str, phase: Phase, taken: int) -> None:
        """A run that stood still for longer than `run_within` is not resumed: it is read, and ends as it is."""
        identity = stage.confirmed()
        # Killed before the answer is stored (the call was executed), or right after `call_sent` (it was not).
        crash(stage, identity, at=3 if side == "before" else 2, side=side)
        executed = stage.executed
        stage.clock.turn(stage.account.approval.run_within.total_seconds())
        state = stage.run(identity, stage.process("two"))

        assert (phase, (52, taken, taken, 52 - taken)) == (state.phase, figures(state))
        assert executed == stage.executed == len(stage.cancels)

    def test_stalled_before_its_call(self, stage: Stage) -> None:
        """A run that was killed right after its start and stood still for too long sends nothing any more."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        stage.clock.turn(stage.account.approval.run_within.total_seconds())
        state = stage.run(identity, stage.process("two"))

        assert (Phase.FAILED, (52, 0, 0, 52), []) == (state.phase, figures(state), stage.cancels)
        assert "the run had made no progress for too long" == state.why

    def test_not_stalled_yet(self, stage: Stage) -> None:
        """A run that stood still for less than that is resumed."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        stage.clock.turn(stage.account.approval.run_within.total_seconds() - LENGTH - 30)

        assert Phase.DONE is stage.run(identity, stage.process("two")).phase
