"""The local Slack's end of Socket Mode: tickets, connections, envelopes and their acknowledgements."""

import asyncio
import concurrent.futures
import json
import socket
import struct
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.playground.slack.values import Payload

_MOST_CONNECTIONS = 10


@dataclass(slots=True, eq=False)
class _Link:
    websocket: WebSocket
    loop: asyncio.AbstractEventLoop
    silent: bool = False

    def send(self, message: Payload) -> None:
        if self.silent:
            return
        asyncio.run_coroutine_threadsafe(self.websocket.send_text(json.dumps(message)), self.loop)

    def reset(self) -> None:
        # With no time to linger, TCP sends a reset; an ordinary end is not even noticed by slack_sdk for five pings.
        transport = self.websocket.scope["transport"]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.loop.call_soon_threadsafe(transport.abort)

    def end(self) -> None:
        self.websocket.scope["transport"].get_extra_info("socket").shutdown(socket.SHUT_WR)

    def fall_silent(self) -> None:
        # What is not read is not answered either: uvicorn would answer pings by itself.
        self.silent = True
        self.loop.call_soon_threadsafe(self.websocket.scope["transport"].pause_reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """How an envelope ended: `after` seconds, or None with the `failure` that the person sees."""

    after: float | None
    answer: Payload | None = None
    failure: str | None = None


class Sockets:
    """The connections of one app; `ack_within` in seconds, `on_change` is called when they come and go."""

    def __init__(self, *, app_id: str, ack_within: float, on_change: Callable[[], None]) -> None:
        self.ack_within = ack_within
        self.late_acks: list[str] = []
        self.refuse = 0
        """How many of the next connections are refused at the handshake."""
        self.mute = False
        """Whether new connections stay open and bring nothing: no hello, no answer to a ping, no envelope."""
        self.others = 0
        """Connections of other copies of the app, which `hello` counts."""
        self._app_id = app_id
        self._on_change = on_change
        self._tickets: set[str] = set()
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        # The same envelope may be out more than once: each acknowledgement is for the delivery that waits longest.
        self._waiting: defaultdict[str, deque[concurrent.futures.Future[Payload | None]]] = defaultdict(deque)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def new_ticket(self) -> str:
        """Return a ticket that opens one connection."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return ticket

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection until it ends; a ticket that was never given, or is used up, is refused with 403."""
        ticket = websocket.path_params["ticket"]
        refused, self.refuse = self.refuse > 0, max(0, self.refuse - 1)
        if refused or ticket not in self._tickets:
            await websocket.close()
            return
        self._tickets.remove(ticket)
        await websocket.accept()
        if len(self._links) >= _MOST_CONNECTIONS:
            await websocket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await websocket.close()
            return
        link = _Link(websocket, asyncio.get_running_loop())
        if self.mute:
            link.fall_silent()
        else:
            await websocket.send_json(self._hello())
        with self._lock:
            given_up = [old for old in self._links if old.silent]
            self._links.append(link)
        for old in given_up:
            old.reset()
        self._on_change()
        try:
            await self._listen(websocket)
        finally:
            with self._lock:
                self._links.remove(link)
            self._on_change()

    def _hello(self) -> Payload:
        return {
            "type": "hello",
            "num_connections": len(self._links) + self.others + 1,
            "debug_info": {"host": "local", "build_number": 1, "approximate_connection_time": 3600},
            "connection_info": {"app_id": self._app_id},
        }

    async def _listen(self, websocket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                message = await websocket.receive_json()
                self._acknowledged(message)

    def _acknowledged(self, message: Payload) -> None:
        # Taken from whatever connection it comes on: slack_sdk acknowledges on the new one after a refresh.
        name = str(message.get("envelope_id"))
        with self._lock:
            waiting = self._waiting[name].popleft() if self._waiting.get(name) else None
            if waiting is not None:
                waiting.set_result(message.get("payload"))
        if waiting is None:
            self.late_acks.append(name)
            self._on_change()

    def deliver(self, envelope: Payload) -> Ack:
        """Send an envelope over one of the connections, in turn, and wait for its acknowledgement.

        Never call it from the server's own loop.
        """
        name = envelope["envelope_id"]
        waiting: concurrent.futures.Future[Payload | None] = concurrent.futures.Future()
        with self._lock:
            if not self._links:
                return Ack(after=None, failure="dispatch_failed")
            self._links.append(self._links.pop(0))
            link = self._links[-1]
            self._waiting[name].append(waiting)
        began = time.monotonic()
        link.send(envelope)
        concurrent.futures.wait([waiting], timeout=self.ack_within)
        with self._lock:
            if not waiting.done():
                self._waiting[name].remove(waiting)
            if not self._waiting[name]:
                del self._waiting[name]
        if not waiting.done():
            return Ack(after=None, failure="operation_timeout")
        return Ack(after=time.monotonic() - began, answer=waiting.result())

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every connection to go: `warning`, `refresh_requested` or `link_disabled`; the client is to leave."""
        for link in tuple(self._links):
            link.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "local"}})

    def silence(self) -> None:
        """Let every connection stay open and bring nothing any more, not even answers to pings."""
        for link in tuple(self._links):
            link.fall_silent()

    def end(self) -> None:
        """End every connection as TCP does, without a word of WebSocket's."""
        for link in tuple(self._links):
            link.end()

    def drop(self) -> None:
        """Reset every connection without a word, as a broken network does."""
        for link in tuple(self._links):
            link.reset()


def envelope(kind: str, payload: Payload, *, accepts_answer: bool) -> dict[str, Any]:
    """Wrap a payload; events carry the retry fields that Slack sends."""
    retry = {"retry_attempt": 0, "retry_reason": ""} if kind == "events_api" else {}
    return {
        "envelope_id": str(uuid.uuid4()),
        "type": kind,
        "payload": payload,
        "accepts_response_payload": accepts_answer,
        **retry,
    }
