"""Serves a simulated cloud: faults, latency, silence, and the log of calls, whatever the vendor."""

import asyncio
import json
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from bot.playground.cloud.calls import Arrival, Call, Rates, RefusedError
from bot.playground.cloud.faults import CONDITIONS, SPOILERS, FaultKind, Faults, abort, encoded, retry_header
from bot.playground.cloud.fleet import Fleet
from bot.playground.server import Server

C = TypeVar("C", bound=Call)
#: The status, code and message of the answer to a fault; status 0 is silence.
Answers = Mapping[FaultKind, tuple[int, str, str]]

_SILENT: Answers = {
    FaultKind.DROP_BEFORE: (0, "", ""),
    FaultKind.HANG: (0, "", ""),
    FaultKind.HTTP_502_HTML: (502, "", ""),
}
_SILENT_AFTER: Answers = {FaultKind.DROP_AFTER: (0, "", ""), FaultKind.HANG_AFTER: (0, "", "")}
_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class CloudServer(Server, Generic[C]):
    """What the simulated clouds have in common; a vendor reads, admits, performs and answers its calls.

    `before` and `after` are a vendor's answers to faults before and after the work; what they lack cannot be added.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        limits: Mapping[str, int],
        before: Answers,
        after: Answers,
        clock: Callable[[], float] = time.monotonic,
        extra_routes: Iterable[BaseRoute] = (),
        port: int = 0,
    ) -> None:
        super().__init__(self, port=port)
        self._before, self._after = {**_SILENT, **before}, {**_SILENT_AFTER, **after}
        self.fleet = fleet
        self.faults = Faults(kinds=CONDITIONS | SPOILERS | self._before.keys() | self._after.keys())
        self.arrivals: list[Arrival] = []
        self.rates = Rates(limits, clock=clock)
        self.clock = clock
        self._beside = Starlette(routes=list(extra_routes))
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def limits(self) -> dict[str, int]:
        """Calls per second, account and action; can be changed while the cloud runs."""
        return self.rates.limits

    @abstractmethod
    def serves(self, method: str, path: str) -> bool:
        """Tell whether a request is for the cloud; others go to the routes beside it."""

    @abstractmethod
    async def read(self, request: Request) -> C:
        """Read a request; must not refuse anything."""

    @abstractmethod
    def admit(self, call: C) -> None:
        """Let a call pass or raise `RefusedError`."""

    @abstractmethod
    def perform(self, call: C) -> dict[str, Any]:
        """Do a call's work and return what it answers, or raise `RefusedError`."""

    @abstractmethod
    def answer(self, call: C, request_id: str, payload: dict[str, Any], refused: RefusedError | None) -> Response:
        """Write the answer to a call."""

    def worded(self, call: C, refused: RefusedError) -> RefusedError:  # noqa: ARG002 - for vendors
        """Return a refusal with the status and code that this vendor gives it."""
        return refused

    def new_request_id(self) -> str:
        """Return the id of one more request."""
        return str(uuid.uuid4())

    def stop(self) -> None:
        """Let go of the calls that hang, and stop serving."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._closing.set)
        super().stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "http" and self.serves(scope["method"], scope["path"]):
            await self._serve(scope, receive, send)
        else:
            await self._beside(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        call, request_id = await self.read(Request(scope, receive)), self.new_request_id()
        payload, executed, refused = await self._answered(call)
        self._record(call, request_id, executed=executed, refused=refused)
        if refused is None or refused.status:
            await self._written(call, request_id, payload, refused)(scope, receive, send)
            return
        if call.trouble.mishap is not None and call.trouble.kind in {FaultKind.HANG, FaultKind.HANG_AFTER}:
            await self._pause(call.trouble.mishap.seconds)
        abort(send)
        # The server complains of a missing answer until it knows that the connection is gone.
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _answered(self, call: C) -> tuple[dict[str, Any], bool, RefusedError | None]:
        executed = False
        try:
            _meet(call, self._before)
            self.admit(call)
            await self._pause(call.trouble.latency)
            payload = self.perform(call)
            executed = True
            _meet(call, self._after)
        except RefusedError as refused:
            return {}, executed or refused.executed, self.worded(call, refused)
        return payload, executed, None

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the cloud lives."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    def _record(self, call: C, request_id: str, *, executed: bool, refused: RefusedError | None) -> None:
        arrival = Arrival(
            at=call.at,
            action=call.action,
            params=call.shown,
            status=200 if refused is None else refused.status,
            code="" if refused is None else refused.code,
            request_id=request_id,
            executed=executed,
        )
        self.arrivals.append(arrival)

    def _written(self, call: C, request_id: str, payload: dict[str, Any], refused: RefusedError | None) -> Response:
        if call.trouble.kind is FaultKind.HTTP_502_HTML:
            return Response(_HTML_502, 502, media_type="text/html")
        response = self.answer(call, request_id, payload, refused)
        response.headers.update(retry_header(call.trouble.mishap))
        return response


def json_response(call: Call, status: int, payload: dict[str, Any]) -> Response:
    """Write an answer as JSON, spoiled if the call meets a fault that spoils."""
    return Response(encoded(payload, call.trouble.kind), status, media_type="application/json")


def json_object(text: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _meet(call: Call, answers: Answers) -> None:
    mishap = call.trouble.mishap
    if mishap is not None and mishap.kind in answers:
        raise RefusedError(*answers[mishap.kind])
