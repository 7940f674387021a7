"""A small EnOS over real HTTP: it checks every signature with code of its own, and keeps jobs and tasks."""

import hashlib
import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from bot.clouds.enos import EnosCloud
from bot.clouds.http import Http
from bot.clouds.throttle import Throttle
from bot.domain.account import Account, Cloud, Qps
from bot.domain.secret import Secret
from tests.clouds.stand_ins import Clock, account, hasty_session

KEY: Final = "0a1b2c3d-f200+key=/one"
SECRET: Final = "0f0e0d0c-2da3+secret=/two"
ORG: Final = "o15475466766371"
OTA: Final = "/connect-service/v2.1/ota-jobs"
TOKENS: Final = "/apim-token-service/v2.0/token/"
CANCELLED: Final = "Cancelled by user"

OK: Final = {"code": 0, "msg": "OK", "requestId": "R-1", "data": None}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One request as it came over the wire."""

    action: str
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer; `status` 0 drops the connection without one."""

    body: object = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class EnosStandIn:
    """The stand-in; `now` gives UTC. What is put into `next` for an action is said in place of the true answer."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.secret = SECRET
        self.life = 7200
        self.misspelt = False
        self.totals = True
        self.filters = True
        self.most_rows = 200
        self.heard: list[Heard] = []
        self.next: dict[str, deque[Said]] = {}
        self.before: Callable[[Heard], None] = lambda _: None
        self.jobs: dict[str, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.cancelled: Counter[str] = Counter()
        self.token: str | None = None
        self._ends = 0.0
        self._proofs: set[str] = set()
        self._issued = 0
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.serve(self)

            def do_POST(self) -> None:
                stand_in.serve(self)

            def log_message(self, *_: object) -> None:
                pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                del timestamp
                return format_datetime(stand_in.now(), usegmt=True)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    # --- what tests set up and look at -------------------------------------------------------------------------

    def add(self, job: str, *, tasks: Mapping[str, str], **facts: Any) -> None:
        """Add a job with tasks: a device key and its status, `cancelled` for a task that somebody cancelled."""
        self.jobs[job] = {
            "jobId": job,
            "name": "Spring",
            "status": "started",
            "productKey": "pk",
            "firmwareId": "fw",
            "firmwareVersion": "2.1",
            "retryPolicy": {"enableRetry": False},
            "createTime": 1767323045000,
            **facts,
        }
        for device, word in tasks.items():
            row = {"taskId": f"{job}-{device}", "jobId": job, "deviceKey": device, "desc": "", "status": word}
            self.tasks.append(row)
            if word == "cancelled":
                row |= {"status": "failed", "desc": CANCELLED}

    def move(self, device: str, word: str) -> None:
        """Move a device's tasks to another status."""
        for task in self.tasks:
            if task["deviceKey"] == device:
                task["status"] = word

    def say(self, action: str, *answers: Said) -> None:
        """Say these in place of the next true answers to an action."""
        self.next.setdefault(action, deque()).extend(answers)

    def count(self, action: str) -> int:
        """Count the requests of an action; the token service's are `token/get` and `token/refresh`."""
        return sum(heard.action == action for heard in self.heard)

    def expire(self) -> None:
        """Let the token end before its time."""
        self.token = None

    # --- serving -----------------------------------------------------------------------------------------------

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        target = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(target.query, keep_blank_values=True, strict_parsing=bool(target.query)))
        action = query.get("action", "") if target.path == OTA else "token/" + target.path.removeprefix(TOKENS)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        heard = Heard(action=action, method=handler.command, query=query, headers=headers, body=body)
        with self._lock:
            self.before(heard)
            self.heard.append(heard)
            waiting = self.next.get(action)
            said = waiting.popleft() if waiting else self._answer(heard)
        if said.status == 0:
            return
        payload = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        handler.send_response(said.status)
        for name, value in {"Content-Length": str(len(payload)), **said.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(payload)

    def _answer(self, heard: Heard) -> Said:
        if heard.action.startswith("token/"):
            return self._token(heard)
        if not self._authentic(heard):
            return Said(status=401, body={"message": "Invalid authentication credentials"})
        if heard.query.get("orgId") != ORG:
            return _no(99403, "no permission")
        answers = {
            "get": self._get,
            "search": self._search_jobs,
            "searchTask": self._search_tasks,
            "cancelTask": self._cancel,
        }
        return answers[heard.action](heard)

    def _authentic(self, heard: Heard) -> bool:
        parameters = "".join(name + value for name, value in sorted(heard.query.items()))
        stamp = heard.headers["apim-timestamp"]
        text = f"{self.token}{parameters}{heard.body.decode()}{stamp}{self.secret}"
        right = hashlib.sha256(text.encode()).hexdigest()
        lives = self.token is not None and self.now().timestamp() < self._ends
        return lives and heard.headers["apim-accesstoken"] == self.token and heard.headers["apim-signature"] == right

    def _token(self, heard: Heard) -> Said:
        asked = heard.json
        proof = hashlib.sha256(f"{KEY}{asked['timestamp']}{self.secret}".encode()).hexdigest()
        if asked["appKey"] != KEY:
            return self._service(1002, "app key unknown")
        if asked["encryption"] != proof:
            return self._service(1003, f"encryption {asked['encryption']} is invalid")
        if proof in self._proofs:
            return self._service(1001, "repeated request")
        self._proofs.add(proof)
        lives = self.token is not None and self.now().timestamp() < self._ends
        if heard.action == "token/refresh" and not (lives and asked["accessToken"] == self.token):
            return self._service(1203, "token expired")
        if heard.action == "token/refresh" or not lives:
            self._issued += 1
            self.token, self._ends = f"token+{self._issued}/of=EnOS", self.now().timestamp() + self.life
        left = int(self._ends - self.now().timestamp())
        return self._service(0, "SUCCESS", {"accessToken": self.token, "expire": left})

    def _service(self, code: int, message: str, inner: object = None) -> Said:
        name = "stauts" if self.misspelt else "status"
        return Said(body={name: code, "msg": message, "business": "apim-token-service", "data": inner})

    def _get(self, heard: Heard) -> Said:
        job = self.jobs.get(heard.query["jobId"])
        return Said(body=OK | {"data": job}) if job else _no(24404, "Job not found")

    def _search_jobs(self, heard: Heard) -> Said:
        return self._found(list(self.jobs.values()), heard)

    def _search_tasks(self, heard: Heard) -> Said:
        return self._found(self.tasks, heard)

    def _found(self, rows: list[dict[str, Any]], heard: Heard) -> Said:
        wanted = conditions(heard.json["expression"])
        if self.filters:
            rows = [row for row in rows if all(row[name] in values for name, values in wanted.items())]
        asked = heard.json["pagination"]
        size = min(asked["pageSize"], self.most_rows)
        start = (asked["pageNo"] - 1) * size
        pages = {"pagination": {**asked, "totalSize": len(rows)}} if self.totals else {}
        return Said(body=OK | {"data": rows[start : start + size], **pages})

    def _cancel(self, heard: Heard) -> Said:
        job = self.jobs.get(heard.query["jobId"])
        if job is None:
            return _no(24404, "Job not found")
        if job["status"] != "started":
            return _no(24617, "Job not running")
        keys = heard.json["deviceKeys"]
        hit = [task for task in self.tasks if task["deviceKey"] in keys and task["jobId"] == job["jobId"]]
        if len(hit) < len(keys) or any(task["status"] not in {"init", "published"} for task in hit):
            return _no(24620, "Only init or published tasks can be canceled")
        for task in hit:
            task |= {"status": "failed", "desc": CANCELLED}
            self.cancelled[task["deviceKey"]] += 1
        return Said(body=OK)


def _no(code: int, message: str) -> Said:
    return Said(body={"code": code, "msg": message, "requestId": "R-no", "data": None})


def conditions(expression: str) -> dict[str, list[str]]:
    """Read an expression of `=` and `in`, joined by `and`; raises ValueError for any other."""
    found = {}
    for part in expression.split(" and "):
        read = re.fullmatch(r"(\w+) (?:= ('[^']*')|in \(('[^']*'(?:,'[^']*')*)\))", part)
        if read is None:
            raise ValueError(part)
        found[read[1]] = re.findall(r"'([^']*)'", read[2] or read[3])
    return found


def an_account(endpoint: str, **changes: Any) -> Account:
    """Return an account of the stand-in, at 5 calls a second."""
    enos: dict[str, Any] = {
        "cloud": Cloud.ENOS,
        "endpoint": endpoint,
        "org": ORG,
        "key_id": Secret(KEY),
        "key_secret": Secret(SECRET),
        "qps": Qps(job=5, devices=5, strategy=5, query=5),
        "names_per_call": 50,
    }
    return account(**(enos | changes))


class Pace:
    """Slots without a database: evenly spaced, and what was asked of them."""

    def __init__(self, clock: Clock) -> None:
        self.reserved: Counter[str] = Counter()
        self.pushed: list[tuple[str, float]] = []
        self._clock = clock
        self._free: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def reserve(self, quota: str, operation: str, spacing: float) -> float:
        """Reserve the next slot."""
        with self._lock:
            self.reserved[operation] += 1
            at = max(self._clock.seconds(), self._free.get((quota, operation), 0.0))
            self._free[quota, operation] = at + spacing
            return at

    def push(self, quota: str, operation: str, seconds: float) -> None:
        """Hold an operation back."""
        self.pushed.append((operation, seconds))
        self._free[quota, operation] = self._clock.seconds() + seconds

    def throttle(self) -> Throttle:
        """Return the bot's throttle on these slots."""
        return Throttle(reserve=self.reserve, push=self.push, now=self._clock.seconds, sleep=self._clock.sleep)


@contextmanager
def bot_side(known: Account, clock: Clock, pace: Pace, *, ahead: float = 0.0) -> Iterator[EnosCloud]:
    """Give the bot's cloud for an account."""
    http = Http(clock=time.monotonic, sessions=hasty_session)
    try:
        yield EnosCloud(
            known, http=http, throttle=pace.throttle(), now=clock.now, ahead=lambda _quota, _operation: ahead
        )
    finally:
        http.close()
