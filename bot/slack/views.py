"""Draws a cancellation for Slack: the card, the replies in its thread, the audit line. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.domain.call import Outcome
from bot.domain.cancellation import OPEN, Phase, Run, State
from bot.domain.events import Event, Kind
from bot.domain.order import CancelDevices, CancelJob
from bot.domain.plan import Plan
from bot.domain.wording import counts_line, job_line, now_at_most, number, seconds, tasks
from bot.slack.escape import code, mention, plain, safe, trim

FIELD: Final = 2000
"""Characters of a section's field (Block Kit)."""
TEXT: Final = 3900
"""Characters of a message's text; chat.update refuses more than 4,000."""
HISTORY: Final = 20
"""Events shown of a cancellation's history."""
DIGITS: Final = 12
"""How many digits of a digest are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What to post: a full sentence for screen readers and notifications, and the blocks."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    broadcast: bool = False
    """Whether a reply is shown in the channel, too."""


# --- the card ----------------------------------------------------------------------------------------------------


def card(state: State, *, buttons: bool = True, reposted: bool = False) -> Message:
    """Draw the card of a cancellation in its present state.

    `reposted` says that an earlier card may lie above: its first post was tried and never heard of.
    """
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain_text(f"{state.phase.value} · cancellation #{state.id}", 150)},
        _section(_headline(state)),
        {"type": "section", "fields": [_mrkdwn(field, FIELD) for field in _fields(state)]},
    ]
    blocks += [_section(line) for line in (_figures(state), _ending(state)) if line]
    notes = _notes(state) + (["An earlier card of this may lie above; only this one counts."] if reposted else [])
    if notes:
        blocks.append({"type": "context", "elements": [_mrkdwn(note, FIELD) for note in notes[:10]]})
    pressed = _buttons(state) if buttons else []
    if pressed:
        blocks.append({"type": "actions", "block_id": f"answer-{state.id}-{state.event}", "elements": pressed})
    return Message(text=trim(_sentence(state), TEXT), blocks=tuple(blocks))


def _headline(state: State) -> str:
    target = f"*{safe(_target(state), 500)}* on *{safe(state.account, 100)}*"
    if state.phase in OPEN - {Phase.RUNNING}:
        return f"{mention(state.requester)} wants to cancel {target}"
    return f"Cancel of {target}, asked for by {mention(state.requester)}"


def _target(state: State) -> str:
    order = state.order
    if isinstance(order, CancelDevices):
        return f"{number(len(order.names))} devices"
    statuses = " and ".join(order.statuses) or "nothing"
    return f"the {statuses} tasks of job {order.job}" if isinstance(order, CancelJob) else f"batch {order.job}"


def _fields(state: State) -> list[str]:
    plan, preview = state.plan, state.preview
    fields = [f"*Why*\n{safe(state.order.reason or 'no reason given', 600)}"]
    if preview is not None:
        fields += [
            f"*Job*\n{safe(job_line(preview), 500)}",
            f"*Tasks at the preview*\n{safe(counts_line(preview), 500)}",
        ]
    if plan is not None:
        fields += [
            f"*Devices*\n{now_at_most(state.size, plan.at_most)}",
            f"*Operation*\n{code(_operation(plan))}",
            f"*Time*\nabout {seconds(state.estimate or 1)} at the account's rate",
            f"*Plan*\n{code((state.digest or '')[:DIGITS])}",
        ]
    return fields


def _operation(plan: Plan) -> str:
    return f"{plan.operation} {plan.job}: {', '.join(plan.statuses)}"


def _figures(state: State) -> str:
    run = state.run
    if run is None:
        return ""
    if state.phase is Phase.RUNNING:
        return f"Calls taken {_taken(run)} of {run.calls}." + _stopping(state, run)
    confirmed = "not seen yet" if run.confirmed is None else number(run.confirmed)
    return (
        f"*asked* {number(run.asked)} · *accepted* {number(run.accepted)} · *confirmed* {confirmed}"
        f" · *left* {number(run.left)}"
    )


def _taken(run: Run) -> int:
    return sum(high - low + 1 for low, high in run.done)


def _stopping(state: State, run: Run) -> str:
    if state.stopped_by is None:
        return ""
    out = len(run.out)
    return f" {mention(state.stopped_by)} ended it; stopping: {out} call{'' if out == 1 else 's'} still out."


def _ending(state: State) -> str:
    lines = [safe(state.why[:1].upper() + state.why[1:], 600)] if state.why else []
    if state.phase is Phase.STOPPED and state.stopped_by:
        lines.append(f"Ended by {mention(state.stopped_by)}; calls that were not sent stay unsent.")
    lines += [_failure(call, state) for call in sorted(state.run.attempts if state.run and state.ended else ())[:5]]
    return "\n".join(lines)


def _failure(call: int, state: State) -> str:
    attempt = state.run.attempts[call] if state.run else None
    if attempt is None:
        return ""
    # Not the outcomes' own words: one of them is a state word, and only the present state stands on the card.
    outcome = "no usable answer" if attempt.outcome is Outcome.UNKNOWN else "not taken"
    said = safe(f"{attempt.code} {attempt.message}".strip(), 300)
    return f"Call {call}, attempt {attempt.number}, {outcome}: {said}"


def _notes(state: State) -> list[str]:
    notes = []
    run, plan = state.run, state.plan
    if run is not None and plan is not None and plan.at_most is not None and (run.confirmed or 0) > plan.at_most:
        notes.append(
            "More tasks of this job were seen cancelled than this could hit: somebody else cancels on it, too."
        )
    if state.phase in OPEN and isinstance(state.order, CancelJob):
        notes.append("Hits whatever is in these statuses when it starts; the devices are not listed beforehand.")
        if state.preview is not None and state.preview.job.dynamic:
            notes.append("This is a dynamic batch: devices keep joining it until its strategy is cancelled, too.")
    if state.deadline is not None and state.phase in OPEN - {Phase.RUNNING}:
        until = _when(state.deadline)
        notes.append(f"Without an answer by {until} nothing is cancelled.")
    return notes


def _when(at: datetime) -> str:
    return f"<!date^{int(at.timestamp())}^{{time}}|{at:%H:%M} UTC>"


def _sentence(state: State) -> str:
    """Say the whole card in words: screen readers read this and not the blocks. It mentions nobody."""
    what = f"{state.phase.value}: cancellation #{state.id} of {_target(state)} on {state.account}"
    parts = [what]
    if state.plan is not None:
        parts.append(f"{now_at_most(state.size, state.plan.at_most)}")
    if state.run is not None and state.ended is not None:
        run = state.run
        confirmed = "not seen yet" if run.confirmed is None else number(run.confirmed)
        parts.append(f"asked {number(run.asked)}, accepted {number(run.accepted)}, confirmed {confirmed}")
    if state.why:
        parts.append(state.why)
    parts.append(f"Why: {state.order.reason}" if state.order.reason else "No reason was given")
    return ". ".join(safe(part, 800).rstrip(".") for part in parts) + "."


def _buttons(state: State) -> list[dict[str, Any]]:
    if state.phase is Phase.WAITING_CONFIRMATION and state.plan is not None and state.preview is not None:
        return [
            _button("confirm", state, _confirm_label(state), style="danger", dialog=_dialog(state, state.plan)),
            _button("withdraw", state, "Keep them"),
        ]
    stoppable = state.phase is Phase.APPROVED or (state.phase is Phase.RUNNING and state.stopped_by is None)
    return [_button("stop", state, "Stop")] if stoppable else []


def _confirm_label(state: State) -> str:
    return "Cancel these upgrades" if state.size is None else f"Cancel {number(state.size)} upgrades"


def _dialog(state: State, plan: Plan) -> dict[str, Any]:
    text = (
        f"{_target(state)} on {state.account}: {now_at_most(state.size, plan.at_most)}."
        " A cancelled task is not taken up again by itself."
    )
    return {
        "title": _plain_text(f"{_confirm_label(state)}?", 100),
        "text": _plain_text(text[:1].upper() + text[1:], 300),
        "confirm": _plain_text("Cancel them", 30),
        "deny": _plain_text("Go back", 30),
        "style": "danger",
    }


def _button(
    action: str, state: State, label: str, *, style: str | None = None, dialog: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make a button; its value is the cancellation's id and nothing more, because nothing in Slack is authority."""
    return {
        "type": "button",
        "action_id": action,
        "value": str(state.id),
        "text": _plain_text(label, 75),
        "accessibility_label": plain(f"{label}, cancellation #{state.id}", 75),
        **({"style": style} if style else {}),
        **({"confirm": dialog} if dialog else {}),
    }


