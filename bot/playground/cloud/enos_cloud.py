"""Simulates EnOS: the API gateway's token service and connect-service's upgrade jobs, on a loopback port."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bot.playground.cloud.calls import RefusedError
from bot.playground.cloud.cloud_server import Answers, CloudServer, json_object, json_response
from bot.playground.cloud.enos_operations import FAILED, STEPS, EnosCall, EnosOperations, Mixed
from bot.playground.cloud.enos_tokens import TOKEN_SERVICE, Tokens
from bot.playground.cloud.faults import FaultKind
from bot.playground.cloud.fleet import Fleet

OTA_JOBS = "/connect-service/v2.1/ota-jobs"
_TOKEN_ACTIONS = ("token/get", "token/refresh")
_PATHS = frozenset({OTA_JOBS, *(TOKEN_SERVICE + action for action in _TOKEN_ACTIONS)})
_THROTTLED = (429, "429", "API rate limit exceeded")
_BEFORE: Answers = {
    FaultKind.THROTTLE: _THROTTLED,
    FaultKind.HTTP_401: (401, "401", "Invalid authentication credentials"),
    FaultKind.HTTP_403: (403, "403", "Your IP address is not allowed"),
    FaultKind.HTTP_413: (413, "413", "Request size limit exceeded"),
    FaultKind.HTTP_500: (500, "500", "An unexpected error occurred"),
    FaultKind.HTTP_503: (503, "503", "Service unavailable"),
    FaultKind.SIGNATURE_REFUSED: (401, "401", "Invalid authentication credentials"),
    FaultKind.PARAMETER_REFUSED: (200, "99400", "Invalid parameter"),
    FaultKind.PERMISSION_REFUSED: (200, "99403", "Missing permission"),
    FaultKind.SYSTEM_EXCEPTION: (200, "99500", "Internal error"),
    FaultKind.SERVICE_ERROR: (200, "24500", "OTA service internal error"),
}
_AFTER: Answers = {
    FaultKind.SYSTEM_EXCEPTION_AFTER: (200, "99500", "Internal error"),
    FaultKind.SERVICE_ERROR_AFTER: (200, "24500", "OTA service internal error"),
}
#: The token service has numbers of its own for what goes wrong everywhere.
_TOKEN_CODES = {"99400": "1004", "99403": "1002", "99500": "1005", "24500": "1005"}


class EnosCloud(CloudServer[EnosCall]):
    """A simulated EnOS; use as a context manager, then call `url` + a path.

    `keys` maps application keys to secrets. `limits` are calls per second of an action (EnOS documents none).
    `org_id` is the only organization, None: any. A token is good for `token_seconds`, with `refresh_ends` at most until
    it is refreshed. `mixed` is what a cancel does with devices of which some cannot be cancelled. A cancel shows after
    `settle` seconds; in jobs with `retry`, cancelled tasks come back `revive_after` seconds later (None: never).
    `most_keys` and `most_bytes` limit a cancel's devices and any body. Without `pagination` searches do not tell their
    total. `error_status` is the HTTP status of connect-service's errors.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str],
        org_id: str | None = None,
        limits: Mapping[str, int] | None = None,
        token_seconds: int = 7200,
        refresh_ends: bool = False,
        mixed: Mixed | str = Mixed.ATOMIC,
        settle: float = 0.0,
        revive_after: float | None = None,
        most_keys: int | None = None,
        most_bytes: int | None = None,
        pagination: bool = True,
        error_status: int = 200,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        extra_routes: Iterable[BaseRoute] = (),
        port: int = 0,
    ) -> None:
        fleet = Fleet(
            steps=STEPS,
            canceled=FAILED,
            running="started",
            entry=STEPS[0],
            revive_after=revive_after,
            clock=clock,
            now=now,
        )
        super().__init__(
            fleet=fleet,
            limits=limits or {},
            before=_BEFORE,
            after=_AFTER,
            clock=clock,
            extra_routes=extra_routes,
            port=port,
        )
        self._tokens = Tokens(keys=dict(keys), seconds=token_seconds, clock=clock, refresh_ends=refresh_ends)
        self._org_id = org_id
        self._most_bytes = most_bytes
        self._error_status = error_status
        self._operations = EnosOperations(
            fleet=fleet,
            org_id=org_id,
            mixed=Mixed(mixed),
            settle=settle,
            most_keys=most_keys,
            pagination=pagination,
        ).by_name

    def expire_tokens(self) -> None:
        """Make an end of all tokens now, whatever was said of them."""
        self._tokens.expire()

    def serves(self, method: str, path: str) -> bool:
        """Tell whether a request is for one of the services."""
        return path in _PATHS and method in {"GET", "POST"}

    async def read(self, request: Request) -> EnosCall:
        """Read parameters, headers and body."""
        at, body, params, path = self.clock(), await request.body(), dict(request.query_params), request.url.path
        wanted = json_object(body)
        action = path.removeprefix(TOKEN_SERVICE) if path != OTA_JOBS else params.get("action", "")
        return EnosCall(
            at=at,
            action=action,
            shown={name: value for name, value in params.items() if name != "action"} | _shown(wanted or {}),
            trouble=self.faults.take(action),
            method=request.method,
            path=path,
            params=params,
            headers=request.headers,
            body=body,
            wanted=wanted,
        )

    def admit(self, call: EnosCall) -> None:
        """Refuse what the gateway refuses, and calls without an organization."""
        if self._most_bytes is not None and len(call.body) > self._most_bytes:
            raise RefusedError(413, "413", "Request size limit exceeded")
        if call.method != "POST" and call.action != "get":
            raise RefusedError(405, "405", "Method not allowed")
        account = self._account(call)
        if not self.rates.passes(account, call.action):
            raise RefusedError(*_THROTTLED)
        if call.path == OTA_JOBS:
            self._check_organization(call)

    def _account(self, call: EnosCall) -> str:
        if call.path != OTA_JOBS:
            return str((call.wanted or {}).get("appKey"))
        return self._tokens.check(
            token=call.headers.get("apim-accesstoken", ""),
            params=call.params,
            body=call.body,
            timestamp=call.headers.get("apim-timestamp", ""),
            signed=call.headers.get("apim-signature", ""),
        )

    def _check_organization(self, call: EnosCall) -> None:
        if call.action not in self._operations or not call.params.get("orgId"):
            raise RefusedError(200, "99400", "Invalid parameter: action and orgId are needed")
        if self._org_id not in {None, call.params["orgId"]}:
            raise RefusedError(200, "99403", "Missing permission")

    def perform(self, call: EnosCall) -> dict[str, Any]:
        """Do what the action does."""
        if call.path != OTA_JOBS:
            return {"data": self._tokens.serve(call.action, call.wanted)}
        return self._operations[call.action](call)

    def worded(self, call: EnosCall, refused: RefusedError) -> RefusedError:
        """Give an error of a service its number and status; the gateway's own stay."""
        if refused.status != HTTPStatus.OK:
            return refused
        code, status = refused.code, self._error_status
        if call.path != OTA_JOBS:
            code, status = _TOKEN_CODES.get(code, code), 200
        return RefusedError(status, code, refused.message)

    def answer(
        self, call: EnosCall, request_id: str, payload: dict[str, Any], refused: RefusedError | None
    ) -> Response:
        """Write the answer in the envelope of the gateway, of the token service or of connect-service."""
        if refused is not None and refused.code == str(refused.status):
            return json_response(call, refused.status, {"message": refused.message})
        status, code = (refused.status, int(refused.code)) if refused else (200, 0)
        rest = {"data": None} if refused else payload
        if call.path != OTA_JOBS:
            own = {"status": code, "msg": refused.message if refused else "SUCCESS", "business": "apim-token-service"}
            return json_response(call, status, own | rest)
        own = {"code": code, "msg": refused.message if refused else "OK", "requestId": request_id}
        return json_response(call, status, own | rest)


def _shown(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return what the log may tell of a body: device keys, one by one, and what a search asks for."""
    keys, pagination = wanted.get("deviceKeys"), wanted.get("pagination")
    rest = {**wanted, **(pagination if isinstance(pagination, dict) else {})}
    named = {f"deviceKeys.{number}": str(key) for number, key in enumerate(keys if isinstance(keys, list) else (), 1)}
    return named | {name: str(rest[name]) for name in ("expression", "pageNo", "pageSize", "timestamp") if name in rest}
