"""Replays a run: each call is one of the plan's and has its result, and the figures follow from what was seen. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from bot.domain.call import Outcome
from bot.domain.cancellation import Phase, Run, State
from bot.domain.events import BOT, Body, Event, Kind
from bot.domain.plan import Call
from bot.domain.running import may_send_again, result

WHAT_IT_SAYS: Final = ("asked", "accepted", "confirmed", "left")
"""The figures of a finished run."""


def _in_run(rule: Callable[[State, Run, Event], str | None]) -> Callable[[State, Event], str | None]:
    def checked(state: State, event: Event) -> str | None:
        return rule(state, state.run, event) if state.run is not None else f"{event.kind} came without a start"

    return checked


def _on_call(rule: Callable[[State, Run, Call, Event], str | None]) -> Callable[[State, Event], str | None]:
    def checked(state: State, run: Run, event: Event) -> str | None:
        call = _call(state, run, event)
        return call if isinstance(call, str) else rule(state, run, call, event)

    return _in_run(checked)


def _call_sent(state: State, run: Run, call: Call, event: Event) -> str | None:
    body, number = event.body, call.number
    before, at, left_out = run.attempts.get(number), call.at, {*body.get("left_out", [])}
    expected = before.number + 1 if before else 1
    most = len(at) - len(left_out) if at else state.plan and state.plan.at_most
    exact = most if at else body["count"]
    faults = (
        (body["attempt"] != expected, f"it is attempt {body['attempt']} of call {number}, and the next was {expected}"),
        (
            before is not None and not may_send_again(run, number, event.at),
            f"call {number} was sent again, which its attempt {expected - 1} does not allow",
        ),
        (not left_out <= {*at}, f"call {number} left devices out that are not in it"),
        (
            body["count"] < 0 or body["count"] != exact or (most is not None and body["count"] > most),
            f"call {number} was sent with {body['count']} devices, and its plan has {most} for it",
        ),
    )
    return next((said for wrong, said in faults if wrong), None) or _too_many(run, body, len(left_out))


def _call_finished(state: State, run: Run, event: Event) -> str | None:
    body, number = event.body, event.body["call"]
    sent = run.attempts.get(number)
    if sent is None or sent.number != body["attempt"]:
        return f"it is the result of attempt {body['attempt']} of call {number}, which was not out"
    if sent.outcome is not None and (body.get("by") != "read" or sent.outcome is not Outcome.UNKNOWN):
        return f"attempt {body['attempt']} of call {number} has two results"
    action = run.call(state.plan, number).step.action if state.plan else ""
    if body["action"] != action:
        return f"it is the result of {body['action']}, and call {number} is {action}"
    took = body.get("count", sent.count)
    if Outcome(body["outcome"]) is Outcome.DONE and (
        not 0 <= took <= sent.count or ("count" in body and "by" not in body)
    ):
        return f"call {number} took {took} devices, and was sent with {sent.count}"
    return None


def _call_skipped(_state: State, run: Run, call: Call, event: Event) -> str | None:
    body, devices = event.body, len(call.at)
    if body["count"] != devices:
        return f"call {body['call']} was left out with {body['count']} devices, and has {devices}"
    return _too_many(run, body, devices)


def _call_split(_state: State, run: Run, call: Call, event: Event) -> str | None:
    body, number, at = event.body, call.number, call.at
    if not {*body["at"]} <= {*at} or len({*body["at"]}) != len(body["at"]):
        return f"call {number} was split into devices that are not in it"
    if len(body["at"]) + body["left_out"] != len(at):
        return f"call {number} was split into {len(body['at'])} devices, and {body['left_out']} left out, of {len(at)}"
    return _too_many(run, body, body["left_out"])


def _too_many(run: Run, body: Body, left_out: int) -> str | None:
    """Hold what earlier attempts are said to have cancelled against the devices that are newly left out."""
    before, canceled = run.attempts.get(body["call"]), body.get("canceled", 0)
    if not 0 <= canceled <= left_out - (len(before.left_out) if before else 0):
        return f"call {body['call']} says that {canceled} of the devices that it left out were cancelled"
    return None


def _call(state: State, run: Run, event: Event) -> Call | str:
    """Return the plan's call that an event is about, or why nothing could be sent or settled in it at that moment."""
    body, number = event.body, event.body["call"]
    if state.stopped_by is not None:
        return f"{event.kind} came after {state.stopped_by} had stopped it"
    if state.plan is None or type(number) is not int or not 1 <= number <= run.calls:
        return f"call {number} is not in the plan, which has {run.calls}"
    call = run.call(state.plan, number)
    if body["action"] != call.step.action:
        return f"call {number} is {body['action']}, and in the plan {call.step.action}"
    if run.is_settled(number):
        return f"call {number} was at its end"
    return f"call {number} was out" if number in run.out else call


def verified(state: State, event: Event, after: State) -> str | None:
    """Hold the figures of a look at the cloud against its reading, and return what does not follow from it."""
    body, run, later = event.body, state.run, after.run
    if run is None or later is None or state.plan is None:
        return "verified came without a start"
    seen = later.seen if body.get("reading") else None
    if seen is None:
        same = (run.confirmed, run.left) == (body["confirmed"], body["left"])
        return None if same else "its figures changed without a reading"
    figures = (seen.cancelled_since(run.reading), seen.size(frozenset(state.plan.statuses)))
    if figures != (body["confirmed"], body["left"]):
        return f"it says confirmed {body['confirmed']}, left {body['left']}, and its reading has {figures}"
    return None


def _finished(state: State, event: Event) -> str | None:
    body, run = event.body, state.run
    if run is None:
        stopped = state.stopped_by is not None and body["result"] == Phase.STOPPED
        return None if stopped else "it ended before it had started, and nobody had stopped it"
    if run.out:
        return f"it ended, and call {run.out[0]} has no result"
    if body["result"] != result(state, run):
        return f"it says “{body['result']}”, and its calls say “{result(state, run)}”"
    for name in WHAT_IT_SAYS:
        if body[name] != getattr(run, name):
            return f"it says {name} {body[name]}, and its calls say {getattr(run, name)}"
    return None


def _stopped(state: State, event: Event) -> str | None:
    if event.actor == BOT:
        return "the bot does not stop anything by itself"
    return f"it was stopped twice, first by {state.stopped_by}" if state.stopped_by is not None else None


RUN_RULES: Final[Mapping[str, Callable[[State, Event], str | None]]] = {
    Kind.CALL_SENT: _on_call(_call_sent),
    Kind.CALL_FINISHED: _in_run(_call_finished),
    Kind.CALL_SKIPPED: _on_call(_call_skipped),
    Kind.CALL_SPLIT: _on_call(_call_split),
    Kind.STOPPED: _stopped,
    Kind.FINISHED: _finished,
}
