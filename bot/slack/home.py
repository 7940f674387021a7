"""Publishes Home tabs: at once to whoever opens theirs, and anew while it may still be looked at."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.clouds.health import Health
from bot.engine.rooms import Rooms
from bot.slack.home_seen import Shown
from bot.slack.home_views import NOBODY, OVER, notice
from bot.slack.pace import PUBLISH, QUOTA, Pace
from bot.slack.posts import NO_ANSWER, UNTRUSTED, reason, refused

LATELY: Final = timedelta(hours=1)
"""How long after its opening a Home is kept up to date; what it shows is taken away then."""
EVERY: Final = timedelta(seconds=5)
"""How often at most a Home is drawn anew, and how often it is looked who has opened theirs in another process."""
SLOWLY: Final = timedelta(seconds=30)
"""How often it is drawn anew while nothing is decided: quotas, windows, and links to cards change by themselves."""
AT_ONCE: Final = 2
"""Homes that are drawn anew at a time: private answers share the threads."""
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
ANEW: Final = -1
"""Stands for no event: what was drawn at it is drawn again."""
UNSERVED: Final = -2
"""Stands for no event, too: what had no slot is drawn as soon as there is one, before all else."""

log = structlog.get_logger()


class Homes:
    """Draws and publishes Home tabs, in the threads that `answer` hands work to; `timer` is monotonic, in seconds.

    Who has opened theirs lately is in the ledger's database, so that it survives a restart and other processes know.
    """

    def __init__(
        self,
        rooms: Rooms,
        client: WebClient,
        health: Health,
        *,
        answer: Callable[[Callable[[], None]], None],
        timer: Callable[[], float],
    ) -> None:
        self._rooms = rooms
        self._outbox = rooms.ledger.outbox
        self._client = client
        self._shown = Shown(rooms, client, health, timer=timer)
        self._answer = answer
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._drawn: dict[str, tuple[int, datetime]] = {}
        """At which event, and when, each Home was drawn last by this process."""
        self._known: dict[str, int] = {}
        """Whose Home may show something, with the number of what it shows; 0 from the opening until it is published."""
        self._looked: datetime | None = None

    def opened(self, user: str) -> None:
        """Publish somebody's Home, soon; never waits."""
        self._answer(lambda: self._open(user))

    def _open(self, user: str) -> None:
        """Publish somebody's Home; without a slot it is left to the next round, as private answers share the thread."""
        now = self._rooms.now()
        with self._lock:
            # Nobody is forgotten here: what a Home still shows is taken away first.
            self._outbox.open_home(user, now)
        self._looked = None
        if self._free():
            self._take(user, ANEW, now, lambda: self._publish(user))
        else:
            with self._lock:
                self._drawn[user] = UNSERVED, now

    def refresh(self) -> None:
        """Have the Homes published anew that may show something else by now, or have done so for long; never waits.

        For the holder of the publisher's lease alone. While nobody has opened theirs, nothing is looked at.
        """
        now, looked = self._rooms.now(), self._looked  # which an opening, in another thread, may unset
        if looked is None or abs(now - looked) >= EVERY:
            self._looked = now
            self._known = self._outbox.homes(since=NEVER)
            with self._lock:
                self._drawn = {user: drawn for user, drawn in self._drawn.items() if user in self._known}
        head = self._rooms.ledger.head() if self._known else 0
        # Where there are more than Slack's pace allows, all have their turn.
        for user in sorted(self._known, key=self._turn):
            if self._due(user, head, now):
                if len(self._busy) >= AT_ONCE or not self._free():
                    return
                self._take(user, head, now, partial(self._answer, partial(self._publish, user)))

    def _due(self, user: str, head: int, now: datetime) -> bool:
        at, last = self._drawn.get(user, (ANEW, NEVER))
        if at == UNSERVED:
            return True
        # One that was opened at another process, which had no slot, is nobody's but this one's.
        same = at == head and self._known[user] != 0
        # Either way: after a clock that is set back nothing waits for the time that it was.
        return abs(now - last) >= (SLOWLY if same else EVERY)

    def _turn(self, user: str) -> tuple[bool, datetime]:
        at, last = self._drawn.get(user, (ANEW, NEVER))
        return at != UNSERVED, last

    def _free(self) -> bool:
        return self._rooms.ledger.slots.ahead(QUOTA, PUBLISH) <= 0

    def _take(self, user: str, head: int, now: datetime, work: Callable[[], None]) -> None:
        """Do what publishes a Home, unless that one is being published: what is newer must not be written over."""
        with self._lock:
            if user in self._busy:
                self._drawn[user] = ANEW, now
                return
            self._busy.add(user)
            self._drawn[user] = head, now
        work()

    def _publish(self, user: str) -> None:
        served = True
        try:
            served = self._show(user)
        except NO_ANSWER as error:
            if refused(error) and reason(error) not in UNTRUSTED:
                # Without a Home tab in the app's settings, or to a person who is gone: asking again is no use.
                self._outbox.forget_home(user)
            log.warning("home_failed", user=user, error=reason(error))
        finally:
            with self._lock:
                self._busy.discard(user)
                if not served:
                    self._drawn[user] = UNSERVED, self._rooms.now()

    def _show(self, user: str) -> bool:
        """Publish somebody's Home where that is something new; returns whether there was a slot, or no need of one."""
        before = self._outbox.homes(since=NEVER).get(user)
        if before is None:
            return True
        view = self._shown.view(user) if self._lately(user) else notice(OVER)
        shown = _number(view)
        if shown == before:
            return True
        pace = Pace(self._rooms.ledger.slots)
        if not pace.may(PUBLISH):
            return False
        try:
            self._client.views_publish(user_id=user, view=view)
        except SlackApiError as error:
            if not pace.heed(PUBLISH, error):
                raise
            return False
        if view == notice(OVER):
            return self._leave(user)
        self._outbox.show_home(user, shown)
        if view == notice(NOBODY):
            self._outbox.forget_home(user)
        return True

    def _lately(self, user: str) -> bool:
        return user in self._outbox.homes(since=self._rooms.now() - LATELY)

    def _leave(self, user: str) -> bool:
        """Forget a Home whose hour is over; returns whether it was, or has been opened again meanwhile."""
        with self._lock:
            if not self._lately(user):
                self._outbox.forget_home(user)
                return True
        self._outbox.show_home(user, 0)
        return False


def _number(view: dict[str, Any]) -> int:
    """Return a number that stands for a view: not 0, which stands for none, and not too large for a column."""
    digest = sha256(json.dumps(view, sort_keys=True).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4]) >> 1 or 1
