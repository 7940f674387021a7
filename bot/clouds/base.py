"""What the engine asks of a cloud, whichever it is."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bot.domain.call import Answer
from bot.domain.order import Cancel
from bot.domain.plan import Call, Look, Names, Plan, Preview
from bot.domain.reading import Reading

Slow = Callable[[int], None]
"""Is told how many tasks are about to be listed, page by page."""


Batches = tuple[Sequence[Preview], int, int]
"""Running batches with their counts; how many more are not counted; how many firmwares were not looked at for any."""


def unsaid(tasks: int) -> None:
    """Tell nobody."""


class Cloud(Protocol):
    """One configured account at its cloud. Reads raise CloudError; `send` never raises for what the cloud does."""

    choosy: bool
    """Whether each call's devices are looked at just before it is sent, and those that moved on are left out."""
    visible_after: float
    """Seconds after a cancel before its effect can be read."""

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Read what an order would hit: its jobs, their tasks by status, the named devices as far as that is cheap.

        `names` are the order's devices, where it names any. The look names the devices to send, for each job, where
        the order is carried out by names; those seen to have nothing that can be cancelled are not among them. `slow`
        is told how many tasks have to be listed first, where that takes more than a few seconds.
        """

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Read again what a plan would hit, just before it is sent.

        Where a recent reading `before` is at hand, only what decides whether it may start is read, and the rest is
        taken from there: that decides how many runs a second can start.
        """

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Read everything about a plan's tasks again, patiently: more urgent calls of the quota go first."""

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Read what a call would still hit: which of its names can be cancelled, and what was seen of them."""

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read how many of a job's tasks have ended, by the cloud's own status word."""

    def jobs(self) -> Batches:
        """Read the running batches, newest first."""

    def estimate(self, plan: Plan) -> int:
        """Return the seconds that a plan's calls will take at the account's rate, with what waits already."""

    def wait(self, action: str) -> None:
        """Wait for the slot of the next call of a cancelling operation."""

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """Have this thread's waits for slots, of reads and of calls, end by StoppedError once `stopped` says so."""

    def soon(self) -> AbstractContextManager[None]:
        """Have this thread's reads raise CloudError where the cloud wants to be left alone for long."""

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Send one call exactly once; `names` are the devices in it."""

    def probe(self) -> tuple[str, ...]:
        """Try the credentials by a read that changes nothing; return what is wrong, for a person."""
