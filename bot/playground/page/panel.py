"""The page's side panel: each simulated cloud's jobs, the calls that arrive at it, and the dials that break it."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bot.playground.cloud.faults import FaultKind, Faults
from bot.playground.cloud.fleet import Fleet, Job
from bot.playground.slack.forms import CannotAct
from bot.playground.slack.values import Payload

WINDOW: Final = 10.0
"""Seconds of calls that the panel shows."""
STEP: Final = 0.5
"""Seconds between the steps of jobs that drain."""
MOVES: Final = 2
"""Tasks that move on in each step."""
MOST_CALLS: Final = 2_000
"""Calls that are looked at: far more than any cloud takes in the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One way to break a cloud: which calls it meets, and how many of them (`None`: all, until it is reset).

    `label` and `does` are what the page says of it. With `most`, it is a range of so many seconds, else a button.
    """

    label: str
    does: str
    kind: FaultKind
    action: str | None = None
    times: int | None = 1
    most: int | None = None


class Call(Protocol):
    """A call that arrived at a simulated cloud."""

    @property
    def at(self) -> float:
        """When it came (clock seconds)."""

    @property
    def action(self) -> str:
        """The operation."""

    @property
    def status(self) -> int:
        """The HTTP status of its answer; 0 when there was none."""

    @property
    def code(self) -> str:
        """The vendor's error, empty on success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A simulated cloud as the panel shows it.

    `words` are the page's words for its statuses, `notes` say of a job what it is there for, `draining` names the jobs
    whose tasks move on while somebody looks, and `another` puts one more small job there.
    """

    name: str
    title: str
    fleet: Fleet
    faults: Faults
    arrivals: Sequence[Call]
    limits: Mapping[str, int]
    words: Mapping[str, str]
    dials: Mapping[str, Dial]
    notes: Mapping[str, str] = field(default_factory=dict)
    draining: tuple[str, ...] = ()
    another: Callable[[], None] | None = None


class Panel:
    """Reads and turns the simulated clouds; `suggestions` gives the words to try, those to try first before others."""

    def __init__(
        self,
        *clouds: Shown,
        suggestions: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clouds = {cloud.name: cloud for cloud in clouds}
        self._suggestions = suggestions
        self._clock = clock
        self._stepped = clock()

    def snapshot(self) -> Payload:
        """Return what the panel shows; whoever looks lets the draining jobs move on."""
        now = self._clock()
        if now - self._stepped >= STEP:
            self._stepped = now
            for cloud in self._clouds.values():
                for job_id in cloud.draining:
                    cloud.fleet.drain(job_id, MOVES)
        return {
            "clouds": [self._cloud(cloud, now) for cloud in self._clouds.values()],
            "try": list(self._suggestions()),
        }

    def _cloud(self, cloud: Shown, now: float) -> Payload:
        waiting = {fault.kind: (fault.seconds, times) for fault, times in cloud.faults.waiting()}
        return {
            "name": cloud.name,
            "title": cloud.title,
            "another": cloud.another is not None,
            "jobs": [_job(cloud, job) for job in cloud.fleet.jobs()],
            "calls": _calls(cloud, now),
            "dials": [
                {"name": name, "label": dial.label, "does": dial.does, "most": dial.most, "on": waiting.get(dial.kind)}
                for name, dial in cloud.dials.items()
            ],
        }

    def turn(self, given: Mapping[str, Any]) -> None:
        """Turn a dial (`{"cloud": …, "dial": …, "seconds": …}`), reset all, or put another small job there."""
        cloud = self._clouds.get(str(given.get("cloud")))
        match given:
            case {"dial": str(name)} if cloud and name in cloud.dials:
                dial, seconds = cloud.dials[name], given.get("seconds")
                cloud.faults.clear(dial.kind)
                if seconds != 0:
                    cloud.faults.add(dial.kind, dial.action, times=dial.times, seconds=seconds)
            case {"reset": True} if cloud:
                cloud.faults.clear()
            case {"another": True} if cloud and cloud.another:
                cloud.another()
            case _:
                raise CannotAct("there is no such cloud, or it has no such dial")


def _job(cloud: Shown, job: Job) -> Payload:
    """Return a job with its tasks by the page's words; statuses that have none stand last, under their own names."""
    counts = cloud.fleet.counts(job.job_id)
    words = {**cloud.words, **{status: status for status in counts if status not in cloud.words}}
    said: Counter[str] = Counter()
    for status, word in words.items():
        said[word] += counts[status]
    shown = [[word, count] for word, count in said.items() if count]
    return {"id": job.job_id, "name": job.name, "note": cloud.notes.get(job.job_id, ""), "counts": shown}


def _calls(cloud: Shown, now: float) -> list[Payload]:
    """Return the operations called within the window, each with its limit and its calls: (seconds ago, how)."""
    found: dict[str, list[tuple[float, str]]] = {}
    for arrival in cloud.arrivals[-MOST_CALLS:]:
        if now - arrival.at < WINDOW:
            found.setdefault(arrival.action, []).append((round(now - arrival.at, 1), _how(arrival)))
    return [{"action": action, "limit": cloud.limits.get(action), "at": at} for action, at in sorted(found.items())]


def _how(arrival: Call) -> str:
    """Say how a call was answered, as the caller saw it."""
    if not arrival.status:
        return "lost"
    return "refused" if arrival.code else "ok"
