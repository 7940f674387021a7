"""The page's side panel: the simulated cloud's jobs, the calls that arrive at it, and the dials that break it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.playground.cloud.aliyun_cloud import AliyunCloud, Arrival
from bot.playground.cloud.faults import FaultKind
from bot.playground.cloud.fleet import Job
from bot.playground.slack.people import CannotAct
from bot.playground.slack.values import Payload

WINDOW: Final = 10.0
"""Seconds of calls that the panel shows."""
STEP: Final = 0.5
"""Seconds between the steps of jobs that drain."""
MOVES: Final = 2
"""Tasks that move on in each step."""
_CANCEL: Final = "CancelOTATaskByJob"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One way to break the cloud: which calls it meets, and how many of them (`None`: all, until it is reset)."""

    kind: FaultKind
    action: str | None = None
    times: int | None = 1


DIALS: Final[Mapping[str, Dial]] = {
    "latency": Dial(kind=FaultKind.LATENCY, times=None),
    "throttle": Dial(kind=FaultKind.THROTTLE, times=3),
    "drop": Dial(kind=FaultKind.DROP_AFTER, action=_CANCEL),
    "refuse": Dial(kind=FaultKind.SIGNATURE_REFUSED, action=_CANCEL),
}
"""The dials by their names on the page, where each says what it does."""


class Panel:
    """Reads and turns the simulated cloud.

    `notes` says of a job what it is there for, `draining` names the jobs whose tasks move on while somebody looks, and
    `another` puts one more small job there.
    """

    def __init__(
        self,
        cloud: AliyunCloud,
        *,
        notes: Mapping[str, str],
        draining: tuple[str, ...] = (),
        another: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cloud = cloud
        self._notes = notes
        self._draining = draining
        self._another = another
        self._clock = clock
        self._stepped = clock()

    def snapshot(self) -> Payload:
        """Return what the panel shows; whoever looks lets the draining jobs move on."""
        now = self._clock()
        if now - self._stepped >= STEP:
            self._stepped = now
            for job_id in self._draining:
                self._cloud.fleet.drain(job_id, MOVES)
        waiting = {fault.kind: (fault.seconds, times) for fault, times in self._cloud.faults.waiting()}
        return {
            "jobs": [self._job(job) for job in self._cloud.fleet.jobs()],
            "calls": self._calls(now),
            "dials": {name: waiting[dial.kind] for name, dial in DIALS.items() if dial.kind in waiting},
        }

    def _job(self, job: Job) -> Payload:
        facts = {"id": job.job_id, "name": job.name, "status": job.status, "note": self._notes.get(job.job_id, "")}
        return {**facts, "counts": dict(self._cloud.fleet.counts(job.job_id))}

    def _calls(self, now: float) -> list[Payload]:
        """Return the operations called within the window, each with its limit and its calls: (seconds ago, how)."""
        found: dict[str, list[tuple[float, str]]] = {}
        for arrival in list(self._cloud.arrivals):
            if now - arrival.at < WINDOW:
                found.setdefault(arrival.action, []).append((round(now - arrival.at, 1), _how(arrival)))
        limits = self._cloud.gate.limits
        return [{"action": action, "limit": limits.get(action), "at": at} for action, at in sorted(found.items())]

    def turn(self, given: Mapping[str, Any]) -> None:
        """Turn a dial (`{"dial": …, "seconds": …}`), reset all, or put another small job there."""
        match given:
            case {"dial": str(name)} if name in DIALS:
                dial, seconds = DIALS[name], given.get("seconds")
                self._cloud.faults.clear(dial.kind)
                if seconds != 0:
                    self._cloud.faults.add(dial.kind, dial.action, times=dial.times, seconds=seconds)
            case {"reset": True}:
                self._cloud.faults.clear()
            case {"another": True}:
                self._another()
            case _:
                raise CannotAct("the cloud has no such dial")


def _how(arrival: Arrival) -> str:
    """Say how a call was answered, as the caller saw it."""
    if not arrival.status:
        return "lost"
    return "refused" if arrival.code else "ok"
