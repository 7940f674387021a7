"""The simulated EnOS behaves as the documents say the real one does."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests

from bot.playground.cloud.enos_cloud import OTA_JOBS, EnosCloud
from bot.playground.cloud.enos_expression import TASK_FIELDS, ExpressionError, parsed
from bot.playground.cloud.enos_tokens import encryption, signature

JOB = "6214ad2171125f2bf2b3f7b4"
KEY, SECRET = "5acb82e7-a11e-4300-9164-c8b20b638e8b", "test-secret-0001"
ORG = "o15475466766371"
NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
COUNTS = {"init": 40, "published": 12, "upgrading": 5, "succeeded": 3, "failed": 2}
# A proof is good for one call, so each has a millisecond of its own.
MOMENTS = count(1735787045000)


class Clock:
    """A monotonic clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[EnosCloud]:
    # One server for all tests: to stop one takes longer than most tests.
    with EnosCloud(keys={KEY: SECRET}, now=lambda: NOW, clock=clock) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: EnosCloud, clock: Clock) -> EnosCloud:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.limits.clear()
    running.expire_tokens()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring")
    clock.seconds += 10  # no rate is used up
    return running


@pytest.fixture
def token(cloud: EnosCloud) -> str:
    return new_token(cloud)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ask_token(cloud: EnosCloud, action: str = "get", **more: Any) -> Any:
    moment = next(MOMENTS)
    body = {"appKey": KEY, "encryption": sha256(f"{KEY}{moment}{SECRET}"), "timestamp": moment} | more
    url = f"{cloud.url}/apim-token-service/v2.0/token/{action}"
    return requests.post(url, json=body, timeout=5).json()


def new_token(cloud: EnosCloud) -> str:
    return str(ask_token(cloud)["data"]["accessToken"])


def sign(token: str, params: dict[str, str], body: str, moment: str) -> str:
    """Sign as the document says, without the cloud's own code."""
    pairs = "".join(name + value for name, value in sorted(params.items()))
    return sha256(f"{token}{pairs}{body}{moment}{SECRET}")


def call(cloud: EnosCloud, token: str, action: str, body: Any = None, /, **params: str) -> requests.Response:
    params = {"action": action, "orgId": ORG} | params
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    moment = str(next(MOMENTS))
    headers = {
        "apim-accesstoken": token,
        "apim-signature": sign(token, params, text, moment),
        "apim-timestamp": moment,
        "Content-Type": "application/json",
    }
    method = "GET" if body is None else "POST"
    url = cloud.url + OTA_JOBS
    return requests.request(method, url, params=params, data=text.encode(), headers=headers, timeout=5)


def answer(cloud: EnosCloud, token: str, action: str, body: Any = None, /, **params: str) -> Any:
    reply = call(cloud, token, action, body, **params).json()
    assert (0, "OK") == (reply["code"], reply["msg"])
    return reply


def cancel(cloud: EnosCloud, token: str, *keys: str, job: str = JOB) -> int:
    return int(call(cloud, token, "cancelTask", {"deviceKeys": keys}, jobId=job).json()["code"])


def tasks(cloud: EnosCloud, token: str, expression: str, **pagination: int) -> Any:
    return answer(cloud, token, "searchTask", {"expression": expression, "pagination": pagination})


def total(cloud: EnosCloud, token: str, expression: str) -> int:
    return int(tasks(cloud, token, expression)["pagination"]["totalSize"])


