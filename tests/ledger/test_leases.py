"""Leases: one holder at a time, and a dead holder's lapses by itself."""

import pytest

from bot.ledger.leases import LENGTH, RENEW_EVERY, Lease
from bot.ledger.ledger import Ledger
from tests.builders import Clock
from tests.ledger.conftest import Open


def test_a_lease_has_one_holder(ledger: Ledger) -> None:
    """While a lease runs nobody else gets it, and other names are free."""
    mine = ledger.leases.take("a", "me")

    assert Lease("a", "me") == mine
    assert None is ledger.leases.take("a", "you")
    assert Lease("b", "you") == ledger.leases.take("b", "you")


@pytest.mark.parametrize(("after", "free"), [(0.0, False), (LENGTH - 0.01, False), (LENGTH, True), (LENGTH + 1, True)])
def test_a_lease_lapses_by_itself(ledger: Ledger, clock: Clock, after: float, free: bool) -> None:
    """After ten seconds without renewal it is anybody's, and exactly then its holder has lost it."""
    mine = ledger.leases.take("a", "me")
    assert mine is not None
    clock.turn(after)

    assert free != ledger.leases.holds(mine)
    assert free == (ledger.leases.take("a", "you") is not None)


def test_a_renewed_lease_goes_on(ledger: Ledger, clock: Clock) -> None:
    """A holder that renews keeps all its leases for as long as it lives."""
    mine = [ledger.leases.take(name, "me") for name in ("a", "b")]
    for _ in range(10):
        clock.turn(RENEW_EVERY)
        ledger.leases.renew("me")

    assert [True, True] == [lease is not None and ledger.leases.holds(lease) for lease in mine]
    assert None is ledger.leases.take("a", "you")


def test_what_has_lapsed_is_not_renewed(ledger: Ledger, clock: Clock) -> None:
    """A holder that stood still for too long does not get its lease back by renewing, and takes none from others."""
    mine = ledger.leases.take("a", "me")
    assert mine is not None
    clock.turn(LENGTH)
    ledger.leases.renew("me")
    lapsed = ledger.leases.holds(mine)
    yours = ledger.leases.take("a", "you")
    ledger.leases.renew("me")

    assert (False, False) == (lapsed, ledger.leases.holds(mine))
    assert yours is not None
    assert ledger.leases.holds(yours)


def test_the_holder_may_take_it_again(ledger: Ledger, clock: Clock) -> None:
    """Taking a lease that one holds prolongs it."""
    ledger.leases.take("a", "me")
    clock.turn(9)
    mine = ledger.leases.take("a", "me")
    clock.turn(9)

    assert mine is not None
    assert ledger.leases.holds(mine)


def test_a_lease_given_back_is_free(ledger: Ledger) -> None:
    """A lease that was given back need not lapse."""
    mine = ledger.leases.take("a", "me")
    assert mine is not None
    ledger.leases.release(mine)

    assert not ledger.leases.holds(mine)
    assert Lease("a", "you") == ledger.leases.take("a", "you")


def test_nobody_gives_back_what_another_holds(ledger: Ledger, clock: Clock) -> None:
    """A late worker that gives its lapsed lease back does not free the new holder's."""
    mine = ledger.leases.take("a", "me")
    assert mine is not None
    clock.turn(LENGTH)
    yours = ledger.leases.take("a", "you")
    assert yours is not None
    ledger.leases.release(mine)
    ledger.leases.release_all("me")

    assert ledger.leases.holds(yours)


def test_a_process_that_leaves_gives_all_back(ledger: Ledger) -> None:
    """All leases of one process are given back at once, and no other's."""
    for name in ("a", "b"):
        ledger.leases.take(name, "me")
    yours = ledger.leases.take("c", "you")
    ledger.leases.release_all("me")

    assert [True, True] == [ledger.leases.take(name, "you") is not None for name in ("a", "b")]
    assert yours is not None
    assert ledger.leases.holds(yours)


@pytest.mark.parametrize(("back", "free"), [(0.001, False), (LENGTH, False), (LENGTH + 0.1, True), (3600, True)])
def test_a_clock_set_back_frees_and_steals_nothing_alive(ledger: Ledger, clock: Clock, back: float, free: bool) -> None:
    """A lease from a clock set back by more than a lease's length is anybody's; one a moment ahead is its holder's."""
    mine = ledger.leases.take("a", "me")
    clock.turn(-back)

    assert mine is not None
    assert free == (ledger.leases.take("a", "you") is not None)
    assert free != ledger.leases.holds(mine)


def test_leases_outlive_a_restart(opened: Open) -> None:
    """A lease stands in the database: another connection sees it, and opening voids nothing."""
    mine = opened().leases.take("a", "me")
    another = opened()

    assert mine is not None
    assert another.leases.holds(mine)
    assert None is another.leases.take("a", "you")
