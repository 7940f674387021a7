"""Takes orders, and looks at the people and the cloud behind them until there is a plan to confirm."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.clouds.base import Batches, Cloud
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.approval import remind
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Refusal
from bot.domain.errors import CloudError, DirectoryError, TamperedError, UsageError
from bot.domain.names import read_names
from bot.domain.offer import unable
from bot.domain.order import Cancel, CancelDevices, CancelJob, listed
from bot.domain.plan import Look, freeze
from bot.domain.policy import Denied, NeedsApproval, Role, Sight, Verdict, fault, judge
from bot.domain.wording import choices, idle, nothing_to_hit, preview_lines
from bot.engine.directory import UNHURRIED
from bot.engine.presses import unapprovable
from bot.engine.reporter import Reporter
from bot.engine.rooms import Rooms, refused_too_often, remember
from bot.ledger.ledger import Ordered

FIRST_TRY: Final = timedelta(seconds=4)
"""An order younger than this is being checked for the first time."""
log = structlog.get_logger()


Fetch = Callable[[str], str]
"""Returns the text of an uploaded file by its id; raises UsageError when it cannot be had, DirectoryError for now."""


def no_files(file: str) -> str:
    """Fetch nothing: at a terminal nothing is uploaded."""
    raise UsageError(f"The file {file} was uploaded in Slack and cannot be read here.")


class Intake:
    """The verbs of people who ask: order, preview, look at jobs."""

    def __init__(self, rooms: Rooms, reporter: Reporter, *, fetch: Fetch = no_files) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger
        self._reporter = reporter
        self._fetch = fetch

    def unable(self, order: Cancel, account: Account) -> str | None:
        """Return the cloud's own reason why an order cannot be carried out on this account, or `None`."""
        reason = unable(order, account.cloud)
        return f"Not on {account.name}: {reason}. Nothing was changed." if reason else None

    def order(
        self, actor: str, order: Cancel, account: Account, *, channel: str | None, via: str, delivery: str | None
    ) -> Ordered:
        """Store an order; `delivery` names what brought it, so that the same delivery again opens nothing."""
        event = decisions.requested(actor, order, account, channel=channel, via=via)
        names = order.names if isinstance(order, CancelDevices) else ()
        return self._ledger.order(event, delivery=delivery, names=names)

    def too_late(self, cancellation: int) -> None:
        """End an order whose acknowledgement came too late for Slack to hear it."""
        reason = "Slack had given up on it before it was acknowledged"
        self._ledger.decide(cancellation, lambda state, now: decisions.void(state, now, reason=reason))

    def check(self, cancellation: int) -> None:
        """Look an order's asker and its cloud up, and freeze the plan; or refuse it, or say that there is nothing.

        Works under the cancellation's lease and leaves what somebody else works on alone.
        """
        lease = self._ledger.leases.take(f"cancellation:{cancellation}", self._rooms.owner)
        if lease is None:
            return
        try:
            state = self._ledger.state(cancellation)
            if state is not None and state.phase is Phase.CHECKING and state.held is None:
                self._check(state)
        finally:
            self._ledger.leases.release(lease)

    def _check(self, state: State) -> None:
        account = self._rooms.accounts.get(state.account)
        if account is None:
            self._end(state, f"account {state.account} is no longer configured")
            return
        try:
            sight = self._rooms.directory.look(state.requester, state.channel, account, within=UNHURRIED)
        except DirectoryError as error:
            self._keep_trying(state, error)
            return
        refusal = fault(sight, account, Role.REQUEST)
        if refusal is not None:
            self._refuse(state, refusal, sight)
            return
        if self._held(state):
            return
        try:
            self._preview(state, account, sight)
        except (CloudError, TamperedError, UsageError) as error:
            self._end(state, str(error))
        except DirectoryError as error:
            self._keep_trying(state, error)

    def _held(self, state: State) -> bool:
        """Hold an order that is like an open one; of two at once the later is held."""
        like = next((one for one in self._ledger.open_ones() if one.is_like(state) and one.id != state.retry_of), None)
        if like is None or state.anyway:
            return False
        held = self._ledger.decide(state.id, lambda latest, now: decisions.hold(latest, now, like=like.id))
        if isinstance(held, State):
            self._reporter.ask_anyway(held, like)
        return isinstance(held, State)

    def ask_held(self) -> None:
        """Ask those whose orders are held once more: the process that held them may have died before it asked."""
        for state in self._ledger.open_ones():
            like = self._ledger.state(state.held) if state.held is not None else None
            if like is not None:
                self._reporter.ask_anyway(state, like)

    def _keep_trying(self, state: State, error: DirectoryError) -> None:
        """Leave the order, which is stored, to the keeper, who comes back until its time is over."""
        log.warning("slack_silent", cancellation=state.id, error=str(error))
        if self._rooms.now() - state.at < FIRST_TRY:
            self._reporter.tell(state, f"{error} Nothing was changed; I keep trying.")

    def _preview(self, state: State, account: Account, sight: Sight) -> None:
        cloud, names = self._rooms.clouds[account.name], self._names(state)
        if names is None:
            return
        look = cloud.look(state.order, names, lambda tasks: self._show_checking(state, tasks))
        preview, plan = look.preview, freeze(state.order, look.preview, account, look.names)
        if idle(state.order, preview, plan):
            self._end(state, nothing_to_hit(state.order, preview, self._finished(cloud, look)))
            return
        # Counted again at the confirmation, where it holds; here so that nobody is asked to confirm in vain.
        alone = self._ledger.ran_alone(state, window=account.approval.window)
        verdict = judge(account.approval, stakes=plan.stakes(preview.reading), at_most=plan.at_most, ran_alone=alone)
        impossible = self._impossible(state, account, verdict)
        if impossible:
            self._end(state, impossible)
            return
        self._ledger.decide(
            state.id,
            lambda latest, now: decisions.show_preview(
                latest,
                now,
                preview=preview,
                plan=plan,
                estimate=cloud.estimate(plan),
                verdict=verdict,
                account=account,
                evidence=sight.evidence,
            ),
            lists=look.names.values(),
        )

    def _impossible(self, state: State, account: Account, verdict: Verdict) -> str | None:
        if isinstance(verdict, Denied):
            return f"This may not be cancelled: {verdict.reason}. Nothing was changed."
        if not isinstance(verdict, NeedsApproval):
            return None
        return unapprovable(self._rooms, state, account, verdict, within=UNHURRIED)

    def _show_checking(self, state: State, tasks: int) -> None:
        self._ledger.decide(state.id, lambda latest, now: decisions.show_checking(latest, now, tasks=tasks))

    def _names(self, state: State) -> tuple[str, ...] | None:
        """Return an order's names; of an uploaded file once it is read, and `None` while that fails."""
        order = state.order
        if not isinstance(order, CancelDevices):
            return ()
        if order.listed is not None:
            return self._ledger.names(order.listed.sha256)
        try:
            names = read_names(self._fetch(order.file or ""))
        except DirectoryError as error:
            self._keep_trying(state, error)
            return None
        kept = self._ledger.decide(
            state.id, lambda latest, now: decisions.keep_names(latest, now, names=listed(names)), lists=(names,)
        )
        return names if isinstance(kept, State) else None

    def _finished(self, cloud: Cloud, look: Look) -> Mapping[str, int | None]:
        return {} if look.preview.others else cloud.finished(look.preview.job.id)

    def _refuse(self, state: State, reason: str, sight: Sight) -> None:
        def refuse(latest: State, now: datetime) -> Decided:
            # Counted here, inside the transaction: many commands at once must not all see the same few.
            if refused_too_often(self._ledger, state.requester):
                return decisions.void(latest, now, reason="its asker was refused too often within the hour")
            return decisions.refuse_order(latest, now, reason=reason, evidence=sight.evidence)

        if isinstance(self._ledger.decide(state.id, refuse), State):
            self._reporter.tell(state, f"Refused: {reason}. Nothing was changed.")
            self._reopen(state)

    def end_wait(self, state: State) -> None:
        """Remind approvers whose time is not over yet, or end a wait; who has no card yet is told."""
        if isinstance(self._ledger.decide(state.id, remind), State):
            return
        ended = self._ledger.decide(state.id, decisions.expire)
        if isinstance(ended, State) and not ended.has_card:
            self._reporter.tell(ended, f"It came to nothing: {ended.why}. Nothing was changed; type it again.")
            self._reopen(ended)

    def _end(self, state: State, reason: str) -> None:
        """End an order that never got a card, and tell its asker why."""
        ended = self._ledger.decide(state.id, lambda latest, now: decisions.void(latest, now, reason=reason[:300]))
        if isinstance(ended, State):
            self._reporter.tell(state, reason)
            self._reopen(ended)

    def _reopen(self, ended: State) -> None:
        """Let what was left be asked for again, where the order for it got no card."""
        if ended.retry_of is not None and not ended.has_card:
            self._ledger.decide(
                ended.retry_of, lambda latest, now: decisions.came_to_nothing(latest, now, new=ended.id)
            )

    def look(self, actor: str, order: Cancel, account: Account, *, channel: str | None) -> str | Refusal:
        """Answer `preview`, or a job without statuses, by reading the cloud; stores nothing but a refusal."""
        sight = self._rooms.directory.look(actor, channel, account, within=UNHURRIED)
        refusal = fault(sight, account, Role.REQUEST)
        if refusal is not None:
            remember(self._ledger, decisions.refused(actor, refusal, what="order", evidence=sight.evidence))
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        cloud = self._rooms.clouds[account.name]
        look = cloud.look(order, order.names if isinstance(order, CancelDevices) else ())
        preview, plan = look.preview, freeze(order, look.preview, account, look.names)
        if isinstance(order, CancelJob) and not order.statuses:
            return choices(order, preview, account.cloud)
        if idle(order, preview, plan):
            return nothing_to_hit(order, preview, self._finished(cloud, look))
        alone = self._ledger.ran_alone_by(actor, account.name, account.quota, window=account.approval.window)
        verdict = judge(account.approval, stakes=plan.stakes(preview.reading), at_most=plan.at_most, ran_alone=alone)
        return preview_lines(order, preview, plan, estimate=cloud.estimate(plan), verdict=verdict)

    def jobs(self, actor: str, account: Account, *, channel: str | None) -> Batches | Refusal:
        """Read the running batches for somebody, as the cloud tells them."""
        sight = self._rooms.directory.look(actor, channel, account, within=UNHURRIED)
        refusal = fault(sight, account, Role.STOP)
        if refusal is not None:
            remember(self._ledger, decisions.refused(actor, refusal, what="jobs", evidence=sight.evidence))
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        return self._rooms.clouds[account.name].jobs()
