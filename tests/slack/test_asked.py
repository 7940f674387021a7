"""Whom the events of an approval mention and write to: exactly those who have to answer, or wait for an answer."""

import re
from dataclasses import replace
from typing import Final

import pytest

from bot.domain import decisions
from bot.domain.approval import TERMINAL, remind
from bot.domain.decisions import Decision, event
from bot.domain.events import BOT, Kind
from bot.slack.asked import (
    ASKING,
    MOST_DIRECT,
    MOST_MENTIONED,
    TELLING,
    Approvers,
    asks,
    calls,
    direct,
    thread_reply,
)
from tests.builders import (
    ANN,
    BOB,
    ORDER,
    WAITING,
    Life,
    account,
    approve,
    break_glass,
    confirm,
    finish,
    record,
    reject,
    requested,
    send,
    show_preview,
    start,
    void,
    withdraw,
)
from tests.domain.test_approval import LEA, LISTED, TWO

GROUP: Final = "S0LEADS"
APPROVERS: Final = Approvers(people=(ANN, BOB, LEA), listed=(GROUP, ANN, BOB))
LINK: Final = "<https://a.example/p1|Go to its card>"
MENTION: Final = re.compile(r"<([@!][^<>^]*(?:\^S\w+)?)>")
WHAT: Final = "the queued and notified tasks of job J1 on prod"
SIZED: Final = f"{WHAT} (52 now, at most 59)"
BY: Final = "<!date^1767324845^{time}|03:34 UTC>"


NAMES: Final = {ANN: "Ann Arbor", LEA: "lea"}
"""What people are called; Slack says nothing of Bob."""


def asking(*more: Decision) -> Life:
    """Return a life that needs two people's approval, and went on so."""
    life = Life(opening=requested(reason="1.4.2 bricks pumps")).after(show_preview(approval=TWO), confirm(approval=TWO))
    return life.after(*more)


def reminded() -> Life:
    """Return a life whose approvers were asked once more."""
    life = asking()
    life.clock.turn(300)
    return life.after(remind)


def expired(life: Life) -> Life:
    """Return a life whose time has run out."""
    life.clock.turn(3600)
    return life.after(decisions.expire)


ON: Final = LISTED
LIVES: Final = {
    Kind.CONFIRMED: asking(),
    Kind.REMINDED: reminded(),
    Kind.BROKE_GLASS: asking(break_glass(on=account(approval=TWO), reason="pumps burn.")),
    Kind.APPROVED: asking(approve(BOB, on=ON), approve(LEA, on=ON)),
    Kind.REJECTED: asking(reject(LEA, reason="not tonight.")),
    Kind.EXPIRED: expired(asking()),
    Kind.VOIDED: asking(approve(BOB, on=ON), approve(LEA, on=ON), void("another key.")),
}


def thread(life: Life, approvers: Approvers = APPROVERS) -> str | None:
    """Return what the latest event adds to the thread."""
    made = thread_reply(life.events[-1], life.state, approvers, NAMES.get(life.events[-1].actor))
    return made.text if made is not None else None


def written(life: Life, approvers: Approvers = APPROVERS) -> dict[str, str]:
    """Return what the latest event has written directly, by person."""
    made = direct(life.events[-1], life.state, approvers, LINK)
    return {person: message.text for person, message in made if message is not None}


def rung(text: str | None) -> list[str]:
    """Return whom a text mentions; a time is nobody."""
    return [found for found in MENTION.findall(text or "") if not found.startswith("!date")]


# --- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        (
            Kind.CONFIRMED,
            (
                f"<@{BOB}> <@{LEA}> #1 waits for your approval until {BY}: {SIZED}, confirmed by Ann Arbor."
                " Why: 1.4.2 bricks pumps."
            ),
        ),
        (
            Kind.REMINDED,
            f"<@{BOB}> <@{LEA}> #1 still waits for your approval until {BY}: {SIZED}. Why: 1.4.2 bricks pumps.",
        ),
        (
            Kind.BROKE_GLASS,
            f"<@{BOB}> <@{LEA}> Ann Arbor broke the glass on #1 and went on without you: {SIZED}. Why: pumps burn.",
        ),
        (Kind.APPROVED, f"<@{ANN}> #1 is approved by lea; it starts now: {WHAT}."),
        (Kind.REJECTED, f"<@{ANN}> #1 is rejected by lea: not tonight. Nothing was cancelled of {WHAT}."),
        (Kind.EXPIRED, None),
        (Kind.VOIDED, None),
    ],
)
def test_the_thread_rings_exactly_those_it_is_for(kind: Kind, reply: str | None) -> None:
    """Approvers are asked and reminded, the asker hears of decisions; the ends by time have replies of their own."""
    assert reply == thread(LIVES[kind])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            Kind.CONFIRMED,
            f"#1 waits for your approval until {BY}: {SIZED}, asked for by <@{ANN}>. Why: 1.4.2 bricks pumps. {LINK}",
        ),
        (
            Kind.REMINDED,
            (
                f"#1 still waits for your approval until {BY}: {SIZED}, asked for by <@{ANN}>."
                f" Why: 1.4.2 bricks pumps. {LINK}"
            ),
        ),
        (
            Kind.BROKE_GLASS,
            f"<@{ANN}> broke the glass on #1 and went on without you: {SIZED}. Why: pumps burn. {LINK}",
        ),
    ],
)
def test_approvers_are_written_to(kind: Kind, told: str) -> None:
    """Each approver but the asker gets the question or the news directly, with the link, and who it was."""
    assert {BOB: told, LEA: told} == written(LIVES[kind])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Kind.APPROVED, f"#1 is approved by <@{LEA}>; it starts now: {WHAT}. {LINK}"),
        (Kind.REJECTED, f"#1 is rejected by <@{LEA}>: not tonight. Nothing was cancelled of {WHAT}. {LINK}"),
        (Kind.EXPIRED, f"#1 has expired: nobody answered in time. Nothing was cancelled of {WHAT}. {LINK}"),
        (Kind.VOIDED, f"#1 is void: another key. Nothing was cancelled of {WHAT}. {LINK}"),
    ],
)
def test_whoever_asked_is_written_to(kind: Kind, told: str) -> None:
    """Each decision, and each end without one, is told to the asker directly and to nobody else."""
    assert {ANN: told} == written(LIVES[kind])


