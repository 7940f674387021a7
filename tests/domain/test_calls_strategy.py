"""The strategy of a batch and then its tasks: what is said where only one was stopped, and when to look again."""

from dataclasses import replace
from typing import Final

import pytest

from bot.domain import decisions, running
from bot.domain.cancellation import LATER, Phase
from bot.domain.decisions import Decision
from bot.domain.offer import CANCEL_STRATEGY
from bot.domain.order import CancelStrategy
from bot.domain.policy import Allowed
from bot.domain.status import Status
from tests.builders import (
    ACCOUNT,
    DONE,
    DRAINED,
    EVIDENCE,
    FAILED,
    NOW,
    UNKNOWN,
    Life,
    confirm,
    finish,
    plan,
    preview,
    reading,
    record,
    requested,
    send,
    stop,
)

BOTH: Final = CancelStrategy(job="J1", statuses=(Status.QUEUED, Status.NOTIFIED))
ALONE: Final = CancelStrategy(job="J1")
EASY: Final = replace(ACCOUNT, approval=replace(ACCOUNT.approval, always=()))


def strategy(*ways: Decision, order: CancelStrategy = BOTH, dynamic: bool = True) -> Life:
    """Return a life of a strategy that runs, and went on so."""
    seen = preview()
    seen = replace(seen, job=replace(seen.job, dynamic=dynamic))
    show: Decision = lambda state, now: decisions.show_preview(  # noqa: E731
        state,
        now,
        preview=seen,
        plan=plan(order=order),
        estimate=1,
        verdict=Allowed(),
        account=EASY,
        evidence=EVIDENCE,
    )
    begin: Decision = lambda state, now: running.start(  # noqa: E731
        state, now, reading=reading(at=now), account=EASY, evidence=EVIDENCE
    )
    return Life(opening=requested(order=order)).after(show, confirm(approval=EASY.approval), begin, *ways)


def look(batch: str = "IN_PROGRESS", *, canceled: int | None = 55) -> Decision:
    """Look at the cloud again."""
    seen = replace(reading(DRAINED, canceled=canceled, at=NOW), batch=batch)
    return lambda state, now: running.verify(state, now, reading=seen)


TASKS: Final = (send(2), record(DONE, 2))


@pytest.mark.parametrize(
    ("way", "dynamic", "why"),
    [
        (
            (send(1), record(FAILED), *TASKS, look()),
            True,
            "the strategy was not stopped, so devices may still join the batch",
        ),
        ((send(1), record(FAILED), *TASKS, look()), False, "the strategy was not stopped"),
        (
            (send(1), record(UNKNOWN), *TASKS, look()),
            True,
            "whether the strategy was stopped is not known, so devices may still join the batch",
        ),
        ((send(1), record(UNKNOWN), *TASKS, look("CANCELED")), True, ""),
        ((send(1), record(DONE), *TASKS, look()), True, ""),
        ((send(1), record(DONE), send(2), record(FAILED, 2), look()), True, ""),
        ((send(1), record(FAILED), send(2), record(FAILED, 2), look()), True, ""),
    ],
)
def test_devices_may_still_join(way: tuple[Decision, ...], dynamic: bool, why: str) -> None:
    """Where tasks were cancelled and the strategy was not, the end says that devices may still join."""
    assert why == strategy(*way, finish(), dynamic=dynamic).state.why


def test_beside_another_reason() -> None:
    """It is said beside why the run came to its end."""
    life = strategy(send(1), record(FAILED), *TASKS, stop(), finish("the cloud could not be read"))

    assert "the cloud could not be read; the strategy was not stopped, so devices may still join the batch" == (
        life.state.why
    )


def test_it_is_partly_done() -> None:
    """Tasks without their strategy are Partly done."""
    life = strategy(send(1), record(FAILED), *TASKS, look(), finish())

    assert Phase.PARTLY_DONE is life.state.phase


@pytest.mark.parametrize("order", [BOTH, ALONE])
def test_a_strategy_is_looked_at_later(order: CancelStrategy) -> None:
    """A strategy that was stopped is looked at after the end, though no device was in its call."""
    way = (send(1, count=0), record(DONE), *((send(2), record(FAILED, 2)) if order is BOTH else ()))
    state = strategy(*way, look(), finish(), order=order).state

    assert state.ended is not None
    assert state.ended + LATER[0] == state.due


@pytest.mark.parametrize(
    ("way", "again"),
    [
        ((send(1, count=0), record(DONE), look()), True),
        ((send(1, count=0), record(DONE), look(canceled=None)), True),
        ((send(1, count=0), record(DONE), look("CANCELED")), False),
        ((send(1, count=0), record(FAILED), look()), False),
    ],
)
def test_looked_at_until_it_shows(way: tuple[Decision, ...], again: bool) -> None:
    """The first verification looks again while the batch of a stopped strategy does not show it."""
    life = strategy(*way, order=ALONE)

    assert CANCEL_STRATEGY == life.state.plan.call(running.STRATEGY).step.action if life.state.plan else False
    assert again == running.may_show_more(life.state)
