"""The simulated Tuya instance behaves as the documents say the real one does."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import requests

from bot.playground.cloud.rpc_gate import signature, string_to_sign
from bot.playground.cloud.tuya_cloud import TuyaCloud

JOB = "1836340779212660000"
NOW = datetime(2024, 11, 19, 9, 47, 43, tzinfo=UTC)
COUNTS = {"QUEUED": 60, "NOTIFIED": 12, "CONFIRM": 7, "IN_PROGRESS": 5}
KEYS = {"testid": "tuya-test-secret"}


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
def running(clock: Clock) -> Iterator[TuyaCloud]:
    # One server for all tests: to stop one takes longer than most tests.
    with TuyaCloud(keys=KEYS, now=lambda: NOW, clock=clock) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: TuyaCloud, clock: Clock) -> TuyaCloud:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring")
    clock.seconds += 10  # no rate is used up
    return running


def sign(params: dict[str, str], *, method: str = "GET", secret: str = "tuya-test-secret") -> str:
    """Sign as the document says, without the cloud's own code."""
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(params[name], safe='-_.~')}" for name in sorted(params))
    text = f"{method}&%2F&{quote(query, safe='-_.~')}"
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), hashlib.sha1)).decode()


def signed(action: str, /, *, method: str = "GET", secret: str = "tuya-test-secret", **params: str) -> dict[str, str]:
    """Return the parameters that the document's example carries, and a signature."""
    common = {
        "Action": action,
        "SignatureNonce": uuid.uuid4().hex,
        "AccessKeyId": "testid",
        "SignatureMethod": "HMAC-SHA1",
        "Timestamp": "2024-11-19T09:47:43Z",
    }
    every = {name: value for name, value in (common | params).items() if value or name not in common}
    return every | {"Signature": sign(every, method=method, secret=secret)}


def call(cloud: TuyaCloud, action: str, /, **params: str) -> requests.Response:
    return requests.get(cloud.url, params=signed(action, **params), timeout=5)


def answer(cloud: TuyaCloud, action: str, /, **params: str) -> Any:
    response = call(cloud, action, **params)
    assert 200 == response.status_code, response.text
    return response.json()


def refusal(cloud: TuyaCloud, action: str = "QueryOTAJob", /, **params: str) -> tuple[int, str]:
    response = call(cloud, action, **({"JobId": JOB} | params))
    assert {"code", "errorMessage", "requestId", "success"} == response.json().keys()
    return response.status_code, response.json()["code"]


def by_device(cloud: TuyaCloud, *names: str, **more: str) -> dict[str, str]:
    job = cloud.fleet.job(JOB)
    numbered = {f"DeviceName.{number}": name for number, name in enumerate(names, 1)}
    return {"ProductKey": job.product_key, "FirmwareId": job.firmware_id} | numbered | more


class TestSignature:
    def test_vector(self) -> None:
        """The parameters of the document's example have the signature that Alibaba's packages compute."""
        params = {
            "AccessKeyId": "xMr9wgwXQLhv5AUa65o00000",
            "Action": "CancelOTATaskByJob",
            "CancelNotifiedTask": "false",
            "CancelQueuedTask": "true",
            "JobId": JOB,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureNonce": "9e6189124f5a4716ad2de849467b0000",
            "Timestamp": "2024-11-19T09:47:43Z",
        }
        signatures = {sign(params), signature("tuya-test-secret", string_to_sign("GET", params))}

        assert {"7DkCYXNznLliHeVTyEqQxBu6SwQ="} == signatures

    def test_odd_values(self, cloud: TuyaCloud) -> None:
        """Values with spaces, plus signs, stars and Chinese letters are signed as they are sent."""
        assert answer(cloud, "ListOTATaskByJob", JobId=JOB, **{"DeviceNames.1": "dev ice+2 设备~*"})["success"]

    def test_wrong(self, cloud: TuyaCloud) -> None:
        """Another secret is refused."""
        assert (400, "SignatureDoesNotMatch") == refusal(cloud, secret="other")


