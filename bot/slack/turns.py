"""Whose card is drawn next. Pure.

Slack takes about one edit a second in the whole workspace. What somebody waits for comes first: cards that are not
there yet, then those on which something has changed. The progress of runs shares what is left.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

from bot.domain.events import Kind
from bot.slack.pace import BETWEEN_EDITS

LEAST_REST: Final = 3.0
"""Seconds at least between two edits of one card that show nothing but progress."""
SHARE: Final = 2
"""Progress may have one in so many of Slack's edits; the others are free for what is more urgent."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Need(IntEnum):
    """What is to be done for a card, the most urgent first."""

    POST = 0
    """It is not there yet."""
    CHANGE = 1
    """Its state has changed, or what somebody may press on it."""
    PROGRESS = 2
    """Only figures have changed."""
    NOTHING = 3


PROGRESS: Final = frozenset(
    {Kind.CALL_SENT, Kind.CALL_FINISHED, Kind.CALL_SKIPPED, Kind.CALL_SPLIT, Kind.VERIFIED},
)
"""The kinds of events that change figures alone."""


def need(kind: str) -> Need:
    """Return what an event asks for; a refused press and a reminder for nothing: the card stays as it is."""
    if kind in {Kind.REFUSED, Kind.REMINDED}:
        return Need.NOTHING
    return Need.PROGRESS if kind in PROGRESS else Need.CHANGE


def in_turn(needs: Mapping[int, Need], drawn: Mapping[int, datetime], now: datetime) -> list[int]:
    """Return the cards to be drawn now, the most urgent first, and among equals the one not drawn for the longest.

    `drawn` says when a card was last drawn. Of a card that shows progress alone the next edit waits, the longer the
    more of them there are.
    """
    rest = timedelta(seconds=max(LEAST_REST, SHARE * BETWEEN_EDITS * list(needs.values()).count(Need.PROGRESS)))

    def resting(card: int) -> bool:
        # Not before 0: after a clock that is set back nothing waits for the time that it was.
        return needs[card] is Need.PROGRESS and timedelta(0) <= now - drawn.get(card, _NEVER) < rest

    ready = [card for card in needs if needs[card] is not Need.NOTHING and not resting(card)]
    return sorted(ready, key=lambda card: (needs[card], drawn.get(card, _NEVER), card))
