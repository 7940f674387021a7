"""A ledger that cannot be written for a while: nothing is sent that was not stored, and no answer is lost."""

import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from typing import Any

import pytest

from bot.domain.call import Outcome
from bot.domain.cancellation import Phase
from bot.domain.errors import LedgerError
from tests.engine.scene import figures
from tests.engine.yard import DEVICES, Sent, Yard, Yards, pumps


class Lock:
    """Another process that keeps the ledger's file locked."""

    def __init__(self, yard: Yard) -> None:
        yard.ledger._store.run("pragma busy_timeout=5")
        self._path = yard.path
        self._turn = threading.Lock()
        self._other: sqlite3.Connection | None = None

    def take(self) -> None:
        """Lock the file, whichever of several threads comes first."""
        with self._turn:
            if self._other is None:
                self._other = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                self._other.execute("begin immediate")

    def drop(self) -> None:
        """Let go."""
        with self._turn:
            if self._other is not None:
                with closing(self._other) as other:
                    other.execute("rollback")
                self._other = None


def test_a_call_that_could_not_be_stored_is_not_sent(yards: Yards) -> None:
    """Where `call_sent` cannot be stored, the call does not go out; the run goes on once it can be."""
    yard = pumps(yards)
    identity, lock = yard.running(DEVICES), Lock(yard)
    yard.one.cloud.waiting = lock.take
    with pytest.raises(LedgerError, match="locked"):
        yard.one.executor.run(identity)
    sent = list(yard.fleet.sent)
    lock.drop()
    yard.one.cloud.waiting = lambda: None
    yard.clock.sleep(20)
    state = yard.keep_running(identity)

    assert [] == sent
    assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
    assert {1: 1, 2: 1, 3: 1} == yard.sendings()


def test_an_answer_is_stored_as_soon_as_it_can_be(yards: Yards) -> None:
    """Where `call_finished` cannot be stored it is tried again until it is; what is stored is the cloud's answer."""
    yard = pumps(yards)
    identity, lock = yard.running(DEVICES), Lock(yard)
    slept: list[float] = []
    asleep = yard.clock.sleep

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 8:
            lock.drop()
        asleep(seconds)

    def play(sent: Sent) -> Any:
        if sent.number == 2:
            yard.clock.turned = lambda: None  # its leases cannot be renewed meanwhile
            lock.take()

    one = yard.process("again", yard.ledger, sleep=sleep)
    yard.fleet.play = play
    yard.one = one
    with suppress(LedgerError):  # another call's that could not be sent meanwhile
        yard.one.executor.run(identity)
    yard.clock.turned = yard._renew
    yard.fleet.play = lambda _sent: None
    yard.clock.sleep(20)
    state = yard.keep_running(identity)

    assert (Phase.DONE, (450, 450, 450, 0)) == (state.phase, figures(state))
    assert {1: 1, 2: 1, 3: 1} == yard.sendings()
    assert Counter({Outcome.DONE.value: 3}) == Counter(yard.outcomes(identity))
