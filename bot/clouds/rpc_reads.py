"""What the RPC clouds tell of jobs, of their tasks by status, and of single devices among them.

Sources: the documents of QueryOTAJob, ListOTATaskByJob, ListOTAJobByFirmware and ListOTAFirmware. No operation counts
by status: a count is the Total of a list that is filtered by TaskStatus.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from bot.clouds.rpc import field, text
from bot.clouds.rpc_line import RpcLine, rows, whole_number
from bot.domain.errors import CloudError
from bot.domain.plan import Job, Names
from bot.domain.reading import Named, Reading
from bot.domain.status import FLOW, Status

WORDS: Final[Mapping[Status, str]] = {
    Status.UNCONFIRMED: "CONFIRM",
    Status.QUEUED: "QUEUED",
    Status.NOTIFIED: "NOTIFIED",
    Status.IN_PROGRESS: "IN_PROGRESS",
}
"""The clouds' TaskStatus of each unfinished task, in the order in which tasks flow."""
CANCELED: Final = "CANCELED"
ENDED: Final = ("SUCCEEDED", "FAILED")
ABSENT: Final = ""
"""Stands for a device without any task in the job."""
UNFINISHED: Final = ("PLANNED", "IN_PROGRESS")
"""The JobStatus of a job that is not over; one that is says COMPLETED, COMPLETE or CANCELED."""
DOUBTFUL: Final = 3
"""So many statuses with the same Total, not zero, are no chance: the cloud did not filter."""
_RANK: Final = {word: rank for rank, word in enumerate((*ENDED, CANCELED, *WORDS.values()))}
"""Of several tasks of one device the one that counts: an unfinished one, the furthest, or one that is cancelled."""

Seen = Mapping[str, str]
"""The TaskStatus of each device that was looked at, ABSENT where it has no task; who is missing was not looked at."""


class RpcReads:
    """Reads over one line."""

    def __init__(self, line: RpcLine) -> None:
        self._line = line

    def job(self, job: str, *, patient: bool = False) -> Job:
        """Read a job's facts."""
        found = field(self._line.fetch("QueryOTAJob", {"JobId": job}, patient=patient), "Data")
        if not isinstance(found, dict):
            raise CloudError(f"The cloud's answer about job {job} has no Data.", advice="Nothing was changed.")
        return _facts(found, job)

    def jobs_of(self, firmware: str) -> list[Job]:
        """Read all jobs of a firmware, newest first."""
        size = self._line.dialect.jobs_listed
        found = self._line.pages("ListOTAJobByFirmware", {"FirmwareId": firmware}, size=size, row="SimpleOTAJobInfo")
        facts = [_facts(row, text(row, "JobId")) for row in found]
        jobs = {job.id: job if job.firmware else replace(job, firmware=firmware) for job in facts if job.id}
        return newest(jobs.values())

    def firmwares(self) -> list[str]:
        """Read the ids of all firmwares, the newest first."""
        size = self._line.dialect.firmwares_listed
        found = self._line.pages("ListOTAFirmware", {}, size=size, row="SimpleFirmwareInfo")
        found.sort(key=lambda row: text(row, "UtcCreate"), reverse=True)
        return list(dict.fromkeys(one for row in found if (one := text(row, "FirmwareId"))))

    def totals(self, job: str, words: Iterable[str], *, patient: bool = False) -> dict[str, int | None]:
        """Count a job's tasks by the cloud's own status words; all are `None` where the cloud did not filter."""
        found = {word: self._total(job, word, patient=patient) for word in words}
        filtered = _filtered(found)
        return {word: total if filtered else None for word, (total, _) in found.items()}

    def counts(self, job: str, statuses: Collection[Status], *, planned: bool) -> dict[Status, int | None]:
        """Count a job's tasks in `statuses`; the scheduled ones are all unfinished tasks of a planned batch."""
        asks_all = planned and Status.SCHEDULED in statuses
        asked = {status: word for status, word in WORDS.items() if asks_all or status in statuses}
        found = self.totals(job, asked.values())
        counts = {status: found[word] for status, word in asked.items()}
        return {**counts, Status.SCHEDULED: _scheduled(counts, planned)} if Status.SCHEDULED in statuses else counts

    def reading(self, job: str, *, planned: bool, ended: bool = False, patient: bool = False) -> Reading:
        """Count a job's tasks in every status; with `ended` also how those ended that were not cancelled."""
        began = self._line.now()
        found = self.totals(job, (*WORDS.values(), CANCELED, *(ENDED if ended else ())), patient=patient)
        counts = {status: found[word] for status, word in WORDS.items()}
        return Reading(
            at=began,
            counts={**counts, Status.SCHEDULED: _scheduled(counts, planned)},
            canceled=found[CANCELED],
            finished={word: found[word] for word in ENDED} if ended else None,
        )

    def devices(
        self, job: str, names: Sequence[str], *, until: datetime | None = None, patient: bool = False
    ) -> dict[str, str]:
        """Look at single devices of a job; `until` lets no list be asked for later."""
        size, seen = self._line.dialect.names_listed, {}
        for start in range(0, len(names), size):
            if until is not None and self._line.now() >= until:
                break
            seen.update(self._devices(job, names[start : start + size], patient=patient))
        return seen

    def _devices(self, job: str, names: Sequence[str], *, patient: bool) -> dict[str, str]:
        asked = {f"DeviceNames.{number}": name for number, name in enumerate(names, 1)}
        paging = {"CurrentPage": "1", "PageSize": str(self._line.dialect.tasks_listed)}
        found = self._line.fetch("ListOTATaskByJob", {"JobId": job, **asked, **paging}, patient=patient)
        tasks = [(text(row, "DeviceName"), text(row, "TaskStatus")) for row in rows(found, "SimpleOTATaskInfo")]
        said = field(found, "Total")
        # Rows of others, or less of them than there are, show that the cloud did not look at the names; neither rows
        # nor a Total show nothing at all.
        asked_for, there = {name for name, _ in tasks} <= set(names), len(tasks)
        whole = there > 0 if said is None else whole_number(said) <= there
        return settled(names, tasks, whole=asked_for and whole)

    def _total(self, job: str, word: str, *, patient: bool) -> tuple[int, bool]:
        """Return the Total of a job's tasks in one status, and whether no row says that it has another."""
        asked = {"JobId": job, "TaskStatus": word, "CurrentPage": "1", "PageSize": "1"}
        found = self._line.fetch("ListOTATaskByJob", asked, patient=patient)
        count = whole_number(field(found, "Total"))
        others = {text(row, "TaskStatus") for row in rows(found, "SimpleOTATaskInfo")} - {word, ""}
        return count, not others


