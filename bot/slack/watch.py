"""Watches the connection: what counts as dead, when another one is opened, and when there is no use in going on.

The decisions are pure, times in and what to do out; `Watch` carries them out, one look at a time. Sources:
https://docs.slack.dev/apis/events-api/using-socket-mode, https://docs.slack.dev/apis/web-api/rate-limits
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from slack_sdk.errors import SlackApiError

from bot.ledger.slots import LONGEST_PUSH
from bot.slack.pace import asked_seconds
from bot.slack.posts import reason, too_often
from bot.slack.tokens import Refused, Tokens

PING_EVERY: Final = 3
"""Seconds between pings; Slack answers each."""
SILENT: Final = 5.0 * PING_EVERY
"""Seconds without any frame after which an open socket is dead: five pings of which none came back."""
HELD: Final = 60.0
"""Seconds that a connection has to last for the next one to be opened at once: shorter ones count as failures."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds after a failure, before the next try; the last one repeats. Slack promises one opening a minute and a few
in a burst: apps.connections.open is of its lowest tier."""
RETRY_AFTER: Final = 30.0
"""Seconds to wait where Slack says that it was too often and not for how long."""
ASK_AFTER: Final = 60.0
"""Seconds of deafness after which the Web API is asked whether Slack is there at all."""
ASK_CALMLY: Final = 300.0
"""Seconds between such questions while all is well: the token of a bot that has nothing to do may be revoked, too."""
ASK_EVERY: Final = 15.0
"""Seconds between such questions: a token that is refused for a minute has been asked about five times then."""
DEAF: Final = 600.0
"""Seconds of deafness, while the Web API answers, after which a fresh process is worth trying: outages of Slack's
sockets alone have been shorter, and the runs under way are taken up again by the next process within seconds."""
LOOK_AGAIN: Final = 90.0
"""Seconds after which a second hello is asked for when the first one counted connections that are not this process's:
those of a process that has just ended, or of a deployment under way, are gone by then."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The present connection. Times are on a monotonic clock, in seconds."""

    open: bool
    opened: float
    heard: float
    """When its last frame of any kind came in, its opening if there was none."""
    alive: float
    """When a connection of this process last brought more than a greeting: an answered ping, an envelope."""
    leaving: str = ""
    """Why Slack wants another connection opened instead, where it does."""
    others: int = 0
    """How many more connections Slack counted at its hello than this process had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Why there is no use in going on, and whether what runs is waited for: a restart would not take it up."""

    reason: str
    after_runs: bool


def ailment(pulse: Pulse, now: float) -> str:
    """Return why another connection is needed, or nothing."""
    if not pulse.open:
        return "closed"
    if pulse.leaving:
        return pulse.leaving
    return "silent" if now - pulse.heard >= SILENT else ""


def pause(failures: int, *, chance: float, asked: float = 0.0) -> float:
    """Return the seconds before the next try; `chance` in [0, 1) keeps many bots from coming back at one moment.

    `asked` is what Slack asked for, which is never cut short.
    """
    if failures == 0:
        return asked
    return max(asked, PAUSES[min(failures, len(PAUSES)) - 1] * (0.75 + chance / 2))


def lost(*, deaf: float, refused: Mapping[str, Refused]) -> Lost | None:
    """Return why to give up; `deaf` counts the seconds without a connection in which the Web API answered.

    A Slack that cannot be reached at all is waited for, for ever: runs do not need it.
    """
    for token, said in refused.items():
        if said.lasting:
            reason = f"slack.{token}: Slack refuses the token: {said.word}; check it with `ota-bot check`"
            return Lost(reason=reason, after_runs=True)
    if deaf >= DEAF:
        minutes = int(deaf // 60)
        reason = (
            f"slack: no connection brought anything for {minutes} minutes while the Web API answers; a restart may help"
        )
        return Lost(reason=reason, after_runs=False)
    return None


class Line(Protocol):
    """The connection that is watched."""

    def pulse(self) -> Pulse:
        """Return how it is now."""

    def connect(self) -> None:
        """Open a connection in place of the present one; raises whatever slack_sdk lets through."""


class Watch:
    """Looks after a line. `ask` calls the Web API; `timer` is monotonic; `chance` gives numbers in [0, 1)."""

    def __init__(
        self,
        line: Line,
        *,
        ask: Callable[[], object],
        tokens: Tokens,
        timer: Callable[[], float],
        chance: Callable[[], float],
        give_up: Callable[[Lost], None],
        crowded: Callable[[int], None],
    ) -> None:
        self._line = line
        self._ask = ask
        self._tokens = tokens
        self._timer = timer
        self._chance = chance
        self._give_up = give_up
        self._crowded = crowded
        self._failures = 0
        """Openings since a connection has held."""
        self._next = 0.0
        self._asked_at = timer()
        self._answers_since: float | None = None
        self._over = False
        self._told = False
        self._doubted: float | None = None
        """When the connection was opened whose hello counted others first."""

    def look(self) -> None:
        """Look once, and do what has to be done."""
        pulse, now = self._line.pulse(), self._timer()
        why = ailment(pulse, now)
        if not why and pulse.alive - pulse.opened >= HELD:
            self._failures = 0
        if why and now >= self._next:
            self._open(why)
        elif not why:
            self._count(pulse, now)
        self._judge(pulse, self._timer())

    def _open(self, why: str) -> None:
        asked = 0.0
        try:
            self._line.connect()
            log.info("slack_reconnected", why=why)
        except Exception as error:  # noqa: BLE001 - slack_sdk lets much through, and no failure may be tried again at once
            asked = retry_after(error)
            log.warning("slack_unreachable", why=why, error=reason(error))
        self._failures += 1
        self._next = self._timer() + pause(self._failures - 1, chance=self._chance(), asked=asked)

    def _judge(self, pulse: Pulse, now: float) -> None:
        doubtful = now - pulse.alive >= ASK_AFTER or bool(self._tokens.refused)
        if now - self._asked_at >= (ASK_EVERY if doubtful else ASK_CALMLY):
            self._asked_at = now
            answers = answered(self._ask)
            self._answers_since = (self._answers_since or now) if answers and doubtful else None
        if not doubtful:
            return
        deaf = 0.0 if self._answers_since is None else now - max(pulse.alive, self._answers_since)
        found = lost(deaf=deaf, refused=self._tokens.refused)
        if found is not None and not self._over:
            self._over = True
            self._give_up(found)

    def _count(self, pulse: Pulse, now: float) -> None:
        """Tell of other processes on the same app once two hellos have counted them, apart from each other."""
        if not pulse.others:
            self._doubted, self._told = None, False
        elif self._doubted is None:
            self._doubted = pulse.opened
        elif pulse.opened - self._doubted >= LOOK_AGAIN:
            if not self._told:
                self._told = True
                self._crowded(pulse.others)
        elif now - self._doubted >= LOOK_AGAIN and now >= self._next:
            self._open("counting")


def answered(ask: Callable[[], object]) -> bool:
    """Ask Slack something, and tell whether it answered as it should: half an answer, or a proxy's page, is none."""
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - slack_sdk lets through what urllib and json raise
        log.debug("slack_unanswered", error=reason(error))
        return False
    return True


def retry_after(error: BaseException) -> float:
    """Return the seconds that Slack wants to be left alone after an error, 0 where it does not say so.

    However long Slack says, it is asked again after two minutes: nothing falls silent for good.
    """
    if not isinstance(error, SlackApiError) or not too_often(error):
        return 0.0
    return min(asked_seconds(error, unsaid=RETRY_AFTER), LONGEST_PUSH)
