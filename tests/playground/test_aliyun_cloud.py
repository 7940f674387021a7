"""The simulated Alibaba Cloud behaves as the documents say the real one does."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot.playground.cloud.aliyun_cloud import QPS, AliyunCloud
from bot.playground.cloud.fleet import Fleet, UnknownJobError
from bot.playground.cloud.rpc_gate import Key, signature, string_to_sign

JOB = "7glPHmaDYLAYMD1HHutT02abcd"
NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
COUNTS = {"QUEUED": 40, "NOTIFIED": 12, "CONFIRM": 7, "IN_PROGRESS": 5}


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
def running(clock: Clock) -> Iterator[AliyunCloud]:
    # One server for all tests: to stop one takes longer than most tests.
    with AliyunCloud(keys={"testid": "testsecret"}, now=lambda: NOW, clock=clock) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: AliyunCloud, clock: Clock) -> AliyunCloud:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring")
    clock.seconds += 10  # no rate is used up
    return running


def signed(action: str, /, *, method: str = "POST", secret: str = "testsecret", **params: str) -> dict[str, str]:
    """Return the parameters with the common ones and a signature; an empty common one is left out."""
    common = {
        "Action": action,
        "Version": "2018-01-20",
        "Format": "JSON",
        "AccessKeyId": "testid",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": "2025-01-02T03:04:05Z",
    }
    every = {name: value for name, value in (common | params).items() if value or name not in common}
    return every | {"Signature": signature(secret, string_to_sign(method, every))}


def call(cloud: AliyunCloud, action: str, /, **params: str) -> requests.Response:
    return requests.post(cloud.url, params=signed(action, **params), timeout=5)


def answer(cloud: AliyunCloud, action: str, /, **params: str) -> Any:
    response = call(cloud, action, **params)
    assert 200 == response.status_code, response.text
    return response.json()


def refusal(cloud: AliyunCloud, action: str = "QueryOTAJob", /, **params: str) -> tuple[int, str]:
    response = call(cloud, action, **({"JobId": JOB} | params))
    return response.status_code, response.json()["Code"]


class TestSignature:
    @pytest.mark.parametrize(
        ("method", "own", "expected"),
        [
            pytest.param(
                "POST",
                {
                    "CancelQueuedTask": "True",
                    "IotInstanceId": "iot_instc_pu01_c*-v64000000",
                    "JobId": JOB,
                    "SignatureNonce": "nonce-0002",
                    "SignatureType": "",
                },
                "o/SwbIgRobNHYJvvPcLGctVCAjM=",
                id="star",
            ),
            pytest.param(
                "GET",
                {
                    "Action": "CancelOTAStrategyByJob",
                    "IotInstanceId": "iot-06z00abcd",
                    "JobId": "HvKuBpuk3rdk6E92CPabcd0200",
                    "RegionId": "eu-central-1",
                    "SignatureNonce": "nonce-0007",
                    "SignatureType": "",
                },
                "ZdJbxC5TdZaA0132+zWrqJHrEqQ=",
                id="get",
            ),
            pytest.param(
                "POST",
                {
                    "CancelNotifiedTask": "false",
                    "CancelQueuedTask": "true",
                    "JobId": JOB,
                    "SignatureNonce": "9e6189124f5a4716ad2de849467b0000",
                    "Timestamp": "2024-11-19T09:47:43Z",
                },
                "a9n3wryU7PKQEo9uRyGTYeUzrbM=",
                id="documented-parameters-only",
            ),
        ],
    )
    def test_vectors(self, method: str, own: dict[str, str], expected: str) -> None:
        """The signature is the one that Alibaba's own packages compute."""
        common = signed("CancelOTATaskByJob") | {"RegionId": "cn-shanghai"}

        assert expected == signature("testsecret", string_to_sign(method, common | own))

    def test_documented_example(self) -> None:
        """The worked example of the signature document is reproduced."""
        params = {
            "AccessKeyId": "testid",
            "Action": "DescribeRegions",
            "Format": "XML",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
            "SignatureVersion": "1.0",
            "Timestamp": "2016-02-23T12:46:24Z",
            "Version": "2014-05-26",
        }

        assert "OLeaidS1JvxuMvnyHOwuJ+uX5qY=" == signature("testsecret", string_to_sign("GET", params))

    def test_get_and_form(self, cloud: AliyunCloud) -> None:
        """A call passes as GET, and as a form whose space is a plus and whose empty value is signed."""
        odd = signed("ListOTATaskByJob", JobId=JOB, SignatureType="", **{"DeviceNames.1": "dev ice+2 设备~*"})

        assert requests.post(cloud.url, data=odd, timeout=5).json()["Success"]
        assert requests.get(cloud.url, params=signed("QueryOTAJob", method="GET", JobId=JOB), timeout=5).json()[
            "Success"
        ]

    def test_wrong(self, cloud: AliyunCloud) -> None:
        """A wrong signature is refused with an echo of what should have been signed."""
        params = signed("QueryOTAJob", secret="other", JobId=JOB)
        response = requests.post(cloud.url, params=params, timeout=5)

        assert {"RequestId", "HostId", "Code", "Message", "Recommend"} == response.json().keys()
        assert (400, "SignatureDoesNotMatch") == (response.status_code, response.json()["Code"])
        assert response.json()["Message"].endswith(f"server string to sign is:{string_to_sign('POST', params)}")


