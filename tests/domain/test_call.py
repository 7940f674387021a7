"""Ranges of calls behave as the set of their numbers."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.call import Ranges, holds, size, with_number

numbers = st.lists(st.integers(min_value=1, max_value=60), max_size=40)


def ranges_of(given_numbers: list[int]) -> Ranges:
    """Add the numbers one by one."""
    ranges: Ranges = ()
    for number in given_numbers:
        ranges = with_number(ranges, number)
    return ranges


@given(numbers)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_ranges_are_a_set(drawn: list[int]) -> None:
    """Ranges hold exactly the numbers that were added, in whatever order and however often, and count each once."""
    ranges, plain = ranges_of(drawn), set(drawn)

    assert plain == {number for number in range(-1, 63) if holds(ranges, number)}
    assert len(plain) == size(ranges)


@given(numbers)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_ranges_are_as_few_as_can_be(drawn: list[int]) -> None:
    """Ranges are sorted, do not overlap, and do not even touch."""
    ranges = ranges_of(drawn)

    assert all(low <= high for low, high in ranges)
    assert all(first[1] + 1 < second[0] for first, second in pairwise(ranges))


@given(numbers)
@settings(deadline=None, max_examples=100, derandomize=True)
def test_order_does_not_matter(drawn: list[int]) -> None:
    """The same numbers in another order make the same ranges."""
    assert ranges_of(sorted(drawn)) == ranges_of(drawn)


@pytest.mark.parametrize(
    ("before", "number", "after"),
    [
        ((), 1, ((1, 1),)),
        (((1, 1),), 1, ((1, 1),)),
        (((1, 1),), 2, ((1, 2),)),
        (((1, 1), (3, 3)), 2, ((1, 3),)),
        (((2, 4),), 9, ((2, 4), (9, 9))),
    ],
)
def test_a_number_joins_what_it_touches(before: Ranges, number: int, after: Ranges) -> None:
    """A number between two ranges makes them one."""
    assert after == with_number(before, number)