class TestGate:
    def test_success(self, cloud: TuyaCloud) -> None:
        """A cancel answers with an empty code and nothing of what it did."""
        reply = answer(cloud, "CancelOTATaskByJob", JobId=JOB, CancelNotifiedTask="true")

        assert {"code": "", "requestId": cloud.arrivals[-1].request_id, "success": True} == reply

    def test_get_alone(self, cloud: TuyaCloud) -> None:
        """A POST is refused, in the query and as a form, and does nothing."""
        params = signed("CancelOTATaskByJob", method="POST", JobId=JOB, CancelQueuedTask="true")
        replies = [requests.post(cloud.url, params=params, timeout=5), requests.post(cloud.url, data=params, timeout=5)]

        assert [405, 405] == [reply.status_code for reply in replies]
        assert COUNTS == cloud.fleet.counts(JOB)

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"AccessKeyId": "nobody"}, (404, "InvalidAccessKeyId.NotFound")),
            ({"Timestamp": "2024-11-19T09:32:42Z"}, (400, "InvalidTimeStamp.Expired")),
            ({"SignatureNonce": ""}, (400, "MissingParameter")),
            ({"Version": "2019-01-01"}, (400, "InvalidParameter")),
            ({"SignatureVersion": "2.0"}, (400, "InvalidParameter")),
            ({"RegionId": "cn-shanghai"}, (400, "InvalidParameter")),
            ({"IotInstanceId": "iot-1"}, (400, "InvalidParameter")),
            ({"SecurityToken": "token"}, (400, "InvalidParameter")),
            ({"JobId": "other"}, (200, "iot.ota.JobNotFound")),
        ],
    )
    def test_refuses(self, cloud: TuyaCloud, params: dict[str, str], expected: tuple[int, str]) -> None:
        """Each wrong parameter gets its own code, and Alibaba's own parameters are wrong."""
        assert expected == refusal(cloud, **params)

    def test_nonce(self, cloud: TuyaCloud) -> None:
        """A nonce is good for one call."""
        assert answer(cloud, "QueryOTAJob", JobId=JOB, SignatureNonce="once")["success"]
        assert (400, "SignatureNonceUsed") == refusal(cloud, SignatureNonce="once")

    @pytest.mark.parametrize("action", ["CancelOTAStrategyByJob", "Nonsense"])
    def test_unknown_operation(self, cloud: TuyaCloud, action: str) -> None:
        """Operations that Alibaba alone has do not exist."""
        assert (404, "InvalidApi.NotFound") == refusal(cloud, action)

    def test_rate(self, cloud: TuyaCloud) -> None:
        """The limits can be set while the cloud runs."""
        cloud.limits["QueryOTAJob"] = 1
        codes = [call(cloud, "QueryOTAJob", JobId=JOB).json()["code"] for _ in range(2)]
        cloud.limits["QueryOTAJob"] = 10

        assert ["", "Throttling.User"] == codes

    def test_versions_needed(self) -> None:
        """An instance can want the common parameters that the examples leave out."""
        versions = {"Version": "2022-01-01", "Format": "JSON", "SignatureVersion": "1.0"}
        with TuyaCloud(keys=KEYS, now=lambda: NOW, versions_needed=True) as cloud:
            cloud.fleet.add_job(JOB)

            assert answer(cloud, "QueryOTAJob", JobId=JOB, **versions)["success"]
            assert {(400, "MissingParameter")} == {refusal(cloud, **(versions | {name: ""})) for name in versions}

    def test_error_status(self) -> None:
        """An instance can give every error the same status, and the log has that status too."""
        with TuyaCloud(keys=KEYS, now=lambda: NOW, error_status=200) as cloud:
            cloud.fleet.add_job(JOB)

            assert (200, "SignatureDoesNotMatch") == refusal(cloud, secret="other")
            assert 200 == cloud.arrivals[-1].status

    def test_xml(self, cloud: TuyaCloud) -> None:
        """XML comes only when it is asked for."""
        reply = call(cloud, "QueryOTAJob", JobId=JOB, Format="XML")

        assert "text/xml" in reply.headers["Content-Type"]
        assert "<success>true</success>" in reply.text


