"""Slots: evenly spaced, shared by all, pushed back by a throttling answer, and never stuck."""

from itertools import pairwise

import pytest

from bot.ledger.ledger import Ledger
from bot.ledger.slots import LONGEST_PUSH, RECOVERY, SLOWEST, STEPPED_CLOCK, Slots
from tests.builders import NOW, Clock
from tests.ledger.conftest import Open

SPACING = 0.204
START = NOW.timestamp()


@pytest.fixture
def slots(ledger: Ledger) -> Slots:
    return ledger.slots


def reserved(slots: Slots, count: int = 1, *, operation: str = "job") -> list[float]:
    """Reserve slots, and return how far they lie after the clock's first time."""
    return [round(slots.reserve("q", operation, SPACING) - START, 6) for _ in range(count)]


def test_slots_are_evenly_spaced(slots: Slots) -> None:
    """The first slot is now, and each next one lies one spacing later, however fast they are asked for."""
    assert [0, 0.204, 0.408, 0.612] == reserved(slots, 4)


def test_no_second_holds_more_than_the_limit(slots: Slots) -> None:
    """At five calls a second no sliding second holds a sixth."""
    times = reserved(slots, 40)

    assert min(later - sooner for sooner, later in zip(times, times[5:], strict=False)) > 1


def test_time_that_was_not_used_is_not_saved_up(slots: Slots, clock: Clock) -> None:
    """After a pause there is one slot at once and no burst."""
    reserved(slots)
    clock.turn(60)

    assert [60, 60.204] == reserved(slots, 2)


def test_operations_and_quotas_have_slots_of_their_own(slots: Slots) -> None:
    """One operation's calls do not hold another's back, nor one quota's another's."""
    reserved(slots, 5)

    assert [0] == reserved(slots, operation="query")
    assert START == slots.reserve("other", "job", SPACING)


def test_two_processes_share_the_slots(opened: Open) -> None:
    """Two connections to one database reserve one row of slots between them."""
    one, other = opened().slots, opened().slots
    times = [slots.reserve("q", "job", SPACING) for slots in (one, other, other, one)]

    assert [0, 0.204, 0.408, 0.612] == [round(time - START, 6) for time in times]


def test_taking_does_not_queue(slots: Slots, clock: Clock) -> None:
    """`take` takes a slot that is free now; else it says how long to wait and leaves the slots alone."""
    answers = [slots.take("q", "job", SPACING) for _ in range(3)]
    clock.turn(0.3)
    answers.append(slots.take("q", "job", SPACING))

    assert [0, 0.204, 0.204, 0] == [round(answer, 6) for answer in answers]


def test_taking_and_reserving_share_the_slots(slots: Slots) -> None:
    """A slot that was taken is not reserved, and one that is reserved is not taken."""
    slots.take("q", "job", SPACING)
    times = reserved(slots, 2)

    assert [0.204, 0.408] == times
    assert 0.612 == round(slots.take("q", "job", SPACING), 6)


@pytest.mark.parametrize(
    ("asked", "held"), [(2.5, 2.5), (LONGEST_PUSH, 120), (121, 120), (86_400, 120), (0, 0), (-5, 0)]
)
def test_a_push_holds_back(slots: Slots, asked: float, held: float) -> None:
    """A throttling answer holds the operation back as long as it says, and 120 s at most."""
    slots.push("q", "job", asked)

    assert [held] == reserved(slots)


def test_a_push_never_brings_forward(slots: Slots) -> None:
    """A push that is shorter than what waits already changes no slot."""
    reserved(slots, 50)
    slots.push("q", "job", 1)

    assert [10.2] == reserved(slots)


def test_the_rate_recovers(slots: Slots) -> None:
    """After a throttling answer calls are spaced twice as wide, and with each slot a little less, down to normal."""
    slots.push("q", "job", 0)
    times = reserved(slots, 10)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    expected = [max(1.0, 2 * RECOVERY**step) * SPACING for step in range(9)]

    assert [round(gap, 4) for gap in expected] == [round(gap, 4) for gap in gaps]
    assert round(SPACING, 4) == round(gaps[-1], 4)


def test_the_rate_has_a_floor(slots: Slots) -> None:
    """However often it is throttled, an operation goes on at an eighth of its rate."""
    for _ in range(20):
        slots.push("q", "job", 0)
    first, second = reserved(slots, 2)

    assert round(SLOWEST * SPACING, 6) == round(second - first, 6)


def test_pushes_do_not_add_up(slots: Slots) -> None:
    """Ten throttling answers of a minute at once hold back one minute."""
    for _ in range(10):
        slots.push("q", "job", 60)

    assert [60] == reserved(slots)


@pytest.mark.parametrize(
    ("back", "expected"), [(STEPPED_CLOCK - 1, STEPPED_CLOCK - 1), (STEPPED_CLOCK + 1, 0), (86_400, 0)]
)
def test_a_clock_set_back_stops_nobody(slots: Slots, clock: Clock, back: float, expected: float) -> None:
    """A slot more than 15 minutes ahead was written by another clock, and counts for nothing."""
    slots.push("q", "job", 0)
    clock.turn(-back)

    assert expected == slots.ahead("q", "job")
    assert expected == round(slots.reserve("q", "job", SPACING) - clock().timestamp(), 6)


def test_a_clock_set_back_stops_no_taking(slots: Slots, clock: Clock) -> None:
    """A stepped clock does not keep `take` waiting either."""
    slots.take("q", "job", SPACING)
    clock.turn(-3600)

    assert 0 == slots.take("q", "job", SPACING)
    assert round(SPACING, 6) == round(slots.take("q", "job", SPACING), 6)


def test_how_far_ahead(slots: Slots) -> None:
    """The queue's length in seconds is what was reserved, and asking reserves nothing."""
    lengths = [slots.ahead("q", "job")]
    reserved(slots, 5)
    lengths += [slots.ahead("q", "job"), slots.ahead("q", "job")]

    assert [0, 1.02, 1.02] == [round(length, 6) for length in lengths]


def test_what_is_reserved_of_a_quota(slots: Slots) -> None:
    """Of each operation of a quota one can read how far ahead it is reserved, and how much wider it is spaced."""
    reserved(slots, 5)
    slots.push("q", "devices", 30)
    slots.push("other", "job", 30)
    found = {name: (round(ahead, 6), slow) for name, (ahead, slow) in slots.of("q").items()}

    assert {"devices": (30.0, 2.0), "job": (1.02, 1.0)} == found
    assert {} == slots.of("nobody's")
