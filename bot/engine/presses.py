"""Takes people's answers to a card. Identity is looked up first and fails closed; then the ledger decides."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from bot.domain import approval, decisions, running
from bot.domain.account import Account
from bot.domain.approval import press_fault, unreachable, verdict_on
from bot.domain.cancellation import REPEATABLE, Phase, State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.domain.errors import DirectoryError, TamperedError
from bot.domain.leftover import left_over
from bot.domain.order import CancelDevices
from bot.domain.policy import NeedsApproval, Sight
from bot.engine.directory import PRESS
from bot.engine.rooms import Rooms, remember
from bot.ledger.ledger import Ordered

TOO_LATE: Final = "That took too long, and Slack has already given up on it. Nothing was done, press again."
REASONED: Final = frozenset({"reject", "break_glass"})
"""The buttons that ask for a reason first."""

InTime = Callable[[], bool]
"""Tells whether Slack would still hear the acknowledgement; if not, nothing is done."""


class Presses:
    """The verbs of a card's buttons: confirm, withdraw, approve, reject, break glass, stop, ask again, order anyway."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger

    def press(
        self, button: str, cancellation: int, actor: str, channel: str | None, *, in_time: InTime, reason: str = ""
    ) -> State | Refusal:
        """Take a person's answer; `reason` is what they gave for a rejection, or for going on without approval.

        Raises LookupError for a button that there is not.
        """
        began = self._rooms.now()
        seen = self._seen(button, cancellation, actor, channel)
        if isinstance(seen, Refusal):
            return seen
        state, account, sight = seen
        left = PRESS - (self._rooms.now() - began).total_seconds()
        if button == "confirm" and (refusal := self._unapprovable(state, account, within=left)):
            return refusal
        decision = self._decisions(actor, account, sight, reason)[button]

        def decide(latest: State, now: datetime) -> Decided:
            # Asked here, when the write is this one's turn: what Slack has given up on must not happen afterwards.
            return decision(latest, now) if in_time() else Refusal(TOO_LATE)

        return self._ledger.decide(cancellation, decide)

    def may_give_reason(self, button: str, cancellation: int, actor: str, channel: str | None) -> Refusal | None:
        """Return why somebody need not be asked for the reason that a button wants, or `None`."""
        seen = self._seen(button, cancellation, actor, channel)
        if isinstance(seen, Refusal):
            return seen
        state = seen[0]
        return None if state.phase is Phase.WAITING_APPROVAL else decisions.gone(state)

    def retry(
        self, old: int, actor: str, channel: str | None, *, via: str, in_time: InTime, delivery: str | None = None
    ) -> Ordered | Refusal:
        """Order what a cancellation left over again, in the presser's name; a second time it is the same order.

        `delivery` names what brought it, so that the same delivery again opens nothing, whatever has come of it.
        """
        seen = self._seen("retry", old, actor, channel)
        if isinstance(seen, Refusal):
            return seen
        state, account, _ = seen
        if not state.has_card:
            return Refusal(f"There is no #{old} that could be ordered again. Nothing was changed.")
        if state.phase not in REPEATABLE:
            return decisions.gone(state)
        try:
            order = left_over(state, self._ledger.names)
        except TamperedError as error:
            return Refusal(f"{error} Nothing was changed.")
        # Where it is asked for, which is where standing was looked up; a terminal's order has no channel of its own.
        event = decisions.requested(actor, order, account, channel=channel, via=via, retry_of=old)
        names = order.names if isinstance(order, CancelDevices) else ()

        def late() -> Refusal | None:
            return None if in_time() else Refusal(TOO_LATE)

        return self._ledger.again(old, event, delivery=delivery, names=names, late=late)

    def _seen(
        self, button: str, cancellation: int, actor: str, channel: str | None
    ) -> tuple[State, Account, Sight] | Refusal:
        """Look up who pressed what; a person who may not is refused, and that is remembered."""
        state = self._ledger.state(cancellation)
        account = self._rooms.accounts.get(state.account) if state else None
        if state is None or account is None:
            return Refusal(f"There is no #{cancellation} that could be changed. Nothing was changed.")
        # The question whether a repeated order is meant may have been asked directly; the order's own channel counts.
        place = state.channel if button == "order_anyway" else channel
        try:
            sight = self._rooms.directory.look(actor, place, account, within=PRESS)
        except DirectoryError as error:
            return Refusal(f"{error} Nothing was done, press again.")
        wrong = press_fault(button, state, sight, account)
        if wrong is not None:
            remember(
                self._ledger,
                decisions.refused(actor, wrong, what=button, evidence=sight.evidence),
                cancellation,
            )
            return Refusal(f"Refused: {wrong}. Nothing was changed.")
        return state, account, sight

    def _unapprovable(self, state: State, account: Account, *, within: float) -> Refusal | None:
        """Refuse a confirmation that could never be approved: a wait that must end in nothing helps nobody."""
        if state.phase is not Phase.WAITING_CONFIRMATION:
            return None  # the decision says so better
        alone = self._ledger.ran_alone(state, window=account.approval.window)
        verdict = verdict_on(state, account, ran_alone=alone)
        if not isinstance(verdict, NeedsApproval):
            return None
        try:
            reason = unapprovable(self._rooms, state, account, verdict, within=within)
        except DirectoryError as error:
            return Refusal(f"{error} Nothing was done, press again.")
        return Refusal(reason) if reason else None

    def _decisions(self, actor: str, account: Account, sight: Sight, reason: str) -> Mapping[str, Decision]:
        evidence = sight.evidence

        def confirm(state: State, now: datetime) -> Decided:
            # Summed here, inside the transaction: two confirms at once must not both see an empty window.
            alone = self._ledger.ran_alone(state, window=account.approval.window, now=now)
            return approval.confirm(state, now, actor=actor, account=account, ran_alone=alone, evidence=evidence)

        return {
            "confirm": confirm,
            "withdraw": lambda state, now: decisions.withdraw(state, now, actor=actor),
            "stop": lambda state, now: running.stop(state, now, actor=actor),
            "approve": lambda state, now: approval.approve(state, now, actor=actor, account=account, evidence=evidence),
            "reject": lambda state, now: approval.reject(
                state, now, actor=actor, account=account, reason=reason, evidence=evidence
            ),
            "break_glass": lambda state, now: approval.break_glass(
                state, now, actor=actor, account=account, reason=reason, evidence=evidence
            ),
            "order_anyway": lambda state, now: decisions.order_anyway(state, now, actor=actor),
        }


def unapprovable(rooms: Rooms, state: State, account: Account, verdict: NeedsApproval, *, within: float) -> str | None:
    """Return why what a verdict asks for can never be had, or `None`; raises DirectoryError when that is not known."""
    if state.via == approval.TERMINAL:
        return approval.alone_at_terminal(state, account, verdict)
    eligible = rooms.directory.approvers(account, besides=state.requester, enough=verdict.people, within=within)
    return unreachable(verdict, eligible, account=account)