class TestCancelByJob:
    @pytest.mark.parametrize(
        ("flags", "gone"),
        [
            ({"CancelQueuedTask": "true"}, {"QUEUED", "CONFIRM"}),
            ({"CancelQueuedTask": "true", "CancelUnconfirmedTask": "false"}, {"QUEUED"}),
            ({"CancelNotifiedTask": "true"}, {"NOTIFIED"}),
            ({"CancelQueuedTask": "false", "CancelUnconfirmedTask": "true"}, {"CONFIRM"}),
            ({"CancelNotifiedTask": "true", "CancelInProgressTask": "true"}, {"NOTIFIED"}),
        ],
    )
    def test_flags(self, cloud: TuyaCloud, flags: dict[str, str], gone: set[str]) -> None:
        """Each flag cancels its status, an absent one for CONFIRM follows that for QUEUED, others are ignored."""
        answer(cloud, "CancelOTATaskByJob", JobId=JOB, **flags)

        assert gone == COUNTS.keys() - cloud.fleet.counts(JOB).keys()

    @pytest.mark.parametrize("flags", [{}, {"CancelInProgressTask": "true"}, {"CancelScheduledTask": "true"}])
    def test_no_flag(self, cloud: TuyaCloud, flags: dict[str, str]) -> None:
        """A call without a true flag of Tuya's is refused."""
        assert (200, "iot.common.InvalidFormattedParameter") == refusal(cloud, "CancelOTATaskByJob", **flags)

    def test_unknown_refused(self) -> None:
        """An instance can refuse what no document has, and takes what one has."""
        with TuyaCloud(keys=KEYS, now=lambda: NOW, unknown="refused") as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)
            known = {"CancelQueuedTask": "true", "Version": "2018-01-20", "Format": "JSON"}

            assert (400, "InvalidParameter") == refusal(cloud, "CancelOTATaskByJob", CancelInProgressTask="true")
            assert answer(cloud, "CancelOTATaskByJob", JobId=JOB, **known)["success"]
            assert answer(cloud, "CancelOTATaskByDevice", **by_device(cloud, "device-000061"))["success"]


class TestCancelByDevice:
    def test_states(self, cloud: TuyaCloud) -> None:
        """A device in the middle of its update goes on, others are cancelled."""
        names = [cloud.fleet.devices(JOB, status)[0] for status in COUNTS]
        answer(cloud, "CancelOTATaskByDevice", **by_device(cloud, *names, JobId=JOB))

        assert COUNTS | {"QUEUED": 59, "NOTIFIED": 11, "CONFIRM": 6, "CANCELED": 3} == cloud.fleet.counts(JOB)

    def test_most_names(self, cloud: TuyaCloud) -> None:
        """Fifty names pass and 51 do not, nor does a name twice."""
        names = cloud.fleet.devices(JOB, "QUEUED")
        answer(cloud, "CancelOTATaskByDevice", **by_device(cloud, *names[:50]))

        assert 50 == cloud.fleet.counts(JOB)["CANCELED"]
        for wrong in (names[:51], [names[50]] * 2):
            wanted = by_device(cloud, *wrong)
            assert (200, "iot.common.InvalidFormattedParameter") == refusal(cloud, "CancelOTATaskByDevice", **wanted)

    def test_other_most(self) -> None:
        """How many names pass is the instance's secret, so it can be set."""
        with TuyaCloud(keys=KEYS, now=lambda: NOW, most_names=1) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)

            assert 200 == refusal(cloud, "CancelOTATaskByDevice", **by_device(cloud, "a", "b"))[0]
            assert answer(cloud, "CancelOTATaskByDevice", **by_device(cloud, "a"))["success"]


