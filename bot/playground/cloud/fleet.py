"""Models upgrade jobs and their device tasks: what every simulated cloud answers from."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice, pairwise, zip_longest

from bot.playground.cloud.jobs import Firmware, Group, Job, Task, UnknownJobError

__all__ = ["STEPS", "Firmware", "Fleet", "Group", "Job", "Task", "UnknownJobError"]

#: How an Alibaba task moves on; the last step is an end.
STEPS = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED")

#: Says which tasks of a group are meant: all, none, or those of some devices.
Choice = Callable[[Job, Group], bool | Collection[str]]

# Names and when each got there, in order: counting is len(), and a dict keeps the order that paging needs.
_Tasks = dict[Group, dict[str, datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """A cancel, or a retry, that shows only at `due` (clock seconds)."""

    due: float
    job_id: str
    names: tuple[str, ...]
    retry: bool = False


class Fleet:
    """Holds jobs with many thousands of tasks; safe to use from several threads.

    `steps` is the way of a task, its last step an end; `canceled` is the status that a cancel leaves behind, `running`
    that of a job at work, `entry` that of a task that joins or is tried again. With `revive_after`, a job's `retry`
    takes up what was cancelled so many seconds before.
    """

    def __init__(
        self,
        *,
        steps: tuple[str, ...] = STEPS,
        canceled: str = "CANCELED",
        running: str = "IN_PROGRESS",
        entry: str = "QUEUED",
        revive_after: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.live = steps[:-1]
        self.running = running
        self._steps = steps
        self._canceled = Group(canceled, canceled=True)
        self._entry = Group(entry)
        self._revive_after = revive_after
        self._clock = clock
        self._now = now
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget all jobs and firmwares."""
        with self._lock:
            self._jobs: dict[str, Job] = {}
            self._firmwares: dict[str, Firmware] = {}
            self._tasks: dict[str, _Tasks] = {}
            self._hits: dict[str, Counter[str]] = {}
            self._late: list[_Late] = []
            # Up to when (clock seconds) the devices that join have been counted.
            self._joined: dict[str, float] = {}

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
        job_status: str | None = None,
        device_prefix: str = "device",
        created: datetime | None = None,
        joining: float = 0.0,
        retry: bool = False,
    ) -> Job:
        """Add a job with `counts` tasks per status, devices `device_prefix`-000001 and on in each job anew."""
        job = Job(
            job_id=job_id,
            name=name,
            product_key=product_key,
            firmware_id=firmware_id,
            dest_version=dest_version,
            selection=selection,
            status=job_status or self.running,
            created=created or self._now(),
            joining=joining,
            retry=retry,
        )
        with self._lock:
            self._jobs[job_id], self._tasks[job_id], self._hits[job_id] = job, {}, Counter()
            self._joined[job_id] = self._clock()
            if firmware_id not in self._firmwares:
                self.add_firmware(firmware_id, product_key=product_key, version=dest_version, created=job.created)
            for status, number in (counts or {}).items():
                self.add_tasks(job_id, status, number, device_prefix=device_prefix)
        return job

    def add_firmware(
        self,
        firmware_id: str,
        *,
        version: str = "2.0.0",
        product_key: str = "a1V4kdeABCD",
        name: str = "",
        created: datetime | None = None,
    ) -> Firmware:
        """Add a firmware; a job adds its own if need be."""
        firmware = Firmware(
            firmware_id=firmware_id,
            name=name or version,
            product_key=product_key,
            version=version,
            created=created or self._now(),
        )
        with self._lock:
            self._firmwares[firmware_id] = firmware
        return firmware

    def add_tasks(self, job_id: str, status: str, n: int, *, device_prefix: str = "device") -> list[str]:
        """Add `n` tasks in `status` and return their device names."""
        with self._settled(job_id) as tasks:
            return self._add(tasks, Group(status), n, device_prefix)

    def job(self, job_id: str) -> Job:
        """Return the job; raises `UnknownJobError`."""
        with self._settled(job_id):
            return self._jobs[job_id]

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def firmware(self, firmware_id: str) -> Firmware | None:
        """Return the firmware, or None if there is none of this id."""
        with self._lock:
            return self._firmwares.get(firmware_id)

    def firmwares(self) -> list[Firmware]:
        """Return all firmwares, oldest first."""
        with self._lock:
            return list(self._firmwares.values())

    def set_status(self, job_id: str, status: str) -> None:
        """Give the job another status; its tasks stay as they are, and only into a running one do devices join."""
        with self._settled(job_id):
            self._jobs[job_id] = replace(self._jobs[job_id], status=status)
            self._joined[job_id] = self._clock()

    def counts(self, job_id: str) -> Counter[str]:
        """Count tasks by status; a status without tasks has no entry and reads as 0."""
        with self._settled(job_id) as tasks:
            found: Counter[str] = Counter()
            for group, names in tasks.items():
                if names:
                    found[group.status] += len(names)
            return found

    def devices(self, job_id: str, status: str) -> list[str]:
        """Name the devices whose task is in `status`."""
        with self._settled(job_id) as tasks:
            return [name for group, names in tasks.items() if group.status == status for name in names]

    def canceled(self, job_id: str) -> Counter[str]:
        """Say which devices were cancelled, and by how many calls each; a cancel not yet visible counts."""
        with self._settled(job_id):
            return Counter(self._hits[job_id])

    def page(
        self, job_id: str, *, status: str | None = None, names: Collection[str] = (), offset: int = 0, limit: int = 100
    ) -> tuple[int, list[Task]]:
        """Return how many tasks match and `limit` of them from `offset`; with `names`, all of those instead."""
        with self._settled(job_id):
            return self.match(
                lambda _, group: status in {None, group.status} and (names or True),
                jobs=[job_id],
                offset=0 if names else offset,
                limit=len(names) or limit,
            )

    def match(
        self, choose: Choice, *, jobs: Collection[str] | None = None, offset: int = 0, limit: int = 100
    ) -> tuple[int, list[Task]]:
        """Return how many tasks of `jobs` (None: of all) are chosen, and `limit` of them from `offset`."""
        with self._lock:
            self._settle()
            total, shown = 0, list[Task]()
            for job, group, names in self._chosen(choose, jobs):
                first, room = max(offset - total, 0), limit - len(shown)
                total += len(names)
                if room > 0 and first < len(names):
                    shown += [
                        Task(job=job, device=name, group=group, changed=self._tasks[job.job_id][group][name])
                        for name in islice(names, first, first + room)
                    ]
        return total, shown

    def _chosen(self, choose: Choice, jobs: Collection[str] | None) -> Iterator[tuple[Job, Group, Collection[str]]]:
        for job_id in self._jobs if jobs is None else [one for one in jobs if one in self._jobs]:
            job = self._jobs[job_id]
            for group, names in self._tasks[job_id].items():
                chosen = choose(job, group)
                if chosen is True:
                    yield job, group, names
                elif chosen:
                    yield job, group, [name for name in chosen if name in names]

    def cancel(
        self, job_id: str, *, statuses: Collection[str], names: Collection[str] | None = None, delay: float = 0.0
    ) -> int:
        """Cancel the tasks in `statuses` (of `names`, if given), visibly after `delay` seconds; return how many."""
        with self._settled(job_id) as tasks:
            groups = [tasks.get(Group(status), {}) for status in statuses]
            hit = tuple(name for group in groups for name in (group if names is None else names) if name in group)
            self._hits[job_id].update(hit)
            self._late.append(_Late(due=self._clock() + delay, job_id=job_id, names=hit))
            self._settle()
        return len(hit)

    def drain(self, job_id: str, n: int) -> int:
        """Move up to `n` tasks one step on, taking from each step in turn, the furthest first; return how many."""
        with self._settled(job_id) as tasks:
            steps = reversed(list(pairwise(map(Group, self._steps))))
            ready = [[(name, at, to) for name in islice(tasks.get(at, ()), n)] for at, to in steps]
            moves = [move for row in zip_longest(*ready) for move in row if move][:n]
            for name, at, to in moves:
                self._move(tasks, name, at, to)
        return len(moves)

    @contextmanager
    def _settled(self, job_id: str) -> Iterator[_Tasks]:
        with self._lock:
            if job_id not in self._jobs:
                raise UnknownJobError(job_id)
            self._settle()
            yield self._tasks[job_id]

    def _settle(self) -> None:
        """Let the cancels and retries that are due show, and the devices join that have come since."""
        now = self._clock()
        due = [late for late in self._late if late.due <= now]
        if due:
            self._late = [late for late in self._late if late.due > now]
        for late in due:
            (self._revive if late.retry else self._show)(late)
        for job in self._jobs.values():
            if job.joining and job.status == self.running:
                came = int((now - self._joined[job.job_id]) * job.joining)
                self._add(self._tasks[job.job_id], self._entry, came, "joined")
                self._joined[job.job_id] += came / job.joining

    def _show(self, late: _Late) -> None:
        tasks, ended = self._tasks[late.job_id], list[str]()
        live = [Group(step) for step in self.live]
        for name in late.names:
            # A task that moved on meanwhile is cancelled where it is now; one that has ended is left.
            group = next((step for step in live if name in tasks.get(step, ())), None)
            if group is not None:
                self._move(tasks, name, group, self._canceled)
                ended.append(name)
        if self._jobs[late.job_id].retry and self._revive_after is not None:
            due = late.due + self._revive_after
            self._late.append(_Late(due=due, job_id=late.job_id, names=tuple(ended), retry=True))

    def _revive(self, late: _Late) -> None:
        tasks = self._tasks[late.job_id]
        for name in late.names:
            if name in tasks.get(self._canceled, ()):
                self._move(tasks, name, self._canceled, self._entry)

    def _add(self, tasks: _Tasks, group: Group, n: int, prefix: str) -> list[str]:
        born = sum(map(len, tasks.values()))
        names = [f"{prefix}-{born + number:06d}" for number in range(1, n + 1)]
        tasks.setdefault(group, {}).update(dict.fromkeys(names, self._now()))
        return names

    def _move(self, tasks: _Tasks, name: str, at: Group, to: Group) -> None:
        del tasks[at][name]
        tasks.setdefault(to, {})[name] = self._now()