# --- the thread --------------------------------------------------------------------------------------------------


def reply(event: Event, state: State) -> Message | None:
    """Return what an event adds to the card's thread, or `None`; only who has to know is mentioned."""
    maker = _REPLIES.get(event.kind)
    return maker(event, state) if maker else None


def _ended_reply(event: Event, state: State) -> Message:
    why = event.body.get("reason") or "nobody answered in time"
    phase = "Expired" if event.kind == Kind.EXPIRED else "Voided"
    text = f"{mention(state.requester)} {phase}: #{state.id} was not carried out, because {safe(why, 600)}."
    return Message(text=f"{text} Nothing was cancelled.")


def _stopped_reply(event: Event, state: State) -> Message | None:
    if event.actor == state.requester:
        return None
    return Message(text=f"{mention(state.requester)} #{state.id} is being ended early; the card says by whom.")


def _finished_reply(event: Event, state: State) -> Message:
    body = event.body
    confirmed = "not seen yet" if body.get("confirmed") is None else number(body["confirmed"])
    text = (
        f"{mention(state.requester)} {safe(body['result'], 40)}: #{state.id}. Asked {number(body.get('asked'))},"
        f" accepted {number(body.get('accepted'))}, confirmed {confirmed}, left {number(body.get('left'))}."
    )
    loud = body["result"] in {Phase.FAILED.value, Phase.PARTLY_DONE.value}
    return Message(text=text, broadcast=loud)


