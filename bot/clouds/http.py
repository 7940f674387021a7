"""Sends exactly one HTTP request, and says whether it was never sent, never answered, or answered."""

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

DEADLINE: Final = 8.0
"""Seconds for one request in all, connecting and reading together."""
CONNECT: Final = 3.0
"""Seconds for connecting."""
CUT_AGAIN: Final = 0.25
"""Seconds between tries to cut a connection that is not there yet."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer; no list that the bot asks for comes near it."""
AGENT: Final = f"ota-bot/{version('ota-cancel-bot')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `query`, `form` and `json` are sent exactly as given: the first two percent-encoded already."""

    method: str
    url: str
    """Scheme, host, port and path."""
    query: str = ""
    form: str = ""
    json: str = ""
    """A body of JSON, in place of a form."""
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class NotSentError(Exception):
    """The request never reached the other side: nothing was done."""


class NoAnswerError(Exception):
    """The request was sent and no whole answer came: whether it was done is unknown."""


class _Session(requests.Session):
    """Does not look where a redirect points: requests would read its body, without end, before it is asked to."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See none anywhere."""
        del resp
        return None


def session() -> requests.Session:
    """Make a session that repeats nothing, follows no redirect and reads no proxy or netrc from the environment."""
    made = _Session()
    made.trust_env = False
    made.headers["User-Agent"] = AGENT
    adapter = _Adapter(max_retries=0, pool_connections=4, pool_maxsize=4)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class _Line:
    """The connection that one request uses, so that it can be cut from outside."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.over = threading.Event()

    def cut(self) -> None:
        """Cut the connection, as soon as there is one, until the request is over.

        A timeout of a socket starts anew with every byte, so that an answer that drips would hold a thread for ever.
        The plain socket is shut: shutting it as TLS would let the reader take encrypted bytes for the answer.
        """
        while not self.over.is_set():
            if self.connection is not None and isinstance(self.connection.sock, socket.socket):
                with suppress(OSError):
                    socket.socket.shutdown(self.connection.sock, socket.SHUT_RDWR)
            self.over.wait(CUT_AGAIN)


_using = threading.local()


class _Noting:
    """Notes the connection that a pool hands out, for whoever may have to cut it."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        line: _Line | None = getattr(_using, "line", None)
        if line is not None:
            line.connection = connection
        return connection


class _Pool(_Noting, HTTPConnectionPool):
    pass


class _TlsPool(_Noting, HTTPSConnectionPool):
    pass


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class Http:
    """A sender for many threads: each request borrows a session, because requests does not promise to be thread-safe.

    So there are as many sessions as there ever were requests at once, whatever threads come and go. `clock` is
    monotonic, in seconds; an answer has at most `largest` bytes.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sessions: Callable[[], requests.Session] = session,
        largest: int = LARGEST,
    ) -> None:
        self._clock = clock
        self._largest = largest
        self._make = sessions
        self._idle: deque[requests.Session] = deque()

    def close(self) -> None:
        """Close the sessions; nothing may be in flight."""
        while self._idle:
            self._idle.pop().close()

    def send(self, request: Request) -> Reply:
        """Send `request` once and read the whole answer within the deadline.

        Raises NotSentError or NoAnswerError; their message names the kind of failure and never the URL, which carries
        the signature.
        """
        until, line = self._clock() + DEADLINE, _Line()
        cutter = threading.Timer(DEADLINE, line.cut)
        cutter.daemon = True
        cutter.start()
        _using.line = line
        try:
            return self._exchange(request, until)
        except (requests.RequestException, HTTPError, OSError) as error:
            if _never_connected(error):
                raise NotSentError(f"no connection could be made ({_kind(error)})") from error
            raise NoAnswerError(f"the connection broke or timed out before a whole answer ({_kind(error)})") from error
        finally:
            _using.line = None
            line.over.set()
            cutter.cancel()

    def _exchange(self, request: Request, until: float) -> Reply:
        url = f"{request.url}?{request.query}" if request.query else request.url
        headers = dict(request.headers or {})
        if request.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif request.json:
            headers["Content-Type"] = "application/json; charset=utf-8"
        with (
            self._session() as lent,
            lent.request(
                request.method,
                url,
                data=(request.form or request.json).encode() or None,
                headers=headers,
                timeout=(CONNECT, DEADLINE),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            body = self._whole(response, until)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Reply(status=response.status_code, headers=names, body=body)

    def _whole(self, response: requests.Response, until: float) -> bytes:
        """Read piece by piece, because a timeout of the socket starts anew with every byte that drips in."""
        pieces: list[bytes] = []
        received = 0
        while piece := response.raw.read1(65536, decode_content=True):
            received += len(piece)
            if self._clock() > until:
                raise NoAnswerError("the answer was not whole within the deadline")
            if received > self._largest:
                raise NoAnswerError("the answer was larger than any that was asked for")
            pieces.append(piece)
        if self._clock() > until:
            raise NoAnswerError("the answer was not whole within the deadline")
        return b"".join(pieces)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """Lend the session that was given back last: its connection is the one that is most likely still open."""
        try:
            lent = self._idle.pop()
        except IndexError:
            lent = self._make()
        try:
            yield lent
        finally:
            self._idle.append(lent)


def _never_connected(error: BaseException) -> bool:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        reason = getattr(cause, "reason", None)
        inner = next((part for part in cause.args if isinstance(part, BaseException)), None)
        cause = reason if isinstance(reason, BaseException) else inner or cause.__cause__
    # Of TLS only a certificate that is not trusted: other errors of it may come when the request is out already.
    never = (NewConnectionError, ConnectTimeoutError, NameResolutionError, ssl.SSLCertVerificationError)
    return any(isinstance(part, never) for part in chain)


def _kind(error: BaseException) -> str:
    return type(error).__name__
