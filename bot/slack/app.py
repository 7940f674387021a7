"""The Bolt app over Socket Mode: its listeners, and the connection's life.

Traps that shape it: Bolt's pool is for answers within milliseconds, never for work; when it is full a listener runs
after Slack has given up, and Bolt asks the next one that matches; so each kind of thing has one listener, and what is
late is answered and not done.
"""

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import structlog
from slack_bolt import Ack, App, BoltContext, BoltResponse
from slack_sdk import WebClient

from bot.domain.secret import Secret
from bot.domain.wording import COMMAND
from bot.engine.keeper import Halt
from bot.slack.actions import Actions
from bot.slack.commands import IN_TIME, Commands
from bot.slack.form import Form
from bot.slack.form_views import REDRAWING
from bot.slack.home import Homes
from bot.slack.message import Message, said
from bot.slack.people import foreign_team, text_at
from bot.slack.reason_views import BUTTON_OF
from bot.slack.reasons import Reasons
from bot.slack.socket import Handler, quiet
from bot.slack.tokens import NoticingClient, Tokens
from bot.slack.watch import Lost, Watch

ANY: Final = re.compile("")
"""Matches every id: a listener that Bolt does not find would mean no acknowledgement, and a warning sign in Slack."""
PERSON: Final = re.compile("[UW][A-Z0-9]{2,20}")
LISTENERS: Final = 40
"""Threads for answers; each is busy for milliseconds, or for 1.5 s while Slack is asked who somebody is."""
GREETING: Final = 1.0
"""Seconds that Slack's hello is waited for once the socket is open."""
LOOK_EVERY: Final = 0.5
"""Seconds between looks at the connection."""
CLOSING: Final = 3.0
"""Seconds that closing waits for what was sent just before, which is answered or late by then."""
LATE: Final = "That reached me too late. Nothing was done; do it again."

log = structlog.get_logger()


def web_client(token: Secret, api_url: str, tokens: Tokens | None = None) -> NoticingClient:
    """Make a client that repeats nothing by itself, and tells `tokens` how Slack takes its token."""
    return NoticingClient(token, api_url, tokens)


class SlackApp:
    """The listeners, connected. `timer` is monotonic, in seconds; `give_up` is told once why there is no use.

    `crowded` is told once how many connections of other processes Slack counts on the same app.
    """

    def __init__(
        self,
        client: WebClient,
        app_token: Secret,
        commands: Commands,
        actions: Actions,
        *,
        form: Form,
        reasons: Reasons,
        homes: Homes,
        timer: Callable[[], float],
        halt: Halt,
        give_up: Callable[[Lost], None] = lambda _lost: None,
        crowded: Callable[[int], None] = lambda _others: None,
    ) -> None:
        self._commands = commands
        self._actions = actions
        self._form = form
        self._reasons = reasons
        self._homes = homes
        self._timer = timer
        self._halt = halt
        self._pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listener")
        self._app = App(client=client, logger=quiet(), listener_executor=self._pool)
        self._app.use(self._stamp)
        self._app.use(self._admit)
        self._app.command(COMMAND)(self._command)
        self._app.action(ANY)(self._pressed)
        self._app.view_submission(ANY)(self._sent)
        self._app.view_closed(ANY)(actions.unknown)
        self._app.shortcut(ANY)(self._shortcut)
        self._app.event(ANY)(self._happened)
        self._app.error(self._failed)
        self._handler = Handler(self._app, app_token, timer=timer)
        self._over, self._deaf = threading.Event(), threading.Event()
        self._watch = Watch(
            self._handler.client,
            ask=client.auth_test,
            tokens=client.tokens if isinstance(client, NoticingClient) else Tokens(timer),
            timer=timer,
            chance=random.random,
            give_up=give_up,
            crowded=crowded,
        )
        self._watching = threading.Thread(target=self._keep_watch, name="slack-watch", daemon=True)

    def connect(self) -> None:
        """Open the socket, let Slack say hello, and keep it open from then on.

        Raises what slack_sdk raises, and OSError, when it does not open.
        """
        self._handler.client.connect()
        session = self._handler.client.session
        if session is not None:
            session.greeted.wait(GREETING)
        self._watching.start()

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return self._handler.client.pulse().open

    def close(self) -> None:
        """Answer what has come in, and close the socket; what comes in meanwhile is answered and not done."""
        self._over.set()
        until = self._timer() + CLOSING
        while self.connected and self._handler.busy and self._timer() < until:
            time.sleep(0.02)
        self._deaf.set()
        try:
            self._handler.close()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - whatever it raises, the process has to come to its end
            log.warning("close_failed", error=type(error).__name__)
        if self._watching.is_alive():
            self._watching.join(CLOSING)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _keep_watch(self) -> None:
        while not (self._over.wait(LOOK_EVERY) or self._halt.asked):
            try:
                self._watch.look()
            except Exception:
                # The thread must not end: without it a dead connection stays dead.
                log.exception("watch_failed")

    def _stamp(self, context: BoltContext, next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt passes it by this name
        received = self._handler.received
        # Once the socket is closed, no acknowledgement is heard any more.
        context["in_time"] = lambda: self._timer() - received < IN_TIME and not self._deaf.is_set()
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
        if team is not None and body.get("type") == "event_callback":
            return ack()  # nobody did anything that could be refused
        if team is not None:
            return self._actions.foreign(ack, body, team)
        next()
        return None

    # --- listeners, in the pool's threads: maybe long after the envelope came in ---------------------------------

    def _command(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        def say(*, text: str, response_type: str) -> None:
            ack(text=text, response_type=response_type)
            if not context["in_time"]():
                # Slack has given up, or is about to: what the acknowledgement says is not shown any more.
                self._actions.tell(body, Message(text=text))

        self._commands.command(cast(Ack, say), body, context)

    def _pressed(self, ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext) -> None:
        if text_at(action, "action_id") in REDRAWING:
            self._form.changed(ack, body)
        else:
            self._actions.pressed(ack, body, action, context)

    def _sent(self, ack: Ack, body: dict[str, Any], view: dict[str, Any], context: BoltContext) -> BoltResponse | None:
        name, late = text_at(view, "callback_id"), not context["in_time"]()
        if name == "cancel_form":
            self._form.submitted(ack, body, view, context)
        elif name in BUTTON_OF:
            self._reasons.submitted(ack, body, context)
        else:
            return self._actions.unknown(ack, body)
        if late:
            # It was refused, in a form that shows Slack's own error instead.
            self._actions.tell(body, said(LATE))
        return None

    def _shortcut(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse | None:
        if text_at(body, "callback_id") != "cancel_form":
            return self._actions.unknown(ack, body)
        if context["in_time"]():
            self._form.shortcut(ack, body)
        else:
            ack()
            self._actions.tell(body, said(LATE))
        return None

    def _happened(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        opened = [text_at(body, "event", name) for name in ("type", "tab")] == ["app_home_opened", "home"]
        if opened and PERSON.fullmatch(text_at(body, "event", "user")):
            self._homes.opened(text_at(body, "event", "user"))

    def _failed(self, error: Exception) -> None:
        log.error("listener_failed", exc_info=error)
