"""What each cloud can be asked for, held against the contract's table."""

import pytest

from bot.domain.account import Cloud
from bot.domain.offer import BY_DEVICE, BY_JOB, unable
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.status import Status

S, U, Q, N, P = Status
OFFERED: dict[tuple[Cloud, Status], bool] = {
    (Cloud.ALIYUN, S): True,
    (Cloud.ALIYUN, U): True,
    (Cloud.ALIYUN, Q): True,
    (Cloud.ALIYUN, N): True,
    (Cloud.ALIYUN, P): True,
    (Cloud.TUYA, S): False,
    (Cloud.TUYA, U): True,
    (Cloud.TUYA, Q): True,
    (Cloud.TUYA, N): True,
    (Cloud.TUYA, P): False,
    (Cloud.ENOS, S): False,
    (Cloud.ENOS, U): False,
    (Cloud.ENOS, Q): True,
    (Cloud.ENOS, N): True,
    (Cloud.ENOS, P): False,
}
"""The contract's table of status words."""


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("cloud", Cloud)
def test_the_table_of_statuses(cloud: Cloud, status: Status) -> None:
    """A status that a cloud cannot cancel is refused with the word itself, whatever stands beside it."""
    alone = unable(CancelJob(job="J1", statuses=(status,)), cloud)
    beside = unable(CancelJob(job="J1", statuses=(Q, status)), cloud)

    assert OFFERED[cloud, status] == (status in BY_JOB[cloud]) == (alone is None)
    assert alone == beside
    assert alone is None or alone.startswith(f"{status.value}: ")


@pytest.mark.parametrize(
    ("cloud", "status", "reason"),
    [
        (Cloud.TUYA, S, "scheduled: Tuya's CancelOTATaskByJob does not offer CancelScheduledTask"),
        (Cloud.TUYA, P, "in-progress: Tuya's CancelOTATaskByJob does not offer CancelInProgressTask"),
        (Cloud.ENOS, P, "in-progress: EnOS cancels only init (queued) and published (notified) tasks"),
    ],
)
def test_the_reason_is_the_clouds(cloud: Cloud, status: Status, reason: str) -> None:
    """Why it cannot be done is said in the terms of that cloud's own documents."""
    assert reason == unable(CancelJob(job="J1", statuses=(status,)), cloud)


@pytest.mark.parametrize(
    ("order", "clouds"),
    [
        (CancelJob(job="J1"), {Cloud.ALIYUN, Cloud.TUYA, Cloud.ENOS}),
        (CancelDevices(names=("a",), job="J1"), {Cloud.ALIYUN, Cloud.TUYA, Cloud.ENOS}),
        (CancelDevices(file="F0", job="J1"), {Cloud.ALIYUN, Cloud.TUYA, Cloud.ENOS}),
        (CancelDevices(names=("a",), product="P", firmware="F"), {Cloud.ALIYUN, Cloud.TUYA}),
        (CancelStrategy(job="J1"), {Cloud.ALIYUN}),
        (CancelStrategy(job="J1", statuses=(Q, P)), {Cloud.ALIYUN}),
    ],
)
def test_the_verbs(order: Cancel, clouds: set[Cloud]) -> None:
    """A strategy is Alibaba's alone, EnOS knows no cancel by firmware, and the rest goes everywhere."""
    assert clouds == {cloud for cloud in Cloud if unable(order, cloud) is None}


def test_what_a_cancel_by_device_hits() -> None:
    """The operations by device take no status: on Alibaba they hit what is in progress, and never a whole schedule."""
    assert {Cloud.ALIYUN: {U, Q, N, P}, Cloud.TUYA: {U, Q, N}, Cloud.ENOS: {Q, N}} == {
        cloud: set(statuses) for cloud, statuses in BY_DEVICE.items()
    }