class TestGate:
    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"AccessKeyId": "nobody"}, (404, "InvalidAccessKeyId.NotFound")),
            ({"Timestamp": "2025-01-02T02:49:04Z"}, (400, "InvalidTimeStamp.Expired")),
            ({"Timestamp": "2025-01-02T03:19:06Z"}, (400, "InvalidTimeStamp.Expired")),
            ({"Timestamp": "2025-01-02 03:04:05"}, (400, "InvalidTimeStamp.Format")),
            ({"SignatureNonce": ""}, (400, "MissingParameter")),
            ({"SignatureMethod": "HMAC-SHA256"}, (400, "InvalidParameter")),
            ({"Version": "2020-01-01"}, (400, "InvalidParameter")),
            ({"SecurityToken": "stray"}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
            ({"IotInstanceId": "iot-06z00abcd"}, (200, "iot.system.InstanceNotFound")),
            ({"JobId": ""}, (400, "MissingParameter")),
            ({"JobId": "other"}, (200, "iot.ota.JobNotFound")),
        ],
    )
    def test_refuses(self, cloud: AliyunCloud, params: dict[str, str], expected: tuple[int, str]) -> None:
        """Each wrong parameter gets its own code."""
        assert expected == refusal(cloud, **params)

    def test_unknown_action(self, cloud: AliyunCloud) -> None:
        """An operation that does not exist is refused before anything else."""
        assert (404, "InvalidApi.NotFound") == refusal(cloud, "Nonsense")

    def test_nonce(self, cloud: AliyunCloud) -> None:
        """A nonce is good for one call."""
        assert answer(cloud, "QueryOTAJob", JobId=JOB, SignatureNonce="once")["Success"]
        assert (400, "SignatureNonceUsed") == refusal(cloud, SignatureNonce="once")

    def test_temporary_key(self) -> None:
        """A temporary key needs its token, and lasts until it expires."""
        keys = {
            "testid": Key(secret="testsecret", token="token", expires=NOW + timedelta(seconds=1)),
            "old": Key(secret="testsecret", token="token", expires=NOW),
        }
        with AliyunCloud(keys=keys, now=lambda: NOW) as cloud:
            cloud.fleet.add_job(JOB)

            assert (400, "InvalidSecurityToken.MismatchWithAccessKey") == refusal(cloud)
            assert (400, "InvalidSecurityToken.Expired") == refusal(cloud, AccessKeyId="old", SecurityToken="token")
            assert answer(cloud, "QueryOTAJob", JobId=JOB, SecurityToken="token")["Success"]
            assert not {"token", "testid"} & {value for one in cloud.arrivals for value in one.params.values()}

    def test_instance(self) -> None:
        """A cloud bound to an instance wants its id with every call."""
        with AliyunCloud(keys={"testid": "testsecret"}, now=lambda: NOW, instance_id="iot-1") as cloud:
            cloud.fleet.add_job(JOB)

            assert (200, "iot.system.InstanceNotFound") == refusal(cloud)
            assert answer(cloud, "QueryOTAJob", JobId=JOB, IotInstanceId="iot-1")["Success"]

    def test_rate(self, cloud: AliyunCloud, clock: Clock) -> None:
        """The sixth cancel within a second is throttled, and a second after the first one passes again."""
        limit = QPS["CancelOTATaskByJob"]
        codes = [refusal(cloud, "CancelOTATaskByJob")[1] for _ in range(limit + 1)]

        assert ["iot.common.InvalidFormattedParameter"] * limit + ["Throttling.User"] == codes
        assert answer(cloud, "QueryOTAJob", JobId=JOB)["Success"]

        clock.seconds += 1

        assert answer(cloud, "CancelOTATaskByJob", JobId=JOB, CancelQueuedTask="true")["Success"]

    def test_xml(self, cloud: AliyunCloud) -> None:
        """Without Format the answer is XML."""
        good = ET.fromstring(call(cloud, "ListOTATaskByJob", JobId=JOB, PageSize="2", Format="").text)  # noqa: S314 own text
        bad = ET.fromstring(call(cloud, "QueryOTAJob", Version="1", Format="").text)  # noqa: S314 own text

        assert ("ListOTATaskByJobResponse", "true", 2) == (
            good.tag,
            good.findtext("Success"),
            len(good.findall("Data/SimpleOTATaskInfo")),
        )
        assert ("Error", "InvalidParameter") == (bad.tag, bad.findtext("Code"))

    def test_beside(self) -> None:
        """Other routes are served beside the endpoint."""

        def page(_: Request) -> PlainTextResponse:
            return PlainTextResponse("dials")

        with AliyunCloud(keys={}, extra_routes=[Route("/dials", page)]) as cloud:
            assert "dials" == requests.get(f"{cloud.url}/dials", timeout=5).text


