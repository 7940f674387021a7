"""How tasks flow from status to status."""

import pytest

from bot.domain.status import FLOW, Status, flows_into

S, U, Q, N, P = Status


@pytest.mark.parametrize(
    ("named", "hit"),
    [
        (set(), set()),
        ({S}, {S}),
        ({U}, {U}),
        ({Q}, {U, Q}),
        ({N}, {U, Q, N}),
        ({P}, {U, Q, N, P}),
        ({Q, N}, {U, Q, N}),
        ({U, P}, {U, Q, N, P}),
        ({S, U}, {S, U}),
        ({S, Q}, {S, U, Q}),
    ],
)
def test_what_flows_into_the_named(named: set[Status], hit: set[Status]) -> None:
    """Everything before the last named status reaches it by itself; nothing flows into a scheduled batch."""
    assert hit == flows_into(frozenset(named))


def test_a_scheduled_batch_is_not_in_the_flow() -> None:
    """The flow has every status but the scheduled one, each once."""
    assert set(Status) - {S} == set(FLOW)
    assert len(FLOW) == len(set(FLOW))
