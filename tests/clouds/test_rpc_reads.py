"""What the RPC clouds are asked before, within and after a run: jobs, firmwares, strategies and single devices."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.http import Http
from bot.clouds.rpc_cloud import FEW_JOBS
from bot.clouds.rpc_line import MOST_PAGES
from bot.clouds.shared import LOOK, MOST_JOBS
from bot.clouds.throttle import Throttle
from bot.domain.account import Account, Qps
from bot.domain.errors import CloudError
from bot.domain.offer import CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY
from bot.domain.order import CancelDevices, CancelStrategy
from bot.domain.plan import Look, Plan, Step, freeze
from bot.domain.reading import Named, Reading
from bot.domain.status import FLOW, Status
from bot.playground.cloud.aliyun_cloud import AliyunCloud as SimulatedCloud
from tests.clouds.stand_ins import (
    KEY_ID,
    KEY_SECRET,
    Clock,
    Peer,
    a_plan,
    account,
    answering,
    by_job,
    hasty_session,
    rpc_cloud,
    sent,
    unpaced,
)

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5, "SUCCEEDED": 3, "FAILED": 2}
PRODUCT: Final = "a1V4kdeABCD"
FIRMWARE: Final = "T0F5b5tpFnHQrgfk030100"
SLOW: Final = Qps(job=5, devices=10, strategy=10, query=2)
"""A rate at which a look may spend 20 lists of tasks."""
UNREAD: Final = Reading(at=datetime(2026, 1, 1, tzinfo=UTC), counts=dict.fromkeys(Status, 99), canceled=9)

Connect = Callable[..., AliyunCloud]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[SimulatedCloud]:
    with SimulatedCloud(keys={KEY_ID: KEY_SECRET}, limits={}, now=clock.now, clock=clock.seconds) as cloud:
        yield cloud


@pytest.fixture
def simulated(running: SimulatedCloud, clock: Clock) -> SimulatedCloud:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    clock.turn(1)
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring")
    return running


@pytest.fixture
def connect(clock: Clock) -> Iterator[Connect]:
    """Return a maker of clouds that hold nobody back."""
    http = Http(clock=time.monotonic, sessions=hasty_session)

    def made(known: Account) -> AliyunCloud:
        return rpc_cloud(AliyunCloud, known, http=http, throttle=unpaced(clock), clock=clock)

    yield made
    http.close()


@pytest.fixture
def cloud(connect: Connect, simulated: SimulatedCloud) -> AliyunCloud:
    return connect(account(simulated.url))


def asked(simulated: SimulatedCloud) -> Counter[str]:
    """Count the calls that came in by operation, and forget them."""
    found = Counter(arrival.action for arrival in simulated.arrivals)
    simulated.arrivals.clear()
    return found


def devices(simulated: SimulatedCloud, **each: int) -> tuple[str, ...]:
    """Name some devices in each of the cloud's statuses, sorted."""
    return tuple(sorted(name for word, n in each.items() for name in simulated.fleet.devices(JOB, word)[:n]))


def look_at(cloud: AliyunCloud, names: tuple[str, ...], **where: str) -> Look:
    return cloud.look(CancelDevices(names=names, **(where or {"job": JOB})), names)  # type: ignore[arg-type]


def of_devices(cloud: AliyunCloud, names: tuple[str, ...], **where: str) -> tuple[Plan, Look]:
    """Look at devices and freeze the plan."""
    order = CancelDevices(names=names, **(where or {"job": JOB}))  # type: ignore[arg-type]
    look = cloud.look(order, names)
    return freeze(order, look.preview, account(), look.names), look


def strategy(*statuses: Status) -> Plan:
    """Return the plan of a strategy, and then of its waiting tasks where statuses are named."""
    steps = (Step(action=CANCEL_STRATEGY, job=JOB), Step(action=CANCEL_JOB, job=JOB))
    return a_plan(*steps[: 2 if statuses else 1], statuses=statuses)


# --- a job, again -------------------------------------------------------------------------------------------------


