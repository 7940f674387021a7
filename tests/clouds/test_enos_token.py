"""EnOS's access tokens: one fetch for all threads, renewed in time, never the same proof twice, never shown."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from bot.clouds.http import Http, Reply
from bot.clouds.shared import READ_ATTEMPTS
from bot.clouds.throttle import Throttle
from bot.clouds.token import LEAD, REST, Tokens
from bot.domain.advice import advice
from bot.domain.errors import CloudError
from bot.domain.secret import Secret
from tests.clouds.enos_stand_in import KEY, SECRET, EnosStandIn, Pace, Said, an_account
from tests.clouds.stand_ins import Clock, hasty_session, nobody

Fetch = Callable[..., Tokens]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


@pytest.fixture
def enos(clock: Clock) -> Iterator[EnosStandIn]:
    with EnosStandIn(clock.now) as running:
        yield running


@pytest.fixture
def replies() -> list[Reply]:
    return []


@pytest.fixture
def make(clock: Clock, pace: Pace, replies: list[Reply]) -> Iterator[Fetch]:
    http = Http(clock=time.monotonic, sessions=hasty_session)

    def made(url: str, **changes: object) -> Tokens:
        known = an_account(url, **changes)
        return Tokens(known, http=http, throttle=pace.throttle(), now=clock.now, heard=replies.append)

    yield made
    http.close()


@pytest.fixture
def tokens(make: Fetch, enos: EnosStandIn) -> Tokens:
    return make(enos.url)


def asked(enos: EnosStandIn) -> list[str]:
    return [heard.action.removeprefix("token/") for heard in enos.heard]


def failure(tokens: Tokens) -> CloudError:
    with pytest.raises(CloudError) as raised:
        tokens.current()
    return raised.value


def test_one_fetch_for_twenty_threads(tokens: Tokens, enos: EnosStandIn) -> None:
    """Twenty threads that need a token at once get the same one, by one request."""
    start = threading.Barrier(20)
    enos.before = lambda _: time.sleep(0.1)

    def ask(_: int) -> str:
        start.wait(5)
        return tokens.current().reveal()

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(ask, range(20)))

    assert ({enos.token}, ["get"]) == (found, asked(enos))


def test_one_failure_for_all_who_wait(tokens: Tokens, enos: EnosStandIn) -> None:
    """Threads that wait for a fetch share its failure, in place of failing one after the other."""
    enos.secret = "another"
    start = threading.Barrier(20)
    enos.before = lambda _: time.sleep(0.1)

    def ask(_: int) -> str:
        start.wait(5)
        return failure(tokens).code

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(ask, range(20)))

    assert ({"1003"}, ["get"]) == (found, asked(enos))


@pytest.mark.parametrize(("life", "lead"), [(7200, LEAD), (1200, 600), (300, 150)])
def test_renewal(tokens: Tokens, enos: EnosStandIn, clock: Clock, life: int, lead: float) -> None:
    """A token is refreshed when 10 minutes, or half its life, are left, and used unasked until then."""
    enos.life = life
    first = tokens.current()
    clock.turn(life - lead - 2)
    same = tokens.current()
    clock.turn(3)
    second = tokens.current()

    assert (True, False, ["get", "refresh"]) == (first == same, first == second, asked(enos))
    assert first.reveal() == enos.heard[-1].json["accessToken"]


def test_ended(tokens: Tokens, enos: EnosStandIn, clock: Clock) -> None:
    """A token whose end has passed unseen is not refreshed: a new one is got."""
    tokens.current()
    clock.turn(7300)
    tokens.current()

    assert ["get", "get"] == asked(enos)


@pytest.mark.parametrize("code", [1203, 1204])
def test_refresh_refused(tokens: Tokens, enos: EnosStandIn, clock: Clock, code: int) -> None:
    """A refresh that is refused as expired or failed is followed by one get."""
    tokens.current()
    clock.turn(6900)
    enos.say("token/refresh", Said(body={"status": code, "msg": "no"}))
    tokens.current()

    assert ["get", "refresh", "get"] == asked(enos)


def test_refresh_fails_while_the_token_lives(tokens: Tokens, enos: EnosStandIn, clock: Clock) -> None:
    """A token that could not be renewed is used on while it lives; renewal is tried again a little later."""
    first = tokens.current()
    clock.turn(6700)
    enos.say("token/refresh", *[Said(status=500)] * READ_ATTEMPTS)
    kept = [tokens.current(), tokens.current()]
    before = asked(enos)
    clock.turn(REST + 1)
    new = tokens.current()

    assert ([first, first], False) == (kept, first == new)
    assert (["get", *["refresh"] * READ_ATTEMPTS], [*before, "refresh"]) == (before, asked(enos))


def test_held(tokens: Tokens, enos: EnosStandIn, clock: Clock) -> None:
    """The token at hand is given without a request as long as it lives, also when it is to be renewed."""
    first = tokens.current()
    clock.turn(7000)
    held = tokens.held()
    clock.turn(300)
    with pytest.raises(CloudError, match="has given no token that still lives"):
        tokens.held()

    assert (first, ["get"]) == (held, asked(enos))


def test_not_held(tokens: Tokens, enos: EnosStandIn) -> None:
    """Where none could be had, it is said why, until one is had."""
    enos.say("token/get", Said(body={"status": 1003, "msg": "no"}))
    said = failure(tokens)
    with pytest.raises(CloudError) as raised:
        tokens.held()
    tokens.drop(tokens.current())
    with pytest.raises(CloudError, match="has given no token that still lives"):
        tokens.held()

    assert ("1003", True) == (said.code, raised.value is said)


def test_refused_token_is_dropped(tokens: Tokens, enos: EnosStandIn) -> None:
    """A refused token is forgotten once; who drops it late does not drop its successor."""
    first = tokens.current()
    enos.expire()
    tokens.drop(first)
    second = tokens.current()
    tokens.drop(first)

    assert (False, second, ["get", "get"]) == (first == second, tokens.current(), asked(enos))


def test_get_gives_the_refused_token_again(tokens: Tokens, enos: EnosStandIn) -> None:
    """As `get` gives the same token until its end, one that was refused is refreshed."""
    first = tokens.current()
    tokens.drop(first)

    assert (False, ["get", "get", "refresh"]) == (tokens.current() == first, asked(enos))


def test_misspelt_status(tokens: Tokens, enos: EnosStandIn) -> None:
    """The code is read from `stauts`, too, as the document's sample spells it."""
    enos.misspelt = True

    assert Secret("token+1/of=EnOS") == tokens.current()


