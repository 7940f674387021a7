"""Takes orders, looks at the cloud for them, and takes people's answers to the card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.clouds.base import Batches, Cloud
from bot.domain import decisions, running
from bot.domain.account import Account
from bot.domain.cancellation import REPEATABLE, Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.errors import CloudError, DirectoryError, TamperedError, UsageError
from bot.domain.leftover import left_over
from bot.domain.names import read_names
from bot.domain.offer import unable
from bot.domain.order import Cancel, CancelDevices, CancelJob, listed
from bot.domain.plan import Look, freeze
from bot.domain.policy import Allowed, Role, Sight, fault, judge
from bot.domain.wording import choices, idle, nothing_to_hit, preview_lines
from bot.engine.directory import PRESS, UNHURRIED, Directory
from bot.engine.reporter import Reporter
from bot.ledger.ledger import Ledger, Ordered

HOUR: Final = timedelta(hours=1)
MOST_REFUSALS: Final = 10
"""How many refusals of one person are remembered in an hour; a spammer must not fill the ledger."""
FIRST_TRY: Final = timedelta(seconds=4)
"""An order younger than this is being checked for the first time."""
TOO_LATE: Final = "That took too long, and Slack has already given up on it. Nothing was done, press again."
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What the verbs work with, put together once in wiring. `owner` is unique for each process."""

    ledger: Ledger
    accounts: Mapping[str, Account]
    clouds: Mapping[str, Cloud]
    directory: Directory
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    owner: str


Fetch = Callable[[str], str]
"""Returns the text of an uploaded file by its id; raises UsageError when it cannot be had, DirectoryError for now."""


def no_files(file: str) -> str:
    """Fetch nothing: at a terminal nothing is uploaded."""
    raise UsageError(f"The file {file} was uploaded in Slack and cannot be read here.")


