"""What a run left over: the order for the rest, and what to tell of each device that was not cancelled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bot.domain.call import holds
from bot.domain.cancellation import State
from bot.domain.offer import CANCEL_JOB, CANCEL_STRATEGY
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy

Names = Callable[[str | None], tuple[str, ...]]
"""Returns a list of names by its SHA-256; no names for `None`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A device that was named and not sent with success, and why."""

    device: str
    job: str
    why: str
    call: int | None = None
    code: str = ""
    message: str = ""


def left_over(state: State, names: Names) -> Cancel:
    """Return the order for what `state` left over: of an order that never ran the whole, else what was not taken."""
    order = replace(state.order)
    if isinstance(order, CancelDevices):
        # Where every call was taken, and nobody could see what came of it, a look at all of them tells what is left.
        these = _untaken(state, names) or names(order.listed.sha256 if order.listed else None)
        return replace(order, names=tuple(sorted(set(these))), listed=None)
    if isinstance(order, CancelStrategy) and order.statuses and _took(state, CANCEL_STRATEGY):
        return CancelJob(job=order.job, statuses=order.statuses, account=order.account, reason=order.reason)
    if isinstance(order, CancelStrategy) and order.statuses and _took(state, CANCEL_JOB):
        return replace(order, statuses=())
    return order


def _took(state: State, action: str) -> bool:
    run, plan = state.run, state.plan
    if run is None or plan is None:
        return False
    return any(
        holds(run.done, number) for number in range(1, plan.calls + 1) if plan.call(number).step.action == action
    )


def _untaken(state: State, names: Names) -> tuple[str, ...]:
    return tuple(left.device for left in leftovers(state, names) if left.call is not None)


def leftovers(state: State, names: Names) -> Iterator[Leftover]:
    """Yield each named device that no taken call had in it, with the reason; those that moved on are only counted.

    Those of calls that failed or were not sent have the number of the call; the others had nothing to cancel.
    """
    plan, run = state.plan, state.run
    if plan is None or run is None:
        return
    lists = {step.names: names(step.names) for step in plan.steps if step.names}
    split = {split.call for split in run.splits}
    for number in range(1, run.calls + 1):
        if number in split or holds(run.done, number) or holds(run.skipped, number):
            continue
        call, attempt = run.call(plan, number), run.attempts.get(number)
        listed = lists.get(call.step.names or "", ())
        left_out = frozenset(attempt.left_out if attempt else ())
        for position in call.at:
            if position in left_out:
                continue
            yield Leftover(
                device=listed[position],
                job=call.step.job,
                why="not sent" if attempt is None else str(attempt.outcome or "unknown"),
                call=number,
                code=attempt.code if attempt else "",
                message=attempt.message if attempt else "",
            )
    sent = {name for each in lists.values() for name in each}
    order = state.order
    if isinstance(order, CancelDevices) and order.listed is not None:
        for name in names(order.listed.sha256):
            if name not in sent:
                yield Leftover(device=name, job=plan.job, why="had nothing that could be cancelled")
