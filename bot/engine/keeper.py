"""Keeps watch: renews leases, ends waits, and takes up whatever a dead process left behind."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.domain.cancellation import OPEN, Phase
from bot.domain.errors import LedgerError
from bot.engine.executor import Executor
from bot.engine.intake import Intake
from bot.engine.rooms import Rooms
from bot.ledger.leases import RENEW_EVERY

LOOK_EVERY: Final = 0.5
"""Seconds between looks at the ledger; a decision made in this process wakes the keeper at once."""
ABANDONED: Final = timedelta(seconds=5)
"""After this an order that is still being checked is somebody's who may have died."""
AGAIN: Final = timedelta(seconds=4)
"""How long something that could not be brought on rests before the next try."""
CHECKPOINT_LOOK: Final = timedelta(minutes=1)
"""How often it is looked whether a checkpoint is due."""
CHECKERS: Final = 8
"""Orders of one account that are looked at at the same time."""
RUNNERS: Final = 64
"""Runs of one account at the same time."""
ANSWERERS: Final = 8

log = structlog.get_logger()


class HaltError(Exception):
    """The process is leaving: whatever sleeps or waits lets go."""


class Halt:
    """The flag that the process is leaving, and the one sleep that ends when it is raised.

    Before it leaves a process may close: it takes no new work, and what runs goes on to its end.
    """

    def __init__(self) -> None:
        self._raised = threading.Event()
        self._closed = threading.Event()

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the process is leaving; raises HaltError then."""
        if self._raised.wait(max(0.0, seconds)):
            raise HaltError

    def ask(self) -> None:
        """Ask everything to leave."""
        self.close()
        self._raised.set()

    def close(self) -> None:
        """Take no new work from now on."""
        self._closed.set()

    @property
    def closed(self) -> bool:
        """Whether no new work is taken."""
        return self._closed.is_set()

    @property
    def asked(self) -> bool:
        """Whether the process is leaving."""
        return self._raised.is_set()


class Renewer:
    """Renews the leases of this process, in a thread of its own, until everything that works under them has ended."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases")

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing, and give every lease back."""
        self._over.set()
        self._thread.join()
        # Where the ledger fails they lapse by themselves, and what else has to end is not held up.
        _guarded(lambda: self._rooms.ledger.leases.release_all(self._rooms.owner))

    def _renew(self) -> None:
        while not self._over.wait(RENEW_EVERY):
            _guarded(lambda: self._rooms.ledger.leases.renew(self._rooms.owner))


class Keeper:
    """The bot's own workers: checks of new orders, runs, later verifications, deadlines, private answers.

    Bolt's threads are never used for work: a full pool there acknowledges nothing and runs everything later. Each
    account has workers of its own, so that a cloud that hangs holds up nobody else's.
    """

    def __init__(self, rooms: Rooms, intake: Intake, executor: Executor, halt: Halt) -> None:
        self._rooms = rooms
        self._intake = intake
        self._executor = executor
        self._halt = halt
        self._wake = threading.Event()
        self._busy: set[int] = set()
        self._not_before: dict[int, datetime] = {}
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._checked: datetime | None = None
        """When it was last looked whether a checkpoint is due."""
        self._renewer = Renewer(rooms)
        self._thread = threading.Thread(target=self._watch, name="keeper")

    def start(self) -> None:
        """Start watching."""
        self._rooms.ledger.listen(self._wake.set)
        self._renewer.start()
        self._thread.start()

    def stop(self) -> None:
        """Let what is in flight come to its end and leave; `Halt` has been asked before."""
        if self._thread.ident is None:
            return  # the start came to nothing before it
        self._wake.set()
        self._thread.join()
        for pool in list(self._pools.values()):
            pool.shutdown(cancel_futures=True)
        self._renewer.stop()

    def answer(self, work: Callable[[], None]) -> None:
        """Tell somebody something, off the threads that must acknowledge within 3 s."""
        self._submit(self._pool("answer", "", ANSWERERS), work)

    def look(self, account: str, work: Callable[[], None]) -> None:
        """Read an account's cloud for somebody who only looks."""
        self._submit(self._pool("look", account, CHECKERS), work)

    def check(self, account: str, cancellation: int) -> None:
        """Check a new order soon."""
        self._take(cancellation, self._pool("check", account, CHECKERS), self._intake.check)

    def check_soon(self, cancellation: int) -> None:
        """Check a new order soon, on whichever account it is."""
        state = self._rooms.ledger.state(cancellation)
        if state is not None:
            self.check(state.account, cancellation)

    def _pool(self, work: str, account: str, threads: int) -> ThreadPoolExecutor:
        with self._lock:
            key = (work, account)
            if key not in self._pools:
                self._pools[key] = ThreadPoolExecutor(threads, thread_name_prefix=f"{work}-{account}")
            return self._pools[key]

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        if not self._halt.asked:
            with suppress(RuntimeError):  # it was shut down just now: the process is leaving
                pool.submit(_guarded, work)

    def _watch(self) -> None:
        self.answer(self._intake.ask_held)
        while not self._halt.asked:
            _guarded(self._look)
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _look(self) -> None:
        if self._checked is None or abs(self._rooms.now() - self._checked) >= CHECKPOINT_LOOK:
            self._checked = self._rooms.now()
            _guarded(self._rooms.ledger.checkpoint)
        for state in self._rooms.ledger.at_work():
            if self._halt.closed and state.phase is not Phase.RUNNING:
                continue
            if state.phase in {Phase.APPROVED, Phase.RUNNING}:
                self._take(state.id, self._pool("run", state.account, RUNNERS), self._executor.run)
            elif state.held is None and self._rooms.now() - state.at > ABANDONED:
                self.check(state.account, state.id)
        for state in self._rooms.ledger.due():
            if state.phase not in OPEN:
                self._take(state.id, self._pool("verify", state.account, 1), self._executor.verify)
            elif state.phase is not Phase.RUNNING:
                self._intake.end_wait(state)

    def _take(self, cancellation: int, pool: ThreadPoolExecutor, work: Callable[[int], None]) -> None:
        """Hand a cancellation to one worker of this process at a time, with a rest between tries."""
        with self._lock:
            resting = self._not_before.get(cancellation, self._rooms.now()) > self._rooms.now()
            if cancellation in self._busy or resting or self._halt.asked:
                return
            self._busy.add(cancellation)

        def done() -> None:
            try:
                _guarded(lambda: work(cancellation))
            finally:
                with self._lock:
                    self._busy.discard(cancellation)
                    self._rest(cancellation)
                self._wake.set()

        try:
            pool.submit(done)
        except RuntimeError:  # it was shut down just now: the process is leaving
            with self._lock:
                self._busy.discard(cancellation)

    def _rest(self, cancellation: int) -> None:
        """Let what is still where it was rest a while; a step that moved it takes it out of here again."""
        try:
            state = self._rooms.ledger.state(cancellation)
            moved = state is None or state.phase not in {Phase.CHECKING, Phase.APPROVED, Phase.RUNNING}
        except LedgerError:
            moved = False
        if moved:
            self._not_before.pop(cancellation, None)
        else:
            self._not_before[cancellation] = self._rooms.now() + AGAIN


def _guarded(work: Callable[[], object]) -> None:
    """Keep a worker alive whatever happens in it; the ledger knows what is still to be done."""
    try:
        work()
    except HaltError:
        return
    except LedgerError as error:
        log.warning("ledger_failed", error=str(error))
    except Exception:
        log.exception("worker_failed")
