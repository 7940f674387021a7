"""Before the first connection and after the last: what is waited for, and for how long."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from slack_sdk.errors import SlackApiError, SlackClientNotConnectedError

from bot.domain.cancellation import Phase
from bot.domain.errors import ConfigError, Error, LedgerError
from bot.engine.keeper import HaltError
from bot.slack.watch import ASK_AFTER, DEAF
from bot.wiring.patience import RUNS_LOOKED_AT, STUCK, Runs, until_runs_end, until_slack_answers
from tests.slack.test_watch import SLIPS, slow_down


class Clock:
    """A clock that sleeping turns; who sleeps on beyond its end is told to leave."""

    def __init__(self, end: float = 10 * DEAF) -> None:
        self.time = 0.0
        self.end = end
        self.slept: list[float] = []

    def timer(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        self.time += seconds
        if self.time > self.end:
            raise HaltError


def fail(error: BaseException) -> Callable[[], object]:
    """Return a call that fails."""

    def ask() -> object:
        raise error

    return ask


def refused(word: str) -> SlackApiError:
    """Return what slack_sdk raises when Slack says no."""
    return SlackApiError("no", {"error": word})  # type: ignore[no-untyped-call]


NO_ROUTE: Final = OSError("no route")
NO_SOCKET: Final = SlackClientNotConnectedError("the socket did not open")
UNREACHABLE: Final = fail(NO_ROUTE)
REFUSED: Final = fail(refused("invalid_auth"))


def started(clock: Clock, *failures: Exception, alive: Callable[[], object] = UNREACHABLE) -> str:
    """Start against a Slack that fails so often first."""
    left = list(failures)

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "here"

    return until_slack_answers(ask, alive=alive, timer=clock.timer, sleep=clock.sleep)


def test_a_429_at_the_start_is_honoured() -> None:
    """Before the first connection, too, the next try waits for as long as Slack says."""
    clock = Clock()

    assert ("here", [40.0]) == (started(clock, slow_down(40)), clock.slept)


def test_an_answer_that_is_none_is_waited_out() -> None:
    """Whatever slack_sdk lets through at the start, Slack is asked again, ever more rarely."""
    clock = Clock()

    assert ("here", [1.0, 2.0, 5.0]) == (started(clock, *SLIPS, alive=fail(SLIPS[0])), clock.slept)


@pytest.mark.parametrize("error", [HaltError(), ConfigError(("no",)), LedgerError("locked")])
def test_what_is_not_slacks_is_not_waited_out(error: Exception) -> None:
    """What the bot itself says at the start is no failure of Slack's."""
    with pytest.raises(type(error)):
        started(Clock(), error)


def test_no_socket_at_the_start_is_given_up() -> None:
    """Where the Web API answers and no socket opens for ten minutes, it is said what to look at."""
    clock = Clock()
    with pytest.raises(Error, match="no connection opened for 10 minutes") as raised:
        until_slack_answers(fail(NO_SOCKET), alive=lambda: None, timer=clock.timer, sleep=clock.sleep)

    assert DEAF <= clock.time < DEAF + 60
    assert not isinstance(raised.value, ConfigError)
    assert all(hint in str(raised.value) for hint in ("wss://", "firewall", "Socket Mode"))


def test_an_unreachable_slack_is_waited_for_at_the_start() -> None:
    """A Slack that cannot be reached is waited for without end, and that time does not count once it is back."""
    clock = Clock()

    def alive() -> None:
        if clock.time < clock.end - DEAF:
            raise NO_ROUTE

    with pytest.raises(HaltError):
        until_slack_answers(fail(NO_SOCKET), alive=alive, timer=clock.timer, sleep=clock.sleep)


class Yard:
    """Runs in a ledger, on a clock turned by hand."""

    def __init__(self, *found: tuple[int, int]) -> None:
        self.clock = Clock(end=100 * STUCK)
        self.found: Sequence[tuple[int, int]] = found
        """The id and the events of each run."""
        self.readable = True
        self.runs = Runs(self.at_work, timer=self.clock.timer)

    def at_work(self) -> Any:
        """Return the runs, and an order that nobody waits for."""
        if not self.readable:
            raise LedgerError("disk I/O error")
        idle = SimpleNamespace(id=99, seq=int(self.clock.time), phase=Phase.CHECKING)
        return [idle, *(SimpleNamespace(id=one, seq=seq, phase=Phase.RUNNING) for one, seq in self.found)]

    def waited(self, taken: Callable[[], object] = REFUSED) -> float:
        """Wait for the runs; returns for how long."""
        until_runs_end(self.runs, taken=taken, timer=self.clock.timer, sleep=self.clock.sleep)
        return self.clock.time


def test_no_run_is_not_waited_for() -> None:
    """Where nothing runs, nothing is waited for."""
    assert 0.0 == Yard().waited()


def test_a_run_that_moves_is_waited_for() -> None:
    """A run that goes on is waited for until its end, however long it takes."""
    yard = Yard((1, 5), (2, 5))
    for moved in range(6):
        yard.clock.time += STUCK - 1
        yard.found = [(1, 5), (2, 6 + moved)]
        assert yard.runs.moving()
    yard.found = []

    assert not yard.runs.moving()


@pytest.mark.parametrize("readable", [True, False])
def test_a_run_that_does_not_move_is_left(readable: bool) -> None:
    """After a quarter of an hour without an event of any run, or without a readable ledger, nothing is waited for."""
    yard = Yard((1, 5))
    yard.readable = readable

    assert STUCK == yard.waited()


def test_a_ledger_that_fails_for_a_moment_is_no_move() -> None:
    """A ledger that can be read only now and then does not make a run that stands still wait longer."""
    yard = Yard((1, 5))
    assert yard.runs.moving()
    yard.clock.time, yard.readable = STUCK - 1, False
    assert yard.runs.moving()
    yard.clock.time, yard.readable = STUCK, True

    assert not yard.runs.moving()


def test_a_token_that_is_taken_again_ends_the_wait() -> None:
    """When Slack takes the tokens again, the wait is over within a minute: the next process listens, and resumes."""
    yard = Yard((1, 5))

    def taken() -> None:
        if yard.clock.time < 2 * ASK_AFTER:
            raise refused("invalid_auth")

    assert 2 * ASK_AFTER <= yard.waited(taken) <= 2 * ASK_AFTER + RUNS_LOOKED_AT
    assert yard.runs.moving()


def test_a_word_in_what_is_no_object_is_none() -> None:
    """A list where Slack's answer should be is no refusal of the token."""
    error = SlackApiError("no", cast(Any, ["error"]))  # type: ignore[no-untyped-call]

    assert "here" == started(Clock(), error)
