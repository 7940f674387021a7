"""A secret that can be used, but not printed by accident."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "***"
LONGEST_MESSAGE: Final = 500


class Secret:
    """A secret value: `str`, `repr`, f-strings and JSON errors show `***`; only `reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the one line that signs or sends it."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Clean a cloud's or a library's message before it is stored, shown or logged.

    Everything after "string to sign" is dropped (a cloud's SignatureDoesNotMatch echoes it), each known secret becomes
    `***` in plain and percent-encoded form, and the rest is cut at 500 characters.
    """
    found = re.search(r"string\s?to\s?sign", text, re.IGNORECASE)
    if found:
        text = text[: found.start()] + "string to sign " + HIDDEN
    return hide(text, secrets)[:LONGEST_MESSAGE]


def hide(text: str, secrets: Iterable[Secret]) -> str:
    """Replace each secret in `text` by `***`, in plain and percent-encoded form."""
    values = {secret.reveal() for secret in secrets} - {""}
    forms = {form for value in values for form in (value, quote(value), quote(value, safe=""), quote_plus(value))}
    # The longest first, where one secret is a part of another; percent-encoding may be in small letters.
    hidden = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(hidden, HIDDEN, text, flags=re.IGNORECASE) if hidden else text
