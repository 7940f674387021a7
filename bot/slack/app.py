"""The Bolt app over Socket Mode: its listeners, and the connection's life.

Traps that shape it: Bolt's pool is for answers within milliseconds, never for work; `connect()` returns even when the
handshake was refused; `close()` may raise, and may leave a fresh session behind that nobody reads.
"""

import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from slack_bolt import App, BoltContext
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bot.domain.secret import Secret
from bot.slack.actions import BUTTONS, Actions
from bot.slack.commands import IN_TIME, Commands

LISTENERS: Final = 40
"""Threads for answers; each is busy for milliseconds, or for 1.5 s while Slack is asked who somebody is."""
RECEIVERS: Final = 20
"""Threads that hand envelopes to the listeners and wait for their acknowledgement."""
CLOSING: Final = 5.0
"""Seconds that closing may take."""
TIMEOUT: Final = 10
"""Seconds for a call of Slack's Web API."""

log = structlog.get_logger()


def web_client(token: Secret, api_url: str) -> WebClient:
    """Make a client that repeats nothing by itself: its own retry would post a message twice."""
    return WebClient(token=token.reveal(), base_url=api_url, timeout=TIMEOUT, retry_handlers=[])


class SlackApp:
    """The listeners, connected. `timer` is monotonic, in seconds."""

    def __init__(
        self,
        client: WebClient,
        app_token: Secret,
        commands: Commands,
        actions: Actions,
        *,
        timer: Callable[[], float],
    ) -> None:
        self._timer = timer
        self._pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listener")
        self._app = App(client=client, logger=_quiet(), listener_executor=self._pool)
        self._app.use(self._stamp)
        self._app.command("/ota-cancel")(commands.command)
        self._app.action(re.compile(f"^({'|'.join(BUTTONS)})$"))(actions.pressed)
        self._app.error(self._failed)
        self._handler = SocketModeHandler(self._app, app_token.reveal(), logger=_quiet(), concurrency=RECEIVERS)

    def connect(self, *, within: float) -> bool:
        """Open the socket; returns whether it is open within so many seconds."""
        self._handler.connect()  # type: ignore[no-untyped-call]
        until = self._timer() + within
        while not self.connected and self._timer() < until:
            time.sleep(0.02)
        return self.connected

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
        received = self._timer()
        context["in_time"] = lambda: self._timer() - received < IN_TIME
        next()

    def _failed(self, error: Exception) -> None:
        log.error("listener_failed", exc_info=error)


def _quiet() -> logging.Logger:
    """Return a logger for Bolt that never goes below INFO: at DEBUG it writes whole messages and tokens."""
    logger = logging.getLogger("bolt")
    logger.setLevel(logging.WARNING)
    return logger
