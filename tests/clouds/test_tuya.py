"""Tuya over real HTTP: everything in the query of a GET, what Alibaba has and Tuya has not, lower-camel answers."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, count
from typing import Any, Final

import pytest

from bot.clouds.base import Cloud
from bot.clouds.http import Http
from bot.clouds.tuya import TUYA, TuyaCloud
from bot.domain.account import Account
from bot.domain.account import Cloud as CloudName
from bot.domain.call import Outcome
from bot.domain.errors import CloudError
from bot.domain.offer import BY_DEVICE, BY_JOB, CANCEL_DEVICES, CANCEL_JOB
from bot.domain.order import CancelDevices, CancelJob
from bot.domain.plan import Plan, Step, freeze
from bot.domain.reading import Named
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.playground.cloud.aliyun_cloud import AliyunCloud as SimulatedCloud
from bot.playground.cloud.rpc_gate import signature, string_to_sign
from tests.clouds.stand_ins import (
    KEY_ID,
    KEY_SECRET,
    TOKEN,
    Clock,
    Peer,
    Talk,
    a_plan,
    account,
    answering,
    by_job,
    hasty_session,
    rpc_cloud,
    sent,
    unpaced,
    wire,
)

JOB: Final = "1836340779212660000"
OFFERED: Final = (Status.UNCONFIRMED, Status.QUEUED, Status.NOTIFIED)
CHOICES: Final = [chosen for size in (1, 2, 3) for chosen in combinations(OFFERED, size)]
COMMON: Final = {
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "Timestamp",
    "Signature",
}
ABSENT: Final = ("RegionId", "IotInstanceId", "SecurityToken", "CancelInProgressTask", "CancelScheduledTask")

Connect = Callable[..., TuyaCloud]


def tuya(url: str, **changes: Any) -> Account:
    """Return an account of Tuya's."""
    return account(url, cloud=CloudName.TUYA, names_per_call=TUYA.names_per_call, **changes)


def takes_all(talk: Talk) -> None:
    while talk.hear() is not None:
        talk.answer(b'{"code":"","requestId":"d2fce065","success":true}')


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(clock: Clock) -> Iterator[Connect]:
    """Return a maker of clouds for an account."""
    http = Http(clock=time.monotonic, sessions=hasty_session)

    def made(known: Account, **changes: Any) -> TuyaCloud:
        return rpc_cloud(TuyaCloud, known, http=http, throttle=unpaced(clock), clock=clock, **changes)

    yield made
    http.close()


@pytest.fixture
def taker() -> Iterator[Peer]:
    with Peer(takes_all) as peer:
        yield peer


def by_device(*names: str) -> Plan:
    step = Step(action=CANCEL_DEVICES, job=JOB, product="P1", firmware="F1", count=len(names))
    return a_plan(step, statuses=BY_DEVICE[CloudName.TUYA], per_call=50)


