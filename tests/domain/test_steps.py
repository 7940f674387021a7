"""A plan's operations: how names become calls, what is at stake, and the most that it may hit."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.account import Cloud
from bot.domain.order import CancelDevices, CancelJob, CancelStrategy, listed
from bot.domain.plan import Call, Job, Plan, Preview, Step, freeze
from bot.domain.reading import Counts, Named, Reading
from bot.domain.status import Status
from tests.builders import ACCOUNT, DEVICES, NAMES, NOW, ORDER, account, named, plan, plan_by_name, preview, reading

S, U, Q, N, P = Status
ENOS = account(cloud=Cloud.ENOS, region=None, instance=None, org="o1", names_per_call=50)
FIRMWARE = CancelDevices(names=NAMES, product="P", firmware="F")


def names_of(calls: Sequence[Call], lists: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the devices of some calls."""
    return [lists[call.step.job][position] for call in calls for position in call.at]


def all_calls(plan: Plan) -> list[Call]:
    """Return a plan's calls in order."""
    return [plan.call(number) for number in range(1, plan.calls + 1)]


# --- calls -----------------------------------------------------------------------------------------------------------


def test_450_names_are_three_calls() -> None:
    """450 names go in three calls of at most 200, each name in exactly one of them, in order."""
    frozen = plan_by_name()
    calls = all_calls(frozen)

    assert [200, 200, 50] == [len(call.at) for call in calls]
    assert list(NAMES) == names_of(calls, {"J1": NAMES})
    assert (Step(action="CancelOTATaskByDevice", job="J1", names=listed(NAMES).sha256, count=450, calls=3),) == (
        frozen.steps
    )
    assert frozen.by_name


@given(st.integers(min_value=1, max_value=1000), st.integers(min_value=1, max_value=300))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_every_name_is_in_one_call(count: int, per_call: int) -> None:
    """However many names, and however few in a call: none is left out, none is twice, no call is empty or too long."""
    names = tuple(f"d{number:04}" for number in range(count))
    frozen = plan_by_name(names=names, on=account(names_per_call=per_call))
    calls = all_calls(frozen)

    assert list(names) == names_of(calls, {"J1": names})
    assert all(1 <= len(call.at) <= per_call for call in calls)
    assert list(range(1, frozen.calls + 1)) == [call.number for call in calls]


def test_the_jobs_of_a_firmware() -> None:
    """Of a firmware's jobs each has its own list and calls, numbered on; one without a device to send has none."""
    jobs = [Job(id=f"J{number}", product="P", firmware="F") for number in (1, 2, 3)]
    lists = {"J1": NAMES[:201], "J3": NAMES}
    seen = Preview(job=jobs[0], others=tuple(jobs[1:]), reading=named())
    frozen = freeze(FIRMWARE, seen, ACCOUNT, lists)
    calls = all_calls(frozen)

    assert [("J1", 200), ("J1", 1), ("J3", 200), ("J3", 200), ("J3", 50)] == [
        (call.step.job, len(call.at)) for call in calls
    ]
    assert [*NAMES[:201], *NAMES] == names_of(calls, lists)
    assert {("P", "F")} == {(step.product, step.firmware) for step in frozen.steps}


def test_strategy_first() -> None:
    """A strategy with statuses is two operations, the strategy before the tasks; without, it is one."""
    both = plan(order=CancelStrategy(job="J1", statuses=(Q,)))
    alone = plan(order=CancelStrategy(job="J1"))

    assert ["CancelOTAStrategyByJob", "CancelOTATaskByJob"] == [call.step.action for call in all_calls(both)]
    assert "CancelOTAStrategyByJob, then CancelOTATaskByJob" == both.operation
    assert [Call(number=1, step=Step(action="CancelOTAStrategyByJob", job="J1"))] == all_calls(alone)
    assert not both.by_name


def test_a_job_is_one_call() -> None:
    """A cancel by job is one call without names."""
    assert [Call(number=1, step=Step(action="CancelOTATaskByJob", job="J1"))] == all_calls(plan())


def test_enos_cancels_by_name() -> None:
    """On EnOS a job's statuses are carried out device by device, in calls of the account's size."""
    frozen = freeze(ORDER, preview(), ENOS, {"J1": NAMES[:120]})

    assert [("cancelTask", 50), ("cancelTask", 50), ("cancelTask", 20)] == [
        (call.step.action, len(call.at)) for call in all_calls(frozen)
    ]
    assert (Q, N) == frozen.statuses


@pytest.mark.parametrize("number", [0, -1, 4, 100])
def test_there_is_no_other_call(number: int) -> None:
    """A number that the plan does not have is an error."""
    with pytest.raises(LookupError, match=f"the plan has no call {number}"):
        plan_by_name().call(number)


