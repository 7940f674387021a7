"""The keeper brings everything on by itself: checks, runs, ends of waits, later looks, after a death too."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.errors import LedgerError
from bot.domain.order import CancelJob
from bot.engine.keeper import ABANDONED, AGAIN, Halt, HaltError, Keeper, Renewer
from bot.ledger.leases import LENGTH
from tests.engine.scene import ANN, OPS, figures
from tests.engine.stage import CANCEL, JOB, QUEUED_AND_NOTIFIED, Stage


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def keep(stage: Stage, stack: ExitStack, *, closed: bool = False) -> Keeper:
    """Start a keeper for the stage's process, which may take no new work."""
    halt = Halt()
    if closed:
        halt.close()
    keeper = Keeper(stage.one.rooms, stage.one.intake, stage.one.executor, halt)

    def leave() -> None:
        halt.ask()
        keeper.stop()

    stack.callback(leave)
    keeper.start()
    return keeper


def until(holds: Callable[[], bool]) -> bool:
    """Wait until something holds; tell whether it did in time."""
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def settles(stage: Stage) -> bool:
    """Wait until the keeper has looked once more; it looks after each write."""
    looks = stage.one.rooms.ledger.at_work
    seen = threading.Event()

    def noted() -> list[State]:
        seen.set()
        return looks()

    stage.one.rooms.ledger.at_work = noted  # type: ignore[method-assign]
    return seen.wait(10)


def comes_to(stage: Stage, phase: Phase, identity: int = 1) -> bool:
    """Tell whether a cancellation comes to a phase, and its state is the fold of its events then."""

    def there() -> bool:
        stage.clock.sleep(0.02)  # whatever rests between two tries comes to its end
        state = stage.ledger.state(identity)
        return state is not None and state.phase is phase

    return until(there) and stage.state(identity).phase is phase


def ordered(stage: Stage) -> int:
    """Order, and leave the check to somebody."""
    order = CancelJob(job=JOB, statuses=QUEUED_AND_NOTIFIED)
    return stage.one.intake.order(ANN, order, stage.account, channel=OPS, via="slack", delivery=None).id