class TestRecount:
    @pytest.mark.parametrize(
        ("statuses", "calls"),
        [
            ((Status.QUEUED,), {"ListOTATaskByJob": 1}),
            ((Status.QUEUED, Status.NOTIFIED), {"ListOTATaskByJob": 2}),
            (FLOW, {"ListOTATaskByJob": 4}),
            ((Status.SCHEDULED,), {"QueryOTAJob": 1}),
            ((Status.SCHEDULED, Status.QUEUED), {"QueryOTAJob": 1, "ListOTATaskByJob": 1}),
        ],
    )
    def test_only_the_named(
        self,
        cloud: AliyunCloud,
        simulated: SimulatedCloud,
        clock: Clock,
        statuses: tuple[Status, ...],
        calls: dict[str, int],
    ) -> None:
        """Only the named statuses are counted again, each by one list; everything else stays as it was seen before."""
        reading = cloud.recount(by_job(JOB, *statuses), {}, UNREAD)
        now = {Status.SCHEDULED: 0, Status.UNCONFIRMED: 7, Status.QUEUED: 40, Status.NOTIFIED: 12}
        now[Status.IN_PROGRESS] = 5

        assert calls == asked(simulated)
        assert {status: now[status] if status in statuses else 99 for status in Status} == reading.counts
        assert (clock.now(), 9) == (reading.at, reading.canceled)

    def test_scheduled(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """All unfinished tasks of a batch that is still planned are counted again for `scheduled`."""
        simulated.fleet.set_status(JOB, "PLANNED")
        reading = cloud.recount(by_job(JOB, Status.SCHEDULED), {}, UNREAD)

        assert (64, "PLANNED") == (reading.counts[Status.SCHEDULED], reading.batch)
        assert {"QueryOTAJob": 1, "ListOTATaskByJob": 4} == asked(simulated)

    def test_without_an_earlier_reading(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Without an earlier reading all statuses and the cancelled ones are counted: the base of a verification."""
        reading = cloud.recount(by_job(JOB), {}, None)

        assert (40, 7, 0, 0) == (
            reading.counts[Status.QUEUED],
            reading.counts[Status.UNCONFIRMED],
            reading.counts[Status.SCHEDULED],
            reading.canceled,
        )
        assert {"ListOTATaskByJob": 5} == asked(simulated)

    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [((Status.QUEUED,), 40), ((Status.QUEUED, Status.NOTIFIED), 80), (FLOW[:3], None)],
    )
    def test_same_totals(self, connect: Connect, statuses: tuple[Status, ...], expected: int | None) -> None:
        """Two statuses may have the same total by chance; three that have are taken for a cloud that did not filter."""
        with Peer(answering(lambda _: {"Success": True, "Total": 40, "Data": {}})) as peer:
            reading = connect(account(peer.url)).recount(by_job(JOB, *statuses), {}, UNREAD)

        assert expected == reading.size(frozenset(statuses))

    def test_foreign_row(self, connect: Connect) -> None:
        """A row in another status than the one that was asked makes the count unknown, also of a single status."""
        page = {"Success": True, "Total": 40, "Data": {"SimpleOTATaskInfo": [{"TaskStatus": "IN_PROGRESS"}]}}
        with Peer(answering(lambda _: page)) as peer:
            reading = connect(account(peer.url)).recount(by_job(JOB), {}, UNREAD)

        assert (None, 99) == (reading.counts[Status.QUEUED], reading.counts[Status.NOTIFIED])

    def test_the_list_that_counts(self, connect: Connect) -> None:
        """A count is the Total of a list of the job's tasks in one status, of which one row is fetched."""
        with Peer(answering(lambda _: {"Success": True, "Total": 1, "Data": {}})) as peer:
            connect(account(peer.url)).recount(by_job(JOB), {}, UNREAD)
        (found,) = sent(peer)

        assert {"JobId": JOB, "TaskStatus": "QUEUED", "CurrentPage": "1", "PageSize": "1"} == {
            name: found[name] for name in ("JobId", "TaskStatus", "CurrentPage", "PageSize")
        }


class TestVerify:
    def test_everything(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A verification counts all seven statuses, those that ended by the cloud's own words."""
        simulated.fleet.cancel(JOB, statuses={"QUEUED"})
        reading = cloud.verify(by_job(JOB), {})

        assert (0, 12, 40) == (reading.counts[Status.QUEUED], reading.counts[Status.NOTIFIED], reading.canceled)
        assert {"SUCCEEDED": 3, "FAILED": 2} == reading.finished
        assert {"ListOTATaskByJob": 7} == asked(simulated)

    def test_scheduled(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Of a scheduled batch it is asked whether it still waits."""
        simulated.fleet.set_status(JOB, "PLANNED")
        reading = cloud.verify(by_job(JOB, Status.SCHEDULED), {})

        assert (64, "PLANNED") == (reading.counts[Status.SCHEDULED], reading.batch)

    def test_patient(self, simulated: SimulatedCloud, clock: Clock) -> None:
        """Every read of a verification lets more urgent calls go first, and no other read does."""
        waits: list[tuple[str, bool]] = []

        class Noting(Throttle):
            def wait(self, _quota: str, operation: str, _qps: float, *, patient: bool = False) -> None:
                """Note what waits."""
                waits.append((operation, patient))

        http = Http(clock=time.monotonic, sessions=hasty_session)
        noting = Noting(reserve=lambda *_: 0.0, push=lambda *_: None, now=clock.seconds, sleep=clock.sleep)
        known = rpc_cloud(AliyunCloud, account(simulated.url), http=http, throttle=noting, clock=clock)
        names = devices(simulated, QUEUED=1)
        of_names, _ = of_devices(known, names)
        known.recount(by_job(JOB), {}, None)
        hurried = {patient for _, patient in waits}
        waits.clear()
        known.verify(strategy(Status.QUEUED), {})
        known.verify(of_names, {JOB: names})
        http.close()

        assert ({False}, {True}) == (hurried, {patient for _, patient in waits})
        assert {"QueryOTAJob", "ListOTATaskByJob"} == {operation for operation, _ in waits}


class TestStrategy:
    def test_look(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A strategy is looked at like a job: its facts, its JobStatus and its tasks, though none of them is hit."""
        look = cloud.look(CancelStrategy(job=JOB), ())

        assert ("Spring", "IN_PROGRESS", 40) == (
            look.preview.job.name,
            look.preview.reading.batch,
            look.preview.reading.counts[Status.QUEUED],
        )
        assert {"QueryOTAJob": 1, "ListOTATaskByJob": 5} == asked(simulated)

    @pytest.mark.parametrize(("statuses", "lists"), [((), 0), ((Status.QUEUED,), 1)])
    def test_recount(
        self, cloud: AliyunCloud, simulated: SimulatedCloud, statuses: tuple[Status, ...], lists: int
    ) -> None:
        """Before it is stopped its JobStatus is read again, and its tasks where their statuses are named."""
        reading = cloud.recount(strategy(*statuses), {}, UNREAD)

        assert "IN_PROGRESS" == reading.batch
        assert +Counter({"QueryOTAJob": 1, "ListOTATaskByJob": lists}) == asked(simulated)

    def test_verify(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A stopped strategy shows as a cancelled batch."""
        simulated.fleet.set_status(JOB, "CANCELED")

        assert "CANCELED" == cloud.verify(strategy(), {}).batch

    def test_still(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Whether the strategy's call is still to be done shows its JobStatus; of the tasks' call, their counts."""
        plan = strategy(Status.QUEUED)
        first, second = (cloud.still(plan, plan.call(number), ()) for number in (1, 2))

        assert (((), "IN_PROGRESS"), ((), 40)) == (
            (first[0], first[1].batch),
            (second[0], second[1].size(frozenset({Status.QUEUED}))),
        )
        assert {"QueryOTAJob": 1, "ListOTATaskByJob": 1} == asked(simulated)


# --- devices --------------------------------------------------------------------------------------------------------


class TestDevices:
    def test_look(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Each named device is seen with its task; those without an unfinished one are counted and not sent."""
        simulated.fleet.add_tasks(JOB, "CANCELED", 4)
        live = devices(simulated, CONFIRM=1, QUEUED=3, NOTIFIED=2, IN_PROGRESS=1)
        over = (*devices(simulated, SUCCEEDED=2, FAILED=1, CANCELED=4), "nobody-1")
        look = look_at(cloud, tuple(sorted((*live, *over))))

        assert {JOB: live} == look.names
        assert (
            Named(
                counts={Status.UNCONFIRMED: 1, Status.QUEUED: 3, Status.NOTIFIED: 2, Status.IN_PROGRESS: 1},
                canceled=4,
                ended=3,
                absent=1,
            )
            == look.preview.reading.named
        )
        assert (40, 4, "IN_PROGRESS") == (
            look.preview.reading.counts[Status.QUEUED],
            look.preview.reading.canceled,
            look.preview.reading.batch,
        )

    def test_product_and_firmware(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Where the job alone is named its product and firmware come from the cloud: the plan's step needs both."""
        plan, _ = of_devices(cloud, devices(simulated, QUEUED=3))
        (step,) = plan.steps

        assert (CANCEL_DEVICES, JOB, PRODUCT, FIRMWARE, 3) == (
            step.action,
            step.job,
            step.product,
            step.firmware,
            step.count,
        )

    def test_cancels_them(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """What was looked at, planned and sent is cancelled, no other device is, and the verification sees it."""
        names = devices(simulated, QUEUED=3, IN_PROGRESS=1)
        plan, look = of_devices(cloud, names)
        before = cloud.recount(plan, look.names, None)
        cloud.send(plan, plan.call(1), names, 1)
        after = cloud.verify(plan, look.names)

        assert dict.fromkeys(names, 1) == simulated.fleet.canceled(JOB)
        assert (4, 4, 0) == (
            after.cancelled_since(before),
            after.named and after.named.canceled,
            after.size(frozenset(plan.statuses)),
        )

    @pytest.mark.parametrize("missing", ["ProductKey", "FirmwareId"])
    def test_unknown_product(self, connect: Connect, missing: str) -> None:
        """A cloud that does not tell a job's product or firmware is told so: such a job cannot be cancelled by name."""
        facts = {"JobStatus": "IN_PROGRESS", "ProductKey": "P", "FirmwareId": "F"}
        facts.pop(missing)
        with Peer(answering(lambda _: {"Success": True, "Data": facts})) as peer:
            known = connect(account(peer.url))
            with pytest.raises(CloudError, match="does not tell of which product and firmware job") as raised:
                look_at(known, ("a",))

        assert raised.value.final

    def test_fifty_at_a_time(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Devices are listed by fifty, without a status, in a page that would hold all of them twice."""
        simulated.fleet.add_tasks(JOB, "QUEUED", 120)
        look_at(cloud, devices(simulated, QUEUED=120))
        lists = [one.params for one in simulated.arrivals if "DeviceNames.1" in one.params]

        assert [50, 50, 20] == [sum(name.startswith("DeviceNames.") for name in one) for one in lists]
        assert [("1", "100", False)] * 3 == [
            (one["CurrentPage"], one["PageSize"], "TaskStatus" in one) for one in lists
        ]

    def test_as_far_as_it_is_cheap(self, connect: Connect, simulated: SimulatedCloud) -> None:
        """A look spends ten seconds of the query rate; devices beyond that are unlooked, and are sent all the same."""
        known = connect(account(simulated.url, qps=SLOW))
        names = tuple(sorted(simulated.fleet.add_tasks(JOB, "QUEUED", 1000)))
        look = look_at(known, names)
        seen = (int(SLOW.query * LOOK) - 5) * 50

        assert {"QueryOTAJob": 1, "ListOTATaskByJob": SLOW.query * LOOK} == asked(simulated)
        assert Named(counts={Status.QUEUED: seen}, unlooked=1000 - seen) == look.preview.reading.named
        assert {JOB: names} == look.names
        assert 1000 == look.preview.reading.size(frozenset(FLOW))

    def test_slow_cloud(self, connect: Connect, clock: Clock) -> None:
        """However slow the cloud, a look at 20,000 devices is over in ten seconds; the rest is sent unlooked."""
        names = tuple(f"d{number:05}" for number in range(20_000))

        def answer(given: dict[str, str]) -> Mapping[str, Any]:
            clock.turn(1.0)
            if given["Action"] == "QueryOTAJob":
                return {"Success": True, "Data": {"JobStatus": "IN_PROGRESS", "ProductKey": "P", "FirmwareId": "F"}}
            return {"Success": True, "Total": 0, "Data": {}}

        with Peer(answering(answer)) as peer:
            began = clock.now()
            look = look_at(connect(account(peer.url)), names)
            took = (clock.now() - began).total_seconds()

        assert Named(counts={}, absent=450, unlooked=19_550) == look.preview.reading.named
        assert ({JOB: names[450:]}, 1 + 9 + 5) == (look.names, took)

    def test_slowest(self, connect: Connect, simulated: SimulatedCloud) -> None:
        """However slow the rate, fifty devices are looked at."""
        known = connect(account(simulated.url, qps=replace(SLOW, query=0.1)))

        assert {Status.QUEUED: 40} == look_at(known, devices(simulated, QUEUED=40)).preview.reading.named.counts  # type: ignore[union-attr]

    def test_several_tasks(self, connect: Connect) -> None:
        """Of several tasks of one device the unfinished one counts, the furthest of them; then a cancelled one."""
        tasks = [
            ("a", "FAILED"),
            ("a", "QUEUED"),
            ("b", "NOTIFIED"),
            ("b", "QUEUED"),
            ("c", "CANCELED"),
            ("c", "FAILED"),
        ]
        with Peer(listing(tasks)) as peer:
            look = look_at(connect(account(peer.url)), ("a", "b", "c"))

        assert Named(counts={Status.QUEUED: 1, Status.NOTIFIED: 1}, canceled=1) == look.preview.reading.named
        assert {JOB: ("a", "b")} == look.names

    @pytest.mark.parametrize(
        ("tasks", "total"),
        [
            pytest.param([("a", "QUEUED"), ("other", "QUEUED")], 2, id="rows of others"),
            pytest.param([("a", "QUEUED"), ("c", "FAILED")], 3, id="more than rows"),
            pytest.param([("a", "QUEUED"), ("b", "ASLEEP"), ("c", "")], 3, id="unknown words"),
        ],
    )
    def test_not_told(self, connect: Connect, tasks: list[tuple[str, str]], total: int) -> None:
        """Devices of which the answer does not tell for certain count as not looked at, and are sent."""
        with Peer(listing(tasks, total)) as peer:
            look = look_at(connect(account(peer.url)), ("a", "b", "c"))

        assert Named(counts={Status.QUEUED: 1}, unlooked=2) == look.preview.reading.named
        assert {JOB: ("a", "b", "c")} == look.names

    def test_recount(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Before the start the plan's devices are looked at again, and nothing else is read."""
        names = devices(simulated, QUEUED=40, NOTIFIED=12)
        plan, look = of_devices(cloud, names)
        simulated.fleet.cancel(JOB, statuses={"NOTIFIED"})
        asked(simulated)
        reading = cloud.recount(plan, look.names, look.preview.reading)

        assert {"ListOTATaskByJob": 2} == asked(simulated)
        assert Named(counts={Status.QUEUED: 40}, canceled=12) == reading.named
        assert replace(look.preview.reading, at=clock.now(), named=reading.named) == reading

    def test_recount_of_many(self, connect: Connect, simulated: SimulatedCloud) -> None:
        """Where not all can be looked at again the job's statuses are counted too: they bound what is hit."""
        known = connect(account(simulated.url, qps=SLOW))
        names = tuple(sorted(simulated.fleet.add_tasks(JOB, "QUEUED", 1100)))
        plan, look = of_devices(known, names)
        simulated.fleet.cancel(JOB, statuses={"NOTIFIED", "IN_PROGRESS", "CONFIRM"})
        asked(simulated)
        reading = known.recount(plan, look.names, look.preview.reading)

        assert {"ListOTATaskByJob": 4 + 15} == asked(simulated)
        assert (1140, 0, 350) == (
            reading.counts[Status.QUEUED],
            reading.counts[Status.NOTIFIED],
            reading.named and reading.named.unlooked,
        )

    def test_verify_of_many(self, connect: Connect, simulated: SimulatedCloud) -> None:
        """A list too long to be looked at one by one is verified by the job's totals."""
        known = connect(account(simulated.url, qps=SLOW))
        names = tuple(sorted(simulated.fleet.add_tasks(JOB, "QUEUED", 1001)))
        plan, look = of_devices(known, names)
        simulated.fleet.cancel(JOB, statuses={"QUEUED"}, names=names)
        asked(simulated)
        reading = known.verify(plan, look.names)

        assert {"ListOTATaskByJob": 7} == asked(simulated)
        assert (Named(counts={}, unlooked=1001), 1001) == (
            reading.named,
            reading.cancelled_since(look.preview.reading),
        )

    def test_still(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A call that may have been done is settled by looking at its own devices, all of them."""
        names = tuple(sorted(simulated.fleet.add_tasks(JOB, "QUEUED", 200)))
        plan, _ = of_devices(cloud, names)
        simulated.fleet.cancel(JOB, statuses={"QUEUED"}, names=names[:150])
        asked(simulated)
        still, reading = cloud.still(plan, plan.call(1), names)

        assert {"ListOTATaskByJob": 4} == asked(simulated)
        assert (names[150:], Named(counts={Status.QUEUED: 50}, canceled=150)) == (still, reading.named)
        assert 50 == reading.size(frozenset(plan.statuses))


def listing(tasks: list[tuple[str, str]], total: int | None = None) -> Any:
    """Answer for one job: its facts, no totals, and these rows of devices."""

    def answer(given: dict[str, str]) -> Mapping[str, Any]:
        if given["Action"] == "QueryOTAJob":
            return {"Success": True, "Data": {"JobStatus": "IN_PROGRESS", "ProductKey": "P", "FirmwareId": "F"}}
        if "TaskStatus" in given:
            return {"Success": True, "Total": 0, "Data": {}}
        found = [{"DeviceName": name, "TaskStatus": word} for name, word in tasks]
        said = {} if total is None else {"Total": total}
        return {"Success": True, "Data": {"SimpleOTATaskInfo": found}, **said}

    return answering(answer)


# --- firmwares and running batches ----------------------------------------------------------------------------------


class TestFirmware:
    WHERE: Final = {"product": PRODUCT, "firmware": FIRMWARE}

    def test_unfinished_jobs(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """A firmware's unfinished jobs of the product are hit, the newest first; finished ones and others' are not."""
        for job, status, product in [
            ("planned", "PLANNED", PRODUCT),
            ("completed", "COMPLETED", PRODUCT),
            ("complete", "COMPLETE", PRODUCT),
            ("canceled", "CANCELED", PRODUCT),
            ("foreign", "IN_PROGRESS", "aOther"),
            ("newest", "IN_PROGRESS", PRODUCT),
        ]:
            clock.turn(60)
            simulated.fleet.add_job(job, counts={"QUEUED": 2}, job_status=status, product_key=product)
        look = look_at(cloud, ("device-000001",), **self.WHERE)

        assert ["newest", "planned", JOB] == [job.id for job in look.preview.jobs]
        assert {(PRODUCT, FIRMWARE)} == {(job.product, job.firmware) for job in look.preview.jobs}
        assert {"newest", "planned", JOB} == set(look.names)

    def test_together(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """Several jobs are summed up; a device without a task in any of them is absent once."""
        simulated.fleet.add_job("second", counts={"QUEUED": 2, "NOTIFIED": 1}, device_prefix="device")
        names = ("device-000001", "device-000003", "device-000050", "nobody")
        look = look_at(cloud, names, **self.WHERE)

        assert {"second": names[:2], JOB: names[:3]} == look.names
        assert (
            Named(counts={Status.UNCONFIRMED: 2, Status.QUEUED: 1, Status.NOTIFIED: 2}, absent=1)
            == look.preview.reading.named
        )
        assert (42, 13) == tuple(look.preview.reading.counts[status] for status in (Status.QUEUED, Status.NOTIFIED))

    def test_only_what_is_sent_to_is_counted(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A job in which no named device can be hit gets no call, and its tasks bound nothing."""
        simulated.fleet.add_job("second", counts={"QUEUED": 2}, device_prefix="other")
        plan, look = of_devices(cloud, devices(simulated, QUEUED=2), **self.WHERE)

        assert ([JOB], 40) == ([step.job for step in plan.steps], look.preview.reading.counts[Status.QUEUED])

    def test_many_jobs(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """More than a few jobs are not counted by status: the devices that were seen tell how many are hit."""
        for number in range(FEW_JOBS):
            simulated.fleet.add_job(f"more-{number}", counts={"QUEUED": 2})
        look = look_at(cloud, ("device-000001",), **self.WHERE)

        assert ({None}, None) == (set(look.preview.reading.counts.values()), look.preview.reading.canceled)
        assert FEW_JOBS + 1 == look.preview.reading.size(frozenset(FLOW))
        assert {"ListOTAJobByFirmware": 1, "ListOTATaskByJob": FEW_JOBS + 1} == asked(simulated)

    def test_many_jobs_again(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """The same holds when they are looked at again, and when they are verified."""
        for number in range(FEW_JOBS):
            simulated.fleet.add_job(f"more-{number}", counts={"QUEUED": 2})
        plan, look = of_devices(cloud, ("device-000001",), **self.WHERE)
        again = [cloud.recount(plan, look.names, before) for before in (None, look.preview.reading)]
        after = cloud.verify(plan, look.names)

        assert [FEW_JOBS + 1] * 3 == [reading.size(frozenset(plan.statuses)) for reading in (*again, after)]

    def test_budget_is_shared(self, connect: Connect, simulated: SimulatedCloud, clock: Clock) -> None:
        """All jobs of a look share its ten seconds: what the newest ones use the older ones lack."""
        clock.turn(60)
        simulated.fleet.add_job("second", counts={"QUEUED": 600}, device_prefix="pump")
        names = tuple(f"pump-{number:06d}" for number in range(1, 601))
        look = look_at(connect(account(simulated.url, qps=SLOW)), names, **self.WHERE)

        assert Named(counts={Status.QUEUED: 500}, unlooked=100 + 600) == look.preview.reading.named

    def test_wrong_product(self, cloud: AliyunCloud) -> None:
        """A product that the firmware is not for is told, with the one that it is for."""
        with pytest.raises(CloudError, match=f"is for product {PRODUCT}, not for aOther") as raised:
            look_at(cloud, ("a",), product="aOther", firmware=FIRMWARE)

        assert raised.value.final

    def test_nothing_unfinished(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """A firmware whose jobs are all over is told so."""
        simulated.fleet.set_status(JOB, "COMPLETED")
        with pytest.raises(CloudError, match="has no unfinished job of product") as raised:
            look_at(cloud, ("a",), **self.WHERE)

        assert raised.value.final

    def test_all_pages(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Jobs are read page by page, 200 in one, to the end."""
        for number in range(400):
            simulated.fleet.add_job(f"job-{number:03d}", job_status="COMPLETED")
        clock.turn(60)
        look = look_at(cloud, ("device-000001",), **self.WHERE)
        pages = [one.params for one in simulated.arrivals if one.action == "ListOTAJobByFirmware"]

        assert [JOB] == [job.id for job in look.preview.jobs]
        assert [("1", "200"), ("2", "200"), ("3", "200")] == [(one["CurrentPage"], one["PageSize"]) for one in pages]

    @pytest.mark.parametrize(("total", "pages"), [({}, MOST_PAGES), ({"Total": 10**9}, MOST_PAGES), ({"Total": 1}, 1)])
    def test_endless_list(self, connect: Connect, total: dict[str, int], pages: int) -> None:
        """A list without an end, or with a wrong Total, is not read for ever."""
        row = {"JobId": JOB, "JobStatus": "COMPLETED", "ProductKey": PRODUCT}
        page = {"Success": True, "Data": {"SimpleOTAJobInfo": [row]}, **total}
        with Peer(answering(lambda _: page)) as peer:
            known = connect(account(peer.url))
            with pytest.raises(CloudError, match="no unfinished job"):
                look_at(known, ("a",), **self.WHERE)

        assert pages == len(peer.requests)


class TestJobs:
    def test_running(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """The unfinished jobs of all firmwares are shown with facts and counts, the newest first."""
        for number, status in enumerate(["PLANNED", "COMPLETED", "CANCELED", "IN_PROGRESS"]):
            clock.turn(60)
            simulated.fleet.add_job(
                f"job-{number}",
                name=f"N{number}",
                counts={"QUEUED": number},
                job_status=status,
                firmware_id=f"F{number}",
            )
        shown, more, unlooked = cloud.jobs()

        assert ([("job-3", "N3", 3), ("job-0", "N0", 0), (JOB, "Spring", 40)], 0) == (
            [(one.job.id, one.job.name, one.reading.counts[Status.QUEUED]) for one in shown],
            more + unlooked,
        )

    def test_none(self, cloud: AliyunCloud, simulated: SimulatedCloud) -> None:
        """An account without firmwares has no running batches."""
        simulated.fleet.clear()

        assert ([], 0, 0) == cloud.jobs()

    @pytest.mark.parametrize(("qps", "shown"), [(10.0, MOST_JOBS), (2.0, 4), (0.1, 1)])
    def test_most(self, connect: Connect, simulated: SimulatedCloud, qps: float, shown: int) -> None:
        """As many are counted as ten seconds of the query rate allow, at most ten; the others are a number."""
        for number in range(20):
            simulated.fleet.add_job(f"job-{number:02d}", counts={"QUEUED": 1})
        found, more, _ = connect(account(simulated.url, qps=replace(SLOW, query=qps))).jobs()

        assert (shown, 21 - shown) == (len(found), more)
        assert {"ListOTAFirmware": 1, "ListOTAJobByFirmware": 1} | {
            "QueryOTAJob": shown,
            "ListOTATaskByJob": 5 * shown,
        } == asked(simulated)

    def test_pages_of_firmwares(self, cloud: AliyunCloud, simulated: SimulatedCloud, clock: Clock) -> None:
        """Firmwares are read page by page, 100 in one, and the newest one's jobs 200 in one; the others are told."""
        for number in range(150):
            simulated.fleet.add_job(f"job-{number:03d}", firmware_id=f"F{number}", job_status="COMPLETED")
        clock.turn(60)
        simulated.fleet.add_job("newest", firmware_id="newest")
        shown, more, unlooked = cloud.jobs()
        lists = {one.action: one.params["PageSize"] for one in simulated.arrivals if "Firmware" in one.action}

        assert {"ListOTAFirmware": "100", "ListOTAJobByFirmware": "200"} == lists
        assert ("newest", 0, 52) == (shown[0].job.id, more, unlooked)
        assert {"ListOTAFirmware": 2, "ListOTAJobByFirmware": 100} == {
            action: count for action, count in asked(simulated).items() if "Firmware" in action
        }

    def test_slow_cloud(self, connect: Connect, clock: Clock) -> None:
        """However slow the cloud, ten seconds go to finding batches; how many firmwares were not looked at is told."""
        firmwares = [{"FirmwareId": f"F{number}"} for number in range(30)]
        job = {"JobId": JOB, "JobStatus": "IN_PROGRESS", "ProductKey": "P", "FirmwareId": "F"}

        def answer(given: dict[str, str]) -> Mapping[str, Any]:
            clock.turn(1.0)
            says: dict[str, Any] = {
                "ListOTAFirmware": {"FirmwareInfo": {"SimpleFirmwareInfo": firmwares}, "Total": 30},
                "ListOTAJobByFirmware": {"Data": {"SimpleOTAJobInfo": [job]}, "Total": 1},
                "QueryOTAJob": {"Data": job},
            }
            return {"Success": True, "Total": 0, "Data": {}, **says.get(given["Action"], {})}

        with Peer(answering(answer)) as peer:
            shown, more, unlooked = connect(account(peer.url)).jobs()

        assert ([JOB], 0, 19) == ([one.job.id for one in shown], more, unlooked)
