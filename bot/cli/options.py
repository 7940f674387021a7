"""How single words of a command line are read; a wrong one is a usage error that says what was expected."""

import re
from argparse import ArgumentTypeError
from datetime import datetime
from typing import Final

from bot.domain.cancellation import Phase
from bot.domain.errors import UsageError
from bot.domain.sought import moment, phase

_NUMBER: Final = re.compile(r"0*[1-9][0-9]{0,17}")
"""What a database's whole numbers hold."""


def number(text: str) -> int:
    """Read the number of a cancellation, as 7 or #7."""
    digits = text.removeprefix("#")
    if _NUMBER.fullmatch(digits) is None:
        raise ArgumentTypeError(f"“{text}” is no cancellation's number, like 7 or #7")
    return int(digits)


def state(text: str) -> Phase:
    """Read a state's word."""
    try:
        return phase(text)
    except UsageError as error:
        raise ArgumentTypeError(error.message) from None


def since(text: str) -> datetime:
    """Read a time; of a date its first moment."""
    return _moment(text, last=False)


def until(text: str) -> datetime:
    """Read a time; of a date its last moment."""
    return _moment(text, last=True)


def _moment(text: str, *, last: bool) -> datetime:
    try:
        return moment(text, last=last)
    except UsageError as error:
        raise ArgumentTypeError(error.message) from None
