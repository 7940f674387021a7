"""Waiting for Slack at the start, as long as it takes but not in vain; and for runs, before the process leaves."""

from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import Final, TypeVar

import structlog
from slack_sdk.errors import SlackApiError

from bot.domain.cancellation import Phase, State
from bot.domain.errors import ConfigError, Error, LedgerError
from bot.engine.keeper import HaltError
from bot.slack.tokens import DEAD, said
from bot.slack.watch import ASK_AFTER, DEAF, answered, retry_after

PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to reach Slack; the last one repeats. Opening sockets is limited to one a minute and more."""
REVOKED: Final = DEAD | {"missing_scope", "not_allowed_token_type"}
"""Slack's words for a token with which trying again is no use, at a start that needs it for everything."""
STUCK: Final = 900.0
"""Seconds without an event of any run after which none is waited for any more: each call of a run is two, and the
longest pause between calls is two minutes. What is left so is taken up by the next process."""
RUNS_LOOKED_AT: Final = 0.5
"""Seconds between looks at the runs that are waited for."""

Answer = TypeVar("Answer")

log = structlog.get_logger()


def until_slack_answers(
    ask: Callable[[], Answer],
    *,
    alive: Callable[[], object],
    timer: Callable[[], float],
    sleep: Callable[[float], None],
) -> Answer:
    """Ask Slack until it answers; `alive` asks whether its Web API is there at all, `timer` is monotonic.

    Raises ConfigError when Slack refuses the token, Error when it has answered `alive` for ten minutes and not what it
    was asked, and what `sleep` raises. A Slack that cannot be reached at all is waited for, for ever.
    """
    since: float | None = None
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        try:
            return ask()
        except (Error, HaltError):
            raise
        except Exception as error:
            refusal = _refusal(error)
            word = said(refusal) if refusal is not None else ""
            if word in REVOKED:
                raise ConfigError(
                    (f"slack: Slack refuses the token: {word}; check it with `ota-bot check`",)
                ) from error
            rest = max(pause, retry_after(refusal) if refusal is not None else 0.0)
            log.warning("slack_unreachable", error=word or type(error).__name__, again_in=rest)
        if not answered(alive):
            since = None
        elif since is None:
            since = timer()
        elif timer() - since >= DEAF:
            raise Error(
                f"slack: no connection opened for {int(DEAF // 60)} minutes while the Web API answers.",
                advice="Look whether this machine may open wss:// connections to Slack (firewall, proxy), and whether"
                " Socket Mode is switched on in the app's settings at Slack.",
            )
        sleep(rest)
    raise AssertionError  # the pauses have no end


class Runs:
    """The runs under way, as far as they are worth waiting for. `timer` is monotonic, in seconds."""

    def __init__(self, at_work: Callable[[], Iterable[State]], *, timer: Callable[[], float]) -> None:
        self._at_work = at_work
        self._timer = timer
        self._seen: dict[int, int] | None = None
        """How many events each had when the ledger was read last; nothing before that."""
        self._moved: float | None = None

    def moving(self) -> bool:
        """Tell whether a run is under way, and any of them has moved lately; an unreadable ledger is no move."""
        now, seen = self._timer(), self._seen
        try:
            seen = {state.id: state.seq for state in self._at_work() if state.phase is Phase.RUNNING}
        except LedgerError as error:
            log.warning("ledger_failed", error=str(error))
        if self._moved is None or seen != self._seen:
            self._seen, self._moved = seen, now
        if seen == {}:
            return False
        stuck = now - self._moved >= STUCK
        if stuck:
            log.error("runs_left", cancellations=sorted(seen or ()), meaning="the next start takes them up")
        return not stuck


def until_runs_end(
    runs: Runs, *, taken: Callable[[], object], timer: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Wait for the runs, but not on once `taken` finds that Slack takes the tokens again: the next process listens.

    Raises what `sleep` raises.
    """
    asked = timer()
    while runs.moving():
        sleep(RUNS_LOOKED_AT)
        if timer() - asked >= ASK_AFTER:
            asked = timer()
            if answered(taken):
                return


def _refusal(error: BaseException) -> SlackApiError | None:
    """Return what Slack said, where it said something: Bolt wraps it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SlackApiError):
        cause = cause.__cause__ or cause.__context__
    return cause
