"""A cancellation's life as a fold: `apply` advances its state by one event."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from bot.domain.call import Attempt, Outcome, with_number
from bot.domain.cancellation import ORDER, PREVIEW, READING, BrokenGlass, Phase, Run, Split, State, Vote, changed
from bot.domain.events import Event, Kind
from bot.domain.order import CancelDevices, Listed
from bot.domain.plan import Plan, modern

_PLAN: Final = TypeAdapter(Plan)
_LISTED: Final = TypeAdapter(Listed)


def apply(state: State | None, event: Event) -> State:
    """Advance `state` by `event`; `None` stands for "before `requested`".

    A kind that this version does not know moves the counters and nothing else.
    """
    if state is None:
        return _requested(event)
    advance = _ADVANCES.get(event.kind)
    moved = advance(state, event) if advance else state
    return changed(moved, seq=event.seq or 0, event=event.id)


def _requested(event: Event) -> State:
    body = event.body
    return State(
        id=event.cancellation or 0,
        seq=event.seq or 0,
        event=event.id,
        phase=Phase.CHECKING,
        requester=event.actor,
        order=ORDER.validate_python(body["order"]),
        account=body["account"],
        quota=body["quota"],
        channel=body["channel"],
        via=body["via"],
        at=event.at,
        retry_of=body.get("retry_of"),
        deadline=event.at + timedelta(seconds=body["expires"]),
    )


def _listed(state: State, event: Event) -> State:
    if not isinstance(state.order, CancelDevices):
        raise TypeError(f"cancellation {state.id} names no devices")
    order = replace(state.order, listed=_LISTED.validate_python(event.body["names"]), file=None)
    return changed(state, order=order)


def _checking(state: State, event: Event) -> State:
    return changed(state, listing=event.body["tasks"])


def _previewed(state: State, event: Event) -> State:
    body = event.body
    return changed(
        state,
        phase=Phase.WAITING_CONFIRMATION,
        preview=PREVIEW.validate_python(body["preview"]),
        plan=_PLAN.validate_python(modern(body["plan"])),
        digest=body["digest"],
        estimate=body["estimate"],
        policy=body["policy"],
        needs=body.get("needs", 0),
        reasons=tuple(body.get("reasons", ())),
        deadline=event.at + timedelta(seconds=body["policy"]["expires"]),
    )


def _held(state: State, event: Event) -> State:
    return changed(state, held=event.body["like"])


def _ordered_anyway(state: State, event: Event) -> State:
    del event
    return changed(state, held=None, anyway=True)


def _confirmed(state: State, event: Event) -> State:
    body = event.body
    confirmed = changed(
        state,
        confirmed_at=event.at,
        policy=body["policy"],
        ran_alone=body.get("ran_alone", 0),
        needs=body.get("needs", 0),
        reasons=tuple(body.get("reasons", ())),
    )
    if not confirmed.needs:
        return _may_start(confirmed, event)
    deadline = event.at + timedelta(seconds=body["policy"]["expires"])
    return changed(confirmed, phase=Phase.WAITING_APPROVAL, deadline=deadline)


def _may_start(state: State, event: Event) -> State:
    deadline = event.at + timedelta(seconds=event.body["policy"]["run_within"])
    return changed(state, phase=Phase.APPROVED, deadline=deadline)


def _approved(state: State, event: Event) -> State:
    # People are counted, not votes: nobody twice, and never whoever asked, whatever let them through.
    counts = event.actor != state.requester and all(vote.actor != event.actor for vote in state.votes)
    votes = (*state.votes, Vote(actor=event.actor, at=event.at)) if counts else state.votes
    needs = max(state.needs, event.body["needs"])
    voted = changed(state, votes=votes, needs=needs, policy=event.body["policy"])
    return voted if voted.missing else _may_start(voted, event)


def _broke_glass(state: State, event: Event) -> State:
    mark = BrokenGlass(actor=event.actor, reason=event.body["reason"], at=event.at)
    return _may_start(changed(state, broke_glass=mark, policy=event.body["policy"]), event)


def _reminded(state: State, event: Event) -> State:
    return changed(state, reminded=event.body["time"])


def _started(state: State, event: Event) -> State:
    body = event.body
    run = Run(
        at=event.at,
        asked=body["asked"],
        reading=READING.validate_python(body["reading"]),
        calls=body["calls"],
        progress=event.at,
    )
    return changed(state, phase=Phase.RUNNING, run=run, deadline=None)


def _call_sent(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    before = run.attempts.get(body["call"])
    left_out = tuple(body.get("left_out", ()))
    attempt = Attempt(
        number=body["attempt"], first=before.first if before else event.at, count=body["count"], left_out=left_out
    )
    attempts = {**run.attempts, body["call"]: attempt}
    moved = _without_devices(run, body, len(left_out))
    return changed(state, run=changed(moved, attempts=attempts, sent=True, progress=event.at))


def _call_skipped(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    return changed(
        state,
        run=changed(
            _without_devices(run, body, body["count"]),
            skipped=with_number(run.skipped, body["call"]),
            attempts=_without(run, body["call"]),
            progress=event.at,
        ),
    )


def _call_split(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    split = Split(call=body["call"], first=run.calls + 1, at=tuple(body["at"]))
    return changed(
        state,
        run=changed(
            _without_devices(run, body, body["left_out"]),
            splits=(*run.splits, split),
            calls=run.calls + len(split.at),
            attempts=_without(run, body["call"]),
            progress=event.at,
        ),
    )


def _without_devices(run: Run, body: Mapping[str, Any], left_out: int) -> Run:
    """Count the devices of a call that are left out by now: an earlier attempt cancelled some, the rest moved on."""
    before, canceled = run.attempts.get(body["call"]), body.get("canceled", 0)
    more = left_out - (len(before.left_out) if before else 0)
    return changed(run, moved_on=run.moved_on + more - canceled, accepted=run.accepted + canceled)


def _without(run: Run, call: int) -> dict[int, Attempt]:
    return {number: attempt for number, attempt in run.attempts.items() if number != call}


def _call_finished(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    call, outcome = body["call"], Outcome(body["outcome"])
    sent = run.attempts[call]
    if outcome is Outcome.DONE:
        done = with_number(run.done, call)
        accepted = run.accepted + body.get("count", sent.count)
        moved = changed(run, done=done, attempts=_without(run, call), accepted=accepted, progress=event.at)
    else:
        ended = replace(
            sent, outcome=outcome, again=body.get("again", False), code=body["code"], message=body["message"]
        )
        moved = changed(run, attempts={**run.attempts, call: ended}, progress=event.at)
    return changed(state, run=moved)


def _stopped(state: State, event: Event) -> State:
    return changed(state, stopped_by=event.actor)


def _verified(state: State, event: Event) -> State:
    run, body = _run(state), event.body
    seen = changed(
        run,
        confirmed=body["confirmed"],
        left=body["left"],
        seen=READING.validate_python(body["reading"]) if body.get("reading") else run.seen,
        verified=event.at,
        later=run.later + (0 if state.phase is Phase.RUNNING else 1),
        progress=event.at if state.phase is Phase.RUNNING else run.progress,
    )
    return changed(state, run=seen)


def _retried(state: State, event: Event) -> State:
    return changed(state, retried_as=event.body["as"])


def _finished(state: State, event: Event) -> State:
    return _ended(changed(state, phase=Phase(event.body["result"])), event)


def _ended(state: State, event: Event) -> State:
    return changed(
        state, ended=event.at, ended_by=event.actor, why=event.body.get("reason") or state.why, deadline=None
    )


def _end(phase: Phase) -> Callable[[State, Event], State]:
    return lambda state, event: _ended(changed(state, phase=phase), event)


def _refused(state: State, event: Event) -> State:
    """End the order of somebody who may not order; a refused press on a card changes nothing."""
    return _end(Phase.REFUSED)(state, event) if event.body.get("what") == "order" else state


def _run(state: State) -> Run:
    if state.run is None:
        raise ValueError(f"cancellation {state.id} has calls but no start")
    return state.run


_ADVANCES: Final[Mapping[str, Callable[[State, Event], State]]] = {
    Kind.REFUSED: _refused,
    Kind.LISTED: _listed,
    Kind.CHECKING: _checking,
    Kind.PREVIEWED: _previewed,
    Kind.HELD: _held,
    Kind.ORDERED_ANYWAY: _ordered_anyway,
    Kind.CONFIRMED: _confirmed,
    Kind.APPROVED: _approved,
    Kind.BROKE_GLASS: _broke_glass,
    Kind.REMINDED: _reminded,
    Kind.WITHDRAWN: _end(Phase.WITHDRAWN),
    Kind.REJECTED: _end(Phase.REJECTED),
    Kind.EXPIRED: _end(Phase.EXPIRED),
    Kind.VOIDED: _end(Phase.VOIDED),
    Kind.STARTED: _started,
    Kind.CALL_SENT: _call_sent,
    Kind.CALL_FINISHED: _call_finished,
    Kind.CALL_SKIPPED: _call_skipped,
    Kind.CALL_SPLIT: _call_split,
    Kind.STOPPED: _stopped,
    Kind.VERIFIED: _verified,
    Kind.FINISHED: _finished,
    Kind.RETRIED: _retried,
}
