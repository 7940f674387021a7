"""EnOS over real HTTP: what is read of a job, which devices are sent, and how every answer to a cancel reads."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from bot.clouds.enos import EnosCloud
from bot.clouds.enos_tasks import MOST, WORDS
from bot.clouds.shared import READ_ATTEMPTS
from bot.clouds.throttle import MARGIN
from bot.domain.account import Qps
from bot.domain.advice import advice
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Job, Look, Names, Plan, Preview, freeze
from bot.domain.reading import Named, Reading
from bot.domain.secret import Secret
from bot.domain.status import Status
from tests.clouds.enos_stand_in import KEY, ORG, SECRET, EnosStandIn, Heard, Pace, Said, an_account, bot_side
from tests.clouds.stand_ins import START, Clock, nobody

JOB: Final = "6214ad2171125f2bf2b3f7b4"
TASKS: Final = {
    **{f"q{number}": "init" for number in range(5)},
    **{f"n{number}": "published" for number in range(3)},
    **{f"p{number}": "upgrading" for number in range(2)},
    **{f"c{number}": "cancelled" for number in range(4)},
    "f": "failed",
    "s": "succeeded",
}
QUEUED: Final = CancelJob(job=JOB, statuses=(Status.QUEUED,))
NOTIFIED: Final = CancelJob(job=JOB, statuses=(Status.NOTIFIED,))
BOTH: Final = CancelJob(job=JOB, statuses=(Status.QUEUED, Status.NOTIFIED))
DONE, FAILED, UNKNOWN = Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


@pytest.fixture
def enos(clock: Clock) -> Iterator[EnosStandIn]:
    with EnosStandIn(clock.now) as running:
        running.add(JOB, tasks=TASKS)
        yield running


@pytest.fixture
def cloud(enos: EnosStandIn, clock: Clock, pace: Pace) -> Iterator[EnosCloud]:
    with bot_side(an_account(enos.url), clock, pace) as made:
        yield made


def devices(*names: str) -> CancelDevices:
    return CancelDevices(names=tuple(sorted(names)), job=JOB)


def look(cloud: EnosCloud, order: Cancel) -> Look:
    return cloud.look(order, order.names if isinstance(order, CancelDevices) else ())


def planned(cloud: EnosCloud, order: Cancel, **changes: Any) -> tuple[Plan, Look]:
    """Look, and freeze what was seen."""
    seen = look(cloud, order)
    return freeze(order, seen.preview, an_account("http://x", **changes), seen.names), seen


def by_name(order: CancelJob, *names: str) -> tuple[Plan, Names]:
    """Freeze a plan without having looked at the cloud."""
    reading = Reading(at=START, counts=dict.fromkeys(Status, len(names)), canceled=0)
    listed = {order.job: names}
    return freeze(order, Preview(job=Job(id=order.job), reading=reading), an_account("http://x"), listed), listed


def sent(cloud: EnosCloud, *names: str) -> Answer:
    """Cancel devices of the job as the executor does."""
    plan = planned(cloud, devices("q0"))[0]
    cloud.wait("cancelTask")
    return cloud.send(plan, plan.call(1), names or ("q0",), 1)


def refused(cloud: EnosCloud, order: Cancel) -> CloudError:
    with pytest.raises(CloudError) as raised:
        look(cloud, order)
    return raised.value


def words(enos: EnosStandIn) -> dict[str, str]:
    return {task["deviceKey"]: task["status"] for task in enos.tasks}


# --- looking at a job -----------------------------------------------------------------------------------------------


class TestLookAtJob:
    def test_preview(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """A job is shown with its facts, and its tasks by the status words people type."""
        enos.jobs[JOB]["retryPolicy"] = {"enableRetry": True, "retryCount": 3}
        began = clock.now()
        preview = look(cloud, BOTH).preview
        expected = Job(
            id=JOB,
            name="Spring",
            status="started",
            product="pk",
            firmware="fw",
            version="2.1",
            revives=True,
            created="1767323045000",
        )
        counts = {
            Status.SCHEDULED: 0,
            Status.UNCONFIRMED: 0,
            Status.QUEUED: 5,
            Status.NOTIFIED: 3,
            Status.IN_PROGRESS: 2,
        }

        assert expected == preview.job
        assert (counts, 4, None, "started") == (
            preview.reading.counts,
            preview.reading.canceled,
            preview.reading.named,
            preview.reading.batch,
        )
        assert timedelta() <= preview.reading.at - began < timedelta(seconds=2)

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            (QUEUED, ("q0", "q1", "q2", "q3", "q4")),
            (NOTIFIED, ("n0", "n1", "n2")),
            (BOTH, ("n0", "n1", "n2", "q0", "q1", "q2", "q3", "q4")),
            (CancelJob(job=JOB), ()),
        ],
        ids=["queued", "notified", "both", "none: the choices are shown"],
    )
    def test_names(self, cloud: EnosCloud, order: CancelJob, expected: tuple[str, ...]) -> None:
        """The devices in the named statuses are listed, and none that may flow into them."""
        assert {JOB: expected} == look(cloud, order).names

    def test_at_most(self, cloud: EnosCloud) -> None:
        """No more is hit than is listed: the notified devices and no queued one."""
        plan, seen = planned(cloud, NOTIFIED)

        assert (3, 3, 1) == (seen.preview.reading.size(frozenset(plan.statuses)), plan.at_most, plan.calls)

    @pytest.mark.parametrize("totals", [True, False])
    @pytest.mark.parametrize("most_rows", [200, 7])
    def test_many_pages(self, cloud: EnosCloud, enos: EnosStandIn, *, totals: bool, most_rows: int) -> None:
        """A long list is read page by page, also where pages are shorter than asked and no total is told."""
        enos.totals, enos.most_rows = totals, most_rows
        enos.add("long", tasks={f"d{number:03}": "init" for number in range(410)})
        seen = look(cloud, CancelJob(job="long", statuses=(Status.QUEUED,)))

        assert {"long": tuple(f"d{number:03}" for number in range(410))} == seen.names
        assert (410 if totals or most_rows == 200 else None) == seen.preview.reading.counts[Status.QUEUED]

    @pytest.mark.parametrize(("tasks", "expected"), [(999, 999), (1200, 1200), (1400, None), (3000, None)])
    def test_counted_as_far_as_it_is_cheap(
        self, cloud: EnosCloud, enos: EnosStandIn, *, tasks: int, expected: int | None
    ) -> None:
        """Where the cloud tells no totals, a count that needs more than some pages is unknown, and costs no more."""
        enos.totals = False
        enos.add("long", tasks={f"d{number:04}": "upgrading" for number in range(tasks)})
        reading = look(cloud, CancelJob(job="long")).preview.reading

        assert expected == reading.counts[Status.IN_PROGRESS]
        assert enos.count("searchTask") <= 4 + 7

    def test_all_uncounted(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """A verification that can count nothing spends no more than ten seconds of the query rate on it."""
        enos.totals, enos.most_rows = False, 1
        for word in ("init", "published", "upgrading", "cancelled", "failed", "succeeded"):
            enos.add(JOB, tasks={f"{word}{number}": word for number in range(20)})
        plan, names = by_name(QUEUED, "q0")
        with bot_side(an_account(enos.url), clock, pace) as cloud:
            reading = cloud.verify(plan, names)
        counting = [heard for heard in enos.heard if "status" in heard.body.decode()]

        assert ({None}, None) == ({reading.counts[status] for status in WORDS}, reading.canceled)
        assert len(counting) <= 50

    def test_live_job(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Devices that slip from one page to another while others move on are found by reading again."""
        enos.add("live", tasks={f"d{number:03}": "init" for number in range(600)})
        left = [f"d{number:03}" for number in range(150)]

        def drain(heard: Heard) -> None:
            if heard.action == "searchTask" and heard.json["pagination"]["pageNo"] == 2:
                for _ in range(50):
                    if left:
                        enos.move(left.pop(), "upgrading")

        enos.before = drain
        found = look(cloud, CancelJob(job="live", statuses=(Status.QUEUED,))).names["live"]

        assert set() == {f"d{number:03}" for number in range(150, 600)} - set(found)

    def test_too_many(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """More tasks than a list of names holds are refused, with the words to split the order by."""
        pages = {"totalSize": MOST + 1}
        enos.say("searchTask", *[Said(body={"code": 0, "data": [], "pagination": pages}), *[_counted(0)] * 3])
        error = refused(cloud, QUEUED)

        assert (True, "more than 100,000 tasks" in str(error), "name the devices" in str(error)) == (
            error.final,
            True,
            True,
        )

    def test_stopped_job(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A job that is stopped is shown as that: its tasks cannot be cancelled."""
        enos.jobs[JOB]["status"] = "stopped"

        assert "stopped" == look(cloud, BOTH).preview.job.status

    def test_no_such_job(self, cloud: EnosCloud) -> None:
        """An unknown job is said to be unknown, once."""
        error = refused(cloud, CancelJob(job="nope"))

        assert (True, "24404", "R-no") == (error.final, error.code, error.request_id)
        assert f"The cloud of pumps refused get: 24404: Job not found. {advice('24404')} Nothing was changed." == str(
            error
        )

    @pytest.mark.parametrize("job", ["a'b", 'a"b', "a\\b", "a\nb", ""])
    def test_quotes(self, cloud: EnosCloud, enos: EnosStandIn, job: str) -> None:
        """An id that could leave its quotes is refused before anything is asked."""
        assert (True, []) == (refused(cloud, CancelJob(job=job)).final, enos.heard)

    @pytest.mark.parametrize(
        "order", [CancelStrategy(job=JOB), CancelDevices(names=("a",), product="p", firmware="f")], ids=repr
    )
    def test_not_offered(self, cloud: EnosCloud, enos: EnosStandIn, order: Cancel) -> None:
        """What EnOS does not offer is refused before anything is asked."""
        assert (True, []) == (refused(cloud, order).final, enos.heard)

    def test_unfiltered(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Where the cloud did not look at the status the size is unknown, and only fitting tasks are listed."""
        enos.filters = False
        enos.add("other", tasks={"x": "init"})
        seen = look(cloud, QUEUED)

        assert (None, None) == (seen.preview.reading.counts[Status.QUEUED], seen.preview.reading.canceled)
        assert {JOB: ("q0", "q1", "q2", "q3", "q4")} == seen.names

    def test_same_totals(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Four equal totals are taken for a filter that was not looked at, even without a row to show it."""
        enos.say("searchTask", *[_counted(16)] * 4)

        assert None is look(cloud, CancelJob(job=JOB)).preview.reading.counts[Status.QUEUED]

    def test_desc_ignored(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Where the cloud did not look at `desc`, only the number of cancelled tasks is unknown."""
        row = {"jobId": JOB, "deviceKey": "f", "status": "failed", "desc": "timeout"}
        enos.say("searchTask", _counted(5), _counted(3), _counted(2), _counted(9, row))
        reading = look(cloud, CancelJob(job=JOB)).preview.reading

        assert (5, None) == (reading.counts[Status.QUEUED], reading.canceled)


def _counted(total: int, *rows: object) -> Said:
    return Said(body={"code": 0, "data": list(rows), "pagination": {"totalSize": total}})


# --- looking at devices ---------------------------------------------------------------------------------------------


class TestLookAtDevices:
    def test_each_is_looked_at(self, cloud: EnosCloud) -> None:
        """Named devices are counted by what their task does; only those with one to cancel are sent."""
        seen = look(cloud, devices("q0", "q1", "n0", "p0", "c0", "c1", "f", "s", "unheard"))
        counts = {Status.QUEUED: 2, Status.NOTIFIED: 1, Status.IN_PROGRESS: 1}

        assert Named(counts=counts, canceled=2, ended=2, absent=1) == seen.preview.reading.named
        assert {JOB: ("n0", "q0", "q1")} == seen.names

    def test_fifty_at_once_within_the_budget(self, cloud: EnosCloud, enos: EnosStandIn, pace: Pace) -> None:
        """Fifty devices are looked at in one search, 10 s long with the totals; the others are sent unlooked."""
        names = [f"d{number:04}" for number in range(3000)]
        seen = look(cloud, devices("q0", *names))
        named = seen.preview.reading.named
        searches = [heard.json["expression"] for heard in enos.heard if "deviceKey" in heard.body.decode()]

        assert (47, {50}) == (len(searches), {text.count("'d") for text in searches})
        assert named is not None
        assert (2350, 651, 651) == (named.absent, named.unlooked, len(seen.names[JOB]))
        assert 4 + 47 == pace.reserved["searchTask"]

    def test_slow_cloud(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """However slow the cloud, a look at 20,000 devices is over in ten seconds; the rest is sent unlooked."""
        names = [f"d{number:05}" for number in range(20_000)]
        enos.before = lambda _: clock.turn(1.0)
        began = clock.now()
        seen = look(cloud, devices(*names))
        named = seen.preview.reading.named

        assert named is not None
        assert clock.now() - began < timedelta(seconds=12)
        assert (250, 19_750, 19_750) == (named.absent, named.unlooked, len(seen.names[JOB]))

    def test_slowest_cloud(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """Fifty devices are looked at in any case."""
        enos.before = lambda _: clock.turn(60.0)

        assert {JOB: ("q0",)} == look(cloud, devices("q0", "p0")).names

    def test_several_tasks_of_one_device(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A device with an ended and a waiting task counts as waiting."""
        for number, word in enumerate(["failed", "published", "succeeded"]):
            task = {"taskId": number, "jobId": JOB, "deviceKey": "twice", "desc": "", "status": word}
            enos.tasks.append(task)

        assert {JOB: ("twice",)} == look(cloud, devices("twice")).names

    def test_other_devices_rows(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A cloud that answers with other devices than asked for is not believed that the named ones are absent."""
        enos.filters = False

        assert True is refused(cloud, devices("q0", "unheard")).final


# --- just before sending --------------------------------------------------------------------------------------------


class TestStill:
    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            (QUEUED, ("q0", "q1")),
            (NOTIFIED, ("n0",)),
            (BOTH, ("n0", "q0", "q1")),
            (devices("q0"), ("n0", "q0", "q1")),
        ],
        ids=["queued", "notified", "both", "devices"],
    )
    def test_moved_on(self, cloud: EnosCloud, order: Cancel, expected: tuple[str, ...]) -> None:
        """Of a call's devices those are sent whose task is still in a status that the plan names."""
        plan, _ = planned(cloud, order)
        names = ("c0", "n0", "p0", "q0", "q1", "s", "unheard")
        these, reading = cloud.still(plan, plan.call(1), names)
        counts = {Status.QUEUED: 2, Status.NOTIFIED: 1, Status.IN_PROGRESS: 1}

        assert expected == these
        assert Named(counts=counts, canceled=1, ended=1, absent=1) == reading.named
        assert len(expected) == reading.size(frozenset(plan.statuses))

    def test_one_read(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """One call's devices are looked at by one search."""
        plan, _ = planned(cloud, BOTH)
        before = enos.count("searchTask")
        cloud.still(plan, plan.call(1), ("n0", "q0"))

        assert 1 == enos.count("searchTask") - before

    def test_choosy(self, cloud: EnosCloud) -> None:
        """EnOS may refuse a call for one device that moved on, so each is looked at; cancels show after 2 s."""
        assert (True, 2.0) == (cloud.choosy, cloud.visible_after)


# --- reading again --------------------------------------------------------------------------------------------------


class TestReadingAgain:
    def test_recount_job(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """Before the start a job's few devices are looked at by one search; the rest is as it was."""
        plan, seen = planned(cloud, QUEUED)
        before, reads = seen.preview.reading, len(enos.heard)
        enos.move("q0", "upgrading")
        began = clock.now()
        reading = cloud.recount(plan, seen.names, before)

        assert (4, before.counts, 4) == (reading.size(frozenset(plan.statuses)), reading.counts, reading.canceled)
        assert (1, began) == (len(enos.heard) - reads, reading.at)

    def test_recount_a_long_list(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Of many the first are looked at, and the plan's statuses counted: they bound the others."""
        enos.add("long", tasks={f"d{number:03}": "init" for number in range(600)})
        plan, seen = planned(cloud, CancelJob(job="long", statuses=(Status.QUEUED,)))
        reads = len(enos.heard)
        for number in range(100):
            enos.move(f"d{number:03}", "upgrading")
        reading = cloud.recount(plan, seen.names, seen.preview.reading)

        assert (500, 500) == (reading.size(frozenset(plan.statuses)), reading.counts[Status.QUEUED])
        assert 2 == len(enos.heard) - reads

    @pytest.mark.parametrize("fresh", [True, False])
    @pytest.mark.parametrize("notified", [20, 60])
    def test_what_flows_in(self, cloud: EnosCloud, enos: EnosStandIn, *, notified: int, fresh: bool) -> None:
        """Devices that become notified later are not in the plan: they are not hit, and do not void it."""
        here = {f"n{number:02}": "published" for number in range(notified)}
        enos.add("live", tasks=here | {f"q{number}": "init" for number in range(9)})
        plan, seen = planned(cloud, CancelJob(job="live", statuses=(Status.NOTIFIED,)))
        for number in range(9):
            enos.move(f"q{number}", "published")
        reading = cloud.recount(plan, seen.names, seen.preview.reading if fresh else None)

        assert (notified, notified, tuple(here)) == (
            plan.at_most,
            reading.size(frozenset(plan.statuses)),
            seen.names["live"],
        )

    def test_recount_devices(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Before the start named devices are looked at again."""
        plan, seen = planned(cloud, devices("q0", "q1", "n0"))
        enos.move("q0", "upgrading")
        reading = cloud.recount(plan, seen.names, seen.preview.reading)

        assert 2 == reading.size(frozenset(plan.statuses))
        assert Named(counts={Status.QUEUED: 1, Status.NOTIFIED: 1, Status.IN_PROGRESS: 1}) == reading.named

    def test_recount_without_a_reading_before(self, cloud: EnosCloud) -> None:
        """Where no recent reading is at hand, everything is read again."""
        plan, seen = planned(cloud, devices("q0", "c0"))
        reading = cloud.recount(plan, seen.names, None)

        assert (seen.preview.reading.counts, 4) == (reading.counts, reading.canceled)
        assert Named(counts={Status.QUEUED: 1, Status.NOTIFIED: 0, Status.IN_PROGRESS: 0}) == reading.named

    def test_recount_unfiltered(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A cloud that no longer looks at what it is asked is not believed: nothing is started."""
        plan, seen = planned(cloud, NOTIFIED)
        enos.filters = False
        with pytest.raises(CloudError, match="did not look at the job and the devices") as raised:
            cloud.recount(plan, seen.names, seen.preview.reading)

        assert raised.value.final

    @pytest.mark.parametrize("order", [BOTH, devices("q0", "q1", "q2", "q3", "q4", "n0", "n1", "n2")], ids=repr)
    def test_verify(self, cloud: EnosCloud, enos: EnosStandIn, order: Cancel) -> None:
        """After a cancel the sent devices are seen cancelled singly, and the whole job's tasks are counted."""
        plan, seen = planned(cloud, order)
        cloud.send(plan, plan.call(1), seen.names[JOB][:6], 1)
        reading = cloud.verify(plan, seen.names)

        assert (6, 2) == (reading.cancelled_since(seen.preview.reading), reading.size(frozenset(plan.statuses)))
        assert ({"succeeded": 1, "failed": 1}, 10, "started") == (reading.finished, reading.canceled, reading.batch)
        assert dict.fromkeys(seen.names[JOB][:6], 1) == enos.cancelled

    def test_verify_a_long_list(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """Where there are too many devices to look at singly, a job's totals tell how many became cancelled."""
        enos.add("long", tasks={f"d{number:03}": "init" for number in range(600)})
        order = CancelJob(job="long", statuses=(Status.QUEUED,))
        with bot_side(an_account(enos.url, qps=Qps(job=1, devices=1, strategy=1, query=1)), clock, pace) as cloud:
            plan, seen = planned(cloud, order)
            cloud.send(plan, plan.call(1), seen.names["long"][:50], 1)
            reading = cloud.verify(plan, seen.names)

        assert (Named(counts={}, unlooked=600), 50, 550) == (
            reading.named,
            reading.cancelled_since(seen.preview.reading),
            reading.size(frozenset(plan.statuses)),
        )

    def test_finished(self, cloud: EnosCloud) -> None:
        """What has ended is told by the cloud's words, the cancelled ones apart from those that failed."""
        assert {"succeeded": 1, "failed": 1, "cancelled": 4} == cloud.finished(JOB)

    def test_finished_desc_ignored(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Where the cloud did not look at `desc`, the cancelled ones cannot be told from those that failed."""
        row = {"jobId": JOB, "deviceKey": "f", "status": "failed", "desc": "timeout"}
        enos.say("searchTask", _counted(5, row))

        assert {"succeeded": 1, "failed": 5, "cancelled": None} == cloud.finished(JOB)


# --- sending --------------------------------------------------------------------------------------------------------


class TestSend:
    def test_on_the_wire(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A cancel is one POST with action, orgId and jobId, and the keys in a compact body; the cloud takes it."""
        answer = sent(cloud, "n0", "q0")
        heard = enos.heard[-1]

        assert Answer(outcome=DONE, code="0", message="OK", request_id="R-1") == answer
        assert ("POST", {"action": "cancelTask", "orgId": ORG, "jobId": JOB}) == (heard.method, heard.query)
        assert (b'{"deviceKeys":["n0","q0"]}', 1) == (heard.body, enos.count("cancelTask"))
        assert heard.headers["content-type"].startswith("application/json")

    def test_ids_that_need_encoding(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Ids are signed as they are and sent percent-encoded: the cloud takes letters of every kind."""
        enos.add("a b&c=d+温/%", tasks={"ключ 1": "init"})
        order = CancelJob(job="a b&c=d+温/%", statuses=(Status.QUEUED,))
        plan, seen = planned(cloud, order)

        assert DONE is cloud.send(plan, plan.call(1), seen.names[order.job], 1).outcome

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (Said(body={"code": 24404, "msg": "Job not found"}), (FAILED, "24404", False)),
            (Said(body={"code": 24617, "msg": "Job not running"}), (FAILED, "24617", False)),
            (Said(body={"code": 24620, "msg": "Only init …"}), (FAILED, "24620", False)),
            (Said(body={"code": 99400}), (FAILED, "99400", False)),
            (Said(body={"code": 99403}), (FAILED, "99403", False)),
            (Said(body={"code": 99404}), (FAILED, "99404", False)),
            (Said(body={"code": 99500}), (UNKNOWN, "99500", False)),
            (Said(body={"code": 24500}), (UNKNOWN, "24500", False)),
            (Said(body=b"<html>"), (UNKNOWN, "HTTP 200", False)),
            (Said(status=500), (UNKNOWN, "HTTP 500", False)),
            (Said(status=502, body=b"<html>"), (UNKNOWN, "HTTP 502", False)),
            (Said(status=503), (UNKNOWN, "HTTP 503", False)),
            (Said(status=403), (FAILED, "HTTP 403", False)),
            (Said(status=413), (FAILED, "HTTP 413", False)),
            (Said(status=429), (FAILED, "HTTP 429", True)),
            (Said(status=401), (FAILED, "HTTP 401", True)),
            (Said(status=0), (UNKNOWN, "NoAnswer", False)),
            (Said(status=302, headers={"Location": "http://elsewhere/"}), (FAILED, "HTTP 302", False)),
        ],
        ids=repr,
    )
    def test_answers(
        self, cloud: EnosCloud, enos: EnosStandIn, said: Said, expected: tuple[Outcome, str, bool]
    ) -> None:
        """Whatever the cloud says, a call is sent exactly once and its outcome follows from the answer."""
        enos.say("cancelTask", said)
        answer = sent(cloud)

        assert (*expected, 1) == (answer.outcome, answer.code, answer.again, enos.count("cancelTask"))

    def test_moved_on(self, cloud: EnosCloud) -> None:
        """A device in progress makes the cloud refuse the call by 24620."""
        assert (FAILED, "24620") == ((answer := sent(cloud, "p0", "q0")).outcome, answer.code)

    @pytest.mark.parametrize("status", [429, 503])
    def test_throttling(self, cloud: EnosCloud, enos: EnosStandIn, pace: Pace, status: int) -> None:
        """A Retry-After holds the cancels back for as long as it says."""
        enos.say("cancelTask", Said(status=status, headers={"Retry-After": "7"}))
        answer = sent(cloud)

        assert ([("cancelTask", 7.0)], 7.0) == (pace.pushed, answer.wait)

    def test_nobody_listens(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """A connection that cannot be made is a failure that may be sent again, also that to the token service."""
        with (
            nobody() as url,
            bot_side(an_account(url), clock, pace) as cloud,
            bot_side(an_account(enos.url), clock, pace) as there,
        ):
            plan, _ = planned(there, QUEUED)
            cloud.wait("cancelTask")
            answer = cloud.send(plan, plan.call(1), ("q0",), 1)

        assert (FAILED, "NotSent", True) == (answer.outcome, answer.code, answer.again)

    def test_no_devices(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """An empty list is never sent: nobody says what it means to the cloud."""
        plan, _ = planned(cloud, QUEUED)

        assert (FAILED, "NotSent", False) == (
            (answer := cloud.send(plan, plan.call(1), (), 1)).outcome,
            answer.code,
            answer.again,
        )
        assert 0 == enos.count("cancelTask")

    def test_token_before_the_slot(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """The wait fetches the token, so that between the slot and the call there is no other request."""
        with bot_side(an_account(enos.url), clock, pace) as cloud:
            cloud.wait("cancelTask")

            assert ["token/get"] == [heard.action for heard in enos.heard]
            assert ["token", "cancelTask"] == list(pace.reserved)

    def test_token_ends_in_the_middle_of_a_batch(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A token that ends early fails one call, which goes through at the next attempt; no task is hit twice."""
        plan, _ = planned(cloud, BOTH)
        answers = []
        for number, name in enumerate(["q0", "q1", "q2", "q3"]):
            if number == 2:
                enos.expire()
            for attempt in (1, 2):
                cloud.wait("cancelTask")
                answers.append(answer := cloud.send(plan, plan.call(1), (name,), attempt))
                if not answer.again:
                    break

        assert [DONE, DONE, FAILED, DONE, DONE] == [answer.outcome for answer in answers]
        assert {"q0": 1, "q1": 1, "q2": 1, "q3": 1} == enos.cancelled
        assert 2 == enos.count("token/get")

    def test_token_ends_between_slot_and_call(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """A token that is gone after the wait is not fetched for a recorded call: the next attempt has a new one."""
        plan, _ = planned(cloud, QUEUED)
        cloud.wait("cancelTask")
        clock.turn(7300)
        heard = len(enos.heard)
        answer = cloud.send(plan, plan.call(1), ("q0",), 1)
        asked = len(enos.heard) - heard
        cloud.wait("cancelTask")
        again = cloud.send(plan, plan.call(1), ("q0",), 2)

        assert (FAILED, "NotSent", True, 0) == (answer.outcome, answer.code, answer.again, asked)
        assert (DONE, ["token/get", "cancelTask"]) == (again.outcome, [each.action for each in enos.heard[heard:]])

    def test_token_refused(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """After a 401 the call itself asks for no token: the next attempt does, before its slot, and goes through."""
        plan, _ = planned(cloud, QUEUED)
        enos.expire()
        heard = len(enos.heard)
        answers = []
        for attempt in (1, 2):
            cloud.wait("cancelTask")
            answers.append(cloud.send(plan, plan.call(1), ("q0",), attempt))
            if attempt == 1:
                assert ["cancelTask"] == [each.action for each in enos.heard[heard:]]

        assert [(FAILED, "HTTP 401", True), (DONE, "0", False)] == [
            (answer.outcome, answer.code, answer.again) for answer in answers
        ]
        assert ["cancelTask", "token/get", "cancelTask"] == [each.action for each in enos.heard[heard:]]

    def test_token_refused_for_ever(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A second 401 of the same call, now with a new token, is final and says what to check, not of others."""
        plan, _ = planned(cloud, QUEUED)
        enos.say("cancelTask", *[Said(status=401)] * 9)
        answers = []
        for attempt in (1, 2, 1):
            cloud.wait("cancelTask")
            answers.append(cloud.send(plan, plan.call(1), ("q0",), attempt))

        assert [True, False, True] == [answer.again for answer in answers]
        assert "A new access token was refused, too" in answers[1].message

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (Said(body={"status": 1003, "msg": "no"}), (FAILED, "1003", False)),
            (Said(body={"status": 1002, "msg": "no"}), (FAILED, "1002", False)),
            (Said(body={"status": 1005, "msg": "no"}), (FAILED, "1005", True)),
            (Said(status=429), (FAILED, "HTTP 429", True)),
            (Said(status=500), (FAILED, "NotSent", True)),
            (Said(status=0), (FAILED, "NotSent", True)),
        ],
        ids=repr,
    )
    def test_no_token(
        self, enos: EnosStandIn, clock: Clock, pace: Pace, *, said: Said, expected: tuple[Outcome, str, bool]
    ) -> None:
        """Without a token nothing is sent; the token service's code says why, and a refusal of it is final."""
        plan, _ = by_name(QUEUED, "q0")
        enos.say("token/get", *[said] * READ_ATTEMPTS)
        with bot_side(an_account(enos.url), clock, pace) as cloud:
            cloud.wait("cancelTask")
            heard = len(enos.heard)
            answer = cloud.send(plan, plan.call(1), ("q0",), 1)

        assert expected == (answer.outcome, answer.code, answer.again)
        assert 0 == len(enos.heard) - heard
        assert "The token service of pumps" in answer.message

    def test_nothing_secret_is_shown(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Key, secret, token and signature are hidden in what the cloud says."""

        def echo(heard: Heard) -> None:
            if heard.action == "cancelTask":
                sign = heard.headers["apim-signature"]
                said = f"{KEY} {SECRET} {enos.token} {sign} string to sign: {SECRET}"
                enos.say("cancelTask", Said(body={"code": 99400, "msg": said}))

        enos.before = echo

        assert "*** *** *** *** string to sign ***" == sent(cloud).message


# --- reads that fail ------------------------------------------------------------------------------------------------


class TestReads:
    @pytest.mark.parametrize(
        "said",
        [
            Said(body={"code": 99500}),
            Said(body={"code": 24500}),
            Said(status=401),
            Said(status=429),
            Said(status=503),
            Said(status=0),
            Said(body=b"<html>"),
        ],
        ids=repr,
    )
    def test_asked_again(self, cloud: EnosCloud, enos: EnosStandIn, said: Said) -> None:
        """A read that may pass is sent again."""
        enos.say("get", said)
        look(cloud, CancelJob(job=JOB))

        assert 2 == enos.count("get")

    @pytest.mark.parametrize("code", [24404, 99400, 99403])
    def test_said_no(self, cloud: EnosCloud, enos: EnosStandIn, code: int) -> None:
        """A read that is refused is not sent again."""
        enos.say("get", Said(body={"code": code, "msg": "no"}))
        error = refused(cloud, QUEUED)

        assert (True, str(code), 1) == (error.final, error.code, enos.count("get"))
        assert f"{advice(str(code))} Nothing was changed." == error.advice

    def test_token_refused_twice(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """When a new token is refused, too, it is said what to check."""
        enos.say("get", *[Said(status=401)] * 9)
        error = refused(cloud, QUEUED)

        assert (True, 2) == (error.final, enos.count("get"))
        assert "check the app secret and this machine's clock" in str(error)

    @pytest.mark.parametrize("action", ["get", "token/get"])
    def test_redirect(self, cloud: EnosCloud, enos: EnosStandIn, action: str) -> None:
        """A redirect is never followed, and asked about once: the endpoint is wrong."""
        enos.say(action, *[Said(status=307, headers={"Location": "http://elsewhere/"})] * 9)
        error = refused(cloud, QUEUED)

        assert (True, "HTTP 307", 1) == (error.final, error.code, enos.count(action))
        assert "the bot follows no redirect" in str(error)

    @pytest.mark.parametrize("action", ["searchTask", "get", "token/get"])
    def test_left_alone(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock, action: str) -> None:
        """Somebody who looks is told at once that the cloud wants minutes, and when to try again."""
        enos.say(action, *[Said(status=429, headers={"Retry-After": "60"})] * 9)
        began = clock.seconds()
        error = refused(cloud, QUEUED)

        assert (
            "The cloud asked to be left alone until about 60 s from now. Try again then. Nothing was changed."
            == str(error)
        )
        assert (False, 1) == (error.final, enos.count(action))
        assert clock.seconds() - began < 5

    def test_gives_up(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A cloud that stays silent is asked four times, and another time may be better."""
        enos.say("get", *[Said(status=0)] * 9)

        assert (False, 4) == (refused(cloud, QUEUED).final, enos.count("get"))

    @pytest.mark.parametrize("body", [{"code": 0, "data": None}, {"code": 0, "data": []}, {"code": 0}], ids=repr)
    def test_no_job(self, cloud: EnosCloud, enos: EnosStandIn, body: dict[str, Any]) -> None:
        """An answer without a job is no job."""
        enos.say("get", Said(body=body))

        assert "has no data" in str(refused(cloud, QUEUED))

    def test_no_list(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """An answer without a list is no empty list."""
        enos.say("searchTask", Said(body={"code": 0, "data": {"rows": []}}))

        assert "has no list" in str(refused(cloud, QUEUED))


# --- jobs, estimate, probe ------------------------------------------------------------------------------------------


class TestOthers:
    def test_jobs(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """The ten newest started jobs are counted; how many more there are is told."""
        for number in range(12):
            enos.add(f"j{number:02}", tasks={f"d{number}": "init"}, createTime=1767323046000 + number)
        enos.add("over", tasks={"x": "init"}, status="stopped", createTime=1867323046000)
        previews, more, _ = cloud.jobs()

        assert [f"j{number:02}" for number in range(11, 1, -1)] == [preview.job.id for preview in previews]
        assert ({1}, 3) == ({preview.reading.counts[Status.QUEUED] for preview in previews}, more)

    def test_jobs_of_a_slow_account(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """At one read a second only as many jobs are counted as ten seconds allow."""
        for number in range(5):
            enos.add(f"j{number}", tasks={})
        slow = an_account(enos.url, qps=Qps(job=1, devices=1, strategy=1, query=1))
        with bot_side(slow, clock, pace) as cloud:
            previews, more, _ = cloud.jobs()

        assert (2, 4) == (len(previews), more)

    def test_jobs_of_a_slow_cloud(self, cloud: EnosCloud, enos: EnosStandIn, clock: Clock) -> None:
        """Where the cloud is slow, jobs are counted for ten seconds; how many more there are is told."""
        for number in range(9):
            enos.add(f"j{number}", tasks={})
        enos.before = lambda _: clock.turn(1.0)
        previews, more, _ = cloud.jobs()

        assert (2, 8) == (len(previews), more)

    def test_many_jobs_without_totals(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Without totals the started jobs are counted by reading them."""
        enos.totals, enos.most_rows = False, 5
        for number in range(12):
            enos.add(f"j{number:02}", tasks={}, createTime=1767323046000 + number)
        previews, more, _ = cloud.jobs()

        assert (13, "j11") == (len(previews) + more, previews[0].job.id)

    @pytest.mark.parametrize(
        ("qps", "per_call", "ahead", "expected"),
        [
            (Qps(job=1, devices=5, strategy=1, query=5), 50, 0.0, round(100 * MARGIN / 5)),
            (Qps(job=1, devices=5, strategy=1, query=2), 50, 0.0, round(100 * MARGIN / 2)),
            (Qps(job=1, devices=5, strategy=1, query=5), 200, 0.0, round(25 * 4 * MARGIN / 5)),
            (Qps(job=1, devices=5, strategy=1, query=5), 50, 30.0, round(30 + 100 * MARGIN / 5)),
            (Qps(job=1, devices=100, strategy=1, query=1000), 5000, 0.0, 1),
        ],
    )
    def test_estimate(
        self, enos: EnosStandIn, clock: Clock, pace: Pace, *, qps: Qps, per_call: int, ahead: float, expected: int
    ) -> None:
        """A run takes as long as its cancels, or as the looks before them where those are slower."""
        enos.add("long", tasks={f"d{number:04}": "init" for number in range(5000)})
        known = {"qps": qps, "names_per_call": per_call}
        with bot_side(an_account(enos.url, **known), clock, pace, ahead=ahead) as cloud:
            plan, _ = planned(cloud, CancelJob(job="long", statuses=(Status.QUEUED,)), **known)

            assert expected == cloud.estimate(plan)

    def test_probe_is_content(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """Right credentials and a right clock are no problem, and nothing but a read is sent."""
        assert ((), ["token/get", "get"]) == (cloud.probe(), [heard.action for heard in enos.heard])

    def test_probe_wrong_secret(self, cloud: EnosCloud, enos: EnosStandIn) -> None:
        """A wrong secret is said, with what to check."""
        enos.secret = "another"
        (problem,) = cloud.probe()

        assert f"{enos.url}: The token service of pumps refused: 1003 encryption *** is invalid." in problem

    def test_probe_wrong_key(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """A wrong app key is said."""
        with bot_side(an_account(enos.url, key_id=Secret("unknown-key")), clock, pace) as cloud:
            assert "1002 app key unknown" in cloud.probe()[0]

    def test_probe_wrong_organisation(self, enos: EnosStandIn, clock: Clock, pace: Pace) -> None:
        """An organisation that the key may not read is said."""
        with bot_side(an_account(enos.url, org="o1"), clock, pace) as cloud:
            assert "refused get: 99403: no permission" in cloud.probe()[0]

    @pytest.mark.parametrize("off", [-3600, 61, 60, -60, 3600])
    def test_probe_clock(self, enos: EnosStandIn, clock: Clock, pace: Pace, off: int) -> None:
        """A clock more than a minute off the cloud's Date is said."""
        enos.now = lambda: clock.now() - timedelta(seconds=off)
        with bot_side(an_account(enos.url), clock, pace) as cloud:
            problems = [problem for problem in cloud.probe() if "clock is" in problem]

        assert (abs(off) > 60) == any(f"{off:+.0f} s off" in problem for problem in problems)
