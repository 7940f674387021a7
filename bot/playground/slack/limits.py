"""What goes wrong between the bot and Slack: faults ordered by a test, and Slack's rate limits."""

import math
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from bot.playground.slack.values import Payload

_TIER_1, _TIER_2, _TIER_3, _TIER_4 = 1, 20, 50, 100
# Calls a minute and workspace: https://docs.slack.dev/apis/web-api/rate-limits and Slack's Java SDK's table.
_A_MINUTE = {
    "apps.connections.open": _TIER_1,
    "usergroups.list": _TIER_2,
    "usergroups.users.list": _TIER_2,
    "chat.update": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.open": _TIER_3,
    "team.info": _TIER_3,
    "chat.postEphemeral": _TIER_4,
    "conversations.members": _TIER_4,
    "files.completeUploadExternal": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "files.info": _TIER_4,
    "users.info": _TIER_4,
    "views.open": _TIER_4,
    "views.publish": _TIER_4,
    "views.push": _TIER_4,
    "views.update": _TIER_4,
}
# Posting is limited by channel, "about one a second", and tier 1 tolerates "a small amount of burst behavior"; how
# many may come at once is Slack's secret.
_POST_BURST = 3
_LEAST_BURST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one call instead of, or after, its ordinary answer."""

    error: str | None = None
    status: int | None = None
    retry_after: int | str | None = None
    delay: float = 0.0
    drop: bool = False
    after: bool = False
    """True: the call is carried out first, only its answer is lost or replaced."""
    page: bool = False
    """True: the answer is a page of HTML, as a proxy gives it."""


class Faults:
    """Faults in store for methods, used up in the order they were added; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[tuple[str, str | None], deque[Fault]] = defaultdict(deque)

    def add(
        self,
        method: str,
        *,
        channel: str | None = None,
        error: str | None = None,
        status: int | None = None,
        retry_after: int | str | None = None,
        delay: float = 0.0,
        drop: bool = False,
        after: bool = False,
        page: bool = False,
        times: int = 1,
    ) -> None:
        """Let the next `times` calls of `method` (or `response_url`), or those to `channel`, fail so.

        `C0OPS/thread` is a channel's threads. `delay` is in seconds. With `after`, the call is carried out and its
        answer is lost: what a retry must survive.
        A `status` with an `error` is answered in JSON.
        """
        fault = Fault(
            error=error, status=status, retry_after=retry_after, delay=delay, drop=drop, after=after, page=page
        )
        with self._lock:
            self._waiting[method, channel].extend([fault] * times)

    def heal(self) -> None:
        """Forget what was in store."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, *places: str) -> Fault:
        """Return the next fault of `method`, one that was meant for these places first, or one that does nothing."""
        with self._lock:
            for key in (*((method, place) for place in places), (method, None)):
                if self._waiting.get(key):
                    return self._waiting[key].popleft()
        return Fault()


class Rates:
    """Slack's rate limits as token buckets; `now` gives seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, method: str, args: Payload) -> int:
        """Count a call; return 0, or the seconds to wait when it comes too soon."""
        if method == "chat.postMessage":
            return self._spend((method, str(args.get("channel"))), a_second=1.0, burst=_POST_BURST)
        limit = _A_MINUTE.get(method)
        return self._spend((method, ""), a_second=limit / 60, burst=max(limit, _LEAST_BURST)) if limit else 0

    def _spend(self, key: tuple[str, str], *, a_second: float, burst: int) -> int:
        left, at = self._buckets.get(key, (float(burst), self._now()))
        left = min(float(burst), left + (self._now() - at) * a_second)
        self._buckets[key] = (left - 1 if left >= 1 else left, self._now())
        return 0 if left >= 1 else math.ceil((1 - left) / a_second)