def newest(jobs: Iterable[Job]) -> list[Job]:
    """Sort jobs by when they were made."""
    return sorted(jobs, key=lambda job: job.created, reverse=True)


def unfinished(job: Job) -> bool:
    """Tell whether a job is not over."""
    return job.status.upper() in UNFINISHED


def settled(names: Sequence[str], tasks: Iterable[tuple[str, str]], *, whole: bool) -> dict[str, str]:
    """Return what each device's task is doing, as far as its rows say it; without all rows, only what is unfinished."""
    of: dict[str, set[str]] = {name: set() for name in names}
    for name, word in tasks:
        of.get(name, set()).add(word)
    found = {name: max(words & _RANK.keys(), key=_RANK.__getitem__, default=ABSENT) for name, words in of.items()}
    live = frozenset(WORDS.values())
    return {name: word for name, word in found.items() if word in live or (whole and of[name] <= _RANK.keys())}


def named(seen: Mapping[str, Seen], names: Names) -> Named:
    """Sum up what was seen of `names` in each of their jobs; a device without a task in any of them is absent once."""
    words = Counter(word for found in seen.values() for word in found.values())
    asked = sum(map(len, names.values()))
    somewhere = {name for job, these in names.items() for name in these if seen.get(job, {}).get(name) != ABSENT}
    every = {name for these in names.values() for name in these}
    return Named(
        counts={status: words[word] for status, word in WORDS.items() if words[word]},
        canceled=words[CANCELED],
        ended=sum(words[word] for word in ENDED),
        absent=len(every - somewhere),
        unlooked=asked - words.total(),
    )


def together(at: datetime, readings: Sequence[Reading]) -> Reading:
    """Sum up readings of several jobs; what one of them does not know is unknown."""
    return Reading(
        at=at,
        counts={status: total(reading.counts.get(status) for reading in readings) for status in Status},
        canceled=total(reading.canceled for reading in readings),
        finished={word: total((reading.finished or {}).get(word) for reading in readings) for word in ENDED}
        if any(reading.finished for reading in readings)
        else None,
    )


def unread(at: datetime) -> Reading:
    """Return a reading in which nothing is known."""
    return Reading(at=at, counts=dict.fromkeys(Status), canceled=None)


def total(counts: Iterable[int | None]) -> int | None:
    """Sum up counts; with one that is unknown the sum is unknown."""
    found = list(counts)
    known = [count for count in found if count is not None]
    return sum(known) if len(known) == len(found) else None


def _scheduled(counts: Mapping[Status, int | None], planned: bool) -> int | None:
    return total(counts[status] for status in FLOW) if planned else 0


def _facts(found: Mapping[str, Any], job: str) -> Job:
    return Job(
        id=job,
        name=text(found, "Name"),
        status=text(found, "JobStatus"),
        dynamic=text(found, "SelectionType") == "DYNAMIC",
        product=text(found, "ProductKey"),
        firmware=text(found, "FirmwareId"),
        version=text(found, "DestVersion"),
        created=text(found, "UtcCreate"),
    )


def _filtered(totals: Mapping[str, tuple[int, bool]]) -> bool:
    """Tell whether the cloud looked at the status: not if a row has another one, or if many totals are the same."""
    same = len(totals) >= DOUBTFUL and len({total for total, _ in totals.values()}) == 1
    some = any(total for total, _ in totals.values())
    return all(right for _, right in totals.values()) and not (same and some)
