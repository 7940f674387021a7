"""A cancellation's story: every event that somebody wants to read is a line, and none stops the telling."""

from dataclasses import replace

import pytest

from bot.domain import running
from bot.domain.approval import BOUNDLESS, remind
from bot.domain.cancellation import Phase
from bot.domain.decisions import Decision, retried
from bot.domain.events import BOT, Event, Kind, NewEvent
from bot.domain.order import CancelJob
from bot.domain.run_story import UNREADABLE
from bot.domain.story import Line, told
from tests.builders import (
    ANN,
    ASKING,
    BOB,
    DEVICES,
    DONE,
    FAILED,
    IN_A_FILE,
    MOVED,
    RUNNING,
    STRICT,
    TAKEN,
    THROTTLED,
    UNKNOWN,
    WAITING,
    Life,
    account,
    answered,
    approve,
    blind,
    break_glass,
    by_bot,
    by_name,
    confirm,
    finish,
    keep_names,
    life_in,
    named,
    record,
    requested,
    send,
    send_rest,
    skip,
    split,
    stop,
    verify,
)
from tests.cli.large import LARGE_ONE, WHY

LIVES = {
    **{phase.value: life_in(phase) for phase in Phase},
    "broken glass": Life().after(*ASKING, break_glass(on=account(approval=STRICT))),
    "from a file": Life(opening=requested(order=IN_A_FILE)).after(keep_names()),
    "by name": by_name(send_rest(1), record(), send_rest(2), record(UNKNOWN, 2), skip(3), verify(), finish(), blind()),
    "split": by_name(send_rest(1), record(MOVED), split(1, moved=190), send_rest(4), record(call=4), stop(), finish()),
    "large": Life(opening=requested(order=replace(DEVICES, reason=WHY))).after(
        *(each for each in LARGE_ONE if each is not remind)
    ),
}


def texts(life: Life) -> list[str]:
    """Return what is told."""
    return [line.text for line in told(life.events)]


def last(life: Life) -> str:
    """Return what is told of the last event."""
    return texts(life)[-1]


@pytest.mark.parametrize("name", LIVES)
def test_every_event_is_told(name: str) -> None:
    """Every event is a line, in order, but for the sending of a call whose end is one."""
    life = LIVES[name]
    lines = list(told(life.events))

    assert [event.id for event in life.events if event.kind != Kind.CALL_SENT] == [line.event.id for line in lines]
    assert [] == [
        line for line in lines if line.text == UNREADABLE or "does not know" in line.text or "\n" in line.text
    ]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_known(kind: Kind) -> None:
    """Of no kind that this version writes it says that it does not know it."""
    event = replace(Life().events[0], kind=kind.value)

    assert [] == [line.text for line in told([event]) if "does not know" in line.text]


@pytest.mark.parametrize("name", LIVES)
def test_never_raises(name: str) -> None:
    """An event that somebody has emptied is said to be unreadable, and the others are told all the same."""
    events = LIVES[name].events
    for ill in range(len(events)):
        story = [replace(event, body={}) if place == ill else event for place, event in enumerate(events)]
        assert len([event for event in events if event.kind != Kind.CALL_SENT]) <= len(list(told(story)))


def test_a_kind_of_a_newer_version() -> None:
    """A kind that this version does not know is named as such."""
    event = replace(Life().events[0], id=2, seq=2, kind="postponed")

    assert "something that this version does not know (postponed)" == list(told([*Life().events, event]))[1].text


def test_what_is_no_cancellations() -> None:
    """An event of the whole ledger is told without a cancellation."""
    body = {"v": 1, "account": "prod", "before": {"above": 100}, "after": {"above": 500}}
    event = Event(
        id=1, cancellation=None, seq=None, at=Life().clock(), actor=BOT, kind="guard_changed", body=body, digest=""
    )

    assert [Line(event=event, text="guard of prod changed: above from 100 to 500")] == list(told([event]))


def test_the_order() -> None:
    """The order is told in full, with the words of whoever asked on one line."""
    asked = "asked to cancel the queued and notified tasks of job J1 on account prod, in channel C0OPS"

    assert f"{asked}; no reason was given" == last(Life())
    assert f"{asked}, because “a b”" == last(Life(opening=requested(reason="a\nb")))


def test_what_was_seen() -> None:
    """The preview is told with its counts, the size now and at most, the time and the plan."""
    life = Life().after(*WAITING)
    assert (
        "looked at job J1 · “Spring” · to 2.1 · the batch is under way: unconfirmed 7, queued 40, notified 12,"
        " in-progress 5, cancelled 3. Would hit 52 now, at most 59; 1 call of CancelOTATaskByJob, about 1 s."
        f" Frozen as plan {(life.state.digest or '')[:12]}"
    ) == last(life)


def test_the_rules_that_held() -> None:
    """A confirmation says by which rules it needs nobody else, or whom and why."""
    plan = (life_in(Phase.APPROVED).state.digest or "")[:12]
    begin = f"confirmed plan {plan} (seen in S0ONCALL). By the rules, more than"
    rules = "devices or in-progress need a second person; U0ANN had run 0 devices alone in the 60 min before."
    alone, needs = last(life_in(Phase.APPROVED)), last(life_in(Phase.WAITING_APPROVAL))

    assert f"{begin} 100 {rules} It needs nobody else" == alone
    assert needs.startswith(f"{begin} 0 {rules}")
    assert needs.endswith("It needs a second person's approval: up to 59 devices are more than 0")