# --- what is at stake ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (named(), ("unconfirmed", "queued", "notified")),
        (named(449, flashing=1), ("unconfirmed", "queued", "notified", "in-progress")),
        (named(449, unlooked=1), ("unconfirmed", "queued", "notified", "in-progress")),
        (reading(), ("unconfirmed", "queued", "notified", "in-progress")),
    ],
)
def test_in_progress_is_at_stake(seen: Reading, expected: tuple[str, ...]) -> None:
    """A cancel by device counts as in progress where a device was seen so, or not each of them was looked at."""
    assert expected == plan_by_name().stakes(seen)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (ORDER, ("queued", "notified")),
        (CancelJob(job="J1", statuses=(P,)), ("in-progress",)),
        (CancelStrategy(job="J1"), ("strategy",)),
        (CancelStrategy(job="J1", statuses=(Q, P)), ("queued", "in-progress", "strategy")),
    ],
)
def test_what_is_at_stake(order: CancelJob | CancelStrategy, expected: tuple[str, ...]) -> None:
    """What was named is at stake, whether or not a task is in it now; and the strategy, where it is stopped."""
    assert expected == plan(order=order).stakes(reading())


@pytest.mark.parametrize(("cloud", "has"), [(Cloud.TUYA, False), (Cloud.ENOS, False)])
def test_other_clouds_spare_what_is_in_progress(cloud: Cloud, has: bool) -> None:
    """Where a cancel by device does not touch what is in progress, it is never at stake."""
    frozen = freeze(DEVICES, preview(), account(cloud=cloud), {"J1": NAMES})

    assert has == ("in-progress" in frozen.stakes(named(440, unlooked=10)))


# --- the most that it may hit ----------------------------------------------------------------------------------------


TOTALS: Counts = {S: 0, U: 0, Q: 100, N: 0, P: 5}


@pytest.mark.parametrize(
    ("seen", "counts", "size"),
    [
        (Named(counts={Q: 7, P: 2}, canceled=3, ended=1, absent=9), TOTALS, 9),
        (Named(counts={Q: 7}, unlooked=50), TOTALS, 57),
        (Named(counts={Q: 7}, unlooked=500), TOTALS, 105),
        (Named(counts={}, unlooked=500), TOTALS, 105),
        (Named(counts={Q: 7}, unlooked=500), dict.fromkeys(Status), 507),
        (Named(counts={Q: 7}), dict.fromkeys(Status), 7),
        (Named(counts={Q: 200}), TOTALS, 200),
        (Named(counts={S: 4, Q: 1}), TOTALS, 1),
    ],
)
def test_the_size_of_named_devices(seen: Named, counts: Counts, size: int) -> None:
    """Who was not looked at may be hit, but all together no more than the jobs have; who was looked at is known."""
    found = Reading(at=NOW, counts=counts, canceled=0, named=seen)
    frozen = freeze(DEVICES, replace(preview(), reading=found), ACCOUNT, {"J1": NAMES})

    assert size == found.size(frozenset(frozen.statuses)) == frozen.at_most


def test_a_strategy_hits_no_task() -> None:
    """Stopping a strategy alone touches no existing task: its size is 0, known, also where no count is."""
    unknown = dict.fromkeys(Status)

    assert [0, 0] == [plan(counts, order=CancelStrategy(job="J1")).at_most for counts in (TOTALS, unknown)]


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        (Named(counts={}, canceled=3), Named(counts={}, canceled=10), 7),
        (Named(counts={}, canceled=10), Named(counts={}, canceled=3), 0),
        (None, Named(counts={}, canceled=10), 10),
        (Named(counts={}, canceled=3, unlooked=9), Named(counts={}, canceled=10), 10),
        (Named(counts={}, canceled=3, unlooked=9), Named(counts={}, canceled=90), 40),
        (Named(counts={}, canceled=3), Named(counts={}, canceled=3, unlooked=9), 40),
        (Named(counts={}), Named(counts={}, unlooked=9), 40),
    ],
)
def test_what_became_cancelled(before: Named | None, after: Named, since: int) -> None:
    """Of devices that were all looked at it is counted which are cancelled; else the jobs' totals tell.

    Of those that are looked at only later no more became cancelled than are.
    """
    first = Reading(at=NOW, counts=TOTALS, canceled=2, named=before)
    second = Reading(at=NOW + timedelta(minutes=1), counts=TOTALS, canceled=42, named=after)

    assert since == second.cancelled_since(first)


def test_what_became_cancelled_is_unknown() -> None:
    """Devices that were not looked at before may have been cancelled then: without totals nobody knows since when."""
    first = Reading(at=NOW, counts=TOTALS, canceled=None, named=Named(counts={}, canceled=3, unlooked=9))
    second = replace(first, named=Named(counts={}, canceled=10))

    assert None is second.cancelled_since(first)
