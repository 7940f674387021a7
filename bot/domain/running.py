"""The decisions on a run: its start, its calls, its verification, its end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.approval import stricter
from bot.domain.call import Answer, Outcome, holds
from bot.domain.cancellation import READING, WAITING, Phase, Run, State
from bot.domain.decisions import Decided, Refusal, event, gone, late, void
from bot.domain.events import BOT, Kind
from bot.domain.offer import CANCEL_STRATEGY
from bot.domain.plan import Plan
from bot.domain.policy import judge, policy_in_force
from bot.domain.reading import Reading

MOST_ATTEMPTS: Final = 5
"""How often one call may be sent in all."""
RETRY_WITHIN: Final = 300
"""Seconds after a call's first sending in which it may be sent again."""
MOVED: Final = "24620"
"""EnOS: "Only init or published tasks can be canceled": a device of the call moved on after it was looked at."""
STRATEGY: Final = 1
"""The call that stops a strategy, in a plan that does: the first one, so that nobody joins in between."""
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
            policy=policy_in_force(account),
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
    if state.broke_glass is None and state.missing:
        return "not enough people have agreed to it"
    if stricter(state, verdict):
        return "the approval rules are stricter now than when it was agreed to"
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


def send(
    state: State,
    now: datetime,
    *,
    call: int,
    action: str,
    count: int,
    left_out: tuple[int, ...] = (),
    canceled: int = 0,
) -> Decided:
    """Record that a call is about to be sent with `count` devices; the sending follows in the slot it has.

    `left_out` are the positions of the call's devices that have moved on and are not sent; of those that this is new
    of, `canceled` were seen cancelled.
    """
    refusal = _unsendable(state, now, call)
    run = state.run
    if refusal is not None or run is None:
        return refusal or gone(state)
    before = run.attempts.get(call)
    extra: dict[str, Any] = {"left_out": list(left_out)} if left_out else {}
    extra |= _ours(state, call, len(left_out), canceled)
    number = before.number + 1 if before else 1
    return (event(Kind.CALL_SENT, BOT, action=action, call=call, attempt=number, count=count, **extra),)


def skip(state: State, now: datetime, *, call: int, action: str, count: int, canceled: int = 0) -> Decided:
    """Record that all `count` devices of a call have moved on, or were seen cancelled: nothing is sent."""
    refusal = _unsendable(state, now, call)
    ours = _ours(state, call, count, canceled)
    return refusal or (event(Kind.CALL_SKIPPED, BOT, action=action, call=call, count=count, **ours),)


def split(
    state: State, now: datetime, *, call: int, action: str, at: tuple[int, ...], left_out: int, canceled: int = 0
) -> Decided:
    """Record that a call that is refused whole goes on device by device: those at the positions `at`.

    `left_out` is how many of its other devices have moved on, or were seen cancelled.
    """
    one = Refusal("A call of one device cannot be split.") if len(at) == 1 else None
    refusal = _unsendable(state, now, call) or one
    ours = _ours(state, call, left_out, canceled)
    return refusal or (event(Kind.CALL_SPLIT, BOT, action=action, call=call, at=list(at), left_out=left_out, **ours),)


def _ours(state: State, call: int, left_out: int, canceled: int) -> dict[str, int]:
    """Return how many of the devices that are newly left out an earlier attempt has cancelled, where it may have.

    What was throttled or never reached the cloud cancelled nothing, and before the first attempt it was others.
    """
    run, plan = state.run, state.plan
    before = run.attempts.get(call) if run else None
    sent = not before.again if before else plan is not None and call > plan.calls  # the call that was split was sent
    ours = min(canceled, left_out - (len(before.left_out) if before else 0)) if sent else 0
    return {"canceled": ours} if ours > 0 else {}


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
    open_still = latest is not None and (
        latest.outcome is None or (seen is not None and latest.outcome is Outcome.UNKNOWN)
    )
    if latest is None or latest.number != attempt or not open_still:
        return Refusal("Its outcome is recorded already.")
    if state.phase is not Phase.RUNNING:
        return gone(state)
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


def may_show_more(state: State) -> bool:
    """Tell whether another look at the cloud may see more of what it took."""
    run = state.run
    if run is None or not run.took:
        return False
    strategy = _stops_strategy(state) and holds(run.done, STRATEGY) and not _stopped(run)
    return strategy or (run.confirmed is not None and bool(run.left) and not _adds_up(run))


def _adds_up(run: Run) -> bool:
    """Tell whether all that was taken is seen, and no more is left than was not taken.

    What showed while the cloud was read may be in the one figure and not yet in the other.
    """
    taken = run.accepted
    return (run.confirmed or 0) >= taken and run.asked is not None and (run.left or 0) <= run.asked - taken


def _stops_strategy(state: State) -> bool:
    return state.plan is not None and [step.action for step in state.plan.steps[:1]] == [CANCEL_STRATEGY]


def _stopped(run: Run) -> bool:
    return run.seen is not None and run.seen.batch == "CANCELED"


def finish(state: State, _now: datetime, *, reason: str = "") -> Decided:
    """End a run whose calls have all come to their end."""
    run = state.run
    if state.phase is not Phase.RUNNING or run is None:
        return gone(state)
    if run.out:
        return Refusal("Calls are still out.")
    figures = {"asked": run.asked, "accepted": run.accepted, "confirmed": run.confirmed, "left": run.left}
    why = "; ".join(filter(None, (reason, _open_strategy(state, run))))
    body = {"result": result(state, run).value, **figures, **({"reason": why} if why else {})}
    return (event(Kind.FINISHED, BOT, **body),)


def _open_strategy(state: State, run: Run) -> str:
    """Say that devices may still join a batch whose tasks were cancelled; nothing where its strategy was stopped."""
    if not run.took or not _stops_strategy(state) or holds(run.done, STRATEGY) or _stopped(run):
        return ""
    attempt = run.attempts.get(STRATEGY)
    unknown = attempt is not None and attempt.outcome is Outcome.UNKNOWN
    joins = state.preview is not None and state.preview.job.dynamic
    said = "whether the strategy was stopped is not known" if unknown else "the strategy was not stopped"
    return f"{said}, so devices may still join the batch" if joins else said


def result(state: State, run: Run) -> Phase:
    """Return what a run has come to (contract: Done, Partly done, Failed, Stopped)."""
    if run.complete and run.verified and not (run.skipped and not run.took):
        return Phase.DONE
    if state.stopped_by is not None:
        return Phase.STOPPED
    # Of a call whose outcome is unknown nobody can say that it was not taken, unless a look saw nothing cancelled.
    unknown = run.confirmed != 0 and any(attempt.outcome is Outcome.UNKNOWN for attempt in run.attempts.values())
    return Phase.PARTLY_DONE if run.took or unknown else Phase.FAILED
