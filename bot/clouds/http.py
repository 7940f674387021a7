"""Sends exactly one HTTP request, and says whether it was never sent, never answered, or answered."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

DEADLINE: Final = 8.0
"""Seconds for one request in all, connecting and reading together."""
CONNECT: Final = 3.0
"""Seconds for connecting."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer; no list that the bot asks for comes near it."""
AGENT: Final = f"ota-bot/{version('ota-cancel-bot')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `query` and `form` are sent exactly as given, percent-encoded already."""

    method: str
    url: str
    """Scheme, host, port and path."""
    query: str = ""
    form: str = ""
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


def session() -> requests.Session:
    """Make a session that repeats nothing, follows no redirect and reads no proxy or netrc from the environment."""
    made = requests.Session()
    made.trust_env = False
    made.headers["User-Agent"] = AGENT
    adapter = HTTPAdapter(max_retries=0, pool_connections=4, pool_maxsize=4)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class Http:
    """A sender for many threads: each has a session of its own, because requests does not promise to be thread-safe.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float], sessions: Callable[[], requests.Session] = session) -> None:
        self._clock = clock
        self._make = sessions
        self._local = threading.local()
        self._made: list[requests.Session] = []

    def close(self) -> None:
        """Close every thread's session."""
        for made in self._made:
            made.close()

    def send(self, request: Request) -> Reply:
        """Send `request` once and read the whole answer within the deadline.

        Raises NotSentError or NoAnswerError; their message names the kind of failure and never the URL, which carries
        the signature.
        """
        until = self._clock() + DEADLINE
        try:
            return self._exchange(request, until)
        except (requests.RequestException, HTTPError, OSError) as error:
            if _never_connected(error):
                raise NotSentError(f"no connection could be made ({_kind(error)})") from error
            raise NoAnswerError(f"the connection broke or timed out before a whole answer ({_kind(error)})") from error

    def _exchange(self, request: Request, until: float) -> Reply:
        url = f"{request.url}?{request.query}" if request.query else request.url
        headers = dict(request.headers or {})
        if request.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with self._session().request(
            request.method,
            url,
            data=request.form.encode() or None,
            headers=headers,
            timeout=(CONNECT, DEADLINE),
            allow_redirects=False,
            stream=True,
        ) as response:
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
            if received > LARGEST:
                raise NoAnswerError("the answer was larger than any that was asked for")
            pieces.append(piece)
        return b"".join(pieces)

    def _session(self) -> requests.Session:
        made: requests.Session | None = getattr(self._local, "session", None)
        if made is None:
            made = self._local.session = self._make()
            self._made.append(made)
        return made


def _never_connected(error: BaseException) -> bool:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        reason = getattr(cause, "reason", None)
        inner = next((part for part in cause.args if isinstance(part, BaseException)), None)
        cause = reason if isinstance(reason, BaseException) else inner or cause.__cause__
    never = (NewConnectionError, ConnectTimeoutError, NameResolutionError, requests.exceptions.SSLError)
    return any(isinstance(part, never) for part in chain)


def _kind(error: BaseException) -> str:
    return type(error).__name__