class TestCancelByJob:
    @pytest.mark.parametrize(
        ("flags", "gone"),
        [
            ({"CancelQueuedTask": "true"}, {"QUEUED", "CONFIRM"}),
            ({"CancelQueuedTask": "True", "CancelUnconfirmedTask": "False"}, {"QUEUED"}),
            ({"CancelUnconfirmedTask": "true"}, {"CONFIRM"}),
            ({"CancelQueuedTask": "false", "CancelNotifiedTask": "true"}, {"NOTIFIED"}),
            ({"CancelInProgressTask": "true"}, {"IN_PROGRESS"}),
            ({"CancelScheduledTask": "true"}, set()),
        ],
    )
    def test_flags(self, cloud: AliyunCloud, flags: dict[str, str], gone: set[str]) -> None:
        """Each flag cancels its status, and an absent CancelUnconfirmedTask follows CancelQueuedTask."""
        reply = answer(cloud, "CancelOTATaskByJob", JobId=JOB, **flags)
        counts = cloud.fleet.counts(JOB)

        assert {"RequestId", "Success"} == reply.keys()
        assert gone == COUNTS.keys() - counts.keys()
        assert sum(COUNTS[status] for status in gone) == counts["CANCELED"] == cloud.fleet.canceled(JOB).total()

    @pytest.mark.parametrize("flags", [{}, {"CancelQueuedTask": "false"}])
    def test_no_flag(self, cloud: AliyunCloud, flags: dict[str, str]) -> None:
        """A call without a true flag is refused."""
        assert (200, "iot.common.InvalidFormattedParameter") == refusal(cloud, "CancelOTATaskByJob", **flags)

    def test_bad_flag(self, cloud: AliyunCloud) -> None:
        """A flag that is no Boolean is refused by the gateway."""
        assert (400, "InvalidParameter") == refusal(cloud, "CancelOTATaskByJob", CancelQueuedTask="yes")

    def test_planned(self, cloud: AliyunCloud) -> None:
        """A planned job is cancelled by CancelScheduledTask alone."""
        cloud.fleet.add_job("planned", counts={"QUEUED": 3}, job_status="PLANNED")
        answer(cloud, "CancelOTATaskByJob", JobId="planned", CancelQueuedTask="true")

        assert {"QUEUED": 3} == cloud.fleet.counts("planned")

        answer(cloud, "CancelOTATaskByJob", JobId="planned", CancelScheduledTask="true")

        assert {"CANCELED": 3} == cloud.fleet.counts("planned")
        assert "CANCELED" == answer(cloud, "QueryOTAJob", JobId="planned")["Data"]["JobStatus"]


