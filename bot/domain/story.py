"""A cancellation's whole story, told from its events alone, for somebody who knows neither the bot nor the clouds.

Plain text, one line an event; whoever shows it escapes it and adds time and actor. The actor is each line's subject.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.domain import run_story
from bot.domain.approval import BOUNDLESS
from bot.domain.cancellation import State
from bot.domain.events import Event, Kind
from bot.domain.fold import apply
from bot.domain.guard import guard_line
from bot.domain.plan import Preview
from bot.domain.run_story import UNREADABLE, calls, quoted, short, the_plan
from bot.domain.wording import (
    approvals,
    counts_line,
    job_line,
    named_line,
    number,
    on_one_line,
    seconds,
    size_line,
    target,
    tasks,
)

_WHERE: Final = {"slack": "in Slack", "terminal": "at a terminal"}
_ILL: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of reading a body that is not what its kind says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An event, and what it says."""

    event: Event
    text: str
    """Plain, on one line, without time and actor; people's own words stand in “…”."""


def told(story: Iterable[Event]) -> Iterator[Line]:
    """Tell a cancellation's events, all of them and in order; never raises, whatever is in them.

    A call has a line for each attempt that ended; one without an answer has a line for its sending.
    """
    events = tuple(story)
    answered = {_attempt(event) for event in events if event.kind == Kind.CALL_FINISHED}
    state: State | None = None
    for event in events:
        before = state
        try:
            state = _folded(state, event)
            text = _text(event, before, state, answered)
        except _ILL:
            text = UNREADABLE
        if text:
            yield Line(event=event, text=on_one_line(text))


def _folded(state: State | None, event: Event) -> State | None:
    if event.cancellation is None or (state is None and event.kind != Kind.REQUESTED):
        return state
    return apply(state, event)


def _attempt(event: Event) -> tuple[Any, Any]:
    return str(event.body.get("call")), str(event.body.get("attempt"))


def _text(event: Event, before: State | None, after: State | None, answered: set[tuple[Any, Any]]) -> str:
    if event.kind in _ALONE:
        return _ALONE[event.kind](event.body)
    if event.kind not in _TOLD:
        return f"something that this version does not know ({event.kind})"
    if after is None or (event.kind == Kind.CALL_SENT and _attempt(event) in answered):
        return UNREADABLE if after is None else ""
    return _TOLD[event.kind](event, before or after, after)


# --- the order, and what was seen ----------------------------------------------------------------------------------


def _requested(event: Event, _before: State, after: State) -> str:
    del event
    order = after.order
    verb = "stop" if order.verb == "strategy" else "cancel"
    where = f"in channel {after.channel}" if after.channel else _WHERE.get(after.via, f"by {after.via}")
    rest = f", which is the rest of #{after.retry_of}" if after.retry_of else ""
    why = f", because {quoted(order.reason)}" if order.reason else "; no reason was given"
    return f"asked to {verb} {target(order)} on account {after.account}, {where}{rest}{why}"


def _listed(event: Event, _before: State, _after: State) -> str:
    names = event.body["names"]
    return f"read {number(names['count'])} names of devices from the file (list {names['sha256'][: run_story.DIGITS]})"


def _checking(event: Event, _before: State, _after: State) -> str:
    return f"began to list {tasks(event.body['tasks'])}, which takes a while"


def _previewed(event: Event, _before: State, after: State) -> str:
    preview, plan = after.preview, after.plan
    if preview is None or plan is None:
        return UNREADABLE
    named = preview.reading.named
    seen = f"; of the devices named: {named_line(named)}" if named is not None else ""
    about = f"{calls(plan.calls)} of {plan.operation}, about {seconds(event.body['estimate'])}"
    hit = f"Would hit {size_line(after.size, plan)}; {about}"
    needs = f". It would need {approvals(after.needs)}: {'; '.join(after.reasons)}" if after.needs else ""
    frozen = f"Frozen as plan {short(after.digest)}"
    return f"looked at {_jobs(preview)}: {counts_line(preview)}{seen}. {hit}. {frozen}{needs}"


def _jobs(preview: Preview) -> str:
    return job_line(preview) if preview.others else f"job {job_line(preview)}"


def _held(event: Event, _before: State, _after: State) -> str:
    return f"held it back, as it is like #{event.body['like']}, which was open"


# --- who let it go on ----------------------------------------------------------------------------------------------


def _confirmed(event: Event, _before: State, after: State) -> str:
    body, policy = event.body, event.body["policy"]
    limits = [f"more than {number(policy['above'])} devices", *map(str, policy["always"])]
    rules = f"By the rules, {' or '.join(limits)} need a second person"
    alone = f"{after.requester} had run {_devices(after.ran_alone)} alone in the {seconds(policy['window'])} before"
    needs = f"It needs {approvals(after.needs)}: {'; '.join(after.reasons)}" if after.needs else "It needs nobody else"
    return f"confirmed {the_plan(body)}{_standing(event)}. {rules}; {alone}. {needs}"


