"""Sends the calls of one run: as many at a time as the rate needs, each by itself."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

import structlog

from bot.clouds.throttle import StoppedError
from bot.domain import running
from bot.domain.account import Account
from bot.domain.call import Answer, Attempt, Outcome
from bot.domain.cancellation import Phase, Run, State
from bot.domain.decisions import Decided, Refusal
from bot.domain.errors import CloudError, LedgerError
from bot.domain.offer import CANCEL_JOB
from bot.domain.plan import Call
from bot.domain.reading import Reading
from bot.domain.running import MOST_LOOKS, MOVED, may_send_again
from bot.engine.work import PAUSES, Work, pauses, unread
from bot.ledger.leases import Lease
from bot.ledger.ledger import Ledger

IN_FLIGHT: Final = 4.0
"""Seconds that a call may take before the rate suffers: so many times the rate are out at once then."""
LOOKED_AT: Final = 2.0
"""The same where a call's devices are looked at first, so that what was seen is not old when it is sent."""
PIECE: Final = 0.5
"""Seconds after which a pause asks whether the run was stopped, maybe by another process."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What came of trying a call: whether to try again after a pause, or why not; `over`: nor is any other."""

    again: bool = False
    reason: str = ""
    over: bool = False


def helpers(account: Account) -> threading.Semaphore:
    """Return how many threads all runs of an account together may have beside the one that each run has anyway.

    They share one rate, and for that so many are enough: with more, 64 large runs would be thousands of threads, which
    send nothing sooner. As each run has its own thread nobody waits for helpers; who has few gets more as others end.
    """
    return threading.Semaphore(int(account.qps.devices * IN_FLIGHT))