class TestOtherCancels:
    def test_by_device(self, cloud: AliyunCloud) -> None:
        """Without a JobId a device's tasks go in every job of the firmware, those in progress too."""
        cloud.fleet.add_job("second", counts={"IN_PROGRESS": 2})
        cloud.fleet.add_job("foreign", counts={"QUEUED": 2}, firmware_id="other")
        job = cloud.fleet.job(JOB)
        names = {"DeviceName.1": "device-000001", "DeviceName.2": "nobody"}
        common = {"ProductKey": job.product_key, "FirmwareId": job.firmware_id} | names
        answer(cloud, "CancelOTATaskByDevice", JobId="second", **common)

        assert [0, 1, 0] == [cloud.fleet.counts(one)["CANCELED"] for one in (JOB, "second", "foreign")]

        answer(cloud, "CancelOTATaskByDevice", **common)

        assert [1, 1, 0] == [cloud.fleet.counts(one)["CANCELED"] for one in (JOB, "second", "foreign")]

    def test_by_device_refused(self, cloud: AliyunCloud) -> None:
        """Names are needed, each once, and the firmware must exist."""
        common = {"ProductKey": "p", "FirmwareId": "f"}
        twice = {"DeviceName.1": "d", "DeviceName.2": "d"}
        refused = [
            refusal(cloud, "CancelOTATaskByDevice", **common, **names)[1]
            for names in ({}, twice, {"DeviceName.1": "d"}, {"DeviceName.1": "d", "JobId": "nobody"})
        ]

        assert [
            "iot.device.NoneDeviceNameElement",
            "iot.common.InvalidFormattedParameter",
            "iot.ota.FirmwareNotFound",
            "iot.ota.JobNotFound",
        ] == refused

    def test_by_device_most(self, cloud: AliyunCloud) -> None:
        """Two hundred names pass in one call, and one more does not."""
        job = cloud.fleet.add_job("wide", counts={"QUEUED": 201})
        names = {f"DeviceName.{number}": f"device-{number:06d}" for number in range(1, 202)}
        common = {"ProductKey": job.product_key, "FirmwareId": job.firmware_id, "JobId": job.job_id}

        assert (200, "iot.common.InvalidFormattedParameter") == refusal(
            cloud, "CancelOTATaskByDevice", **common, **names
        )
        del names["DeviceName.201"]
        answer(cloud, "CancelOTATaskByDevice", **common, **names)

        assert {"QUEUED": 1, "CANCELED": 200} == cloud.fleet.counts("wide")

    def test_strategy(self, cloud: AliyunCloud) -> None:
        """Only a dynamic job's strategy can be cancelled, and its tasks survive that."""
        cloud.fleet.add_job("dynamic", counts={"QUEUED": 3}, selection="DYNAMIC")

        assert (200, "iot.ota.JobNotDynamic") == refusal(cloud, "CancelOTAStrategyByJob")
        assert answer(cloud, "CancelOTAStrategyByJob", JobId="dynamic")["Success"]
        assert "CANCELED" == answer(cloud, "QueryOTAJob", JobId="dynamic")["Data"]["JobStatus"]
        assert {"QUEUED": 3} == cloud.fleet.counts("dynamic")

    def test_joining(self, cloud: AliyunCloud, clock: Clock) -> None:
        """Devices keep joining a dynamic job, also after its tasks were cancelled, until its strategy is."""
        cloud.fleet.add_job("dynamic", counts={"QUEUED": 3}, selection="DYNAMIC", joining=0.5)
        answer(cloud, "CancelOTATaskByJob", JobId="dynamic", CancelQueuedTask="true")
        clock.seconds += 5

        assert {"QUEUED": 2, "CANCELED": 3} == cloud.fleet.counts("dynamic")

        answer(cloud, "CancelOTAStrategyByJob", JobId="dynamic")
        clock.seconds += 100

        assert {"QUEUED": 2, "CANCELED": 3} == cloud.fleet.counts("dynamic")


