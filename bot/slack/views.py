"""Draws what is told beside the card: replies in its thread, and lines of the audit channel. Pure."""

from collections.abc import Callable, Iterable
from typing import Final

from bot.domain.advice import advice
from bot.domain.cancellation import Phase, State
from bot.domain.events import Event, Kind
from bot.domain.wording import approvals, number, target
from bot.slack.asked import ASKING, TELLING, asks
from bot.slack.card import figures
from bot.slack.escape import code, mention, safe
from bot.slack.message import Message


def reply(event: Event, state: State, by: str | None = None) -> Message | None:
    """Return what an event adds to the card's thread, or `None`; only who has to know is mentioned.

    `by` is what the one whom it names is called (`named`); names ring nobody.
    """
    maker = _REPLIES.get(event.kind)
    return maker(event, state, safe(by or named(event, state), 100)) if maker else None


def named(event: Event, state: State) -> str:
    """Return whom an event's reply names: its actor, and of what only follows a confirmation, whoever confirmed."""
    return state.requester if event.kind in {Kind.STARTED, Kind.VOIDED} else event.actor


def speaks(event: Event) -> bool:
    """Tell whether an event may add anything to the thread: a reply, or what is told of single devices."""
    if event.kind == Kind.CALL_FINISHED:
        return failed_call(event)
    return event.kind in _REPLIES or event.kind in {Kind.PREVIEWED, Kind.VERIFIED} or event.kind in ASKING | TELLING


def failed_call(event: Event) -> bool:
    """Tell whether an event is the end of an attempt that was not taken, or of which nothing is known."""
    return event.kind == Kind.CALL_FINISHED and event.body["outcome"] != "done"


def more_failures(state: State) -> Message:
    """Say that a run's further failed attempts have no replies of their own, and where they are told instead."""
    named = state.plan is not None and state.plan.by_name
    where = " A file at the end names every device that was not cancelled, and why." if named else ""
    return Message(text=f"More attempts failed; from here on they are not told one by one. The ledger has each.{where}")


def looked_again(event: Event, earlier: Iterable[Event]) -> Message | None:
    """Say what a look at the cloud after the end has seen, where that is other figures than before."""
    seen = [one for one in earlier if one.kind in {Kind.VERIFIED, Kind.FINISHED}]
    if not any(one.kind == Kind.FINISHED for one in seen):
        return None
    before = {name: seen[-1].body.get(name) for name in ("confirmed", "left")}
    now = {name: event.body.get(name) for name in before}
    told = [
        f"{name} {_read(now[name])}, where it was {_read(before[name])}" for name in now if now[name] != before[name]
    ]
    return Message(text=f"Looked at the cloud again: {'; '.join(told)}.") if told else None


def _read(figure: int | None) -> str:
    return "not read" if figure is None else number(figure)


def _confirmed_reply(event: Event, state: State, by: str) -> Message | None:
    needs = event.body.get("needs")
    if not needs or asks(event, state):
        return None  # the start, which follows within the second, or the question to the approvers says it
    return Message(text=f"Confirmed by {by}, which needs {approvals(needs)}.")


def _started_reply(event: Event, state: State, by: str) -> Message:
    body, confirmed = event.body, "" if state.needs else f"Confirmed by {by}. "
    calls = "1 call" if body["calls"] == 1 else f"{number(body['calls'])} calls"
    asked = f"asked {number(body['asked'])}, " if state.plan is None or state.plan.statuses else ""
    return Message(text=f"{confirmed}Started: {asked}{calls}.")


def _withdrawn_reply(_event: Event, _state: State, by: str) -> Message:
    return Message(text=f"Withdrawn by {by}. Nothing was cancelled.")


def _ended_reply(event: Event, state: State, by: str) -> Message:
    why = event.body.get("reason") or "nobody answered in time"
    phase = "Expired" if event.kind == Kind.EXPIRED else "Voided"
    if event.kind == Kind.VOIDED and state.confirmed_at and not state.needs and state.run is None:
        phase = f"Voided, though {by} had confirmed it"  # the start, which would have said so, has not come
    what = f"{mention(state.requester)} {phase}: {safe(target(state.order), 300)} on {safe(state.account, 100)}"
    return Message(text=f"{what} (#{state.id}), because {safe(why.rstrip('.'), 600)}. Nothing was cancelled.")


def _stopped_reply(event: Event, state: State, by: str) -> Message:
    # Before the start a stop is the end, too, which rings whoever asked in the same breath.
    whom = "" if event.actor == state.requester or state.run is None else f"{mention(state.requester)} "
    return Message(text=f"{whom}#{state.id} is being ended early by {by}; what was not sent stays unsent.")


def _finished_reply(event: Event, state: State, _by: str) -> Message:
    result = safe(event.body["result"], 40)
    what = f"{mention(state.requester)} {result}: {safe(target(state.order), 300)} on {safe(state.account, 100)}"
    came = (
        f" {figures(state.run).replace('*', '')}."
        if state.run
        else " It was confirmed and had not started. Nothing was cancelled."
    )
    why = f" {safe(state.why[:1].upper() + state.why[1:], 400)}." if state.why else ""
    return Message(text=f"{what} (#{state.id}).{came}{why}", broadcast=event.body["result"] in LOUD)


def _call_reply(event: Event, _state: State, _by: str) -> Message | None:
    body = event.body
    if not failed_call(event):
        return None
    said = " ".join(str(body[name]) for name in ("code", "message") if body[name]).rstrip(".")
    request = f" Request {code(body['request_id'])}." if body["request_id"] else ""
    means = f" {advice(str(body['code']))}".rstrip()
    text = f"Call {body['call']}, attempt {body['attempt']}: {body['outcome']}. {safe(said, 600)}.{means}{request}"
    return Message(text=text)


def _retried_reply(event: Event, _state: State, by: str) -> Message | None:
    if event.body["as"] is None:
        return None
    return Message(text=f"What was left is asked for again as #{event.body['as']}, by {by}.")


LOUD: Final = frozenset({Phase.FAILED.value, Phase.PARTLY_DONE.value})
"""The ends that the whole channel has to see."""
_REPLIES: Final[dict[str, Callable[[Event, State, str], Message | None]]] = {
    Kind.CONFIRMED: _confirmed_reply,
    Kind.STARTED: _started_reply,
    Kind.WITHDRAWN: _withdrawn_reply,
    Kind.EXPIRED: _ended_reply,
    Kind.VOIDED: _ended_reply,
    Kind.STOPPED: _stopped_reply,
    Kind.FINISHED: _finished_reply,
    Kind.CALL_FINISHED: _call_reply,
    Kind.RETRIED: _retried_reply,
}