def _devices(count: int | None) -> str:
    if count is None or count >= BOUNDLESS:
        return "an unknown number of devices"
    return "1 device" if count == 1 else f"{number(count)} devices"


def _approved(event: Event, before: State, after: State) -> str:
    counted = f", as {len(after.votes)} of {after.needs}" if len(after.votes) > len(before.votes) else ", not counted"
    missing = f"; {number(after.missing)} more needed" if after.missing else "; nobody else is needed"
    return f"approved {the_plan(event.body)}{counted}{_standing(event)}{missing}"


def _broke_glass(event: Event, before: State, _after: State) -> str:
    without = f" without {approvals(before.missing)}" if before.missing else ""
    return f"BROKE GLASS: goes on with {the_plan(event.body)}{without}, because {quoted(event.body['reason'])}"


def _rejected(event: Event, _before: State, _after: State) -> str:
    return f"rejected {the_plan(event.body)}{_standing(event)}, because {quoted(event.body['reason'])}"


def _reminded(event: Event, _before: State, after: State) -> str:
    missing = event.body.get("missing", after.missing)
    return f"reminded the approvers (time {event.body['time']}): {number(missing)} more needed"


def _expired(event: Event, _before: State, _after: State) -> str:
    return f"ended it: nobody gave the {event.body.get('waited_for', 'answer')} in time. Nothing was cancelled"


def _voided(event: Event, _before: State, _after: State) -> str:
    return f"voided it: {event.body['reason'].rstrip('.')}. Nothing was cancelled"


def _standing(event: Event) -> str:
    """Say what entitled somebody: the groups that they were seen in, or their own name in the rules."""
    evidence, policy = event.body.get("evidence", {}), event.body.get("policy", {})
    groups, flags = evidence.get("groups", ()), evidence.get("flags", ())
    entitling = [group for group in groups if event.kind == Kind.CONFIRMED or group in policy.get("approvers", ())]
    named = "named in the rules" if event.actor in policy.get("approvers", ()) else ""
    seen = f"seen in {', '.join(entitling)}" if entitling else named
    facts = ", ".join(filter(None, (seen, *flags)))
    return f" ({facts})" if facts else ""


# --- what stands by itself -----------------------------------------------------------------------------------------


def _refused(body: Mapping[str, Any]) -> str:
    what = str(body.get("what", "order")).replace("_", " ")
    return f"was refused {quoted(what)}: {str(body['reason']).rstrip('.')}"


def _retried(body: Mapping[str, Any]) -> str:
    if body["as"] is None:
        return "found that the order for what was left came to nothing: it may be ordered again"
    return f"ordered what was left again as #{body['as']}"


def _guard_changed(body: Mapping[str, Any]) -> str:
    return guard_line(body["account"], body["before"], body["after"])


_ALONE: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    Kind.REFUSED: _refused,
    Kind.RETRIED: _retried,
    Kind.GUARD_CHANGED: _guard_changed,
    Kind.CHECKPOINT: lambda _body: "wrote a checkpoint of the whole ledger",
    Kind.CONTINUED: lambda _body: "began this ledger where another one was closed",
    Kind.ORDERED_ANYWAY: lambda _body: "said that it is meant all the same",
    Kind.WITHDRAWN: lambda _body: "withdrew it. Nothing was cancelled",
}
"""What is told without the cancellation that it belongs to."""
_TOLD: Final[Mapping[str, Callable[[Event, State, State], str]]] = {
    Kind.REQUESTED: _requested,
    Kind.LISTED: _listed,
    Kind.CHECKING: _checking,
    Kind.PREVIEWED: _previewed,
    Kind.HELD: _held,
    Kind.CONFIRMED: _confirmed,
    Kind.APPROVED: _approved,
    Kind.BROKE_GLASS: _broke_glass,
    Kind.REJECTED: _rejected,
    Kind.REMINDED: _reminded,
    Kind.EXPIRED: _expired,
    Kind.VOIDED: _voided,
    Kind.STARTED: run_story.started,
    Kind.CALL_SENT: run_story.sent,
    Kind.CALL_FINISHED: run_story.finished_call,
    Kind.CALL_SKIPPED: run_story.skipped,
    Kind.CALL_SPLIT: run_story.split,
    Kind.STOPPED: run_story.stopped,
    Kind.VERIFIED: run_story.verified,
    Kind.FINISHED: run_story.finished,
}
"""What is told with the cancellation before and after it."""
