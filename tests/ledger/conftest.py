from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.ledger.ledger import Ledger
from tests.builders import Clock

Open = Callable[..., Ledger]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ota-bot.db"


@pytest.fixture
def opened(path: Path, clock: Clock) -> Iterator[Open]:
    """Open ledgers at one path, and close them all afterwards."""
    ledgers: list[Ledger] = []

    def open_one(*, readonly: bool = False) -> Ledger:
        ledgers.append(Ledger.open(path, now=clock, readonly=readonly))
        return ledgers[-1]

    yield open_one
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened()
