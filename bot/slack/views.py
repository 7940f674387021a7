"""Draws what is told beside the card: replies in its thread, lines of the audit channel, lists. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from bot.domain.account import Account
from bot.domain.advice import advice
from bot.domain.cancellation import Phase, State
from bot.domain.events import Event, Kind
from bot.domain.guard import guard_line
from bot.domain.plan import Preview
from bot.domain.wording import COMMAND, approvals, counts_line, job_line, number, one_line, ordered_again, target, tasks
from bot.slack.asked import ASKING, TELLING
from bot.slack.card import figures
from bot.slack.escape import code, mention, quoted, safe
from bot.slack.message import DIGITS, Message, lines, when

HISTORY: Final = 20
"""Events shown of a cancellation's history."""


def reply(event: Event, state: State) -> Message | None:
    """Return what an event adds to the card's thread, or `None`; only who has to know is mentioned."""
    maker = _REPLIES.get(event.kind)
    return maker(event, state) if maker else None


def speaks(event: Event) -> bool:
    """Tell whether an event may add anything to the thread: a reply, or what is told of single devices."""
    if event.kind == Kind.CALL_FINISHED:
        return failed_call(event)
    return event.kind in _REPLIES or event.kind == Kind.PREVIEWED or event.kind in ASKING | TELLING


def failed_call(event: Event) -> bool:
    """Tell whether an event is the end of an attempt that was not taken, or of which nothing is known."""
    return event.kind == Kind.CALL_FINISHED and event.body["outcome"] != "done"


def more_failures(state: State) -> Message:
    """Say that a run's further failed attempts have no replies of their own, and where they are told instead."""
    named = state.plan is not None and state.plan.by_name
    where = " A file at the end names every device that was not cancelled, and why." if named else ""
    return Message(text=f"More attempts failed; from here on they are not told one by one. The ledger has each.{where}")


def _ended_reply(event: Event, state: State) -> Message:
    why = event.body.get("reason") or "nobody answered in time"
    phase = "Expired" if event.kind == Kind.EXPIRED else "Voided"
    what = f"{mention(state.requester)} {phase}: {safe(target(state.order), 300)} on {safe(state.account, 100)}"
    return Message(text=f"{what} (#{state.id}), because {safe(why.rstrip('.'), 600)}. Nothing was cancelled.")


def _stopped_reply(event: Event, state: State) -> Message | None:
    if event.actor == state.requester:
        return None
    return Message(text=f"{mention(state.requester)} #{state.id} is being ended early; the card says by whom.")


def _finished_reply(event: Event, state: State) -> Message:
    result = safe(event.body["result"], 40)
    what = f"{mention(state.requester)} {result}: {safe(target(state.order), 300)} on {safe(state.account, 100)}"
    came = f" {figures(state.run).replace('*', '')}." if state.run else " Nothing was cancelled."
    why = f" {safe(state.why[:1].upper() + state.why[1:], 400)}." if state.why else ""
    return Message(text=f"{what} (#{state.id}).{came}{why}", broadcast=event.body["result"] in LOUD)


def _call_reply(event: Event, _state: State) -> Message | None:
    body = event.body
    if not failed_call(event):
        return None
    said = " ".join(str(body[name]) for name in ("code", "message") if body[name]).rstrip(".")
    request = f" Request {code(body['request_id'])}." if body["request_id"] else ""
    means = f" {advice(str(body['code']))}".rstrip()
    text = f"Call {body['call']}, attempt {body['attempt']}: {body['outcome']}. {safe(said, 600)}.{means}{request}"
    return Message(text=text)


def _retried_reply(event: Event, _state: State) -> Message | None:
    if event.body["as"] is None:
        return None
    return Message(text=f"What was left is asked for again as #{event.body['as']}, by {safe(event.actor, 60)}.")


LOUD: Final = frozenset({Phase.FAILED.value, Phase.PARTLY_DONE.value})
"""The ends that the whole channel has to see."""
_REPLIES: Final[dict[str, Callable[[Event, State], Message | None]]] = {
    Kind.EXPIRED: _ended_reply,
    Kind.VOIDED: _ended_reply,
    Kind.STOPPED: _stopped_reply,
    Kind.FINISHED: _finished_reply,
    Kind.CALL_FINISHED: _call_reply,
    Kind.RETRIED: _retried_reply,
}


# --- the audit channel -------------------------------------------------------------------------------------------


def audit_line(event: Event, state: State | None, name: str) -> str | None:
    """Return an event's line for the audit channel, or `None`; `name` is the actor's. It mentions nobody.

    It ends with the event's id and the first digits of its digest: the channel is the ledger's outside witness.
    """
    said = _audited(event, state)
    if said is None:
        return None
    number_ = f"#{event.cancellation} " if event.cancellation is not None else ""
    place = f" · {safe(target(state.order), 300)} on {safe(state.account, 100)}" if state is not None else ""
    who = safe(name if name == event.actor else f"{name} ({event.actor})", 200)
    return f"{number_}{said} · {who}{place} · event {event.id} {event.digest[:DIGITS]}"