class TestWire:
    @pytest.mark.parametrize("statuses", CHOICES, ids="+".join)
    def test_three_flags(self, connect: Connect, taker: Peer, statuses: tuple[Status, ...]) -> None:
        """Each choice of statuses sends all three flags, `true` for the named ones and `false` for the others."""
        plan = by_job(JOB, *statuses)
        answer = connect(tuya(taker.url)).send(plan, plan.call(1), (), 1)
        method, query, form = wire(taker.requests[0])
        flags = {f"Cancel{word}Task": "false" for word in ("Unconfirmed", "Queued", "Notified")}
        words = {Status.UNCONFIRMED: "Unconfirmed", Status.QUEUED: "Queued", Status.NOTIFIED: "Notified"}
        flags |= {f"Cancel{words[status]}Task": "true" for status in statuses}

        assert (Outcome.DONE, "", "d2fce065") == (answer.outcome, answer.code, answer.request_id)
        assert ("GET", {}, CANCEL_JOB) == (method, form, query["Action"])
        assert {"JobId": JOB, **flags} == {name: value for name, value in query.items() if name not in COMMON}

    def test_flags_are_what_is_offered(self) -> None:
        """The flags are those of the statuses that are offered on Tuya, and 50 names go in a call."""
        assert (set(BY_JOB[CloudName.TUYA]), 50) == (set(TUYA.flags), TUYA.names_per_call)

    def test_devices(self, connect: Connect, taker: Peer) -> None:
        """A cancel by device names product, firmware and job, and numbers its devices from 1."""
        plan = by_device("a", "b:2", "c@3")
        connect(tuya(taker.url)).send(plan, plan.call(1), ("a", "b:2", "c@3"), 1)
        _, query, _ = wire(taker.requests[0])

        assert {
            "ProductKey": "P1",
            "FirmwareId": "F1",
            "JobId": JOB,
            "DeviceName.1": "a",
            "DeviceName.2": "b:2",
            "DeviceName.3": "c@3",
        } == {name: value for name, value in query.items() if name not in COMMON}

    def test_common_parameters(self, connect: Connect, taker: Peer, clock: Clock) -> None:
        """All common parameters of the document are sent and signed, with JSON asked for: the default is XML."""
        plan = by_job(JOB)
        connect(tuya(taker.url), nonce=lambda: "nonce-1").send(plan, plan.call(1), (), 1)
        method, query, _ = wire(taker.requests[0])
        signed = {name: value for name, value in query.items() if name != "Signature"}

        assert {
            "Action": CANCEL_JOB,
            "Version": "2018-01-20",
            "Format": "JSON",
            "AccessKeyId": KEY_ID,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": "nonce-1",
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        } == {name: value for name, value in signed.items() if name in COMMON}
        assert signature(KEY_SECRET, string_to_sign(method, signed)) == query["Signature"]

    @pytest.mark.parametrize(
        "omit",
        [("Version",), ("Format",), ("SignatureVersion",), ("Version", "Format", "SignatureVersion")],
        ids="+".join,
    )
    def test_omitted(self, connect: Connect, taker: Peer, omit: tuple[str, ...]) -> None:
        """Version, Format and SignatureVersion are left out where the account says so, and are not signed then."""
        plan = by_job(JOB)
        connect(tuya(taker.url, omit=omit)).send(plan, plan.call(1), (), 1)
        method, query, _ = wire(taker.requests[0])
        signed = {name: value for name, value in query.items() if name != "Signature"}

        assert COMMON - set(omit) == set(query) & COMMON
        assert signature(KEY_SECRET, string_to_sign(method, signed)) == query["Signature"]

    def test_not_omitted(self, connect: Connect, taker: Peer) -> None:
        """What a call cannot do without is sent whatever the account omits."""
        plan = by_job(JOB)
        connect(tuya(taker.url, omit=("Action", "AccessKeyId", "JobId"))).send(plan, plan.call(1), (), 1)

        assert {"Action", "AccessKeyId", "JobId"} <= set(sent(taker)[0])

    def test_what_tuya_has_not(self, connect: Connect) -> None:
        """Region, instance and token do not exist there: they are never sent, even if configured, in no operation."""
        with Peer(instance()) as peer:
            known = connect(tuya(peer.url, region="cn", instance="iot-1", security_token=Secret(TOKEN)))
            known.look(CancelDevices(product="P1", firmware="F1"), ("a",))
            known.jobs()
            for plan, names in ((by_job(JOB), ()), (by_device("a"), ("a",))):
                known.send(plan, plan.call(1), names, 1)
        found = sent(peer)

        assert {
            "CancelOTATaskByJob",
            "CancelOTATaskByDevice",
            "QueryOTAJob",
            "ListOTATaskByJob",
            "ListOTAJobByFirmware",
            "ListOTAFirmware",
        } == {one["Action"] for one in found}
        assert [] == [name for one in found for name in ABSENT if name in one]
        assert {b"GET"} == {request.split(b" ")[0] for request in peer.requests}

    def test_taken_by_the_gateway(self, connect: Connect, clock: Clock) -> None:
        """Alibaba's own checks take such a GET: parameters, signature and nonce are right."""
        with SimulatedCloud(keys={KEY_ID: KEY_SECRET}, now=clock.now, clock=clock.seconds) as simulated:
            simulated.fleet.add_job(JOB, counts={"QUEUED": 40, "CONFIRM": 7})
            plan = by_job(JOB)
            answer = connect(tuya(simulated.url)).send(plan, plan.call(1), (), 1)

            assert (Outcome.DONE, 40, 7) == (
                answer.outcome,
                simulated.fleet.counts(JOB)["CANCELED"],
                simulated.fleet.counts(JOB)["CONFIRM"],
            )

    def test_port(self, connect: Connect, taker: Peer) -> None:
        """The endpoint's port is kept, and the query follows the path `/`."""
        plan = by_job(JOB)
        connect(tuya(taker.url)).send(plan, plan.call(1), (), 1)
        head = taker.requests[0].decode()

        assert head.startswith("GET /?")
        assert f"Host: {taker.url.removeprefix('http://')}\r\n" in head
        assert "content-type" not in head.lower()


# --- answers in lower camel -----------------------------------------------------------------------------------------


def instance(*tasks: tuple[str, str], **totals: int) -> Callable[[Talk], object]:
    """Answer as Tuya's examples do: fields in lower camel, an empty code on success."""

    def answer(given: dict[str, str]) -> Mapping[str, Any]:
        job = {"jobId": JOB, "jobStatus": "IN_PROGRESS", "productKey": "P1", "firmwareId": "F1", "utcCreate": "2026"}
        answers: dict[str, dict[str, Any]] = {
            "QueryOTAJob": {"data": {**job, "name": "Spring", "selectionType": "STATIC", "destVersion": "2"}},
            "ListOTAJobByFirmware": {"data": {"simpleOTAJobInfo": [job]}, "total": 1},
            "ListOTAFirmware": {"firmwareInfo": {"simpleFirmwareInfo": [{"firmwareId": "F1"}]}, "total": 1},
            "ListOTATaskByJob": {"total": totals.get(given.get("TaskStatus", ""), 0), "data": {}},
        }
        shown = answers.get(given["Action"], {})
        if "DeviceNames.1" in given:
            named = [{"deviceName": name, "taskStatus": word} for name, word in tasks]
            shown = {"total": len(named), "data": {"simpleOTATaskInfo": named}}
        return {"code": "", "requestId": "d2fce065", "success": True, **shown}

    return answering(answer)


