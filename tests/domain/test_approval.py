"""The second person: who counts, for what, for how long, and what happens without them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from bot.domain import approval, decisions
from bot.domain.account import Account, Approval
from bot.domain.approval import lost_standing, press_fault, stricter, unreachable
from bot.domain.cancellation import Phase
from bot.domain.decisions import Decision, Refusal
from bot.domain.events import Event, Kind, NewEvent
from bot.domain.policy import NeedsApproval, Person, Place, Sight, policy_in_force
from tests.builders import (
    ACCOUNT,
    ANN,
    BOB,
    NOW,
    STRICT,
    WAITING,
    Life,
    account,
    approve,
    break_glass,
    confirm,
    plan,
    reject,
    requested,
    start,
    withdraw,
)

KIM: Final = "U0KIM"
LEA: Final = "U0LEA"
TWO: Final = Approval(above=0, people=2, break_glass=(ANN,))
LISTED: Final = account(approval=TWO, approvers=(BOB, LEA, "S0LEADS"))


def asking(rules: Approval = STRICT) -> Life:
    """Return a life that waits for approval under some rules."""
    return Life().after(*WAITING, confirm(approval=rules))


def said(life: Life, decision: Decision) -> str:
    """Return the refusal of a decision."""
    decided = life.decide(decision)
    assert isinstance(decided, Refusal)
    return decided.reason


def sight(actor: str = ANN, *, groups: tuple[str, ...] = (), **flags: Any) -> Sight:
    """Return what was seen of somebody in the ops channel."""
    return Sight(person=Person(id=actor, **flags), groups=frozenset(groups), place=Place(id="C0OPS"), at=NOW)


# --- votes ---------------------------------------------------------------------------------------------------------


def test_one_approver_is_enough_where_one_is_needed() -> None:
    """With the one vote it needs a cancellation may start, within `run_within` of it."""
    life = asking()
    life.clock.turn(60)
    life.after(approve())

    assert (Phase.APPROVED, (BOB,), 0) == (
        life.state.phase,
        tuple(vote.actor for vote in life.state.votes),
        life.state.missing,
    )
    assert life.clock() + STRICT.run_within == life.state.deadline


def test_two_are_waited_for_where_two_are_needed() -> None:
    """One of two votes changes neither the phase nor the time there is to answer."""
    life = asking(TWO)
    before = life.state.deadline
    life.clock.turn(60)
    life.after(approve(BOB, on=LISTED))

    assert (Phase.WAITING_APPROVAL, 1, before) == (life.state.phase, life.state.missing, life.state.deadline)

    life.after(approve(LEA, on=LISTED))
    assert Phase.APPROVED is life.state.phase


def test_the_same_person_counts_once() -> None:
    """A second vote of the same approver is refused, and says what is missing."""
    life = asking(TWO).after(approve(BOB, on=LISTED))

    assert "You have approved #1 already; 1 approval is missing. Nothing was changed." == said(
        life, approve(BOB, on=LISTED)
    )


def test_the_requester_is_never_the_second_person() -> None:
    """Whoever asked for it cannot approve or reject it, listed or not."""
    life = asking()

    assert "Whoever asked for it cannot be the second person as well. Nothing was changed." == said(life, approve(ANN))
    assert "Whoever asked for it withdraws it instead. Nothing was changed." == said(life, reject(ANN))


def test_a_vote_is_bound_to_the_plan_and_the_policy() -> None:
    """Each vote carries the plan's digest, the policy in force and what it rests on."""
    event = asking().after(approve()).events[-1]

    assert (BOB, plan().digest, policy_in_force(ACCOUNT), ["S0ONCALL"]) == (
        event.actor,
        event.body["plan"],
        event.body["policy"],
        event.body["evidence"]["groups"],
    )


def test_rules_that_became_stricter_ask_for_more() -> None:
    """A vote under rules that ask for two makes one vote too few."""
    life = asking(STRICT).after(approve(BOB, on=LISTED))

    assert (Phase.WAITING_APPROVAL, 2, 1) == (life.state.phase, life.state.needs, life.state.missing)


def test_laxer_rules_do_not_lower_what_was_asked_for() -> None:
    """What needed two when it was confirmed needs two, whatever the rules are when they vote."""
    life = asking(TWO).after(approve(BOB, on=account(approval=Approval(above=10_000))))

    assert (Phase.WAITING_APPROVAL, 2) == (life.state.phase, life.state.needs)


