"""Lines of CSV that a spreadsheet may open: RFC 4180 by the csv module, and no formula in any cell.

Spreadsheets run what looks like a formula, and names and messages come from elsewhere: such cells begin with an
apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def line(cells: Iterable[object]) -> str:
    """Write one line, with its end; `None` is an empty cell."""
    text = StringIO(newline="")
    csv.writer(text).writerow([_harmless("" if cell is None else str(cell)) for cell in cells])
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