class TestVectors:
    @pytest.mark.parametrize(
        ("key", "secret", "moment", "expected"),
        [
            (KEY, SECRET, 1572574909697, "1bf43a5db911bababee5bcfd24bc61f2cb156d22cc9f5e25bf50f41d744f118f"),
            (
                "0a1b2c3d-f200-4000-8000-0000000000aa",
                "0f0e0d0c-2da3-4000-8000-0000000000bb",
                1735787045000,
                "c3d10268f5be5ed2f263e73a3b228dcc81898fb55dbc6ebc726a9e8d6647e707",
            ),
        ],
    )
    def test_encryption(self, key: str, secret: str, moment: int, expected: str) -> None:
        """The proof for the token service is the digest of key, time and secret."""
        assert {expected} == {encryption(key, str(moment), secret), sha256(f"{key}{moment}{secret}")}

    def test_documented_signature(self) -> None:
        """The worked example of the document is reproduced, with the Chinese body that it was made with."""
        body = '{\n  "count": 20,\n  "page": 1,\n  "desc": "描述"\n}'
        found = signature(
            token="xxxxaaaxxxx",
            params={"k3": "v3", "k1": "v1", "k2": "v2"},
            body=body.encode(),
            timestamp="1572574909697",
            app_secret="xxxappSecretxxx",
        )

        assert "59828328f6c1f9771015dc74e4929ae30f518a35a3d2353972c2ea46556fc981" == found

    @pytest.mark.parametrize(
        ("action", "body", "expected"),
        [
            (
                "cancelTask",
                '{"deviceKeys":["dk1","dk2"]}',
                "1b6261709ee52ec57a794a195759c50171f410ff26794af626cd590260c6c7fc",
            ),
            ("get", "", "318510b4ad28a7840f2ea7823ecf23ed0233503b80e500fb7deafc6dc06d738e"),
        ],
    )
    def test_signature(self, action: str, body: str, expected: str) -> None:
        """A call's signature covers its parameters, sorted, and its body, if it has one."""
        token, moment = "tok-0123456789abcdef", "1735787045000"
        params = {"action": action, "orgId": ORG, "jobId": JOB}
        own = signature(token=token, params=params, body=body.encode(), timestamp=moment, app_secret=SECRET)

        assert {expected} == {own, sign(token, params, body, moment)}


class TestTokens:
    def test_same_until_it_expires(self, cloud: EnosCloud, clock: Clock) -> None:
        """The same token is given, with the seconds it has left, until it expires."""
        first = ask_token(cloud)
        clock.seconds += 7199
        second = ask_token(cloud)
        clock.seconds += 1
        third = ask_token(cloud)

        assert (0, "SUCCESS", "apim-token-service", 7200) == (
            first["status"],
            first["msg"],
            first["business"],
            first["data"]["expire"],
        )
        assert {"accessToken": first["data"]["accessToken"], "expire": 1} == second["data"]
        assert first["data"]["accessToken"] != third["data"]["accessToken"]

    def test_repeated(self, cloud: EnosCloud) -> None:
        """A proof is good for one call, be it get or refresh."""
        moment = next(MOMENTS)
        proof = {"encryption": sha256(f"{KEY}{moment}{SECRET}"), "timestamp": str(moment)}
        first = ask_token(cloud, **proof)
        again = ask_token(cloud, **proof)
        refreshed = ask_token(cloud, "refresh", accessToken=first["data"]["accessToken"], **proof)

        assert [0, 1001, 1001] == [first["status"], again["status"], refreshed["status"]]

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            ({"appKey": ""}, 1202),
            ({"timestamp": None}, 1202),
            ({"timestamp": "soon"}, 1004),
            ({"appKey": ["a"]}, 1004),
            ({"appKey": "nobody"}, 1002),
            ({"encryption": "0" * 64}, 1003),
        ],
    )
    def test_refused(self, cloud: EnosCloud, wrong: dict[str, Any], expected: int) -> None:
        """Each wrong field has its number, in an answer with HTTP's 200."""
        reply = ask_token(cloud, **wrong)

        assert (expected, None) == (reply["status"], reply["data"])
        assert (200, str(expected), "token/get") == (
            cloud.arrivals[-1].status,
            cloud.arrivals[-1].code,
            cloud.arrivals[-1].action,
        )

    def test_refresh(self, cloud: EnosCloud, token: str) -> None:
        """A refresh gives another token; the old one is good until it expires."""
        fresh = ask_token(cloud, "refresh", accessToken=token)["data"]

        assert (True, 7200) == (fresh["accessToken"] != token, fresh["expire"])
        assert {0} == {answer(cloud, one, "get", jobId=JOB)["code"] for one in (token, fresh["accessToken"])}

    def test_refresh_refused(self, cloud: EnosCloud, token: str) -> None:
        """An unknown token, none at all, and an expired one cannot be refreshed."""
        unknown, missing = ask_token(cloud, "refresh", accessToken="other"), ask_token(cloud, "refresh")
        cloud.expire_tokens()
        expired = ask_token(cloud, "refresh", accessToken=token)

        assert [1204, 1202, 1203] == [reply["status"] for reply in (unknown, missing, expired)]

    def test_refresh_ends(self) -> None:
        """A refresh can make an end of the old token."""
        with EnosCloud(keys={KEY: SECRET}, refresh_ends=True, token_seconds=60) as cloud:
            cloud.fleet.add_job(JOB)
            token = new_token(cloud)
            fresh = ask_token(cloud, "refresh", accessToken=token)["data"]

            assert 60 == fresh["expire"]
            assert [401, 200] == [
                call(cloud, one, "get", jobId=JOB).status_code for one in (token, fresh["accessToken"])
            ]

    @pytest.mark.parametrize("kind", ["system_exception", "service_error"])
    def test_fault(self, cloud: EnosCloud, kind: str) -> None:
        """What goes wrong inside has the token service's own number."""
        cloud.faults.add(kind, "token/get")

        assert [1005, 0] == [ask_token(cloud)["status"] for _ in range(2)]
        assert ["1005", ""] == [arrival.code for arrival in cloud.arrivals]


