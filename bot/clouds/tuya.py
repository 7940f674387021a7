"""Tuya's private instances on Alibaba Cloud ("Hedwig on Cloud"), compatible with Alibaba's version 2018-01-20.

Sources: developer.tuya.com/en/docs/tuya-iot, "How to call the API", "Get parameters", CancelOTATaskByJob,
CancelOTATaskByDevice, ListOTATaskByJob, ListOTAJobByFirmware. Left open there, and chosen here: every example is a
GET, so POST is not used; the examples leave Version, Format and SignatureVersion out while the table of common
parameters has them, so they are sent unless the account omits them; no limit of names is documented, so 50 are sent.
Documented is that RegionId, SecurityToken and IotInstanceId do not exist, nor do CancelInProgressTask,
CancelScheduledTask and CancelOTAStrategyByJob.
"""

from typing import ClassVar, Final

from bot.clouds.rpc_cloud import RpcCloud
from bot.clouds.rpc_line import Dialect
from bot.domain.status import Status

TUYA: Final = Dialect(
    method="GET",
    # What an absent CancelUnconfirmedTask means is not said ("the default value is empty"): all are always sent.
    flags={
        Status.UNCONFIRMED: "CancelUnconfirmedTask",
        Status.QUEUED: "CancelQueuedTask",
        Status.NOTIFIED: "CancelNotifiedTask",
    },
    optional=frozenset(),
    omittable=frozenset({"Version", "Format", "SignatureVersion"}),
    names_per_call=50,
)


class TuyaCloud(RpcCloud):
    """One instance of Tuya's; its endpoint has a port."""

    dialect: ClassVar[Dialect] = TUYA
