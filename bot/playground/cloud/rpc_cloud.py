"""What the simulated clouds with Alibaba's RPC interface have in common: one endpoint, parameters, JSON or XML."""

import html
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bot.playground.cloud.calls import RefusedError
from bot.playground.cloud.cloud_server import Answers, CloudServer, json_response
from bot.playground.cloud.faults import FaultKind
from bot.playground.cloud.fleet import Fleet
from bot.playground.cloud.rpc_gate import Key, RpcCall, RpcGate, Rules, signature_refused
from bot.playground.cloud.rpc_operations import Operations

_KEY_MATERIAL = frozenset({"Signature", "AccessKeyId", "SecurityToken"})

_SYSTEM_EXCEPTION = (200, "iot.system.SystemException", "A system exception occurred.")
_NONCE_USED = (400, "SignatureNonceUsed", "Specified signature nonce was used already.")
_BEFORE: Answers = {
    FaultKind.THROTTLE: (400, "Throttling.User", "Request was denied due to user flow control."),
    FaultKind.HTTP_500: (500, "InternalError", "The request processing has failed due to some unknown error."),
    FaultKind.HTTP_503: (503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
    FaultKind.PARAMETER_REFUSED: (200, "iot.common.InvalidFormattedParameter", "A parameter is not valid."),
    FaultKind.PERMISSION_REFUSED: (403, "Forbidden.RAM", "User not authorized to operate on the specified resource."),
    # Its answer tells what was signed, so it is written later.
    FaultKind.SIGNATURE_REFUSED: (400, "SignatureDoesNotMatch", ""),
    FaultKind.SYSTEM_EXCEPTION: _SYSTEM_EXCEPTION,
    FaultKind.NONCE_USED: _NONCE_USED,
}
_AFTER: Answers = {
    FaultKind.SYSTEM_EXCEPTION_AFTER: _SYSTEM_EXCEPTION,
    FaultKind.NONCE_USED_AFTER: _NONCE_USED,
}


class RpcCloud(CloudServer[RpcCall]):
    """A cloud whose operations are calls of `/` with RPC signature 1.0.

    `extra_routes` are served beside the endpoint.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str | Key],
        rules: Rules,
        operations: Callable[[Fleet], Operations],
        limits: Mapping[str, int],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float],
        extra_routes: Iterable[BaseRoute] = (),
        port: int = 0,
    ) -> None:
        super().__init__(
            fleet=Fleet(clock=clock, now=now),
            limits=limits,
            before=_BEFORE,
            after=_AFTER,
            clock=clock,
            extra_routes=extra_routes,
            port=port,
        )
        self.gate = RpcGate(keys=keys, rules=rules, rates=self.rates, now=now)
        self.operations = operations(self.fleet)

    def serves(self, method: str, path: str) -> bool:
        """Tell whether a request is for the endpoint."""
        return path == "/" and method in {"GET", "POST"}

    async def read(self, request: Request) -> RpcCall:
        """Read query and form."""
        at = self.clock()
        params = dict(request.query_params)
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            params |= dict(QueryParams((await request.body()).decode(errors="replace")))
        action = params.get("Action", "")
        return RpcCall(
            at=at,
            action=action,
            shown={name: value for name, value in params.items() if name not in _KEY_MATERIAL},
            trouble=self.faults.take(action),
            method=request.method,
            host=request.headers.get("host", ""),
            params=params,
        )

    def admit(self, call: RpcCall) -> None:
        """Refuse what the gateway refuses."""
        if call.action and call.action not in self.operations:
            raise RefusedError(404, "InvalidApi.NotFound", "Specified api is not found.")
        self.gate.admit(call)

    def perform(self, call: RpcCall) -> dict[str, Any]:
        """Do what the operation does."""
        return self.operations[call.action](call)

    def new_request_id(self) -> str:
        """Return an id as Alibaba writes it."""
        return str(uuid.uuid4()).upper()

    def error(self, call: RpcCall, refused: RefusedError) -> dict[str, Any]:
        """Write a refusal: the gateway's and the business's have different shapes."""
        if refused.status == HTTPStatus.OK:
            return {"Success": False, "Code": refused.code, "ErrorMessage": refused.message}
        message = refused.message or signature_refused(call).message
        advice = f"https://api.alibabacloud.com/troubleshoot?q={refused.code}&product=Iot"
        return {"HostId": call.host, "Code": refused.code, "Message": message, "Recommend": advice}

    def answer(self, call: RpcCall, request_id: str, payload: dict[str, Any], refused: RefusedError | None) -> Response:
        """Write the answer as JSON, or as XML, which is what a call without Format gets."""
        own = {"Success": True} | payload if refused is None else self.error(call, refused)
        return formatted(call, refused.status if refused else 200, {"RequestId": request_id} | own, default="XML")


def formatted(call: RpcCall, status: int, payload: dict[str, Any], *, default: str) -> Response:
    """Write an answer in the Format that the call wants."""
    if (call.params.get("Format") or default).upper() == "JSON":
        return json_response(call, status, payload)
    tag = f"{call.action}Response" if payload.keys() & {"Success", "success"} else "Error"
    text = f'<?xml version="1.0" encoding="UTF-8"?>{_xml(tag, payload)}'
    return Response(text, status, media_type="text/xml")


def _xml(tag: str, value: Any) -> str:
    """Write a value as Alibaba's XML does: a list is its element, repeated."""
    if isinstance(value, list):
        return "".join(_xml(tag, inner) for inner in value)
    if isinstance(value, dict):
        text = "".join(_xml(name, inner) for name, inner in value.items())
    else:
        text = str(value).lower() if isinstance(value, bool) else html.escape(str(value), quote=False)
    return f"<{tag}>{text}</{tag}>"