def short_line(event: Event) -> str:
    """Return an event's line for the audit channel without any words of people or clouds."""
    number_ = f"#{event.cancellation} " if event.cancellation is not None else ""
    said = event.kind.replace("_", " ")
    return f"{number_}{said} · Slack did not take the whole line · event {event.id} {event.digest[:DIGITS]}"


AUDITED: Final = frozenset(
    {
        Kind.REFUSED,
        Kind.ORDERED_ANYWAY,
        Kind.CONFIRMED,
        Kind.APPROVED,
        Kind.REJECTED,
        Kind.BROKE_GLASS,
        Kind.GUARD_CHANGED,
        Kind.FINISHED,
        Kind.WITHDRAWN,
        Kind.EXPIRED,
        Kind.STOPPED,
        Kind.VOIDED,
        Kind.RETRIED,
    }
)
"""The kinds of events that the audit channel is told."""


def _audited(event: Event, state: State | None) -> str | None:
    body = event.body
    if event.kind == Kind.VOIDED and (state is None or state.plan is None):
        return None
    # People's own words are told apart from the bot's: nothing in them may pass for another line of the trail.
    write = quoted if event.kind in {Kind.REJECTED, Kind.BROKE_GLASS} else safe
    said_why = f": {write(str(body['reason']), 400)}" if body.get("reason") else ""
    plan = f"plan {str(body.get('plan'))[:DIGITS]}"
    said: str | None
    match event.kind:
        case Kind.REFUSED:
            said = f"refused ({safe(str(body.get('what')), 40)}){said_why}"
        case Kind.CONFIRMED:
            reason = state.order.reason if state is not None else None
            why = quoted(reason, 600) if reason else "no reason was given"
            needs = f", which needs {approvals(body['needs'])}" if body.get("needs") else ""
            said = f"confirmed {plan}{needs}, because {why}"
        case Kind.APPROVED:
            said = f"approved {plan}"
        case Kind.BROKE_GLASS:
            said = f"BROKE GLASS for {plan}{said_why}"
        case Kind.GUARD_CHANGED:
            said = safe(guard_line(body["account"], body["before"], body["after"]), 2000)
        case Kind.FINISHED:
            names = ("asked", "accepted", "confirmed", "left")
            figures = ", ".join(f"{name} {number(body.get(name))}" for name in names)
            said = f"{safe(body['result'].lower(), 40)}: {figures}{said_why}"
        case Kind.RETRIED:
            said = ordered_again(body["as"])
        case _:
            said = f"{event.kind.replace('_', ' ')}{said_why}" if event.kind in AUDITED else None
    return said


# --- lists -------------------------------------------------------------------------------------------------------


def line(state: State) -> str:
    """Return a cancellation on one line of a list."""
    what = f"{safe(target(state.order), 200)} on {safe(state.account, 100)}{_sized(state)}"
    return f"*#{state.id}* {state.phase.value} · {what} · {mention(state.requester)} · {when(state.at)}"


def _sized(state: State) -> str:
    return f" · {tasks(state.size)}" if state.plan is not None and state.plan.statuses else ""


def listing(title: str, states: list[State]) -> Message:
    """Return a list of cancellations for an ephemeral answer."""
    if not states:
        return Message(text=f"{title}: none.")
    return lines([f"{title}:", *map(line, states)], [f"{title}:", *map(one_line, states)])


def batches(account: Account, found: Sequence[Preview], more: int, unlooked: int = 0) -> Message:
    """Return an account's running batches, newest first, with their counts and the line that asks for each."""
    beyond = (
        f"Not looked at, so as not to spend the account's rate: {number(unlooked)} older"
        f" firmware{'' if unlooked == 1 else 's'}, whose batches are not in this list."
    )
    if not found:
        none = f"No batch is under way on {safe(account.name)}."
        return Message(text=f"{none} {beyond}" if unlooked else none)
    example = f"{COMMAND} job {found[0].job.id} on {account.name}"
    older = f"… and {number(more)} older, not counted here so as not to spend the account's rate."
    rest = [*([older] if more else []), *([beyond] if unlooked else [])]
    shown = [
        f"Running batches on *{safe(account.name)}*, newest first. To choose what to cancel: {code(example)}",
        *(f"• {safe(job_line(preview), 300)}\n    {safe(counts_line(preview), 300)}" for preview in found),
        *rest,
    ]
    entire = [
        f"Running batches on {account.name}, newest first. To choose what to cancel: {example}",
        *(f"{job_line(preview)}\n    {counts_line(preview)}" for preview in found),
        *rest,
    ]
    return lines(shown, entire)


def history(events: list[Event]) -> str:
    """Return the latest events of a cancellation, one a line: when, what, who."""
    shown = [f"{when(event.at)} {event.kind.replace('_', ' ')} · {mention(event.actor)}" for event in events]
    left_out = [f"… {len(events) - HISTORY} earlier"] if len(events) > HISTORY else []
    return "\n".join(["*History*", *left_out, *shown[-HISTORY:]])