class TestGate:
    def test_unknown_token(self, cloud: EnosCloud, token: str) -> None:
        """A token that was never given, and one that has ended, are refused with 401."""
        unknown = call(cloud, "other", "get", jobId=JOB)
        cloud.expire_tokens()
        expired = call(cloud, token, "get", jobId=JOB)

        assert [(401, {"message": "Invalid authentication credentials"})] * 2 == [
            (reply.status_code, reply.json()) for reply in (unknown, expired)
        ]

    @pytest.mark.parametrize("name", ["apim-accesstoken", "apim-signature", "apim-timestamp"])
    def test_headers(self, cloud: EnosCloud, token: str, name: str) -> None:
        """Each of the three headers is needed."""
        params = {"action": "get", "orgId": ORG, "jobId": JOB}
        headers = {
            "apim-accesstoken": token,
            "apim-signature": sign(token, params, "", "1"),
            "apim-timestamp": "1",
        }

        assert 200 == requests.get(cloud.url + OTA_JOBS, params=params, headers=headers, timeout=5).status_code
        del headers[name]
        assert 401 == requests.get(cloud.url + OTA_JOBS, params=params, headers=headers, timeout=5).status_code

    def test_body_is_signed(self, cloud: EnosCloud, token: str) -> None:
        """One blank more in the body than was signed is refused, and nothing is cancelled."""
        params = {"action": "cancelTask", "orgId": ORG, "jobId": JOB}
        body = '{"deviceKeys":["device-000001"]}'
        headers = {"apim-accesstoken": token, "apim-signature": sign(token, params, body, "1"), "apim-timestamp": "1"}
        replies = [
            requests.post(cloud.url + OTA_JOBS, params=params, headers=headers, data=sent, timeout=5).status_code
            for sent in (f"{body} ", body)
        ]

        assert [401, 200] == replies
        assert {"device-000001": 1} == cloud.fleet.canceled(JOB)

    def test_rate(self, cloud: EnosCloud, token: str) -> None:
        """An action can have a limit."""
        cloud.limits["get"] = 1

        assert [200, 429] == [call(cloud, token, "get", jobId=JOB).status_code for _ in range(2)]

    def test_organization(self) -> None:
        """A call needs an organization, and the right one if there is but one."""
        with EnosCloud(keys={KEY: SECRET}, org_id=ORG) as cloud:
            cloud.fleet.add_job(JOB)
            token = new_token(cloud)
            codes = [call(cloud, token, "get", jobId=JOB, orgId=org).json()["code"] for org in (ORG, "", "other")]

        assert [0, 99400, 99403] == codes

    def test_method_and_action(self, cloud: EnosCloud, token: str) -> None:
        """What changes or searches is a POST, and an action that does not exist is a wrong parameter."""
        assert 405 == call(cloud, token, "searchTask").status_code
        assert 99400 == call(cloud, token, "cancelTasks", {}).json()["code"]

    def test_limits_of_a_call(self) -> None:
        """Bodies and lists of devices can have a limit."""
        with EnosCloud(keys={KEY: SECRET}, most_bytes=400, most_keys=2) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)
            token = new_token(cloud)

            assert 99400 == cancel(cloud, token, "a", "b", "c")
            assert 413 == call(cloud, token, "cancelTask", {"deviceKeys": ["a" * 400]}, jobId=JOB).status_code


