"""The watch over the connection: when it opens another one, and when there is no use in going on."""

from dataclasses import dataclass, field, replace
from http.client import BadStatusLine, IncompleteRead
from typing import Final

import pytest
from slack_sdk.errors import SlackApiError, SlackClientNotConnectedError

from bot.ledger.slots import LONGEST_PUSH
from bot.slack.tokens import LASTING, Refused, Tokens
from bot.slack.watch import (
    ASK_AFTER,
    ASK_CALMLY,
    ASK_EVERY,
    DEAF,
    HELD,
    LOOK_AGAIN,
    PAUSES,
    RETRY_AFTER,
    SILENT,
    Lost,
    Pulse,
    Watch,
    ailment,
    lost,
    pause,
    retry_after,
)

SLIPS: Final = (IncompleteRead(b"{"), BadStatusLine(""), AttributeError("'list' object has no attribute 'get'"))
"""What slack_sdk lets through: half an answer, none, one that is no object."""
WELL: Final = Pulse(open=True, opened=0.0, heard=0.0, alive=0.0)


@dataclass
class Stage:
    """A line whose connections open, fail and fall silent as a test says, and a Web API, on a clock turned by hand."""

    time: float = 0.0
    pulse_now: Pulse = WELL
    works: bool = True
    opens: bool = False
    """Whether connections open that do not work."""
    reachable: bool = True
    refuses: str = ""
    slip: Exception | None = None
    """What the Web API's answers come to, where they come to none."""
    asked_to_wait: int | None = None
    others: int = 0
    opened: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    crowded: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = Tokens(lambda: self.time)
        self.watch = Watch(
            self,
            ask=self.ask,
            tokens=self.tokens,
            timer=lambda: self.time,
            chance=lambda: 0.5,
            give_up=self.lost.append,
            crowded=self.crowded.append,
        )

    def pulse(self) -> Pulse:
        """Return how the connection is; one that works answers each ping."""
        if self.works and self.pulse_now.open:
            self.pulse_now = replace(self.pulse_now, heard=self.time, alive=self.time)
        return self.pulse_now

    def connect(self) -> None:
        """Open another connection."""
        self.opened.append(self.time)
        if self.slip is not None:
            raise self.slip
        if self.asked_to_wait is not None:
            raise slow_down(self.asked_to_wait)
        if not (self.works or self.opens):
            raise SlackClientNotConnectedError("no")
        self.pulse_now = Pulse(
            open=True, opened=self.time, heard=self.time, alive=self.pulse_now.alive, others=self.others
        )

    def ask(self) -> None:
        """Ask the Web API."""
        self.asked.append(self.time)
        if self.slip is not None:
            raise self.slip
        if not self.reachable:
            raise OSError("no route")
        if self.refuses:
            self.tokens.refuses("bot_token", self.refuses)
            raise SlackApiError("no", {"error": self.refuses})  # type: ignore[no-untyped-call]
        self.tokens.took("bot_token")

    def go_on(self, seconds: float, step: float = 0.5) -> None:
        """Look every half second for so long."""
        for _ in range(int(seconds / step)):
            self.time += step
            self.watch.look()

    def close(self) -> None:
        """Lose the connection, and every further one."""
        self.works = False
        self.pulse_now = replace(self.pulse_now, open=False)


def slow_down(seconds: object, name: str = "Retry-After") -> SlackApiError:
    """Return what slack_sdk raises when Slack says that it was too often."""

    class Answer(dict[str, str]):
        status_code = 429
        headers: Final = {name: str(seconds)}

    return SlackApiError("slower", Answer(error="ratelimited"))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("pulse", "at", "why"),
    [
        (WELL, SILENT - 0.1, ""),
        (WELL, SILENT, "silent"),
        (replace(WELL, heard=10.0), SILENT + 9.9, ""),
        (replace(WELL, leaving="warning"), 1.0, "warning"),
        (replace(WELL, open=False, leaving="warning"), 1.0, "closed"),
    ],
)
def test_what_ails_a_connection(pulse: Pulse, at: float, why: str) -> None:
    """A connection is replaced when it closed, when Slack says so, and when five pings brought nothing back."""
    assert why == ailment(pulse, at)


def test_pauses_grow() -> None:
    """The first try comes at once and each further one later, scattered by a quarter; Slack's own wish is kept."""
    assert [0.0, *PAUSES, PAUSES[-1]] == [pause(failures, chance=0.5) for failures in range(len(PAUSES) + 2)]
    assert (45.0, 75.0) == (pause(99, chance=0.0), pause(99, chance=1.0))
    assert 90.0 == pause(1, chance=0.5, asked=90.0)


