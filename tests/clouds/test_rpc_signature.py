"""The RPC protocol: signatures step by step as the vendors' packages make them, and how every answer reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.clouds.http import Reply
from bot.clouds.rpc import canonical, classify, encode, pairs, signature, string_to_sign
from bot.domain.call import Answer, Outcome
from bot.domain.secret import Secret

VECTORS: Final[list[dict[str, Any]]] = json.loads((Path(__file__).parent / "vectors.json").read_text())["vectors"]
SECRETS: Final = (Secret("LTAI+key/id="), Secret("test+secret/two="))
DONE, FAILED, UNKNOWN = Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["id"]))


@each_vector
def test_step_1_canonical_query(vector: dict[str, Any]) -> None:
    """Step 1: all parameters sorted by name in code-point order, each percent-encoded by RFC 3986."""
    assert vector["canonicalized_query_string"] == canonical(pairs(vector["params"]))


@each_vector
def test_step_2_string_to_sign(vector: dict[str, Any]) -> None:
    """Step 2: the method, the encoded path and the canonical query encoded once more."""
    assert vector["string_to_sign"] == string_to_sign(vector["method"], vector["canonicalized_query_string"])


@each_vector
def test_step_3_signature(vector: dict[str, Any]) -> None:
    """Step 3: Base64 of HMAC-SHA1 over the string to sign."""
    assert vector["signature"] == signature(vector["string_to_sign"], Secret(vector["access_key_secret"]))


@each_vector
def test_all_steps(vector: dict[str, Any]) -> None:
    """The three steps together give the vector's signature, and the documented one where there is one."""
    text = string_to_sign(vector["method"], canonical(pairs(vector["params"])))
    found = signature(text, Secret(vector["access_key_secret"]))

    assert {vector["signature"], vector.get("documented_signature", vector["signature"])} == {found}


def test_vectors_cover_what_goes_wrong() -> None:
    """The vectors hold the traps: 200 names, a star, CJK, an empty value, GET beside POST, lower-case flags."""
    texts = " ".join(vector["canonicalized_query_string"] for vector in VECTORS)
    traps = ("DeviceName.100=", "%2A", "~", "%20", "SignatureType=&", "CancelUnconfirmedTask=false")

    assert {"GET", "POST"} == {vector["method"] for vector in VECTORS}
    assert [] == [trap for trap in traps if trap not in texts]
    assert any(ord(letter) > 0x4E00 for vector in VECTORS for value in vector["params"].values() for letter in value)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("AZaz09-_.~", "AZaz09-_.~"),
        (" ", "%20"),
        ("+", "%2B"),
        ("*", "%2A"),
        ("/", "%2F"),
        ("%", "%25"),
        ("设", "%E8%AE%BE"),
    ],
)
def test_encode(plain: str, expected: str) -> None:
    """Letters, digits and four marks stay; all else is percent-encoded UTF-8 in capitals."""
    assert expected == encode(plain)


@given(st.dictionaries(st.text(), st.text(), max_size=9), st.sampled_from(["GET", "POST"]))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_encoded_once_more(parameters: dict[str, str], method: str) -> None:
    """What is signed is the canonical query percent-encoded once more, whatever the names and values."""
    query = canonical(pairs(parameters))

    assert f"{method}&%2F&{quote(query, safe='-_.~')}" == string_to_sign(method, query)


@given(st.dictionaries(st.text(), st.text(), max_size=9), st.dictionaries(st.text(), st.text(), max_size=9))
@settings(derandomize=True, max_examples=100, deadline=None)
def test_parts_sort_together(one: dict[str, str], other: dict[str, str]) -> None:
    """Parameters that are encoded apart, for the query and for the form, are signed as one sorted list."""
    other = {name: value for name, value in other.items() if name not in one}

    assert canonical(pairs({**one, **other})) == canonical([*pairs(other), *pairs(one)])


# --- how an answer reads --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An answer and how it must read."""

    status: int
    code: str
    outcome: Outcome
    again: bool = False


def gateway(status: int, code: str) -> Reply:
    """Return a failure as the gateway shapes it."""
    body = {"RequestId": "R-1", "HostId": "iot", "Code": code, "Message": "it says so", "Recommend": "https://x"}
    return Reply(status=status, headers={}, body=json.dumps(body).encode())


def business(code: str) -> Reply:
    """Return a failure as the business shapes it."""
    body = {"RequestId": "R-1", "Success": False, "Code": code, "ErrorMessage": "it says so"}
    return Reply(status=200, headers={}, body=json.dumps(body).encode())


def plain(status: int, body: bytes, **headers: str) -> Reply:
    """Return an answer as it came."""
    return Reply(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body)


