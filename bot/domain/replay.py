"""Replays one cancellation: every event must be one that the rules allowed at its moment. Pure.

It does not make the decisions again, whose errors it would repeat: it holds each event against the story before it, and
against what the event itself says that it rests on: the plan, the rules in force, who the directory said people were.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from bot.domain.account import Cloud
from bot.domain.approval import TERMINAL
from bot.domain.cancellation import BEFORE_START, REPEATABLE, WAITING, Phase, State
from bot.domain.errors import STRANGE
from bot.domain.events import BOT, Event, Kind, canonical
from bot.domain.fold import apply
from bot.domain.offer import BY_DEVICE, CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY, CANCEL_TASKS
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Plan, Preview, most
from bot.domain.policy import NeedsApproval, judge, rules_in
from bot.domain.replay_run import RUN_RULES, verified

RAN: Final = frozenset({Phase.DONE, Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED})
"""The ends of what was started."""
AT_WORK: Final = frozenset({Phase.RUNNING})
_WHEN: Final[Mapping[str, frozenset[Phase]]] = {
    Kind.LISTED: frozenset({Phase.CHECKING}),
    Kind.CHECKING: frozenset({Phase.CHECKING}),
    Kind.PREVIEWED: frozenset({Phase.CHECKING}),
    Kind.HELD: frozenset({Phase.CHECKING}),
    Kind.ORDERED_ANYWAY: frozenset({Phase.CHECKING}),
    Kind.CONFIRMED: frozenset({Phase.WAITING_CONFIRMATION}),
    Kind.REMINDED: frozenset({Phase.WAITING_APPROVAL}),
    Kind.APPROVED: frozenset({Phase.WAITING_APPROVAL}),
    Kind.REJECTED: frozenset({Phase.WAITING_APPROVAL}),
    Kind.BROKE_GLASS: frozenset({Phase.WAITING_APPROVAL}),
    Kind.WITHDRAWN: WAITING,
    Kind.EXPIRED: WAITING,
    Kind.VOIDED: BEFORE_START,
    Kind.STARTED: frozenset({Phase.APPROVED}),
    Kind.CALL_SENT: AT_WORK,
    Kind.CALL_FINISHED: AT_WORK,
    Kind.CALL_SKIPPED: AT_WORK,
    Kind.CALL_SPLIT: AT_WORK,
    Kind.STOPPED: AT_WORK | {Phase.APPROVED},
    Kind.FINISHED: AT_WORK | {Phase.APPROVED},
    Kind.VERIFIED: AT_WORK | RAN,
    Kind.RETRIED: REPEATABLE,
    Kind.REFUSED: frozenset(Phase),
}
"""In which phases each kind may come."""
_ALONE: Final = frozenset({Kind.CHECKPOINT, Kind.GUARD_CHANGED, Kind.CONTINUED, Kind.REQUESTED})
"""Kinds that never come within a cancellation after its first event."""
_BY_BOT: Final = frozenset(
    {Kind.LISTED, Kind.CHECKING, Kind.PREVIEWED, Kind.HELD, Kind.REMINDED, Kind.EXPIRED, Kind.VOIDED, Kind.STARTED}
    | {Kind.CALL_SENT, Kind.CALL_FINISHED, Kind.CALL_SKIPPED, Kind.CALL_SPLIT, Kind.VERIFIED, Kind.FINISHED}
)
_BY_REQUESTER: Final = frozenset({Kind.CONFIRMED, Kind.WITHDRAWN, Kind.BROKE_GLASS, Kind.ORDERED_ANYWAY})
_BY_OTHERS: Final = frozenset({Kind.APPROVED, Kind.REJECTED})
_IN_TIME: Final = _BY_REQUESTER | _BY_OTHERS | {Kind.STARTED}
_ON_A_PLAN: Final = frozenset({Kind.CONFIRMED, Kind.APPROVED, Kind.REJECTED, Kind.BROKE_GLASS, Kind.STARTED})
"""Kinds that name the plan that they are about."""


class ReplayError(Exception):
    """An event that the rules did not allow; the message says why, as a sentence's part for a person."""