class TestReads:
    def test_query(self, cloud: AliyunCloud) -> None:
        """A job is told with the documents' field names."""
        shown = answer(cloud, "QueryOTAJob", JobId=JOB)["Data"]

        assert tuple(
            shown[name] for name in ("JobId", "JobStatus", "SelectionType", "Name", "DestVersion", "UtcCreate")
        ) == (JOB, "IN_PROGRESS", "STATIC", "Spring", "2.0.0", "2025-01-02T03:04:05.000Z")

    def test_list(self, cloud: AliyunCloud) -> None:
        """A page has the filtered total, and its rows have the status that was asked for."""
        reply = answer(cloud, "ListOTATaskByJob", JobId=JOB, TaskStatus="NOTIFIED", PageSize="5", CurrentPage="3")
        rows = reply["Data"]["SimpleOTATaskInfo"]

        assert (12, 3, 5, 3) == tuple(reply[name] for name in ("Total", "PageCount", "PageSize", "CurrentPage"))
        assert [("device-000051", "NOTIFIED"), ("device-000052", "NOTIFIED")] == [
            (row["DeviceName"], row["TaskStatus"]) for row in rows
        ]

    def test_list_names(self, cloud: AliyunCloud) -> None:
        """With names, paging is ignored and unknown devices are left out."""
        names = {"DeviceNames.1": "device-000001", "DeviceNames.2": "device-000064", "DeviceNames.3": "nobody"}
        reply = answer(cloud, "ListOTATaskByJob", JobId=JOB, PageSize="1", **names)

        assert (2, {"QUEUED", "IN_PROGRESS"}) == (
            reply["Total"],
            {row["TaskStatus"] for row in reply["Data"]["SimpleOTATaskInfo"]},
        )

    def test_list_names_unpaged(self, cloud: AliyunCloud) -> None:
        """With names even impossible paging is ignored."""
        wild = {"DeviceNames.1": "device-000001", "PageSize": "900", "CurrentPage": "900"}

        assert 1 == answer(cloud, "ListOTATaskByJob", JobId=JOB, **wild)["Total"]

    @pytest.mark.parametrize(
        "params",
        [
            {"PageSize": "101"},
            {"PageSize": "0"},
            {"CurrentPage": "x"},
            {"PageSize": "100", "CurrentPage": "1001"},
        ],
    )
    def test_list_limits(self, cloud: AliyunCloud, params: dict[str, str]) -> None:
        """Pages beyond the documented limits are refused."""
        assert (200, "iot.common.InvalidPageParams") == refusal(cloud, "ListOTATaskByJob", **params)

    @pytest.mark.parametrize("params", [{"TaskStatus": "DONE"}, {f"DeviceNames.{n}": str(n) for n in range(51)}])
    def test_list_formats(self, cloud: AliyunCloud, params: dict[str, str]) -> None:
        """An unknown status and a 51st name are refused."""
        assert (200, "iot.common.InvalidFormattedParameter") == refusal(cloud, "ListOTATaskByJob", **params)

    def test_jobs_and_firmwares(self, cloud: AliyunCloud) -> None:
        """Jobs are listed by firmware, and firmwares by product."""
        cloud.fleet.add_job("second", firmware_id="other", product_key="p2", dest_version="3")
        jobs = answer(cloud, "ListOTAJobByFirmware", FirmwareId="other", PageSize="200", CurrentPage="1")
        firmwares = answer(cloud, "ListOTAFirmware", PageSize="10", CurrentPage="1", ProductKey="p2")

        assert (1, ["second"]) == (jobs["Total"], [row["JobId"] for row in jobs["Data"]["SimpleOTAJobInfo"]])
        assert (1, "3") == (firmwares["Total"], firmwares["FirmwareInfo"]["SimpleFirmwareInfo"][0]["DestVersion"])
        assert 2 == answer(cloud, "ListOTAFirmware")["Total"]

    def test_job_pages(self, cloud: AliyunCloud) -> None:
        """Pages of jobs follow each other, and their times of creation say which is newest."""
        for number in range(3):
            cloud.fleet.add_job(f"job-{number}", firmware_id="f", created=NOW - timedelta(days=number))
        pages = [
            answer(cloud, "ListOTAJobByFirmware", FirmwareId="f", PageSize="2", CurrentPage=page)["Data"]
            for page in ("1", "2")
        ]
        rows = [row for page in pages for row in page["SimpleOTAJobInfo"]]

        assert [2, 1] == [len(page["SimpleOTAJobInfo"]) for page in pages]
        assert "job-0" == max(rows, key=lambda row: str(row["UtcCreate"]))["JobId"]

    def test_complete(self, cloud: AliyunCloud) -> None:
        """A job that is done is spelled one way in lists and another in the query, as the documents do."""
        cloud.fleet.add_job("done", firmware_id="f", job_status="COMPLETED")
        listed = answer(cloud, "ListOTAJobByFirmware", FirmwareId="f")["Data"]["SimpleOTAJobInfo"]

        assert ["COMPLETE"] == [row["JobStatus"] for row in listed]
        assert "COMPLETED" == answer(cloud, "QueryOTAJob", JobId="done")["Data"]["JobStatus"]

    def test_firmware_without_jobs(self, cloud: AliyunCloud) -> None:
        """A firmware that no job brings anywhere is listed, and has no jobs."""
        cloud.fleet.add_firmware("f", version="9")
        found = answer(cloud, "ListOTAFirmware", DestVersion="9")["FirmwareInfo"]["SimpleFirmwareInfo"]

        assert ["f"] == [row["FirmwareId"] for row in found]
        assert 0 == answer(cloud, "ListOTAJobByFirmware", FirmwareId="f")["Total"]