def read(reply: Reply, *, resent: bool = False) -> Answer:
    """Classify an answer."""
    return classify(reply, secrets=SECRETS, resent=resent)


GATEWAY: Final = [
    Case(400, "Throttling", FAILED, again=True),
    Case(400, "Throttling.User", FAILED, again=True),
    Case(400, "Throttling.Api", FAILED, again=True),
    Case(429, "Throttling.User", FAILED, again=True),
    Case(503, "Throttling.User", FAILED, again=True),
    Case(429, "", FAILED, again=True),
    Case(503, "ServiceUnavailable", UNKNOWN),
    Case(503, "ServiceUnavailableTemporary", UNKNOWN),
    Case(500, "InternalError", UNKNOWN),
    Case(500, "InternalFailure", UNKNOWN),
    Case(500, "UnknownError", UNKNOWN),
    Case(400, "ServiceUnavailable", UNKNOWN),
    Case(400, "ServiceUnavailableTemporary", UNKNOWN),
    Case(400, "InternalError", UNKNOWN),
    Case(400, "InternalFailure", UNKNOWN),
    Case(400, "UnknownError", UNKNOWN),
    Case(500, "SomethingNew", UNKNOWN),
    Case(504, "", UNKNOWN),
    Case(400, "SignatureDoesNotMatch", FAILED),
    Case(403, "SignatureDoesNotMatch", FAILED),
    Case(400, "IncompleteSignature", FAILED),
    Case(400, "IllegalTimestamp", FAILED),
    Case(400, "InvalidTimeStamp.Expired", FAILED),
    Case(400, "InvalidTimeStamp.Format", FAILED),
    Case(400, "InvalidAccessKeyId.NotFound", FAILED),
    Case(404, "InvalidAccessKeyId.NotFound", FAILED),
    Case(400, "InvalidSecurityToken.Expired", FAILED),
    Case(403, "Forbidden.RAM", FAILED),
    Case(400, "MissingJobId", FAILED),
    Case(400, "MissingParameter", FAILED),
    Case(400, "InvalidParameter", FAILED),
    Case(404, "InvalidProtocol.NeedSsl", FAILED),
    Case(404, "InvalidApi.NotFound", FAILED),
    Case(400, "NobodyKnowsThis", FAILED),
]
BUSINESS: Final = [
    Case(200, "iot.system.SystemException", UNKNOWN),
    Case(200, "ServiceUnavailable", UNKNOWN),
    Case(200, "InternalError", UNKNOWN),
    Case(200, "Throttling.User", FAILED, again=True),
    *(
        Case(200, code, FAILED)
        for code in (
            "iot.system.InstanceNotFound",
            "iot.Sre.IotInstanceNotFound",
            "iot.system.UidNotFound",
            "iot.system.IllegalRequest",
            "iot.system.BillIsOverDue",
            "iot.common.RamActionPermissionDeny",
            "iot.common.AuthActionPermissionDeny",
            "iot.common.InvalidPageParams",
            "iot.common.InvalidFormattedParameter",
            "iot.check.InvalidFormattedParameter",
            "iot.common.APINotSupportedInInstance",
            "iot.common.InvalidTenant",
            "iot.prod.NotExistedProduct",
            "iot.prod.NullProductKey",
            "iot.device.NotExistedDevice",
            "iot.device.NoneDeviceNameElement",
            "iot.device.InvalidFormattedDeviceName",
            "iot.ota.FirmwareNotFound",
            "iot.ota.NobodyKnowsThis",
            "",
        )
    ),
]


def spelt(case: Case) -> list[str]:
    """Return a code as documented, and in the other cases that documents use."""
    return sorted({case.code, case.code.lower(), case.code.upper(), case.code[:1].swapcase() + case.code[1:]})


@pytest.mark.parametrize("case", GATEWAY, ids=lambda case: f"{case.status}-{case.code}")
def test_gateway_failures(case: Case) -> None:
    """A gateway failure reads by its code, in any case of its letters, whatever status it comes with."""
    read_ones = {code: read(gateway(case.status, code)) for code in spelt(case)}

    assert dict.fromkeys(read_ones, (case.outcome, case.again)) == {
        code: (answer.outcome, answer.again) for code, answer in read_ones.items()
    }
    assert {"it says so"} == {answer.message for answer in read_ones.values()}
    assert {"R-1"} == {answer.request_id for answer in read_ones.values()}
    assert {code or f"HTTP {case.status}" for code in read_ones} == {answer.code for answer in read_ones.values()}


@pytest.mark.parametrize("case", BUSINESS, ids=lambda case: case.code)
def test_business_failures(case: Case) -> None:
    """A 200 with Success=false is no success, and reads by its code in any case of its letters."""
    read_ones = {code: read(business(code)) for code in spelt(case)}

    assert dict.fromkeys(read_ones, (case.outcome, case.again)) == {
        code: (answer.outcome, answer.again) for code, answer in read_ones.items()
    }
    assert {"it says so"} == {answer.message for answer in read_ones.values()}


