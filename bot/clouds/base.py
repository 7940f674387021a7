"""What the engine asks of a cloud, whichever it is."""

from collections.abc import Mapping
from typing import Protocol

from bot.domain.call import Answer
from bot.domain.plan import Plan, Preview, Reading
from bot.domain.status import Status


class Cloud(Protocol):
    """One configured account at its cloud. Reads raise CloudError; `send` never raises for what the cloud does."""

    def preview(self, job: str) -> Preview:
        """Read a job and its unfinished tasks by status."""

    def read(self, job: str, statuses: tuple[Status, ...], *, patient: bool = False) -> Reading:
        """Read a job's unfinished tasks again; a `patient` read lets more urgent calls of the quota go first."""

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read how many of a job's tasks have ended, by the cloud's own status word."""

    def action(self, plan: Plan) -> str:
        """Name the vendor's operation that cancels."""

    def estimate(self, plan: Plan, calls: int) -> int:
        """Return the seconds that `calls` calls will take at the account's rate, with what waits already."""

    def wait(self, plan: Plan) -> None:
        """Wait for the slot of the next cancelling call."""

    def send(self, plan: Plan, call: int, attempt: int) -> Answer:
        """Send one call exactly once."""

    def probe(self) -> tuple[str, ...]:
        """Try the credentials by a read that changes nothing; return what is wrong, for a person."""
