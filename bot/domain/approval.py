"""The decisions that let a plan run: the requester's confirmation, the second person's vote, going on without one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decided, Refusal, event, gone, late, over
from bot.domain.events import BOT, Kind
from bot.domain.plan import Plan
from bot.domain.policy import Denied, NeedsApproval, Role, Sight, Verdict, fault, judge, personal_fault, policy_in_force

BOUNDLESS: Final = 10**9
"""What an unknown size adds to a window: more than any limit."""
TERMINAL: Final = "terminal"
"""`State.via` of what was ordered at a terminal: nobody approves that in Slack."""


def verdict_on(state: State, account: Account, *, ran_alone: int) -> Verdict:
    """Judge a plan by its account's rules as they are now, and by what the requester has `ran_alone` in the window."""
    if state.plan is None or state.preview is None:
        return Denied("there is no plan")
    stakes = state.plan.stakes(state.preview.reading)
    return judge(account.approval, stakes=stakes, at_most=state.plan.at_most, ran_alone=ran_alone)


def confirm(
    state: State, now: datetime, *, actor: str, account: Account, ran_alone: int, evidence: Mapping[str, Any]
) -> Decided:
    """Take the requester's confirmation of exactly this plan, which starts it or asks the approvers.

    `ran_alone` must have been summed in the transaction that this decision is part of.
    """
    if state.phase is not Phase.WAITING_CONFIRMATION:
        return gone(state)
    if late(state, now):
        return over(state)
    if actor != state.requester:
        return Refusal("Only the person who asked for it may confirm it. Nothing was changed.")
    if state.plan is not None and not state.plan.fits(account):
        return _elsewhere(account)
    verdict = verdict_on(state, account, ran_alone=ran_alone)
    if isinstance(verdict, Denied):
        return Refusal(f"This may not be cancelled: {verdict.reason}. Nothing was changed.")
    needs = verdict if isinstance(verdict, NeedsApproval) else None
    return _signed(
        Kind.CONFIRMED,
        state,
        actor=actor,
        account=account,
        evidence=evidence,
        ran_alone=ran_alone,
        needs=needs.people if needs else 0,
        reasons=list(needs.reasons) if needs else [],
    )


def approve(state: State, now: datetime, *, actor: str, account: Account, evidence: Mapping[str, Any]) -> Decided:
    """Take one approver's consent to exactly this plan; rules that have become stricter ask for more of them."""
    refusal = _unanswerable(state, now, state.plan, account)
    if refusal is not None:
        return refusal
    if actor == state.requester:
        return Refusal("Whoever asked for it cannot be the second person as well. Nothing was changed.")
    if any(vote.actor == actor for vote in state.votes):
        return Refusal(f"You have approved #{state.id} already; {_missing(state.missing)}. Nothing was changed.")
    verdict = verdict_on(state, account, ran_alone=state.ran_alone)
    if isinstance(verdict, Denied):
        return Refusal(f"This may not be cancelled: {verdict.reason}. Nothing was changed.")
    people = verdict.people if isinstance(verdict, NeedsApproval) else 0
    return _signed(
        Kind.APPROVED, state, actor=actor, account=account, evidence=evidence, needs=max(state.needs, people)
    )


def reject(
    state: State, now: datetime, *, actor: str, account: Account, reason: str, evidence: Mapping[str, Any]
) -> Decided:
    """End it by one approver's word."""
    if state.phase is not Phase.WAITING_APPROVAL:
        return gone(state)
    if late(state, now):
        return over(state)
    if actor == state.requester:
        return Refusal("Whoever asked for it withdraws it instead. Nothing was changed.")
    if not reason.strip():
        return Refusal("Say why it is rejected. Nothing was changed.")
    return _signed(Kind.REJECTED, state, actor=actor, account=account, evidence=evidence, reason=reason.strip())


def break_glass(
    state: State, now: datetime, *, actor: str, account: Account, reason: str, evidence: Mapping[str, Any]
) -> Decided:
    """Let a requester who is listed for it go on without approvers, marked for ever."""
    refusal = _unanswerable(state, now, state.plan, account, terminal=True)
    if refusal is not None:
        return refusal
    if actor != state.requester:
        return Refusal("Only the person who asked for it may break glass for it. Nothing was changed.")
    if actor not in account.approval.break_glass:
        return Refusal(f"You are not listed to break glass on {account.name}. Nothing was changed.")
    if not reason.strip():
        return Refusal("Say why it goes on without approval. Nothing was changed.")
    return _signed(Kind.BROKE_GLASS, state, actor=actor, account=account, evidence=evidence, reason=reason.strip())


def ran_alone(state: State) -> tuple[int, datetime | None]:
    """Return what this adds to its requester's window, and from when: what they run without anybody's consent.

    What ended with nothing sent is given back. An unknown size, which nobody runs without breaking glass, fills the
    window.
    """
    begun = state.broke_glass.at if state.broke_glass else state.confirmed_at
    alone = state.broke_glass is not None or not state.needs
    sent = state.run is not None and state.run.sent
    if begun is None or state.plan is None or not alone or (state.ended is not None and not sent):
        return 0, None
    # While it is open it counts however long it takes; afterwards from its end.
    return (BOUNDLESS if state.plan.at_most is None else state.plan.at_most), state.ended or begun