def test_a_vote_that_is_not_the_last_says_how_many_are_missing() -> None:
    """Of two approvals the first starts nothing yet, and is told so also when it is told after the second."""
    first = asking(approve(BOB, on=ON))
    both = asking(approve(BOB, on=ON), approve(LEA, on=ON))
    late = thread_reply(first.events[-1], both.state, APPROVERS)

    assert f"<@{ANN}> #1 is approved by {BOB}; it still needs 1 more approval: {WHAT}." == thread(first)
    assert late is not None
    assert thread(first) == late.text


def test_no_link_leaves_no_gap() -> None:
    """Where Slack does not say where the card is, the sentence ends without a link."""
    (_, message), *_others = direct(LIVES[Kind.REJECTED].events[-1], LIVES[Kind.REJECTED].state, APPROVERS, "")

    assert message is not None
    assert message.text.endswith("on prod.")


# --- who is not called ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(ASKING))
def test_the_asker_is_never_an_approver(kind: Kind) -> None:
    """Whoever asked for it is neither mentioned nor written to as an approver, however they are listed."""
    life = LIVES[kind]
    for approvers in (APPROVERS, Approvers(listed=(ANN, GROUP)), Approvers(people=(ANN,), listed=(ANN, GROUP))):
        assert f"@{ANN}" not in rung(thread(life, approvers))
        assert ANN not in written(life, approvers)


def test_who_has_answered_is_not_asked_again() -> None:
    """A reminder is for those alone who have not approved yet."""
    life = asking(approve(BOB, on=ON))
    life.clock.turn(300)
    life.after(remind)

    assert [f"@{LEA}"] == rung(thread(life))
    assert [LEA] == list(written(life))


def test_who_has_answered_keeps_their_place() -> None:
    """What is told person by person does not shift when somebody answers meanwhile: nobody would be left out."""
    asked = asking()
    later = asking(approve(BOB, on=ON))
    before = direct(asked.events[-1], asked.state, APPROVERS, LINK)
    after = direct(asked.events[-1], later.state, APPROVERS, LINK)

    assert [BOB, LEA] == [person for person, _ in before] == [person for person, _ in after]
    assert [True, False] == [message is None for _, message in after]


@pytest.mark.parametrize("kind", [Kind.CONFIRMED, Kind.REMINDED])
@pytest.mark.parametrize(
    "answer",
    [
        (approve(BOB, on=ON), approve(LEA, on=ON)),
        (reject(LEA),),
        (withdraw(),),
        (void(),),
        (break_glass(on=account(approval=TWO)),),
    ],
    ids=["approved", "rejected", "withdrawn", "voided", "broke-glass"],
)
def test_nobody_is_called_once_it_is_answered(kind: Kind, answer: tuple[Decision, ...]) -> None:
    """A question that is told late, when it has its answer, is told to nobody any more."""
    life = asking() if kind is Kind.CONFIRMED else reminded()
    question = life.events[-1]
    life.after(*answer)

    assert None is thread_reply(question, life.state, APPROVERS)
    assert () == direct(question, life.state, APPROVERS, LINK)


def test_broken_glass_is_told_however_late() -> None:
    """Those who were passed over hear of it also when everything is over by then."""
    life = asking(break_glass(on=account(approval=TWO)))
    mark = life.events[-1]
    life.after(start(on=account(approval=TWO)), send(), record(), finish())

    assert [BOB, LEA] == [person for person, message in direct(mark, life.state, APPROVERS, LINK) if message]