def test_a_vote_for_another_cloud_is_refused() -> None:
    """A plan for another endpoint or key than the account's present one cannot be approved."""
    life = asking()

    assert said(life, approve(on=account(endpoint="https://elsewhere.example"))).startswith(
        "Account prod is no longer the cloud, endpoint and key that this was planned for."
    )


def test_one_rejection_ends_it() -> None:
    """One approver's word against it ends it, with their reason, also after a vote for it."""
    life = asking(TWO).after(approve(BOB, on=LISTED), reject(LEA, reason="  wait for 1.4.3 "))

    assert (Phase.REJECTED, LEA, "wait for 1.4.3") == (life.state.phase, life.state.ended_by, life.state.why)


def test_a_rejection_says_why() -> None:
    """Without a reason nothing is rejected."""
    assert "Say why it is rejected. Nothing was changed." == said(asking(), reject(reason=" "))


@pytest.mark.parametrize(
    ("first", "late"),
    [
        (approve(), withdraw()),
        (withdraw(), approve()),
        (reject(), approve()),
        (approve(), reject()),
        (approve(), approve("U0LEA")),
    ],
)
def test_one_winner(first: Decision, late: Decision) -> None:
    """Of two answers the first counts; the late one is told what the cancellation is already."""
    life = asking().after(first)

    assert said(life, late).startswith(f"#1 is already “{life.state.phase.value}”")


@pytest.mark.parametrize("answer", [approve(), reject(), break_glass(on=account(approval=STRICT)), withdraw()])
def test_no_answer_in_time_is_a_denial(answer: Decision) -> None:
    """After `expires` no answer counts any more, and the wait ends as expired."""
    life = asking()
    life.clock.turn(STRICT.expires.total_seconds())

    assert "The time to answer #1 is over. Nothing was changed." == said(life, answer)
    assert (Phase.EXPIRED, None) == (life.after(decisions.expire).state.phase, life.state.run)


def test_approved_and_not_started_in_time_is_void() -> None:
    """After `run_within` an approval starts nothing."""
    life = asking().after(approve())
    life.clock.turn(STRICT.run_within.total_seconds())
    life.after(start(on=account(approval=STRICT)))

    assert (Phase.VOIDED, "it was not started in time", None) == (life.state.phase, life.state.why, life.state.run)


# --- at the start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "phase"),
    [
        (STRICT, Phase.RUNNING),
        (Approval(above=10_000), Phase.RUNNING),
        (TWO, Phase.VOIDED),
        (Approval(above=0, always=("queued",), people=3), Phase.VOIDED),
    ],
)
def test_the_stricter_rules_hold_at_the_start(rules: Approval, phase: Phase) -> None:
    """What has one vote starts under rules that ask for one or none, and is void under rules that ask for more."""
    life = asking().after(approve(), start(on=account(approval=rules)))

    assert phase is life.state.phase


@pytest.mark.parametrize(
    ("sights", "on", "lost"),
    [
        ((sight(), sight(BOB)), ACCOUNT, None),
        (
            (sight(), sight(BOB, deactivated=True)),
            ACCOUNT,
            "U0BOB, who agreed to it, may not do so any more: deactivated accounts may not cancel anything",
        ),
        (
            (sight(), sight(BOB)),
            account(approvers=(LEA,)),
            "U0BOB, who agreed to it, may not do so any more: not among the approvers of account prod",
        ),
        (
            (sight(KIM), sight(BOB)),
            ACCOUNT,
            "whoever asked for it may not do so any more: not among the requesters of account prod",
        ),
    ],
)
def test_everybody_it_rests_on_has_standing_at_the_start(
    sights: tuple[Sight, ...], on: Account, lost: str | None
) -> None:
    """A requester or approver who may not any more takes the start with them."""
    assert lost == lost_standing(asking().after(approve()).state, on, sights)


# --- without approvers ---------------------------------------------------------------------------------------------