def remind(state: State, now: datetime) -> Decided:
    """Ask once more whoever has not answered yet."""
    if state.reminder is None or now < state.reminder or late(state, now):
        return Refusal("It is not time for a reminder.")
    time = state.reminded + 1
    # Those that were missed while the bot was away are not made up for.
    while (following := state.reminded_at(time + 1)) is not None and following <= now:
        time += 1
    return (event(Kind.REMINDED, BOT, time=time, missing=state.missing),)


def press_fault(button: str, state: State, sight: Sight, account: Account) -> str | None:
    """Return why this person may never press this button of this cancellation, or `None`."""
    # Taking back is safe: somebody who has left the list may still do it.
    wrong = (
        personal_fault(sight.person)
        if button == "withdraw"
        else fault(sight, account, _ROLES.get(button, Role.REQUEST))
    )
    if wrong is not None:
        return wrong
    own = sight.person.id == state.requester
    if button in _REQUESTERS and not own:
        return f"only the person who asked for #{state.id} may {_REQUESTERS[button]} it"
    if button in _APPROVERS and own:
        return f"whoever asked for #{state.id} may not {_APPROVERS[button]} it"
    if button in _APPROVERS and state.via == TERMINAL:
        return f"#{state.id} was ordered at a terminal, and nobody approves that in Slack"
    if button == "break_glass" and sight.person.id not in account.approval.break_glass:
        return f"not listed to break glass on account {account.name}"
    return None


_ROLES: Final = {"stop": Role.STOP, "approve": Role.APPROVE, "reject": Role.APPROVE}
_REQUESTERS: Final = {
    "confirm": "confirm",
    "withdraw": "withdraw",
    "break_glass": "break glass for",
    "order_anyway": "order",
}
_APPROVERS: Final = {"approve": "approve", "reject": "reject"}


def lost_standing(state: State, account: Account, sights: Sequence[Sight]) -> str | None:
    """Return why those on whom a start rests, the requester first and then each approver, do not carry it any more."""
    requester, *approvers = sights
    wrong = fault(requester, account, Role.REQUEST)
    if wrong is not None:
        return f"whoever asked for it may not do so any more: {wrong}"
    for approver in approvers:
        wrong = fault(approver, account, Role.APPROVE)
        if wrong is not None:
            return f"{approver.person.id}, who agreed to it, may not do so any more: {wrong}"
    if state.broke_glass is not None and state.broke_glass.actor not in account.approval.break_glass:
        return f"whoever broke glass for it is not listed for that any more on account {account.name}"
    return None


def standing(sights: Sequence[Sight]) -> dict[str, Any]:
    """Return what a start rests on, for the ledger: what was seen of the requester, and then of each approver."""
    requester, *approvers = sights
    return {**requester.evidence, "approvers": {sight.person.id: sight.evidence for sight in approvers}}


def stricter(state: State, verdict: Verdict) -> bool:
    """Tell whether more is asked for now than was agreed to: other people, or for a reason that nobody has seen."""
    if isinstance(verdict, Denied):
        return True
    if not isinstance(verdict, NeedsApproval):
        return False
    if any(reason not in state.reasons for reason in verdict.always):
        return True
    return state.broke_glass is None and verdict.people > len(state.votes)


def unreachable(verdict: Verdict, eligible: Iterable[str], *, account: Account) -> str | None:
    """Return why the approvals that a verdict asks for can never come together, or `None`."""
    if not isinstance(verdict, NeedsApproval):
        return None
    there = len({*eligible})
    if there >= verdict.people:
        return None
    whom = "a second person" if verdict.people == 1 else f"{verdict.people} other people"
    are = "is 1" if there == 1 else f"are {there or 'none'}"
    listed = ", ".join(account.approvers) or "nobody"
    return (
        f"This needs {whom} to approve it ({'; '.join(verdict.reasons)}), and of the approvers of account"
        f" {account.name} ({listed}) there {are} besides you who may. Nothing was changed. Order fewer devices, or have"
        " the approvers in the bot's config mended."
    )


def alone_at_terminal(state: State, account: Account, verdict: NeedsApproval) -> str | None:
    """Return why somebody at a terminal cannot go on without a second person, or `None` if they may break glass."""
    if state.requester in account.approval.break_glass:
        return None
    return (
        f"This needs approval ({'; '.join(verdict.reasons)}), and nobody approves what is ordered at a terminal."
        f" Order it in Slack, or have {state.requester} listed in break_glass of account {account.name}."
        " Nothing was changed."
    )


def _unanswerable(
    state: State, now: datetime, plan: Plan | None, account: Account, *, terminal: bool = False
) -> Refusal | None:
    if state.phase is not Phase.WAITING_APPROVAL or plan is None:
        return gone(state)
    if late(state, now):
        return over(state)
    if state.via == TERMINAL and not terminal:
        return Refusal("What was ordered at a terminal is never approved in Slack. Nothing was changed.")
    if not plan.fits(account):
        return _elsewhere(account)
    return None


def _signed(
    kind: Kind, state: State, *, actor: str, account: Account, evidence: Mapping[str, Any], **more: object
) -> Decided:
    """Make the event of what somebody decided: with the plan it is about, the rules in force, and who they were."""
    policy = policy_in_force(account)
    return (event(kind, actor, plan=state.digest, policy=policy, evidence=dict(evidence), **more),)


def _elsewhere(account: Account) -> Refusal:
    return Refusal(
        f"Account {account.name} is no longer the cloud, endpoint and key that this was planned for. Nothing was"
        " changed; it has to be ordered anew."
    )


def _missing(count: int) -> str:
    return "1 approval is missing" if count == 1 else f"{count} approvals are missing"
