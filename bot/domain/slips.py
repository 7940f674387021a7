"""The nearest correct command to words that do not make one."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import chain
from typing import Final

from bot.domain.cursor import Cursor, MisfitError
from bot.domain.grammar import Form, read, written
from bot.domain.words import LONGEST_REASON, LONGEST_TEXT, Word, shown

_MEANT: Final = {
    "abort": ("stop",),
    "again": ("retry",),
    "at": ("on",),
    "batch": ("job",),
    "batches": ("jobs",),
    "cancel": ("job",),
    "device": ("devices",),
    "for reason": ("because",),
    "for": ("because", "job"),
    "history": ("list",),
    "in progress": ("in-progress",),
    "in": ("on",),
    "kill": ("stop",),
    "of": ("job",),
    "pushed": ("notified",),
    "reason": ("because",),
    "running": ("in-progress", "jobs"),
    "since": ("because",),
    "status": ("show",),
    "waiting": ("queued", "pending"),
}
"""Words people type, and the words they mean."""
_FILLERS: Final = frozenset({",", "and", "the", "please", "tasks", "with"})
_MOST_SLIPS: Final = 4


def nearest(cursor: Cursor, forms: tuple[Form, ...]) -> str:
    """Return the complete command that is nearest to what was read; it always parses.

    One slip is mended at a time. Where no mending completes the command, the one that leaves the fewest words unread
    is mended further. Leaving words out is tried last, and the form's example is as near as one can come otherwise.
    """
    readings = [cursor]
    for _ in range(_MOST_SLIPS):
        attempts = [Cursor(text) for text in _mended(readings[-1])]
        if command := _first_complete(attempts, forms):
            return command
        further = min(attempts, key=_unread, default=cursor)
        if _unread(further) > _unread(readings[-1]):
            break
        readings.append(further)
    cut = [Cursor(text) for tried in reversed(readings) for text in _cut(tried)]
    return _first_complete(cut, forms) or readings[-1].example


def _first_complete(attempts: Iterable[Cursor], forms: tuple[Form, ...]) -> str:
    """Read all attempts up to the first that makes a command, and return that command or nothing."""
    for attempt in attempts:
        with suppress(MisfitError):
            order = read(attempt, forms)
            command = written(order, forms)
            if len(command) <= LONGEST_TEXT:
                return command
    return ""


def _unread(cursor: Cursor) -> int:
    return len(cursor.words) - cursor.furthest


def _mended(cursor: Cursor) -> Iterator[str]:
    """Change one thing at the wrong word, the likeliest first."""
    text, wrong, before = cursor.text, cursor.wrong, cursor.before
    if before is not None and before.text == ",":
        yield f"{text[: before.start]} {text[before.end :]}"
    # A reason that is too long is kept as far as it may go; elsewhere the wrong word is still there, and this fails.
    if before is not None and len(text) > before.end + LONGEST_REASON:
        yield text[: before.end + len(" ") + LONGEST_REASON]
    if wrong is None:
        return
    for word, end in _instead(cursor, wrong):
        yield f"{text[: wrong.start]}{word} {text[end:]}"
    for word in _missing(cursor, wrong):
        yield f"{text[: wrong.start]}{word} {text[wrong.start :]}"
    for later in _resumed(cursor, wrong):
        yield f"{text[: wrong.start]} {text[later.start :]}"


def _cut(cursor: Cursor) -> Iterator[str]:
    """Keep what was right, with or without its last word."""
    for word in (cursor.wrong, cursor.before):
        if word is not None:
            yield cursor.text[: word.start]


def _instead(cursor: Cursor, wrong: Word) -> Iterator[tuple[str, int]]:
    """Yield the words that may have been meant, and where the text they replace ends."""
    choices = _choices(cursor)
    following = cursor.words[cursor.furthest + 1 : cursor.furthest + 2]
    for last in (*following, wrong):
        typed = wrong.folded if last is wrong else f"{wrong.folded} {last.folded}"
        yield from ((word, last.end) for word in _MEANT.get(typed, ()) if word in choices)
    yield from ((word, wrong.end) for word in get_close_matches(shown(wrong.folded), choices))


def _missing(cursor: Cursor, wrong: Word) -> tuple[str, ...]:
    """Return the words that may have been left out before the wrong one."""
    choices = _choices(cursor)
    if len(choices) == 1:
        return choices
    if cursor.furthest:
        return tuple(word for word in (",", "and", "job") if word in choices)
    return ("show",) if wrong.plain.removeprefix("#").isdecimal() else ()


def _resumed(cursor: Cursor, wrong: Word) -> Iterator[Word]:
    """Yield the words at which the command may go on, with the wrong one left out."""
    later = cursor.words[cursor.furthest + 1 :]
    if wrong.folded in _FILLERS:
        yield from later[:1]
    go_on = {"on", "because"} if cursor.furthest else _choices(cursor)
    yield from [word for word in later if word.folded in go_on][:1]


def _choices(cursor: Cursor) -> tuple[str, ...]:
    return tuple(chain.from_iterable(cursor.expected.values()))
