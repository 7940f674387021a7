"""Export the ledger's events, or one cancellation as a folder."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bot.cli.folder import files, make, write
from bot.cli.reads import missing, opened, whole
from bot.cli.tables import printing
from bot.domain.errors import Error, TamperedError, UsageError
from bot.domain.events import canonical
from bot.domain.spreadsheet import line
from bot.ledger.ledger import Ledger

COLUMNS: Final = ("actor", "at", "body", "cancellation", "digest", "id", "kind", "seq")
"""What is exported of an event."""


def export(given: argparse.Namespace) -> int:
    """Write all events of the ledger, or of one cancellation, in order and each with its digest."""
    if given.to is not None and (given.id is None or given.format is not None):
        raise UsageError("--to FOLDER needs the ID of one cancellation, and takes no --format. Nothing was written.")
    with closing(opened(given)) as ledger:
        if given.to is not None:
            return _export_folder(ledger, given.id, given.to)
        if given.id is not None:
            _exists(ledger, given.id)
        with printing():
            _put(_csv(_rows(ledger, given.id)) if given.format == "csv" else _jsonl(_rows(ledger, given.id)))
    return 0


def _exists(ledger: Ledger, cancellation: int) -> None:
    if not ledger.rows(cancellation=cancellation, most=1):
        raise missing(ledger, cancellation)


def _put(lines: Iterable[str]) -> None:
    """Write lines to standard output as they are: UTF-8, whatever the terminal's, and no other line ends."""
    for each in lines:
        sys.stdout.buffer.write(each.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def _jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{canonical({name: row[name] for name in COLUMNS})}\n"


def _csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield line(COLUMNS)
    for row in rows:
        yield line(canonical(row[name]) if name == "body" else row[name] for name in COLUMNS)


def _rows(ledger: Ledger, cancellation: int | None) -> Iterator[dict[str, Any]]:
    """Yield the events that there are by now, a page at a time: what the bot adds meanwhile is not among them."""
    after, last = 0, ledger.head()
    while rows := ledger.rows(cancellation=cancellation, after=after):
        for row in rows:
            if row["id"] > last:
                return
            yield {**row, "body": _body(row["body"])}
        after = rows[-1]["id"]


def _body(text: str) -> Any:
    """Return a body as the JSON value it holds; what somebody has made no JSON of is exported as it is."""
    try:
        value = json.loads(text)
        canonical(value)
    except (TypeError, ValueError, RecursionError):
        return text
    return value


def _export_folder(ledger: Ledger, cancellation: int, folder: Path) -> int:
    state, story = whole(ledger, cancellation)
    rows = [row for row in _rows(ledger, cancellation) if row["id"] <= state.event]
    try:
        held = files(state, rows, story, ledger.names)
    except TamperedError as error:
        raise Error(error.message, advice="Nothing was written.") from error
    make(folder)
    write(folder, held)
    print(f"Wrote #{cancellation} to {folder}, for its owner alone: it holds ids of people. Begin with README.txt.")
    return 0
