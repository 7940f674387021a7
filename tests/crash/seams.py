"""The seams at which a process can be ended: each decision, each write to Slack, each call that cancels at a cloud.

They are wrapped from outside, on an object or on a class, so that the bot itself knows nothing of it.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from bot.clouds.http import Request
from bot.domain.events import NewEvent

DECISION: Final = "decision"
SLACK: Final = "slack"
CLOUD: Final = "cloud"
SIDES: Final = ("before", "after")
WRITES: Final = ("chat.postMessage", "chat.update", "files.completeUploadExternal")
"""The methods that change what people see."""


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The n-th moment of a kind, from 1, before or after it."""

    kind: str
    at: int
    side: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.at}:{self.side}"


def point(text: str) -> Point:
    """Read a point as it is written."""
    kind, at, side = text.split(":")
    return Point(kind, int(at), side)


class Seams:
    """Counts what a process does, and ends it at a point; `end` does not return. Safe to use from several threads."""

    def __init__(
        self,
        end: Callable[[], NoReturn],
        at: Point | None = None,
        note: Callable[[str, str], None] = lambda _kind, _what: None,
    ) -> None:
        self.dead = False
        self._end = end
        self._at = at
        self._note = note
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open = threading.local()

    def hook(self, *, ledger: Any, client: Any, cloud: Any) -> None:
        """Wrap a ledger, a client of Slack and a cloud, or something that sends to one; objects, or their classes."""
        self._wrap(ledger, "_append", self._appending)
        self._wrap(ledger, "_tell", self._telling)
        self._wrap(client, "api_call", lambda real, *a, **k: self._around(SLACK, _write(a, k), real, *a, **k))
        self._wrap(cloud, "send", lambda real, *a, **k: self._around(CLOUD, _cancel(a), real, *a, **k))

    def _wrap(self, thing: Any, name: str, around: Callable[..., Any]) -> None:
        real = getattr(thing, name)
        setattr(thing, name, lambda *args, **named: around(real, *args, **named))

    def _around(self, kind: str, what: str, real: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if not what:
            return self._alive(real, *args, **named)
        number = self._before(kind, what)
        answer = real(*args, **named)
        self._after(kind, number)
        return answer

    def _alive(self, real: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if self.dead:
            self._end()
        return real(*args, **named)

    def _appending(self, real: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Append an event: the first of a transaction is the moment before the decision is stored."""
        if getattr(self._open, "number", None) is None:
            event = next(one for one in args if isinstance(one, NewEvent))
            self._open.number = self._before(DECISION, str(event.kind))
        return self._alive(real, *args, **named)

    def _telling(self, real: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Tell that a transaction is stored: the moment after the decision."""
        number, self._open.number = getattr(self._open, "number", None), None
        if number is not None:
            self._after(DECISION, number)
        return self._alive(real, *args, **named)

    def _before(self, kind: str, what: str) -> int:
        with self._lock:
            self._seen[kind] += 1
            number = self._seen[kind]
            self._note(kind, what)
        self._die_at(Point(kind, number, "before"))
        return number

    def _after(self, kind: str, number: int) -> None:
        self._die_at(Point(kind, number, "after"))

    def _die_at(self, here: Point) -> None:
        self.dead = self.dead or here == self._at
        if self.dead:
            self._end()


def points(seen: Iterator[str] | list[str]) -> list[tuple[Point, str]]:
    """Return the points before and after everything that a life that nothing disturbed noted, `kind what` each."""
    counted: Counter[str] = Counter()
    found = []
    for line in seen:
        kind, what = line.split(" ", 1)
        counted[kind] += 1
        found += [(Point(kind, counted[kind], side), what) for side in SIDES]
    return found


def _write(args: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Say what a call of the Web API writes; empty for one that reads."""
    method = next((one for one in args if isinstance(one, str)), "") or str(named.get("api_method", ""))
    if method not in WRITES:
        return ""
    given = named.get("json") or named.get("params") or named.get("data") or {}
    if method != "chat.postMessage":
        return "card edited" if method == "chat.update" else "file shared"
    if given.get("thread_ts"):
        return "reply"
    if str(given.get("channel")).startswith(("U", "D")):
        return "direct message"
    return "card posted" if given.get("blocks") else "audit line"


def _cancel(args: tuple[Any, ...]) -> str:
    """Say what is sent to Alibaba Cloud, or to a fleet in memory; empty for what only reads."""
    request = next((one for one in args if isinstance(one, Request)), None)
    if request is None:
        return "call"
    written = f"{request.query}&{request.form}"
    return "call" if "Action=Cancel" in written else ""
