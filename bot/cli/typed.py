"""The words after `ota-bot cancel`, read as those after the slash command; `@FILE` stands for the names in a file."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bot.domain.command import parse
from bot.domain.errors import UsageError
from bot.domain.names import LARGEST, read_names, text_of
from bot.domain.order import AskPreview, Cancel, CancelDevices, Order

VERBS: Final = ("job", "devices", "strategy", "preview")
HERE: Final = "@FILE"
"""What stands for the file while the other words are read; it could be a device's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What somebody typed at the terminal."""

    order: Cancel
    preview: bool
    """Whether it was only to be shown."""
    line: str
    """The command that orders it, as a shell takes it."""


def read_typed(words: Sequence[str]) -> Typed:
    """Read the words; raises UsageError for wrong ones, and for a file that is none of names."""
    words = words[0].split() if len(words) == 1 else words
    place = _file_at(words)
    file = words[place] if place is not None else ""
    found = _parsed([HERE if number == place else word for number, word in enumerate(words)], file)
    inner: object = found.order if isinstance(found, AskPreview) else found
    if not isinstance(inner, Cancel):
        raise UsageError(f"“{found.verb}” is not for the terminal; {', '.join(VERBS)} are.")
    if isinstance(inner, CancelDevices) and file:
        if inner.names != (HERE,):
            raise UsageError(f"Names stand in {file} or are typed, not both. Nothing was changed.")
        inner = replace(inner, names=_names(file[1:]))
    preview = isinstance(found, AskPreview)
    return Typed(order=inner, preview=preview, line=shlex.join(["ota-bot", "cancel", *words[preview:]]))


def _file_at(words: Sequence[str]) -> int | None:
    """Return where a file of names stands, which is after `devices` and nowhere else: a reason may name an @person."""
    verb = 1 if words and words[0].lower() == "preview" else 0
    found = [word.lower() for word in words[verb : verb + 1]] == ["devices"]
    return verb + 1 if found and words[verb + 1 : verb + 2] and words[verb + 1].startswith("@") else None


def _parsed(words: Sequence[str], file: str) -> Order:
    try:
        return parse(" ".join(words))
    except UsageError as error:
        raise UsageError(
            error.message.replace(HERE, file or HERE),
            word=error.word,
            nearest=error.nearest.replace(HERE, file if file and " " not in file else HERE),
        ) from None


def _names(path: str) -> tuple[str, ...]:
    """Return the names in a file; raises UsageError that quotes wrong ones with their lines."""
    if not path:
        raise UsageError("Name a file after the @, with a device's name on each line. Nothing was changed.")
    try:
        with Path(path).open("rb") as file:
            text = text_of(file.read(LARGEST + 1))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no path"
        raise UsageError(f"{path}: it cannot be read: {reason}. Nothing was changed.") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error.message} Nothing was changed.") from None
    try:
        return read_names(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}") from None
