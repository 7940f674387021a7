"""Keeps watch: renews leases, ends waits, and takes up whatever a dead process left behind."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

import structlog

from bot.domain import decisions
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.errors import LedgerError
from bot.engine.executor import Executor
from bot.engine.intake import Intake, Rooms
from bot.ledger.leases import RENEW_EVERY

LOOK_EVERY: Final = 0.5
"""Seconds between looks at the ledger; a decision made in this process wakes the keeper at once."""
ABANDONED: Final = timedelta(seconds=5)
"""After this an order that is still being checked is somebody's who may have died."""
CHECKERS: Final = 8
RUNNERS: Final = 32

log = structlog.get_logger()


class HaltError(Exception):
    """The process is leaving: whatever sleeps or waits lets go."""


class Halt:
    """The flag that the process is leaving, and the one sleep that ends when it is raised."""

    def __init__(self) -> None:
        self._raised = threading.Event()

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the process is leaving; raises HaltError then."""
        if self._raised.wait(max(0.0, seconds)):
            raise HaltError

    def ask(self) -> None:
        """Ask everything to leave."""
        self._raised.set()

    @property
    def asked(self) -> bool:
        """Whether the process is leaving."""
        return self._raised.is_set()


class Renewer:
    """Renews the leases of this process, in a thread of its own, until the process leaves."""

    def __init__(self, rooms: Rooms, halt: Halt) -> None:
        self._rooms = rooms
        self._halt = halt
        self._thread = threading.Thread(target=self._renew, name="leases")

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Give every lease back; `Halt` has been asked before."""
        self._thread.join()
        self._rooms.ledger.leases.release_all(self._rooms.owner)

    def _renew(self) -> None:
        while not self._halt.asked:
            _guarded(lambda: self._rooms.ledger.leases.renew(self._rooms.owner))
            _guarded(lambda: self._halt.sleep(RENEW_EVERY))


class Keeper:
    """The bot's own workers: checks of new orders, runs, later verifications, deadlines.

    Bolt's threads are never used for work: a full pool there acknowledges nothing and runs everything later.
    """

    def __init__(self, rooms: Rooms, intake: Intake, executor: Executor, halt: Halt) -> None:
        self._rooms = rooms
        self._intake = intake
        self._executor = executor
        self._halt = halt
        self._wake = threading.Event()
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._checkers = ThreadPoolExecutor(CHECKERS, thread_name_prefix="check")
        self._runners = ThreadPoolExecutor(RUNNERS, thread_name_prefix="run")
        self._renewer = Renewer(rooms, halt)
        self._thread = threading.Thread(target=self._watch, name="keeper")

    def start(self) -> None:
        """Start watching."""
        self._rooms.ledger.listen(self._wake.set)
        self._renewer.start()
        self._thread.start()

    def stop(self) -> None:
        """Let what is in flight come to its end and leave; `Halt` has been asked before."""
        self._wake.set()
        self._checkers.shutdown(cancel_futures=True)
        self._runners.shutdown(cancel_futures=True)
        self._thread.join()
        self._renewer.stop()

    def submit(self, work: Callable[[], None]) -> None:
        """Do something that reads clouds or Slack, off the threads that must answer within 3 s."""
        if not self._halt.asked:
            self._checkers.submit(_guarded, work)

    def check(self, cancellation: int) -> None:
        """Check a new order soon."""
        self._take(cancellation, self._checkers, self._intake.check)

    def _watch(self) -> None:
        while not self._halt.asked:
            _guarded(self._look)
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _look(self) -> None:
        for state in self._rooms.ledger.at_work():
            if state.phase in {Phase.APPROVED, Phase.RUNNING}:
                self._take(state.id, self._runners, self._executor.run)
            elif state.phase is Phase.CHECKING and self._rooms.now() - state.at > ABANDONED:
                self._take(state.id, self._checkers, self._intake.check)
        for state in self._rooms.ledger.due():
            self._end_wait(state)

    def _end_wait(self, state: State) -> None:
        if state.phase not in OPEN:
            self._take(state.id, self._runners, self._executor.verify)
        elif state.phase is not Phase.RUNNING:
            self._rooms.ledger.decide(state.id, decisions.expire)

    def _take(self, cancellation: int, pool: ThreadPoolExecutor, work: Callable[[int], None]) -> None:
        """Hand a cancellation to one worker of this process at a time."""
        with self._lock:
            if cancellation in self._busy or self._halt.asked:
                return
            self._busy.add(cancellation)

        def done() -> None:
            try:
                _guarded(lambda: work(cancellation))
            finally:
                with self._lock:
                    self._busy.discard(cancellation)

        pool.submit(done)


def _guarded(work: Callable[[], None]) -> None:
    """Keep a worker alive whatever happens in it; the ledger knows what is still to be done."""
    try:
        work()
    except HaltError:
        return
    except LedgerError as error:
        log.warning("ledger_failed", error=str(error))
    except Exception:
        log.exception("worker_failed")