class TestAnswers:
    def test_job(self, connect: Connect) -> None:
        """A job's facts and counts are read in lower camel as well."""
        with Peer(instance(CONFIRM=7, QUEUED=40, NOTIFIED=12, CANCELED=1)) as peer:
            look = connect(tuya(peer.url)).look(CancelJob(job=JOB), ())
        job, reading = look.preview.job, look.preview.reading

        assert ("Spring", "IN_PROGRESS", "P1", "F1", "2", "2026") == (
            job.name,
            job.status,
            job.product,
            job.firmware,
            job.version,
            job.created,
        )
        assert {
            Status.SCHEDULED: 0,
            Status.UNCONFIRMED: 7,
            Status.QUEUED: 40,
            Status.NOTIFIED: 12,
            Status.IN_PROGRESS: 0,
        } == reading.counts
        assert (1, "IN_PROGRESS") == (reading.canceled, reading.batch)

    @pytest.mark.parametrize("where", [{"job": JOB}, {"product": "P1", "firmware": "F1"}], ids=["job", "firmware"])
    def test_devices(self, connect: Connect, where: dict[str, str]) -> None:
        """A device whose task is in progress cannot be cancelled there: it is counted, and not sent."""
        with Peer(instance(("a", "QUEUED"), ("b", "IN_PROGRESS"), ("c", "CANCELED"), QUEUED=1, IN_PROGRESS=1)) as peer:
            known, order = tuya(peer.url), CancelDevices(names=("a", "b", "c", "d"), **where)  # type: ignore[arg-type]
            look = connect(known).look(order, order.names)
        plan = freeze(order, look.preview, known, look.names)

        assert {JOB: ("a",)} == look.names
        assert (
            Named(counts={Status.QUEUED: 1, Status.IN_PROGRESS: 1}, canceled=1, absent=1) == look.preview.reading.named
        )
        assert (1, 1, JOB, "P1", "F1") == (
            plan.at_most,
            plan.steps[0].count,
            plan.steps[0].job,
            plan.steps[0].product,
            plan.steps[0].firmware,
        )

    def test_still(self, connect: Connect) -> None:
        """What began to flash meanwhile is not sent again."""
        plan = by_device("a", "b")
        with Peer(instance(("a", "NOTIFIED"), ("b", "IN_PROGRESS"))) as peer:
            still, reading = connect(tuya(peer.url)).still(plan, plan.call(1), ("a", "b"))

        assert (("a",), 1) == (still, reading.size(frozenset(plan.statuses)))

    def test_jobs(self, connect: Connect) -> None:
        """The running batches are found through the firmwares."""
        with Peer(instance(QUEUED=4)) as peer:
            shown, more, _ = connect(tuya(peer.url)).jobs()

        assert ([(JOB, "Spring", 4)], 0) == (
            [(one.job.id, one.job.name, one.reading.counts[Status.QUEUED]) for one in shown],
            more,
        )

    def test_refused(self, connect: Connect) -> None:
        """A refusal in lower camel is one, in the cloud's words."""
        said = {"code": "iot.ota.X", "errorMessage": "no such job", "requestId": "R", "success": False}
        with Peer(answering(lambda _: said)) as peer:
            known = connect(tuya(peer.url))
            with pytest.raises(CloudError, match=r"iot\.ota\.X: no such job") as raised:
                known.look(CancelJob(job=JOB), ())

        assert ("iot.ota.X", "R", True) == (raised.value.code, raised.value.request_id, raised.value.final)

    def test_probe(self, connect: Connect) -> None:
        """The credentials are tried by a read of a job that cannot exist."""
        said = iter([{"success": False, "code": "Iot.system.UidNotFound"}, {"success": False, "code": "iot.ota.NoJob"}])
        with Peer(answering(lambda _: next(said))) as peer:
            known = connect(tuya(peer.url))
            refused, good = known.probe(), known.probe()

        assert (1, ()) == (len(refused), good)
        assert {"QueryOTAJob"} == {one["Action"] for one in sent(peer)}

    def test_what_the_engine_asks(self, connect: Connect) -> None:
        """It is what the engine asks of a cloud, one that takes a call whole."""
        known: Cloud = connect(tuya("https://si-1.tuyacloud.com:8686"))

        assert (False, 0.0) == (known.choosy, known.visible_after)

    def test_numbers_never_repeat(self, connect: Connect, taker: Peer) -> None:
        """Each attempt has a nonce of its own."""
        numbers, plan = count(1), by_job(JOB)
        known = connect(tuya(taker.url), nonce=lambda: str(next(numbers)))
        for attempt in (1, 2):
            known.send(plan, plan.call(1), (), attempt)

        assert ["1", "2"] == [one["SignatureNonce"] for one in sent(taker)]
