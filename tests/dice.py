"""Lives that dice choose: cancels by job, and of 450 devices by name."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from bot.domain import decisions, running
from bot.domain.account import Approval
from bot.domain.decisions import Decision
from bot.domain.order import Cancel
from bot.domain.reading import Counts
from bot.domain.secret import Secret
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    BOB,
    COUNTS,
    DEVICES,
    DONE,
    DRAINED,
    FAILED,
    IN_A_FILE,
    LARGE,
    MOVED,
    NAMED,
    NAMES,
    ORDER,
    THROTTLED,
    UNKNOWN,
    WAITING,
    Clock,
    Life,
    account,
    blind,
    confirm,
    finish,
    keep_names,
    named,
    record,
    refuse_order,
    requested,
    send,
    send_rest,
    show_names,
    show_preview,
    skip,
    split,
    start,
    start_names,
    stop,
    verify,
    void,
    withdraw,
)

CALLS: Final = 3
"""How many calls a diced run begins with."""
GROWN: Final[Counts] = {**COUNTS, Status.QUEUED: 99}
UNSEEN: Final[Counts] = {**COUNTS, Status.QUEUED: None}
PAUSES: Final = (*[0] * 12, 1, 30, 299, 900, 1800)
"""Seconds between diced steps."""
Steps = tuple[Decision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """One sort of order, and where its diced lives begin: most of them run."""

    order: Cancel
    beginnings: tuple[Steps, ...]


BY_JOB: Final = Sort(order=ORDER, beginnings=((), WAITING, APPROVED, *([(*APPROVED, start(calls=CALLS))] * 4)))
BY_NAME: Final = Sort(order=DEVICES, beginnings=((), NAMED[:1], NAMED[:2], *([NAMED] * 4)))
FROM_FILE: Final = Sort(order=IN_A_FILE, beginnings=((), (keep_names(),), *([(keep_names(), *NAMED)] * 4)))
SORTS: Final = (BY_JOB, BY_NAME, FROM_FILE)


def any_step(dice: Random, sort: Sort = BY_JOB) -> Steps:
    """Choose what happens next: most often a call and its answer, less often what ends a life."""
    return _any_step(dice) if sort is BY_JOB else _any_named(dice)


def _ends(dice: Random) -> tuple[Steps, ...]:
    person = dice.choice((ANN, ANN, BOB))
    again: Decision = lambda state, now: decisions.retried(state, now, actor=person, new=77)  # noqa: E731 - as below
    return (
        (withdraw(person),),
        (stop(person),),
        (finish(),),
        (void(),),
        (refuse_order(),),
        (decisions.expire,),
        (blind(),),
        (again,),
        (again,),
    )


def _any_step(dice: Random) -> Steps:
    person, call = dice.choice((ANN, ANN, BOB)), dice.randint(1, CALLS)
    answer = dice.choice((DONE, DONE, FAILED, THROTTLED, THROTTLED, UNKNOWN, UNKNOWN))
    counts = dice.choice((COUNTS, COUNTS, COUNTS, DRAINED, GROWN, UNSEEN))
    other = account(key_id=Secret("other")), account(approval=Approval(above=10))
    late = record(answer, call, attempt=dice.randint(1, 5), by=dice.choice((None, "read")))
    rare: tuple[Steps, ...] = (
        (show_preview(counts),),
        (confirm(person, ran_alone=dice.choice((0, 0, 80))),),
        (start(counts, on=dice.choice((ACCOUNT, ACCOUNT, *other)), calls=CALLS),),
        (verify(counts, canceled=dice.choice((None, 0, 3, 55))),),
        *_ends(dice),
    )
    common: tuple[Steps, ...] = (
        (send(dice.randint(0, CALLS + 1)),),
        (late,),
        (record(answer, call),),
        (*APPROVED, start(calls=CALLS)),
    )
    return dice.choices(((send(call), record(answer, call)), dice.choice(common), dice.choice(rare)), (4, 3, 2))[0]


def _any_named(dice: Random) -> Steps:
    person, call = dice.choice((ANN, ANN, BOB)), dice.choice((1, 2, 3, 1, 2, 3, dice.randint(0, 12)))
    answer = dice.choice((DONE, FAILED, THROTTLED, UNKNOWN, MOVED, MOVED))
    seen = named(dice.choice((450, 450, 200, 0, 451)), canceled=dice.choice((0, 150)), unlooked=dice.choice((0, 0, 9)))
    moved = dice.choice((0, 0, 1, 7, 180))
    other = replace(LARGE, key_id=Secret("other")), replace(LARGE, approval=Approval(above=10))
    rare: tuple[Steps, ...] = (
        (keep_names(NAMES),),
        (show_names(seen),),
        (confirm(person, approval=LARGE.approval),),
        (start_names(seen, on=dice.choice((LARGE, LARGE, *other))),),
        (lambda state, now: running.verify(state, now, reading=replace(seen, at=now)),),
        *_ends(dice),
    )
    common: tuple[Steps, ...] = (
        (send_rest(call, moved=moved),),
        (record(answer, call, attempt=dice.randint(1, 5), by=dice.choice((None, "read"))),),
        (record(answer, call),),
        (skip(call),),
        (split(call, moved=moved),),
        (keep_names(), *NAMED),
    )
    sending = (send_rest(call, moved=moved), record(answer, call))
    return dice.choices((sending, dice.choice(common), dice.choice(rare)), (5, 3, 1))[0]


def lived(seed: int, length: int) -> Life:
    """Lead a life through decisions that dice choose; nothing may raise."""
    dice = Random(seed)  # noqa: S311 - dice for a test
    sort = dice.choice(SORTS)
    life = Life(clock=Clock(), opening=requested(order=sort.order)).after(*dice.choice(sort.beginnings))
    for _ in range(length):
        life.clock.turn(dice.choice(PAUSES))
        for decision in any_step(dice, sort):
            life.decide(decision)
    return life
