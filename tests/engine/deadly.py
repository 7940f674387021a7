"""A process that is killed at a chosen write."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from bot.domain.cancellation import State
from bot.domain.decisions import Decided, Decision, Refusal
from bot.ledger.leases import LENGTH, Lease, Leases
from bot.ledger.ledger import Ledger
from tests.engine.scene import Scene


class CrashError(Exception):
    """The process has been killed."""


class Unreleased(Leases):
    """The leases of a process that was killed: it gives none back."""

    def release(self, lease: Lease) -> None:
        """Do nothing."""


class DeadlyLedger(Ledger):
    """A ledger whose process is killed just before or just after its n-th write is stored."""

    at = 0
    side = "before"
    dead = False

    def decide(
        self,
        cancellation: int,
        decision: Decision,
        *,
        lease: Lease | None = None,
        lists: Iterable[tuple[str, ...]] = (),
    ) -> State | Refusal:
        """Decide, and die of it."""
        writes = False

        def noted(state: State, now: datetime) -> Decided:
            nonlocal writes
            if self.dead:  # of a killed process no thread writes any more
                raise CrashError
            decided = decision(state, now)
            writes = not isinstance(decided, Refusal) and bool(decided)
            self.at -= writes
            if writes and self.at == 0:
                self.dead = True
                if self.side == "before":
                    self._die()
            return decided

        made = super().decide(cancellation, noted, lease=lease, lists=lists)
        if writes and self.dead:
            self._die()
        return made

    def _die(self) -> None:
        self.leases = Unreleased(self._store, now=self._now)
        raise CrashError


def crash(scene: Scene, identity: int, *, at: int, side: str) -> bool:
    """Run in a process that is killed at its `at`-th write; tell whether it came so far."""
    ledger = scene.open(DeadlyLedger.open)
    assert isinstance(ledger, DeadlyLedger)
    ledger.at, ledger.side = at, side
    process = scene.process("killed", ledger)
    killed = True
    with suppress(CrashError):
        process.executor.run(identity)
        killed = False
    scene.dies(process)
    scene.clock.turn(LENGTH + 1)
    return killed
