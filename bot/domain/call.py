"""Calls to a cloud and how they end: done, failed, or unknown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How one sending of a call ended."""

    DONE = "done"
    """The cloud said that it took the call. Final: it is never sent again."""
    FAILED = "failed"
    """The cloud said no, or the request never reached it."""
    UNKNOWN = "unknown"
    """It was sent and nothing usable was heard: only a read of the cloud can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of sending a call once."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    """The cloud's words, already cleaned of secrets."""
    request_id: str = ""
    again: bool = False
    """A failure that may be sent again at once: throttling, an expired token, a refused connection."""
    wait: float | None = None
    """Seconds the cloud asked to wait before the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The latest sending of a call that is not done."""

    number: int
    """1 for the first sending."""
    first: datetime
    """When the first attempt was sent."""
    count: int
    """How many devices were sent."""
    left_out: tuple[int, ...] = ()
    """Positions in the step's list that were left out, because those devices had moved on."""
    outcome: Outcome | None = None
    """`None` while it is out."""
    again: bool = False
    code: str = ""
    message: str = ""


Ranges = tuple[tuple[int, int], ...]
"""Whole numbers as sorted, separate, inclusive ranges."""


def with_number(ranges: Ranges, number: int) -> Ranges:
    """Return `ranges` with `number` in it, joined where it touches."""
    if holds(ranges, number):
        return ranges
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*ranges, (number, number))):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def holds(ranges: Ranges, number: int) -> bool:
    """Tell whether `number` is in `ranges`."""
    return any(low <= number <= high for low, high in ranges)


def size(ranges: Ranges) -> int:
    """Return how many numbers `ranges` hold."""
    return sum(high - low + 1 for low, high in ranges)
