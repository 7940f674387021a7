"""EnOS's signatures as its documents print them, and how every answer of its reads."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from bot.clouds.enos_wire import classify, compact, number, signature, too_fast
from bot.clouds.http import Reply
from bot.clouds.shared import parsed, retry_after
from bot.clouds.token import encryption
from bot.domain.call import Outcome
from bot.domain.secret import Secret

DONE, FAILED, UNKNOWN = Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN
DOCUMENTED: Final = {"k3": "v3", "k1": "v1", "k2": "v2"}
CANCEL: Final = {"action": "cancelTask", "orgId": "o15475466766371", "jobId": "6214ad2171125f2bf2b3f7b4"}
GET: Final = {**CANCEL, "action": "get"}


SOONER: Final = "Fri, 02 Jan 2026 03:04:05 GMT"
LATER: Final = "Friday, 02-Jan-26 03:05:35 GMT"


def reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=headers or {}, body=raw)


# --- signatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "secret", "stamp", "query", "body", "expected"),
    [
        pytest.param(
            "xxxxaaaxxxx",
            "xxxappSecretxxx",
            "1572574909697",
            DOCUMENTED,
            '{\n  "count": 20,\n  "page": 1,\n  "desc": "描述"\n}',
            "59828328f6c1f9771015dc74e4929ae30f518a35a3d2353972c2ea46556fc981",
            id="as the document prints it, with the Chinese body",
        ),
        pytest.param(
            "xxxxaaaxxxx",
            "xxxappSecretxxx",
            "1572574909697",
            DOCUMENTED,
            '{\n  "count": 20,\n  "page": 1,\n  "desc": "description"\n}',
            "ad6dc6fc97f4290f3724e94eab38168d8613c41c3a4569b4b8b0efbce96a816c",
            id="the English body, which the document's signature does not fit",
        ),
        pytest.param(
            "tok-0123456789abcdef",
            "test-secret-0001",
            "1735787045000",
            CANCEL,
            '{"deviceKeys":["dk1","dk2"]}',
            "1b6261709ee52ec57a794a195759c50171f410ff26794af626cd590260c6c7fc",
            id="cancelTask",
        ),
        pytest.param(
            "tok-0123456789abcdef",
            "test-secret-0001",
            "1735787045000",
            GET,
            "",
            "318510b4ad28a7840f2ea7823ecf23ed0233503b80e500fb7deafc6dc06d738e",
            id="no body",
        ),
    ],
)
def test_signature(*, token: str, secret: str, stamp: str, query: Mapping[str, str], body: str, expected: str) -> None:
    """apim-signature is SHA-256 of token, sorted parameters without separators, the raw body, stamp and secret."""
    assert expected == signature(Secret(token), query, body, stamp, Secret(secret))


@pytest.mark.parametrize(
    ("key", "secret", "stamp", "expected"),
    [
        (
            "5acb82e7-a11e-4300-9164-c8b20b638e8b",
            "test-secret-0001",
            1572574909697,
            "1bf43a5db911bababee5bcfd24bc61f2cb156d22cc9f5e25bf50f41d744f118f",
        ),
        (
            "0a1b2c3d-f200-4000-8000-0000000000aa",
            "0f0e0d0c-2da3-4000-8000-0000000000bb",
            1735787045000,
            "c3d10268f5be5ed2f263e73a3b228dcc81898fb55dbc6ebc726a9e8d6647e707",
        ),
    ],
)
def test_encryption(key: str, secret: str, stamp: int, expected: str) -> None:
    """The token service is given SHA-256 of key, milliseconds and secret."""
    assert expected == encryption(Secret(key), stamp, Secret(secret))


def test_compact() -> None:
    """A body is JSON without spaces, in ASCII: no charset can change what was signed."""
    assert '{"deviceKeys":["a","\\u6e29"]}' == compact({"deviceKeys": ["a", "温"]})


# --- how an answer reads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, DONE),
        ("0", DONE),
        (24404, FAILED),
        (24617, FAILED),
        (24620, FAILED),
        ("24620", FAILED),
        (99400, FAILED),
        (99403, FAILED),
        (99404, FAILED),
        (24500, UNKNOWN),
        (99500, UNKNOWN),
        ("99500", UNKNOWN),
    ],
)
def test_codes(code: object, outcome: Outcome) -> None:
    """Each code in an answer of HTTP 200 decides the outcome, as a number or as text; none of them is sent again."""
    answer = classify(reply({"code": code, "msg": "said", "requestId": "R-7", "data": None}), secrets=())

    assert (outcome, str(code), "said", "R-7", False) == (
        answer.outcome,
        answer.code,
        answer.message,
        answer.request_id,
        answer.again,
    )


@pytest.mark.parametrize(
    ("status", "body", "outcome", "again", "code"),
    [
        (200, b"<html>", UNKNOWN, False, "HTTP 200"),
        (200, b"", UNKNOWN, False, "HTTP 200"),
        (200, b"[]", UNKNOWN, False, "HTTP 200"),
        (200, {"msg": "OK"}, UNKNOWN, False, "HTTP 200"),
        (200, {"code": True}, UNKNOWN, False, "HTTP 200"),
        (200, {"code": None}, UNKNOWN, False, "HTTP 200"),
        (200, {"apim_status": 4011}, FAILED, True, "HTTP 200"),
        (200, {"apim_status": "4012"}, FAILED, True, "HTTP 200"),
        (302, b"", UNKNOWN, False, "HTTP 302"),
        (400, {"message": "cannot process body"}, FAILED, False, "HTTP 400"),
        (400, {"code": 0}, UNKNOWN, False, "0"),
        (401, {"message": "Invalid authentication credentials"}, FAILED, True, "HTTP 401"),
        (403, b"<html>", FAILED, False, "HTTP 403"),
        (404, {"code": 24404}, FAILED, False, "24404"),
        (408, b"", UNKNOWN, False, "HTTP 408"),
        (413, b"", FAILED, False, "HTTP 413"),
        (429, {"message": "API rate limit exceeded"}, FAILED, True, "HTTP 429"),
        (500, {"code": 24404}, UNKNOWN, False, "24404"),
        (500, {"code": 0}, UNKNOWN, False, "0"),
        (502, b"<html>", UNKNOWN, False, "HTTP 502"),
        (503, b"", UNKNOWN, False, "HTTP 503"),
        (504, b"", UNKNOWN, False, "HTTP 504"),
    ],
)
def test_gateway(status: int, body: object, outcome: Outcome, *, again: bool, code: str) -> None:
    """A gateway's answer is read by its HTTP status; only 401 and 429 may be sent again at once."""
    answer = classify(reply(body, status=status), secrets=())

    assert (outcome, again, code) == (answer.outcome, answer.again, answer.code)