class TestKeeper:
    def test_whole_life(self, stage: Stage, stack: ExitStack) -> None:
        """From the order to the end nobody but the asker has to do anything."""
        keeper = keep(stage, stack)
        identity = ordered(stage)
        keeper.check("pumps", identity)
        assert comes_to(stage, Phase.WAITING_CONFIRMATION)
        stage.press("confirm", identity)

        assert comes_to(stage, Phase.DONE)
        assert ((52, 52, 52, 0), 1) == (figures(stage.state()), len(stage.cancels))

    def test_confirmed_before_it_came(self, stage: Stage, stack: ExitStack) -> None:
        """What was confirmed before this process started is run, without Slack."""
        stage.confirmed()
        keep(stage, stack)

        assert comes_to(stage, Phase.DONE)

    def test_closed(self, stage: Stage, stack: ExitStack) -> None:
        """A process that takes no new work starts nothing that was confirmed, and leaves it to the next one."""
        stage.confirmed()
        keep(stage, stack, closed=True)

        assert settles(stage)
        assert settles(stage)
        assert Phase.APPROVED is stage.state().phase

    def test_abandoned_check(self, stage: Stage, stack: ExitStack) -> None:
        """An order whose check somebody left behind is checked after a while, and not before."""
        ordered(stage)
        keep(stage, stack)
        stage.clock.turn(ABANDONED.total_seconds() - 1)
        assert settles(stage)
        assert settles(stage)
        early = stage.state().phase
        stage.clock.turn(2)

        assert Phase.CHECKING is early
        assert comes_to(stage, Phase.WAITING_CONFIRMATION)

    def test_held(self, stage: Stage, stack: ExitStack) -> None:
        """An order that is held is asked about once more by a process that starts, and is then left alone."""
        stage.ordered()
        held = stage.ordered()
        stage.told.texts.clear()
        lease = stage.ledger.leases.take(f"cancellation:{held}", "witness")
        stage.clock.turn(ABANDONED.total_seconds() + 1)
        keeper = keep(stage, stack)

        assert until(lambda: stage.told.texts == ["#2: already #1"])
        assert settles(stage)
        assert lease is not None
        assert held not in keeper._not_before

    def test_expiry(self, stage: Stage, stack: ExitStack) -> None:
        """An unanswered question is a denial when its time is over."""
        identity = stage.ordered()
        keep(stage, stack)
        stage.clock.turn(stage.account.approval.expires.total_seconds())

        assert comes_to(stage, Phase.EXPIRED)
        assert (["requested", "previewed", "expired"], []) == (stage.kinds(identity), stage.cancels)

    def test_later_look(self, stage: Stage, stack: ExitStack) -> None:
        """The cloud is looked at again when the time has come."""
        stage.simulated.faults.add("delayed_effect", CANCEL, seconds=40)
        stage.run(stage.confirmed())
        verified = stage.kinds().count("verified")
        keep(stage, stack)
        stage.clock.turn(timedelta(minutes=1).total_seconds())

        assert until(lambda: stage.kinds().count("verified") == verified + 1)
        assert (Phase.DONE, (52, 52, 52, 0)) == (stage.state().phase, figures(stage.state()))

    def test_run_of_a_dead_process(self, stage: Stage, stack: ExitStack) -> None:
        """A run whose process died is taken up when that one's lease has lapsed."""
        identity = stage.confirmed()
        assert stage.process("dead").rooms.ledger.leases.take(f"cancellation:{identity}", "dead") is not None
        stage.dies(stage.process("dead"))
        keep(stage, stack)
        assert settles(stage)
        assert settles(stage)
        before = stage.state().phase
        stage.clock.turn(LENGTH)

        assert Phase.APPROVED is before
        assert comes_to(stage, Phase.DONE)

    @pytest.mark.parametrize("error", [RuntimeError("a bug"), LedgerError("the disk is full"), HaltError()])
    def test_work_that_fails(self, stage: Stage, stack: ExitStack, error: Exception) -> None:
        """Work that raises, whatever it raises, does not stop the workers, and is tried again after a rest."""
        errors = [error]

        def fail() -> None:
            if errors:
                raise errors.pop()

        stage.one.cloud.waiting = fail
        stage.confirmed()
        keep(stage, stack)
        assert until(lambda: not errors)
        assert settles(stage)
        assert settles(stage)
        resting = stage.state().phase
        stage.clock.turn(AGAIN.total_seconds())

        assert Phase.RUNNING is resting
        assert comes_to(stage, Phase.DONE)
        assert 1 == len(stage.cancels)

    def test_one_worker_at_a_time(self, stage: Stage, stack: ExitStack) -> None:
        """A cancellation that is being worked on is not handed out again, however often the keeper looks."""
        handed_out: list[str] = []
        run = stage.one.executor.run

        def running(cancellation: int) -> None:
            handed_out.append(threading.current_thread().name)
            run(cancellation)

        def wait_for_looks() -> None:
            assert settles(stage)
            assert settles(stage)

        stage.one.executor.run = running  # type: ignore[method-assign]
        stage.one.cloud.sending = wait_for_looks
        stage.confirmed()
        keep(stage, stack)

        assert comes_to(stage, Phase.DONE)
        assert 1 == len(handed_out) == stage.executed

    def test_unanswering_directory(self, stage: Stage, stack: ExitStack) -> None:
        """An order whose asker Slack does not tell is checked again until it does."""
        stage.people.silent = 2
        stage.ordered()
        keep(stage, stack)
        stage.clock.turn(ABANDONED.total_seconds() + 1)
        assert until(lambda: not stage.people.silent)
        assert settles(stage)
        stage.clock.turn(AGAIN.total_seconds() + 1)

        assert comes_to(stage, Phase.WAITING_CONFIRMATION)

    def test_other_work(self, stage: Stage, stack: ExitStack) -> None:
        """Answers and looks are made off the thread that asked for them, and one that raises harms nobody."""
        done: list[str] = []
        keeper = keep(stage, stack)

        def fail() -> None:
            raise LedgerError("the disk is full")

        keeper.answer(fail)
        keeper.answer(lambda: done.append(threading.current_thread().name))
        keeper.look("pumps", lambda: done.append(threading.current_thread().name))

        assert until(lambda: len(done) == 2)
        assert threading.current_thread().name not in done

    def test_leaves(self, stage: Stage) -> None:
        """Asked to leave, it takes nothing new, keeps the answer that is out, and gives its leases back."""
        halt, asked = Halt(), []
        keeper = Keeper(stage.one.rooms, stage.one.intake, stage.one.executor, halt)
        stage.one.cloud.sending = halt.ask
        identity = stage.confirmed()
        keeper.start()
        assert until(lambda: halt.asked)
        keeper.stop()
        keeper.answer(lambda: asked.append("answer"))
        keeper.look("pumps", lambda: asked.append("look"))
        keeper.check("pumps", identity)

        assert (["done"], []) == (stage.outcomes(), asked)
        assert stage.ledger.leases.take(f"cancellation:{identity}", "another") is not None


class TestHalt:
    def test_sleep(self) -> None:
        """A sleep ends at once when the process is asked to leave, and every later one too."""
        halt = Halt()
        halt.sleep(0)
        halt.sleep(-1)
        threading.Timer(0.05, halt.ask).start()
        began = time.monotonic()
        with pytest.raises(HaltError):
            halt.sleep(60)
        with pytest.raises(HaltError):
            halt.sleep(0)

        assert time.monotonic() - began < 10
        assert halt.asked


class TestRenewer:
    def test_gives_back(self, stage: Stage) -> None:
        """Leases are free for others at once when the process has left."""
        leases, renewer = stage.ledger.leases, Renewer(stage.one.rooms)
        assert leases.take("something", "one") is not None
        renewer.start()
        before = leases.take("something", "two")
        renewer.stop()

        assert before is None
        assert leases.take("something", "two") is not None


def test_a_checkpoint_is_made_when_it_is_due(stage: Stage, stack: ExitStack) -> None:
    """A bot that comes back after a day says where the chain stands, without being asked."""
    stage.order(CancelJob(job=JOB, statuses=QUEUED_AND_NOTIFIED))
    stage.clock.turn(24 * 3600)
    keep(stage, stack)

    assert until(lambda: "checkpoint" in [event.kind for event in stage.ledger.events(after=0)])
