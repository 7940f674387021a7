"""What each cloud offers to cancel, and its own reason for what it does not.

Sources: the documents of CancelOTATaskByJob (Alibaba Cloud and Tuya), CancelOTATaskByDevice, CancelOTAStrategyByJob
and EnOS "Cancel OTA Task"; contract, "The words".
"""

from collections.abc import Mapping
from typing import Final

from bot.domain.account import Cloud
from bot.domain.order import Cancel, CancelDevices, CancelStrategy
from bot.domain.status import FLOW, Status

CANCEL_JOB: Final = "CancelOTATaskByJob"
CANCEL_DEVICES: Final = "CancelOTATaskByDevice"
CANCEL_STRATEGY: Final = "CancelOTAStrategyByJob"
CANCEL_TASKS: Final = "cancelTask"
"""EnOS's one operation: by device keys, within a job."""

BY_JOB: Final[Mapping[Cloud, tuple[Status, ...]]] = {
    Cloud.ALIYUN: tuple(Status),
    Cloud.TUYA: (Status.UNCONFIRMED, Status.QUEUED, Status.NOTIFIED),
    Cloud.ENOS: (Status.QUEUED, Status.NOTIFIED),
}
"""The statuses that `job` may name."""
BY_DEVICE: Final[Mapping[Cloud, tuple[Status, ...]]] = {
    Cloud.ALIYUN: FLOW,
    Cloud.TUYA: (Status.UNCONFIRMED, Status.QUEUED, Status.NOTIFIED),
    Cloud.ENOS: (Status.QUEUED, Status.NOTIFIED),
}
"""The statuses that `devices` hits, whatever was meant: the operations by device take no status."""

_WHY: Final[Mapping[tuple[Cloud, Status], str]] = {
    (Cloud.TUYA, Status.SCHEDULED): "Tuya's CancelOTATaskByJob does not offer CancelScheduledTask",
    (Cloud.TUYA, Status.IN_PROGRESS): "Tuya's CancelOTATaskByJob does not offer CancelInProgressTask",
    (Cloud.ENOS, Status.SCHEDULED): "EnOS cancels only init (queued) and published (notified) tasks",
    (Cloud.ENOS, Status.UNCONFIRMED): "EnOS cancels only init (queued) and published (notified) tasks",
    (Cloud.ENOS, Status.IN_PROGRESS): "EnOS cancels only init (queued) and published (notified) tasks",
}
_NAMES: Final = {Cloud.ALIYUN: "Alibaba Cloud", Cloud.TUYA: "Tuya", Cloud.ENOS: "EnOS"}


def unable(order: Cancel, cloud: Cloud) -> str | None:
    """Return the cloud's own reason why it cannot do what is ordered, or `None`."""
    if isinstance(order, CancelStrategy) and cloud is not Cloud.ALIYUN:
        return f"{_NAMES[cloud]} does not offer CancelOTAStrategyByJob: it has no dynamic batches to stop"
    if isinstance(order, CancelDevices):
        by_firmware = order.job is None and cloud is Cloud.ENOS
        return "EnOS cancels within a job: name it, with “job” and its id" if by_firmware else None
    missing = [status for status in order.statuses if status not in BY_JOB[cloud]]
    return f"{missing[0]}: {_WHY[cloud, missing[0]]}" if missing else None
