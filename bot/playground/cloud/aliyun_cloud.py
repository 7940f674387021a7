"""Simulates Alibaba Cloud IoT's endpoint for upgrade jobs, on a loopback port."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from starlette.routing import BaseRoute

from bot.playground.cloud.calls import Arrival, RefusedError
from bot.playground.cloud.fleet import Fleet
from bot.playground.cloud.rpc_cloud import RpcCloud
from bot.playground.cloud.rpc_gate import COMMON, VERSIONS, Key, RpcCall, Rules
from bot.playground.cloud.rpc_operations import Dialect, Operations, RpcOperations

__all__ = ["QPS", "AliyunCloud", "Arrival"]

#: Calls per second, account and operation, as documented for each operation.
QPS: Mapping[str, int] = {
    "CancelOTATaskByJob": 5,
    "CancelOTATaskByDevice": 10,
    "CancelOTAStrategyByJob": 10,
    "QueryOTAJob": 10,
    "ListOTATaskByJob": 10,
    "ListOTAJobByFirmware": 10,
    "ListOTAFirmware": 10,
    "QueryOTAFirmware": 20,
    "ListOTAJobByDevice": 10,
    "ListOTAUnfinishedTaskByDevice": 10,
}
_RULES = Rules(
    required=(*COMMON, *VERSIONS),
    allowed={
        "Version": frozenset({"2018-01-20"}),
        "SignatureMethod": frozenset({"HMAC-SHA1"}),
        "SignatureVersion": frozenset({"1.0"}),
    },
)
_DIALECT = Dialect(
    flags={"CancelQueuedTask": "QUEUED", "CancelNotifiedTask": "NOTIFIED", "CancelInProgressTask": "IN_PROGRESS"},
    by_device=("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS"),
    most_names=200,
    scheduled=True,
    # The documents of the lists say COMPLETE, that of the query COMPLETED.
    row_statuses={"COMPLETED": "COMPLETE"},
)


def _operations(fleet: Fleet) -> Operations:
    return RpcOperations(fleet, _DIALECT).by_name


class AliyunCloud(RpcCloud):
    """A simulated Alibaba Cloud IoT; use as a context manager, then call `url`.

    `keys` maps access key ids to secrets or `Key`s; `limits` replaces `QPS` (an operation without one is not limited).
    With `instance_id` every call must carry it, without none may. `extra_routes` are served beside the endpoint `/`.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str | Key],
        instance_id: str | None = None,
        limits: Mapping[str, int] = QPS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        extra_routes: Iterable[BaseRoute] = (),
        port: int = 0,
    ) -> None:
        super().__init__(
            keys=keys,
            rules=_RULES,
            operations=_operations,
            limits=limits,
            now=now,
            clock=clock,
            extra_routes=extra_routes,
            port=port,
        )
        self._instance_id = instance_id

    def admit(self, call: RpcCall) -> None:
        """Refuse what the gateway refuses, and calls for another instance."""
        super().admit(call)
        if (call.params.get("IotInstanceId") or None) != self._instance_id:
            raise RefusedError(200, "iot.system.InstanceNotFound", "The instance is not found.")
