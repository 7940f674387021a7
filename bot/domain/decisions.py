"""The decisions on one cancellation: `(state, now) -> events | Refusal`, each made on the latest state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.domain.account import Account, Approval
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import BEFORE_START, PREVIEW, READING, WAITING, Phase, Run, State, order_body
from bot.domain.events import BOT, Kind, NewEvent
from bot.domain.order import Cancel
from bot.domain.plan import Plan, Preview, Reading
from bot.domain.policy import Allowed, Denied, NeedsApproval, judge, policy_in_force

MOST_ATTEMPTS: Final = 5
"""How often one call may be sent in all."""
RETRY_WITHIN: Final = 300
"""Seconds after a call's first sending in which it may be sent again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was recorded, as a sentence for a person."""

    reason: str
    who: str | None = None
    """The actor whom the sentence names, so that a channel can show them in its own way."""


Events = tuple[NewEvent, ...]
Decided = Events | Refusal
Decision = Callable[[State, datetime], Decided]


def _event(kind: Kind, actor: str, **body: Any) -> NewEvent:
    return NewEvent(kind=kind, actor=actor, body={"v": 1, **body})


def requested(
    actor: str, order: Cancel, account: Account, *, channel: str | None, via: str, retry_of: int | None = None
) -> NewEvent:
    """Make the event that opens a cancellation."""
    return _event(
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
    return _event(Kind.REFUSED, actor, what=what, reason=reason[:300], **where)


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
    approval: Approval,
    evidence: Mapping[str, Any],
) -> Decided:
    """Freeze what was seen into the plan that the requester is asked to confirm."""
    if state.phase is not Phase.CHECKING:
        return gone(state)
    return (
        _event(
            Kind.PREVIEWED,
            BOT,
            preview=PREVIEW.dump_python(preview, mode="json"),
            plan=plan.body,
            digest=plan.digest,
            estimate=estimate,
            policy=policy_in_force(approval),
            evidence=dict(evidence),
        ),
    )


def confirm(
    state: State,
    now: datetime,
    *,
    actor: str,
    approval: Approval,
    ran_alone: int,
    evidence: Mapping[str, Any],
) -> Decided:
    """Take the requester's confirmation of exactly this plan."""
    plan = state.plan
    if state.phase is not Phase.WAITING_CONFIRMATION or plan is None:
        return gone(state)
    if _late(state, now):
        return _over(state)
    if actor != state.requester:
        return Refusal("Only the person who asked for it may confirm it. Nothing was changed.")
    verdict = judge(approval, statuses=plan.statuses, at_most=plan.at_most, ran_alone=ran_alone)
    if not isinstance(verdict, Allowed):
        return Refusal(verdict_reason(verdict))
    return (
        _event(
            Kind.CONFIRMED,
            actor,
            plan=state.digest,
            policy=policy_in_force(approval),
            ran_alone=ran_alone,
            evidence=dict(evidence),
        ),
    )


def verdict_reason(verdict: NeedsApproval | Denied) -> str:
    """Say why the requester alone may not go on."""
    if isinstance(verdict, Denied):
        return f"This may not be cancelled: {verdict.reason}. Nothing was changed."
    people = "a second person" if verdict.people == 1 else f"{verdict.people} more people"
    return (
        f"This needs {people} to approve it ({'; '.join(verdict.reasons)}), and approvals are not yet on this account."
        " Nothing was changed. What goes without is in [approval] of the bot's config."
    )


def withdraw(state: State, now: datetime, *, actor: str) -> Decided:
    """Let the requester take the order back before it starts."""
    if state.phase not in WAITING:
        return gone(state)
    if _late(state, now):
        return _over(state)
    if actor != state.requester:
        return Refusal("Only the person who asked for it may withdraw it. Nothing was changed.")
    return (_event(Kind.WITHDRAWN, actor),)


