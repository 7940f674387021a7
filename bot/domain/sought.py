"""Which cancellations somebody looks for: what a state tells of it, and how the words for it are read."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Final

from bot.domain.cancellation import Phase, State, names_of
from bot.domain.errors import UsageError
from bot.domain.order import CancelDevices

WORDS: Final = {phase.value.lower().replace(" ", "-"): phase for phase in Phase}
"""The states as they are typed."""
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is looked for; all that is given has to be so."""

    account: str | None = None
    person: str | None = None
    """Anybody who did something in it."""
    job: str | None = None
    device: str | None = None
    since: datetime | None = None
    """Asked for then or later."""
    until: datetime | None = None
    """Asked for then or earlier."""
    phases: frozenset[Phase] = frozenset()
    """In one of these, where there are any."""
    broke_glass: bool = False

    @property
    def everything(self) -> bool:
        """Whether every cancellation is one."""
        return self == Sought()

    def matches(self, state: State, *, theirs: AbstractSet[int] = frozenset()) -> bool:
        """Tell whether `state` is one, the device aside; `theirs` are the cancellations that the person is in."""
        return (
            self.account in {None, state.account}
            and (self.person is None or state.id in theirs)
            and (self.job is None or self.job in jobs(state))
            and (self.since is None or self.since <= state.at)
            and (self.until is None or state.at <= self.until)
            and (not self.phases or state.phase in self.phases)
            and (not self.broke_glass or state.broke_glass is not None)
        )


def jobs(state: State) -> frozenset[str]:
    """Return every job that a cancellation is about: of a firmware's order all that the plan has."""
    planned = (state.plan.job, *(step.job for step in state.plan.steps)) if state.plan else ()
    return frozenset(filter(None, (state.order.job, *planned)))


def lists(state: State) -> frozenset[str]:
    """Return the SHA-256 of every list of devices that a cancellation has: its order's, and those of its plan."""
    ordered = names_of(state.order) if isinstance(state.order, CancelDevices) else None
    planned = (step.names for step in state.plan.steps) if state.plan else ()
    return frozenset(filter(None, (ordered.sha256 if ordered else None, *planned)))


def phase(word: str) -> Phase:
    """Read a state's word, in any case and with `-` for a space; raises UsageError naming the nearest."""
    typed = "-".join(word.lower().replace("_", " ").replace("-", " ").split())
    if typed in WORDS:
        return WORDS[typed]
    near = get_close_matches(typed, WORDS, n=1, cutoff=0.4)
    nearest = f"the nearest is {near[0]}; " if near else ""
    raise UsageError(f"there is no state “{word}”: {nearest}there are {', '.join(WORDS)}", word=word)


def moment(text: str, *, last: bool = False) -> datetime:
    """Read an ISO 8601 date or date-time, of UTC without an offset; of a day, hour, minute, second its first or `last`.

    Raises UsageError when it is neither.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        read = _time(text)
        return read + (_within(text) - _TICK) if last and not read.microsecond else read
    begun = datetime.combine(day, time(), tzinfo=UTC)
    return begun + (_DAY - _TICK) if last else begun


def _within(text: str) -> timedelta:
    """Return how long a time lasts that is written to the hour, the minute or the second."""
    written = re.search(r"[T ]\d\d(:?\d\d)?(:?\d\d)?", text)
    minute, second = written.groups() if written else (None, None)
    return timedelta(seconds=1) if second else timedelta(minutes=1) if minute else timedelta(hours=1)


def _time(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        like = "2026-01-31 or 2026-01-31T08:00Z"
        raise UsageError(f"“{text}” is no date or time as ISO 8601 writes it, like {like}", word=text) from None