def test_glass_is_broken_for_ever() -> None:
    """Whoever is listed goes on without approvers, and the mark with name, reason and time stays to the end."""
    strict = account(approval=STRICT)
    life = asking().after(break_glass(on=strict), start(on=strict))
    mark = life.state.broke_glass

    assert (Phase.RUNNING, ANN, "pumps burn") == (
        life.state.phase,
        mark.actor if mark else "",
        mark.reason if mark else "",
    )


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (break_glass(BOB, on=account(approval=STRICT)), "Only the person who asked for it may break glass for it."),
        (break_glass(on=ACCOUNT), "You are not listed to break glass on prod."),
        (break_glass(on=account(approval=STRICT), reason=" "), "Say why it goes on without approval."),
    ],
)
def test_who_may_not_break_glass(decision: Decision, reason: str) -> None:
    """Only the requester, only if listed, and only with a reason."""
    assert f"{reason} Nothing was changed." == said(asking(), decision)


def test_glass_broken_by_somebody_no_longer_listed_starts_nothing() -> None:
    """The list is looked at again at the start."""
    life = asking().after(break_glass(on=account(approval=STRICT)))

    assert "whoever broke glass for it is not listed for that any more on account prod" == lost_standing(
        life.state, ACCOUNT, (sight(),)
    )


# --- people --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "who", "wrong"),
    [
        ("approve", sight(BOB), None),
        ("approve", sight(KIM, groups=("S0LEADS",)), None),
        ("approve", sight(ANN), "not among the approvers of account prod"),
        ("approve", sight(ANN, groups=("S0LEADS",)), "whoever asked for #1 may not approve it"),
        ("reject", sight(ANN, groups=("S0LEADS",)), "whoever asked for #1 may not reject it"),
        ("approve", sight(KIM), "not among the approvers of account prod"),
        ("approve", sight(BOB, guest=True), "guests of this workspace may not cancel anything"),
        ("approve", sight(BOB, bot=True), "bots may not cancel anything"),
        (
            "approve",
            sight(BOB, stranger=True),
            "people of other organisations (Slack Connect) may not cancel anything",
        ),
        ("break_glass", sight(ANN), None),
        ("break_glass", sight(BOB), "not among the requesters of account prod"),
        ("withdraw", sight(BOB), "only the person who asked for #1 may withdraw it"),
        ("withdraw", sight(ANN, deactivated=True), "deactivated accounts may not cancel anything"),
        ("order_anyway", sight(KIM, groups=("S0ONCALL",)), "only the person who asked for #1 may order it"),
    ],
)
def test_who_may_press_what(button: str, who: Sight, wrong: str | None) -> None:
    """Approvers who did not ask approve and reject; the requester alone withdraws, and breaks glass if listed."""
    on = account(approval=STRICT, approvers=(BOB, "S0LEADS"))

    assert wrong == press_fault(button, asking().state, who, on)


def test_nobody_approves_in_slack_what_was_ordered_at_a_terminal() -> None:
    """An order from a terminal takes no vote: its person and an approver in Slack may be the same."""
    opening = replace(requested(), body={**requested().body, "via": "terminal"})
    life = Life(opening=opening).after(*WAITING, confirm(approval=STRICT))

    assert "#1 was ordered at a terminal, and nobody approves that in Slack" == press_fault(
        "approve", life.state, sight(BOB), account(approval=STRICT)
    )
    assert "What was ordered at a terminal is never approved in Slack. Nothing was changed." == said(life, approve())


@pytest.mark.parametrize(
    ("people", "eligible", "said"),
    [
        (1, (BOB,), None),
        (2, (BOB, LEA), None),
        (1, (), "This needs a second person to approve it (it is large), and of the approvers of account prod (U0BOB)"),
        (2, (BOB, BOB), "This needs 2 other people to approve it (it is large)"),
    ],
)
def test_a_quorum_that_cannot_be_reached_is_said(people: int, eligible: tuple[str, ...], said: str | None) -> None:
    """Fewer different people than are needed is a refusal with the reason; enough is none."""
    reason = unreachable(NeedsApproval(people, ("it is large",)), eligible, account=ACCOUNT)

    assert said == (reason[: len(said)] if reason and said else reason)


# --- reminders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "minutes"),
    [
        (timedelta(minutes=30), [5, 15]),
        (timedelta(hours=3), [5, 15, 35, 75, 155]),
        (timedelta(minutes=6), [1, 3]),
    ],
)
def test_reminders_come_with_growing_pauses(expires: timedelta, minutes: list[float]) -> None:
    """The first comes after five minutes, or a sixth of the time if that is less; each pause is twice the last."""
    life = asking(Approval(above=0, expires=expires))
    began, seen = life.clock(), list[float]()
    while (due := life.state.reminder) is not None:
        life.clock.at = due
        life.after(approval.remind)
        seen.append((due - began).total_seconds() / 60)

    assert minutes == seen
    assert began + expires == life.state.due


