"""One request is one request: what is sent, what is not, and what is said when no answer came."""

import gzip
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from bot.clouds.http import LARGEST, Http, NoAnswerError, NotSentError, Reply, Request, session
from bot.clouds.rpc import classify
from bot.domain.call import Outcome
from tests.clouds.stand_ins import Hasty, Peer, Script, Talk, hasty_session, nobody

SECRET: Final = "c2lnbmF0dXJl"
GOOD: Final = b'{"Success":true}'


@pytest.fixture
def http() -> Iterator[Http]:
    made = Http(clock=time.monotonic)
    yield made
    made.close()


@pytest.fixture
def hasty() -> Iterator[Http]:
    made = Http(clock=time.monotonic, sessions=hasty_session)
    yield made
    made.close()


def request(url: str, *, form: str = "JobId=j%2F1") -> Request:
    return Request(method="POST", url=f"{url}/", query=f"Action=A&Signature={SECRET}", form=form)


def unanswered(http: Http, peer: Peer) -> str:
    """Send once, expect no answer, and return what is said of it."""
    with pytest.raises(NoAnswerError) as raised:
        http.send(request(peer.url))
    return str(raised.value)


def answers(talk: Talk) -> None:
    while talk.hear() is not None:
        talk.answer(GOOD)


def drops_after(talk: Talk) -> None:
    talk.hear()


def resets_after(talk: Talk) -> None:
    talk.hear()
    talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def breaks_off_the_body(talk: Talk) -> None:
    talk.hear()
    talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", GOOD)


def breaks_off_a_chunk(talk: Talk) -> None:
    talk.hear()
    talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n", GOOD[:5])


def leaves_the_last_chunk_out(talk: Talk) -> None:
    talk.hear()
    talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n", GOOD, b"\r\n")


def speaks_something_else(talk: Talk) -> None:
    talk.hear()
    talk.say(b"220 smtp.example.com ESMTP\r\n")


def sends_broken_gzip(talk: Talk) -> None:
    talk.hear()
    talk.answer(b"this is no gzip", head=b"Content-Encoding: gzip\r\n")


def sends_two_hundred_headers(talk: Talk) -> None:
    talk.hear()
    talk.answer(GOOD, head=b"X-Many: x\r\n" * 200)


BREAKS: Final[list[Script]] = [
    drops_after,
    resets_after,
    breaks_off_the_body,
    breaks_off_a_chunk,
    leaves_the_last_chunk_out,
    speaks_something_else,
    sends_broken_gzip,
    sends_two_hundred_headers,
]