class Intake:
    """The verbs of people: order, preview, confirm, withdraw, stop, retry."""

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

    def refused_too_often(self, actor: str) -> bool:
        """Tell whether so many refusals of this person are remembered that another is not."""
        return self._ledger.refusals(actor, within=HOUR) >= MOST_REFUSALS

    def check(self, cancellation: int) -> None:
        """Look an order's asker and its cloud up, and freeze the plan; or refuse it, or say that there is nothing.

        Works under the cancellation's lease and leaves what somebody else works on alone.
        """
        lease = self._ledger.leases.take(f"cancellation:{cancellation}", self._rooms.owner)
        if lease is None:
            return
        try:
            state = self._ledger.state(cancellation)
            if state is not None and state.phase is Phase.CHECKING:
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
            # The order is stored, so it is not lost because Slack is ill: the keeper comes back until its time is over.
            log.warning("asker_unknown", cancellation=state.id, error=str(error))
            if self._rooms.now() - state.at < FIRST_TRY:
                self._reporter.tell(state, f"{error} Nothing was changed; I keep trying.")
            return
        refusal = fault(sight, account, Role.REQUEST)
        if refusal is not None:
            self._refuse(state, refusal, sight)
            return
        try:
            self._preview(state, account, sight)
        except (CloudError, TamperedError, UsageError) as error:
            self._end(state, str(error))

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
        if not isinstance(verdict, Allowed):
            self._end(state, decisions.verdict_reason(verdict))
            return
        self._ledger.decide(
            state.id,
            lambda latest, now: decisions.show_preview(
                latest,
                now,
                preview=preview,
                plan=plan,
                estimate=cloud.estimate(plan),
                approval=account.approval,
                evidence=sight.evidence,
            ),
            lists=look.names.values(),
        )

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
            log.warning("file_unread", cancellation=state.id, error=str(error))
            if self._rooms.now() - state.at < FIRST_TRY:
                self._reporter.tell(state, f"{error} Nothing was changed; I keep trying.")
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
            if self.refused_too_often(state.requester):
                return decisions.void(latest, now, reason="its asker was refused too often within the hour")
            return decisions.refuse_order(latest, now, reason=reason, evidence=sight.evidence)

        if isinstance(self._ledger.decide(state.id, refuse), State):
            self._reporter.tell(state, f"Refused: {reason}. Nothing was changed.")
            self._reopen(state)

    def end_wait(self, state: State) -> None:
        """End a wait whose time is over; who has no card yet is told."""
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
            self._remember(actor, refusal, "order", None, sight)
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        cloud = self._rooms.clouds[account.name]
        look = cloud.look(order, order.names if isinstance(order, CancelDevices) else ())
        preview, plan = look.preview, freeze(order, look.preview, account, look.names)
        if isinstance(order, CancelJob) and not order.statuses:
            return choices(order, preview, account.cloud)
        if idle(order, preview, plan):
            return nothing_to_hit(order, preview, self._finished(cloud, look))
        shown = preview_lines(order, preview, plan, estimate=cloud.estimate(plan))
        verdict = judge(account.approval, stakes=plan.stakes(preview.reading), at_most=plan.at_most)
        return shown if isinstance(verdict, Allowed) else f"{shown}\n{decisions.verdict_reason(verdict)}"

    def jobs(self, actor: str, account: Account, *, channel: str | None) -> Batches | Refusal:
        """Read the running batches for somebody, as the cloud tells them."""
        sight = self._rooms.directory.look(actor, channel, account, within=UNHURRIED)
        refusal = fault(sight, account, Role.STOP)
        if refusal is not None:
            self._remember(actor, refusal, "jobs", None, sight)
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        return self._rooms.clouds[account.name].jobs()

    def retry(
        self, old: int, actor: str, channel: str | None, *, via: str, in_time: Callable[[], bool]
    ) -> Ordered | Refusal:
        """Order what a cancellation left over again, in the presser's name; a second time it is the same order."""
        state = self._ledger.state(old)
        account = self._rooms.accounts.get(state.account) if state else None
        if state is None or account is None or not state.has_card:
            return Refusal(f"There is no #{old} that could be ordered again. Nothing was changed.")
        try:
            sight = self._rooms.directory.look(actor, channel, account, within=PRESS)
        except DirectoryError as error:
            return Refusal(f"{error} Nothing was done, press again.")
        refusal = fault(sight, account, Role.REQUEST)
        if refusal is not None:
            self._remember(actor, refusal, "retry", old, sight)
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        if state.phase not in REPEATABLE:
            return decisions.gone(state)
        try:
            order = left_over(state, self._ledger.names)
        except TamperedError as error:
            return Refusal(f"{error} Nothing was changed.")
        # Where it is asked for, which is where standing was looked up; a terminal's order has no channel of its own.
        event = decisions.requested(actor, order, account, channel=channel, via=via, retry_of=old)
        names = order.names if isinstance(order, CancelDevices) else ()
        return self._ledger.again(old, event, names=names, late=lambda: None if in_time() else Refusal(TOO_LATE))

    def press(
        self, button: str, cancellation: int, actor: str, channel: str | None, *, in_time: Callable[[], bool]
    ) -> State | Refusal:
        """Take a person's answer: `confirm`, `withdraw` or `stop`. Identity is looked up first, and fails closed.

        `in_time` tells whether Slack would still hear the acknowledgement; if not, nothing is done.
        """
        state = self._ledger.state(cancellation)
        account = self._rooms.accounts.get(state.account) if state else None
        if state is None or account is None:
            return Refusal(f"There is no #{cancellation} that could be changed. Nothing was changed.")
        try:
            sight = self._rooms.directory.look(actor, channel, account, within=PRESS)
        except DirectoryError as error:
            return Refusal(f"{error} Nothing was done, press again.")
        refusal = self._press_fault(button, state, sight, account)
        if refusal is not None:
            self._remember(actor, refusal, button, cancellation, sight)
            return Refusal(f"Refused: {refusal}. Nothing was changed.")
        decision = self._decision(button, actor, account, sight)

        def decide(latest: State, now: datetime) -> Decided:
            # Asked here, when the write is this one's turn: what Slack has given up on must not happen afterwards.
            return decision(latest, now) if in_time() else Refusal(TOO_LATE)

        return self._ledger.decide(cancellation, decide)

    def _press_fault(self, button: str, state: State, sight: Sight, account: Account) -> str | None:
        if button == "stop":
            return fault(sight, account, Role.STOP)
        verb = "confirm" if button == "confirm" else "withdraw"
        found = fault(sight, account, Role.REQUEST)
        if found is None and sight.person.id != state.requester:
            found = f"only the person who asked for #{state.id} may {verb} it"
        return found

    def _decision(self, button: str, actor: str, account: Account, sight: Sight) -> Decision:
        def confirm(state: State, now: datetime) -> Decided:
            # Summed here, inside the transaction: two confirms at once must not both see an empty window.
            alone = self._ledger.ran_alone(state, window=account.approval.window)
            return decisions.confirm(
                state, now, actor=actor, approval=account.approval, ran_alone=alone, evidence=sight.evidence
            )

        verbs: Mapping[str, Decision] = {
            "confirm": confirm,
            "withdraw": lambda state, now: decisions.withdraw(state, now, actor=actor),
            "stop": lambda state, now: running.stop(state, now, actor=actor),
        }
        return verbs[button]

    def _remember(self, actor: str, reason: str, what: str, cancellation: int | None, sight: Sight) -> None:
        """Record that a person was refused, with what was seen of them; not without end."""
        event = decisions.refused(actor, reason, what=what, evidence=sight.evidence)

        def remember(_state: State, _now: datetime) -> Decided:
            return () if self.refused_too_often(actor) else (event,)

        if cancellation is None:
            self._ledger.append_unless(event, lambda: self.refused_too_often(actor))
        else:
            self._ledger.decide(cancellation, remember)
