"""A Slack on this machine, for the demo and the end-to-end tests: real HTTP, real Socket Mode, Slack's own limits.

A bot is connected to it by its sockets alone:
`App(client=WebClient(token=slack.bot_token, base_url=slack.api_url))`, `SocketModeHandler(app, slack.app_token)`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from bot.playground.server import Server
from bot.playground.slack.api import READING, Method
from bot.playground.slack.chat import WRITING, use_hook
from bot.playground.slack.files import FILING, received
from bot.playground.slack.limits import Fault, Faults, Rates
from bot.playground.slack.people import People
from bot.playground.slack.sockets import Ack, Sockets
from bot.playground.slack.values import Call, Payload, Refused
from bot.playground.slack.views import VIEWING
from bot.playground.slack.workspace import APP_ID

SCOPES = ("commands", "chat:write", "users:read", "usergroups:read", "channels:read", "groups:read")
FILE_SCOPES = ("files:read", "files:write")


class LocalSlack(People):
    """A running local Slack; use as a context manager, or `start()` and `stop()`.

    `ack_within`: seconds that the bot has for an acknowledgement. `now`: Unix seconds. `enforce_rates`: answer 429 as
    Slack would. `extra_routes`: more to serve on the same port.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        bot_token: str = "xoxb-local",
        app_token: str = "xapp-local",
        scopes: Sequence[str] = SCOPES + FILE_SCOPES,
        ack_within: float = 3.0,
        enforce_rates: bool = False,
        now: Callable[[], float] = time.time,
        extra_routes: Sequence[BaseRoute] = (),
    ) -> None:
        super().__init__(now=now)
        self.bot_token = bot_token
        self.app_token = app_token
        self.scopes = frozenset(scopes)
        self.faults = Faults()
        self.enforce_rates = enforce_rates
        self.sockets = Sockets(app_id=APP_ID, ack_within=ack_within, on_change=self._socket_changed)
        self._rates = Rates(now)
        methods = {**READING, **WRITING, **VIEWING, **FILING}
        self._methods = methods | {"apps.connections.open": Method(run=self._connections_open)}
        self._server = Server(_Cuttable([*self._routes(), *extra_routes]), port=port)
        self.url = self._server.url
        self.api_url = f"{self.url}/api/"

    def start(self) -> Self:
        """Serve, in a thread."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving; connections end."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """How many Socket Mode connections are open."""
        return self.sockets.connections

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every connection to go: `warning`, `refresh_requested` or `link_disabled`."""
        self.sockets.disconnect(reason)

    def drop_connections(self) -> None:
        """Reset every connection without a word, as a broken network does."""
        self.sockets.drop()

    def deliver(self, message: Payload) -> Ack:
        """Send an envelope to the bot and wait for its acknowledgement."""
        return self.sockets.deliver(message)

    def _socket_changed(self) -> None:
        with self.changing():
            pass

    def _routes(self) -> list[BaseRoute]:
        return [
            Route("/api/{method}", self._web_api, methods=["GET", "POST"]),
            Route("/response/{token}", self._response_url, methods=["POST"]),
            Route("/upload/{file}", self._upload, methods=["POST"]),
            Route("/files/{file}/{name}", self._download),
            WebSocketRoute("/socket/{ticket}", self.sockets.serve),
        ]

    def _connections_open(self, _slack: Any, _args: Payload) -> Payload:
        return {"url": f"ws{self.url.removeprefix('http')}/socket/{self.sockets.new_ticket()}"}

    async def _web_api(self, request: Request) -> Response:
        name = request.path_params["method"]
        args = await _arguments(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or args.pop("token", "")
        args.pop("token", None)
        headers = {"x-oauth-scopes": ",".join(sorted(self.scopes))}
        return await self._carry_out(name, args, lambda: self._call(name, args, token), headers, request)

    async def _response_url(self, request: Request) -> Response:
        args = await _arguments(request)

        def use() -> Payload:
            return use_hook(self, request.path_params["token"], args)

        return await self._carry_out("response_url", args, use, {}, request)

    async def _carry_out(
        self, name: str, args: Payload, run: Callable[[], Payload], headers: dict[str, str], request: Request
    ) -> Response:
        channel = str(args.get("channel") or args.get("channel_id") or "")
        fault = self.faults.take(name, f"{channel}/thread" if args.get("thread_ts") else channel, channel)
        await asyncio.sleep(fault.delay)
        planned = bool(fault.error or fault.status or fault.retry_after is not None or fault.drop or fault.page)
        if not planned or fault.after:
            body = self._logged(name, args, run)
        if planned:
            if not fault.after:
                self._log(name, args, fault.error or "fault")
            return await _spoilt(fault, headers, request)
        if body.get("error") == "ratelimited":
            return JSONResponse(body, 429, {"Retry-After": str(body.pop("retry_after")), **headers})
        failed = name == "response_url" and not body["ok"]
        return JSONResponse(body, 404 if failed else 200, headers)

    def _logged(self, name: str, args: Payload, run: Callable[[], Payload]) -> Payload:
        with self.changing():
            try:
                body = {"ok": True, **run()}
            except Refused as refusal:
                body = {"ok": False, "error": refusal.error, **refusal.more}
            self._log(name, args, body.get("error"))
            return body

    def _log(self, name: str, args: Payload, error: str | None) -> None:
        with self.changing():
            self.calls.append(Call(at=self.now(), method=name, args=dict(args), error=error))

    def _call(self, name: str, args: Payload, token: str) -> Payload:
        method = self._methods.get(name)
        if method is None:
            raise Refused("unknown_method", req_method=name)
        self._authorize(name, method, token)
        wait = self._rates.take(name, args) if self.enforce_rates else 0
        if wait:
            raise Refused("ratelimited", retry_after=wait)
        missing = [need for need in method.needs if args.get(need) in (None, "")]
        if missing:
            messages = [f"[ERROR] missing required field: {need}" for need in missing]
            raise Refused("invalid_arguments", response_metadata={"messages": messages})
        return method.run(self, {**args, "_url": self.url, "_scopes": self.scopes})

    def _authorize(self, name: str, method: Method, token: str) -> None:
        if not token:
            raise Refused("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise Refused("invalid_auth")
        if (token == self.app_token) != (name == "apps.connections.open"):
            raise Refused("not_allowed_token_type")
        if method.scopes and not self.scopes & set(method.scopes):
            raise Refused("missing_scope", needed=",".join(method.scopes), provided=",".join(sorted(self.scopes)))

    async def _upload(self, request: Request) -> Response:
        content = await request.body()
        with self.changing():
            taken = received(self, request.path_params["file"], content)
        if taken:
            return PlainTextResponse(f"OK - {len(content)}")
        return PlainTextResponse("no such file, or not of the length that was announced", 400)

    async def _download(self, request: Request) -> Response:
        stored = self.uploads.get(request.path_params["file"])
        allowed = request.headers.get("authorization") == f"Bearer {self.bot_token}" and "files:read" in self.scopes
        if stored is None or not allowed:
            return PlainTextResponse("no such file, or not for you", 403 if stored else 404)
        return Response(stored.content)


class _Cuttable(Starlette):
    """Knows each request's transport: ASGI has no way to cut a connection without a word."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn's `send` is a method of the object that holds the transport.
        scope["transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await super().__call__(scope, receive, send)


async def _arguments(request: Request) -> Payload:
    body = (await request.body()).decode()
    given: Payload = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        return {**given, **json.loads(body or "{}")}
    return {**given, **dict(parse_qsl(body, keep_blank_values=True))}


async def _spoilt(fault: Fault, headers: dict[str, str], request: Request) -> Response:
    if fault.drop:
        request.scope["transport"].abort()
        await asyncio.sleep(0)
        return Response()
    if fault.retry_after is not None:
        headers = {"Retry-After": str(fault.retry_after), **headers}
        return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
    status = fault.status or 200
    if fault.page:
        return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>", status, headers)
    if fault.error is None:
        return PlainTextResponse("a fault was ordered", status, headers)
    return JSONResponse({"ok": False, "error": fault.error}, status, headers)
