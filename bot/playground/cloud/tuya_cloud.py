"""Simulates a Tuya "Hedwig on Cloud" instance's endpoint for upgrade jobs, on a loopback port.

It speaks Alibaba's RPC interface with differences: GET alone, keys in lower camel case, fewer operations and flags.
What Tuya's documents leave open is an option here.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from bot.playground.cloud.calls import RefusedError
from bot.playground.cloud.fleet import Fleet
from bot.playground.cloud.rpc_cloud import RpcCloud, formatted
from bot.playground.cloud.rpc_gate import COMMON, VERSIONS, RpcCall, Rules, signature_refused
from bot.playground.cloud.rpc_operations import Dialect, Operations, RpcOperations

#: Calls per second; Tuya documents none, these are Alibaba's.
QPS: Mapping[str, int] = {
    "CancelOTATaskByJob": 5,
    "CancelOTATaskByDevice": 10,
    "QueryOTAJob": 10,
    "ListOTATaskByJob": 10,
    "ListOTAJobByFirmware": 10,
    "ListOTAFirmware": 10,
}
_OPTIONAL = ("Format", *VERSIONS)
#: Alibaba's common parameters that Tuya's documents do not have.
_FOREIGN = frozenset({"RegionId", "IotInstanceId", "SecurityToken"})
_ALLOWED = {
    "Version": frozenset({"2018-01-20", "2022-01-01"}),
    "Format": frozenset({"JSON", "XML"}),
    "SignatureMethod": frozenset({"HMAC-SHA1"}),
    "SignatureVersion": frozenset({"1.0"}),
}
_PAGING = ("CurrentPage", "PageSize")
#: The parameters of each operation; repeated ones end in a point.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "CancelOTATaskByJob": ("JobId", "CancelQueuedTask", "CancelNotifiedTask", "CancelUnconfirmedTask"),
    "CancelOTATaskByDevice": ("ProductKey", "FirmwareId", "JobId", "DeviceName."),
    "QueryOTAJob": ("JobId",),
    "ListOTATaskByJob": ("JobId", "TaskStatus", "DeviceNames.", *_PAGING),
    "ListOTAJobByFirmware": ("FirmwareId", *_PAGING),
    "ListOTAFirmware": ("ProductKey", "DestVersion", *_PAGING),
}


class Unknown(StrEnum):
    """What happens to a parameter that no document has."""

    IGNORED = "ignored"
    REFUSED = "refused"


class TuyaCloud(RpcCloud):
    """A simulated Tuya instance; use as a context manager, then call `url`.

    `keys` maps access key ids to secrets; `limits` replaces `QPS`. With `versions_needed` a call must carry Version,
    Format and SignatureVersion. `most_names` are taken by one cancel by device. `unknown` parameters, like Alibaba's
    further flags, are ignored or refused. `error_status` is the HTTP status of every error, None: Alibaba's.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str],
        limits: Mapping[str, int] = QPS,
        versions_needed: bool = False,
        most_names: int = 50,
        unknown: Unknown | str = Unknown.IGNORED,
        error_status: int | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        extra_routes: Iterable[BaseRoute] = (),
        port: int = 0,
    ) -> None:
        required = (*COMMON, *_OPTIONAL) if versions_needed else COMMON
        super().__init__(
            keys=keys,
            rules=Rules(required=required, allowed=_ALLOWED, foreign=_FOREIGN),
            operations=lambda fleet: _operations(fleet, most_names),
            limits=limits,
            now=now,
            clock=clock,
            extra_routes=extra_routes,
            port=port,
        )
        self._unknown = Unknown(unknown)
        self._error_status = error_status

    def admit(self, call: RpcCall) -> None:
        """Refuse what the gateway refuses."""
        if call.method != "GET":
            raise RefusedError(405, "UnsupportedHTTPMethod", "This http method is not supported.")
        super().admit(call)
        if self._unknown is Unknown.REFUSED:
            _check_names(call)

    def worded(self, call: RpcCall, refused: RefusedError) -> RefusedError:
        """Give every error the same status, if so wanted."""
        if self._error_status is None or not refused.code:
            return refused
        return RefusedError(self._error_status, refused.code, refused.message or signature_refused(call).message)

    def new_request_id(self) -> str:
        """Return an id as Tuya writes it."""
        return super().new_request_id().lower()

    def answer(self, call: RpcCall, request_id: str, payload: dict[str, Any], refused: RefusedError | None) -> Response:
        """Write the answer in lower camel case, as JSON unless XML is wanted."""
        own = {"Code": ""} | payload if refused is None else _refusal(call, refused)
        shown = own | {"RequestId": request_id, "Success": refused is None}
        return formatted(call, refused.status if refused else 200, _lower_camel(shown), default="JSON")


def _operations(fleet: Fleet, most_names: int) -> Operations:
    dialect = Dialect(
        flags={"CancelQueuedTask": "QUEUED", "CancelNotifiedTask": "NOTIFIED"},
        by_device=("CONFIRM", "QUEUED", "NOTIFIED"),
        most_names=most_names,
        scheduled=False,
    )
    every = RpcOperations(fleet, dialect).by_name
    return {name: every[name] for name in _PARAMETERS}


def _refusal(call: RpcCall, refused: RefusedError) -> dict[str, Any]:
    return {"Code": refused.code, "ErrorMessage": refused.message or signature_refused(call).message}


def _check_names(call: RpcCall) -> None:
    known = {*COMMON, *_OPTIONAL, *_PARAMETERS[call.action]}
    for name in call.params:
        if name not in known and f"{name.split('.')[0]}." not in known:
            raise RefusedError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")


def _lower_camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _lower_camel(inner) for name, inner in value.items()}
    return [_lower_camel(inner) for inner in value] if isinstance(value, list) else value
