"""A ledger that is locked for a while: whoever asks is told that nothing was done, and the bot goes on afterwards."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from bot.playground.world import ANN
from bot.wiring.bot import Bot
from tests.journeys.stage import Scene, until

TOLD = "database is locked. Nothing was changed. Try again"


class Ward(Scene):
    """A scene with the bot in this process, which waits for a lock only shortly."""

    bot: Bot

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the file locked, as another process may."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("begin immediate")
            yield
            other.execute("rollback")

    def told(self) -> int:
        """Return how often Ann was told that nothing was done."""
        return len([each for each in self.slack.ephemerals(ANN) if TOLD in self.slack.plain(each)])

    @property
    def head(self) -> int:
        """The last event's number."""
        return self.bot._ledger.head()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with Ward(tmp_path_factory.mktemp("ward")) as ward, ward.hosted() as bot:
        ward.bot = bot
        bot._ledger._store.run("pragma busy_timeout=50")
        yield ward


def test_what_was_not_stored_is_not_acknowledged(ward: Ward) -> None:
    """While nothing can be stored an order is answered with that and a press leaves the card; later both work."""
    with ward.locked():
        before = ward.head
        refused = ward.order().shown
        during = ward.head
    ward.order()
    card = ward.card_in("Waiting for confirmation")
    until(lambda: (row := ward.bot._ledger.outbox.card(1)) is not None and row.ts == card.ts)
    with ward.locked():
        head = ward.head
        ward.slack.press(ANN, card, "confirm")
        until(lambda: 2 == ward.told())
        pressed = ward.head
    ward.slack.press(ANN, card, "confirm")
    ward.card_in("Done")

    assert TOLD in refused
    assert (before, head) == (during, pressed)
    assert 1 == len([event for event in ward.bot._ledger.events(after=0) if event.kind == "requested"])