@pytest.mark.parametrize("resent", [False, True])
def test_nonce_used(resent: bool) -> None:
    """A used nonce on a first sending is worth another; on a resend the first may have been executed."""
    answer = read(gateway(400, "SignatureNonceUsed"), resent=resent)

    assert (UNKNOWN, False) if resent else (FAILED, True) == (answer.outcome, answer.again)


@pytest.mark.parametrize("resent", [False, True])
def test_only_the_nonce_minds_a_resend(resent: bool) -> None:
    """Every other answer reads alike on a first sending and on a resend."""
    answers = [read(gateway(case.status, case.code), resent=resent) for case in GATEWAY]

    assert [(case.outcome, case.again) for case in GATEWAY] == [(answer.outcome, answer.again) for answer in answers]


@pytest.mark.parametrize(
    "body",
    [
        b'{"RequestId":"R-1","Success":true}',
        b'{"RequestId":"R-1","Success":true,"Code":"","Data":{}}',
        b'{"code":"","requestId":"R-1","success":true}',
        b'{"RequestId":"R-1","Success":"true"}',
        b'{"RequestId":"R-1","Success":"True"}',
        b'\xef\xbb\xbf{"RequestId":"R-1","Success":true}',
    ],
)
def test_success(body: bytes) -> None:
    """Success=true is done, in both spellings, as Boolean or as text."""
    answer = read(plain(200, body))

    assert (DONE, "", "R-1") == (answer.outcome, answer.code, answer.request_id)


def test_other_spelling_of_failure() -> None:
    """A failure in lower camel case reads like the other one."""
    answer = read(plain(200, b'{"code":"iot.ota.X","requestId":"R-1","success":false,"errorMessage":"no"}'))

    assert Answer(outcome=FAILED, code="iot.ota.X", message="no", request_id="R-1") == answer


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(plain(502, b"<html><h1>502 Bad Gateway</h1></html>"), UNKNOWN, id="html-502"),
        pytest.param(plain(200, b"<html>log in to the hotel's wifi</html>"), UNKNOWN, id="html-200"),
        pytest.param(plain(403, b"<html>forbidden</html>"), FAILED, id="html-403"),
        pytest.param(plain(302, b""), UNKNOWN, id="redirect"),
        pytest.param(plain(200, b'{"RequestId":"R","Succ'), UNKNOWN, id="cut"),
        pytest.param(plain(500, b'{"Code":"Inter'), UNKNOWN, id="cut-500"),
        pytest.param(plain(200, b""), UNKNOWN, id="empty"),
        pytest.param(plain(204, b""), UNKNOWN, id="no-content"),
        pytest.param(plain(200, b'[{"Success":true}]'), UNKNOWN, id="a-list"),
        pytest.param(plain(200, b"true"), UNKNOWN, id="a-boolean"),
        pytest.param(plain(200, b"null"), UNKNOWN, id="null"),
        pytest.param(plain(200, b"{}"), UNKNOWN, id="nothing-said"),
        pytest.param(plain(200, b'{"Success":null}'), UNKNOWN, id="success-null"),
        pytest.param(plain(200, b'{"Success":1}'), UNKNOWN, id="success-1"),
        pytest.param(plain(200, b'{"Success":[true]}'), UNKNOWN, id="success-list"),
        pytest.param(plain(200, b'{"Code":"OK"}'), UNKNOWN, id="code-without-success"),
        pytest.param(plain(400, b'{"Success":true}'), FAILED, id="success-with-400"),
        pytest.param(plain(500, b'{"Success":true}'), UNKNOWN, id="success-with-500"),
        pytest.param(plain(200, b'{"Success":false,"Code":7,"ErrorMessage":["x"],"RequestId":{}}'), FAILED, id="types"),
        pytest.param(plain(200, b"[" * 100_000), UNKNOWN, id="deep"),
        pytest.param(plain(200, b'{"Success":' + b"9" * 5000 + b"}"), UNKNOWN, id="long-number"),
        pytest.param(plain(200, b'{"Success":tr\xff}'), UNKNOWN, id="no-utf-8"),
    ],
)
def test_odd_shapes(reply: Reply, expected: Outcome) -> None:
    """What is not clearly a success is none, and what is not clearly a refusal is unknown."""
    assert expected == read(reply).outcome