@pytest.mark.parametrize(
    ("status", "headers", "expected", "wait"),
    [
        (429, {}, True, None),
        (429, {"retry-after": "7"}, True, 7.0),
        (503, {"retry-after": "2.5"}, True, 2.5),
        (503, {"retry-after": "-1"}, True, 0.0),
        (503, {"retry-after": "nan"}, False, None),
        (503, {"retry-after": "inf"}, False, None),
        (503, {"retry-after": "soon"}, False, None),
        (503, {}, False, None),
        (200, {"retry-after": "7"}, False, 7.0),
        (503, {"retry-after": LATER, "date": SOONER}, True, 90.0),
        (429, {"retry-after": SOONER, "date": LATER}, True, 0.0),
        (429, {"retry-after": LATER}, True, None),
        (429, {"retry-after": "Fri, 32 Jan 2026 00:00:00 GMT", "date": SOONER}, True, None),
    ],
)
def test_too_fast(status: int, headers: Mapping[str, str], *, expected: bool, wait: float | None) -> None:
    """429, and 503 with a Retry-After that can be kept, hold the operation back; a date counts from the answer's."""
    answer = reply({}, status=status, headers=headers)

    assert (expected, wait) == (too_fast(answer), retry_after(answer))


def test_secrets_are_hidden() -> None:
    """Secrets in the cloud's words are starred, and a string to sign is dropped."""
    found = classify(
        reply({"code": 99400, "msg": "key s+1 of T, string to sign: s+1T", "requestId": "s%2B1"}),
        secrets=[Secret("s+1")],
    )

    assert ("key *** of T, string to sign ***", "***") == (found.message, found.request_id)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        (" -1 ", -1),
        (True, None),
        (None, None),
        (1.0, None),
        ("x", None),
        ("٣", None),
        ("9" * 99, None),
    ],
)
def test_number(value: Any, expected: int | None) -> None:
    """A whole number is read as a number or as text, and nothing else is taken for one."""
    assert expected == number(value)


def test_parsed() -> None:
    """What is no JSON object reads as an empty one, however deep it is."""
    assert [{}, {}, {"a": 1}] == [parsed(reply(body)) for body in (b"\xff", b"[" * 100_000, {"a": 1})]


def test_signature_is_utf_8() -> None:
    """Parameters are signed decoded, as UTF-8."""
    expected = hashlib.sha256("ta温1s".encode()).hexdigest()

    assert expected == signature(Secret("t"), {"a": "温"}, "", "1", Secret("s"))