def replayed(before: State | None, event: Event) -> State:
    """Return the state after `event`; `before` is that of the events before it, `None` before the first.

    Raises ReplayError when the rules did not allow it.
    """
    try:
        wrong = _opening(event) if before is None else _fault(before, event)
        if wrong is None:
            after = apply(before, event)
            comes_to = _COME_TO.get(event.kind) if before is not None else None
            wrong = comes_to(before, event, after) if comes_to and before is not None else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ReplayError(STRANGE) from error
    if wrong is not None:
        raise ReplayError(wrong)
    return after


def _opening(event: Event) -> str | None:
    if event.kind != Kind.REQUESTED:
        return f"{event.kind} came before anything was requested"
    if event.actor == BOT or (event.actor.startswith("cli:") and event.body["via"] != TERMINAL):
        return f"{event.actor} does not order there"
    return None


def _fault(state: State, event: Event) -> str | None:
    kind = event.kind
    if kind in _ALONE:
        return f"{kind} came in the middle of #{state.id}"
    if kind not in _WHEN:
        return None
    if state.phase not in _WHEN[kind]:
        return f"{kind} came when #{state.id} was “{state.phase}”"
    rule = _RULES.get(kind)
    return _who(state, event) or _when(state, event) or _which(state, event) or (rule(state, event) if rule else None)


def _who(state: State, event: Event) -> str | None:
    """Hold the actor against whose decision it was."""
    kind, actor = event.kind, event.actor
    if kind in _BY_BOT and actor != BOT:
        return f"{kind} is the bot's to say, and it is by {actor}"
    if kind in _BY_REQUESTER and actor != state.requester:
        return f"{kind} is by {actor}, and only {state.requester}, who asked for #{state.id}, may do that"
    if kind in _BY_OTHERS and actor == state.requester:
        return f"{kind} is by {actor}, who asked for #{state.id}"
    return None


def _when(state: State, event: Event) -> str | None:
    """Hold the moment against the present wait's end."""
    if state.deadline is None:
        return None
    if event.kind in _IN_TIME and event.at >= state.deadline:
        return f"{event.kind} came after its deadline, {state.deadline:%Y-%m-%d %H:%M:%S} UTC"
    if event.kind == Kind.EXPIRED and event.at < state.deadline:
        return f"expired came before its deadline, {state.deadline:%Y-%m-%d %H:%M:%S} UTC"
    return None


def _which(state: State, event: Event) -> str | None:
    """Hold the plan that was agreed to or started against the one that was shown."""
    if event.kind not in _ON_A_PLAN or event.body["plan"] == state.digest:
        return None
    return f"{event.kind} is about plan {_digits(event.body['plan'])}, and #{state.id} showed {_digits(state.digest)}"


def _digits(digest: object) -> str:
    return str(digest)[:12]


# --- the order and its plan ----------------------------------------------------------------------------------------


def _previewed(state: State, event: Event, after: State) -> str | None:
    plan, digest = event.body["plan"], event.body["digest"]
    if sha256(canonical(plan).encode()).hexdigest() != digest:
        return f"its plan does not have the SHA-256 {_digits(digest)} that it names"
    if state.held is not None:
        return f"it went on though #{state.id} was held as a repeat of #{state.held}"
    if after.plan is None or after.preview is None:
        return "it shows no plan"
    return _misplanned(state.order, after.plan, after.preview)


