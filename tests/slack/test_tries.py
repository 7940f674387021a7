"""What failed is tried again at growing pauses, and holds up nothing else."""

import pytest

from bot.domain.errors import LedgerError
from bot.slack.tries import PAUSES, Tries
from tests.builders import Clock


def failing() -> bool:
    raise OSError


def test_pauses_grow() -> None:
    """Each failure is followed by a longer pause, up to the last one; nothing is tried before it is over."""
    clock = Clock()
    tries, waited = Tries(clock), list[float]()
    for _ in range(len(PAUSES) + 1):
        assert not tries.attempt("a", failing)
        assert not tries.attempt("a", lambda: True)
        waited.append(tries.soonest())
        clock.turn(waited[-1])

    assert [*PAUSES, PAUSES[-1]] == waited
    assert tries.attempt("a", lambda: True)
    assert 0 == tries.failures("a")


def test_others_go_on() -> None:
    """What failed is remembered by itself."""
    tries = Tries(Clock())
    tries.attempt("a", failing)

    assert (True, 1, 0) == (tries.attempt("b", lambda: True), tries.failures("a"), tries.failures("b"))


def test_what_is_due_and_not_tried_is_not_waited_for() -> None:
    """What waits for something else when its pause is over must not turn the rounds into a spin."""
    clock = Clock()
    tries = Tries(clock)
    tries.attempt("a", failing)
    clock.turn(PAUSES[0] + 1)

    assert float("inf") == tries.soonest()


def test_a_ledger_that_fails_ends_the_round() -> None:
    """A ledger that cannot be read is nobody's own failure."""

    def broken() -> bool:
        raise LedgerError("no disk")

    tries = Tries(Clock())
    with pytest.raises(LedgerError):
        tries.attempt("a", broken)

    assert 0 == tries.failures("a")
