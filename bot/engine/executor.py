"""Brings confirmed cancellations to their end: starts them, has their calls sent, verifies, finishes."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.domain import decisions, running
from bot.domain.approval import lost_standing, standing
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided
from bot.domain.errors import CloudError, DirectoryError, LedgerError, TamperedError
from bot.domain.reading import Reading
from bot.engine.directory import UNHURRIED
from bot.engine.rooms import Rooms
from bot.engine.sender import Sender, helpers, record
from bot.engine.work import Work, pauses, unread
from bot.ledger.leases import Lease, LeaseLostError

FRESHLY: Final = timedelta(seconds=15)
"""How old at most may be what Slack says of the people whose agreement a start rests on."""
LOOKS: Final = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look of the first verification; the later ones only while something is not seen cancelled."""
LOST: Final = Answer(
    outcome=Outcome.UNKNOWN, code="Interrupted", message="the bot was stopped before the answer was stored"
)

log = structlog.get_logger()


class Executor:
    """Carries cancellations from `Approved` to their end, each under its lease; any process may take over any time."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger
        self._spare = {name: helpers(account) for name, account in rooms.accounts.items()}

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
        if isinstance(work, Work):
            with suppress(CloudError):
                reading = work.cloud.verify(work.plan, work.names)
        # A cloud that cannot be read leaves the figures as they are; the look still counts, or it would be for ever.
        self._ledger.decide(state.id, lambda latest, now: running.verify(latest, now, reading=reading), lease=lease)

    # --- from Approved to the end ------------------------------------------------------------------------------

    def _advance(self, state: State, lease: Lease) -> None:
        if state.phase not in {Phase.APPROVED, Phase.RUNNING}:
            return
        if not self._ledger.honest(state.id):
            raise LedgerError(
                f"The state row of #{state.id} is not what its events say.", advice="Nothing of it is sent."
            )
        work = self._work(state, lease)
        if isinstance(work, str):
            self._give_up(state, lease, reason=work)
            return
        if state.phase is Phase.APPROVED and not self._start(state, work):
            return
        self._settle_interrupted(state.id, lease)
        stalled = state.phase is Phase.RUNNING and work.stalled(state)
        reason = Sender(work, spare=self._spare[work.account.name], sending=not stalled).send_all()
        after = self._ledger.state(state.id)
        if stalled and after is not None and after.run is not None and not after.run.complete:
            reason = "the run had made no progress for too long"
        self._finish(work, reason=reason)

    def _work(self, state: State, lease: Lease) -> Work | str:
        """Put together what a cancellation is worked on with, or say why it is not what was planned any more."""
        account, cloud = self._rooms.accounts.get(state.account), self._rooms.clouds.get(state.account)
        if account is None or cloud is None or state.plan is None or not state.plan.fits(account):
            return f"account {state.account} is no longer the cloud, endpoint and key that were confirmed"
        try:
            names = {step.job: self._ledger.names(step.names) for step in state.plan.steps if step.names}
        except TamperedError as error:
            log.error("list_changed", cancellation=state.id, error=str(error))  # noqa: TRY400 - no bug of the bot's
            return "the list of devices in the ledger is not the one that was confirmed"
        return Work(
            id=state.id,
            account=account,
            cloud=cloud,
            plan=state.plan,
            names=names,
            lease=lease,
            ledger=self._ledger,
            now=self._rooms.now,
            sleep=self._rooms.sleep,
        )

    def _give_up(self, state: State, lease: Lease, *, reason: str) -> None:
        """End what is not what was confirmed any more: nothing is read or sent where it was not meant."""
        self._settle_interrupted(state.id, lease)
        end = decisions.void if state.phase is Phase.APPROVED else running.finish
        self._ledger.decide(state.id, lambda latest, now: end(latest, now, reason=reason), lease=lease)

    def _settle_interrupted(self, cancellation: int, lease: Lease) -> None:
        """Record calls that were out when another process ended: only the cloud knows what became of them."""
        state = self._ledger.state(cancellation)
        for call in state.run.out if state and state.run else ():
            if state is not None:
                record(self._ledger, state, call, LOST, lease=lease)

    def _start(self, state: State, work: Work) -> bool:
        """Check everything once more and record the start; what cannot be checked now waits until it is void."""
        if isinstance(work.decide(decisions.expire), State):
            return False
        try:
            return self._start_now(state, work)
        except CloudError as error:
            if error.final:
                # The cloud has said no, as of a job that is gone: waiting until it is void would hide that.
                self._void(work, unread(error))
            log.warning("start_waits", cancellation=work.id, error=str(error))
        except DirectoryError as error:
            log.warning("start_waits", cancellation=work.id, error=str(error))
        return False

    def _start_now(self, state: State, work: Work) -> bool:
        # Whoever has agreed may have left since: what was learnt for the presses does not count any more.
        since = self._rooms.now() - FRESHLY if state.needs else None
        since = max([since, *(vote.at for vote in state.votes)]) if since else None
        sights = [
            self._rooms.directory.look(actor, state.channel, work.account, within=UNHURRIED, since=since)
            for actor in (state.requester, *(vote.actor for vote in state.votes))
        ]
        lost = lost_standing(state, work.account, sights)
        if lost is not None:
            self._void(work, lost)
            return False
        evidence = standing(sights)
        seen = state.preview.reading if state.preview else None
        reading = work.cloud.recount(work.plan, work.names, seen if seen and work.fresh(seen) else None)

        def start(latest: State, now: datetime) -> Decided:
            return running.start(latest, now, reading=reading, account=work.account, evidence=evidence)

        started = work.decide(start)
        return isinstance(started, State) and started.phase is Phase.RUNNING

    def _void(self, work: Work, reason: str) -> None:
        work.decide(lambda latest, now: decisions.void(latest, now, reason=reason[:300]))

    # --- the end -----------------------------------------------------------------------------------------------

    def _finish(self, work: Work, *, reason: str) -> None:
        for look in LOOKS:
            self._rooms.sleep(max(look, work.cloud.visible_after))
            if not self._look(work):
                break
        work.decide(lambda latest, now: running.finish(latest, now, reason=reason))

    def _look(self, work: Work) -> bool:
        """Read the cloud and record what is seen; returns whether a later look may see more."""
        reading = self._read_patiently(work)
        if reading is None:
            return False
        seen = work.decide(lambda latest, now: running.verify(latest, now, reading=reading))
        return isinstance(seen, State) and running.may_show_more(seen)

    def _read_patiently(self, work: Work) -> Reading | None:
        """Read the cloud, again and again after calls that it took; once only where there is nothing to confirm.

        For that a cloud is not waited for that asked to be left alone: a run that was stopped ends at once.
        """
        for pause in pauses():
            state = work.state()
            took = state is not None and state.run is not None and state.run.took
            with suppress(CloudError), nullcontext() if took else work.cloud.soon():
                return work.cloud.verify(work.plan, work.names)
            if state is None or not took or work.stalled(state):
                return None
            self._rooms.sleep(pause)
        return None