def _call_reply(event: Event, _state: State) -> Message | None:
    body = event.body
    if body["outcome"] == "done":
        return None
    said = " ".join(str(body[name]) for name in ("code", "message") if body[name])
    request = f" Request {code(body['request_id'])}." if body["request_id"] else ""
    return Message(
        text=f"Call {body['call']}, attempt {body['attempt']}: {body['outcome']}. {safe(said, 600)}.{request}"
    )


_REPLIES: Final[dict[str, Callable[[Event, State], Message | None]]] = {
    Kind.EXPIRED: _ended_reply,
    Kind.VOIDED: _ended_reply,
    Kind.STOPPED: _stopped_reply,
    Kind.FINISHED: _finished_reply,
    Kind.CALL_FINISHED: _call_reply,
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
    place = f" · {safe(_target(state), 300)} on {safe(state.account, 100)}" if state is not None else ""
    who = safe(name if name == event.actor else f"{name} ({event.actor})", 200)
    return f"{number_}{said} · {who}{place} · event {event.id} {event.digest[:DIGITS]}"


AUDITED: Final = frozenset(
    {Kind.REFUSED, Kind.CONFIRMED, Kind.FINISHED, Kind.WITHDRAWN, Kind.EXPIRED, Kind.STOPPED, Kind.VOIDED}
)
"""The kinds of events that the audit channel is told."""


def _audited(event: Event, state: State | None) -> str | None:
    body = event.body
    if event.kind == Kind.VOIDED and (state is None or state.plan is None):
        return None
    reason = f": {safe(str(body['reason']), 400)}" if body.get("reason") else ""
    if event.kind == Kind.REFUSED:
        return f"refused ({safe(str(body.get('what')), 40)}){reason}"
    if event.kind == Kind.CONFIRMED:
        why = state.order.reason if state is not None else None
        return f"confirmed plan {str(body['plan'])[:DIGITS]}, because {safe(why or 'no reason was given', 600)}"
    if event.kind == Kind.FINISHED:
        figures = ", ".join(f"{name} {number(body.get(name))}" for name in ("asked", "accepted", "confirmed", "left"))
        return f"{safe(body['result'].lower(), 40)}: {figures}{reason}"
    return f"{event.kind}{reason}" if event.kind in AUDITED else None


# --- lists -------------------------------------------------------------------------------------------------------


def line(state: State) -> str:
    """Return a cancellation on one line of a list."""
    size = f" · {tasks(state.size)}" if state.plan is not None else ""
    return (
        f"*#{state.id}* {state.phase.value} · {safe(_target(state), 200)} on {safe(state.account, 100)}{size}"
        f" · {mention(state.requester)} · {_when(state.at)}"
    )


def listing(title: str, states: list[State]) -> Message:
    """Return a list of cancellations for an ephemeral answer."""
    if not states:
        return Message(text=f"{title}: none.")
    return Message(text=trim("\n".join([f"{title}:", *(line(state) for state in states)]), TEXT))


def history(events: list[Event]) -> str:
    """Return the latest events of a cancellation, one a line: when, what, who."""
    shown = [f"{_when(event.at)} {event.kind.replace('_', ' ')} · {mention(event.actor)}" for event in events]
    left_out = [f"… {len(events) - HISTORY} earlier"] if len(events) > HISTORY else []
    return "\n".join(["*History*", *left_out, *shown[-HISTORY:]])


def said(text: str) -> Message:
    """Return plain text of the bot's own, or of people and clouds, as a message."""
    return Message(text=trim(safe(text, TEXT), TEXT))


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text, 3000)}


def _mrkdwn(text: str, most: int) -> dict[str, Any]:
    # Every part was cut before it was escaped; only parts full of what is escaped come to more than `most`.
    return {"type": "mrkdwn", "text": trim(text, most), "verbatim": True}


def _plain_text(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": plain(text, most), "emoji": False}
