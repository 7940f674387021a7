"""Alibaba Cloud IoT, and what is compatible with it: what the engine asks (base.py), in the dialect of each.

Sources: the documents of the three cancelling operations and of the lists; vendors' differences are in the dialects.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import ClassVar, Final

from bot.clouds.base import Batches, Slow, unsaid
from bot.clouds.http import Http
from bot.clouds.rpc_line import Dialect, RpcLine
from bot.clouds.rpc_reads import CANCELED, ENDED, WORDS, RpcReads, named, newest, together, total, unfinished, unread
from bot.clouds.shared import MISSED, MOST_JOBS, most_reads, reads_until
from bot.clouds.throttle import MARGIN, SOON, Throttle
from bot.domain.account import Account
from bot.domain.call import Answer
from bot.domain.errors import CloudError
from bot.domain.offer import BY_DEVICE, CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY
from bot.domain.order import Cancel, CancelDevices
from bot.domain.plan import Call, Job, Look, Names, Plan, Preview
from bot.domain.reading import Named, Reading
from bot.domain.status import Status

TOTALS: Final = len(WORDS) + 1
"""Lists that it takes to count one job's tasks by status."""
FEW_JOBS: Final = 5
"""Of a firmware's jobs so many are counted by status; of more of them only the named devices are looked at."""


