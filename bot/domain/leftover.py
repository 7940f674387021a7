"""What a run left over: the order for the rest, and what to tell of each device that was not cancelled."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bot.domain.call import holds
from bot.domain.cancellation import State
from bot.domain.events import Event, Kind
from bot.domain.offer import CANCEL_JOB, CANCEL_STRATEGY
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy

Names = Callable[[str | None], tuple[str, ...]]
"""Returns a list of names by its SHA-256; no names for `None`."""
MOVED_ON: Final = "had moved on before its call was sent"
MOVED_OR_OURS: Final = "had moved on, or was cancelled by an attempt of which that was not known"
NOTHING_THERE: Final = "had nothing that could be cancelled"


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
        rest = {left.device for left in untaken(state, names)}
        these = rest or set(names(order.listed.sha256 if order.listed else None))
        return replace(order, names=tuple(sorted(these)), listed=None)
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


def leftovers(state: State, names: Names, story: Iterable[Event]) -> Iterator[Leftover]:
    """Yield each named device that no taken call had in it, with the reason; `story` is the events of `state`."""
    if state.run is not None:
        yield from untaken(state, names)
        yield from _moved_on(state, names, story)
        yield from absent(state, names)


def untaken(state: State, names: Names) -> Iterator[Leftover]:
    """Yield each device of a run's calls that failed, are unknown or were not sent, without those that moved on."""
    plan, run = state.plan, state.run
    if plan is None or run is None:
        return
    lists = _lists(state, names)
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


def _moved_on(state: State, names: Names, story: Iterable[Event]) -> Iterator[Leftover]:
    """Yield each device that its call left out, but for those that an earlier attempt is known to have cancelled."""
    plan, run = state.plan, state.run
    if plan is None or run is None or not run.moved_on:
        return
    lists, told = _lists(state, names), dict[int, frozenset[int]]()
    for event in story:
        if event.kind not in {Kind.CALL_SENT, Kind.CALL_SKIPPED, Kind.CALL_SPLIT}:
            continue
        call = run.call(plan, event.body["call"])
        # Of a call that was skipped nothing was sent; of one that was split, what goes on is named.
        going_on = frozenset(event.body.get("at", ()))
        sent = event.kind == Kind.CALL_SENT
        left_out = event.body.get("left_out", ()) if sent else [at for at in call.at if at not in going_on]
        before = told.get(call.number, frozenset[int]())
        told[call.number] = before.union(left_out)
        new, ours = sorted(told[call.number] - before), event.body.get("canceled", 0)
        for position in new if ours < len(new) else ():
            # The ledger has how many of them were cancelled, not which.
            why = MOVED_OR_OURS if ours else MOVED_ON
            device = lists.get(call.step.names or "", ())[position]
            yield Leftover(device=device, job=call.step.job, why=why, call=call.number)


def absent(state: State, names: Names) -> Iterator[Leftover]:
    """Yield each device that was named and is in no call of the plan."""
    order, plan = state.order, state.plan
    if not isinstance(order, CancelDevices) or order.listed is None or plan is None:
        return
    sent = {name for listed in _lists(state, names).values() for name in listed}
    for name in names(order.listed.sha256):
        if name not in sent:
            yield Leftover(device=name, job=plan.job, why=NOTHING_THERE)


def _lists(state: State, names: Names) -> dict[str, tuple[str, ...]]:
    steps = state.plan.steps if state.plan else ()
    return {step.names: names(step.names) for step in steps if step.names}
