"""What the clouds' tests stand on: a clock turned by hand, an account, and small servers that misbehave on demand."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from requests.adapters import HTTPAdapter

from bot.clouds.http import Http, session
from bot.clouds.rpc_cloud import RpcCloud
from bot.clouds.throttle import Throttle
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.offer import CANCEL_JOB
from bot.domain.plan import Plan, Step
from bot.domain.secret import Secret
from bot.domain.status import Status

START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY_ID: Final = "LTAItest+id/one="
KEY_SECRET: Final = "test+secret/two="
TOKEN: Final = "sts+token/three="


class Clock:
    """A clock that is turned by hand; sleeping on it turns it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = START
        self.slept: list[float] = []
        self.turned: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """Return the time: UTC, aware."""
        return self._at

    def seconds(self) -> float:
        """Return the seconds since 1970."""
        return self._at.timestamp()

    def turn(self, seconds: float) -> None:
        """Turn the clock on."""
        with self._lock:
            self._at += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Turn the clock on, in steps short enough that whoever renews something in `turned` is in time."""
        if seconds > 0:
            self.slept.append(seconds)
        while seconds > 0:
            step = min(seconds, 3.0)
            self.turn(step)
            self.turned()
            seconds -= step


def account(endpoint: str = "https://iot.cn-shanghai.aliyuncs.com", **changes: Any) -> Account:
    """Return an account of Alibaba Cloud; its secrets need percent-encoding."""
    plain = Account(
        name="pumps",
        cloud=Cloud.ALIYUN,
        endpoint=endpoint,
        key_id=Secret(KEY_ID),
        key_secret=Secret(KEY_SECRET),
        quota="main",
        channels=("C0OPS",),
        requesters=("U0ANN",),
        approvers=("U0LEA",),
        qps=Qps(job=5, devices=10, strategy=10, query=10),
        names_per_call=200,
        approval=Approval(),
    )
    return replace(plain, **changes)


def a_plan(*steps: Step, statuses: tuple[Status, ...] = (Status.QUEUED,), per_call: int = 200) -> Plan:
    """Return a plan without having looked at a cloud."""
    return Plan(
        cloud="aliyun",
        endpoint="",
        region=None,
        instance=None,
        org=None,
        key="",
        verb="",
        job=steps[0].job,
        statuses=statuses,
        at_most=None,
        per_call=per_call,
        steps=steps,
    )


def by_job(job: str, *statuses: Status) -> Plan:
    """Return a plan that cancels a job's tasks, the queued ones where nothing else is said."""
    return a_plan(Step(action=CANCEL_JOB, job=job), statuses=statuses or (Status.QUEUED,))


Rpc = TypeVar("Rpc", bound=RpcCloud)


def rpc_cloud(kind: type[Rpc], known: Account, *, http: Http, throttle: Throttle, clock: Clock, **changes: Any) -> Rpc:
    """Make a cloud on a clock that is turned by hand; its nonces never repeat."""
    numbers = count(1)
    given: dict[str, Any] = {
        "now": clock.now,
        "nonce": lambda: f"nonce-{clock.seconds()}-{id(numbers)}-{next(numbers)}",
        "ahead": lambda _quota, _operation: 0.0,
    }
    return kind(known, http=http, throttle=throttle, **(given | changes))


def unpaced(clock: Clock) -> Throttle:
    """Make a throttle that holds nobody back."""
    return Throttle(
        reserve=lambda _quota, _operation, _spacing: clock.seconds(),
        push=lambda _quota, _operation, _seconds: None,
        now=clock.seconds,
        sleep=clock.sleep,
    )


class Hasty(HTTPAdapter):
    """Waits a fraction of a second wherever the bot would wait for seconds."""

    def send(self, request: requests.PreparedRequest, *_: Any, **given: Any) -> requests.Response:
        """Send with a short timeout."""
        return super().send(request, **(given | {"timeout": 0.2}))


def hasty_session() -> requests.Session:
    """Make the bot's session, but hasty."""
    made = session()
    made.mount("http://", Hasty(max_retries=0))
    return made


# --- a server that plays a script -----------------------------------------------------------------------------------


class Talk:
    """One connection as the script of a `Peer` sees it; `number` counts connections from 1."""

    def __init__(self, peer: "Peer", connection: socket.socket, number: int) -> None:
        self._peer = peer
        self.connection = connection
        self.number = number

    def hear(self) -> bytes | None:
        """Read one whole request and remember it; `None` when the other side has closed."""
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += (piece := self.connection.recv(65536))
            if not piece:
                return None
        head, _, body = heard.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < sum(map(int, lengths)):
            body += (piece := self.connection.recv(65536))
            if not piece:
                return None
        self._peer.requests.append(head + b"\r\n\r\n" + body)
        return self._peer.requests[-1]

    def say(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        for piece in pieces:
            self.connection.sendall(piece)

    def answer(self, body: bytes = b'{"Success":true}', *, status: str = "200 OK", head: bytes = b"") -> None:
        """Send a whole answer."""
        self.say(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + head + b"\r\n" + body)

    def drip(self, piece: bytes) -> None:
        """Send the piece again and again until the other side has gone or the test ends."""
        with suppress(OSError):
            while not self._peer.over.wait(0.01):
                self.say(piece)

    def hang(self) -> None:
        """Say nothing until the test ends."""
        self._peer.over.wait(10)


Script = Callable[[Talk], object]


class Peer:
    """A server on a loopback port that plays `script` on each connection, then closes it."""

    def __init__(self, script: Script) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _listen(self) -> None:
        for number in count(1):
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections = number
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._play, args=(connection, number)))
            self._threads[-1].start()

    def _play(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            self._script(Talk(self, connection, number))


@contextmanager
def nobody() -> Iterator[str]:
    """Give the address of a port at which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


# --- what goes over the wire ----------------------------------------------------------------------------------------


def wire(heard: bytes) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return method, query and form of a request as they came over the wire."""
    head, _, body = heard.decode().partition("\r\n\r\n")
    method, target, _ = head.split("\r\n")[0].split(" ")
    query, form = (parse_qsl(part, keep_blank_values=True) for part in (urlsplit(target).query, body))
    return method, dict(query), dict(form)


def sent(peer: Peer) -> list[dict[str, str]]:
    """Return the parameters of each request that came, wherever they stood."""
    return [query | form for _, query, form in map(wire, peer.requests)]


def says(*answers: Mapping[str, Any]) -> Script:
    """Give these answers, one after the other, the last one for ever."""
    left = list(answers)

    def script(talk: Talk) -> None:
        while talk.hear() is not None:
            talk.answer(json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode())

    return script


def answering(answer: Callable[[dict[str, str]], Mapping[str, Any]]) -> Script:
    """Answer each request from its parameters."""

    def script(talk: Talk) -> None:
        while (heard := talk.hear()) is not None:
            _, query, form = wire(heard)
            talk.answer(json.dumps(answer(query | form)).encode())

    return script


def secret_free(said: str) -> bool:
    """Tell whether no secret is in a text, plain or percent-encoded."""
    secrets = (KEY_ID, KEY_SECRET, TOKEN)
    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""), quote(secret))}
    return not any(form in said for form in forms) and "Signature=" not in said
