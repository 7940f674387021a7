"""What a run's events say: the start, each attempt at a call, what was seen afterwards, the end (`story`)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.domain.call import Attempt, Outcome
from bot.domain.cancellation import LATER, READING, Phase, Run, State
from bot.domain.events import Event
from bot.domain.reading import Reading
from bot.domain.wording import counts_line, listing, named_line, number, tasks

DIGITS: Final = 12
"""Digits of a digest that people compare."""
UNREADABLE: Final = "something that the ledger never writes: run `ota-bot audit verify`"
"""What is told of an event whose body was changed by somebody else."""


def started(event: Event, _before: State, after: State) -> str:
    """Tell a start: what it hits by now, and in how many calls."""
    run = after.run
    if run is None:
        return UNREADABLE
    asked = f"{tasks(run.asked)} to cancel by the cloud's latest count" if after.plan and after.plan.statuses else ""
    people = [after.requester, *(event.body.get("evidence", {}).get("approvers") or ())]
    checked = f"; looked up once more and still entitled: {listing(people)}" if event.body.get("evidence") else ""
    return f"started {the_plan(event.body)}: {', '.join(filter(None, (asked, calls(run.calls))))}{checked}"


def sent(event: Event, _before: State, after: State) -> str:
    """Tell an attempt of which no answer is recorded."""
    return f"sent {_call(after, event.body)}, attempt {event.body['attempt']}: no answer is recorded"


def finished_call(event: Event, before: State, _after: State) -> str:
    """Tell how an attempt ended, in the cloud's words."""
    body = event.body
    said = ": ".join(filter(None, (str(body["code"]), quoted(body["message"]) if body["message"] else "")))
    by = "found out by a look at the cloud" if body.get("by") == "read" else ""
    taken = f"{tasks(body['count'])} cancelled" if by and body["outcome"] == "done" and "count" in body else ""
    again = "may be sent again" if body.get("again") else ""
    request = f"request {body['request_id']}" if body["request_id"] else ""
    more = "; ".join(filter(None, (said, taken, by, again, request)))
    return f"{_call(before, body)}, attempt {body['attempt']}: {body['outcome']}{f' ({more})' if more else ''}"


def skipped(event: Event, before: State, _after: State) -> str:
    """Tell that nothing of a call was left to send."""
    return f"did not send {_call(before, event.body, count=event.body['count'])}: all of them had moved on"


def split(event: Event, before: State, after: State) -> str:
    """Tell that a call goes on device by device."""
    body, split = event.body, after.run.splits[-1] if after.run and after.run.splits else None
    if split is None:
        return UNREADABLE
    last = split.first + len(split.at) - 1
    these = f"call {last}" if last == split.first else f"calls {split.first} to {last}"
    out = f", without {number(body['left_out'])} that had moved on" if body["left_out"] else ""
    return (
        f"{_call(before, body)} is refused as a whole, so it goes on device by device:"
        f" {tasks(len(split.at))} in {these}{out}"
    )


def stopped(_event: Event, before: State, _after: State) -> str:
    """Tell a stop."""
    if before.phase is not Phase.RUNNING:
        return "stopped it before it had started"
    out = len(before.run.out) if before.run else 0
    waits = f"; {calls(out)} still out when it was pressed" if out else ""
    return f"stopped it: nothing more is sent{waits}"


def verified(event: Event, _before: State, after: State) -> str:
    """Tell what was seen when the cloud was read again."""
    body, run = event.body, after.run
    later = run.later if run else 0
    time = f" (look {later} of {len(LATER)} after the end)" if later else ""
    more = _more(body["confirmed"], run)
    figures = f"{_seen(body['confirmed'])} confirmed cancelled{more}, {_seen(body['left'])} left"
    if not body.get("reading"):
        return f"could not read the cloud again{time}; last seen: {figures}"
    return f"looked at the cloud again{time}: {figures}. {_counts(after, READING.validate_python(body['reading']))}"


def finished(event: Event, _before: State, after: State) -> str:
    """Tell the end, with its figures."""
    body = event.body
    why = f". {_capital(body['reason'])}" if body.get("reason") else ""
    came = figures(after.run) if after.run else "nothing was sent"
    return f"ended it as “{body['result']}”: {came}{why}"


def figures(run: Run) -> str:
    """Write what was asked, accepted and confirmed, apart, and what is left; what was not read is said."""
    seen = f"confirmed {_seen(run.confirmed)}{_more(run.confirmed, run)}, left {_seen(run.left)}"
    moved = f", moved on before their call {number(run.moved_on)}" if run.moved_on else ""
    return f"asked {number(run.asked)}, accepted {number(run.accepted)}, {seen}{moved}"


def _more(confirmed: int | None, run: Run | None) -> str:
    """Say why more was seen cancelled than the cloud took in calls of this run; nothing where it was not."""
    if confirmed is None or run is None or confirmed <= run.accepted:
        return ""
    # What nobody heard of may have been taken, and was not counted as accepted.
    unheard = any(attempt.outcome in {None, Outcome.UNKNOWN} for attempt in run.attempts.values())
    grew = "" if run.reading.named is not None else ", or more tasks had come to be in these statuses"
    why = "a call without a known answer may have been taken" if unheard else f"others cancelled on the same job{grew}"
    return f" (more than it took: {why})"


def _call(state: State, body: Mapping[str, Any], *, count: int | None = None) -> str:
    """Name a call: its number of how many, the operation, its devices, and its job where there are several."""
    run, plan = state.run, state.plan
    if run is None or plan is None:
        return f"call {body['call']}"
    attempt: Attempt | None = run.attempts.get(body["call"])
    sent = count if count is not None else attempt.count if attempt else body.get("count")
    out = len(attempt.left_out) if attempt and count is None else 0
    facts = (
        str(body["action"]),
        tasks(sent) if sent else "",
        f"without {number(out)} that had moved on" if out else "",
        f"job {run.call(plan, body['call']).step.job}" if len({step.job for step in plan.steps}) > 1 else "",
    )
    return f"call {body['call']} of {number(run.calls)} ({', '.join(filter(None, facts))})"


def _counts(state: State, reading: Reading) -> str:
    if reading.named is not None:
        return f"The devices named: {named_line(reading.named)}"
    return f"All: {counts_line(replace(state.preview, reading=reading))}" if state.preview else ""


def calls(count: int) -> str:
    """Write a count of calls."""
    return "1 call" if count == 1 else f"{number(count)} calls"


def the_plan(body: Mapping[str, Any]) -> str:
    """Name the plan that an event is about."""
    return f"plan {short(body.get('plan'))}"


def short(digest: object) -> str:
    """Write a digest as people compare it."""
    return str(digest or "unknown")[:DIGITS]


def _seen(count: int | None) -> str:
    return "not read" if count is None else number(count)


def quoted(words: object) -> str:
    """Set somebody's words apart from the bot's."""
    return f"“{words}”"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
