"""What is remembered of whether a cloud answers."""

import threading
import time
from datetime import datetime, timedelta

import pytest

from bot.clouds.health import AccountHttp, Health, Heard
from bot.clouds.http import NoAnswerError, NotSentError, Request
from tests.builders import NOW, Clock
from tests.clouds.stand_ins import Peer, Talk, nobody


def test_nothing_is_known_before_anything_was_asked() -> None:
    """Of an account that nobody asked about nothing is said."""
    assert None is Health(now=Clock()).of("prod")


def test_the_latest_of_both_is_kept() -> None:
    """An account keeps when its cloud answered last and when it did not, and is well by the later of them."""
    clock = Clock()
    health = Health(now=clock)
    health.hear("prod")
    clock.turn(5)
    health.hear("prod", "HTTP 503")
    ill = health.of("prod") or Heard()
    clock.turn(5)
    health.hear("prod")
    well = health.of("prod") or Heard()

    assert Heard(answered=NOW, silent=NOW + timedelta(seconds=5), why="HTTP 503") == ill
    assert (False, True) == (ill.well, well.well)
    assert None is health.of("lamps")


def test_what_two_threads_hear_is_kept() -> None:
    """An answer and a silence that are heard at once are both known afterwards."""
    clock = Clock()
    second = threading.Thread(target=lambda: health.hear("prod", "HTTP 503"))

    def now() -> datetime:
        if second.ident is None:
            second.start()
            second.join(0.05)  # as long as one would take that is not kept waiting
        return clock()

    health = Health(now=now)
    health.hear("prod")
    second.join()

    assert Heard(answered=NOW, silent=NOW, why="HTTP 503") == health.of("prod")


@pytest.mark.parametrize(("status", "heard"), [("200 OK", ""), ("403 Forbidden", ""), ("503 Gone Home", "HTTP 503")])
def test_each_request_is_heard(status: str, heard: str) -> None:
    """An answer of any kind is one, but for the word that the cloud is out of order."""

    def script(talk: Talk) -> None:
        talk.hear()
        talk.answer(status=status)

    told = list[str]()
    http = AccountHttp(clock=time.monotonic, hear=told.append)
    with Peer(script) as peer:
        http.send(Request(method="GET", url=f"{peer.url}/"))
    http.close()

    assert [heard] == told


def test_what_was_not_answered_is_heard() -> None:
    """A request that reached nobody, or that nobody answered, is told with the reason, and raised as before."""

    def script(talk: Talk) -> None:
        talk.hear()

    told = list[str]()
    http = AccountHttp(clock=time.monotonic, hear=told.append)
    with Peer(script) as peer, pytest.raises(NoAnswerError):
        http.send(Request(method="GET", url=f"{peer.url}/"))
    with nobody() as url, pytest.raises(NotSentError):
        http.send(Request(method="GET", url=f"{url}/"))
    http.close()

    broke, never = told
    assert broke.startswith("the connection broke or timed out")
    assert never.startswith("no connection could be made")
