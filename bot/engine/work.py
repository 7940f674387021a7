"""One cancellation being worked on under its lease: its account, cloud, plan and names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Final

from bot.clouds.base import Cloud
from bot.domain.account import Account
from bot.domain.cancellation import State
from bot.domain.decisions import Decision, Refusal
from bot.domain.errors import CloudError
from bot.domain.offer import CANCEL_STRATEGY
from bot.domain.plan import Call, Names, Plan
from bot.domain.reading import Reading
from bot.ledger.leases import Lease
from bot.ledger.ledger import Ledger

FRESH: Final = timedelta(seconds=30)
"""A reading younger than this is taken for the present one, but for what decides whether something may be sent."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before a step is tried again; the last one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a cancellation is worked on with. `now` gives UTC, `sleep` takes seconds and may raise HaltError."""

    id: int
    account: Account
    cloud: Cloud
    plan: Plan
    names: Names
    """The plan's lists by job."""
    lease: Lease
    ledger: Ledger
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def state(self) -> State | None:
        """Return the latest state."""
        return self.ledger.state(self.id)

    def decide(self, decision: Decision) -> State | Refusal:
        """Decide under the lease; raises LeaseLostError."""
        return self.ledger.decide(self.id, decision, lease=self.lease)

    def fresh(self, reading: Reading) -> bool:
        """Tell whether a reading is of the present."""
        return abs(self.now() - reading.at) < FRESH

    def stalled(self, state: State) -> bool:
        """Tell whether a run has made no progress for longer than it may."""
        moved = state.run.progress if state.run else state.at
        return self.now() - moved > self.account.approval.run_within

    def devices(self, call: Call, at: tuple[int, ...] | None = None) -> tuple[str, ...]:
        """Return the names of a call's devices, or of those at some positions."""
        names = self.names.get(call.step.job, ())
        return tuple(names[position] for position in (call.at if at is None else at))

    def left(self, call: Call, reading: Reading) -> int | None:
        """Return how much of a call there is still to do, as the cloud was seen; `None` when it does not tell."""
        if call.step.action == CANCEL_STRATEGY:
            return 0 if reading.batch == "CANCELED" else 1
        return reading.size(frozenset(self.plan.statuses))

    def misfit(self, reading: Reading, before: Reading | None = None) -> str:
        """Say why a call would hit what was not confirmed, or nothing.

        `before` is what was read at the start, where an earlier attempt may have cancelled a part since.
        """
        left, most = reading.size(frozenset(self.plan.statuses)), self.plan.at_most
        if most is None:
            return ""
        if left is None:
            return "the cloud does not tell any more how many devices the next call would hit"
        gone = reading.cancelled_since(before) if before is not None else 0
        if gone is None:
            return "the cloud does not tell how many devices an earlier attempt has cancelled already"
        if left + gone <= most:
            return ""
        beside = f" beside {gone:,} that became cancelled since the start, together" if gone else ""
        return f"the next call would hit {left:,} devices{beside or ','} more than the {most:,} that were confirmed"


def unread(error: CloudError) -> str:
    """Say why a cloud could not be read, in a run: whether anything was changed is not the read's to say."""
    return str(error).removesuffix(" Nothing was changed.")


def pauses() -> Iterator[float]:
    """Yield the pauses between tries, without end: whoever tries knows when to give up."""
    return chain(PAUSES, repeat(PAUSES[-1]))
