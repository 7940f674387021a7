"""Alibaba Cloud over real HTTP: what goes over the wire, how jobs are read, and what is said when that fails."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import combinations, count
from pathlib import Path
from typing import Any, Final

import pytest

from bot.clouds.aliyun import ALIYUN, AliyunCloud
from bot.clouds.base import Cloud
from bot.clouds.http import Http
from bot.clouds.shared import READ_ATTEMPTS
from bot.clouds.throttle import EARLY, Throttle
from bot.domain.account import Account, Qps
from bot.domain.account import Cloud as CloudName
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.offer import BY_JOB, CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY
from bot.domain.order import CancelJob, listed
from bot.domain.plan import Plan, Preview, Step, freeze
from bot.domain.reading import Reading
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.ledger.slots import Slots
from bot.ledger.store import Store
from bot.playground.cloud.aliyun_cloud import AliyunCloud as SimulatedCloud
from bot.playground.cloud.rpc_gate import Key, signature, string_to_sign
from tests.clouds.stand_ins import (
    KEY_ID,
    KEY_SECRET,
    TOKEN,
    Clock,
    Peer,
    Talk,
    a_plan,
    account,
    by_job,
    hasty_session,
    nobody,
    rpc_cloud,
    says,
    secret_free,
    sent,
    wire,
)

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5, "SUCCEEDED": 3, "FAILED": 2}
CHOICES: Final = [
    tuple(status for status in Status if status in chosen)
    for size in range(1, len(Status) + 1)
    for chosen in combinations(Status, size)
]
FLAGS: Final = ALIYUN.flags

Connect = Callable[..., AliyunCloud]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[SimulatedCloud]:
    with SimulatedCloud(keys={KEY_ID: KEY_SECRET}, now=clock.now, clock=clock.seconds) as cloud:
        yield cloud


@pytest.fixture
def simulated(running: SimulatedCloud, clock: Clock) -> SimulatedCloud:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring")
    clock.turn(100)
    clock.slept.clear()
    return running


@pytest.fixture
def slots(tmp_path: Path, clock: Clock) -> Iterator[Slots]:
    store = Store(tmp_path / "slots.db")
    yield Slots(store, now=clock.now)
    store.close()


@pytest.fixture
def connect(slots: Slots, clock: Clock) -> Iterator[Connect]:
    """Return a maker of clouds for an account."""
    http = Http(clock=time.monotonic, sessions=hasty_session)
    throttle = Throttle(reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep)

    def made(known: Account, *, ahead: float = 0.0) -> AliyunCloud:
        return rpc_cloud(
            AliyunCloud, known, http=http, throttle=throttle, clock=clock, ahead=lambda _quota, _operation: ahead
        )

    yield made
    http.close()


@pytest.fixture
def cloud(connect: Connect, simulated: SimulatedCloud) -> AliyunCloud:
    return connect(account(simulated.url))


def plan(cloud_account: Account, statuses: tuple[Status, ...], preview: Preview) -> Plan:
    return freeze(CancelJob(job=JOB, statuses=statuses), preview, cloud_account)


def preview_of(cloud: AliyunCloud, job: str = JOB) -> Preview:
    return cloud.look(CancelJob(job=job), ()).preview


def cancel(cloud: AliyunCloud, *statuses: Status, attempt: int = 1) -> Answer:
    """Send the one call of a plan by job."""
    planned = by_job(JOB, *statuses)
    return cloud.send(planned, planned.call(1), (), attempt)


def recounted(cloud: AliyunCloud, before: Reading | None, *statuses: Status, job: str = JOB) -> Reading:
    return cloud.recount(by_job(job, *statuses), {}, before)


def takes_all(talk: Talk) -> None:
    while talk.hear() is not None:
        talk.answer(b'{"Success":true,"RequestId":"R"}')


# --- what goes over the wire ----------------------------------------------------------------------------------------


class TestWire:
    @pytest.mark.parametrize("statuses", CHOICES, ids="+".join)
    def test_all_flags(self, connect: Connect, taker: Peer, statuses: tuple[Status, ...]) -> None:
        """Each choice of statuses sends all five flags, `true` for the named ones and `false` for all others."""
        cancel(connect(account(taker.url)), *statuses)
        _, _, form = wire(taker.requests[-1])

        assert {flag: "true" if status in statuses else "false" for status, flag in FLAGS.items()} | {
            "JobId": JOB
        } == form

    def test_five_flags(self) -> None:
        """The flags are the five of the vendor's document, and those of the statuses that are offered."""
        words = ("Scheduled", "Unconfirmed", "Queued", "Notified", "InProgress")

        assert {f"Cancel{word}Task" for word in words} == set(FLAGS.values())
        assert set(BY_JOB[CloudName.ALIYUN]) == set(FLAGS)

    def test_the_engine_s_cloud(self, connect: Connect) -> None:
        """It is what the engine asks of a cloud, one that takes a call whole, and names fit the vendor's limit."""
        known: Cloud = connect(account())

        assert (False, 0.0, 200) == (known.choosy, known.visible_after, ALIYUN.names_per_call)

    def test_where_things_go(self, connect: Connect, clock: Clock) -> None:
        """Common parameters and signature are in the query of a POST, business parameters in its form, apart."""
        with Peer(takes_all) as peer:
            cancel(connect(account(peer.url)))
        method, query, form = wire(peer.requests[0])

        assert "POST" == method
        assert {"JobId", *FLAGS.values()} == set(form)
        assert {
            "Action": "CancelOTATaskByJob",
            "Version": "2018-01-20",
            "Format": "JSON",
            "AccessKeyId": KEY_ID,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        } == {name: value for name, value in query.items() if name not in {"Signature", "SignatureNonce"}}
        assert KEY_SECRET.encode() not in peer.requests[0]

    @pytest.mark.parametrize(
        ("action", "names", "expected"),
        [
            (CANCEL_JOB, (), {"JobId": JOB, **dict.fromkeys(FLAGS.values(), "false"), "CancelQueuedTask": "true"}),
            (
                CANCEL_DEVICES,
                ("a", "b:2", "c@3"),
                {"JobId": JOB, "ProductKey": "P1", "FirmwareId": "F1"}
                | {"DeviceName.1": "a", "DeviceName.2": "b:2", "DeviceName.3": "c@3"},
            ),
            (CANCEL_STRATEGY, (), {"JobId": JOB}),
        ],
    )
    def test_operations(
        self, connect: Connect, taker: Peer, action: str, names: tuple[str, ...], expected: dict[str, str]
    ) -> None:
        """Each cancelling operation sends every parameter of its document, and the instance, and nothing else."""
        step = Step(action=action, job=JOB, product="P1", firmware="F1", count=len(names))
        planned = a_plan(step)
        answer = connect(account(taker.url, instance="iot-1")).send(planned, planned.call(1), names, 1)
        _, query, form = wire(taker.requests[-1])

        assert (Outcome.DONE, "R") == (answer.outcome, answer.request_id)
        assert (action, expected | {"IotInstanceId": "iot-1"}) == (query["Action"], form)

    def test_two_hundred_names(self, connect: Connect, taker: Peer) -> None:
        """Two hundred names go in one call, numbered from 1 in their order, and sorted by code point for signing."""
        names = tuple(f"device-{number:025d}" for number in range(200))
        step = Step(action=CANCEL_DEVICES, job=JOB, product="P", firmware="F", names=listed(names).sha256, count=200)
        planned = a_plan(step)
        connect(account(taker.url)).send(planned, planned.call(1), names, 1)
        method, query, form = wire(taker.requests[-1])
        signed = {name: value for name, value in {**query, **form}.items() if name != "Signature"}

        assert {f"DeviceName.{number}": name for number, name in enumerate(names, 1)} == {
            name: value for name, value in form.items() if name.startswith("DeviceName")
        }
        assert signature(KEY_SECRET, string_to_sign(method, signed)) == query["Signature"]

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"instance": "iot_instc_1*"}, {"IotInstanceId": "iot_instc_1*"}),
            ({"region": "eu-central-1"}, {"RegionId": "eu-central-1"}),
            ({"security_token": Secret(TOKEN)}, {"SecurityToken": TOKEN}),
            ({}, {}),
        ],
    )
    def test_optional(self, connect: Connect, changes: dict[str, Any], expected: dict[str, str]) -> None:
        """Instance, region and token go with every call where they are configured, and nowhere else."""
        with Peer(says({"Success": True, "Total": 0, "Data": {}})) as peer:
            known = connect(account(peer.url, **changes))
            cancel(known)
            preview_of(known)
        optional = ("IotInstanceId", "RegionId", "SecurityToken")

        assert [expected] * 7 == [{name: one[name] for name in optional if name in one} for one in sent(peer)]

    def test_whole_signature(self, connect: Connect, clock: Clock) -> None:
        """Everything optional together is signed as the cloud checks it."""
        keys = {KEY_ID: Key(secret=KEY_SECRET, token=TOKEN)}
        with SimulatedCloud(keys=keys, instance_id="iot-1*~ 设", now=clock.now, clock=clock.seconds) as simulated:
            simulated.fleet.add_job(JOB, counts=COUNTS)
            known = account(simulated.url, instance="iot-1*~ 设", region="cn-shanghai", security_token=Secret(TOKEN))

            assert Outcome.DONE is cancel(connect(known)).outcome
            assert 40 == simulated.fleet.counts(JOB)["CANCELED"]

    def test_each_attempt_is_signed_anew(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Every attempt, of a read too, has a nonce and a timestamp of its own."""
        simulated.faults.add("throttle", "QueryOTAJob", times=2, seconds=2, header="Retry-After")
        preview_of(cloud)
        for attempt in (1, 2):
            clock.turn(1)
            cancel(cloud, attempt=attempt)
        arrivals = simulated.arrivals
        nonces = [arrival.params["SignatureNonce"] for arrival in arrivals]
        tried = [arrival.params["Timestamp"] for arrival in arrivals if arrival.action == "QueryOTAJob"]
        sent = [arrival.params["Timestamp"] for arrival in arrivals if arrival.action == "CancelOTATaskByJob"]

        assert [10, 10] == [len(nonces), len(set(nonces))]
        assert [3, 3, 2, 2] == [len(tried), len(set(tried)), len(sent), len(set(sent))]


@pytest.fixture(scope="module")
def taker() -> Iterator[Peer]:
    with Peer(takes_all) as peer:
        yield peer


# --- cancelling -----------------------------------------------------------------------------------------------------


class TestSend:
    @pytest.mark.parametrize(
        ("statuses", "left"),
        [
            ((Status.QUEUED,), {"CONFIRM", "NOTIFIED", "IN_PROGRESS"}),
            ((Status.QUEUED, Status.NOTIFIED), {"CONFIRM", "IN_PROGRESS"}),
            ((Status.UNCONFIRMED,), {"QUEUED", "NOTIFIED", "IN_PROGRESS"}),
            ((Status.IN_PROGRESS,), {"CONFIRM", "QUEUED", "NOTIFIED"}),
        ],
    )
    def test_hits_the_named(
        self, cloud: AliyunCloud, simulated: SimulatedCloud, statuses: tuple[Status, ...], left: set[str]
    ) -> None:
        """Exactly the tasks in the named statuses are cancelled; those waiting for confirmation are not drawn in."""
        answer = cancel(cloud, *statuses)
        found = simulated.fleet.counts(JOB)

        assert Outcome.DONE is answer.outcome
        assert simulated.arrivals[0].request_id == answer.request_id
        assert {name: COUNTS[name] for name in left} == {
            name: found[name] for name in ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS") if found[name]
        }

    @pytest.mark.parametrize(
        ("kind", "outcome", "again", "code"),
        [
            ("throttle", Outcome.FAILED, True, "Throttling.User"),
            ("http_500", Outcome.UNKNOWN, False, "InternalError"),
            ("http_502_html", Outcome.UNKNOWN, False, "HTTP 502"),
            ("system_exception", Outcome.UNKNOWN, False, "iot.system.SystemException"),
            ("system_exception_after", Outcome.UNKNOWN, False, "iot.system.SystemException"),
            ("drop_before", Outcome.UNKNOWN, False, "NoAnswer"),
            ("drop_after", Outcome.UNKNOWN, False, "NoAnswer"),
            ("hang", Outcome.UNKNOWN, False, "NoAnswer"),
            ("hang_after", Outcome.UNKNOWN, False, "NoAnswer"),
            ("truncated", Outcome.UNKNOWN, False, "HTTP 200"),
            ("wrong_type", Outcome.UNKNOWN, False, "HTTP 200"),
            ("huge", Outcome.UNKNOWN, False, "NoAnswer"),
            ("signature_refused", Outcome.FAILED, False, "SignatureDoesNotMatch"),
            ("number_strings", Outcome.DONE, False, ""),
        ],
    )
    def test_faults(  # noqa: PLR0917 - a table
        self,
        cloud: AliyunCloud,
        simulated: SimulatedCloud,
        kind: str,
        outcome: Outcome,
        again: bool,
        code: str,
    ) -> None:
        """Each way in which a cancel can go wrong is one request and one honest outcome."""
        simulated.faults.add(kind, "CancelOTATaskByJob")
        answer = cancel(cloud)

        assert (outcome, again, code) == (answer.outcome, answer.again, answer.code)
        assert 1 == len(simulated.arrivals)
        assert secret_free(repr(answer))

    def test_refused(self, connect: Connect) -> None:
        """A refused connection was never sent, and may be tried again."""
        with nobody() as url:
            answer = cancel(connect(account(url)))

        assert (Outcome.FAILED, True, "NotSent") == (answer.outcome, answer.again, answer.code)

    @pytest.mark.parametrize(("attempt", "outcome"), [(1, Outcome.FAILED), (2, Outcome.UNKNOWN)])
    def test_used_nonce(self, connect: Connect, attempt: int, outcome: Outcome) -> None:
        """A used nonce on a later attempt may mean that the earlier one was executed."""
        with Peer(says({"Success": False, "Code": "SignatureNonceUsed"})) as peer:
            assert outcome is cancel(connect(account(peer.url)), attempt=attempt).outcome

    @pytest.mark.parametrize(("header", "held"), [("Retry-After", 7.0), ("x-acs-retry-after", 7.0), (None, 1.0)])
    def test_throttling_holds_the_rest(
        self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock, header: str | None, held: float
    ) -> None:
        """A throttled cancel holds the next one of the quota back for as long as the cloud says."""
        simulated.faults.add("throttle", "CancelOTATaskByJob", seconds=7, header=header)
        cloud.wait(CANCEL_JOB)
        cancel(cloud)
        cloud.wait(CANCEL_JOB)

        assert pytest.approx(held - EARLY, abs=0.01) == sum(clock.slept)

    @pytest.mark.parametrize("header", ["Retry-After", "x-acs-retry-after"])
    def test_who_looks_is_told(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock, header: str) -> None:
        """Somebody who looks is told at once that the cloud wants minutes, and when to try again: after two at most."""
        simulated.faults.add("throttle", "ListOTATaskByJob", seconds=3600, header=header, times=None)
        began = clock.seconds()
        with pytest.raises(CloudError) as told:
            preview_of(cloud)

        assert "until about 120 s from now. Try again then. Nothing was changed." in str(told.value)
        assert clock.seconds() - began < 5

    @pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
    def test_redirect(self, connect: Connect, status: str) -> None:
        """A redirect is never followed: a call fails by it and is not sent again, and a read is asked once."""

        def script(talk: Talk) -> None:
            while talk.hear() is not None:
                talk.answer(b"", status=status, head=b"Location: http://127.0.0.1:1/?Signature=x\r\n")

        with Peer(script) as peer:
            known = connect(account(peer.url))
            answer = cancel(known)
            with pytest.raises(CloudError) as told:
                preview_of(known)
            asked = len(peer.requests)

        code = f"HTTP {status[:3]}"
        assert (Outcome.FAILED, code, False, 2) == (answer.outcome, answer.code, answer.again, asked)
        assert (True, code) == (told.value.final, told.value.code)
        assert "the bot follows no redirect" in answer.message
        assert secret_free(str(told.value))

    def test_proxy_throttling_holds_too(self, connect: Connect, clock: Clock) -> None:
        """A 429 that no cloud wrote holds the next call back just as well."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(b"<html>slow down</html>", status="429 Too Many Requests", head=b"Retry-After: 9\r\n")

        clock.slept.clear()
        with Peer(script) as peer:
            known = connect(account(peer.url))
            answer = cancel(known)
        known.wait(CANCEL_JOB)

        assert (Outcome.FAILED, True) == (answer.outcome, answer.again)
        assert pytest.approx(9.0 - EARLY, abs=0.01) == sum(clock.slept)

    def test_wait_paces(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Waiting before each cancel keeps within the cloud's own count of five a second."""
        start = clock.seconds()
        for _ in range(11):
            cloud.wait(CANCEL_JOB)
            cancel(cloud)

        assert [""] * 11 == [arrival.code for arrival in simulated.arrivals]
        assert pytest.approx(10 * 1.02 / 5, abs=0.01) == clock.seconds() - start

    @pytest.mark.parametrize(
        ("action", "expected"), [(CANCEL_JOB, 10 / 5), (CANCEL_DEVICES, 10 / 10), (CANCEL_STRATEGY, 10 / 4)]
    )
    def test_each_operation_has_its_rate(
        self, connect: Connect, simulated: SimulatedCloud, clock: Clock, action: str, expected: float
    ) -> None:
        """Each cancelling operation is waited for at its own configured rate."""
        known, start = connect(account(simulated.url, qps=Qps(job=5, devices=10, strategy=4, query=9))), clock.seconds()
        for _ in range(11):
            known.wait(action)

        assert pytest.approx(expected * 1.02 - EARLY, abs=0.01) == clock.seconds() - start

    @pytest.mark.parametrize(("ahead", "calls", "expected"), [(0.0, 1, 1), (0.0, 50, 10), (60.0, 50, 70)])
    def test_estimate(
        self, connect: Connect, simulated: SimulatedCloud, ahead: float, calls: int, expected: int
    ) -> None:
        """The estimate is what waits already and the calls at the account's rate, at least a second."""
        known = connect(account(simulated.url), ahead=ahead)

        assert expected == known.estimate(a_plan(Step(action=CANCEL_JOB, job=JOB, calls=calls)))

    @pytest.mark.parametrize(("ahead", "expected"), [(0.0, 10 + 51), (30.0, 30 + 10 + 51), (100.0, 100 + 10 + 51)])
    def test_estimate_of_steps(self, connect: Connect, simulated: SimulatedCloud, ahead: float, expected: int) -> None:
        """Steps of several operations come one after the other, while the queue of the later one drains."""
        steps = [Step(action=CANCEL_JOB, job=JOB, calls=50), Step(action=CANCEL_DEVICES, job=JOB, calls=500)]

        assert expected == connect(account(simulated.url), ahead=ahead).estimate(a_plan(*steps))


# --- reading --------------------------------------------------------------------------------------------------------


class TestPreview:
    def test_counts(self, cloud: AliyunCloud, clock: Clock) -> None:
        """A preview has the job's facts, its unfinished tasks by status and how many are cancelled already."""
        before = clock.now()
        preview = preview_of(cloud)

        assert {
            Status.SCHEDULED: 0,
            Status.UNCONFIRMED: 7,
            Status.QUEUED: 40,
            Status.NOTIFIED: 12,
            Status.IN_PROGRESS: 5,
        } == preview.reading.counts
        assert (0, True) == (preview.reading.canceled, before <= preview.reading.at < clock.now())
        assert ("Spring", "IN_PROGRESS", "2.0.0", False) == (
            preview.job.name,
            preview.job.status,
            preview.job.version,
            preview.job.dynamic,
        )

    def test_changes_nothing(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Looking sends reads alone, and the job is as it was."""
        preview_of(cloud)
        recounted(cloud, None, Status.QUEUED, Status.SCHEDULED)
        cloud.verify(by_job(JOB), {})
        cloud.finished(JOB)

        assert {"QueryOTAJob", "ListOTATaskByJob"} == {arrival.action for arrival in simulated.arrivals}
        assert COUNTS == simulated.fleet.counts(JOB)

    def test_frozen(self, simulated: SimulatedCloud, cloud: AliyunCloud) -> None:
        """Named statuses are counted, and what flows into them is in the most that may be hit."""
        preview = preview_of(cloud)
        frozen = plan(account(simulated.url), (Status.QUEUED, Status.NOTIFIED), preview)

        assert (52, 59) == (preview.reading.size(frozenset(frozen.statuses)), frozen.at_most)

    def test_planned(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """All unfinished tasks of a planned job are scheduled ones, counted once."""
        simulated.fleet.add_job("planned", counts={"QUEUED": 30, "CONFIRM": 4, "FAILED": 9}, job_status="PLANNED")
        reading = preview_of(cloud, "planned").reading

        assert 34 == reading.counts[Status.SCHEDULED]
        assert 34 == reading.size(frozenset({Status.SCHEDULED}))
        assert 34 == reading.size(frozenset({Status.SCHEDULED, Status.QUEUED}))

    def test_planned_read_again(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A batch that has begun meanwhile has no scheduled tasks any more when it is read again."""
        simulated.fleet.add_job("planned", counts={"QUEUED": 30}, job_status="PLANNED")
        before = recounted(cloud, None, Status.SCHEDULED, job="planned")
        simulated.fleet.set_status("planned", "IN_PROGRESS")
        after = recounted(cloud, before, Status.SCHEDULED, job="planned")

        assert (30, 0) == (before.counts[Status.SCHEDULED], after.counts[Status.SCHEDULED])

    def test_dynamic(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A dynamic batch is told as one."""
        simulated.fleet.add_job("dynamic", selection="DYNAMIC")

        assert preview_of(cloud, "dynamic").job.dynamic

    def test_finished(self, cloud: AliyunCloud) -> None:
        """What has ended is counted by the cloud's own words."""
        assert {"SUCCEEDED": 3, "FAILED": 2, "CANCELED": 0} == cloud.finished(JOB)

    def test_number_strings(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A Total that is written as text is a number all the same."""
        simulated.faults.add("number_strings", "ListOTATaskByJob", times=None)

        assert 40 == preview_of(cloud).reading.counts[Status.QUEUED]


class TestUnknownSizes:
    def test_same_totals(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A cloud that tells the same total for every status has not filtered: every size is unknown."""
        simulated.faults.add("unfiltered", times=None)
        preview = preview_of(cloud)

        assert [None] * 4 == [preview.reading.counts[status] for status in list(Status)[1:]]
        assert (None, None) == (preview.reading.canceled, preview.reading.size(frozenset({Status.QUEUED})))
        assert plan(account(simulated.url), (Status.QUEUED,), preview).at_most is None

    def test_same_totals_of_a_planned_job(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """An unfiltered planned job's size is unknown, not a multiple of itself."""
        simulated.fleet.add_job("planned", counts={"QUEUED": 30}, job_status="PLANNED")
        simulated.faults.add("unfiltered", times=None)

        assert preview_of(cloud, "planned").reading.size(frozenset({Status.SCHEDULED})) is None

    def test_foreign_rows(self, connect: Connect) -> None:
        """A row in another status than asked shows that the cloud did not filter, whatever the totals."""
        pages = [
            {"Success": True, "Total": total, "Data": {"SimpleOTATaskInfo": [{"TaskStatus": "QUEUED"}]}}
            for total in (7, 40, 12, 5, 3)
        ]
        with Peer(says({"Success": True, "Data": {}}, *pages)) as peer:
            reading = preview_of(connect(account(peer.url))).reading

        assert ({None}, None) == ({reading.counts[status] for status in list(Status)[1:]}, reading.canceled)

    @pytest.mark.parametrize(("last", "expected"), [(7, None), (8, 7)])
    def test_same_totals_without_rows(self, connect: Connect, last: int, expected: int | None) -> None:
        """The same total for all five statuses is enough to doubt the filter; one that differs lifts the doubt."""
        pages = [{"Success": True, "Total": total, "Data": {}} for total in (7, 7, 7, 7, last)]
        with Peer(says({"Success": True, "Data": {}}, *pages)) as peer:
            reading = preview_of(connect(account(peer.url))).reading

        assert expected == reading.size(frozenset({Status.QUEUED}))

    def test_all_empty(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A job without tasks has the same total everywhere, and that is a known nothing."""
        simulated.fleet.add_job("empty")

        assert 0 == preview_of(cloud, "empty").reading.size(frozenset(Status))

    @pytest.mark.parametrize("total", [None, "", "many", -1, 1.5, True, "1e3", [], {"n": 1}, "9" * 30])
    def test_unusable_total(self, connect: Connect, total: Any) -> None:
        """A Total that is no number is an error that says so, not a size."""
        with Peer(says({"Success": True, "Data": {}}, {"Success": True, "Total": total})) as peer:
            known = connect(account(peer.url))
            with pytest.raises(CloudError, match="no usable Total"):
                preview_of(known)

    @pytest.mark.parametrize("found", [{}, {"Data": None}, {"Data": []}, {"Data": "text"}])
    def test_job_without_facts(self, connect: Connect, found: dict[str, Any]) -> None:
        """An answer about a job without its Data is an error that says so."""
        with Peer(says({"Success": True, **found})) as peer:
            known = connect(account(peer.url))
            with pytest.raises(CloudError, match="has no Data"):
                preview_of(known)

    def test_odd_facts(self, connect: Connect) -> None:
        """Facts of another type than text, and rows that are none, are left out."""
        facts = {"Success": True, "Data": {"Name": 7, "JobStatus": ["PLANNED"], "SelectionType": None}}
        page = {"Success": True, "Total": 1, "Data": {"SimpleOTATaskInfo": ["row", None]}}
        with Peer(says(facts, page, page | {"Total": 2})) as peer:
            preview = preview_of(connect(account(peer.url)))

        assert ("", "", False) == (preview.job.name, preview.job.status, preview.job.dynamic)
        assert (1, 2) == (preview.reading.counts[Status.UNCONFIRMED], preview.reading.counts[Status.QUEUED])


class TestReadFailures:
    @pytest.mark.parametrize(
        "kind", ["throttle", "http_500", "http_502_html", "system_exception", "drop_before", "truncated", "hang"]
    )
    def test_again(self, cloud: AliyunCloud, simulated: SimulatedCloud, kind: str) -> None:
        """A read that went wrong in passing is sent again, and the preview is whole."""
        simulated.faults.add(kind, "ListOTATaskByJob", times=READ_ATTEMPTS - 1)

        assert 40 == preview_of(cloud).reading.counts[Status.QUEUED]
        assert 1 + 5 + READ_ATTEMPTS - 1 == len(simulated.arrivals)

    @pytest.mark.parametrize("kind", ["throttle", "http_500", "http_502_html", "drop_before", "wrong_type", "huge"])
    def test_not_for_ever(self, cloud: AliyunCloud, simulated: SimulatedCloud, kind: str) -> None:
        """A read that keeps going wrong ends in an error for a person, without secrets."""
        simulated.faults.add(kind, times=None)
        with pytest.raises(CloudError) as raised:
            preview_of(cloud)

        assert READ_ATTEMPTS == len(simulated.arrivals)
        assert str(raised.value).endswith("Nothing was changed.")
        assert not raised.value.final
        assert secret_free(str(raised.value))

    @pytest.mark.parametrize(
        ("changes", "code", "words"),
        [
            ({"key_secret": Secret("wrong")}, "SignatureDoesNotMatch", "string to sign ***"),
            ({"key_id": Secret("LTAInobody")}, "InvalidAccessKeyId.NotFound", "not found"),
            ({"instance": "iot-foreign"}, "iot.system.InstanceNotFound", "instance is not found"),
            ({"security_token": Secret(TOKEN)}, "InvalidSecurityToken.MismatchWithAccessKey", "mismatch"),
        ],
    )
    def test_fatal(
        self, connect: Connect, simulated: SimulatedCloud, changes: dict[str, Any], code: str, words: str
    ) -> None:
        """A refusal that will not change is told at once, in the cloud's words, without secrets."""
        with pytest.raises(CloudError) as raised:
            preview_of(connect(account(simulated.url, **changes)))
        error = raised.value

        assert (code, True, 1) == (error.code, error.final, len(simulated.arrivals))
        assert simulated.arrivals[0].request_id == error.request_id
        assert code in str(error)
        assert words in str(error)
        assert secret_free(str(error))
        assert "AccessKeyId=" not in str(error)
        assert ".." not in str(error)

    def test_unknown_job(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A job that the cloud does not know is told by its own words, after one question."""
        with pytest.raises(CloudError, match="The specified job does not exist") as raised:
            preview_of(cloud, "nosuchjob")

        assert ("iot.ota.JobNotFound", True, 1) == (raised.value.code, raised.value.final, len(simulated.arrivals))

    def test_refused_connection(self, connect: Connect) -> None:
        """A cloud that is not there is told so, without its address and signature."""
        with nobody() as url, pytest.raises(CloudError, match="no connection could be made") as raised:
            preview_of(connect(account(url)))

        assert "127.0.0.1" not in str(raised.value)

    def test_paced(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Reads keep to the rate of their operation, also those that are sent again."""
        start = clock.seconds()
        for _ in range(5):
            preview_of(cloud)

        assert {""} == {arrival.code for arrival in simulated.arrivals}
        assert pytest.approx(24 * 1.02 / 10, abs=0.01) == clock.seconds() - start


# --- trying the credentials -----------------------------------------------------------------------------------------


class TestProbe:
    """The server's Date header is the machine's real time, so here the account's clock is real too."""

    @pytest.fixture
    def real(self, slots: Slots, clock: Clock) -> Iterator[Callable[..., tuple[str, ...]]]:
        """Return a maker of probes."""
        with SimulatedCloud(keys={KEY_ID: KEY_SECRET}) as simulated:
            http = Http(clock=time.monotonic, sessions=hasty_session)
            numbers = count(1)
            throttle = Throttle(reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep)

            def probe(*, off: float = 0.0, fault: str = "", **changes: Any) -> tuple[str, ...]:
                if fault:
                    simulated.faults.add(fault)
                known = AliyunCloud(
                    account(simulated.url, **changes),
                    http=http,
                    throttle=throttle,
                    now=lambda: simulated.fleet._now() + timedelta(seconds=off),
                    nonce=lambda: f"nonce-{next(numbers)}",
                    ahead=lambda _quota, _operation: 0.0,
                )
                found = known.probe()
                assert {"QueryOTAJob"} == {arrival.action for arrival in simulated.arrivals}
                assert secret_free(" ".join(found))
                return found

            yield probe
            http.close()

    def test_good(self, real: Callable[..., tuple[str, ...]]) -> None:
        """Good credentials and a good clock: no problem, although the job does not exist."""
        assert () == real()

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"key_secret": Secret("wrong")}, "refuses the key or the instance: SignatureDoesNotMatch"),
            ({"key_id": Secret("LTAInobody")}, "refuses the key or the instance: InvalidAccessKeyId.NotFound"),
            ({"instance": "iot-foreign"}, "iot.system.InstanceNotFound The instance is not found."),
            ({"security_token": Secret(TOKEN)}, "InvalidSecurityToken.MismatchWithAccessKey"),
            ({"fault": "http_502_html"}, "gave no usable answer"),
            ({"fault": "drop_before"}, "gave no usable answer"),
            ({"fault": "system_exception"}, "gave no usable answer: A system exception occurred."),
        ],
    )
    def test_bad(self, real: Callable[..., tuple[str, ...]], changes: dict[str, Any], expected: str) -> None:
        """What is wrong is one problem, in the cloud's words, naming the endpoint."""
        (problem,) = real(**changes)

        assert expected in problem
        assert problem.startswith("http://127.0.0.1:")

    @pytest.mark.parametrize(("off", "expected"), [(120.0, "+1"), (-120.0, "-1")])
    def test_skewed(self, real: Callable[..., tuple[str, ...]], off: float, expected: str) -> None:
        """A clock that is minutes off is told, with the side on which it is off, before the cloud refuses it."""
        (problem,) = real(off=off)

        assert f"this machine's clock is {expected}" in problem

    def test_far_off(self, real: Callable[..., tuple[str, ...]]) -> None:
        """A clock that the cloud refuses is told twice: the cloud's refusal, and by how much it is off."""
        refusal, skew = real(off=-3600.0)

        assert "InvalidTimeStamp.Expired" in refusal
        assert "-3" in skew

    def test_nobody_there(self, connect: Connect) -> None:
        """An endpoint where nobody listens is a problem, and no guess about the clock is made."""
        with nobody() as url:
            (problem,) = connect(account(url)).probe()

        assert "no connection could be made" in problem

    @pytest.mark.parametrize("date", [b"", b"Date: yesterday\r\n", b"Date: \xff\r\n"])
    def test_no_date(self, connect: Connect, date: bytes) -> None:
        """An answer without a usable date says nothing about the clock."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(b'{"Success":true}', head=date)

        with Peer(script) as peer:
            assert () == connect(account(peer.url)).probe()


def test_nothing_raises_from_send(connect: Connect) -> None:
    """Whatever bytes come back for a cancel, sending gives an answer and asks once."""
    bodies = [b"", b"\x00", b"{", b"[]", b'"text"', b"NaN", b'{"Success":{}}', b'{"Success":"false"}', b"\xff" * 99]
    found: list[Answer] = []
    for body in bodies:

        def script(talk: Talk, body: bytes = body) -> None:
            talk.hear()
            talk.answer(body)

        with Peer(script) as peer:
            found.append(cancel(connect(account(peer.url))))
            assert 1 == len(peer.requests)

    assert [Outcome.UNKNOWN] * 7 + [Outcome.FAILED, Outcome.UNKNOWN] == [answer.outcome for answer in found]