class TestOneRequest:
    def test_what_is_sent(self, http: Http) -> None:
        """Method, query and form go out exactly as given, as one request with the bot's own name."""
        with Peer(answers) as peer:
            reply = http.send(request(peer.url))
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")

        assert (200, GOOD) == (reply.status, reply.body)
        assert 1 == len(peer.requests)
        assert head.startswith(f"POST /?Action=A&Signature={SECRET} HTTP/1.1\r\n".encode())
        assert b"JobId=j%2F1" == body
        assert b"content-type: application/x-www-form-urlencoded" in head.lower()
        assert b"user-agent: ota-bot/" in head.lower()

    def test_get(self, http: Http) -> None:
        """A GET goes out with its query alone, without a body and without a type of one."""
        with Peer(answers) as peer:
            http.send(Request(method="GET", url=f"{peer.url}/", query="Action=A&JobId=j%2F1"))
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")

        assert (b"GET /?Action=A&JobId=j%2F1 HTTP/1.1", b"") == (head.split(b"\r\n")[0], body)
        assert b"content-type" not in head.lower()

    def test_json(self, http: Http) -> None:
        """A body of JSON goes out byte for byte, as what it is, beside the headers that were given."""
        body = '{"desc": "描述","n":1}'
        with Peer(answers) as peer:
            http.send(Request(method="POST", url=f"{peer.url}/v2.1/x", json=body, headers={"apim-timestamp": "1"}))
        head, _, heard = peer.requests[0].partition(b"\r\n\r\n")

        assert body.encode() == heard
        assert head.startswith(b"POST /v2.1/x HTTP/1.1\r\n")
        assert b"content-type: application/json; charset=utf-8" in head.lower()
        assert b"apim-timestamp: 1" in head

    def test_headers_of_the_answer(self, http: Http) -> None:
        """Names of the answer's headers are in lower case, whatever the server writes."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(b"", status="429 Slow", head=b"X-ACS-Retry-After: 7\r\nDATE: now\r\n")

        with Peer(script) as peer:
            reply = http.send(request(peer.url))

        assert (429, "7", "now") == (reply.status, reply.headers["x-acs-retry-after"], reply.headers["date"])

    @pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Oops", "502 Bad Gateway", "503 Busy"])
    def test_errors_are_answers(self, http: Http, status: str) -> None:
        """Every status is an answer, sent for once."""

        def script(talk: Talk) -> None:
            while talk.hear() is not None:
                talk.answer(b"<html>", status=status, head=b"Retry-After: 0\r\n")

        with Peer(script) as peer:
            reply = http.send(request(peer.url))

        assert (int(status[:3]), b"<html>", 1) == (reply.status, reply.body, len(peer.requests))

    def test_packed_answer(self, http: Http) -> None:
        """A compressed answer is unpacked."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(gzip.compress(GOOD), head=b"Content-Encoding: gzip\r\n")

        with Peer(script) as peer:
            assert GOOD == http.send(request(peer.url)).body

    @pytest.mark.parametrize("script", BREAKS, ids=lambda script: script.__name__)
    def test_broken(self, http: Http, script: Script) -> None:
        """A connection that breaks once the request is out leaves its fate unknown, and nothing is sent again."""
        with Peer(script) as peer:
            said = unanswered(http, peer)

        assert (1, 1) == (len(peer.requests), peer.connections)
        assert SECRET not in said
        assert "127.0.0.1" not in said

    def test_broken_head(self, http: Http) -> None:
        """A head that breaks off leaves an answer without a body, which is no success and is not asked for again."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.say(b"HTTP/1.1 200 OK\r\nContent-Le")

        with Peer(script) as peer:
            reply = http.send(request(peer.url))

        assert (b"", 1) == (reply.body, len(peer.requests))
        assert Outcome.UNKNOWN is classify(reply, secrets=(), resent=False).outcome

    def test_dropped_unread(self, http: Http) -> None:
        """A connection that closes before anything was read may still have carried the request: unknown, once."""
        with Peer(lambda talk: talk.connection.recv(1)) as peer:
            said = unanswered(http, peer)

        assert 1 == peer.connections
        assert SECRET not in said

    def test_refused(self, http: Http) -> None:
        """Where nobody listens nothing was sent, and the sentence hides the address with its signature."""
        with nobody() as url, pytest.raises(NotSentError) as raised:
            http.send(request(url))

        assert "no connection could be made" in str(raised.value)
        assert not [text for text in (SECRET, "127.0.0.1", "Action") if text in str(raised.value)]

    def test_unknown_host(self, http: Http) -> None:
        """A name that does not resolve was never sent to."""
        with pytest.raises(NotSentError):
            http.send(request("http://nobody.invalid"))


class TestTime:
    def test_dripping_body(self) -> None:
        """A body that drips in for ever is given up at the deadline of the whole, not of each byte."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            talk.drip(b" ")

        http = Http(clock=lambda: time.monotonic() * 100)
        began = time.monotonic()
        with Peer(script) as peer:
            said = unanswered(http, peer)
        http.close()

        assert "the answer was not whole within the deadline" == said
        assert time.monotonic() - began < 4

    def test_dripping_redirect(self) -> None:
        """A redirect whose body drips in for ever is held to the same deadline."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.say(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 300\r\n\r\n")
            talk.drip(b" ")

        http = Http(clock=lambda: time.monotonic() * 100)
        began = time.monotonic()
        with Peer(script) as peer:
            said = unanswered(http, peer)
        http.close()

        assert "the answer was not whole within the deadline" == said
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
    def test_silence(self, hasty: Http, said: bytes) -> None:
        """Silence before or within an answer leaves the call's fate unknown, and nothing is sent again."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.say(said)
            talk.hang()

        with Peer(script) as peer:
            message = unanswered(hasty, peer)

        assert (1, 1) == (len(peer.requests), peer.connections)
        assert SECRET not in message

    def test_no_connection_in_time(self) -> None:
        """A connection that does not come about in time was never sent to."""
        http = Http(clock=time.monotonic, sessions=hasty_session)
        with socket.socket() as deaf:
            # A full queue: the kernel answers no further attempt to connect.
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            callers = [socket.socket() for _ in range(3)]
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(deaf.getsockname())
            with pytest.raises(NotSentError):
                http.send(request(f"http://127.0.0.1:{deaf.getsockname()[1]}"))
            for caller in callers:
                caller.close()
        http.close()