def test_missed_reminders_are_not_made_up_for() -> None:
    """A bot that was away for several reminders sends one."""
    life = asking(Approval(above=0, expires=timedelta(hours=3)))
    life.clock.turn(40 * 60)
    life.after(approval.remind)

    assert 3 == life.state.reminded
    assert "It is not time for a reminder." == said(life, approval.remind)


@pytest.mark.parametrize("way", [approve(), reject(), withdraw()])
def test_nobody_is_reminded_of_what_is_answered(way: Decision) -> None:
    """An answer ends the reminders."""
    assert None is asking().after(way).state.reminder


# --- the same order twice ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda life: life.after(withdraw()), "#1 is already “Withdrawn”"),
        (lambda life: life, "#1 is already “Waiting for confirmation”"),
    ],
)
def test_only_an_order_that_is_checked_is_held(act: Callable[[Life], Life], reason: str) -> None:
    """What has a card or an end is not held back any more."""
    life = act(Life().after(*WAITING))

    assert said(life, lambda state, now: decisions.hold(state, now, like=9)).startswith(reason)


def test_a_held_order_goes_on_when_it_is_meant() -> None:
    """Its asker alone lets it go on, once."""
    life = Life().after(lambda state, now: decisions.hold(state, now, like=9))
    assert 9 == life.state.held
    assert said(life, lambda state, now: decisions.order_anyway(state, now, actor=BOB)).startswith("Only the person")
    life.after(lambda state, now: decisions.order_anyway(state, now, actor=ANN))
    gone_on = life.state
    assert (None, True, Phase.CHECKING) == (gone_on.held, gone_on.anyway, gone_on.phase)
    assert "#1 goes on already. Nothing was changed." == said(
        life, lambda state, now: decisions.order_anyway(state, now, actor=ANN)
    )


def test_a_held_order_that_nobody_meant_comes_to_nothing() -> None:
    """Without a word its time ends it, and it says why."""
    life = Life().after(lambda state, now: decisions.hold(state, now, like=9))
    life.clock.turn(1800)
    life.after(decisions.expire)

    assert (Phase.VOIDED, Kind.VOIDED) == (life.state.phase, life.events[-1].kind)
    assert "it is like #9, which was open, and nobody said that it was meant all the same" == life.state.why


# --- what must hold whatever went wrong before ---------------------------------------------------------------------


def test_people_are_counted_not_votes() -> None:
    """A second vote of the same approver, or one of the requester, that was let through by mistake counts nothing."""
    life = asking(TWO).after(approve(BOB, on=LISTED))
    for actor in (BOB, ANN):
        life.put(replace_actor(life.events[-1], actor))

    assert (Phase.WAITING_APPROVAL, (BOB,), 1) == (
        life.state.phase,
        tuple(vote.actor for vote in life.state.votes),
        life.state.missing,
    )


def replace_actor(event: Event, actor: str) -> NewEvent:
    """Return an event as it would be from somebody else."""
    return NewEvent(kind=Kind(event.kind), actor=actor, body=event.body)


def test_a_reason_that_nobody_saw_is_stricter() -> None:
    """What began to flash since it was approved is void: nobody agreed to hitting that, nor did a broken glass."""
    verdict = NeedsApproval(1, ("“in-progress” always needs one",), ("“in-progress” always needs one",))
    ways = (approve(), break_glass(on=account(approval=STRICT)))

    assert [True, True] == [stricter(asking().after(way).state, verdict) for way in ways]


def test_the_card_goes_by_the_latest_rules() -> None:
    """The rules that hold are those of the confirmation and of the votes, not of the preview before."""
    life = Life().after(*WAITING)
    before = life.state.policy
    life.after(confirm(approval=STRICT))

    assert (100, 0) == (before["above"] if before else None, life.state.policy["above"] if life.state.policy else None)


def test_a_plan_for_another_cloud_is_not_confirmed() -> None:
    """Nobody is asked to approve what nobody could approve."""
    life = Life().after(*WAITING)
    elsewhere = account(endpoint="https://elsewhere.example")

    assert said(
        life,
        lambda state, now: approval.confirm(state, now, actor=ANN, account=elsewhere, ran_alone=0, evidence={}),
    ).startswith("Account prod is no longer the cloud, endpoint and key that this was planned for.")
