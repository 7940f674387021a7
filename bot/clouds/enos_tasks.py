"""EnOS's lists of tasks and of jobs: how they are asked for, counted, and read page by page.

Sources: connect-service v2.1 "Search OTA Task", "Search OTA Job"; vendors.md, 5.3. What its documents leave open,
and is inferred: the top-level `pagination.totalSize`, and that a cancelled task is `failed` with "Cancelled by user".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.clouds.enos_gate import Gate
from bot.clouds.enos_wire import number, words
from bot.clouds.shared import most_reads
from bot.domain.errors import CloudError
from bot.domain.reading import Named
from bot.domain.status import Status

SEARCH: Final = "searchTask"
PAGE: Final = 200
"""Rows in one page: the most there may be."""
PASSES: Final = 3
"""How often a list is read at most: tasks of a live job move from page to page meanwhile."""
MOST: Final = 100_000
"""The longest list of names (contract, "The words")."""
AT_ONCE: Final = 50
"""Devices that are looked at by one search: of the `in` operator no limit is documented."""
COUNTED: Final = 6
"""Lists that a verification counts: where the cloud tells no totals, their pages share what a look may spend."""
UNLIKELY: Final = 4
"""So many equal totals are no chance: the cloud did not look at the status."""
FAILED: Final = "failed"
SUCCEEDED: Final = "succeeded"
CANCELLED: Final = "Cancelled by user"
"""What a cancelled task is described as, in the vendor's own sample [INF]."""
WORDS: Final[Mapping[Status, str]] = {
    Status.QUEUED: "init",
    Status.NOTIFIED: "published",
    Status.IN_PROGRESS: "upgrading",
}
"""The cloud's word for each unfinished task; it knows no others."""
STATUSES: Final = {word: status for status, word in WORDS.items()}
_URGENCY: Final = (*WORDS.values(), FAILED, SUCCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of a list of tasks."""

    id: str
    device: str
    job: str
    word: str
    desc: str

    @property
    def status(self) -> Status | None:
        """The status of an unfinished task."""
        return STATUSES.get(self.word)

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return self.word == FAILED and self.desc == CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How many tasks were found; `right`: no row seen is another job's or of another status than asked for."""

    count: int | None
    right: bool = True
    described: bool = True
    """Whether no row seen has another `desc` than asked for."""


def literal(value: str) -> str:
    """Return a value in quotes; the cloud documents no way to write a quote within one."""
    if not value or not value.isprintable() or set(value) & set("'\"\\"):
        raise CloudError(
            f"EnOS cannot be asked about {value[:100]!r}: its search has no way to write a quote or control mark.",
            advice="Nothing was changed; check the id.",
            final=True,
        )
    return f"'{value}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pages:
    """What was read of a list: `ended` to its end, `whole` with as many rows as its total said all the while.

    `short`: with less rows than the least that its total ever said.
    """

    tasks: dict[str, Task]
    ended: bool
    whole: bool
    short: bool


class Lists:
    """The lists behind one gate. Everything raises CloudError."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def page(
        self, action: str, expression: str, *, at: int = 1, size: int = PAGE, patient: bool = False
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Read one page: its rows, and how many there are in all where the cloud tells."""
        body = {"expression": expression, "pagination": {"pageNo": at, "pageSize": size}}
        found = self._gate.read(action, body=body, patient=patient)
        rows, pagination = found.get("data"), found.get("pagination")
        total = number(pagination.get("totalSize")) if isinstance(pagination, dict) else None
        total = total if total is None or total >= 0 else None
        # Taken for an empty list, an answer with neither list nor total would mean that nothing is left to cancel.
        rows = [] if rows is None and total is not None else rows
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise CloudError(f"The cloud's answer to {action} has no list.", advice="Nothing was changed.")
        return rows, total

    def total(self, job: str, word: str, *, desc: str | None = None, patient: bool) -> Total:
        """Count a job's tasks in one status; where the cloud tells no total, by reading them as far as that is cheap.

        Beyond that the count is unknown.
        """
        expression = f"jobId = {literal(job)} and status = {literal(word)}"
        expression += f" and desc = {literal(desc)}" if desc is not None else ""
        rows, count = self.page(SEARCH, expression, size=1, patient=patient)
        if count is None and rows:
            cheap = max(1, most_reads(self._gate.account) // COUNTED - 1)
            read = self._pass(expression, pages=cheap, patient=patient)
            tasks, count = list(read.tasks.values()), len(read.tasks) if read.ended else None
        else:
            tasks, count = [_task(row) for row in rows], count or 0
        return Total(
            count=count,
            right=all(task.word in {word, ""} and task.job in {job, ""} for task in tasks),
            described=desc is None or all(task.desc in {desc, ""} for task in tasks),
        )

    def devices(self, job: str, statuses: Iterable[Status]) -> tuple[str, ...]:
        """List the keys of all devices whose task in a job is in one of `statuses`, sorted.

        A live job is read again until nothing is missing, three times at most; who has moved on by then is found out
        before it is sent.
        """
        asked = {WORDS[status] for status in statuses if status in WORDS}
        expression = f"jobId = {literal(job)} and status in ({','.join(literal(word) for word in sorted(asked))})"
        tasks: dict[str, Task] = {}
        for _ in range(PASSES):
            read = self._pass(expression)
            news = read.tasks.keys() - tasks.keys()
            tasks |= read.tasks
            if read.whole or not news:
                break
        keys = {task.device for task in tasks.values() if task.word in asked and task.job in {job, ""}} - {""}
        if len(tasks) > MOST or len(keys) > MOST:
            raise too_many(job)
        return tuple(sorted(keys))

    def look(
        self, job: str, names: tuple[str, ...], *, until: datetime | None = None, patient: bool = False
    ) -> tuple[dict[str, Task], int]:
        """Look at devices singly: the task that each has in a job, the unfinished one if it has several.

        Also returns how many were looked at, the first ones: `until` lets no search begin later, but for the first.
        """
        seen: dict[str, Task] = {}
        for start in range(0, len(names), AT_ONCE):
            if start and until is not None and self._gate.now() >= until:
                return seen, start
            asked = names[start : start + AT_ONCE]
            listed = ",".join(literal(name) for name in asked)
            read = self._pass(f"jobId = {literal(job)} and deviceKey in ({listed})", patient=patient)
            if read.short or not all(task.word for task in read.tasks.values()):
                # Taken as it is, it would mean that the others have no task, and that nothing is left to cancel.
                raise CloudError("The cloud's list of single devices is not whole.", advice="Nothing was changed.")
            for task in read.tasks.values():
                if task.device not in asked or task.job not in {job, ""}:
                    raise CloudError(
                        "The cloud did not look at the job and the devices that it was asked about.",
                        advice="Nothing was changed.",
                        final=True,
                    )
                if task.device not in seen or _rank(task) < _rank(seen[task.device]):
                    seen[task.device] = task
        return seen, len(names)

    def _pass(self, expression: str, *, pages: int = MOST + 1, patient: bool = False) -> _Pages:
        """Read all pages once, or the first so many."""
        found: dict[str, Task] = {}
        totals: set[int | None] = set()
        ended = False
        for page in range(1, pages + 1):
            rows, total = self.page(SEARCH, expression, at=page, patient=patient)
            totals.add(total)
            tasks = {task.id: task for task in map(_task, rows)}
            news = tasks.keys() - found.keys()
            found |= tasks
            # A short page is no sign of the end: the cloud may give fewer rows than it was asked for.
            ended = not news or (total is not None and len(found) >= total)
            if ended or len(found) > MOST:
                break
        least = min((total for total in totals if total is not None), default=0)
        return _Pages(tasks=found, ended=ended, whole=totals == {len(found)}, short=len(found) < least)


def too_many(job: str) -> CloudError:
    """Say that a job's list is too long, and what to do."""
    return CloudError(
        f"Job {job} has more than {MOST:,} tasks to cancel, and EnOS cancels them by name.",
        advice="Nothing was changed; name the devices, up to 100,000 in one order, with the form or “devices @FILE”.",
        final=True,
    )


def named(tasks: Mapping[str, Task], names: tuple[str, ...], *, unlooked: int = 0) -> Named:
    """Count what was seen of devices."""
    seen = [tasks[name] for name in names if name in tasks]
    counts = {status: sum(task.status is status for task in seen) for status in WORDS}
    canceled = sum(task.cancelled for task in seen)
    return Named(
        counts=counts,
        canceled=canceled,
        ended=len(seen) - canceled - sum(counts.values()),
        absent=len(names) - len(seen),
        unlooked=unlooked,
    )


def filtered(totals: Sequence[Total]) -> bool:
    """Tell whether the cloud looked at the status: not if a row has another one, or if all totals are the same."""
    counts = {total.count for total in totals}
    same = len(totals) >= UNLIKELY and len(counts) == 1 and counts != {0}
    return all(total.right for total in totals) and not same


def _task(row: Mapping[str, Any]) -> Task:
    device, job = words(row, "deviceKey"), words(row, "jobId")
    return Task(
        id=str(row.get("taskId") or f"{job}/{device}"),
        device=device,
        job=job,
        word=words(row, "status").lower(),
        desc=words(row, "desc"),
    )


def _rank(task: Task) -> int:
    return _URGENCY.index(task.word) if task.word in _URGENCY else len(_URGENCY)
