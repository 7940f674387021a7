"""The Socket Mode connection: opened when it is told to, replaced without a gap, closed for good.

Traps of slack_sdk that shape it: on its own the client asks for a new connection every few seconds and sleeps on a 429
in the thread that hands out envelopes; a refused handshake counts as a connection, for which the working one is
closed; while it swaps connections the new one may stay unread for 3 s, and `close()` may raise or leave a fresh one
behind. So opening and closing are done here, by one thread at a time, and the client only reads, pings and writes.
"""

import json
import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from cachetools import TTLCache
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientNotConnectedError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.builtin.connection import Connection, ConnectionState
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.domain.secret import Secret
from bot.slack.payloads import refusal, usable
from bot.slack.watch import PING_EVERY, Pulse

RECEIVERS: Final = 20
"""Threads that hand envelopes to the listeners and wait for their acknowledgement."""
KEPT: Final = 600
"""Seconds for which it is known when an envelope came in; one that waits for longer is late in any case."""
NEVER: Final = float("-inf")

log = structlog.get_logger()


class _Session:
    """One connection, and what was heard on it."""

    def __init__(self, now: float, own: int) -> None:
        self.connection: Connection | None = None
        self.opened = self.heard = now
        self.own = own
        """This process's connections while it was opened, itself among them."""
        self.greeted = threading.Event()
        self.leaving = ""
        self.others = 0
        self.pong: float | None = None

    @property
    def active(self) -> bool:
        return self.connection is not None and bool(self.connection.is_active())


class _Client(SocketModeClient):
    """slack_sdk's client without its own opening of connections."""

    def __init__(self, app_token: str, web_client: WebClient, timer: Callable[[], float]) -> None:
        super().__init__(
            app_token,
            logger=quiet(),
            web_client=web_client,
            auto_reconnect_enabled=False,
            ping_interval=PING_EVERY,
            concurrency=RECEIVERS,
            proxy=web_client.proxy,
        )
        self._timer = timer
        self._opening = threading.Lock()
        self.session: _Session | None = None
        self.alive = timer()
        self.arrived: TTLCache[str, deque[float]] = TTLCache(10_000, KEPT, timer=timer)
        """When the deliveries of each envelope came in that are not handled yet, in order."""
        self.lock = threading.Lock()

    def connect(self) -> None:
        """Open a connection, and let go of the old one only when there is another.

        Raises what slack_sdk raises, and OSError.
        """
        with self._opening:
            url = self.web_client.apps_connections_open(app_token=self.app_token)["url"]
            old, state = self.session, self.current_session_state
            session = _Session(self._timer(), own=1 + int(old is not None and old.active))
            connection = self._connected(url, session)
            if self.closed or not connection.is_active():
                connection.close()
                raise SlackClientNotConnectedError("the socket did not open")
            fresh = ConnectionState()  # type: ignore[no-untyped-call]
            self.session, self.current_session_state, self.current_session = session, fresh, connection
            self._hang_up(old, state)
            if self.closed:  # meanwhile, and whoever closed it may not have seen this connection
                self._hang_up(session, fresh)
                raise SlackClientNotConnectedError("closed meanwhile")
            if not self.current_app_monitor_started:
                self.current_app_monitor_started = True
                self.current_app_monitor.start()

    def _connected(self, url: str, session: _Session) -> Connection:
        session.connection = Connection(
            url=url,
            logger=self.logger,
            ping_interval=self.ping_interval,
            receive_buffer_size=self.receive_buffer_size,
            proxy=self.proxy,
            proxy_headers=self.proxy_headers,
            on_message_listener=partial(self._heard, session),
            on_error_listener=self._on_error,
            on_close_listener=self._on_close,
            ssl_context=self.web_client.ssl,
        )
        session.connection.connect()
        return session.connection

    def close(self) -> None:
        """Close for good: a connection that is being opened meanwhile is closed by whoever opens it."""
        self.closed = True
        self._hang_up(self.session, self.current_session_state)
        self.enqueue_message("")  # or its thread would wait a second for a message before it sees that it is over
        super().close()

    def _hang_up(self, session: _Session | None, state: ConnectionState) -> None:
        if session is None or session.connection is None:
            return
        state.terminated = True
        sock = session.connection.sock
        if sock is not None:
            # Its reader holds the connection's lock for up to 3 s. The plain call, because that of a TLS socket would
            # drop the encryption of what another thread still writes.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RD)
        with suppress(AttributeError, OSError):  # its reader may be closing it at the same moment
            session.connection.close()

    def _heard(self, session: _Session, text: str) -> None:
        """Take a message from a connection: note when it came, before any other thread sees it."""
        now = session.heard = self._timer()
        try:
            message = json.loads(text)
        except ValueError:
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            session.others = max(0, _count(message.get("num_connections")) - session.own)
            session.greeted.set()
        elif kind == "disconnect":
            self._told_to_go(session, str(message.get("reason") or "disconnect"))
        elif kind is not None:
            self.alive = now
            name = message.get("envelope_id")
            # slack_sdk fails at an envelope with anything else in it, and nobody handles that.
            if isinstance(name, str) and isinstance(message.get("payload"), dict | str):
                with self.lock:
                    self.arrived.setdefault(name, deque()).append(now)
            self._on_message(text)

    def _told_to_go(self, session: _Session, reason: str) -> None:
        session.leaving = reason
        if reason == "link_disabled":
            # Slack's settings, not a refresh: nothing is heard until somebody switches it on again.
            log.error("socket_mode_switched_off", advice="switch Socket Mode on again in the app's settings at Slack")

    def pulse(self) -> Pulse:
        """Return how the connection is now."""
        session, now = self.session, self._timer()
        if session is None or session.connection is None:
            return Pulse(open=False, opened=NEVER, heard=NEVER, alive=self.alive)
        pong = session.connection.last_ping_pong_time
        if pong != session.pong:  # it is of the wall clock, which may step
            session.pong, session.heard, self.alive = pong, now, now
        return Pulse(
            open=session.active and not _ended(session.connection.sock),
            opened=session.opened,
            heard=session.heard,
            alive=self.alive,
            leaving=session.leaving,
            others=session.others,
        )


