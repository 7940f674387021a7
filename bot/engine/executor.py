"""Runs confirmed cancellations: starts them, sends their calls, settles what is unknown, verifies, finishes."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Final

from bot.clouds.base import Cloud
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Refusal, may_send_again
from bot.domain.errors import CloudError, DirectoryError
from bot.domain.plan import Plan, Reading
from bot.domain.policy import Role, fault
from bot.engine.directory import UNHURRIED
from bot.engine.intake import Rooms
from bot.ledger.leases import Lease

FRESH: Final = timedelta(seconds=30)
"""A preview younger than this needs no second look when nobody else had to be asked."""
LOOKS: Final = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look of the first verification; the later ones only while something is not seen cancelled."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before a step is tried again; the last one repeats."""


class Executor:
    """Carries cancellations from `Approved` to their end, each under its lease; any process may take over any time."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger

    def run(self, cancellation: int) -> None:
        """Bring a cancellation as far as it goes; returns at once when somebody else has its lease."""
        lease = self._ledger.leases.take(f"cancellation:{cancellation}", self._rooms.owner)
        if lease is None:
            return
        try:
            self._advance(cancellation, lease)
        finally:
            self._ledger.leases.release(lease)

    def verify(self, cancellation: int) -> None:
        """Look at the cloud once more after the end; the figures may change, the state does not."""
        lease = self._ledger.leases.take(f"cancellation:{cancellation}", self._rooms.owner)
        if lease is None:
            return
        try:
            state = self._ledger.state(cancellation)
            if state is not None and state.due is not None and state.due <= self._rooms.now():
                self._look_later(state, lease)
        finally:
            self._ledger.leases.release(lease)

    def _look_later(self, state: State, lease: Lease) -> None:
        work = self._work(state, lease)
        reading = state.run.reading if state.run else None
        if work is not None:
            with suppress(CloudError):
                reading = work.read(patient=True)
        if reading is not None:
            # A cloud that cannot be read is recorded as what was seen before, so that it is not asked for ever.
            self._ledger.decide(state.id, lambda latest, now: decisions.verify(latest, now, reading=reading))

    # --- from Approved to the end ------------------------------------------------------------------------------

    def _advance(self, cancellation: int, lease: Lease) -> None:
        state = self._ledger.state(cancellation)
        if state is None or state.phase not in {Phase.APPROVED, Phase.RUNNING}:
            return
        work = self._work(state, lease)
        if work is None:
            self._give_up(state)
            return
        if state.phase is Phase.APPROVED and not self._start(work):
            return
        stalled = state.phase is Phase.RUNNING and self._stalled(state, work)
        self._settle_interrupted(cancellation)
        self._send_all(replace(work, sending=not stalled))
        self._finish(work, reason="the run had made no progress for too long" if stalled else "")

    def _work(self, state: State, lease: Lease) -> "_Work | None":
        account = self._rooms.accounts.get(state.account)
        if account is None or state.plan is None:
            return None
        return _Work(id=state.id, account=account, cloud=self._rooms.clouds[account.name], plan=state.plan, lease=lease)

    def _give_up(self, state: State) -> None:
        reason = f"account {state.account} is no longer configured"
        self._settle_interrupted(state.id)
        end = decisions.void if state.phase is Phase.APPROVED else decisions.finish
        self._ledger.decide(state.id, lambda latest, now: end(latest, now, reason=reason))

    def _start(self, work: "_Work") -> bool:
        """Check everything once more and record the start; while it cannot be checked, wait until it is void."""
        for pause in _pauses():
            state = self._ledger.state(work.id)
            if state is None or state.phase is not Phase.APPROVED:
                return False
            with suppress(CloudError, DirectoryError):
                return self._start_now(state, work)
            self._ledger.decide(work.id, decisions.expire, lease=work.lease)
            self._rooms.sleep(pause)
        return False

    def _start_now(self, state: State, work: "_Work") -> bool:
        sight = self._rooms.directory.look(state.requester, state.channel, work.account, within=UNHURRIED)
        refusal = fault(sight, work.account, Role.REQUEST)
        if refusal is not None:
            reason = f"whoever asked for it may not do so any more: {refusal}"
            self._ledger.decide(
                work.id, lambda latest, now: decisions.void(latest, now, reason=reason), lease=work.lease
            )
            return False
        reading = self._reading(state, work)

        def start(latest: State, now: datetime) -> Decided:
            return decisions.start(latest, now, reading=reading, account=work.account, evidence=sight.evidence)

        started = self._ledger.decide(work.id, start, lease=work.lease)
        return isinstance(started, State) and started.phase is Phase.RUNNING

    def _reading(self, state: State, work: "_Work") -> Reading:
        seen = state.preview.reading if state.preview else None
        if seen is not None and self._rooms.now() - seen.at < FRESH:
            return seen
        return work.read()

    # --- calls -------------------------------------------------------------------------------------------------

    def _settle_interrupted(self, cancellation: int) -> None:
        """Record calls that were out when another process ended: only the cloud knows what became of them."""
        state = self._ledger.state(cancellation)
        lost = Answer(
            outcome=Outcome.UNKNOWN, code="Interrupted", message="the bot was stopped before the answer was stored"
        )
        for call in state.run.out if state and state.run else ():
            self._record(state, call, lost)

    def _send_all(self, work: "_Work") -> None:
        state = self._ledger.state(work.id)
        for call in range(1, (state.run.calls if state and state.run else 0) + 1):
            for pause in _pauses():
                if not self._one(work, call):
                    break
                self._rooms.sleep(pause)

    def _one(self, work: "_Work", call: int) -> bool:
        """Send a call once, or settle what became of it; returns whether it should be tried again after a pause."""
        state = self._ledger.state(work.id)
        if state is None or state.run is None or state.phase is not Phase.RUNNING or state.run.is_done(call):
            return False
        attempt = state.run.attempts.get(call)
        if attempt is not None and attempt.outcome is Outcome.UNKNOWN:
            settled = self._settle(state, work, call)
            if settled is not None:
                return settled
        if state.stopped_by or not work.sending:
            return False
        if attempt is not None and not may_send_again(state.run, call, self._rooms.now()):
            return False
        return self._send(state, work, call)

    def _send(self, state: State, work: "_Work", call: int) -> bool:
        work.cloud.wait(work.plan)
        action, count = work.cloud.action(work.plan), (state.run.asked if state.run else None) or 0

        def send(latest: State, now: datetime) -> Decided:
            return decisions.send(latest, now, call=call, action=action, count=count)

        sent = self._ledger.decide(work.id, send, lease=work.lease)
        if isinstance(sent, Refusal) or sent.run is None:
            return False
        answer = work.cloud.send(work.plan, call, sent.run.attempts[call].number)
        after = self._record(sent, call, answer)
        if answer.outcome is Outcome.DONE or isinstance(after, Refusal) or after.run is None:
            return False
        return answer.outcome is Outcome.UNKNOWN or may_send_again(after.run, call, self._rooms.now())

    def _settle(self, state: State, work: "_Work", call: int) -> bool | None:
        """Find out by a read what became of a call; `None` when there is still something to cancel."""
        try:
            reading = work.read()
        except CloudError:
            return not self._stalled(state, work)
        if reading.size(frozenset(work.plan.statuses)) != 0:
            return None
        self._record(state, call, Answer(outcome=Outcome.DONE, message="nothing is left to cancel"), by="read")
        return False

    def _record(self, state: State | None, call: int, answer: Answer, *, by: str | None = None) -> State | Refusal:
        if state is None or state.plan is None:
            return Refusal("There is nothing to record.")
        action = state.plan.operation

        def record(latest: State, now: datetime) -> Decided:
            return decisions.record_answer(latest, now, call=call, action=action, answer=answer, by=by)

        return self._ledger.decide(state.id, record)

    def _stalled(self, state: State, work: "_Work") -> bool:
        moved = state.run.progress if state.run else state.at
        return self._rooms.now() - moved > work.account.approval.run_within

    # --- the end -----------------------------------------------------------------------------------------------

    def _finish(self, work: "_Work", *, reason: str) -> None:
        for look in LOOKS:
            self._rooms.sleep(look)
            if not self._look(work):
                break
        self._ledger.decide(work.id, lambda latest, now: decisions.finish(latest, now, reason=reason))

    def _look(self, work: "_Work") -> bool:
        """Read the cloud and record what is seen; returns whether a later look may see more."""
        reading = self._read_patiently(work)
        if reading is None:
            return False
        seen = self._ledger.decide(work.id, lambda latest, now: decisions.verify(latest, now, reading=reading))
        if isinstance(seen, Refusal) or seen.run is None:
            return False
        run = seen.run
        return bool(run.done) and bool(run.left) and run.confirmed is not None and run.confirmed < run.accepted

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


def _pauses() -> Iterator[float]:
    """Yield the pauses between tries, without end: whoever tries knows when to give up."""
    return chain(PAUSES, repeat(PAUSES[-1]))