def _misplanned(order: Cancel, plan: Plan, preview: Preview) -> str | None:
    """Hold a plan against the words it was made for and what was seen: all but endpoint and key follows from these."""
    cloud, jobs = Cloud(plan.cloud), [job.id for job in preview.jobs]
    by_name = isinstance(order, CancelDevices) or cloud is Cloud.ENOS
    statuses = BY_DEVICE[cloud] if isinstance(order, CancelDevices) else order.statuses
    calls = [-(-step.count // plan.per_call) if by_name else 1 for step in plan.steps]
    at_most = most(order, preview, frozenset(plan.statuses), plan.steps)
    faults = (
        (
            (plan.verb, plan.job) != (order.verb, jobs[0]) or order.job not in {None, plan.job},
            "its plan is not for what was ordered",
        ),
        (plan.statuses != statuses, "its plan hits other statuses than were ordered"),
        (
            not _fitting(order, cloud, [step.action for step in plan.steps]),
            f"its plan has other operations than the order needs: {plan.operation}",
        ),
        (not {step.job for step in plan.steps} <= {*jobs}, "its plan is for other jobs than were seen"),
        (
            [(step.calls, step.names is not None) for step in plan.steps] != [(each, by_name) for each in calls],
            "its plan has other calls than it needs",
        ),
        (plan.at_most != at_most, f"its plan hits at most {plan.at_most}, and its preview says {at_most}"),
    )
    return next((said for wrong, said in faults if wrong), None)


def _fitting(order: Cancel, cloud: Cloud, actions: list[str]) -> bool:
    """Tell whether these are the operations that carry an order out."""
    if isinstance(order, CancelStrategy):
        return actions == [CANCEL_STRATEGY, *([CANCEL_JOB] if order.statuses else [])]
    if isinstance(order, CancelJob) and cloud is not Cloud.ENOS:
        return actions == [CANCEL_JOB]
    return {*actions} <= {CANCEL_TASKS if cloud is Cloud.ENOS else CANCEL_DEVICES}


def _refused(state: State, event: Event) -> str | None:
    late = event.body.get("what") == "order" and state.phase is not Phase.CHECKING
    return f"#{state.id} was refused as a whole when it was “{state.phase}”" if late else None


def _listed(state: State, event: Event) -> str | None:
    """Hold the names that were read from a file against an order that had names already."""
    ordered = state.order.listed if isinstance(state.order, CancelDevices) else None
    other = ordered is not None and ordered.sha256 != event.body["names"]["sha256"]
    return f"#{state.id} named other devices" if other else None


def _ordered_anyway(state: State, _event: Event) -> str | None:
    return None if state.held is not None else f"#{state.id} was not held"


# --- people --------------------------------------------------------------------------------------------------------


def _confirmed(state: State, event: Event) -> str | None:
    body = event.body
    # What older versions wrote names no requesters.
    listed = body["policy"].get("requesters")
    people = _people_needed(state, body["policy"], body.get("ran_alone", 0))
    if people is None:
        return "there is nothing that may be confirmed"
    if people > body.get("needs", 0):
        return f"its rules ask for {people} approvals, and it went on with {body.get('needs', 0)}"
    if listed is None:
        return _unfit(event.actor, body["evidence"])
    return _unentitled(event.actor, body["evidence"], listed, "requesters")


def _approved(state: State, event: Event) -> str | None:
    body = event.body
    if any(vote.actor == event.actor for vote in state.votes):
        return f"{event.actor} approved #{state.id} twice"
    if state.via == TERMINAL:
        return f"#{state.id} was ordered at a terminal, which nobody approves in Slack"
    people = _people_needed(state, body["policy"], state.ran_alone)
    if people is None or body["needs"] < max(people, state.needs):
        return f"its rules ask for {max(people or 0, state.needs)} approvals, and it says {body['needs']}"
    return _unentitled(event.actor, body["evidence"], body["policy"]["approvers"], "approvers")


def _rejected(_state: State, event: Event) -> str | None:
    if not event.body["reason"].strip():
        return "it was rejected without a reason"
    return _unentitled(event.actor, event.body["evidence"], event.body["policy"]["approvers"], "approvers")


def _broke_glass(_state: State, event: Event) -> str | None:
    if event.actor not in event.body["policy"]["break_glass"]:
        return f"{event.actor} broke the glass, and was not listed for that"
    if not event.body["reason"].strip():
        return "the glass was broken without a reason"
    return _unfit(event.actor, event.body["evidence"])


def _people_needed(state: State, policy: Mapping[str, Any], ran_alone: int) -> int | None:
    """Return how many others the rules of that moment ask for; `None` where nobody may."""
    if state.plan is None or state.preview is None:
        return None
    stakes = state.plan.stakes(state.preview.reading)
    verdict = judge(rules_in(policy), stakes=stakes, at_most=state.plan.at_most, ran_alone=ran_alone)
    if isinstance(verdict, NeedsApproval):
        return verdict.people
    return 0 if stakes else None


def _unentitled(actor: str, evidence: Mapping[str, Any], listed: list[str], whom: str) -> str | None:
    if actor not in listed and not {*evidence["groups"]} & {*listed}:
        among = f"the {whom} were {', '.join(listed) or 'nobody'}"
        groups = ", ".join(evidence["groups"]) or "none of their groups"
        return f"it is by {actor}, who was not entitled: {among}, and {actor} was in {groups}"
    return _unfit(actor, evidence)


def _unfit(actor: str, evidence: Mapping[str, Any]) -> str | None:
    """Hold what the directory said of somebody against them; older versions did not write of whom it spoke."""
    if evidence.get("person", actor) != actor:
        return f"it is by {actor}, and its evidence is about {evidence['person']}"
    if evidence["flags"]:
        return f"{actor} may do nothing here: {', '.join(evidence['flags'])}"
    return None


# --- the start -----------------------------------------------------------------------------------------------------


def _started(state: State, event: Event, after: State) -> str | None:
    body, plan = event.body, state.plan
    if plan is None or body["calls"] != plan.calls:
        return f"it started {body['calls']} calls, and its plan has {plan.calls if plan else 'none'}"
    if state.stopped_by is not None:
        return f"it started after {state.stopped_by} had stopped it"
    seen = after.run.reading.size(frozenset(plan.statuses)) if after.run else None
    if body["asked"] != seen:
        return f"it says that {body['asked']} devices were asked for, and its reading has {seen}"
    if plan.at_most is not None and (seen is None or seen > plan.at_most):
        return f"it started with {seen} devices, more than the {plan.at_most} that were confirmed"
    return _unsteady(state, event)


def _unsteady(state: State, event: Event) -> str | None:
    """Hold those on whom a start rests against what was seen of them then, and against the rules of that moment."""
    evidence, policy = event.body["evidence"], event.body.get("policy")
    # What nobody had to approve has no approvers in what older versions wrote.
    sights = evidence["approvers"] if state.votes else evidence.get("approvers", {})
    absent = [vote.actor for vote in state.votes if vote.actor not in sights]
    if absent:
        return f"it started without another look at {absent[0]}, who had approved it"
    rests = [(state.requester, evidence, "requesters"), *((actor, seen, "approvers") for actor, seen in sights.items())]
    for actor, seen, whom in rests:
        wrong = _unentitled(actor, seen, policy[whom], whom) if policy else _unfit(actor, seen)
        if wrong is not None:
            return f"it started on somebody who may not: {wrong}"
    return None


_RULES: Final[Mapping[str, Callable[[State, Event], str | None]]] = {
    Kind.REFUSED: _refused,
    Kind.LISTED: _listed,
    Kind.ORDERED_ANYWAY: _ordered_anyway,
    Kind.CONFIRMED: _confirmed,
    Kind.APPROVED: _approved,
    Kind.REJECTED: _rejected,
    Kind.BROKE_GLASS: _broke_glass,
    **RUN_RULES,
}
"""What each kind asks of the story before it."""
_COME_TO: Final[Mapping[str, Callable[[State, Event, State], str | None]]] = {
    Kind.PREVIEWED: _previewed,
    Kind.STARTED: _started,
    Kind.VERIFIED: verified,
}
"""What each kind asks of the state that it comes to."""
