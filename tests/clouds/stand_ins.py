"""What the clouds' tests stand on: a clock turned by hand, an account, and small servers that misbehave on demand."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, Self

import requests
from requests.adapters import HTTPAdapter

from bot.clouds.http import session
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.secret import Secret

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
