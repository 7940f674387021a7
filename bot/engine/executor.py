"""Runs confirmed cancellations: starts them, sends their calls, settles what is unknown, verifies, finishes."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Final

import structlog

from bot.clouds.base import Cloud
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, Run, State
from bot.domain.decisions import Decided, Decision, Refusal, may_send_again
from bot.domain.errors import CloudError, DirectoryError, LedgerError
from bot.domain.plan import Plan, Reading
from bot.domain.policy import Role, fault
from bot.engine.directory import UNHURRIED
from bot.engine.intake import Rooms
from bot.ledger.leases import Lease, LeaseLostError

FRESH: Final = timedelta(seconds=30)
"""A reading younger than this needs no second look before a first call, when nobody else had to be asked."""
LOOKS: Final = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look of the first verification; the later ones only while something is not seen cancelled."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before a step is tried again; the last one repeats."""

log = structlog.get_logger()


class Executor:
    """Carries cancellations from `Approved` to their end, each under its lease; any process may take over any time."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger

    def run(self, cancellation: int) -> None:
        """Bring a cancellation as far as it goes now; what cannot start yet is left for the next time."""
        self._under_lease(cancellation, self._advance)

    def verify(self, cancellation: int) -> None:
        """Look at the cloud once more after the end; the figures may change, the state does not."""
        self._under_lease(cancellation, self._look_later)

    def _under_lease(self, cancellation: int, work: Callable[[State, Lease], None]) -> None:
        """Work on a cancellation unless somebody else does; whoever loses the lease on the way leaves it alone."""
        lease = self._ledger.leases.take(f"cancellation:{cancellation}", self._rooms.owner)
        if lease is None:
            return
        try:
            state = self._ledger.state(cancellation)
            if state is not None:
                work(state, lease)
        except LeaseLostError:
            return
        finally:
            self._ledger.leases.release(lease)

    def _look_later(self, state: State, lease: Lease) -> None:
        if state.due is None or state.due > self._rooms.now() or state.ended is None:
            return
        work, reading = self._work(state, lease), None
        if work is not None:
            with suppress(CloudError):
                reading = work.read(patient=True)
        # A cloud that cannot be read leaves the figures as they are; the look still counts, or it would be for ever.
        self._ledger.decide(state.id, lambda latest, now: decisions.verify(latest, now, reading=reading), lease=lease)

    # --- from Approved to the end ------------------------------------------------------------------------------

    def _advance(self, state: State, lease: Lease) -> None:
        if state.phase not in {Phase.APPROVED, Phase.RUNNING}:
            return
        work = self._work(state, lease)
        if work is None:
            self._give_up(state, lease)
            return
        if state.phase is Phase.APPROVED and not self._start(state, work):
            return
        self._settle_interrupted(state.id, lease)
        stalled = state.phase is Phase.RUNNING and self._stalled(state, work)
        reason = self._send_all(replace(work, sending=not stalled))
        after = self._ledger.state(state.id)
        if stalled and after is not None and after.run is not None and not after.run.complete:
            reason = "the run had made no progress for too long"
        self._finish(work, reason=reason)

    def _work(self, state: State, lease: Lease) -> "_Work | None":
        """Put together what a cancellation is worked on with; `None` where it is not what was planned any more."""
        account, cloud = self._rooms.accounts.get(state.account), self._rooms.clouds.get(state.account)
        if account is None or cloud is None or state.plan is None or not state.plan.fits(account):
            return None
        return _Work(id=state.id, account=account, cloud=cloud, plan=state.plan, lease=lease)

    def _give_up(self, state: State, lease: Lease) -> None:
        """End what was planned for another cloud, endpoint or key: nothing is read or sent where it was not meant."""
        reason = f"account {state.account} is no longer the cloud, endpoint and key that were confirmed"
        self._settle_interrupted(state.id, lease)
        end = decisions.void if state.phase is Phase.APPROVED else decisions.finish
        self._ledger.decide(state.id, lambda latest, now: end(latest, now, reason=reason), lease=lease)

    def _start(self, state: State, work: "_Work") -> bool:
        """Check everything once more and record the start; what cannot be checked now waits until it is void."""
        if isinstance(self._decide(work, decisions.expire), State):
            return False
        try:
            return self._start_now(state, work)
        except (CloudError, DirectoryError) as error:
            log.warning("start_waits", cancellation=work.id, error=str(error))
            return False

    def _start_now(self, state: State, work: "_Work") -> bool:
        if not self._ledger.honest(state.id):
            raise LedgerError(f"The state row of #{state.id} is not what its events say.", advice="It is not started.")
        sight = self._rooms.directory.look(state.requester, state.channel, work.account, within=UNHURRIED)
        refusal = fault(sight, work.account, Role.REQUEST)
        if refusal is not None:
            reason = f"whoever asked for it may not do so any more: {refusal}"
            self._decide(work, lambda latest, now: decisions.void(latest, now, reason=reason))
            return False
        seen = state.preview.reading if state.preview else None
        reading = seen if seen is not None and self._fresh(seen) else work.read()

        def start(latest: State, now: datetime) -> Decided:
            return decisions.start(latest, now, reading=reading, account=work.account, evidence=sight.evidence)

        started = self._decide(work, start)
        return isinstance(started, State) and started.phase is Phase.RUNNING

    def _decide(self, work: "_Work", decision: Decision) -> State | Refusal:
        return self._ledger.decide(work.id, decision, lease=work.lease)

    def _fresh(self, reading: Reading) -> bool:
        return abs(self._rooms.now() - reading.at) < FRESH

    # --- calls -------------------------------------------------------------------------------------------------

    def _settle_interrupted(self, cancellation: int, lease: Lease) -> None:
        """Record calls that were out when another process ended: only the cloud knows what became of them."""
        state = self._ledger.state(cancellation)
        lost = Answer(
            outcome=Outcome.UNKNOWN, code="Interrupted", message="the bot was stopped before the answer was stored"
        )
        for call in state.run.out if state and state.run else ():
            self._record(state, call, lost, lease=lease)

    def _send_all(self, work: "_Work") -> str:
        """Bring every call to its end; returns why the rest was not sent, where that was not for failures."""
        state = self._ledger.state(work.id)
        for call in range(1, (state.run.calls if state and state.run else 0) + 1):
            for pause in _pauses():
                step = self._one(work, call)
                if step.reason:
                    return step.reason
                if not step.again:
                    break
                self._rooms.sleep(pause)
        return ""

    def _one(self, work: "_Work", call: int) -> "_Step":
        """Send a call once, or settle what became of it."""
        state = self._ledger.state(work.id)
        if state is None or state.run is None or state.phase is not Phase.RUNNING or state.run.is_done(call):
            return _Step()
        if call not in state.run.attempts:
            return self._send(state, work, call, state.run.reading)
        try:
            return self._once_more(state, state.run, work, call)
        except CloudError as error:
            log.warning("cloud_unread", cancellation=work.id, error=str(error))
            return _Step(again=not self._stalled(state, work))

    def _once_more(self, state: State, run: Run, work: "_Work", call: int) -> "_Step":
        """Look before a call is sent again: what was unknown may be done, and the job may have grown meanwhile."""
        unknown = run.attempts[call].outcome is Outcome.UNKNOWN
        repeatable = may_send_again(run, call, self._rooms.now())
        if not (unknown or repeatable):
            return _Step()
        reading = work.read()
        if unknown and work.left(reading) == 0:
            settled = Answer(outcome=Outcome.DONE, message="nothing is left to cancel")
            self._record(state, call, settled, seen=reading, lease=work.lease)
            return _Step()
        return self._send(state, work, call, reading) if repeatable else _Step()

    def _send(self, state: State, work: "_Work", call: int, reading: Reading) -> "_Step":
        """Wait for the slot and send, unless what is seen has outgrown the plan: a job may grow while a call waits."""
        if state.stopped_by:
            return _Step()
        if not work.sending:
            return _Step()
        work.cloud.wait(work.plan)
        if not self._fresh(reading):
            # Sent late in the slot that it has: waiting for another one might be as long, for ever.
            try:
                reading = work.read()
            except CloudError as error:
                log.warning("cloud_unread", cancellation=work.id, error=str(error))
                return _Step(again=not self._stalled(state, work))
        fault_seen = work.misfit(reading)
        return _Step(reason=fault_seen) if fault_seen else self._send_now(state, work, call)

    def _send_now(self, state: State, work: "_Work", call: int) -> "_Step":
        action, count = work.cloud.action(work.plan), (state.run.asked if state.run else None) or 0

        def send(latest: State, now: datetime) -> Decided:
            return decisions.send(latest, now, call=call, action=action, count=count)

        sent = self._decide(work, send)
        if isinstance(sent, Refusal) or sent.run is None:
            return _Step()
        answer = work.cloud.send(work.plan, call, sent.run.attempts[call].number)
        # Without the lease: an answer must not be lost because the process stood still meanwhile.
        after = self._record(sent, call, answer)
        if answer.outcome is Outcome.DONE or isinstance(after, Refusal) or after.run is None:
            return _Step()
        return _Step(again=answer.outcome is Outcome.UNKNOWN or may_send_again(after.run, call, self._rooms.now()))

    def _record(
        self, state: State | None, call: int, answer: Answer, *, seen: Reading | None = None, lease: Lease | None = None
    ) -> State | Refusal:
        if state is None or state.plan is None or state.run is None:
            return Refusal("There is nothing to record.")
        action, attempt = state.plan.operation, state.run.attempts[call].number

        def record(latest: State, now: datetime) -> Decided:
            return decisions.record_answer(
                latest, now, call=call, attempt=attempt, action=action, answer=answer, seen=seen
            )

        return self._ledger.decide(state.id, record, lease=lease)

    def _stalled(self, state: State, work: "_Work") -> bool:
        moved = state.run.progress if state.run else state.at
        return self._rooms.now() - moved > work.account.approval.run_within

    # --- the end -----------------------------------------------------------------------------------------------

    def _finish(self, work: "_Work", *, reason: str) -> None:
        for look in LOOKS:
            self._rooms.sleep(look)
            if not self._look(work):
                break
        self._decide(work, lambda latest, now: decisions.finish(latest, now, reason=reason))

    def _look(self, work: "_Work") -> bool:
        """Read the cloud and record what is seen; returns whether a later look may see more."""
        reading = self._read_patiently(work)
        if reading is None:
            return False
        seen = self._decide(work, lambda latest, now: decisions.verify(latest, now, reading=reading))
        if isinstance(seen, Refusal) or seen.run is None:
            return False
        run = seen.run
        # Also where all are confirmed: what showed while it was read is in the one figure and not yet in the other.
        return bool(run.done) and bool(run.left) and run.confirmed is not None

    def _read_patiently(self, work: "_Work") -> Reading | None:
        """Read the cloud, again and again after calls that it took; once only where there is nothing to confirm."""
        for pause in _pauses():
            with suppress(CloudError):
                return work.read(patient=True)
            state = self._ledger.state(work.id)
            if state is None or state.run is None or not state.run.done or self._stalled(state, work):
                return None
            self._rooms.sleep(pause)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One cancellation being worked on, under its lease."""

    id: int
    account: Account
    cloud: Cloud
    plan: Plan
    lease: Lease
    sending: bool = True
    """Whether calls may still be sent; a run that stood still for too long is only settled."""

    def read(self, *, patient: bool = False) -> Reading:
        return self.cloud.read(self.plan.job, self.plan.statuses, patient=patient)

    def left(self, reading: Reading) -> int | None:
        return reading.size(frozenset(self.plan.statuses))

    def misfit(self, reading: Reading) -> str:
        """Say why a call would hit what was not confirmed, or nothing."""
        left = self.left(reading)
        if left is None and self.plan.at_most is not None:
            return "the cloud does not tell any more how many devices the next call would hit"
        if left is not None and self.plan.at_most is not None and left > self.plan.at_most:
            return f"the next call would hit {left:,} devices, more than the {self.plan.at_most:,} that were confirmed"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What came of trying a call: whether to try again after a pause, or why nothing more is sent at all."""

    again: bool = False
    reason: str = ""


def _pauses() -> Iterator[float]:
    """Yield the pauses between tries, without end: whoever tries knows when to give up."""
    return chain(PAUSES, repeat(PAUSES[-1]))
