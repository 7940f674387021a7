"""The connection against an ill Slack: each illness is found, lived through, and costs no envelope."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError, SlackClientNotConnectedError

from bot.domain.secret import Secret
from bot.engine.keeper import Halt
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.sockets import envelope
from bot.slack.actions import Actions
from bot.slack.app import SlackApp, web_client
from bot.slack.commands import IN_TIME
from bot.slack.socket import KEPT
from bot.slack.watch import SILENT
from bot.wiring.logs import set_up
from tests.builders import ANN
from tests.journeys.stage import until
from tests.slack.conftest import OPS

LEFT_OPEN: Final = "ignore:unclosed <socket:ResourceWarning"
"""slack_sdk leaves the socket of a refused handshake to the garbage collector."""
AT_ONCE: Final = 0.5
"""More seconds than the way of a pong takes here, and fewer than those after which a socket counts as silent."""


class Connected:
    """The real app on a clock turned by hand, without the thread that watches: a test looks when it wants to."""

    def __init__(self, slack: LocalSlack, client: WebClient) -> None:
        self.slack = slack
        self.time = 1000.0
        self.in_time: list[bool] = []
        self.acts = threading.Event()
        self.acts.set()
        nothing = cast(Any, None)
        keeper = cast(Any, SimpleNamespace(answer=lambda _work: None))
        actions = Actions(nothing, nothing, keeper, nothing, Halt(), again=nothing, reasons=nothing)
        self.app = SlackApp(
            client,
            Secret(slack.app_token),
            cast(Any, self),
            actions,
            form=nothing,
            reasons=nothing,
            homes=nothing,
            timer=lambda: self.time,
            halt=Halt(),
        )
        self.client = self.app._handler.client

    def command(self, ack: Any, _body: object, context: dict[str, Any]) -> None:
        """Acknowledge a command, when it may be done."""
        self.acts.wait(5)
        self.in_time.append(context["in_time"]())
        ack(text="done", response_type="ephemeral")

    def connect(self) -> None:
        """Open the connection, and wait until its first ping is answered."""
        before = self.client.session
        self.client.connect()
        assert self.client.session is not before
        if not self.slack.sockets.mute:
            self.answered()

    def answered(self) -> None:
        """Wait until the present connection's ping is answered and noticed, and no older one is left."""
        session = self.client.session
        assert session is not None
        assert session.connection is not None
        found = session.connection
        until(lambda: found.last_ping_pong_time)
        until(lambda: self.slack.connections == 1)
        self.app._watch.look()

    def after(self, seconds: float) -> None:
        """Look again, so many seconds later."""
        self.time += seconds
        self.app._watch.look()

    def acknowledged(self) -> bool:
        """Type a command, and tell whether it is acknowledged."""
        return self.slack.command(ANN, OPS, "help").failure is None


@pytest.fixture
def line(slack: LocalSlack, client: WebClient) -> Iterator[Connected]:
    """Give the app, not connected yet."""
    line = Connected(slack, client)
    yield line
    slack.sockets.refuse, slack.sockets.mute, slack.sockets.others = 0, False, 0
    line.app.close()
    until(lambda: not slack.connections)


def test_a_socket_that_falls_silent_is_replaced(line: Connected) -> None:
    """A connection that stays open and answers no ping any more is replaced, though it looks alive."""
    line.connect()
    line.slack.sockets.silence()

    line.after(SILENT - AT_ONCE)
    before = line.client.session
    line.after(AT_ONCE)

    assert before is not line.client.session
    line.answered()
    assert line.acknowledged()


def test_a_socket_that_never_brought_anything_is_replaced(line: Connected) -> None:
    """A connection on which not even the hello came is replaced, too: slack_sdk would keep it for ever."""
    line.slack.sockets.mute = True
    line.connect()
    line.slack.sockets.mute = False
    assert line.app.connected

    line.after(SILENT)

    line.answered()
    assert line.acknowledged()


def test_a_socket_that_ends_without_a_word_is_replaced(line: Connected) -> None:
    """A connection whose other end is gone is replaced at once, not when five pings have failed."""
    line.connect()
    line.slack.sockets.end()
    until(lambda: not line.app.connected)

    line.after(0)

    line.answered()
    assert line.acknowledged()


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_refused_handshake_costs_no_working_socket(line: Connected) -> None:
    """When Slack warns and then refuses the new connection, the old one goes on until another one opens."""
    line.connect()
    line.slack.disconnect("warning")
    until(lambda: line.client.pulse().leaving)
    line.slack.sockets.refuse = 1
    before = line.client.session

    line.after(0)
    assert before is line.client.session
    assert line.acknowledged()

    line.after(2)
    assert before is not line.client.session
    line.answered()
    assert line.acknowledged()


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_refused_handshake_is_no_connection(line: Connected) -> None:
    """A first connection whose handshake is refused raises, where slack_sdk says that it is established."""
    line.slack.sockets.refuse = 1

    with pytest.raises(SlackClientNotConnectedError):
        line.client.connect()

    assert not line.app.connected


def test_a_refresh_loses_nothing(line: Connected) -> None:
    """When Slack asks for a fresh connection there is one at once, alone, and what is typed then is acknowledged."""
    line.connect()
    line.slack.disconnect("refresh_requested")
    until(lambda: line.client.pulse().leaving)

    line.after(0)
    line.answered()

    assert line.acknowledged()
    assert ([True], []) == (line.in_time, line.slack.sockets.late_acks)


def test_socket_mode_switched_off_is_said(line: Connected) -> None:
    """That Socket Mode was switched off is in the log, with what to do, and the connection is tried again."""
    line.connect()
    with structlog.testing.capture_logs() as logged:
        line.slack.disconnect("link_disabled")
        until(lambda: line.client.pulse().leaving)

    assert [("socket_mode_switched_off", "error")] == [(one["event"], one["log_level"]) for one in logged]
    line.after(0)
    line.answered()
    assert line.acknowledged()


