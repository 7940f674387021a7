"""Simulates Alibaba Cloud IoT's endpoint for upgrade jobs, on a loopback port."""

import asyncio
import html
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from bot.playground.cloud.aliyun_operations import AliyunOperations
from bot.playground.cloud.faults import FaultKind, Faults, abort, encoded, retry_header
from bot.playground.cloud.fleet import Fleet
from bot.playground.cloud.rpc_gate import Key, RefusedError, RpcCall, RpcGate, signature_refused
from bot.playground.server import Server

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
_KEY_MATERIAL = frozenset({"Signature", "AccessKeyId", "SecurityToken"})

_SYSTEM_EXCEPTION = (200, "iot.system.SystemException", "A system exception occurred.")
#: The answers of faults that come before the work is done; status 0 is silence.
_BEFORE: Mapping[FaultKind, tuple[int, str, str]] = {
    FaultKind.DROP_BEFORE: (0, "", ""),
    FaultKind.HANG: (0, "", ""),
    FaultKind.THROTTLE: (400, "Throttling.User", "Request was denied due to user flow control."),
    FaultKind.HTTP_500: (500, "InternalError", "The request processing has failed due to some unknown error."),
    FaultKind.HTTP_502_HTML: (502, "", ""),
    FaultKind.SYSTEM_EXCEPTION: _SYSTEM_EXCEPTION,
}
#: The answers of faults that come when the work is done.
_AFTER: Mapping[FaultKind, tuple[int, str, str]] = {
    FaultKind.DROP_AFTER: (0, "", ""),
    FaultKind.HANG_AFTER: (0, "", ""),
    FaultKind.SYSTEM_EXCEPTION_AFTER: _SYSTEM_EXCEPTION,
}
_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One call that came in at `at` (clock seconds): how it was answered and whether its work was done.

    `params` holds no key, token or signature. `status` is 0 for a call that got no answer.
    `code` is empty on success. `executed` is True also when the answer then said otherwise.
    """

    at: float
    action: str
    params: Mapping[str, str]
    status: int
    code: str
    request_id: str
    executed: bool


class AliyunCloud(Server):
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
        super().__init__(self, port=port)
        self.fleet = Fleet(clock=clock, now=now)
        self.faults = Faults()
        self.arrivals: list[Arrival] = []
        self.gate = RpcGate(keys=keys, version="2018-01-20", limits=limits, now=now, clock=clock)
        self._instance_id = instance_id
        self._clock = clock
        self._beside = Starlette(routes=list(extra_routes))
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._operations = AliyunOperations(self.fleet).by_name

    def stop(self) -> None:
        """Let go of the calls that hang, and stop serving."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._closing.set)
        super().stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] in {"GET", "POST"}:
            await self._serve(scope, receive, send)
        else:
            await self._beside(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        call, request_id = await self._read(Request(scope, receive)), str(uuid.uuid4()).upper()
        status, code, executed, payload = 200, "", False, {}
        try:
            self._admit(call)
            await self._pause(call.trouble.latency)
            payload = self._operations[call.action](call)
            executed = True
            _meet(call, _AFTER)
            payload = {"RequestId": request_id, "Success": True} | payload
        except RefusedError as refused:
            status, code = refused.status, refused.code
            payload = _error(call, request_id, refused)
        self._record(call, status=status, code=code, request_id=request_id, executed=executed)
        if status:
            await _response(call, status, payload)(scope, receive, send)
            return
        if call.trouble.mishap is not None and call.trouble.kind in {FaultKind.HANG, FaultKind.HANG_AFTER}:
            await self._pause(call.trouble.mishap.seconds)
        abort(send)
        # The server complains of a missing answer until it knows that the connection is gone.
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _read(self, request: Request) -> RpcCall:
        at = self._clock()
        params = dict(request.query_params)
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            params |= dict(QueryParams((await request.body()).decode()))
        return RpcCall(
            at=at,
            method=request.method,
            host=request.headers.get("host", ""),
            params=params,
            trouble=self.faults.take(params.get("Action", "")),
        )

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the cloud lives."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    def _admit(self, call: RpcCall) -> None:
        _meet(call, _BEFORE)
        if call.trouble.kind is FaultKind.SIGNATURE_REFUSED:
            raise signature_refused(call)
        if call.action and call.action not in self._operations:
            raise RefusedError(404, "InvalidApi.NotFound", "Specified api is not found.")
        self.gate.admit(call)
        if (call.params.get("IotInstanceId") or None) != self._instance_id:
            raise RefusedError(200, "iot.system.InstanceNotFound", "The instance is not found.")

    def _record(self, call: RpcCall, *, status: int, code: str, request_id: str, executed: bool) -> None:
        arrival = Arrival(
            at=call.at,
            action=call.action,
            params={name: value for name, value in call.params.items() if name not in _KEY_MATERIAL},
            status=status,
            code=code,
            request_id=request_id,
            executed=executed,
        )
        self.arrivals.append(arrival)


def _meet(call: RpcCall, answers: Mapping[FaultKind, tuple[int, str, str]]) -> None:
    mishap = call.trouble.mishap
    if mishap is not None and mishap.kind in answers:
        raise RefusedError(*answers[mishap.kind])


def _error(call: RpcCall, request_id: str, refused: RefusedError) -> dict[str, Any]:
    if refused.status == HTTPStatus.OK:
        return {"RequestId": request_id, "Success": False, "Code": refused.code, "ErrorMessage": refused.message}
    return {
        "RequestId": request_id,
        "HostId": call.host,
        "Code": refused.code,
        "Message": refused.message,
        "Recommend": f"https://api.alibabacloud.com/troubleshoot?q={refused.code}&product=Iot",
    }


def _response(call: RpcCall, status: int, payload: dict[str, Any]) -> Response:
    kind = call.trouble.kind
    headers = retry_header(call.trouble.mishap)
    if kind is FaultKind.HTTP_502_HTML:
        return Response(_HTML_502, status, media_type="text/html")
    if call.params.get("Format", "XML").upper() != "JSON":
        tag = f"{call.action}Response" if "Success" in payload else "Error"
        text = f'<?xml version="1.0" encoding="UTF-8"?>{_xml(tag, payload)}'
        return Response(text, status, headers, media_type="text/xml")
    return Response(encoded(payload, kind), status, headers, media_type="application/json")


def _xml(tag: str, value: Any) -> str:
    """Write a value as Alibaba's XML does: a list is its element, repeated."""
    if isinstance(value, list):
        return "".join(_xml(tag, inner) for inner in value)
    if isinstance(value, dict):
        text = "".join(_xml(name, inner) for name, inner in value.items())
    else:
        text = str(value).lower() if isinstance(value, bool) else html.escape(str(value), quote=False)
    return f"<{tag}>{text}</{tag}>"
