"""EnOS connect-service v2.1: previews by searching tasks, cancels by device key within a job.

Sources: "Cancel OTA Task", "Search OTA Task", "Get OTA Job", "Search OTA Job"; signing is in enos_wire.py, tokens in
token.py. The cloud cancels only init and published tasks, and says nothing of single devices, so that each call's
devices are looked at just before it is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from bot.clouds.base import Batches, Slow, unsaid
from bot.clouds.enos_gate import Gate
from bot.clouds.enos_tasks import (
    AT_ONCE,
    CANCELLED,
    FAILED,
    MOST,
    SEARCH,
    SUCCEEDED,
    WORDS,
    Lists,
    filtered,
    literal,
    named,
    too_many,
)
from bot.clouds.enos_wire import number, words
from bot.clouds.http import Http
from bot.clouds.shared import LOOK, MOST_JOBS, NO_JOB, NOT_SENT, clock_faults, most_reads, reads_until
from bot.clouds.throttle import MARGIN, SOON, Throttle
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.offer import BY_DEVICE, CANCEL_TASKS, unable
from bot.domain.order import Cancel, CancelDevices, CancelJob
from bot.domain.plan import Call, Job, Look, Names, Plan, Preview
from bot.domain.reading import Named, Reading
from bot.domain.status import Status

LONG: Final = 2_000
"""Tasks whose listing takes some seconds at the default rate, so that people are shown that it goes on."""
JOB_PAGES: Final = 5
"""Pages of running jobs that are read, to find the newest ones: the cloud documents no order."""
JOB_NOT_FOUND: Final = frozenset({"24404", "99404"})


class EnosCloud:
    """One EnOS account. `now` gives UTC, `ahead` the seconds until the next slot of (quota, operation)."""

    choosy: bool = True
    visible_after: float = 2.0

    def __init__(
        self,
        account: Account,
        *,
        http: Http,
        throttle: Throttle,
        now: Callable[[], datetime],
        ahead: Callable[[str, str], float],
    ) -> None:
        self._account = account
        self._now = now
        self._ahead = ahead
        self._throttle = throttle
        self._gate = Gate(account, http=http, throttle=throttle, now=now)
        self._lists = Lists(self._gate)

    # --- what the engine asks (clouds/base.py) -----------------------------------------------------------------

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Read a job and its tasks by status, and the devices to send: those listed by the cloud, or those named."""
        with self.soon():
            return self._look(order, names, slow)

    def _look(self, order: Cancel, names: tuple[str, ...], slow: Slow) -> Look:
        why, until = (
            unable(order, self._account.cloud),
            reads_until(self._now(), most_reads(self._account), self._account),
        )
        if why is not None or order.job is None:
            raise CloudError(f"{why or 'EnOS cancels within a job'}.", advice="Nothing was changed.", final=True)
        facts = self._job(order.job)
        reading = self._reading(facts.id, batch=facts.status)
        match order:
            case CancelDevices():
                hit = BY_DEVICE[self._account.cloud]
                seen, these = self._look_at(facts.id, names, hit, most=self._most, until=until)
                reading = replace(reading, named=seen)
            case CancelJob(statuses=()):
                these = ()
            case _:
                # Not what may flow into them: the plan names devices, and those that were asked for are in these now.
                statuses = frozenset(order.statuses)
                tasks = reading.size(statuses)
                if tasks is None or tasks > LONG:
                    slow(tasks or 0)
                these = self._all(facts.id, reading, statuses)
        return Look(preview=Preview(job=facts, reading=reading), names={facts.id: these})

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Look at the plan's devices again, at many of a job at the first only; the totals bound the others.

        More of the job than the plan lists is never hit, however many tasks flow into the statuses meanwhile.
        """
        these, most = names.get(plan.job, ()), self._most if plan.verb == "devices" else AT_ONCE
        until = reads_until(self._now(), most // AT_ONCE, self._account)
        if before is None:
            reading = self._reading(plan.job)
        elif len(these) > most:
            reading = self._recounted(plan, before)
        else:
            reading = replace(before, at=self._now())
        return replace(reading, named=self._look_at(plan.job, these, plan.statuses, most=most, until=until)[0])

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Read the job, its tasks by status, and the sent devices where that is cheap."""
        these = names.get(plan.job, ())
        facts = self._job(plan.job, patient=True)
        reading = self._reading(plan.job, batch=facts.status, patient=True)
        reading = replace(reading, finished=self._finished(plan.job, reading.canceled, patient=True))
        if plan.verb != "devices" and len(these) > self._most:
            return replace(reading, named=Named(counts={}, unlooked=len(these)))
        looked, rest = these[: self._most], these[self._most :]
        tasks, _ = self._lists.look(plan.job, looked, patient=True)
        return replace(reading, named=named(tasks, looked, unlooked=len(rest)))

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Look at a call's devices and return those whose task is still in a status that the plan names."""
        began = self._now()
        tasks, _ = self._lists.look(call.step.job, names)
        these = tuple(name for name in names if name in tasks and tasks[name].status in plan.statuses)
        counts = {status: None if status in WORDS else 0 for status in Status}
        return these, Reading(at=began, counts=counts, canceled=None, named=named(tasks, names))

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read how many of a job's tasks have succeeded, failed or been cancelled."""
        with self.soon():
            cancelled = self._lists.total(job, FAILED, desc=CANCELLED, patient=False)
            canceled = cancelled.count if cancelled.right and cancelled.described else None
            return {**self._finished(job, canceled, patient=False), "cancelled": canceled}

    def jobs(self) -> Batches:
        """Read the started jobs, newest first, and count the tasks of as many as is cheap."""
        with self.soon():
            return self._jobs()

    def _jobs(self) -> Batches:
        until = self._now() + timedelta(seconds=LOOK)
        found, pages, total = self._started()
        newest = sorted(found, key=lambda job: job.created.zfill(32), reverse=True)
        calls = most_reads(self._account) - pages
        previews: list[Preview] = []
        for job in newest[: min(MOST_JOBS, max(1, calls // (len(WORDS) + 1)))]:
            if previews and self._now() >= until:
                break
            previews.append(Preview(job=job, reading=self._reading(job.id, batch=job.status)))
        return previews, max(total, len(newest)) - len(previews), 0

    def estimate(self, plan: Plan) -> int:
        """Return whole seconds, at least one: of the cancels, or of the looks before them where those are slower."""
        account, looks = self._account, -(-plan.per_call // AT_ONCE)
        cancels = self._ahead(account.quota, CANCEL_TASKS) + plan.calls * MARGIN / account.qps.devices
        reads = self._ahead(account.quota, SEARCH) + plan.calls * looks * MARGIN / account.qps.query
        return max(1, round(max(cancels, reads)))

    def wait(self, action: str) -> None:
        """Have a token ready, and wait for the slot; that there is no token is said by `send`."""
        self._gate.prepare()
        self._gate.early(action, self._account.qps.devices)

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """Have this thread's waits for slots and tokens end once `stopped` says so."""
        return self._throttle.on_terms(stopped=stopped)

    def soon(self) -> AbstractContextManager[None]:
        """Have this thread's reads raise CloudError where the cloud wants to be left alone for long."""
        return self._throttle.on_terms(longest=SOON)

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Send one call once; without devices none, because nobody says what an empty list means to the cloud."""
        del plan
        if not names:
            return Answer(outcome=Outcome.FAILED, code=NOT_SENT, message="no device is left in this call")
        return self._gate.cancel(call, names, first=attempt == 1)

    def probe(self) -> tuple[str, ...]:
        """Get a token and ask for a job that cannot exist: the refusal shows whether the cloud takes the signature."""
        problems = []
        try:
            self._gate.read("get", job=NO_JOB)
        except CloudError as error:
            if error.code not in JOB_NOT_FOUND:
                problems.append(f"{self._account.endpoint}: {error}")
        return (*problems, *clock_faults(self._gate.skew))

    # --- reading -----------------------------------------------------------------------------------------------

    @property
    def _most(self) -> int:
        """How many devices may be looked at singly."""
        return most_reads(self._account) * AT_ONCE

    def _job(self, job: str, *, patient: bool = False) -> Job:
        literal(job)  # nothing that cannot be searched for is asked for
        found = self._gate.read("get", job=job, patient=patient).get("data")
        if not isinstance(found, dict):
            raise CloudError(f"The cloud's answer about job {job} has no data.", advice="Nothing was changed.")
        return replace(_facts(found), id=job)

    def _recounted(self, plan: Plan, before: Reading) -> Reading:
        began = self._now()
        asked = {status: self._lists.total(plan.job, WORDS[status], patient=False) for status in plan.statuses}
        right = all(total.right for total in asked.values())
        fresh = {status: total.count if right else None for status, total in asked.items()}
        return replace(before, at=began, counts={**before.counts, **fresh})

    def _reading(self, job: str, *, batch: str = "", patient: bool = False) -> Reading:
        began = self._now()
        totals = {status: self._lists.total(job, word, patient=patient) for status, word in WORDS.items()}
        cancelled = self._lists.total(job, FAILED, desc=CANCELLED, patient=patient)
        good = filtered([*totals.values(), cancelled])
        known = {status: total.count if good else None for status, total in totals.items()}
        canceled = cancelled.count if good and cancelled.described else None
        return Reading(at=began, counts={**dict.fromkeys(Status, 0), **known}, canceled=canceled, batch=batch)

    def _finished(self, job: str, canceled: int | None, *, patient: bool) -> dict[str, int | None]:
        """Count what has ended; the cloud's `failed` without those that somebody cancelled."""
        totals = {word: self._lists.total(job, word, patient=patient) for word in (SUCCEEDED, FAILED)}
        ended = {word: total.count if total.right else None for word, total in totals.items()}
        failed = ended[FAILED]
        return ended | {FAILED: failed if failed is None else max(0, failed - (canceled or 0))}

    def _all(self, job: str, reading: Reading, statuses: frozenset[Status]) -> tuple[str, ...]:
        if (reading.size(statuses) or 0) > MOST:
            raise too_many(job)
        return self._lists.devices(job, statuses)

    def _look_at(
        self, job: str, names: tuple[str, ...], statuses: Sequence[Status], *, most: int, until: datetime
    ) -> tuple[Named, tuple[str, ...]]:
        """Look at the first `most` devices, beginning no search after `until` but the first.

        Returns what was seen, and those that are, or may be, in `statuses`.
        """
        tasks, count = self._lists.look(job, names[:most], until=until)
        looked, rest = names[:count], names[count:]
        these = [name for name in looked if name in tasks and tasks[name].status in statuses]
        return named(tasks, looked, unlooked=len(rest)), tuple(sorted({*these, *rest}))

    def _started(self) -> tuple[list[Job], int, int]:
        """Return the started jobs, how many pages were read for them, and how many the cloud says there are."""
        found: dict[str, Job] = {}
        total, page = 0, 0
        for page in range(1, JOB_PAGES + 1):
            rows, count = self._lists.page("search", "status = 'started'", at=page)
            total = count if count is not None else total
            facts = {job.id: job for job in map(_facts, rows) if job.id and job.status in {"started", ""}}
            news = facts.keys() - found.keys()
            found |= facts
            if not news or (count is not None and len(found) >= count):
                break
        return list(found.values()), page, total


def _facts(row: Mapping[str, Any]) -> Job:
    retries = row.get("retryPolicy")
    return Job(
        id=words(row, "jobId"),
        name=words(row, "name"),
        status=words(row, "status"),
        product=words(row, "productKey"),
        firmware=words(row, "firmwareId"),
        version=words(row, "firmwareVersion"),
        revives=isinstance(retries, dict) and str(retries.get("enableRetry")).lower() == "true",
        created=words(row, "createTime") or str(number(row.get("createTime")) or ""),
    )