class TestReads:
    def test_query(self, cloud: TuyaCloud) -> None:
        """A job is told with names in lower camel case."""
        shown = answer(cloud, "QueryOTAJob", JobId=JOB)["data"]

        assert (JOB, "IN_PROGRESS", "Spring", "2024-11-19T09:47:43.000Z") == tuple(
            shown[name] for name in ("jobId", "jobStatus", "name", "utcCreate")
        )

    def test_tasks(self, cloud: TuyaCloud) -> None:
        """A page has the filtered total, and nested names in lower camel case."""
        reply = answer(cloud, "ListOTATaskByJob", JobId=JOB, TaskStatus="NOTIFIED", PageSize="5", CurrentPage="3")
        rows = reply["data"]["simpleOTATaskInfo"]

        assert (12, 3, 5, 3) == tuple(reply[name] for name in ("total", "pageCount", "pageSize", "currentPage"))
        assert ["device-000071", "device-000072"] == [row["deviceName"] for row in rows]

    def test_jobs_and_firmwares(self, cloud: TuyaCloud) -> None:
        """Jobs are listed by firmware, and firmwares by product and version."""
        firmware = cloud.fleet.job(JOB).firmware_id
        jobs = answer(cloud, "ListOTAJobByFirmware", FirmwareId=firmware)
        firmwares = answer(cloud, "ListOTAFirmware", DestVersion="2.0.0")

        assert [JOB] == [row["jobId"] for row in jobs["data"]["simpleOTAJobInfo"]]
        assert [firmware] == [row["firmwareId"] for row in firmwares["firmwareInfo"]["simpleFirmwareInfo"]]
        assert 0 == answer(cloud, "ListOTAFirmware", DestVersion="9")["total"]


class TestFaults:
    def test_drop_after(self, cloud: TuyaCloud, capfd: pytest.CaptureFixture[str]) -> None:
        """The connection closes without an answer when the work is done."""
        cloud.faults.add("drop_after")
        with pytest.raises(requests.ConnectionError):
            call(cloud, "CancelOTATaskByJob", JobId=JOB, CancelNotifiedTask="true")

        assert 12 == cloud.fleet.counts(JOB)["CANCELED"]
        assert (0, True) == (cloud.arrivals[-1].status, cloud.arrivals[-1].executed)
        assert ("", "") == capfd.readouterr()

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("throttle", (400, "Throttling.User")),
            ("http_503", (503, "ServiceUnavailable")),
            ("permission_refused", (403, "Forbidden.RAM")),
            ("system_exception_after", (200, "iot.system.SystemException")),
        ],
    )
    def test_errors(self, cloud: TuyaCloud, kind: str, expected: tuple[int, str]) -> None:
        """An error is answered once."""
        cloud.faults.add(kind)

        assert expected == refusal(cloud)
        assert answer(cloud, "QueryOTAJob", JobId=JOB)["success"]

    def test_foreign_fault(self, cloud: TuyaCloud) -> None:
        """A fault that only another vendor has is an error of the test."""
        with pytest.raises(ValueError, match="service_error"):
            cloud.faults.add("service_error")


def test_arrivals(cloud: TuyaCloud, clock: Clock) -> None:
    """Each call leaves one line without key material."""
    reply = answer(cloud, "QueryOTAJob", JobId=JOB)
    arrival = cloud.arrivals[-1]

    assert (clock.seconds, "QueryOTAJob", 200, "", reply["requestId"], True) == (
        arrival.at,
        arrival.action,
        arrival.status,
        arrival.code,
        arrival.request_id,
        arrival.executed,
    )
    assert {"Action", "JobId", "SignatureMethod", "SignatureNonce", "Timestamp"} == arrival.params.keys()