def expire(state: State, now: datetime) -> Decided:
    """End a wait whose time is over: no answer is a denial, no start is void."""
    if not _late(state, now):
        return Refusal("Its time is not over.")
    if state.phase is Phase.APPROVED:
        return void(state, now, reason="it was not started in time")
    asked_for = {Phase.WAITING_CONFIRMATION: "confirmation", Phase.WAITING_APPROVAL: "approval"}
    if state.phase in asked_for:
        return (_event(Kind.EXPIRED, BOT, waited_for=asked_for[state.phase]),)
    if state.phase is Phase.CHECKING:
        return void(state, now, reason="it could not be checked in time")
    return gone(state)


def void(state: State, _now: datetime, *, reason: str) -> Decided:
    """End it before its start, because what was planned does not hold any more."""
    if state.phase not in BEFORE_START:
        return gone(state)
    return (_event(Kind.VOIDED, BOT, reason=reason),)


def start(state: State, now: datetime, *, reading: Reading, account: Account, evidence: Mapping[str, Any]) -> Decided:
    """Start the run if the cloud, the account and the policy are still what was confirmed; void it if not."""
    plan = state.plan
    if state.phase is not Phase.APPROVED or plan is None:
        return gone(state)
    if _late(state, now):
        return void(state, now, reason="it was not started in time")
    asked = reading.size(frozenset(plan.statuses))
    fault = _start_fault(state, plan, account, asked)
    if fault:
        return void(state, now, reason=fault)
    return (
        _event(
            Kind.STARTED,
            BOT,
            plan=state.digest,
            asked=asked,
            calls=1,
            reading=READING.dump_python(reading, mode="json"),
            evidence=dict(evidence),
        ),
    )


def _start_fault(state: State, plan: Plan, account: Account, asked: int | None) -> str | None:
    if not plan.fits(account):
        return "the account's cloud, endpoint, instance or key is not the one that was confirmed"
    if asked == 0:
        return "nothing is left to cancel: no task is in the named statuses any more"
    if plan.at_most is not None and (asked is None or asked > plan.at_most):
        now = "an unknown number of" if asked is None else f"{asked:,}"
        return f"it would hit {now} devices, more than the {plan.at_most:,} that were confirmed"
    verdict = judge(account.approval, statuses=plan.statuses, at_most=plan.at_most, ran_alone=state.ran_alone)
    if not isinstance(verdict, Allowed):
        return "the approval rules are stricter now than when it was confirmed"
    return None


def stop(state: State, _now: datetime, *, actor: str) -> Decided:
    """Stop a run: calls that are out come to their end, the rest is not sent."""
    if state.stopped_by is not None and state.phase is Phase.RUNNING:
        return Refusal(f"It is already being stopped, by {state.stopped_by}.", who=state.stopped_by)
    if state.phase is Phase.APPROVED:
        closed = _event(Kind.FINISHED, BOT, result=Phase.STOPPED.value, asked=None, accepted=0, confirmed=0, left=None)
        return (_event(Kind.STOPPED, actor), closed)
    if state.phase in WAITING:
        return Refusal(f"#{state.id} does not run yet; whoever asked for it may withdraw it on its card.")
    if state.phase is not Phase.RUNNING:
        return gone(state)
    return (_event(Kind.STOPPED, actor),)


def send(state: State, now: datetime, *, call: int, action: str, count: int) -> Decided:
    """Record that a call is about to be sent; the sending follows at once."""
    run = state.run
    if state.phase is not Phase.RUNNING or run is None:
        return gone(state)
    if state.stopped_by is not None:
        return Refusal("It was stopped.")
    if not 1 <= call <= run.calls:
        return Refusal("The plan has no such call.")
    if run.is_done(call) or call in run.out:
        return Refusal("This call is done or out already.")
    before = run.attempts.get(call)
    if before and not may_send_again(run, call, now):
        return Refusal("This call may not be sent again.")
    number = before.number + 1 if before else 1
    return (_event(Kind.CALL_SENT, BOT, action=action, call=call, attempt=number, count=count),)


def may_send_again(run: Run, call: int, now: datetime) -> bool:
    """Tell whether a call that ended without success may be sent once more (at most 5 in 5 minutes).

    An unknown outcome may only be followed by another attempt after a read that still finds something to cancel; the
    executor reads before it asks.
    """
    attempt = run.attempts[call]
    in_time = (now - attempt.first).total_seconds() < RETRY_WITHIN
    repeatable = attempt.outcome is Outcome.UNKNOWN or attempt.again
    return repeatable and in_time and attempt.number < MOST_ATTEMPTS


