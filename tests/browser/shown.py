"""Datasette over a filled ledger, as docs/datasette.yml has it look, for whoever takes a picture of it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from datasette.app import Datasette

from bot.ledger.ledger import Ledger
from bot.playground.server import Server
from tests.builders import Clock
from tests.house.tree import ROOT
from tests.ledger import varied


@contextmanager
def datasette() -> Iterator[str]:
    """Serve it, and yield the address of the overview."""
    with TemporaryDirectory() as folder:
        path, clock = Path(folder) / "ota-bot.db", Clock()
        with closing(Ledger.open(path, now=clock)) as ledger:
            varied.fill(ledger, clock)
        metadata = yaml.safe_load((ROOT / "docs" / "datasette.yml").read_text())
        shown = Datasette([str(path)], metadata=metadata, settings={"suggest_facets": False})
        with Server(shown.app()) as server:
            yield f"{server.url}/ota-bot/overview"
