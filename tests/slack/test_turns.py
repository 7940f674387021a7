"""Whose card is drawn next: what people wait for comes before progress, and nobody is forgotten."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Kind
from bot.slack.pace import BETWEEN_EDITS
from bot.slack.turns import LEAST_REST, SHARE, Need, in_turn, need
from tests.builders import NOW

AGO = st.integers(min_value=-100, max_value=1000)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (Kind.STARTED, Need.CHANGE),
        (Kind.STOPPED, Need.CHANGE),
        (Kind.FINISHED, Need.CHANGE),
        (Kind.RETRIED, Need.CHANGE),
        ("of a newer version", Need.CHANGE),
        (Kind.CALL_SENT, Need.PROGRESS),
        (Kind.CALL_FINISHED, Need.PROGRESS),
        (Kind.VERIFIED, Need.PROGRESS),
        (Kind.CONFIRMED, Need.CHANGE),
        (Kind.APPROVED, Need.CHANGE),
        (Kind.BROKE_GLASS, Need.CHANGE),
        (Kind.REFUSED, Need.NOTHING),
        (Kind.REMINDED, Need.NOTHING),
    ],
)
def test_what_an_event_asks_for(kind: str, asked: Need) -> None:
    """Calls and looks at the cloud change figures alone, a refusal and a reminder nothing, all else the card."""
    assert asked is need(kind)


def test_the_most_urgent_come_first() -> None:
    """First those without a card, then those that changed, then progress; among equals who waits for the longest."""
    needs = {1: Need.PROGRESS, 2: Need.CHANGE, 3: Need.CHANGE, 4: Need.POST, 5: Need.NOTHING, 6: Need.POST}
    drawn = {1: ago(500), 2: ago(1), 3: ago(2)}

    assert [4, 6, 3, 2, 1] == in_turn(needs, drawn, NOW)


@pytest.mark.parametrize(("running", "rest"), [(1, LEAST_REST), (10, 10 * SHARE * BETWEEN_EDITS)])
def test_progress_rests_longer_the_more_of_it_there_is(running: int, rest: float) -> None:
    """One run is shown every few seconds; many share half of Slack's edits."""
    needs = dict.fromkeys(range(running), Need.PROGRESS)

    def ready(seconds: float) -> list[int]:
        return in_turn(needs, dict.fromkeys(needs, ago(seconds)), NOW)

    assert [] == ready(rest - 0.1)
    assert [*range(running)] == ready(rest)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    """A card that was drawn in the future, by a clock that was wrong, is drawn again."""
    assert [1] == in_turn({1: Need.PROGRESS}, {1: ago(-3600)}, NOW)


@given(st.dictionaries(st.integers(1, 20), st.tuples(st.sampled_from(Need), AGO)))
def test_nothing_but_progress_is_held_back(cards: dict[int, tuple[Need, int]]) -> None:
    """Whatever else there is, every card that is missing or has changed is in the list, and before all progress."""
    needs = {card: held for card, (held, _) in cards.items()}
    order = in_turn(needs, {card: ago(seconds) for card, (_, seconds) in cards.items()}, NOW)

    assert {card for card in needs if needs[card] < Need.PROGRESS} == {
        card for card in order if needs[card] < Need.PROGRESS
    }
    assert sorted(order, key=needs.__getitem__) == order
    assert not [card for card in order if needs[card] is Need.NOTHING]