def test_a_429_is_honoured() -> None:
    """While Slack says that it was too often, the next try waits for as long as it says."""
    stage = Stage(asked_to_wait=40)
    stage.pulse_now = replace(WELL, open=False)

    stage.go_on(100)

    assert [0.5, 40.5, 80.5] == stage.opened
    assert 0.0 == retry_after(OSError())


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("3600", LONGEST_PUSH), *((said, RETRY_AFTER) for said in ("inf", "nan", "-5", "0", "soon", ""))],
)
@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
def test_what_slack_asks_for_is_bounded(name: str, said: str, seconds: float) -> None:
    """Slack is left alone for two minutes at most; what is no number of seconds is half a minute."""
    assert seconds == retry_after(slow_down(said, name))


@pytest.mark.parametrize("slip", SLIPS)
def test_an_answer_that_is_none_is_a_failure(slip: Exception) -> None:
    """Whatever slack_sdk lets through, the tries become rare, and Slack is asked whether it is there."""
    stage = Stage(slip=slip)
    stage.close()

    stage.go_on(2 * DEAF)

    assert 2 * DEAF / 60 + len(PAUSES) >= len(stage.opened)
    assert (2 * DEAF - ASK_AFTER) // ASK_EVERY <= len(stage.asked)
    assert [] == stage.lost


def test_tries_become_rare() -> None:
    """A connection that held is replaced at once; when that fails the tries become rare, one a minute in the end."""
    stage = Stage()
    stage.go_on(HELD + 1)
    stage.close()

    stage.go_on(400)

    assert HELD + 1.5 == stage.opened[0]
    assert 400 / 60 + len(PAUSES) >= len(stage.opened)
    assert PAUSES[-1] == stage.opened[-1] - stage.opened[-2]


def test_a_connection_that_never_answers_is_replaced_ever_more_rarely() -> None:
    """Connections that open and bring nothing are dead after five pings each, and count as failures."""
    stage = Stage(works=False, opens=True)

    stage.go_on(300)

    gaps = [later - earlier for earlier, later in zip(stage.opened, stage.opened[1:], strict=False)]
    assert SILENT == stage.opened[0]
    assert gaps == sorted(gaps)
    assert PAUSES[-1] == gaps[-1]


def test_deaf_for_long_is_given_up() -> None:
    """When nothing has come for ten minutes while the Web API answers, a new process is worth trying."""
    stage = Stage()
    stage.close()

    stage.go_on(DEAF + ASK_AFTER - 1)
    assert [] == stage.lost
    stage.go_on(60)

    (found,) = stage.lost
    assert not found.after_runs
    assert "while the Web API answers" in found.reason


def test_an_unreachable_slack_is_waited_for() -> None:
    """A network that is down ends nothing, and the time without it does not count once it is back."""
    stage = Stage(reachable=False)
    stage.close()

    stage.go_on(10 * DEAF, step=5)
    stage.reachable = True
    stage.go_on(DEAF - ASK_EVERY)

    assert [] == stage.lost


def test_a_refused_token_is_given_up() -> None:
    """A token that Slack refuses for a minute, whenever it is asked, ends the process once no run is under way."""
    stage = Stage(refuses="token_revoked")
    stage.tokens.refuses("bot_token", "token_revoked")

    stage.go_on(LASTING - ASK_EVERY)
    assert [] == stage.lost
    stage.go_on(2 * ASK_EVERY)

    assert [
        Lost(
            reason="slack.bot_token: Slack refuses the token: token_revoked; check it with `ota-bot check`",
            after_runs=True,
        )
    ] == stage.lost


def test_a_moments_refusal_is_none() -> None:
    """A token that was refused and is taken again has not been refused; one refusal, however old, is not lasting."""
    stage = Stage()
    stage.tokens.refuses("bot_token", "invalid_auth")

    stage.go_on(2 * LASTING)

    assert ([], {}) == (stage.lost, stage.tokens.refused)
    assert lost(deaf=0, refused={"app_token": Refused(word="invalid_auth", since=0, until=0)}) is None


def test_an_idle_bot_asks_now_and_then() -> None:
    """A bot that has nothing to do asks every five minutes whether its token is still good."""
    stage = Stage()

    stage.go_on(2 * ASK_CALMLY + 1)

    assert [ASK_CALMLY, 2 * ASK_CALMLY] == stage.asked


def test_other_connections_are_told_when_they_last() -> None:
    """What the hello counts beside this process is told once, after a second hello has counted it again."""
    stage = Stage(others=2)
    stage.connect()

    stage.go_on(LOOK_AGAIN - 1)
    assert [] == stage.crowded
    stage.go_on(10 * LOOK_AGAIN)

    assert ([2], [0.0, LOOK_AGAIN]) == (stage.crowded, stage.opened)


def test_other_connections_that_go_are_not_told() -> None:
    """A process that was just ending while this one began is gone by the second hello."""
    stage = Stage(others=1)
    stage.connect()
    stage.others = 0

    stage.go_on(3 * LOOK_AGAIN)

    assert ([], 2) == (stage.crowded, len(stage.opened))
