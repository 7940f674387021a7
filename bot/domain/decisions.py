"""The decisions on one cancellation: `(state, now) -> events | Refusal`, each made on the latest state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain.account import Account
from bot.domain.cancellation import BEFORE_START, PREVIEW, REPEATABLE, WAITING, Phase, State, order_body
from bot.domain.events import BOT, Kind, NewEvent
from bot.domain.order import Cancel, Listed
from bot.domain.plan import Plan, Preview
from bot.domain.policy import NeedsApproval, Verdict, policy_in_force


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was recorded, as a sentence for a person."""

    reason: str
    who: str | None = None
    """The actor whom the sentence names, so that a channel can show them in its own way."""


Events = tuple[NewEvent, ...]
Decided = Events | Refusal
Decision = Callable[[State, datetime], Decided]


def event(kind: Kind, actor: str, **body: Any) -> NewEvent:
    """Make an event with its body's version."""
    return NewEvent(kind=kind, actor=actor, body={"v": 1, **body})


def requested(
    actor: str, order: Cancel, account: Account, *, channel: str | None, via: str, retry_of: int | None = None
) -> NewEvent:
    """Make the event that opens a cancellation."""
    return event(
        Kind.REQUESTED,
        actor,
        order=order_body(order),
        account=account.name,
        quota=account.quota,
        channel=channel,
        via=via,
        expires=int(account.approval.expires.total_seconds()),
        **({"retry_of": retry_of} if retry_of is not None else {}),
    )


def refused(actor: str, reason: str, *, what: str, **where: Any) -> NewEvent:
    """Make the event that remembers a person being refused; `what` is `order` or the button pressed."""
    return event(Kind.REFUSED, actor, what=what, reason=reason[:300], **where)


def keep_names(state: State, _now: datetime, *, names: Listed) -> Decided:
    """Record the names that were read from an uploaded file."""
    if state.phase is not Phase.CHECKING:
        return gone(state)
    return (event(Kind.LISTED, BOT, names={"sha256": names.sha256, "count": names.count}),)


def hold(state: State, _now: datetime, *, like: int) -> Decided:
    """Let an order wait that is like the open cancellation `like`, until its asker says that it is meant."""
    if state.phase is not Phase.CHECKING or state.held is not None or state.anyway:
        return gone(state)
    return (event(Kind.HELD, BOT, like=like),)


def order_anyway(state: State, now: datetime, *, actor: str) -> Decided:
    """Go on with an order that was held, because its asker says that it is meant."""
    if state.phase is not Phase.CHECKING or state.held is None:
        return Refusal(f"#{state.id} goes on already. Nothing was changed.") if state.anyway else gone(state)
    if late(state, now):
        return over(state)
    if actor != state.requester:
        return Refusal("Only the person who asked for it may order it. Nothing was changed.")
    return (event(Kind.ORDERED_ANYWAY, actor),)


def show_checking(state: State, _now: datetime, *, tasks: int) -> Decided:
    """Let people see that so many tasks are being listed, which takes a while; once is enough."""
    if state.phase is not Phase.CHECKING:
        return gone(state)
    return () if state.listing is not None else (event(Kind.CHECKING, BOT, tasks=tasks),)


def refuse_order(state: State, _now: datetime, *, reason: str, evidence: Mapping[str, Any]) -> Decided:
    """End an order whose asker may not order."""
    if state.phase is not Phase.CHECKING:
        return gone(state)
    return (refused(state.requester, reason, what="order", evidence=dict(evidence)),)


def show_preview(
    state: State,
    _now: datetime,
    *,
    preview: Preview,
    plan: Plan,
    estimate: int,
    verdict: Verdict,
    account: Account,
    evidence: Mapping[str, Any],
) -> Decided:
    """Freeze what was seen into the plan that the requester is asked to confirm.

    `verdict` is that of the moment; the one that holds is made at the confirmation. An order that another process has
    held meanwhile waits for its asker.
    """
    if state.phase is not Phase.CHECKING or state.held is not None:
        return gone(state)
    return (
        event(
            Kind.PREVIEWED,
            BOT,
            preview=PREVIEW.dump_python(preview, mode="json"),
            plan=plan.body,
            digest=plan.digest,
            estimate=estimate,
            needs=verdict.people if isinstance(verdict, NeedsApproval) else 0,
            reasons=list(verdict.reasons) if isinstance(verdict, NeedsApproval) else [],
            policy=policy_in_force(account),
            evidence=dict(evidence),
        ),
    )


def withdraw(state: State, now: datetime, *, actor: str) -> Decided:
    """Let the requester take the order back before it starts."""
    if state.phase not in WAITING:
        return gone(state)
    if late(state, now):
        return over(state)
    if actor != state.requester:
        return Refusal("Only the person who asked for it may withdraw it. Nothing was changed.")
    return (event(Kind.WITHDRAWN, actor),)


def expire(state: State, now: datetime) -> Decided:
    """End a wait whose time is over: no answer is a denial, no start is void."""
    if not late(state, now):
        return Refusal("Its time is not over.")
    if state.phase is Phase.APPROVED:
        return void(state, now, reason="it was not started in time")
    asked_for = {Phase.WAITING_CONFIRMATION: "confirmation", Phase.WAITING_APPROVAL: "approval"}
    if state.phase in asked_for:
        return (event(Kind.EXPIRED, BOT, waited_for=asked_for[state.phase]),)
    if state.phase is Phase.CHECKING:
        held = f"it is like #{state.held}, which was open, and nobody said that it was meant all the same"
        return void(state, now, reason=held if state.held is not None else "it could not be checked in time")
    return gone(state)


def void(state: State, _now: datetime, *, reason: str) -> Decided:
    """End it before its start, because what was planned does not hold any more."""
    if state.phase not in BEFORE_START:
        return gone(state)
    return (event(Kind.VOIDED, BOT, reason=reason),)


def came_to_nothing(state: State, _now: datetime, *, new: int) -> Decided:
    """Record that the order for what was left, `new`, ended before it got a card: it may be asked for again."""
    if state.retried_as != new:
        return Refusal(f"#{state.id} was not ordered again as #{new}.")
    return (event(Kind.RETRIED, BOT, **{"as": None}),)


def retried(state: State, _now: datetime, *, actor: str, new: int) -> Decided:
    """Record that what this cancellation left over was ordered again, as cancellation `new`."""
    if state.retried_as is not None:
        return Refusal(f"#{state.id} was ordered again already, as #{state.retried_as}. Nothing was changed.")
    if state.phase not in REPEATABLE:
        return gone(state)
    return (event(Kind.RETRIED, actor, **{"as": new}),)


def gone(state: State) -> Refusal:
    """Say that the press or step came too late for the present state."""
    if state.phase is Phase.CHECKING:
        return Refusal(f"#{state.id} is still being checked. Nothing was changed.")
    who = state.ended_by if state.ended_by != BOT else None
    by = f" by {who}" if who else ""
    return Refusal(f"#{state.id} is already “{state.phase.value}”{by}. Nothing was changed.", who=who)


def over(state: State) -> Refusal:
    """Say that the time to answer has run out."""
    return Refusal(f"The time to answer #{state.id} is over. Nothing was changed.")


def late(state: State, now: datetime) -> bool:
    """Tell whether the present wait has ended by itself."""
    return state.deadline is not None and now >= state.deadline
