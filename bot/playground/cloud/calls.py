"""What a simulated cloud does with calls whatever its vendor: a refusal, the log, the rates."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.playground.cloud.faults import Trouble


class RefusedError(Exception):
    """A call that gets an error: of the gateway with an HTTP status from 400, of the business with 200.

    `executed` tells that work was done nevertheless.
    """

    def __init__(self, status: int, code: str, message: str, *, executed: bool = False) -> None:
        super().__init__(code, message)
        self.status = status
        self.code = code
        self.message = message
        self.executed = executed


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it came in at `at` (clock seconds); `shown` is what the log may tell of it: no key, no token."""

    at: float
    action: str
    shown: Mapping[str, str]
    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One call that came in at `at` (clock seconds): how it was answered and whether its work was done.

    `params` holds no key, token or signature. `status` is 0 for a call that got no answer.
    `code` is empty on success. `executed` is True also when the answer then said otherwise.
    """

    at: float
    action: str
    params: Mapping[str, str]
    status: int
    code: str
    request_id: str
    executed: bool


class Rates:
    """Counts calls per sliding second of (account, action); an action without a limit passes always."""

    def __init__(self, limits: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = dict(limits)
        self._clock = clock
        self._passed: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)

    def passes(self, account: str, action: str) -> bool:
        """Tell whether one more call passes now, and count it if so."""
        passed, now = self._passed[account, action], self._clock()
        while passed and passed[0] <= now - 1:
            passed.popleft()
        if len(passed) >= self.limits.get(action, len(passed) + 1):
            return False
        passed.append(now)
        return True