@pytest.mark.parametrize(
    "said",
    [
        Said(body={"status": 1001, "msg": "repeated"}),
        Said(body={"status": 1005, "msg": "internal"}),
        Said(body={"stauts": "1005"}),
        Said(status=500, body={"status": 500, "error": "Internal Server Error"}),
        Said(status=502, body=b"<html>"),
        Said(status=429),
        Said(status=0),
        Said(body=b"<html>"),
        Said(body={"status": 0, "data": {}}),
        Said(body={"status": 0, "data": {"accessToken": "a\r\nb"}}),
    ],
    ids=repr,
)
def test_asked_again(tokens: Tokens, enos: EnosStandIn, said: Said) -> None:
    """What may pass is asked again, each time with a stamp and a slot of its own."""
    enos.say("token/get", said)
    tokens.current()
    first, second = (heard.json for heard in enos.heard)

    assert first["timestamp"] < second["timestamp"]
    assert first["encryption"] != second["encryption"]


@pytest.mark.parametrize("code", [1002, 1003, 1004, 1202])
def test_final_codes(tokens: Tokens, enos: EnosStandIn, code: int) -> None:
    """A wrong key, proof or parameter is said at once, with what to check."""
    enos.say("token/get", Said(body={"status": code, "msg": "no"}))
    error = failure(tokens)

    assert (True, str(code), 1) == (error.final, error.code, len(enos.heard))
    assert f"The token service of pumps refused: {code} no. {advice(str(code))} Nothing was changed." == str(error)


def test_unknown_refusal(tokens: Tokens, enos: EnosStandIn) -> None:
    """A refusal whose code says nothing is said with what to check."""
    enos.say("token/get", Said(status=404, body={"status": 1999, "msg": "no"}))

    assert "1999 no. Check the app key, the app secret and this machine's clock." in str(failure(tokens))