def test_others_are_counted_without_the_own_connections(line: Connected) -> None:
    """What the hello counts is told less this process's own: one at first, two while one replaces the other."""
    line.connect()
    alone = line.client.pulse().others
    line.connect()
    swapped = line.client.pulse().others
    line.slack.sockets.others = 3
    line.connect()

    assert (0, 0, 3) == (alone, swapped, line.client.pulse().others)


def test_a_close_during_a_swap_leaves_nothing_open(line: Connected) -> None:
    """A connection that is being opened while the app closes is closed again, and its opener hears of it."""
    line.connect()
    line.slack.faults.add("apps.connections.open", delay=0.3)
    raised: list[BaseException] = []

    def swap() -> None:
        try:
            line.client.connect()
        except SlackClientError as error:
            raised.append(error)

    swapping = threading.Thread(target=swap)
    swapping.start()
    until(line.client._opening.locked)
    line.app.close()
    swapping.join()

    assert [SlackClientNotConnectedError] == [type(error) for error in raised]
    until(lambda: not line.slack.connections)
    assert not line.app.connected


def test_a_close_at_the_last_moment_of_a_swap_leaves_nothing_open(line: Connected) -> None:
    """A close just before the new connection takes the old one's place closes the new one, too."""
    line.connect()
    opened = line.client._connected

    def closed_meanwhile(url: str, session: Any) -> Any:
        connection = opened(url, session)
        active = connection.is_active

        def last_look() -> bool:
            connection.is_active = active  # type: ignore[method-assign]
            line.client.close()
            return True

        connection.is_active = last_look  # type: ignore[method-assign]
        return connection

    line.client._connected = closed_meanwhile  # type: ignore[method-assign]
    with pytest.raises(SlackClientNotConnectedError):
        line.client.connect()

    until(lambda: not line.slack.connections)
    assert not line.app.connected


def test_what_is_in_flight_is_acknowledged_before_the_close(line: Connected) -> None:
    """A listener that is at work when the app closes comes to its end, and its acknowledgement is heard."""
    line.connect()
    line.acts.clear()
    ends: list[bool] = []
    typing = threading.Thread(target=lambda: ends.append(line.acknowledged()))
    typing.start()
    until(lambda: line.app._handler.busy)
    closing = threading.Thread(target=line.app.close)
    closing.start()
    line.acts.set()
    typing.join()
    closing.join()

    assert ([True], [True]) == (ends, line.in_time)


def test_each_delivery_of_an_envelope_has_its_own_age(line: Connected) -> None:
    """An envelope that is delivered again is as old as this delivery, and one that lay for long is late."""
    line.connect()
    message = envelope("slash_commands", typed(line.slack), accepts_answer=True)
    first = line.slack.deliver(message)
    line.time += 10
    second = line.slack.deliver(message)

    assert ([True, True], None, None) == (line.in_time, first.failure, second.failure)


@pytest.mark.parametrize("waited", [IN_TIME, KEPT + 1.0])
def test_what_waited_for_a_thread_is_late(line: Connected, waited: float) -> None:
    """An envelope that waited for a free thread is late, also after longer than arrivals are remembered."""
    line.connect()
    line.acts.clear()
    line.slack.sockets.ack_within = 0.2
    busy = [line.app._handler.client.message_workers.submit(line.acts.wait) for _ in range(20)]

    assert not line.acknowledged()
    line.time += waited
    line.acts.set()
    until(lambda: line.in_time)

    assert [False] == line.in_time
    line.slack.sockets.ack_within = 3.0
    assert all(one.result() for one in busy)


def typed(slack: LocalSlack) -> dict[str, Any]:
    """Return a command as Slack sends it."""
    return {
        "team_id": "T0LOCAL",
        "user_id": ANN,
        "channel_id": OPS,
        "command": "/ota-cancel",
        "text": "help",
        "response_url": f"{slack.url}/response/none",
    }


class Proxy:
    """A proxy that remembers what it was asked for, and refuses it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                connection.sendall(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Give what is written to stderr; what `set_up` changes is put back."""
    names = (None, "urllib3", "slack_sdk", "bot")
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in names}
    handlers, configured = list(root.handlers), structlog.get_config()
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    structlog.configure(**configured)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_proxys_password_is_not_logged(line: Connected, logged: Callable[[], str]) -> None:
    """When a proxy refuses the socket, what is logged names the proxy without the password in its address."""
    proxy = Proxy()
    address = proxy.url.replace("//", "//robot:hunter%402@")
    set_up(secrets=(), environ={"https_proxy": address, "HTTP_PROXY": "", "NO_PROXY": "a@b"}, verbose=True)
    line.client.proxy = address
    with pytest.raises(SlackClientNotConnectedError):
        line.client.connect()
    logging.getLogger("bolt").error("by itself: hunter@2, and HUNTER%402")
    proxy.close()

    written = logged()
    assert f"proxy: {address.replace('robot:hunter%402', '***')}" in written
    assert "by itself: ***, and ***" in written


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_everything_goes_through_the_proxy(slack: LocalSlack, line: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTPS_PROXY set, the Web API and the socket are both asked for through it."""
    proxy = Proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = web_client(Secret(slack.bot_token), slack.api_url)
    with pytest.raises((SlackClientError, OSError)):
        client.auth_test()
    line.client.proxy = client.proxy

    with pytest.raises((SlackClientError, OSError)):
        line.client.connect()
    proxy.close()

    host = slack.api_url.split("/")[2]
    assert [f"POST {slack.api_url}auth.test HTTP/1.1", f"CONNECT {host} HTTP/1.0"] == proxy.asked