class Sender:
    """Brings every call of a run to its end; with `sending` off it only settles what was sent."""

    def __init__(self, work: Work, *, spare: threading.Semaphore, sending: bool = True) -> None:
        self._work = work
        self._spare = spare
        self._sending = sending
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._reason = ""

    def send_all(self) -> str:
        """Send what is to be sent; returns why the rest was not, where that was not for failures."""
        done = 0
        while not self._over.is_set():
            state = self._work.state()
            run = state.run if state else None
            if run is None or run.calls == done:
                break
            # A call that is split adds calls behind the last one, which come in the next round.
            numbers = range(done + 1, run.calls + 1)
            done = run.calls
            for step in self._steps(run, numbers):
                if not self._over.is_set():
                    self._send_step(step)
        self._settle_stopped()
        return self._reason

    def _steps(self, run: Run, numbers: Iterable[int]) -> list[list[int]]:
        return [list(group) for _, group in groupby(numbers, lambda number: run.call(self._work.plan, number).step)]

    def _settle_stopped(self) -> None:
        """Look what became of the calls that nothing was heard of when the run was stopped."""
        state = self._work.state()
        if state is None or state.run is None or not state.stopped_by:
            return
        self._sending = False
        self._over.clear()
        unknown = [number for number, attempt in state.run.attempts.items() if attempt.outcome is Outcome.UNKNOWN]
        if unknown:
            # The stop may have cut short the pause in which it was to show.
            self._work.sleep(max(PAUSES[0], self._work.cloud.visible_after))
        for number in unknown:
            self._bring(number)

    def _send_step(self, numbers: list[int]) -> None:
        """Send the calls of one step; the next step begins when all of them have come to their end."""
        qps = self._work.account.qps.devices
        at_once = min(len(numbers), 1 + int(qps * (LOOKED_AT if self._work.cloud.choosy else IN_FLIGHT)))
        following, helping = _Shared(iter(numbers)), list[Future[None]]()
        with ThreadPoolExecutor(at_once, thread_name_prefix=f"call-{self._work.id}") as pool:

            def find_help() -> None:
                while len(helping) < at_once - 1 and self._spare.acquire(blocking=False):
                    helping.append(pool.submit(self._help, following))

            self._send_each(following, find_help)
        for helper in helping:
            helper.result()

    def _help(self, numbers: "_Shared") -> None:
        try:
            self._send_each(numbers, lambda: None)
        finally:
            self._spare.release()

    def _send_each(self, numbers: "_Shared", find_help: Callable[[], None]) -> None:
        try:
            for number in numbers:
                if self._over.is_set():
                    return
                find_help()
                self._bring(number)
        except BaseException:
            # The process leaves, the lease is lost, the ledger fails: the others must not go on either.
            self._over.set()
            raise

    def _bring(self, number: int) -> None:
        with self._work.cloud.until(self._stopped):
            for pause in pauses():
                step = self._one(number)
                self._reason = self._reason or step.reason
                if step.over:
                    self._over.set()
                if not step.again or self._over.is_set():
                    return
                # What may have been done has to show before it is looked for.
                self._rest(max(pause, self._work.cloud.visible_after))

    def _rest(self, seconds: float) -> None:
        """Sleep, as long as the run is not stopped."""
        while seconds > 0 and not (self._over.is_set() or self._stopped()):
            piece = min(seconds, PIECE)
            self._work.sleep(piece)
            seconds -= piece

    def _stopped(self) -> bool:
        """Tell whether nothing more is to be sent, as the ledger has it: other processes stop runs, too."""
        if not self._sending:
            return False
        state = self._work.state()
        return state is None or state.phase is not Phase.RUNNING or state.stopped_by is not None

    # --- one call ----------------------------------------------------------------------------------------------

    def _one(self, number: int) -> _Step:
        """Send a call once, or settle what became of it."""
        state = self._work.state()
        if state is None or state.run is None or state.phase is not Phase.RUNNING:
            self._over.set()
            return _Step()
        if state.stopped_by and self._sending:
            self._over.set()
            return _Step()
        if state.run.is_settled(number):
            return _Step()
        call = state.run.call(self._work.plan, number)
        try:
            return self._try(state, state.run, call)
        except StoppedError:
            self._over.set()
            return _Step()
        except CloudError as error:
            log.warning("cloud_unread", cancellation=self._work.id, error=str(error))
            return self._unread(error)

    def _unread(self, error: CloudError) -> _Step:
        """Try again until the run has stood still for too long; what the cloud refuses it will refuse the next time."""
        if error.final:
            return _Step(reason=unread(error), over=True)
        state = self._work.state()
        if state is None or self._work.stalled(state):
            return _Step(reason=f"the cloud could not be read: {unread(error)}")
        return _Step(again=True)

    def _try(self, state: State, run: Run, call: Call) -> _Step:
        attempt = run.attempts.get(call.number)
        if attempt is not None:
            return self._once_more(state, run, call, attempt)
        if not self._sending:
            return _Step()
        if self._work.cloud.choosy and call.at:
            return self._send_rest(state, call, call.at)
        return self._send(state, call, call.at, run.reading)

    def _once_more(self, state: State, run: Run, call: Call, attempt: Attempt) -> _Step:
        """Look before a call is sent again: what was unknown may be done, and devices may have moved on meanwhile."""
        unknown = attempt.outcome is Outcome.UNKNOWN
        repeatable = may_send_again(run, call.number, self._work.now())
        if not (unknown or repeatable):
            return _Step()
        left_out = frozenset(attempt.left_out)
        at = tuple(position for position in call.at if position not in left_out)
        still, reading = self._still(call, at, again=True)
        if unknown and self._work.left(call, reading) == 0:
            settled = Answer(outcome=Outcome.DONE, message="nothing is left to cancel")
            self.record(state, call.number, settled, seen=reading)
            return _Step()
        if not (repeatable and self._sending):
            return _Step()
        rest = self._positions(call, still) if self._work.cloud.choosy else at
        if attempt.code == MOVED and attempt.number >= MOST_LOOKS and rest:
            return self._split(call, rest, _canceled(reading)) if len(rest) > 1 else _Step()
        return self._send(state, call, rest, reading)

    def _still(self, call: Call, at: tuple[int, ...], *, again: bool) -> tuple[tuple[str, ...], Reading]:
        """Look at what a call would still hit; of one by job also, `again`, at what was cancelled by now."""
        if again and call.step.action == CANCEL_JOB:
            return (), self._work.cloud.recount(self._work.plan, self._work.names, None)
        return self._work.cloud.still(self._work.plan, call, self._work.devices(call, at))

    def _send_rest(self, state: State, call: Call, at: tuple[int, ...]) -> _Step:
        """Look at a call's devices and send those that have not moved on."""
        still, reading = self._still(call, at, again=False)
        return self._send(state, call, self._positions(call, still), reading)

    def _positions(self, call: Call, names: tuple[str, ...]) -> tuple[int, ...]:
        kept = frozenset(names)
        return tuple(position for position in call.at if self._work.devices(call, (position,))[0] in kept)

    def _split(self, call: Call, at: tuple[int, ...], canceled: int) -> _Step:
        def decide(latest: State, now: datetime) -> Decided:
            action, left_out = call.step.action, len(call.at) - len(at)
            return running.split(
                latest, now, call=call.number, action=action, at=at, left_out=left_out, canceled=canceled
            )

        self._work.decide(decide)
        return _Step()

    def _send(self, state: State, call: Call, at: tuple[int, ...], reading: Reading) -> _Step:
        """Wait for the slot and send, unless what is seen has outgrown the plan: a job may grow while a call waits."""
        again, canceled = state.run is not None and call.number in state.run.attempts, _canceled(reading)
        if call.at and not at:
            return self._skip(call, canceled)
        with self._turn:  # one of this run's threads waits at a time: a small run beside it gets every second slot
            if self._over.is_set():  # stopped meanwhile: the slots are left to others
                return _Step()
            self._work.cloud.wait(call.step.action)
        looks, by_job = self._work.cloud.choosy and bool(call.at), call.step.action == CANCEL_JOB
        if (looks or by_job) and not self._work.fresh(reading):
            # Sent late in the slot that it has: waiting for another one might be as long, for ever.
            still, reading = self._still(call, at, again=again)
            at = self._positions(call, still) if looks else at
            canceled += _canceled(reading)
            if looks and not at:
                return self._skip(call, canceled)
        if by_job:
            misfit = self._work.misfit(reading, state.run.reading if state.run and again else None)
            if misfit:
                return _Step(reason=misfit, over=True)
        return self._send_now(call, at, asked=state.run.asked if state.run else None, canceled=canceled)

    def _skip(self, call: Call, canceled: int) -> _Step:
        def decide(latest: State, now: datetime) -> Decided:
            action, count = call.step.action, len(call.at)
            return running.skip(latest, now, call=call.number, action=action, count=count, canceled=canceled)

        self._work.decide(decide)
        return _Step()

    def _send_now(self, call: Call, at: tuple[int, ...], *, asked: int | None, canceled: int) -> _Step:
        action, number = call.step.action, call.number
        count = len(at) if call.at else (asked or 0) if action == CANCEL_JOB else 0
        sending = frozenset(at)
        left_out = tuple(position for position in call.at if position not in sending)

        def send(latest: State, now: datetime) -> Decided:
            return running.send(
                latest, now, call=number, action=action, count=count, left_out=left_out, canceled=canceled
            )

        sent = self._work.decide(send)
        if isinstance(sent, Refusal) or sent.run is None:
            return _Step()
        answer = self._work.cloud.send(
            self._work.plan, call, self._work.devices(call, at), sent.run.attempts[number].number
        )
        after = self.record(sent, number, answer)
        if answer.outcome is Outcome.DONE or isinstance(after, Refusal) or after.run is None:
            return _Step()
        again = answer.outcome is Outcome.UNKNOWN or may_send_again(after.run, number, self._work.now())
        return _Step(again=again)

    def record(self, state: State, number: int, answer: Answer, *, seen: Reading | None = None) -> State | Refusal:
        """Record how a call's latest attempt ended, as `state` knows it.

        Without the lease, but for what a read has shown: an answer must not be lost because the process stood still,
        nor because the ledger was locked or the disk full for a while.
        """
        lease = self._work.lease if seen else None
        for pause in pauses():
            try:
                return record(self._work.ledger, state, number, answer, seen=seen, lease=lease)
            except LedgerError as error:
                log.warning("answer_not_stored", cancellation=self._work.id, call=number, error=str(error))
            self._work.sleep(pause)
        raise AssertionError("the pauses have no end")


def record(
    ledger: Ledger,
    state: State,
    number: int,
    answer: Answer,
    *,
    seen: Reading | None = None,
    lease: Lease | None = None,
) -> State | Refusal:
    """Record how the latest attempt at a call ended; `seen` is the later read that told it, where one did."""
    if state.run is None or state.plan is None:
        return Refusal("There is nothing to record.")
    action, attempt = state.run.call(state.plan, number).step.action, state.run.attempts[number].number

    def decide(latest: State, now: datetime) -> Decided:
        return running.record_answer(latest, now, call=number, attempt=attempt, action=action, answer=answer, seen=seen)

    return ledger.decide(state.id, decide, lease=lease)


def _canceled(reading: Reading) -> int:
    """Return how many of the devices that were looked at are cancelled."""
    return reading.named.canceled if reading.named is not None else 0


class _Shared(Iterator[int]):
    """Numbers that several threads take from."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._lock = threading.Lock()

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)