@pytest.mark.parametrize("body", [b"<html>429 Too Many Requests</html>", b""])
def test_throttled_by_a_proxy(body: bytes) -> None:
    """A 429 that is not the cloud's JSON is a throttling all the same, and its wish to wait is heard."""
    answer = read(plain(429, body, retry_after="7"))

    assert (FAILED, True, 7.0) == (answer.outcome, answer.again, answer.wait)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_acs_retry_after": "1500"}, 1.5),
        ({"retry_after": "2"}, 2.0),
        ({"x_acs_retry_after": "1500", "retry_after": "9"}, 1.5),
        ({"x_acs_retry_after": "soon", "retry_after": "9"}, 9.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "-5"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"x_acs_retry_after": "nan", "retry_after": "3"}, 3.0),
        ({}, None),
    ],
)
def test_wait(headers: dict[str, str], expected: float | None) -> None:
    """x-acs-retry-after is in milliseconds and goes first, Retry-After is in seconds; nonsense is no wish."""
    throttled = gateway(400, "Throttling.User")

    assert expected == read(plain(400, throttled.body, **headers)).wait


@pytest.mark.parametrize("text", ["inf", "1e999", "9" * 400])
def test_endless_wait(text: str) -> None:
    """A wish to wait for ever is a long wait or none, but a number that can be compared."""
    wait = read(plain(400, gateway(400, "Throttling.User").body, retry_after=text)).wait

    assert wait is None or wait > 100


# --- nothing secret comes out of an answer ---------------------------------------------------------------------------


ECHOED: Final = [
    pytest.param("key LTAI+key/id= is unknown", "key *** is unknown", id="plain"),
    pytest.param("AccessKeyId=LTAI%2Bkey%2Fid%3D&x", "AccessKeyId=***&x", id="encoded"),
    pytest.param("AccessKeyId=LTAI%2bkey%2fid%3d&x", "AccessKeyId=***&x", id="encoded-small"),
    pytest.param("test+secret/two=LTAI+key/id=", "******", id="both"),
    pytest.param("no match. server String To Sign is:POST&%2F&A", "no match. server string to sign ***", id="echo"),
    pytest.param(
        "İ" * 60 + "string to sign is:POST&%2F&", "İ" * 60 + "string to sign ***", id="echo-after-long-letters"
    ),
    pytest.param("x" * 9000, "x" * 500, id="long"),
    pytest.param("x" * 490 + "test+secret/two=", "x" * 490 + "***", id="secret-at-the-cut"),
]


@pytest.mark.parametrize(("said", "expected"), ECHOED)
@pytest.mark.parametrize("name", ["Message", "ErrorMessage", "message", "errorMessage"])
def test_messages_are_cleaned(name: str, said: str, expected: str) -> None:
    """Echoed secrets and strings to sign are cut out of a message before anybody sees it."""
    body = json.dumps({"Success": False, "Code": "SignatureDoesNotMatch", name: said}).encode()

    assert expected == read(plain(200, body)).message


@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize("name", ["Code", "RequestId", "Message", "ErrorMessage"])
def test_every_field_is_cleaned(name: str, success: bool) -> None:
    """No text field of an answer, done or not, brings a secret or a book into the ledger."""
    said = {"Success": success, "Code": "c", name: "test+secret/two= " + "x" * 9000}
    answer = read(plain(200, json.dumps(said).encode()))
    texts = [answer.code, answer.message, answer.request_id]

    assert not [text for text in texts if "test+secret" in text]
    assert max(map(len, texts)) <= 500


# --- nothing that a cloud says breaks the bot -----------------------------------------------------------------------


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["Success", "success", "Code", "code", "Message", "ErrorMessage", "RequestId", "requestId"])
answers = st.dictionaries(names | st.text(max_size=5), values, max_size=6).map(lambda found: json.dumps(found).encode())
headers = st.dictionaries(
    st.sampled_from(["x-acs-retry-after", "retry-after", "date", "content-type"]),
    st.text(max_size=12) | st.floats().map(str),
    max_size=4,
)


@settings(derandomize=True, max_examples=400, deadline=None)
@given(body=st.binary(max_size=60) | answers, status=st.integers(0, 999), headers=headers, resent=st.booleans())
@example(body=b"", status=429, headers={"retry-after": "nan"}, resent=False)
@example(body=b'{"Success":true}', status=200, headers={"x-acs-retry-after": "inf"}, resent=True)
def test_nothing_raises(body: bytes, status: int, headers: dict[str, str], resent: bool) -> None:
    """Whatever bytes come with whatever status and headers: an answer, and done only after a clear success."""
    answer = read(Reply(status=status, headers=headers, body=body), resent=resent)

    assert answer.outcome is not DONE or (b"true" in body.lower() and status < 400)
    assert answer.wait is None or answer.wait >= 0
    assert not (answer.again and answer.outcome is not FAILED)
    assert max(len(answer.code), len(answer.message), len(answer.request_id)) <= 500
