"""What a person typed, cut into words, and what a single word may stand for."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bot.domain.errors import UsageError
from bot.domain.status import Status

COMMAND: Final = "/ota-cancel"
LONGEST_TEXT: Final = 12_000
LONGEST_REASON: Final = 500
LONGEST_NAME: Final = 64
_LONGEST_SHOWN: Final = 40
_LARGEST_ID: Final = 2**63 - 1

_QUOTES: Final = "'\"`´‘’‚‛“”„‟«»‹›"  # noqa: RUF001 - they are alike, hence all of them
# Phones and editors leave zero-width characters where text was copied; at a word's ends they mean nothing.
_AROUND: Final = _QUOTES + "\u200b\u200c\u200d\u2060\ufeff"
_DASHES: Final = str.maketrans(dict.fromkeys("_‐‑‒–—―−", "-"))  # noqa: RUF001 - the same
# Control, zero-width, bidirectional and tag characters, and lone surrogates: a reader cannot see what they do.
_UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_WRAPPER: Final = re.compile(r"<([^<>\s|]*)(?:\|([^<>]*))?>")
_WORD: Final = re.compile(rf",|(?:{_WRAPPER.pattern}|[^\s,])+")
# The first and the last character are plain, so that a full stop after an id, or Slack's *bold*, is not part of it.
_ID: Final = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_-](?:[A-Za-z0-9_.:@*-]*[A-Za-z0-9_-])?")
_ACCOUNT: Final = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_-](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
_NUMBER: Final = re.compile(r"#?([0-9]{1,19})")
_UNNAMABLE: Final = frozenset(_QUOTES + ",<>\\ ")


@dataclass(frozen=True, slots=True)
class Word:
    """One typed word or one comma, and where it stood; quotes and Slack's link wrappers round it are gone."""

    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        """The word without a full stop after it."""
        return self.text.removesuffix(".").strip(_AROUND)

    @property
    def folded(self) -> str:
        """The word as keywords and status words are compared: without case, and with one kind of dash."""
        return self.plain.lower().translate(_DASHES)


def split(text: str) -> tuple[Word, ...]:
    """Cut `text` into words and commas.

    The command's own name before them is dropped, however often it was typed, and so is a full stop after them.
    """
    found = (Word(_bare(match[0]), match.start(), match.end()) for match in _WORD.finditer(text))
    words = tuple(word for word in found if word.text)
    first = next((n for n, word in enumerate(words) if word.folded != COMMAND), len(words))
    last = len(words) - 1 if words and not words[-1].plain else len(words)
    return words[first:last]


def _bare(text: str) -> str:
    return _WRAPPER.sub(_as_typed, text).strip(_AROUND)


def _as_typed(wrapper: re.Match[str]) -> str:
    """Undo what Slack made of a link, a person or a channel: https://docs.slack.dev/messaging/formatting-message-text."""
    target, label = wrapper[1], wrapper[2]
    if target[:1] in {"@", "#", "!"}:
        sigil = "#" if target[0] == "#" else "@"
        return sigil + (label or target[1:]).removeprefix(sigil)
    return label or target


def shown(text: str) -> str:
    """Return `text` so that it can be quoted to a person: short, and each character visible."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "".join(letter if letter.isprintable() else "�" for letter in cut)


def clean_reason(text: str) -> str:
    """Return a reason as it is kept: on one line, without characters nobody can see, otherwise as typed."""
    return " ".join(_UNSEEN.sub("", " ".join(text.split())).split())


def device_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names sorted and each once, or raise a `UsageError` that quotes the first impossible one."""
    unique = set(names)
    for name in sorted(unique):
        try:
            _device(name)
        except ValueError:
            raise UsageError(f"“{shown(name)}” is not {DEVICE.meaning}.", word=shown(name)) from None
    return tuple(sorted(unique))


def in_order(statuses: Iterable[Status]) -> tuple[Status, ...]:
    """Return the statuses each once, in the order of `Status`."""
    named = set(statuses)
    return tuple(status for status in Status if status in named)


def _device(name: str) -> str:
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and _UNNAMABLE.isdisjoint(name)):
        raise ValueError(name)
    return name


def _number(text: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= _LARGEST_ID:
        raise ValueError(text)
    return int(match[1])


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        # "job queued" has forgotten the id, and "on because" the account: better said here than asked of a cloud.
        if pattern.fullmatch(text) is None or text.lower() in _NEVER_IDS:
            raise ValueError(text)
        return text

    return read


_NEVER_IDS: Final = frozenset({"on", "and", "because", "in_progress", *Status})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a word may stand for."""

    placeholder: str
    """Its name in the usage line."""
    meaning: str
    """What to tell who typed something else."""
    read: Callable[[str], Any]
    """Return the value, or raise `ValueError`."""
    spelling: Callable[[Word], str] = field(default=lambda word: word.plain)
    gather: Callable[[Iterable[Any]], tuple[Any, ...]] = tuple
    """Bring several values into their one order, each once."""
    choices: tuple[str, ...] = ()
    """All the words there are, where they can be listed."""


JOB: Final = Kind(placeholder="job-id", meaning="a job's id (letters, digits, - and _)", read=_matching(_ID))
PRODUCT: Final = Kind(placeholder="product-key", meaning="a product's key", read=_matching(_ID))
FIRMWARE: Final = Kind(placeholder="firmware-id", meaning="a firmware's id", read=_matching(_ID))
ACCOUNT: Final = Kind(placeholder="account", meaning="an account's name", read=_matching(_ACCOUNT))
NUMBER: Final = Kind(placeholder="id", meaning="a cancellation's number, such as 41", read=_number)
STATUS: Final = Kind(
    placeholder="status",
    meaning=f"a status ({', '.join(Status)})",
    read=Status,
    spelling=lambda word: word.folded,
    gather=in_order,
    choices=tuple(Status),
)
DEVICE: Final = Kind(
    placeholder="name",
    meaning="a device's name (at most 64 visible characters; no space, comma, quote, <, > or \\)",
    read=_device,
    spelling=lambda word: word.text,
    gather=lambda names: tuple(sorted(set(names))),
)
