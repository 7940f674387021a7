"""Several processes at one cancellation: one works on it, and whoever was late touches nothing."""

import threading

import pytest

from bot.domain.account import Account
from bot.domain.cancellation import Phase
from bot.ledger.leases import LENGTH
from tests.engine.deadly import crash
from tests.engine.scene import figures
from tests.engine.stage import CANCEL, WHOLE, Stage


class TestTogether:
    def test_two_at_once(self, stage: Stage) -> None:
        """Two processes that take up one cancellation at once run it once."""
        identity = stage.confirmed()
        processes = [stage.process("two"), stage.process("three")]
        barrier = threading.Barrier(2)

        def work(number: int) -> None:
            barrier.wait(10)
            processes[number].executor.run(identity)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        state = stage.state(identity)

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))
        assert 1 == stage.kinds().count("started")

    @pytest.mark.parametrize("moment", ["waiting", "sending", "sent", "reading"])
    def test_one_comes_meanwhile(self, stage: Stage, moment: str) -> None:
        """A process that comes at any moment of another's run leaves it alone."""
        identity = stage.confirmed()
        other = stage.process("two")
        before: list[list[str]] = []

        def come() -> None:
            before.append(stage.kinds())
            other.executor.run(identity)
            assert before[-1] == stage.kinds()

        setattr(stage.one.cloud, moment, come)
        state = stage.run(identity)

        assert (Phase.DONE, 1) == (state.phase, len(stage.cancels))
        assert before

    @pytest.mark.parametrize(
        ("moment", "phase"), [("start", Phase.APPROVED), ("waiting", Phase.RUNNING), ("reading", Phase.RUNNING)]
    )
    def test_lease_lost(self, stage: Stage, moment: str, phase: Phase) -> None:
        """A process that stood still past its lease touches nothing more: it neither starts nor sends nor finishes."""
        identity = stage.confirmed()
        other = stage.process("two")
        before: list[list[str]] = []

        def stand_still() -> None:
            if not before and phase is stage.state(identity).phase:
                stage.dies(stage.one)
                stage.clock.turn(LENGTH + 1)
                assert other.rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
                before.append(stage.kinds())

        setattr(stage.one.cloud, "reading" if moment == "start" else moment, stand_still)
        state = stage.run(identity)

        assert (phase, before[0]) == (state.phase, stage.kinds())

        state = stage.run(identity, other)

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))

    def test_late_answer(self, stage: Stage) -> None:
        """A frozen process's late answer is not taken for the answer to the attempt of its successor."""
        identity = stage.confirmed()
        other = stage.process("two")
        frozen, thawed = threading.Event(), threading.Event()

        def freeze() -> None:
            frozen.set()
            assert thawed.wait(10)

        def thaw() -> None:
            # The first process wakes while the second attempt is out, and its answer comes in before the other's.
            thawed.set()
            first.join(10)

        stage.simulated.faults.add("throttle", CANCEL)
        stage.one.cloud.sent = freeze
        other.cloud.sending = thaw
        first = threading.Thread(target=stage.one.executor.run, args=(identity,))
        first.start()
        assert frozen.wait(10)
        stage.dies(stage.one)
        stage.clock.turn(LENGTH + 1)
        state = stage.run(identity, other)

        assert ["unknown", "done"] == stage.outcomes()
        assert ["Interrupted", ""] == [body["code"] for body in stage.bodies("call_finished")]
        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), stage.executed)

    def test_late_taker(self, stage: Stage) -> None:
        """A process that froze with a fresh lease does not declare its successor's call lost when it wakes."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        frozen, thawed = threading.Event(), threading.Event()

        class Freezing(dict[str, Account]):
            def get(self, name: str, default: Account | None = None) -> Account | None:  # type: ignore[override]
                """Stand still until somebody else has the lease."""
                frozen.set()
                assert thawed.wait(10)
                return super().get(name, default)

        def thaw() -> None:
            thawed.set()
            first.join(10)

        late = stage.process("late", accounts=Freezing({"pumps": stage.account}))
        other = stage.process("two")
        other.cloud.sending = thaw
        first = threading.Thread(target=late.executor.run, args=(identity,))
        first.start()
        assert frozen.wait(10)
        stage.dies(late)
        stage.clock.turn(LENGTH + 1)
        state = stage.run(identity, other)

        assert ["done"] == stage.outcomes()
        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), stage.executed)