class TestCancel:
    def test_cancelled(self, cloud: EnosCloud, token: str) -> None:
        """A cancelled task has failed, says that a person did it, and the answer tells nothing."""
        keys = ["device-000001", "device-000041"]
        reply = answer(cloud, token, "cancelTask", {"deviceKeys": keys}, jobId=JOB)
        rows = tasks(cloud, token, f"jobId = '{JOB}' and desc = 'Cancelled by user'")["data"]

        assert {"code", "msg", "requestId", "data"} == reply.keys()
        assert None is reply["data"]
        assert [(key, "failed", -1) for key in keys] == [
            (row["deviceKey"], row["status"], row["progress"]) for row in rows
        ]
        assert {"init": 39, "published": 11, "upgrading": 5, "succeeded": 3, "failed": 4} == cloud.fleet.counts(JOB)

    @pytest.mark.parametrize("bad", ["device-000053", "device-000058", "device-000061", "nobody"])
    def test_atomic(self, cloud: EnosCloud, token: str, bad: str) -> None:
        """One device that is past being cancelled, or unknown, keeps all from it."""
        assert 24620 == cancel(cloud, token, "device-000001", bad)
        assert (COUNTS, False) == (cloud.fleet.counts(JOB), cloud.arrivals[-1].executed)

    @pytest.mark.parametrize(("mixed", "code"), [("partial", 24620), ("lenient", 0)])
    def test_mixed(self, mixed: str, code: int) -> None:
        """A cloud can also cancel those that it can, and say so or not."""
        with EnosCloud(keys={KEY: SECRET}, mixed=mixed) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)

            assert code == cancel(cloud, new_token(cloud), "device-000001", "nobody")
            assert ({"device-000001": 1}, True) == (cloud.fleet.canceled(JOB), cloud.arrivals[-1].executed)

    def test_refused(self, cloud: EnosCloud, token: str) -> None:
        """An unknown job, a stopped one, and a body without devices have numbers of their own."""
        cloud.fleet.add_job("stopped", counts=COUNTS, job_status="stopped")
        bodies: tuple[Any, ...] = (
            {},
            {"deviceKeys": []},
            {"deviceKeys": "device-000001"},
            {"deviceKeys": [1]},
            "nonsense",
        )

        assert [24404, 24617] == [cancel(cloud, token, "device-000001", job=job) for job in ("other", "stopped")]
        assert {99400} == {call(cloud, token, "cancelTask", body, jobId=JOB).json()["code"] for body in bodies}
        assert 99400 == call(cloud, token, "cancelTask", {"deviceKeys": ["device-000001"]}).json()["code"]

    def test_error_status(self) -> None:
        """The service's errors can come with a status of their own, the token service's keep 200."""
        with EnosCloud(keys={KEY: SECRET}, error_status=400) as cloud:
            token = new_token(cloud)
            reply = call(cloud, token, "get", jobId="other")

            assert (400, 24404) == (reply.status_code, reply.json()["code"])
            assert 1002 == ask_token(cloud, appKey="nobody")["status"]
            assert [200, 400, 200] == [arrival.status for arrival in cloud.arrivals]

    def test_settles_later(self) -> None:
        """A cancel can show only after a while."""
        clock = Clock()
        with EnosCloud(keys={KEY: SECRET}, settle=2.0, clock=clock) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)
            token = new_token(cloud)
            cancel(cloud, token, "device-000001")
            before = total(cloud, token, "desc = 'Cancelled by user'")
            clock.seconds += 2

            assert [0, 1] == [before, total(cloud, token, "desc = 'Cancelled by user'")]

    def test_revived(self) -> None:
        """A job that retries takes up what was cancelled, another one does not."""
        clock = Clock()
        with EnosCloud(keys={KEY: SECRET}, revive_after=60, clock=clock) as cloud:
            for job, retry in ((JOB, True), ("once", False)):
                cloud.fleet.add_job(job, counts={"published": 1}, retry=retry)
                cancel(cloud, new_token(cloud), "device-000001", job=job)
            clock.seconds += 60

            assert [{"init": 1}, {"failed": 1}] == [cloud.fleet.counts(job) for job in (JOB, "once")]
            row = answer(cloud, new_token(cloud), "get", jobId=JOB)["data"]
            assert row["retryPolicy"]["enableRetry"]

    def test_token_ends_between(self, cloud: EnosCloud, token: str) -> None:
        """A token can end between two calls, and a new one goes on."""
        assert 0 == cancel(cloud, token, "device-000001")
        cloud.expire_tokens()

        assert 401 == call(cloud, token, "cancelTask", {"deviceKeys": ["device-000002"]}, jobId=JOB).status_code
        assert 0 == cancel(cloud, new_token(cloud), "device-000002")
        assert {"device-000001": 1, "device-000002": 1} == cloud.fleet.canceled(JOB)


