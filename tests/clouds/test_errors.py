"""Every code of the vendors' tables: how a call with it ends, whether a read is tried again, what a person is told."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.http import Http, Reply
from bot.clouds.rpc import classify
from bot.clouds.shared import READ_ATTEMPTS
from bot.domain.advice import advice
from bot.domain.call import Outcome
from bot.domain.errors import CloudError
from bot.domain.order import CancelJob
from tests.clouds.stand_ins import Clock, Peer, Talk, account, hasty_session, nobody, rpc_cloud, unpaced

DONE, FAILED, UNKNOWN = Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN
GATEWAY_STATUSES: Final = (200, 400, 403, 404, 429, 500, 503)


@dataclass(frozen=True)
class Row:
    """A code of the table of Alibaba's errors (help.aliyun.com/document_detail/87387, /48054, /51132)."""

    code: str
    status: int
    outcome: Outcome
    again: bool = False
    about: str = ""
    """A word that the advice cannot do without."""


def refused(status: int, about: str, *codes: str) -> list[Row]:
    return [Row(code, status, FAILED, about=about) for code in codes]


def unsure(status: int, *codes: str) -> list[Row]:
    return [Row(code, status, UNKNOWN, about="look at what is left") for code in codes]


ROWS: Final = [
    *(Row(code, 400, FAILED, True, "qps") for code in ("Throttling", "Throttling.User", "Throttling.Api")),
    *unsure(503, "ServiceUnavailable", "ServiceUnavailableTemporary"),
    *unsure(500, "InternalError", "InternalFailure", "UnknownError"),
    *refused(400, "key_secret", "SignatureDoesNotMatch"),
    *refused(403, "key_secret", "SignatureDoesNotMatch"),
    *refused(400, "report", "IncompleteSignature"),
    *refused(400, "clock", "IllegalTimestamp", "InvalidTimeStamp.Expired", "InvalidTimeStamp.Format"),
    Row("SignatureNonceUsed", 400, FAILED, True, "look at what is left"),
    *refused(400, "key_id", "InvalidAccessKeyId.NotFound"),
    *refused(404, "security_token", "InvalidAccessKeyId.NotFound"),
    *refused(400, "security_token", "InvalidSecurityToken.Expired", "InvalidSecurityToken.MismatchWithAccessKey"),
    *refused(403, "grant", "Forbidden.RAM", "Forbidden"),
    *refused(400, "ids", "MissingJobId", "MissingParameter", "InvalidParameter", "InvalidParameter.JobId"),
    *refused(404, "https", "InvalidProtocol.NeedSsl"),
    *refused(404, "region", "InvalidApi.NotFound"),
    *unsure(200, "iot.system.SystemException"),
    *refused(200, "instance", "iot.system.InstanceNotFound", "iot.Sre.IotInstanceNotFound"),
    *refused(200, "key", "iot.system.UidNotFound", "iot.common.InvalidTenant"),
    *refused(200, "support", "iot.system.IllegalRequest"),
    *refused(200, "bills", "iot.system.BillIsOverDue", "Iot.system.BillIsOverDue"),
    *refused(200, "grant", "iot.common.RamActionPermissionDeny"),
    *refused(200, "somebody else", "iot.common.AuthActionPermissionDeny"),
    *refused(200, "report", "iot.common.InvalidPageParams"),
    *refused(200, "ids", "iot.common.InvalidFormattedParameter", "iot.check.InvalidFormattedParameter"),
    *refused(200, "console", "iot.common.APINotSupportedInInstance"),
    *refused(200, "product", "iot.prod.NotExistedProduct", "iot.prod.NullProductKey"),
    *refused(
        200,
        "names",
        "iot.device.NotExistedDevice",
        "iot.device.NoneDeviceNameElement",
        "iot.device.InvalidFormattedDeviceName",
    ),
    *refused(200, "firmware", "iot.ota.FirmwareNotFound"),
    *refused(200, "status", "iot.ota.JobNotFound", "iot.ota.NobodyKnowsThis"),
]
ENOS: Final = {
    "1001": "again",
    "1002": "key_id",
    "1003": "key_secret",
    "1004": "report",
    "1005": "few minutes",
    "1202": "report",
    "1203": "renewed",
    "1204": "renewed",
    "24404": "org",
    "24617": "not running",
    "24620": "moved on",
    "24621": "Only failed",
    "99400": "ids",
    "99403": "Control OTA",
    "99404": "org",
    "99500": "look at what is left",
    "24500": "look at what is left",
}
"""EnOS's codes: of the token service, of cancelTask, and the common ones."""
STATUSES: Final = {
    "HTTP 200": "proxy",
    "HTTP 302": "proxy",
    "HTTP 400": "names_per_call",
    "HTTP 401": "key and secret",
    "HTTP 403": "IP",
    "HTTP 413": "names_per_call",
    "HTTP 429": "qps",
    "HTTP 500": "look at what is left",
    "HTTP 502": "look at what is left",
    "HTTP 503": "look at what is left",
    "HTTP 504": "look at what is left",
}
OWN: Final = {"NotSent": "nothing was sent", "NoAnswer": "look at what is left", "Interrupted": "look at what is left"}

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.status}-{row.code}")


def spelt(code: str) -> list[str]:
    """Return a code in the cases of letters that documents use."""
    return sorted({code, code.lower(), code.upper(), code[:1].swapcase() + code[1:]})


