"""Models upgrade jobs and their device tasks: what every simulated cloud answers from."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice, pairwise, zip_longest

#: How an Alibaba task moves on; the last step is an end.
STEPS = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED")


class UnknownJobError(LookupError):
    """No job has this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An upgrade batch as it is now; its tasks are the fleet's."""

    job_id: str
    name: str
    product_key: str
    firmware_id: str
    dest_version: str
    selection: str
    status: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One device's task, as a list operation shows it."""

    device: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """A cancel that was accepted and shows only at `due` (clock seconds)."""

    due: float
    job_id: str
    names: tuple[str, ...]


class Fleet:
    """Holds jobs with many thousands of tasks; safe to use from several threads.

    `steps` is the way of a task, its last step an end; `canceled` is the status that a cancel leaves behind.
    """

    def __init__(
        self,
        *,
        steps: tuple[str, ...] = STEPS,
        canceled: str = "CANCELED",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.live = steps[:-1]
        self._steps = steps
        self._canceled = canceled
        self._clock = clock
        self._now = now
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        # Names per status, in order: counting is len(), and a dict keeps the order that paging needs.
        self._tasks: dict[str, dict[str, dict[str, None]]] = {}
        self._hits: dict[str, Counter[str]] = {}
        self._late: list[_Late] = []

    def add_job(
        self,
        job_id: str,
        *,
        counts: Mapping[str, int] | None = None,
        name: str = "",
        dest_version: str = "2.0.0",
        product_key: str = "a1V4kdeABCD",
        firmware_id: str = "T0F5b5tpFnHQrgfk030100",
        selection: str = "STATIC",
        job_status: str = "IN_PROGRESS",
        device_prefix: str = "device",
    ) -> Job:
        """Add a job with `counts` tasks per status, devices `device_prefix`-000001 and on in each job anew."""
        job = Job(
            job_id=job_id,
            name=name,
            product_key=product_key,
            firmware_id=firmware_id,
            dest_version=dest_version,
            selection=selection,
            status=job_status,
            created=self._now(),
        )
        with self._lock:
            self._jobs[job_id], self._tasks[job_id], self._hits[job_id] = job, {}, Counter()
            for status, number in (counts or {}).items():
                self.add_tasks(job_id, status, number, device_prefix=device_prefix)
        return job

    def clear(self) -> None:
        """Forget all jobs."""
        with self._lock:
            self._jobs, self._tasks, self._hits, self._late = {}, {}, {}, []

    def add_tasks(self, job_id: str, status: str, n: int, *, device_prefix: str = "device") -> list[str]:
        """Add `n` tasks in `status` and return their device names."""
        with self._settled(job_id) as tasks:
            born = sum(map(len, tasks.values()))
            names = [f"{device_prefix}-{born + number:06d}" for number in range(1, n + 1)]
            tasks.setdefault(status, {}).update(dict.fromkeys(names))
        return names

    def job(self, job_id: str) -> Job:
        """Return the job; raises `UnknownJobError`."""
        with self._settled(job_id):
            return self._jobs[job_id]

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def set_status(self, job_id: str, status: str) -> None:
        """Give the job another status; its tasks stay as they are."""
        with self._settled(job_id):
            self._jobs[job_id] = replace(self._jobs[job_id], status=status)

    def counts(self, job_id: str) -> Counter[str]:
        """Count tasks by status; a status without tasks has no entry and reads as 0."""
        with self._settled(job_id) as tasks:
            return Counter({status: len(names) for status, names in tasks.items() if names})

    def devices(self, job_id: str, status: str) -> list[str]:
        """Name the devices whose task is in `status`."""
        with self._settled(job_id) as tasks:
            return list(tasks.get(status, ()))

    def canceled(self, job_id: str) -> Counter[str]:
        """Say which devices were cancelled, and by how many calls each; a cancel not yet visible counts."""
        with self._settled(job_id):
            return Counter(self._hits[job_id])

    def page(
        self, job_id: str, *, status: str | None = None, names: Collection[str] = (), offset: int = 0, limit: int = 100
    ) -> tuple[int, list[Task]]:
        """Return how many tasks match and `limit` of them from `offset`; with `names`, all of those instead."""
        with self._settled(job_id) as tasks:
            groups = {status: tasks.get(status, {})} if status else tasks
            if names:
                found = [
                    Task(device=name, status=key) for key, group in groups.items() for name in names if name in group
                ]
                return len(found), found
            every = chain.from_iterable(((key, name) for name in group) for key, group in groups.items())
            shown = [Task(device=name, status=key) for key, name in islice(every, offset, offset + limit)]
            return sum(map(len, groups.values())), shown

    def cancel(
        self, job_id: str, *, statuses: Collection[str], names: Collection[str] | None = None, delay: float = 0.0
    ) -> int:
        """Cancel the tasks in `statuses` (of `names`, if given), visibly after `delay` seconds; return how many."""
        with self._settled(job_id) as tasks:
            groups = [tasks.get(status, {}) for status in statuses]
            wanted = None if names is None else frozenset(names)
            hit = tuple(name for group in groups for name in group if wanted is None or name in wanted)
            self._hits[job_id].update(hit)
            self._late.append(_Late(due=self._clock() + delay, job_id=job_id, names=hit))
            self._settle()
        return len(hit)

    def drain(self, job_id: str, n: int) -> int:
        """Move up to `n` tasks one step on, taking from each step in turn, the furthest first; return how many."""
        with self._settled(job_id) as tasks:
            steps = reversed(list(pairwise(self._steps)))
            ready = [[(name, at, to) for name in islice(tasks.get(at, ()), n)] for at, to in steps]
            moves = [move for row in zip_longest(*ready) for move in row if move][:n]
            for name, at, to in moves:
                del tasks[at][name]
                tasks.setdefault(to, {})[name] = None
        return len(moves)

    @contextmanager
    def _settled(self, job_id: str) -> Iterator[dict[str, dict[str, None]]]:
        with self._lock:
            if job_id not in self._jobs:
                raise UnknownJobError(job_id)
            self._settle()
            yield self._tasks[job_id]

    def _settle(self) -> None:
        """Let the cancels that are due show."""
        due = [late for late in self._late if late.due <= self._clock()]
        self._late = [late for late in self._late if late not in due]
        for late in due:
            self._show(self._tasks[late.job_id], late.names)

    def _show(self, tasks: dict[str, dict[str, None]], names: tuple[str, ...]) -> None:
        ended = tasks.setdefault(self._canceled, {})
        for name in names:
            # A task that moved on meanwhile is cancelled where it is now; one that has ended is left.
            group = next((tasks[step] for step in self.live if name in tasks.get(step, ())), None)
            if group is not None:
                del group[name]
                ended[name] = None