class TestSearch:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("", 63),
            (f"jobId = '{JOB}'", 62),
            (f"jobId='{JOB}' and status in ('init', \"published\")", 52),
            ("status = 'init' or status = 'failed'", 43),
            ("deviceKey = 'device-000001'", 2),
            (f"jobId = '{JOB}' AND deviceKey IN ('device-000001','device-000062','nobody') and status = 'init'", 1),
            ("status = 'failed' or deviceKey in ('device-000001', 'device-000062')", 4),
            (f"(jobId = 'other' or deviceKey = 'device-000050') and jobId in ('{JOB}', 'other')", 2),
            ("toVersion = '3' and fromVersion = '1.0.0'", 1),
            ("desc in ('Failed to upgrade', 'Cancelled by user')", 2),
            ("status = 'canceled'", 0),
        ],
    )
    def test_expressions(self, cloud: EnosCloud, token: str, expression: str, expected: int) -> None:
        """An expression chooses tasks over all jobs, and the total is that of the chosen."""
        cloud.fleet.add_job("other", counts={"init": 1}, dest_version="3")

        assert expected == total(cloud, token, expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "status != 'init'",
            "status like 'init'",
            "status = init",
            "status in ()",
            "status in ('init'",
            "status = 'init' and",
            "status = 'it's'",
            "productKey = 'p'",
            "(" * 60 + "status = 'init'" + ")" * 60,
            "status = 'init' status = 'init'",
        ],
    )
    def test_wrong_expressions(self, cloud: EnosCloud, token: str, expression: str) -> None:
        """What the documents do not have is refused."""
        with pytest.raises(ExpressionError):
            parsed(expression, TASK_FIELDS)
        assert 99400 == call(cloud, token, "searchTask", {"expression": expression}).json()["code"]

    def test_pages(self, cloud: EnosCloud, token: str) -> None:
        """Pages follow each other without gaps; without a wish there are ten rows."""
        expression = "status in ('init', 'published')"
        pages = [tasks(cloud, token, expression, pageNo=number, pageSize=20) for number in (1, 2, 3, 4)]
        rows = [row["deviceKey"] for page in pages for row in page["data"]]

        assert [20, 20, 12, 0] == [len(page["data"]) for page in pages]
        assert [f"device-{number:06d}" for number in range(1, 53)] == rows
        assert {"pageNo": 4, "pageSize": 20, "totalSize": 52} == pages[-1]["pagination"]
        assert 10 == len(tasks(cloud, token, expression)["data"])

    @pytest.mark.parametrize("pagination", [{"pageSize": 201}, {"pageSize": 0}, {"pageNo": 0}, {"pageNo": "1"}, [1]])
    def test_wrong_pages(self, cloud: EnosCloud, token: str, pagination: Any) -> None:
        """Pages beyond the documented limits are refused."""
        assert 99400 == call(cloud, token, "searchTask", {"pagination": pagination}).json()["code"]

    def test_without_pagination(self) -> None:
        """A search need not tell its total."""
        with EnosCloud(keys={KEY: SECRET}, pagination=False) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)
            reply = tasks(cloud, new_token(cloud), "", pageSize=200)

        assert (62, False) == (len(reply["data"]), "pagination" in reply)

    def test_row(self, cloud: EnosCloud, token: str) -> None:
        """A task has the documented fields."""
        row = tasks(cloud, token, "deviceKey = 'device-000053'")["data"][0]

        assert {
            "taskId": f"{JOB}-device-000053",
            "orgId": ORG,
            "assetId": "asset-device-000053",
            "productKey": "a1V4kdeABCD",
            "deviceKey": "device-000053",
            "jobId": JOB,
            "fromVersion": "1.0.0",
            "toVersion": "2.0.0",
            "progress": 50,
            "desc": "",
            "status": "upgrading",
            "updateTime": 1735787045000,
        } == row

    def test_jobs(self, cloud: EnosCloud, token: str) -> None:
        """Jobs come newest first, found by firmware, status and a part of their name."""
        cloud.fleet.add_job("old", name="spring too", created=NOW - timedelta(days=1), job_status="stopped")
        cloud.fleet.add_job("new", firmware_id="f2", dest_version="3", created=NOW + timedelta(days=1))

        def found(expression: str) -> list[str]:
            reply = answer(cloud, token, "search", {"expression": expression})
            return [row["jobId"] for row in reply["data"]]

        assert ["new", JOB, "old"] == found("")
        assert [JOB, "old"] == found("name like 'Spring'")
        assert [JOB] == found("name.defaultValue like 'Spring' and status = 'started'")
        assert ["new"] == found("firmwareId in ('f2') and firmwareVersion = '3' and type = 'upgrade'")
        assert 99400 == call(cloud, token, "search", {"expression": "status in ('started')"}).json()["code"]

    def test_get(self, cloud: EnosCloud, token: str) -> None:
        """A job is told with the documents' fields, its name in languages."""
        row = answer(cloud, token, "get", jobId=JOB)["data"]

        assert (JOB, {"defaultValue": "Spring", "i18nValue": {}}, "started", 1735787045000) == tuple(
            row[name] for name in ("jobId", "name", "status", "createTime")
        )
        assert 24404 == call(cloud, token, "get", jobId="other").json()["code"]


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "expected", "canceled"),
        [
            ("throttle", (429, "429"), 0),
            ("http_401", (401, "401"), 0),
            ("http_403", (403, "403"), 0),
            ("http_413", (413, "413"), 0),
            ("http_500", (500, "500"), 0),
            ("http_503", (503, "503"), 0),
            ("signature_refused", (401, "401"), 0),
            ("parameter_refused", (200, "99400"), 0),
            ("permission_refused", (200, "99403"), 0),
            ("system_exception", (200, "99500"), 0),
            ("system_exception_after", (200, "99500"), 1),
            ("service_error", (200, "24500"), 0),
            ("service_error_after", (200, "24500"), 1),
        ],
    )
    def test_errors(self, cloud: EnosCloud, token: str, kind: str, expected: tuple[int, str], canceled: int) -> None:
        """An error is answered once, with the work done or not; the gateway's have no envelope."""
        cloud.faults.add(kind, "cancelTask", header="Retry-After", seconds=3)
        reply = call(cloud, token, "cancelTask", {"deviceKeys": ["device-000001"]}, jobId=JOB)
        arrival = cloud.arrivals[-1]

        assert expected == (reply.status_code, str(reply.json().get("code", reply.status_code)))
        assert expected == (arrival.status, arrival.code)
        assert canceled == cloud.fleet.canceled(JOB).total() == arrival.executed
        assert "3" == reply.headers["Retry-After"]
        assert 0 == answer(cloud, token, "get", jobId=JOB)["code"]

    @pytest.mark.parametrize(("kind", "canceled"), [("drop_before", 0), ("drop_after", 1)])
    def test_drops(
        self, cloud: EnosCloud, token: str, kind: str, canceled: int, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The connection closes without an answer, before or after the work."""
        cloud.faults.add(kind, "cancelTask")
        with pytest.raises(requests.ConnectionError):
            cancel(cloud, token, "device-000001")

        assert (0, canceled) == (cloud.arrivals[-1].status, cloud.fleet.canceled(JOB).total())
        assert ("", "") == capfd.readouterr()

    def test_spoiled(self, cloud: EnosCloud, token: str) -> None:
        """Answers come as a page, as a list, and with numbers as strings."""
        for kind in ("http_502_html", "wrong_type", "number_strings"):
            cloud.faults.add(kind, "searchTask")
        page, listed, strings = (call(cloud, token, "searchTask", {}) for _ in range(3))

        assert (502, True) == (page.status_code, "<html>" in page.text)
        assert [0] == [reply["code"] for reply in listed.json()]
        assert "62" == strings.json()["pagination"]["totalSize"]

    def test_unfiltered(self, cloud: EnosCloud, token: str) -> None:
        """A search that ignores its status finds the same for each."""
        cloud.faults.add("unfiltered", times=None)
        expressions = [f"jobId = '{JOB}' and status = '{status}'" for status in ("init", "failed")]

        assert [62, 62] == [total(cloud, token, expression) for expression in expressions]


def test_arrivals(cloud: EnosCloud, token: str, clock: Clock) -> None:
    """Each call leaves one line with its devices and its search, and without token, key or signature."""
    cancel(cloud, token, "device-000001", "device-000002")
    tasks(cloud, token, "status = 'init'", pageNo=2)
    first, second, third = cloud.arrivals

    assert ("token/get", ["timestamp"]) == (first.action, list(first.params))
    assert (clock.seconds, "cancelTask", 200, "", True) == (
        second.at,
        second.action,
        second.status,
        second.code,
        second.executed,
    )
    devices = {"deviceKeys.1": "device-000001", "deviceKeys.2": "device-000002"}
    assert {"orgId": ORG, "jobId": JOB} | devices == second.params
    assert {"orgId": ORG, "expression": "status = 'init'", "pageNo": "2"} == third.params


def test_big_fleet(cloud: EnosCloud, token: str) -> None:
    """A hundred thousand tasks are searched without looking at each."""
    cloud.fleet.add_job("big", counts={"init": 50_000, "published": 50_000})
    cloud.fleet.cancel("big", statuses=["init"], names=[f"device-{number:06d}" for number in range(1, 20_001)])
    start = time.perf_counter()

    assert 20_000 == total(cloud, token, "jobId = 'big' and desc = 'Cancelled by user'")
    assert 1 == total(cloud, token, "jobId = 'big' and status = 'published' and deviceKey = 'device-099999'")
    assert time.perf_counter() - start < 1
