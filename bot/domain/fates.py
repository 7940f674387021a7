"""What became of single devices and single attempts: the rows of an exported cancellation's sheets."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from bot.domain.cancellation import State
from bot.domain.events import Event, Kind, stamp
from bot.domain.leftover import Leftover, Names, absent, leftovers

ATTEMPTS: Final = (
    "call",
    "attempt",
    "action",
    "job",
    "devices",
    "sent",
    "finished",
    "outcome",
    "code",
    "message",
    "request_id",
)
DEVICES: Final = ("device", "job", "call", "outcome", "code", "message")
TAKEN: Final = "taken by the cloud"
NOT_SENT: Final = "not sent"
_SAID: Final = ("outcome", "code", "message", "request_id")


def attempts(state: State, story: Iterable[Event]) -> Iterator[tuple[object, ...]]:
    """Yield a row of ATTEMPTS for each end of an attempt, in order, and then for each attempt without a recorded one.

    `story` is the events of `state`. What was unknown at first and then seen has a row for each.
    """
    out: dict[tuple[int, int], Event] = {}
    sent: dict[tuple[int, int], Event] = {}
    for event in story:
        if event.kind == Kind.CALL_SENT:
            out[_key(event)] = sent[_key(event)] = event
        elif event.kind == Kind.CALL_FINISHED:
            out.pop(_key(event), None)
            yield _attempt(state, sent.get(_key(event)), event.body, finished=event.at)
    for event in out.values():
        yield _attempt(state, event, event.body, finished=None)


def _key(event: Event) -> tuple[int, int]:
    return event.body["call"], event.body["attempt"]


def _attempt(state: State, sent: Event | None, body: Any, *, finished: datetime | None) -> tuple[object, ...]:
    return (
        body["call"],
        body["attempt"],
        body["action"],
        state.run.call(state.plan, body["call"]).step.job if state.run and state.plan else "",
        sent.body["count"] if sent else None,
        stamp(sent.at) if sent else "",
        stamp(finished) if finished else "",
        *(body.get(name, "") for name in _SAID),
    )


def fates(state: State, names: Names, story: Iterable[Event]) -> Iterator[Leftover]:
    """Yield each device that the plan lists or the order names, once, with what became of it; `story` as above."""
    plan, run = state.plan, state.run
    if plan is None or not plan.by_name:
        return
    rest = {(left.job, left.device): left for left in leftovers(state, names, story)}
    calls = _calls(state)
    for step in plan.steps:
        for position, device in enumerate(names(step.names)):
            call = calls.get((step.job, step.names, position))
            fate = Leftover(device=device, job=step.job, why=TAKEN if run else NOT_SENT, call=call if run else None)
            yield rest.get((step.job, device), fate)
    yield from absent(state, names)


def _calls(state: State) -> dict[tuple[str, str | None, int], int]:
    """Return the call that each position of each job's list was sent in; of one that was split, its part.

    Two jobs of a firmware may list the same devices: the list is one, its calls are not.
    """
    plan, run = state.plan, state.run
    if plan is None or run is None:
        return {}
    calls = (run.call(plan, number) for number in range(1, run.calls + 1))
    return {(call.step.job, call.step.names, position): call.number for call in calls for position in call.at}
