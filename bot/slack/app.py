"""The Bolt app over Socket Mode: its listeners, and the connection's life.

Traps that shape it: Bolt's pool is for answers within milliseconds, never for work; `connect()` returns even when the
handshake was refused; `close()` may raise, and may leave a fresh session behind that nobody reads.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import structlog
from cachetools import TTLCache
from slack_bolt import Ack, App, BoltContext, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.domain.secret import Secret
from bot.domain.wording import COMMAND
from bot.engine.keeper import Halt
from bot.slack.actions import Actions
from bot.slack.commands import IN_TIME, Commands
from bot.slack.form import Form
from bot.slack.form_views import REDRAWING
from bot.slack.message import Message
from bot.slack.people import foreign_team
from bot.slack.reason_views import BUTTON_OF
from bot.slack.reasons import Reasons

ANY: Final = re.compile("")
"""Matches every id: a listener that Bolt does not find would mean no acknowledgement, and a warning sign in Slack."""
LISTENERS: Final = 40
"""Threads for answers; each is busy for milliseconds, or for 1.5 s while Slack is asked who somebody is."""
RECEIVERS: Final = 20
"""Threads that hand envelopes to the listeners and wait for their acknowledgement."""
GREETING: Final = 1.0
"""Seconds that Slack's hello is waited for once the socket is open."""
PING_EVERY: Final = 3
"""Seconds between pings; a socket that ended without a word is found dead after five."""
CLOSING: Final = 5.0
"""Seconds that closing may take."""
TIMEOUT: Final = 10
"""Seconds for a call of Slack's Web API."""

log = structlog.get_logger()


def web_client(token: Secret, api_url: str) -> WebClient:
    """Make a client that repeats nothing by itself: its own retry would post a message twice."""
    return WebClient(token=token.reveal(), base_url=api_url, timeout=TIMEOUT, retry_handlers=[])


class _Handler(SocketModeHandler):
    """Knows when each envelope came in: it may wait for a free thread before any listener sees it."""

    def __init__(self, app: App, app_token: str, *, timer: Callable[[], float]) -> None:
        super().__init__(app, app_token, logger=_quiet(), concurrency=RECEIVERS, ping_interval=PING_EVERY)
        self._timer = timer
        self._arrived: TTLCache[str, float] = TTLCache(10_000, 60, timer=timer)
        self._lock = threading.Lock()
        self._handled = threading.local()
        self.greeted = threading.Event()
        """Set when Slack has said hello: from then on it sends envelopes."""
        self.client.on_message_listeners.append(self._note)

    @property
    def received(self) -> float:
        """When the envelope that this thread handles came in."""
        return getattr(self._handled, "received", None) or self._timer()

    def handle(self, client: Any, req: SocketModeRequest) -> None:
        """Hand an envelope to the app."""
        with self._lock:
            self._handled.received = self._arrived.pop(req.envelope_id, None)
        super().handle(client, req)

    def _note(self, message: str) -> None:
        if not self.greeted.is_set() and re.search(r'"type"\s*:\s*"hello"', message):
            self.greeted.set()
        found = re.search(r'"envelope_id"\s*:\s*"([^"]{1,100})"', message)
        if found:
            with self._lock:
                self._arrived.setdefault(found[1], self._timer())


class SlackApp:
    """The listeners, connected. `timer` is monotonic, in seconds."""

    def __init__(
        self,
        client: WebClient,
        app_token: Secret,
        commands: Commands,
        actions: Actions,
        *,
        form: Form,
        reasons: Reasons,
        timer: Callable[[], float],
        halt: Halt,
    ) -> None:
        self._commands = commands
        self._actions = actions
        self._timer = timer
        self._halt = halt
        self._pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listener")
        self._app = App(client=client, logger=_quiet(), listener_executor=self._pool)
        self._app.use(self._stamp)
        self._app.use(self._admit)
        self._app.command(COMMAND)(self._command)
        self._app.action(re.compile(f"^({'|'.join(REDRAWING)})$"))(form.changed)
        self._app.view("cancel_form")(form.submitted)
        for name in BUTTON_OF:
            self._app.view(name)(reasons.submitted)
        self._app.shortcut("cancel_form")(form.shortcut)
        # One listener for all buttons: Bolt asks the next one that matches when the first takes too long.
        self._app.action(ANY)(actions.pressed)
        self._app.view_submission(ANY)(actions.unknown)
        self._app.view_closed(ANY)(actions.unknown)
        self._app.shortcut(ANY)(actions.unknown)
        self._app.error(self._failed)
        self._handler = _Handler(self._app, app_token.reveal(), timer=timer)

    def connect(self, *, within: float) -> bool:
        """Open the socket and let Slack say hello; returns whether it is open within so many seconds."""
        self._handler.connect()  # type: ignore[no-untyped-call]
        until = self._timer() + within
        while not self.connected and self._timer() < until:
            time.sleep(0.02)
        return self.connected and (self._handler.greeted.wait(GREETING) or self.connected)

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return bool(self._handler.client.is_connected())

    def close(self) -> None:
        """Close the socket, again if a swap of sessions has just opened a fresh one."""
        until = self._timer() + CLOSING
        while self._timer() < until:
            try:
                self._handler.close()  # type: ignore[no-untyped-call]
            except Exception as error:  # noqa: BLE001 - whatever it raises, the socket has to be closed
                # Bolt's close() runs into its own swap of sessions; the loop comes back to it.
                log.debug("close_failed", error=type(error).__name__)
            if not self.connected:
                break
            time.sleep(0.2)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _stamp(self, context: BoltContext, next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt passes it by this name
        received = self._handler.received
        # Once the process is leaving, the socket closes and no acknowledgement is heard any more.
        context["in_time"] = lambda: self._timer() - received < IN_TIME and not self._halt.asked
        next()

    def _admit(
        self,
        ack: Ack,
        body: dict[str, Any],
        context: BoltContext,
        next: Callable[[], Any],  # noqa: A002 - Bolt passes it by this name
    ) -> BoltResponse | None:
        own = context.authorize_result
        team = foreign_team(body, team=own.team_id if own else None, enterprise=own.enterprise_id if own else None)
        if team is not None:
            return self._actions.foreign(ack, body, team)
        next()
        return None

    def _command(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        def say(*, text: str, response_type: str) -> None:
            ack(text=text, response_type=response_type)
            if not context["in_time"]():
                # Slack has given up, or is about to: what the acknowledgement says is not shown any more.
                self._actions.tell(body, Message(text=text))

        self._commands.command(cast(Ack, say), body, context)

    def _failed(self, error: Exception) -> None:
        log.error("listener_failed", exc_info=error)


def _quiet() -> logging.Logger:
    """Return a logger for Bolt that never goes below INFO: at DEBUG it writes whole messages and tokens."""
    logger = logging.getLogger("bolt")
    logger.setLevel(logging.WARNING)
    return logger