class Handler(SocketModeHandler):
    """Hands envelopes to the app, and knows when each came in: it may wait for a free thread before that."""

    def __init__(self, app: App, app_token: Secret, *, timer: Callable[[], float]) -> None:
        # Not the parent's: it would make a client that opens connections on its own.
        self.app = app
        self.app_token = app_token.reveal()
        self._timer = timer
        self.client: _Client = _Client(self.app_token, app.client, timer)
        self.client.socket_mode_request_listeners.append(self.handle)
        self._handled = threading.local()
        self._busy = 0

    @property
    def received(self) -> float:
        """When the envelope that this thread handles came in, in the past for one of which that is not known any more.

        What does not come from the socket comes now.
        """
        return getattr(self._handled, "received", None) or self._timer()

    @property
    def busy(self) -> bool:
        """Whether an envelope has come in and is not answered yet."""
        with self.client.lock:
            return self._busy > 0 or any(self.client.arrived.values())

    def handle(self, client: Any, req: SocketModeRequest) -> None:
        """Hand an envelope to the app; of one that Bolt could not read nothing is done, and that is said."""
        with self.client.lock:
            arrivals = self.client.arrived.get(req.envelope_id)
            self._handled.received = arrivals.popleft() if arrivals else NEVER
            self._busy += 1
        try:
            if usable(req.payload):
                super().handle(client, req)
                return
            log.warning("payload_unusable", kind=req.type)
            client.send_socket_mode_response(SocketModeResponse(req.envelope_id, refusal(req.payload)))
        finally:
            with self.client.lock:
                self._busy -= 1


def _ended(sock: socket.socket | None) -> bool:
    """Tell whether the other end has closed without a word: slack_sdk reads on and on there, until five pings fail."""
    poll = select.poll()
    try:
        poll.register(sock or -1, getattr(select, "POLLRDHUP", select.POLLHUP))
        return bool(poll.poll(0))
    except (OSError, ValueError):  # it was closed just now
        return True


def _count(found: object) -> int:
    return found if isinstance(found, int) else 0


def quiet() -> logging.Logger:
    """Return a logger for Bolt that never goes below INFO: at DEBUG it writes whole messages and tokens."""
    logger = logging.getLogger("bolt")
    logger.setLevel(logging.WARNING)
    return logger