def test_who_agreed() -> None:
    """An approval says out of how many, and what entitles its person."""
    two = replace(STRICT, people=2)
    on = account(approval=two)
    life = Life().after(*ASKING, approve(on=on))
    plan = (life.state.digest or "")[:12]

    assert f"approved plan {plan}, as 1 of 2 (named in the rules); 1 more needed" == last(life)
    assert "as 2 of 2; nobody else is needed" in last(life.after(approve("U0LEA", on=on)))
    assert f"rejected plan {plan} (named in the rules), because “not tonight”" == last(life_in(Phase.REJECTED))


def test_broken_glass() -> None:
    """Glass that was broken is told with whose approval was missing, and why."""
    life = LIVES["broken glass"]
    plan = (life.state.digest or "")[:12]

    assert f"BROKE GLASS: goes on with plan {plan} without a second person's approval, because “pumps burn”" == last(
        life
    )


def test_attempts_at_a_call() -> None:
    """Each attempt that ended is a line with what the cloud said; a call without an answer is told as sent."""
    life = Life().after(*RUNNING, send(), record(THROTTLED), send(), record(), verify(), finish())
    calls = [text for text in texts(life) if text.startswith("call ")]

    assert [
        "call 1 of 1 (CancelOTATaskByJob, 52 tasks), attempt 1: failed (Throttling.User: “slower”; may be sent again)",
        "call 1 of 1 (CancelOTATaskByJob, 52 tasks), attempt 2: done (request R1)",
    ] == calls
    assert "sent call 1 of 1 (CancelOTATaskByJob, 52 tasks), attempt 1: no answer is recorded" == last(
        Life().after(*RUNNING, send())
    )


def test_an_outcome_that_was_read() -> None:
    """What a look at the cloud told of an attempt says so."""
    life = Life().after(*RUNNING, send(), record(UNKNOWN), record(by="read"))

    assert "attempt 1: done (52 tasks cancelled; found out by a look at the cloud; request R1)" in last(life)


def test_the_end() -> None:
    """The end is told with its figures, apart, and with why."""
    life = Life().after(*RUNNING, send(), record(FAILED), finish("the run had made no progress"))
    figures = "asked 52, accepted 0, confirmed not read, left not read"

    assert f"ended it as “Failed”: {figures}. The run had made no progress" == last(life)


def see_names(canceled: int) -> Decision:
    """See so many of 450 devices cancelled."""
    seen = named(450 - canceled, canceled=canceled)
    return lambda state, now: running.verify(state, now, reading=seen)


def test_more_than_it_took() -> None:
    """Where more is seen cancelled than the calls had in them, it is said why that can be."""
    others = "(more than it took: others cancelled on the same job, or more tasks had come to be in these statuses)"
    unheard = "(more than it took: a call without a known answer may have been taken)"
    taken = texts(Life().after(*TAKEN, verify(canceled=56), finish()))
    unknown = texts(Life().after(*RUNNING, send(), record(UNKNOWN), verify(), finish()))

    assert f"looked at the cloud again: 53 confirmed cancelled {others}, 0 left." in taken[-2]
    assert f"accepted 52, confirmed 53 {others}, left 0" in taken[-1]
    assert f"accepted 0, confirmed 52 {unheard}, left 0" in unknown[-1]
    assert "more than" not in last(Life().after(*TAKEN, verify(), finish()))
    named = by_name(send_rest(1), answered(1, DONE), see_names(201), finish())
    assert "accepted 200, confirmed 201 (more than it took: others cancelled on the same job), left 249" in last(named)


@pytest.mark.parametrize(
    ("before", "said"), [(1, "1 device"), (1200, "1,200 devices"), (BOUNDLESS + 3, "an unknown number of devices")]
)
def test_what_was_run_alone(before: int, said: str) -> None:
    """A confirmation says whose devices count in the window; a batch of unknown size fills it."""
    shown = last(Life().after(*WAITING, confirm(ran_alone=before)))

    assert f"; U0ANN had run {said} alone in the 60 min before. " in shown


def test_calls_in_part() -> None:
    """What is left out, skipped and split is told, and the figures add up."""
    shown = "\n".join(texts(LIVES["by name"].after()) + texts(LIVES["split"]))

    assert "did not send call 3 of 3 (CancelOTATaskByDevice, 50 tasks): all of them had moved on" in shown
    assert "it goes on device by device: 10 tasks in calls 4 to 13, without 190 that had moved on" in shown
    assert "asked 450, accepted 1, confirmed not read, left not read, moved on before their call 190" in shown


def test_what_was_left() -> None:
    """Being ordered again is told with the new number, and so is that it came to nothing."""
    life = life_in(Phase.STOPPED).after(lambda state, now: retried(state, now, actor=BOB, new=9))

    assert "ordered what was left again as #9" == last(life)
    life.put(by_bot(Kind.RETRIED, **{"as": None}))
    assert "found that the order for what was left came to nothing: it may be ordered again" == last(life)


def test_a_refused_press() -> None:
    """A press that was refused is told with its button and why."""
    life = Life()
    life.put(
        NewEvent(kind=Kind.REFUSED, actor=ANN, body={"v": 1, "what": "break_glass", "reason": "you are not listed."})
    )

    assert "was refused “break glass”: you are not listed" == last(life)


def test_a_dynamic_batch_from_a_terminal() -> None:
    """An order is told with where it came from, and of what it is the rest."""
    opening = requested(order=CancelJob(job="J1"))
    body = {**opening.body, "channel": None, "via": "terminal", "retry_of": 3}

    assert (
        "asked to cancel batch J1 on account prod, at a terminal, which is the rest of #3; no reason was given"
    ) == last(Life(opening=replace(opening, body=body)))