class RpcCloud:
    """One account. `now` gives UTC, `nonce` a string that never repeats, `ahead` how far an operation's slots lie."""

    dialect: ClassVar[Dialect]
    choosy: bool = False
    visible_after: float = 0.0

    def __init__(
        self,
        account: Account,
        *,
        http: Http,
        throttle: Throttle,
        now: Callable[[], datetime],
        nonce: Callable[[], str],
        ahead: Callable[[str, str], float],
    ) -> None:
        self._account = account
        self._now = now
        self._ahead = ahead
        self._throttle = throttle
        self._line = RpcLine(account, self.dialect, http=http, throttle=throttle, now=now, nonce=nonce)
        self._reads = RpcReads(self._line)
        self._qps = {
            CANCEL_JOB: account.qps.job,
            CANCEL_DEVICES: account.qps.devices,
            CANCEL_STRATEGY: account.qps.strategy,
        }

    # --- looking before ----------------------------------------------------------------------------------------

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Read the job or jobs, their tasks by status, and the named devices as far as LOOK goes."""
        del slow  # no look here takes longer than LOOK
        with self.soon():
            if isinstance(order, CancelDevices):
                return self._look_at_devices(order, names)
            job = self._reads.job(order.job)
            return Look(preview=Preview(job=job, reading=self._reading(job)))

    def _look_at_devices(self, order: CancelDevices, names: tuple[str, ...]) -> Look:
        began, jobs = self._now(), self._jobs_for(order)
        wanted = {job.id: names for job in jobs}
        totals = len(jobs) * TOTALS if len(jobs) <= FEW_JOBS else 0
        # Whatever the jobs took: the totals have to come within LOOK, too.
        until = reads_until(began, self._most - totals, self._account)
        seen = self._devices(wanted, reserved=totals, until=until)
        to_send = {job: these for job in wanted if (these := self._hit(names, seen[job]))}
        # Where nothing is sent nothing is hit: other jobs' totals would be no bound on what is.
        counted = [job for job in jobs if job.id in to_send] or jobs
        reading = together(began, [self._reading(job) for job in counted]) if len(jobs) <= FEW_JOBS else unread(began)
        batch = jobs[0].status if len(jobs) == 1 else ""
        preview = Preview(
            job=jobs[0], reading=replace(reading, named=named(seen, wanted), batch=batch), others=tuple(jobs[1:])
        )
        return Look(preview=preview, names=to_send)

    def _jobs_for(self, order: CancelDevices) -> list[Job]:
        if order.job is None:
            return self._jobs_of_firmware(order.product or "", order.firmware or "")
        job = self._reads.job(order.job)
        if not (job.product and job.firmware):
            raise CloudError(
                f"The cloud does not tell of which product and firmware job {order.job} is.",
                advice="Name them, with “product” and “firmware” in place of “job”. Nothing was changed.",
                final=True,
            )
        return [job]

    def _jobs_of_firmware(self, product: str, firmware: str) -> list[Job]:
        every = self._reads.jobs_of(firmware)
        theirs = [replace(job, product=product) for job in every if job.product in {product, ""}]
        others = sorted({job.product for job in every})
        if others and not theirs:
            raise CloudError(
                f"Firmware {firmware} is for product {', '.join(others)}, not for {product}.",
                advice="Nothing was changed.",
                final=True,
            )
        live = [job for job in theirs if unfinished(job)]
        if not live:
            raise CloudError(
                f"Firmware {firmware} has no unfinished job of product {product}.",
                advice="Name a job, with “job” and its id, where one is over and has tasks left. Nothing was changed.",
                final=True,
            )
        return live

    def _reading(self, job: Job) -> Reading:
        return replace(self._reads.reading(job.id, planned=_planned(job.status)), batch=job.status)

    # --- looking again -----------------------------------------------------------------------------------------

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Count again, or look at the plan's devices; with `before`, a usual order needs a list or two."""
        if before is None:
            reading = self._whole(plan, names, ended=False, patient=False)
            reserved = len(names) * TOTALS if len(names) <= FEW_JOBS else 0
            return replace(reading, named=self._named(names, reserved)) if plan.by_name else reading
        if plan.by_name:
            return self._recount_devices(plan, names, before)
        return self._recount_job(plan, before, batch=plan.steps[0].action == CANCEL_STRATEGY)

    def _recount_job(self, plan: Plan, before: Reading, *, batch: bool) -> Reading:
        began, status = self._now(), before.batch
        if batch or Status.SCHEDULED in plan.statuses:
            status = self._reads.job(plan.job).status
        counts = self._reads.counts(plan.job, plan.statuses, planned=_planned(status))
        return replace(before, at=began, counts={**before.counts, **counts}, batch=status)

    def _recount_devices(self, plan: Plan, names: Names, before: Reading) -> Reading:
        """Look at the devices again; how many the jobs have is read only where that bounds those not looked at."""
        began, counts = self._now(), dict(before.counts)
        bounded = self._lists(names) > self._most and len(names) <= FEW_JOBS
        if bounded:
            found = [self._reads.counts(job, plan.statuses, planned=False) for job in names]
            counts |= {status: total(each[status] for each in found) for status in plan.statuses}
        named_again = self._named(names, len(names) * TOTALS if bounded else 0)
        return replace(before, at=began, counts=counts, named=named_again)

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Count everything again, patiently, and look at the devices one by one where that is cheap."""
        reading = self._whole(plan, names, ended=True, patient=True)
        return replace(reading, named=self._verified(names)) if plan.by_name else reading

    def _whole(self, plan: Plan, names: Names, *, ended: bool, patient: bool) -> Reading:
        """Count a plan's jobs in every status."""
        began, jobs = self._now(), list(names) if plan.by_name else [plan.job]
        asks_batch = plan.steps[0].action == CANCEL_STRATEGY or Status.SCHEDULED in plan.statuses
        batch = self._reads.job(plan.job, patient=patient).status if asks_batch else ""
        counted = jobs if len(jobs) <= FEW_JOBS else []
        readings = [self._reads.reading(job, planned=_planned(batch), ended=ended, patient=patient) for job in counted]
        return replace(together(began, readings) if readings else unread(began), batch=batch)

    def _verified(self, names: Names) -> Named:
        if self._lists(names) > self._most:
            return Named(counts={}, unlooked=sum(map(len, names.values())))
        return named({job: self._reads.devices(job, these, patient=True) for job, these in names.items()}, names)

    def _named(self, names: Names, reserved: int) -> Named:
        return named(self._devices(names, reserved=reserved), names)

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Look at a call's devices one by one; of a call without names, at what it would hit."""
        began, step = self._now(), call.step
        if step.action != CANCEL_DEVICES:
            statuses = plan.statuses if step.action == CANCEL_JOB else ()
            asked = replace(plan, statuses=statuses)
            return (), self._recount_job(asked, unread(began), batch=step.action == CANCEL_STRATEGY)
        seen = {step.job: self._reads.devices(step.job, names)}
        found = replace(unread(began), named=named(seen, {step.job: names}))
        return self._hit(names, seen[step.job]), found

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read how many tasks have succeeded, failed or been cancelled."""
        with self.soon():
            return self._reads.totals(job, (*ENDED, CANCELED))

    def jobs(self) -> Batches:
        """Read the unfinished jobs of the firmwares; the newest are counted, as many as LOOK allows of each."""
        with self.soon():
            every, unlooked = self._jobs_of_firmwares()
            running = newest({job.id: job for job in every if unfinished(job)}.values())
            shown = running[: max(1, min(MOST_JOBS, self._most // TOTALS))]
            facts = [replace(self._reads.job(job.id), created=job.created) for job in shown]
            return [Preview(job=job, reading=self._reading(job)) for job in facts], len(running) - len(shown), unlooked

    def _jobs_of_firmwares(self) -> tuple[list[Job], int]:
        """Read the jobs of the newest firmwares, as far as LOOK goes; and how many firmwares are beyond that."""
        firmwares, found = self._reads.firmwares(), list[Job]()
        until = reads_until(self._now(), self._most, self._account)
        for looked, firmware in enumerate(firmwares):
            if looked == self._most or (looked and self._now() >= until):
                return found, len(firmwares) - looked
            found += self._reads.jobs_of(firmware)
        return found, 0

    def _devices(self, names: Names, *, reserved: int, until: datetime | None = None) -> dict[str, dict[str, str]]:
        """Look at single devices, job by job, as far as LOOK goes; `reserved` lists are for something else.

        No list is asked for after `until`, or after LOOK from now, but one.
        """
        lists, began = max(1, self._most - reserved), self._now()
        left = lists * self.dialect.names_listed
        until = max(until or reads_until(began, lists, self._account), reads_until(began, 1, self._account))
        seen: dict[str, dict[str, str]] = {}
        for job, these in names.items():
            seen[job] = self._reads.devices(job, these[: max(0, left)], until=until)
            left -= len(these)
        return seen

    def _lists(self, names: Names) -> int:
        return sum(-(-len(these) // self.dialect.names_listed) for these in names.values())

    @property
    def _most(self) -> int:
        return most_reads(self._account)

    def _hit(self, names: tuple[str, ...], seen: Mapping[str, str]) -> tuple[str, ...]:
        """Return the devices that a cancel by device may hit: their task can be cancelled, or nobody looked."""
        words = {WORDS[status] for status in BY_DEVICE[self._account.cloud]}
        return tuple(name for name in names if name not in seen or seen[name] in words)

    # --- cancelling --------------------------------------------------------------------------------------------

    def estimate(self, plan: Plan) -> int:
        """Return whole seconds, at least one: each operation has its own queue, which drains meanwhile."""
        due = 0.0
        for action, steps in groupby(plan.steps, key=lambda step: step.action):
            calls = sum(step.calls for step in steps)
            due = max(due, self._ahead(self._account.quota, action)) + calls * MARGIN / self._qps[action]
        return max(1, round(due))

    def wait(self, action: str) -> None:
        """Wait until shortly before the next slot of a cancelling operation; `send` waits for the rest."""
        self._line.early(action, self._qps[action])

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """Have this thread's waits for slots end once `stopped` says so."""
        return self._throttle.on_terms(stopped=stopped)

    def soon(self) -> AbstractContextManager[None]:
        """Have this thread's reads raise CloudError where the cloud wants to be left alone for long."""
        return self._throttle.on_terms(longest=SOON)

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Send one call once, with its job named always and every flag said outright."""
        step, asked = call.step, {"JobId": call.step.job}
        if step.action == CANCEL_JOB:
            flags = self.dialect.flags.items()
            asked |= {flag: "true" if status in plan.statuses else "false" for status, flag in flags}
        elif step.action == CANCEL_DEVICES:
            asked |= {"ProductKey": step.product or "", "FirmwareId": step.firmware or ""}
            asked |= {f"DeviceName.{number}": name for number, name in enumerate(names, 1)}
        if not self._line.on_time(step.action):
            return MISSED
        answer, _ = self._line.ask(step.action, asked, resent=attempt > 1)
        return answer

    def probe(self) -> tuple[str, ...]:
        """Query a job that cannot exist: the cloud's refusal shows whether it took the signature and the instance."""
        return self._line.probe()


def _planned(status: str) -> bool:
    return status.upper() == "PLANNED"