def record_answer(
    state: State, _now: datetime, *, call: int, attempt: int, action: str, answer: Answer, seen: Reading | None = None
) -> Decided:
    """Record how an attempt at a call ended; `seen` is the later read of the cloud that told it, where one did.

    An answer that was late, because its process stood still, is not taken for the answer to a later attempt.
    """
    run = state.run
    latest = run.attempts.get(call) if run else None
    if latest is None or latest.number != attempt or (latest.outcome is not None and seen is None):
        return Refusal("Its outcome is recorded already.")
    body = {
        "action": action,
        "call": call,
        "attempt": attempt,
        "outcome": answer.outcome.value,
        "code": answer.code,
        "message": answer.message,
        "request_id": answer.request_id,
    }
    extra: dict[str, Any] = {"again": True} if answer.again else {}
    if run is not None and seen is not None:
        # Tasks may also have moved on by themselves: no more were taken than became cancelled.
        grown = _confirmed(run, seen)
        extra |= {"by": "read", "count": latest.count if grown is None else min(latest.count, grown)}
    return (_event(Kind.CALL_FINISHED, BOT, **body, **extra),)


def verify(state: State, _now: datetime, *, reading: Reading | None) -> Decided:
    """Record what was seen when the cloud was read again: how many were cancelled, how many are left.

    `None`: it could not be read, and the figures stand as they were last seen.
    """
    run, plan = state.run, state.plan
    if run is None or plan is None:
        return gone(state)
    if reading is None and state.phase is Phase.RUNNING:
        return Refusal("A run is not verified without a read.")
    if reading is None:
        return (_event(Kind.VERIFIED, BOT, reading=None, confirmed=run.confirmed, left=run.left),)
    return (
        _event(
            Kind.VERIFIED,
            BOT,
            reading=READING.dump_python(reading, mode="json"),
            confirmed=_confirmed(run, reading),
            left=reading.size(frozenset(plan.statuses)),
        ),
    )


def _confirmed(run: Run, reading: Reading) -> int | None:
    """Count the job's tasks that became cancelled since the start; others who cancel on it are counted in."""
    if reading.canceled is None or run.reading.canceled is None:
        return None
    return max(0, reading.canceled - run.reading.canceled)


def finish(state: State, _now: datetime, *, reason: str = "") -> Decided:
    """End a run whose calls have all come to their end."""
    run = state.run
    if state.phase is not Phase.RUNNING or run is None:
        return gone(state)
    if run.out:
        return Refusal("Calls are still out.")
    figures = {"asked": run.asked, "accepted": run.accepted, "confirmed": run.confirmed, "left": run.left}
    body = {"result": _result(state, run).value, **figures, **({"reason": reason} if reason else {})}
    return (_event(Kind.FINISHED, BOT, **body),)


def _result(state: State, run: Run) -> Phase:
    if run.complete and run.verified:
        return Phase.DONE
    if state.stopped_by is not None:
        return Phase.STOPPED
    # Of a call whose outcome is unknown nobody can say that it was not taken, unless a look saw nothing cancelled.
    unknown = run.confirmed != 0 and any(attempt.outcome is Outcome.UNKNOWN for attempt in run.attempts.values())
    return Phase.PARTLY_DONE if run.done or unknown else Phase.FAILED


def gone(state: State) -> Refusal:
    """Say that the press or step came too late for the present state."""
    if state.phase is Phase.CHECKING:
        return Refusal(f"#{state.id} is still being checked. Nothing was changed.")
    who = state.ended_by if state.ended_by != BOT else None
    by = f" by {who}" if who else ""
    return Refusal(f"#{state.id} is already “{state.phase.value}”{by}. Nothing was changed.", who=who)


def _over(state: State) -> Refusal:
    return Refusal(f"The time to answer #{state.id} is over. Nothing was changed.")


def _late(state: State, now: datetime) -> bool:
    return state.deadline is not None and now >= state.deadline
