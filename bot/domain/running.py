"""The decisions on a run: its start, its calls, its verification, its end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import READING, WAITING, Phase, Run, State
from bot.domain.decisions import Decided, Refusal, event, gone, late, void
from bot.domain.events import BOT, Kind
from bot.domain.plan import Plan
from bot.domain.policy import Allowed, judge
from bot.domain.reading import Reading

MOST_ATTEMPTS: Final = 5
"""How often one call may be sent in all."""
RETRY_WITHIN: Final = 300
"""Seconds after a call's first sending in which it may be sent again."""
MOVED: Final = "24620"
"""EnOS: "Only init or published tasks can be canceled": a device of the call moved on after it was looked at."""
MOST_LOOKS: Final = 3
"""How often a call is refused for devices that moved on, each time after a look at them, before it is split."""


def start(state: State, now: datetime, *, reading: Reading, account: Account, evidence: Mapping[str, Any]) -> Decided:
    """Start the run if the cloud, the account and the policy are still what was confirmed; void it if not."""
    plan = state.plan
    if state.phase is not Phase.APPROVED or plan is None:
        return gone(state)
    if late(state, now):
        return void(state, now, reason="it was not started in time")
    asked = reading.size(frozenset(plan.statuses))
    fault = _start_fault(state, plan, account, reading)
    if fault:
        return void(state, now, reason=fault)
    return (
        event(
            Kind.STARTED,
            BOT,
            plan=state.digest,
            asked=asked,
            calls=plan.calls,
            reading=READING.dump_python(reading, mode="json"),
            evidence=dict(evidence),
        ),
    )


def _start_fault(state: State, plan: Plan, account: Account, reading: Reading) -> str | None:
    asked, stakes = reading.size(frozenset(plan.statuses)), plan.stakes(reading)
    if not plan.fits(account):
        return "the account's cloud, endpoint, instance or key is not the one that was confirmed"
    if asked == 0 and "strategy" not in stakes:
        return "nothing is left to cancel: no task is in the statuses that this hits any more"
    if plan.at_most is not None and (asked is None or asked > plan.at_most):
        now = "an unknown number of" if asked is None else f"{asked:,}"
        return f"it would hit {now} devices, more than the {plan.at_most:,} that were confirmed"
    verdict = judge(account.approval, stakes=stakes, at_most=plan.at_most, ran_alone=state.ran_alone)
    if not isinstance(verdict, Allowed):
        return "the approval rules are stricter now than when it was confirmed"
    return None


def stop(state: State, _now: datetime, *, actor: str) -> Decided:
    """Stop a run: calls that are out come to their end, the rest is not sent."""
    if state.stopped_by is not None and state.phase is Phase.RUNNING:
        return Refusal(f"It is already being stopped, by {state.stopped_by}.", who=state.stopped_by)
    if state.phase is Phase.APPROVED:
        closed = event(Kind.FINISHED, BOT, result=Phase.STOPPED.value, asked=None, accepted=0, confirmed=0, left=None)
        return (event(Kind.STOPPED, actor), closed)
    if state.phase in WAITING:
        return Refusal(f"#{state.id} does not run yet; whoever asked for it may withdraw it on its card.")
    if state.phase is not Phase.RUNNING:
        return gone(state)
    return (event(Kind.STOPPED, actor),)


def send(state: State, now: datetime, *, call: int, action: str, count: int, left_out: tuple[int, ...] = ()) -> Decided:
    """Record that a call is about to be sent with `count` devices; the sending follows at once.

    `left_out` are the positions of the call's devices that have moved on and are not sent.
    """
    refusal = _unsendable(state, now, call)
    run = state.run
    if refusal is not None or run is None:
        return refusal or gone(state)
    before = run.attempts.get(call)
    extra: dict[str, Any] = {"left_out": list(left_out)} if left_out else {}
    number = before.number + 1 if before else 1
    return (event(Kind.CALL_SENT, BOT, action=action, call=call, attempt=number, count=count, **extra),)


def skip(state: State, now: datetime, *, call: int, action: str, count: int) -> Decided:
    """Record that all `count` devices of a call have moved on: nothing is sent."""
    refusal = _unsendable(state, now, call)
    return refusal or (event(Kind.CALL_SKIPPED, BOT, action=action, call=call, count=count),)


def split(state: State, now: datetime, *, call: int, action: str, at: tuple[int, ...], left_out: int) -> Decided:
    """Record that a call that is refused whole goes on device by device: those at the positions `at`.

    `left_out` is how many of its other devices have moved on.
    """
    one = Refusal("A call of one device cannot be split.") if len(at) == 1 else None
    refusal = _unsendable(state, now, call) or one
    return refusal or (event(Kind.CALL_SPLIT, BOT, action=action, call=call, at=list(at), left_out=left_out),)


def _unsendable(state: State, now: datetime, call: int) -> Refusal | None:
    run = state.run
    if state.phase is not Phase.RUNNING or run is None:
        return gone(state)
    if state.stopped_by is not None:
        return Refusal("It was stopped.")
    if not 1 <= call <= run.calls:
        return Refusal("The plan has no such call.")
    if run.is_settled(call) or call in run.out:
        return Refusal("This call is done or out already.")
    if call in run.attempts and not may_send_again(run, call, now):
        return Refusal("This call may not be sent again.")
    return None


def may_send_again(run: Run, call: int, now: datetime) -> bool:
    """Tell whether a call that ended without success may be sent once more (at most 5 in 5 minutes).

    An unknown outcome may only be followed by another attempt after a read that still finds something to cancel; the
    executor reads before it asks.
    """
    attempt = run.attempts[call]
    in_time = (now - attempt.first).total_seconds() < RETRY_WITHIN
    repeatable = attempt.outcome is Outcome.UNKNOWN or attempt.again or attempt.code == MOVED
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
        grown = seen.cancelled_since(run.reading) if seen.named is None else seen.named.canceled
        extra |= {"by": "read", "count": latest.count if grown is None else min(latest.count, grown)}
    return (event(Kind.CALL_FINISHED, BOT, **body, **extra),)


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
        return (event(Kind.VERIFIED, BOT, reading=None, confirmed=run.confirmed, left=run.left),)
    return (
        event(
            Kind.VERIFIED,
            BOT,
            reading=READING.dump_python(reading, mode="json"),
            confirmed=reading.cancelled_since(run.reading),
            left=reading.size(frozenset(plan.statuses)),
        ),
    )


def finish(state: State, _now: datetime, *, reason: str = "") -> Decided:
    """End a run whose calls have all come to their end."""
    run = state.run
    if state.phase is not Phase.RUNNING or run is None:
        return gone(state)
    if run.out:
        return Refusal("Calls are still out.")
    figures = {"asked": run.asked, "accepted": run.accepted, "confirmed": run.confirmed, "left": run.left}
    body = {"result": _result(state, run).value, **figures, **({"reason": reason} if reason else {})}
    return (event(Kind.FINISHED, BOT, **body),)


def _result(state: State, run: Run) -> Phase:
    if run.complete and run.verified and not (run.skipped and not run.done):
        return Phase.DONE
    if state.stopped_by is not None:
        return Phase.STOPPED
    # Of a call whose outcome is unknown nobody can say that it was not taken, unless a look saw nothing cancelled.
    unknown = run.confirmed != 0 and any(attempt.outcome is Outcome.UNKNOWN for attempt in run.attempts.values())
    return Phase.PARTLY_DONE if run.done or unknown else Phase.FAILED
