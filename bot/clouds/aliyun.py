"""Alibaba Cloud IoT Platform, version 2018-01-20.

Sources: the documents of CancelOTATaskByJob, CancelOTATaskByDevice (at most 200 names), CancelOTAStrategyByJob,
QueryOTAJob, ListOTATaskByJob (at most 50 DeviceNames, pages of 100), ListOTAJobByFirmware (pages of 200) and
ListOTAFirmware (pages of 100); "Common parameters" (help.aliyun.com/document_detail/30561).
"""

from typing import ClassVar, Final

from bot.clouds.rpc_cloud import RpcCloud
from bot.clouds.rpc_line import Dialect
from bot.domain.status import Status

ALIYUN: Final = Dialect(
    # Of GET and POST the one whose length no gateway limits: 200 names are up to 22 KB when encoded.
    method="POST",
    # An absent CancelUnconfirmedTask beside CancelQueuedTask=true would cancel CONFIRM tasks, too: all are always sent.
    flags={
        Status.SCHEDULED: "CancelScheduledTask",
        Status.UNCONFIRMED: "CancelUnconfirmedTask",
        Status.QUEUED: "CancelQueuedTask",
        Status.NOTIFIED: "CancelNotifiedTask",
        Status.IN_PROGRESS: "CancelInProgressTask",
    },
    optional=frozenset({"RegionId", "SecurityToken", "IotInstanceId"}),
    names_per_call=200,
)


class AliyunCloud(RpcCloud):
    """One Alibaba Cloud account."""

    dialect: ClassVar[Dialect] = ALIYUN