class TestSize:
    def test_oversized(self, http: Http) -> None:
        """An answer larger than any that is asked for is not taken into memory, and nothing is sent again."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.say(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGEST * 3}\r\n\r\n".encode())
            talk.say(*[b" " * 65536] * (LARGEST * 3 // 65536))

        with Peer(script) as peer:
            said = unanswered(http, peer)

        assert "the answer was larger than any that was asked for" == said
        assert 1 == len(peer.requests)

    def test_packed_bomb(self, http: Http) -> None:
        """A small answer that unpacks into a huge one is refused like a huge one."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(gzip.compress(b" " * LARGEST * 3), head=b"Content-Encoding: gzip\r\n")

        with Peer(script) as peer:
            assert "the answer was larger than any that was asked for" == unanswered(http, peer)

    def test_largest(self, http: Http) -> None:
        """An answer of exactly the largest size is taken whole."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(b" " * LARGEST)

        with Peer(script) as peer:
            assert LARGEST == len(http.send(request(peer.url)).body)


class TestElsewhere:
    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
    def test_redirects(self, http: Http, status: str) -> None:
        """A redirect is an answer with its own body, and nobody goes where it points."""
        with Peer(answers) as other:
            target = other.url.encode()

            def script(talk: Talk) -> None:
                talk.hear()
                talk.answer(b"moved", status=status, head=b"Location: " + target + b"/\r\n")

            with Peer(script) as peer:
                reply = http.send(request(peer.url))

        assert (int(status[:3]), b"moved") == (reply.status, reply.body)
        assert (1, 0) == (len(peer.requests), other.connections)

    @pytest.mark.parametrize("location", [b"http://[broken", b"\xff\xfe", b"", b"http://"])
    def test_broken_redirects(self, http: Http, location: bytes) -> None:
        """A redirect to nonsense is an answer like any other: it was never going to be followed."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(b"moved", status="302 Found", head=b"Location: " + location + b"\r\n")

        with Peer(script) as peer:
            assert (302, b"moved") == ((reply := http.send(request(peer.url))).status, reply.body)

    def test_proxies(self, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy in the environment is not used: calls go to the configured endpoint alone."""
        with Peer(answers) as proxy, Peer(answers) as peer:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv("no_proxy", "")
            http.send(request(peer.url))

        assert (1, 0) == (len(peer.requests), proxy.connections)

    def test_netrc(self, http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A password of the host in somebody's netrc is not sent."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login ann password hunter2\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        with Peer(answers) as peer:
            http.send(request(peer.url))

        assert b"authorization" not in peer.requests[0].lower()


class TestConnections:
    def test_kept_alive(self, http: Http) -> None:
        """Calls of one thread share a connection."""
        with Peer(answers) as peer:
            for _ in range(3):
                http.send(request(peer.url))

        assert (3, 1) == (len(peer.requests), peer.connections)

    def test_closed_meanwhile(self, http: Http) -> None:
        """A kept connection that the server has closed is noticed before sending: a new one is opened, once."""
        closed = threading.Event()

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(GOOD)
            if talk.number == 1:
                talk.connection.shutdown(socket.SHUT_RDWR)
                closed.set()

        with Peer(script) as peer:
            http.send(request(peer.url))
            assert closed.wait(5)
            reply = http.send(request(peer.url))

        assert GOOD == reply.body
        assert (2, 2) == (len(peer.requests), peer.connections)

    def test_closed_while_sending(self, http: Http) -> None:
        """A kept connection that closes as the next request goes out leaves it unknown: it is not sent anew."""

        def script(talk: Talk) -> None:
            talk.hear()
            talk.answer(GOOD)
            talk.hear()

        with Peer(script) as peer:
            http.send(request(peer.url))
            unanswered(http, peer)

        assert (2, 1) == (len(peer.requests), peer.connections)

    def test_after_a_failure(self, http: Http) -> None:
        """A connection whose answer was not read to its end is never used again."""

        def script(talk: Talk) -> None:
            talk.hear()
            if talk.number == 1:
                talk.say(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGEST * 2}\r\n\r\n".encode(), b" " * LARGEST * 2)
            talk.answer(GOOD)

        with Peer(script) as peer:
            unanswered(http, peer)
            assert GOOD == http.send(request(peer.url)).body

        assert 2 == peer.connections

    def test_sessions_are_handed_on(self) -> None:
        """There are as many sessions as there were requests at once, each in one thread at a time; closing closes all.

        A thread that ends leaves none behind: each run has threads of its own, and the bot runs for months.
        """
        made: list[requests.Session] = []
        closed: list[requests.Session] = []
        busy: Counter[int] = Counter()
        crowd = threading.Barrier(3)

        class Known(requests.Session):
            def request(self, *given: Any, **named: Any) -> requests.Response:
                """Note that it is used by two at once."""
                busy[id(self)] += 1
                assert 1 == busy[id(self)]
                crowd.wait(10)
                try:
                    return super().request(*given, **named)
                finally:
                    busy[id(self)] -= 1

            def close(self) -> None:
                """Note it."""
                closed.append(self)
                super().close()

        def sessions() -> requests.Session:
            made.append(Known())
            return made[-1]

        http = Http(clock=time.monotonic, sessions=sessions)
        replies: list[Reply] = []
        with Peer(answers) as peer:
            for _ in range(4):
                threads = [
                    threading.Thread(target=lambda: replies.append(http.send(request(peer.url)))) for _ in range(3)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            http.close()

        assert (12, 3, 3) == (len(replies), len(made), peer.connections)
        assert set(map(id, made)) == set(map(id, closed))

    @pytest.mark.parametrize("script", [drops_after, answers])
    def test_one_thread_needs_one_session(self, script: Script) -> None:
        """Whatever comes of a request, its session is there for the next one."""
        made: list[requests.Session] = []

        def sessions() -> requests.Session:
            made.append(session())
            return made[-1]

        http = Http(clock=time.monotonic, sessions=sessions)
        with Peer(script) as peer:
            for _ in range(3):
                with suppress(NoAnswerError):
                    http.send(request(peer.url))
        http.close()

        assert 1 == len(made)

    def test_session(self) -> None:
        """The bot's session repeats nothing and reads nothing from the environment."""
        with session() as made:
            retries = [made.get_adapter(url).max_retries for url in ("http://x", "https://x")]  # type: ignore[attr-defined]

            assert [(0, False)] * 2 == [(retry.total, retry.read) for retry in retries]
            assert not made.trust_env


class TestTls:
    def test_broken_after_sending(self, certificate: Path) -> None:
        """TLS that breaks once the request is out leaves its fate unknown; it is not taken for never sent."""

        def script(talk: Talk) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            raw = talk.connection.dup()
            with context.wrap_socket(talk.connection, server_side=True) as tls, raw:
                heard.append(tls.recv(65536))
                raw.sendall(b"HTTP/1.1 500 this is no TLS record at all\r\n\r\n")
                raw.shutdown(socket.SHUT_RDWR)

        heard: list[bytes] = []
        http = Http(clock=time.monotonic, sessions=lambda: trusting(certificate))
        with Peer(script) as peer, pytest.raises(NoAnswerError):
            http.send(request(peer.url.replace("http://127.0.0.1", "https://localhost")))
        http.close()

        assert [b"POST"] == [piece[:4] for piece in heard]

    def test_untrusted(self, certificate: Path) -> None:
        """A certificate that is not trusted ends the handshake: nothing was sent."""
        heard: list[bytes] = []

        def script(talk: Talk) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            with context.wrap_socket(talk.connection, server_side=True) as tls:
                heard.append(tls.recv(65536))

        http = Http(clock=time.monotonic)
        with Peer(script) as peer, pytest.raises(NotSentError):
            http.send(request(peer.url.replace("http://127.0.0.1", "https://localhost")))
        http.close()

        assert not any(heard)


def trusting(certificate: Path) -> requests.Session:
    made = session()
    made.mount("https://", Hasty(max_retries=0))
    made.verify = str(certificate)
    return made


@pytest.fixture(scope="module")
def certificate() -> Path:
    return Path(__file__).parent / "localhost.pem"