class TestFaults:
    @pytest.mark.parametrize(("kind", "canceled"), [("drop_before", 0), ("drop_after", 12)])
    def test_drops(self, cloud: AliyunCloud, kind: str, canceled: int, capfd: pytest.CaptureFixture[str]) -> None:
        """The connection closes without an answer, before or after the work, and the next call works."""
        cloud.faults.add(kind)
        with pytest.raises(requests.ConnectionError):
            call(cloud, "CancelOTATaskByJob", JobId=JOB, CancelNotifiedTask="true")

        assert canceled == cloud.fleet.counts(JOB)["CANCELED"]
        assert (0, canceled > 0) == (cloud.arrivals[-1].status, cloud.arrivals[-1].executed)
        assert answer(cloud, "QueryOTAJob", JobId=JOB)["Success"]
        assert ("", "") == capfd.readouterr()

    @pytest.mark.parametrize(("kind", "canceled"), [("hang", 0), ("hang_after", 12)])
    def test_hangs(self, kind: str, canceled: int, capfd: pytest.CaptureFixture[str]) -> None:
        """No answer comes, and the cloud stops nevertheless."""
        with AliyunCloud(keys={"testid": "testsecret"}, now=lambda: NOW) as cloud:
            cloud.fleet.add_job(JOB, counts=COUNTS)
            cloud.faults.add(kind, "CancelOTATaskByJob")
            params = signed("CancelOTATaskByJob", JobId=JOB, CancelNotifiedTask="true")
            with pytest.raises(requests.ReadTimeout):
                requests.post(cloud.url, params=params, timeout=0.1)

        assert canceled == cloud.fleet.counts(JOB)["CANCELED"]
        assert [0] == [arrival.status for arrival in cloud.arrivals]
        assert ("", "") == capfd.readouterr()

    @pytest.mark.parametrize(
        ("kind", "expected", "canceled"),
        [
            ("throttle", (400, "Throttling.User"), 0),
            ("http_500", (500, "InternalError"), 0),
            ("http_503", (503, "ServiceUnavailable"), 0),
            ("parameter_refused", (200, "iot.common.InvalidFormattedParameter"), 0),
            ("permission_refused", (403, "Forbidden.RAM"), 0),
            ("signature_refused", (400, "SignatureDoesNotMatch"), 0),
            ("system_exception", (200, "iot.system.SystemException"), 0),
            ("system_exception_after", (200, "iot.system.SystemException"), 12),
        ],
    )
    def test_errors(self, cloud: AliyunCloud, kind: str, expected: tuple[int, str], canceled: int) -> None:
        """An error is answered once, with the work done or not."""
        cloud.faults.add(kind)

        assert expected == refusal(cloud, "CancelOTATaskByJob", CancelNotifiedTask="true")
        assert canceled == cloud.fleet.counts(JOB)["CANCELED"]
        assert answer(cloud, "QueryOTAJob", JobId=JOB)["Success"]

    @pytest.mark.parametrize(("header", "value"), [("x-acs-retry-after", "1500"), ("Retry-After", "2")])
    def test_retry_after(self, cloud: AliyunCloud, header: str, value: str) -> None:
        """A throttled caller is told when to come back, in the header's unit."""
        cloud.faults.add("throttle", seconds=1.5, header=header)

        assert value == call(cloud, "QueryOTAJob", JobId=JOB).headers[header]

    def test_spoiled(self, cloud: AliyunCloud) -> None:
        """Answers come as a page, cut, as a list, with numbers as strings, and huge."""
        for kind in ("http_502_html", "truncated", "wrong_type", "number_strings", "huge"):
            cloud.faults.add(kind, "ListOTATaskByJob")
        page, cut, listed, strings, huge = (call(cloud, "ListOTATaskByJob", JobId=JOB) for _ in range(5))

        assert (502, True) == (page.status_code, "<html>" in page.text)
        with pytest.raises(requests.JSONDecodeError):
            cut.json()
        assert [64] == [reply["Total"] for reply in listed.json()]
        assert "64" == strings.json()["Total"]
        assert len(huge.content) > 5_000_000

    def test_unfiltered(self, cloud: AliyunCloud) -> None:
        """A list that ignores its filter tells the same total for every status."""
        cloud.faults.add("unfiltered", times=None)
        statuses = ("QUEUED", "FAILED")

        assert [64, 64] == [answer(cloud, "ListOTATaskByJob", JobId=JOB, TaskStatus=one)["Total"] for one in statuses]

    def test_delayed_effect(self, cloud: AliyunCloud, clock: Clock) -> None:
        """A cancel shows only later; a second one meanwhile counts as a second."""
        cloud.faults.add("delayed_effect", seconds=3)
        answer(cloud, "CancelOTATaskByJob", JobId=JOB, CancelInProgressTask="true")

        assert 0 == cloud.fleet.counts(JOB)["CANCELED"]

        answer(cloud, "CancelOTATaskByJob", JobId=JOB, CancelInProgressTask="true")
        clock.seconds += 3

        assert 5 == cloud.fleet.counts(JOB)["CANCELED"]
        assert {2} == set(cloud.fleet.canceled(JOB).values())

    def test_latency(self, cloud: AliyunCloud) -> None:
        """A slow answer is a good one; latency combines with the next fault."""
        cloud.faults.add("latency", seconds=0.05, times=None)
        cloud.faults.add("system_exception_after")
        slow = call(cloud, "CancelOTATaskByJob", JobId=JOB, CancelQueuedTask="true")

        assert slow.elapsed >= timedelta(seconds=0.05)
        assert "iot.system.SystemException" == slow.json()["Code"]
        cloud.faults.clear()
        assert answer(cloud, "QueryOTAJob", JobId=JOB)["Success"]

    def test_unknown_kind(self, cloud: AliyunCloud) -> None:
        """A fault that does not exist is an error of the test."""
        with pytest.raises(ValueError, match="nonsense"):
            cloud.faults.add("nonsense")


