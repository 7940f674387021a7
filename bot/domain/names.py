"""Lists of device names as people give them: typed in a form, or in a file."""

import codecs
import csv
import re
from collections.abc import Iterator
from typing import Final

from bot.domain.errors import UsageError
from bot.domain.words import DEVICE, LONGEST_NAME, shown

MOST_NAMES: Final = 100_000
"""Names in one order."""
LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a file of names: the most names, each of the longest, with room for quotes and line ends."""
TOO_LARGE: Final = (
    f"The file has more than {LARGEST:,} bytes, the most, and enough for {MOST_NAMES:,} names of {LONGEST_NAME}"
    " characters."
)
MOST_FAULTS: Final = 5
"""Wrong names that one answer quotes."""
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""What a text may begin with to say how it is written; spreadsheets write such."""
_HEADINGS: Final = frozenset({"device", "devices", "devicename", "device_name", "device name", "devicekey", "name"})
_BETWEEN: Final = re.compile(r"[,;]")
_AROUND: Final = "\"'\ufeff"


def text_of(content: bytes) -> str:
    """Return what stands in a file of names; raises UsageError for what is too large or no text."""
    if len(content) > LARGEST:
        raise UsageError(TOO_LARGE)
    coding = next((coding for mark, coding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(coding)
    except UnicodeDecodeError:
        raise UsageError("The file is not text in UTF-8: save it as such (“CSV UTF-8” in Excel).") from None


def read_names(text: str) -> tuple[str, ...]:
    """Return the device names in `text`, sorted, each once.

    Of a table with a heading, such as a CSV file's, the devices' column is read. Otherwise they stand one a line, or
    with commas or semicolons between them; a heading such as `DeviceName` before them is left out. Raises UsageError
    that quotes what is no name, with its line: two words in a line are no two devices, but may be a device and a note.
    """
    names: set[str] = set()
    faults: list[str] = []
    for number, word in _column(text) or _words(text):
        try:
            names.add(DEVICE.read(word))
        except ValueError:
            faults.append(f"“{shown(word)}” in line {number}")
    if faults:
        more = f" and {len(faults) - MOST_FAULTS:,} more" if len(faults) > MOST_FAULTS else ""
        raise UsageError(f"Not {DEVICE.meaning}: {', '.join(faults[:MOST_FAULTS])}{more}. Nothing was changed.")
    if not names:
        raise UsageError("There is no device name in it. Nothing was changed.")
    if len(names) > MOST_NAMES:
        raise UsageError(f"{len(names):,} names are more than {MOST_NAMES:,}, the most in one order. Split the list.")
    return tuple(sorted(names))


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield each word with its line; a heading before them is left out."""
    heading = True
    for number, line in enumerate(text.splitlines(), start=1):
        words = [word for part in _BETWEEN.split(line) if (word := part.strip().strip(_AROUND).strip())]
        heading, first = heading and not words, heading
        if not (first and " ".join(words).lower() in _HEADINGS):
            yield from ((number, word) for word in words)


def _column(text: str) -> list[tuple[int, str]] | None:
    """Return what stands in the devices' column of a table, with its line; `None` for what is no table."""
    first = next((line for line in text.splitlines() if line.strip(f"{_AROUND} ")), "")
    for between in (",", ";", "\t"):
        heading = [cell.strip(f"{_AROUND} ").lower() for cell in first.split(between)]
        at = next((place for place, cell in enumerate(heading) if cell in _HEADINGS), None)
        if at is not None and len([cell for cell in heading if cell]) > 1:
            rows = csv.reader(text.splitlines(), delimiter=between)
            cells = [(rows.line_num, row[at].strip(f"{_AROUND} ")) for row in rows if len(row) > at]
            return [(line, cell) for line, cell in cells[1:] if cell]
    return None
