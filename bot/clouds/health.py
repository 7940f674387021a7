"""Remembers of each account whether its cloud answers: what this process has heard since its start."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.clouds.http import Http, NoAnswerError, NotSentError, Reply, Request
from bot.clouds.shared import SERVER_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """When a cloud answered last, and when it last did not, and why."""

    answered: datetime | None = None
    silent: datetime | None = None
    why: str = ""

    @property
    def well(self) -> bool:
        """Whether the latest request was answered."""
        return self.silent is None or (self.answered is not None and self.answered > self.silent)


class Health:
    """What was heard of each account's cloud; safe in threads."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}

    def of(self, account: str) -> Heard | None:
        """Return what was heard of an account's cloud; `None` where nothing was asked yet."""
        return self._heard.get(account)

    def hear(self, account: str, why: str = "") -> None:
        """Note that an account's cloud has answered just now, or `why` it has not."""
        with self._lock:
            before, now = self._heard.get(account, Heard()), self._now()
            self._heard[account] = replace(before, silent=now, why=why) if why else replace(before, answered=now)


class AccountHttp(Http):
    """Sends one account's requests, and tells `hear` how each ended: with nothing, or with why it was not answered."""

    def __init__(self, *, clock: Callable[[], float], hear: Callable[[str], None]) -> None:
        super().__init__(clock=clock)
        self._hear = hear

    def send(self, request: Request) -> Reply:
        """Send as `Http` does; an answer that the cloud is out of order is none."""
        try:
            reply = super().send(request)
        except (NotSentError, NoAnswerError) as error:
            self._hear(str(error))
            raise
        self._hear(f"HTTP {reply.status}" if reply.status >= SERVER_ERROR else "")
        return reply
