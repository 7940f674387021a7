"""Answers the operations on upgrade jobs that Alibaba Cloud IoT and Tuya share, from a fleet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.playground.cloud.calls import RefusedError
from bot.playground.cloud.fleet import Fleet, Job, UnknownJobError
from bot.playground.cloud.rpc_gate import RpcCall
from bot.playground.cloud.rpc_rows import STATUSES, firmware_row, job_details, job_row, paged, paging, task_row

Operations = Mapping[str, Callable[[RpcCall], dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where the two vendors differ: flags of a cancel by job, and what a cancel by device takes and hits.

    `row_statuses` are the statuses of a job that lists spell otherwise than the query of one job.
    """

    flags: Mapping[str, str]
    by_device: tuple[str, ...]
    most_names: int
    scheduled: bool
    row_statuses: Mapping[str, str] = field(default_factory=dict)


class RpcOperations:
    """The operations by name: each takes a checked call, returns its answer or raises `RefusedError`."""

    def __init__(self, fleet: Fleet, dialect: Dialect) -> None:
        self._fleet = fleet
        self._dialect = dialect
        self.by_name: Operations = {
            "CancelOTATaskByJob": self._cancel_by_job,
            "CancelOTATaskByDevice": self._cancel_by_device,
            "CancelOTAStrategyByJob": self._cancel_strategy,
            "QueryOTAJob": self._query_job,
            "ListOTATaskByJob": self._list_tasks,
            "ListOTAJobByFirmware": self._list_jobs,
            "ListOTAFirmware": self._list_firmwares,
        }

    def _job(self, call: RpcCall) -> Job:
        try:
            return self._fleet.job(call.need("JobId"))
        except UnknownJobError as error:
            # The real code is not documented; this name is a guess beside iot.ota.FirmwareNotFound.
            raise RefusedError(200, "iot.ota.JobNotFound", "The specified job does not exist.") from error

    def _cancel_by_job(self, call: RpcCall) -> dict[str, Any]:
        job, flags = self._job(call), {name: call.flag(name) for name in self._dialect.flags}
        unconfirmed = call.flag("CancelUnconfirmedTask")
        scheduled = self._dialect.scheduled and call.flag("CancelScheduledTask")
        if not (scheduled or unconfirmed or any(flags.values())):
            text = "Specify at least one of the Cancel parameters."
            raise RefusedError(200, "iot.common.InvalidFormattedParameter", text)
        if job.status == "PLANNED" and self._dialect.scheduled:
            self._cancel_planned(job, call, scheduled=scheduled or False)
            return {}
        statuses = {status for name, status in self._dialect.flags.items() if flags[name]}
        # The trap of this operation: left out, CancelUnconfirmedTask follows CancelQueuedTask.
        if flags["CancelQueuedTask"] if unconfirmed is None else unconfirmed:
            statuses.add("CONFIRM")
        self._fleet.cancel(job.job_id, statuses=statuses, delay=call.trouble.delay)
        return {}

    def _cancel_planned(self, job: Job, call: RpcCall, *, scheduled: bool) -> None:
        if scheduled:
            self._fleet.cancel(job.job_id, statuses=self._fleet.live, delay=call.trouble.delay)
            self._fleet.set_status(job.job_id, "CANCELED")

    def _cancel_by_device(self, call: RpcCall) -> dict[str, Any]:
        product, firmware = call.need("ProductKey"), call.need("FirmwareId")
        names = call.names("DeviceName", most=self._dialect.most_names)
        if not names:
            raise RefusedError(200, "iot.device.NoneDeviceNameElement", "The device name list is empty.")
        only = self._job(call).job_id if call.params.get("JobId") else None
        for job in self._jobs_of(firmware):
            if job.product_key == product and only in {None, job.job_id}:
                statuses = self._dialect.by_device
                self._fleet.cancel(job.job_id, statuses=statuses, names=names, delay=call.trouble.delay)
        return {}

    def _cancel_strategy(self, call: RpcCall) -> dict[str, Any]:
        job = self._job(call)
        if job.selection != "DYNAMIC":
            # This code is a guess too; documented is only that static batches are refused.
            raise RefusedError(200, "iot.ota.JobNotDynamic", "The specified job is not a dynamic upgrade job.")
        self._fleet.set_status(job.job_id, "CANCELED")
        return {}

    def _query_job(self, call: RpcCall) -> dict[str, Any]:
        return {"Data": job_details(self._job(call))}

    def _list_tasks(self, call: RpcCall) -> dict[str, Any]:
        job, names = self._job(call), call.names("DeviceNames", most=50)
        # With names the documents ignore paging.
        page, size = (1, len(names)) if names else paging(call, most=100)
        status = call.params.get("TaskStatus") or None
        if status not in STATUSES | {None}:
            raise RefusedError(200, "iot.common.InvalidFormattedParameter", "TaskStatus is not valid.")
        total, tasks = self._fleet.page(
            job.job_id,
            status=None if call.trouble.unfiltered else status,
            names=names,
            offset=(page - 1) * size,
            limit=size,
        )
        return paged(total, page, size) | {"Data": {"SimpleOTATaskInfo": [task_row(task) for task in tasks]}}

    def _list_jobs(self, call: RpcCall) -> dict[str, Any]:
        jobs, (page, size) = self._jobs_of(call.need("FirmwareId")), paging(call, most=200)
        rows = [job_row(job, spelled=self._dialect.row_statuses) for job in jobs[(page - 1) * size : page * size]]
        return paged(len(jobs), page, size) | {"Data": {"SimpleOTAJobInfo": rows}}

    def _list_firmwares(self, call: RpcCall) -> dict[str, Any]:
        page, size = paging(call, most=100)
        wanted = {(name, call.params[name]) for name in ("ProductKey", "DestVersion") if call.params.get(name)}
        rows = [row for row in map(firmware_row, self._fleet.firmwares()) if wanted <= row.items()]
        shown = rows[(page - 1) * size : page * size]
        return paged(len(rows), page, size) | {"FirmwareInfo": {"SimpleFirmwareInfo": shown}}

    def _jobs_of(self, firmware_id: str) -> list[Job]:
        if self._fleet.firmware(firmware_id) is None:
            raise RefusedError(200, "iot.ota.FirmwareNotFound", "The specified firmware does not exist.")
        return [job for job in self._fleet.jobs() if job.firmware_id == firmware_id]
