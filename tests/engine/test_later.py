"""After the end: later looks at the cloud, and times that never run back."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from bot.domain.cancellation import Phase, State
from tests.engine.scene import figures
from tests.engine.stage import CANCEL, WHOLE, Stage


def looks(stage: Stage, identity: int) -> Iterator[State]:
    """Turn the clock to each later verification and make it."""
    for minutes in (1, 5, 30):
        ended = stage.state(identity).ended
        assert ended is not None
        stage.clock.turn((ended + timedelta(minutes=minutes) - stage.clock.now()).total_seconds() - 1)
        stage.one.executor.verify(identity)
        early = stage.kinds(identity)
        stage.clock.turn(1)
        stage.one.executor.verify(identity)

        assert [*early, "verified"] == stage.kinds(identity)
        yield stage.state(identity)


class TestLater:
    def test_numbers_move(self, stage: Stage) -> None:
        """At 1, 5 and 30 minutes the cloud is read again: the figures follow it, the state does not."""
        identity = stage.confirmed()
        stage.simulated.faults.add("delayed_effect", CANCEL, seconds=200)
        first = stage.run(identity)
        later = list(looks(stage, identity))

        assert [(52, 52, 0, 52), (52, 52, 0, 52), WHOLE, WHOLE] == [figures(state) for state in (first, *later)]
        assert [Phase.DONE] * 3 == [state.phase for state in later]
        assert [first.ended] * 3 == [state.ended for state in later]
        assert (None, 1) == (later[-1].due, len(stage.cancels))

    def test_no_more_than_three(self, stage: Stage) -> None:
        """After the third look nothing is looked at any more."""
        identity = stage.confirmed()
        stage.run(identity)
        list(looks(stage, identity))
        before = len(stage.simulated.arrivals)
        stage.clock.turn(86_400)
        stage.one.executor.verify(identity)

        assert before == len(stage.simulated.arrivals)

    @pytest.mark.parametrize("away", ["cloud", "account"])
    def test_unreadable(self, stage: Stage, away: str) -> None:
        """A later look that cannot read the cloud leaves the figures as they were last seen, and is not repeated."""
        identity = stage.confirmed()
        stage.run(identity)
        process = stage.process("two", accounts={}) if away == "account" else stage.one
        if away == "cloud":
            stage.simulated.faults.add("http_500", times=None)
        stage.clock.turn(61)
        process.executor.verify(identity)
        state = stage.state(identity)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert state.ended is not None
        assert state.ended + timedelta(minutes=5) == state.due

    @pytest.mark.parametrize("kind", ["drop_before", "signature_refused"])
    def test_nothing_to_verify(self, stage: Stage, kind: str) -> None:
        """A run of which nothing was taken is not looked at later."""
        stage.simulated.faults.add(kind, CANCEL, times=None)

        assert stage.run(stage.confirmed()).due is None

    def test_taken_over(self, stage: Stage) -> None:
        """A look that another process makes already is left to it."""
        identity = stage.confirmed()
        stage.run(identity)
        stage.clock.turn(61)
        assert stage.process("two").rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
        before = stage.kinds()
        stage.one.executor.verify(identity)

        assert before == stage.kinds()


def test_times_never_run_back(stage: Stage) -> None:
    """Events of a run are stored in the order of their times, and a clock set back does not change that."""
    identity = stage.confirmed()
    stage.one.cloud.sending = lambda: stage.clock.turn(-5)
    stage.run(identity)
    times: list[datetime] = [event.at for event in stage.ledger.events(after=0)]

    assert sorted(times) == times
