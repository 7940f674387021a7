"""Draws the lines of the audit channel: one for each decision and each end. Pure.

Each ends with the event's id and the first digits of its digest, so that the channel is the ledger's outside witness.
"""

from collections.abc import Callable
from typing import Final

from bot.domain.cancellation import State
from bot.domain.events import Body, Event, Kind
from bot.domain.guard import guard_line
from bot.domain.witness import DIGITS, mark
from bot.domain.wording import approvals, number, ordered_again, target
from bot.slack.escape import quoted, safe


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
    return f"{number_}{said} · {who}{place} · {mark(event)}"


def short_line(event: Event) -> str:
    """Return an event's line for the audit channel without any words of people or clouds."""
    number_ = f"#{event.cancellation} " if event.cancellation is not None else ""
    said = event.kind.replace("_", " ")
    return f"{number_}{said} · Slack did not take the whole line · {mark(event)}"


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
        Kind.CHECKPOINT,
        Kind.CONTINUED,
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
    if event.kind in _OF_THE_LEDGER:
        return _OF_THE_LEDGER[event.kind](body)
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
        case Kind.FINISHED:
            names = ("asked", "accepted", "confirmed", "left")
            figures = ", ".join(f"{name} {number(body.get(name))}" for name in names)
            said = f"{safe(body['result'].lower(), 40)}: {figures}{said_why}"
        case Kind.RETRIED:
            said = ordered_again(body["as"])
        case _:
            said = f"{event.kind.replace('_', ' ')}{said_why}" if event.kind in AUDITED else None
    return said


def _checkpoint(body: Body) -> str:
    return f"checkpoint after {number(body['events'])} events"


def _continued(body: Body) -> str:
    ended = f"event {body['events']} {safe(str(body['head']), 64)}"
    return f"this ledger goes on from one that ended with {ended}"


def _guard_changed(body: Body) -> str:
    return safe(guard_line(body["account"], body["before"], body["after"]), 2000)


_OF_THE_LEDGER: Final[dict[str, Callable[[Body], str]]] = {
    Kind.CHECKPOINT: _checkpoint,
    Kind.CONTINUED: _continued,
    Kind.GUARD_CHANGED: _guard_changed,
}
"""What is said of events that belong to no cancellation."""