class TestArrivals:
    def test_log(self, cloud: AliyunCloud, clock: Clock) -> None:
        """Each call leaves one line without key material, with what it was told."""
        reply = answer(cloud, "QueryOTAJob", JobId=JOB)
        refusal(cloud, JobId="other")
        first, second = cloud.arrivals

        assert (clock.seconds, "QueryOTAJob", 200, "", True) == (
            first.at,
            first.action,
            first.status,
            first.code,
            first.executed,
        )
        assert reply["RequestId"] == first.request_id
        assert not {"Signature", "AccessKeyId", "SecurityToken"} & first.params.keys()
        assert ("iot.ota.JobNotFound", False) == (second.code, second.executed)


class TestFleet:
    def test_drain(self) -> None:
        """Tasks move one step on, from each step in turn, the furthest first."""
        fleet = Fleet()
        fleet.add_job("job", counts=COUNTS)

        assert 5 == fleet.drain("job", 5)
        assert {"QUEUED": 40, "NOTIFIED": 12, "CONFIRM": 6, "IN_PROGRESS": 4, "SUCCEEDED": 2} == fleet.counts("job")
        assert ["device-000053"] == [name for name in fleet.devices("job", "QUEUED") if name > "device-000040"]

    def test_drain_ends(self) -> None:
        """A drained job has no more to move, and a cancel finds nothing."""
        fleet = Fleet()
        fleet.add_job("job", counts={"IN_PROGRESS": 2, "FAILED": 1})

        assert [2, 0] == [fleet.drain("job", 9), fleet.drain("job", 9)]
        assert 0 == fleet.cancel("job", statuses=fleet.live)
        assert {"SUCCEEDED": 2, "FAILED": 1} == fleet.counts("job")

    def test_late_cancel_of_moved_tasks(self) -> None:
        """A cancel that shows late catches tasks where they are then, and leaves those that have ended."""
        clock = Clock()
        fleet = Fleet(clock=clock)
        fleet.add_job("job", counts={"QUEUED": 1, "IN_PROGRESS": 1})
        fleet.cancel("job", statuses=fleet.live, delay=1)
        fleet.drain("job", 9)
        clock.seconds += 1

        assert {"CANCELED": 1, "SUCCEEDED": 1} == fleet.counts("job")

    def test_other_steps(self) -> None:
        """Another vendor's statuses work alike."""
        fleet = Fleet(steps=("init", "published", "upgrading", "succeeded"), canceled="failed")
        fleet.add_job("job", counts={"init": 2})
        fleet.drain("job", 1)
        fleet.cancel("job", statuses={"published"})

        assert {"init": 1, "failed": 1} == fleet.counts("job")

    def test_names_go_on(self) -> None:
        """Added tasks have new names."""
        fleet = Fleet()
        fleet.add_job("job", counts={"QUEUED": 1})

        assert ["device-000002", "device-000003"] == fleet.add_tasks("job", "CONFIRM", 2)

    def test_unknown_job(self) -> None:
        """A job that was never added is an error, not an empty one."""
        with pytest.raises(UnknownJobError):
            Fleet().counts("nobody")