@pytest.mark.parametrize("said", [Said(status=500), Said(status=503), Said(status=0)], ids=repr)
def test_no_doubt(tokens: Tokens, enos: EnosStandIn, said: Said) -> None:
    """A token service that broke may have done no call: nobody is told to look at what is left of one."""
    enos.say("token/get", *[said] * READ_ATTEMPTS)
    error = failure(tokens)

    assert ("", False) == (error.code, error.final)
    assert "The cloud gave no usable answer just now: ask again in a few minutes. Nothing was changed." == error.advice


def test_gives_up(tokens: Tokens, enos: EnosStandIn) -> None:
    """A token service that stays silent is asked four times in all, and it is said that it did not answer."""
    enos.say("token/get", *[Said(status=0)] * READ_ATTEMPTS)
    error = failure(tokens)

    assert (False, READ_ATTEMPTS) == (error.final, len(enos.heard))
    assert str(error).startswith("The token service of pumps did not answer: the connection broke")


def test_nobody_listens(make: Fetch) -> None:
    """Where nobody listens, it is said that no connection could be made."""
    with nobody() as url:
        assert "no connection could be made" in str(failure(make(url)))


def test_stamps_rise_while_the_clock_is_set_back(make: Fetch, enos: EnosStandIn, clock: Clock) -> None:
    """The same key and millisecond are never sent twice by one account, even where no slot keeps them apart."""
    tokens = make(enos.url)
    tokens._throttle = Throttle(
        reserve=lambda *_: clock.seconds(),
        push=lambda *_: None,
        now=clock.seconds,
        sleep=lambda _: clock.turn(-1),
    )
    for _ in range(5):
        tokens.drop(tokens.current())
    stamps = [heard.json["timestamp"] for heard in enos.heard]

    assert (9, []) == (len(stamps), [pair for pair in pairwise(stamps) if pair[0] >= pair[1]])


def test_accounts_of_one_key_never_share_a_stamp(make: Fetch, enos: EnosStandIn) -> None:
    """Two accounts of one key share its quota, whose slots keep their stamps apart."""
    two = [make(enos.url), make(enos.url, name="valves")]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(Tokens.current, two))

    assert (1, 2, 2) == (len(set(found)), len({heard.json["timestamp"] for heard in enos.heard}), len(enos.heard))


def test_throttling(tokens: Tokens, enos: EnosStandIn, pace: Pace) -> None:
    """The token service's 429 holds the operation `token` back for as long as it asks."""
    enos.say("token/get", Said(status=429, headers={"Retry-After": "9"}))
    tokens.current()

    assert ([("token", 9.0)], {"token": 2}) == (pace.pushed, pace.reserved)


def test_nothing_secret_is_shown(tokens: Tokens, enos: EnosStandIn) -> None:
    """Neither the key, the secret, a token nor a proof is in an error, its cause or the representation."""
    tokens.drop(tokens.current())
    enos.expire()
    enos.before = lambda heard: enos.say(
        "token/get",
        Said(body={"status": 1003, "msg": f"{KEY} {SECRET} token+1/of=EnOS {heard.json['encryption']} is wrong"}),
    )
    error = failure(tokens)

    assert "The token service of pumps refused: 1003 *** *** *** *** is wrong." == error.message
    assert "token+1" not in repr(tokens) + repr(vars(tokens)) + repr(error)


def test_unknown_life(tokens: Tokens, enos: EnosStandIn, clock: Clock) -> None:
    """A token of whose life nothing is said is kept for a minute."""
    enos.say("token/get", Said(body={"status": 0, "data": {"accessToken": "brief"}}))
    first = tokens.current()
    clock.turn(25)
    same = tokens.current()
    clock.turn(40)
    tokens.current()

    assert (Secret("brief"), Secret("brief"), ["get", "get"]) == (first, same, asked(enos))


def test_sleep_that_ends_the_process_ends_the_fetch(make: Fetch, enos: EnosStandIn, clock: Clock) -> None:
    """When the process leaves, the fetch is let go, and the next one starts anew."""
    tokens, sleep = make(enos.url), clock.sleep

    def leave(_: float) -> None:
        raise InterruptedError

    tokens._throttle._sleep = leave
    with pytest.raises(InterruptedError):
        tokens.current()
    tokens._throttle._sleep = sleep

    assert (Secret("token+1/of=EnOS"), ["get"]) == (tokens.current(), asked(enos))