def test_nobody_is_asked_to_approve_what_a_terminal_ordered() -> None:
    """Before the glass is broken there, nobody is called to approve it in Slack; afterwards all are told."""
    opening = decisions.requested("cli:ann", ORDER, ON, channel="C0OPS", via=TERMINAL)
    listed = account(approval=replace(TWO, break_glass=("cli:ann",)))
    life = Life(opening=opening).after(show_preview(approval=TWO), confirm("cli:ann", approval=TWO))

    assert (None, {}) == (thread(life), written(life))

    life.after(break_glass("cli:ann", on=listed))
    assert [f"@{BOB}", f"@{LEA}"] == rung(thread(life, replace(APPROVERS, people=(BOB, LEA))))
    assert "cli:ann broke the glass on #1" in written(life)[BOB]


def test_a_terminal_gets_no_direct_message() -> None:
    """Whoever asked at a terminal is nobody whom Slack could write to."""
    life = LIVES[Kind.REJECTED]

    assert () == direct(life.events[-1], replace(life.state, requester="cli:ann"), APPROVERS, LINK)


@pytest.mark.parametrize("way", [(), (void(),)], ids=["confirmed", "voided"])
def test_what_needs_nobody_calls_nobody(way: tuple[Decision, ...]) -> None:
    """An order that one may give alone brings neither question nor direct message."""
    life = Life().after(*WAITING, confirm(), *way)
    latest = life.events[-1]

    assert (False, False) == (asks(latest, life.state), calls(latest, life.state))
    assert (None, {}) == (thread(life), written(life))


@pytest.mark.parametrize("kind", LIVES)
def test_approvers_are_looked_up_for_questions_alone(kind: Kind) -> None:
    """Slack is asked for the approvers when they are to be called, and for the card's place with every call."""
    life = LIVES[kind]

    assert ((kind in ASKING), True) == (asks(life.events[-1], life.state), calls(life.events[-1], life.state))
    assert kind in ASKING | TELLING


# --- many ----------------------------------------------------------------------------------------------------------


def crowd(count: int) -> tuple[str, ...]:
    return tuple(f"U0APP{number:03}" for number in range(count))


def test_twenty_are_mentioned_one_by_one() -> None:
    """So many people have a mention each, and their group has none."""
    approvers = Approvers(people=(*crowd(MOST_MENTIONED), ANN), listed=(GROUP,))

    assert [f"@{person}" for person in crowd(MOST_MENTIONED)] == rung(thread(asking(), approvers))


def test_more_are_mentioned_as_their_groups() -> None:
    """Of more the groups are mentioned, and those who are listed by themselves, but for who has answered."""
    approvers = Approvers(people=crowd(MOST_MENTIONED + 1), listed=(ANN, BOB, GROUP, LEA, "S0HEADS"))

    assert [f"!subteam^{GROUP}", "!subteam^S0HEADS", f"@{LEA}"] == rung(
        thread(asking(approve(BOB, on=ON), *_reminding()), approvers)
    )


def _reminding() -> tuple[Decision, ...]:
    return (lambda state, _now: (event(Kind.REMINDED, BOT, time=1, missing=state.missing),),)


def test_a_long_list_of_people_is_cut() -> None:
    """However many are listed one by one, no more than so many are mentioned."""
    approvers = Approvers(people=crowd(30), listed=(*crowd(30), GROUP))

    assert [f"!subteam^{GROUP}", *(f"@{person}" for person in crowd(MOST_MENTIONED - 1))] == rung(
        thread(asking(), approvers)
    )


def test_unknown_approvers_are_called_as_they_are_listed() -> None:
    """Where Slack does not say who is in a group, the group is called as a whole, and nobody is written to."""
    life, unknown = asking(), Approvers(listed=(GROUP, ANN, BOB))

    assert [f"!subteam^{GROUP}", f"@{BOB}"] == rung(thread(life, unknown))
    assert {} == written(life, unknown)


def test_not_everybody_is_written_to() -> None:
    """Of very many approvers so many get a direct message; the others have the thread."""
    assert list(crowd(MOST_DIRECT)) == list(
        written(asking(), Approvers(people=crowd(MOST_DIRECT + 9), listed=(GROUP,)))
    )


def test_nothing_hostile_gets_loose() -> None:
    """Reasons that look like mentions and links are text, in the thread and in direct messages."""
    loud = "<!channel> <@U0EVE> <http://evil|good>"
    opened = Life(opening=requested(reason=loud)).after(show_preview(approval=TWO), confirm(approval=TWO))
    lives = [opened, asking(reject(LEA, reason=loud)), asking(break_glass(on=account(approval=TWO), reason=loud))]

    for life in lives:
        texts = [thread(life) or "", *written(life).values()]
        assert {f"@{ANN}", f"@{BOB}", f"@{LEA}"} >= {found for text in texts for found in rung(text)}
        assert [] == [text for text in texts if "<http" in text.replace(LINK, "")]