def gateway(code: str, status: int) -> Reply:
    """Shape a failure as the gateway does."""
    body = {"RequestId": "R-1", "HostId": "iot", "Code": code, "Message": "it says so", "Recommend": "https://x"}
    return Reply(status=status, headers={}, body=json.dumps(body).encode())


def business(code: str, *, camel: bool) -> Reply:
    """Shape a failure as the business does, in one of the two spellings."""
    body = {"RequestId": "R-1", "Success": False, "Code": code, "ErrorMessage": "it says so"}
    lower = {name[0].lower() + name[1:]: value for name, value in body.items()}
    return Reply(status=200, headers={}, body=json.dumps(lower if camel else body).encode())


def shapes(row: Row) -> list[Reply]:
    """Return a row's failure as the gateway or the business shapes it, in every spelling."""
    if row.status != 200:
        return [gateway(code, row.status) for code in spelt(row.code)]
    return [business(code, camel=camel) for code in spelt(row.code) for camel in (False, True)]


@each_row
def test_ends(row: Row) -> None:
    """Each documented code ends a call as the table says, in either shape's spellings and any case of letters."""
    answers = [classify(reply, secrets=(), resent=False) for reply in shapes(row)]

    assert {(row.outcome, row.again, "it says so", "R-1")} == {
        (answer.outcome, answer.again, answer.message, answer.request_id) for answer in answers
    }
    assert {row.code.lower()} == {answer.code.lower() for answer in answers}


@pytest.mark.parametrize("row", [row for row in ROWS if row.status != 200], ids=lambda row: f"{row.status}-{row.code}")
@pytest.mark.parametrize("status", GATEWAY_STATUSES)
def test_the_code_counts(row: Row, status: int) -> None:
    """A gateway's code counts and not its status, which products document differently; but a 429 is always a rate."""
    answer = classify(gateway(row.code, status), secrets=(), resent=False)

    assert ((FAILED, True) if status == 429 else (row.outcome, row.again)) == (answer.outcome, answer.again)


@each_row
def test_on_a_resend(row: Row) -> None:
    """On a resend every code ends a call as on a first sending, but for the used nonce, which only a read settles."""
    answers = {classify(reply, secrets=(), resent=True).outcome for reply in shapes(row)}

    assert {UNKNOWN if row.code == "SignatureNonceUsed" else row.outcome} == answers


@each_row
def test_advice(row: Row) -> None:
    """Each documented code has its sentence for a person, in any case of letters."""
    found = {advice(code) for code in spelt(row.code)}

    assert 1 == len(found)
    assert row.about in found.pop()


@pytest.mark.parametrize(("code", "about"), [*ENOS.items(), *STATUSES.items(), *OWN.items()])
def test_advice_for_other_codes(code: str, about: str) -> None:
    """EnOS's codes, HTTP statuses without a code, and the bot's own codes have their sentences, too."""
    assert {True} == {about in advice(spelling) for spelling in spelt(code)}


@pytest.mark.parametrize("code", ["", "NobodyKnowsThis", "iot.new.Thing", "0", "200", "HTTP", "HTTP 40", "xThrottling"])
def test_no_advice(code: str) -> None:
    """Nothing is made up about a code that is in no table."""
    assert "" == advice(code)


def test_sentences() -> None:
    """Each advice is a sentence or two of plain text, short enough for a card."""
    found = {advice(code) for code in (*(row.code for row in ROWS), *ENOS, *STATUSES, *OWN)}

    assert [] == [text for text in found if len(text) > 200 or not text.endswith(".")]
    assert [] == [text for text in found if set(text) & set("`*<>&")]


# --- reads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def http() -> Iterator[Http]:
    made = Http(clock=time.monotonic, sessions=hasty_session)
    yield made
    made.close()


def unread(http: Http, url: str) -> CloudError:
    """Look at a job, expect an error, and return it."""
    clock = Clock()
    known = rpc_cloud(AliyunCloud, account(url), http=http, throttle=unpaced(clock), clock=clock)
    with pytest.raises(CloudError) as raised:
        known.look(CancelJob(job="J1"), ())
    return raised.value


@each_row
def test_reads(http: Http, row: Row) -> None:
    """A read that was refused for good is not sent again and says that it is final; any other one is tried again."""
    reply = shapes(row)[0]

    def script(talk: Talk) -> None:
        while talk.hear() is not None:
            talk.answer(reply.body, status=f"{reply.status} Thus")

    with Peer(script) as peer:
        error = unread(http, peer.url)
    final = row.outcome is FAILED and not row.again

    assert (final, 1 if final else READ_ATTEMPTS) == (error.final, len(peer.requests))
    assert (row.code.lower(), "R-1") == (error.code.lower(), error.request_id)
    assert f"{error.code}: it says so." in error.message
    assert f"{advice(row.code, read=True)} Nothing was changed." == error.advice
    assert "look at what is left" not in error.advice


def test_unreachable(http: Http) -> None:
    """A cloud that cannot be reached may be tried again."""
    with nobody() as url:
        error = unread(http, url)

    assert ("NotSent", False) == (error.code, error.final)
    assert "nothing was sent" in error.advice


def test_proxy(http: Http) -> None:
    """A proxy's page is no refusal of the cloud's."""

    def script(talk: Talk) -> None:
        while talk.hear() is not None:
            talk.answer(b"<html>502</html>", status="502 Bad Gateway")

    with Peer(script) as peer:
        error = unread(http, peer.url)

    assert ("HTTP 502", False, READ_ATTEMPTS) == (error.code, error.final, len(peer.requests))
