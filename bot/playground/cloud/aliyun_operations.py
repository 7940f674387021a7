"""Answers Alibaba Cloud IoT's operations on upgrade jobs from a fleet, in the documents' containers."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.playground.cloud.fleet import Fleet, Job, Task, UnknownJobError
from bot.playground.cloud.rpc_gate import RefusedError, RpcCall

_STATUSES = frozenset({"CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"})
_FLAGS = {"CancelQueuedTask": "QUEUED", "CancelNotifiedTask": "NOTIFIED", "CancelInProgressTask": "IN_PROGRESS"}
_PROGRESS = {"IN_PROGRESS": "50", "SUCCEEDED": "100"}
_MAX_ROWS = 100_000


class AliyunOperations:
    """The operations by name: each takes a checked call, returns its answer or raises `RefusedError`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.by_name: Mapping[str, Callable[[RpcCall], dict[str, Any]]] = {
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
        job, flags = self._job(call), {name: call.flag(name) for name in (*_FLAGS, "CancelUnconfirmedTask")}
        scheduled = call.flag("CancelScheduledTask")
        if not (scheduled or any(flags.values())):
            text = "Specify at least one of the Cancel parameters."
            raise RefusedError(200, "iot.common.InvalidFormattedParameter", text)
        if job.status == "PLANNED":
            self._cancel_planned(job, call, scheduled=scheduled or False)
            return {}
        statuses = {status for name, status in _FLAGS.items() if flags[name]}
        # The trap of this operation: left out, CancelUnconfirmedTask follows CancelQueuedTask.
        if flags["CancelQueuedTask" if flags["CancelUnconfirmedTask"] is None else "CancelUnconfirmedTask"]:
            statuses.add("CONFIRM")
        self._fleet.cancel(job.job_id, statuses=statuses, delay=call.trouble.delay)
        return {}

    def _cancel_planned(self, job: Job, call: RpcCall, *, scheduled: bool) -> None:
        if scheduled:
            self._fleet.cancel(job.job_id, statuses=self._fleet.live, delay=call.trouble.delay)
            self._fleet.set_status(job.job_id, "CANCELED")

    def _cancel_by_device(self, call: RpcCall) -> dict[str, Any]:
        product, firmware, names = call.need("ProductKey"), call.need("FirmwareId"), call.names("DeviceName", most=200)
        if not names:
            raise RefusedError(200, "iot.device.NoneDeviceNameElement", "The device name list is empty.")
        for job in self._jobs_of(firmware):
            if job.product_key == product and call.params.get("JobId") in {None, "", job.job_id}:
                self._fleet.cancel(job.job_id, statuses=self._fleet.live, names=names, delay=call.trouble.delay)
        return {}

    def _cancel_strategy(self, call: RpcCall) -> dict[str, Any]:
        job = self._job(call)
        if job.selection != "DYNAMIC":
            # This code is a guess too; documented is only that static batches are refused.
            raise RefusedError(200, "iot.ota.JobNotDynamic", "The specified job is not a dynamic upgrade job.")
        self._fleet.set_status(job.job_id, "CANCELED")
        return {}

    def _query_job(self, call: RpcCall) -> dict[str, Any]:
        job = self._job(call)
        shown = _job_row(job) | {
            "Name": job.name,
            "DestVersion": job.dest_version,
            "NeedPush": True,
            "NeedConfirm": False,
        }
        return {"Data": shown | ({"DynamicMode": 1} if job.selection == "DYNAMIC" else {})}

    def _list_tasks(self, call: RpcCall) -> dict[str, Any]:
        job, names = self._job(call), call.names("DeviceNames", most=50)
        page, size = _paging(call, most=100)
        status = call.params.get("TaskStatus") or None
        if status not in _STATUSES | {None}:
            raise RefusedError(200, "iot.common.InvalidFormattedParameter", "TaskStatus is not valid.")
        total, tasks = self._fleet.page(
            job.job_id,
            status=None if call.trouble.unfiltered else status,
            names=names,
            offset=(page - 1) * size,
            limit=size,
        )
        rows = [_task_row(job, task) for task in tasks]
        return _paged(total, page, size) | {"Data": {"SimpleOTATaskInfo": rows}}

    def _list_jobs(self, call: RpcCall) -> dict[str, Any]:
        jobs, (page, size) = self._jobs_of(call.need("FirmwareId")), _paging(call, most=200)
        rows = [_job_row(job) for job in jobs[(page - 1) * size : page * size]]
        return _paged(len(jobs), page, size) | {"Data": {"SimpleOTAJobInfo": rows}}

    def _list_firmwares(self, call: RpcCall) -> dict[str, Any]:
        page, size = _paging(call, most=100)
        wanted = {(name, call.params[name]) for name in ("ProductKey", "DestVersion") if call.params.get(name)}
        rows = list({job.firmware_id: _firmware_row(job) for job in self._fleet.jobs()}.values())
        rows = [row for row in rows if wanted <= row.items()]
        shown = rows[(page - 1) * size : page * size]
        return _paged(len(rows), page, size) | {"FirmwareInfo": {"SimpleFirmwareInfo": shown}}

    def _jobs_of(self, firmware_id: str) -> list[Job]:
        jobs = [job for job in self._fleet.jobs() if job.firmware_id == firmware_id]
        if not jobs:
            raise RefusedError(200, "iot.ota.FirmwareNotFound", "The specified firmware does not exist.")
        return jobs


def _paging(call: RpcCall, *, most: int) -> tuple[int, int]:
    page = call.number("CurrentPage", default=1, most=_MAX_ROWS)
    size = call.number("PageSize", default=10, most=most)
    if page * size > _MAX_ROWS:
        raise RefusedError(200, "iot.common.InvalidPageParams", "CurrentPage times PageSize is too large.")
    return page, size


def _paged(total: int, page: int, size: int) -> dict[str, Any]:
    return {"Total": total, "PageCount": math.ceil(total / size), "PageSize": size, "CurrentPage": page}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _job_row(job: Job) -> dict[str, Any]:
    return {
        "JobId": job.job_id,
        "JobStatus": job.status,
        "JobType": "UPGRADE_FIRMWARE",
        "SelectionType": job.selection,
        "TargetSelection": "ALL" if job.selection == "DYNAMIC" else "SPECIFIC",
        "FirmwareId": job.firmware_id,
        "ProductKey": job.product_key,
        "UtcCreate": _utc(job.created),
        "UtcModified": _utc(job.created),
    }


def _task_row(job: Job, task: Task) -> dict[str, Any]:
    return {
        "TaskId": f"{job.job_id}-{task.device}",
        "TaskStatus": task.status,
        "TaskDesc": "Cancelled by user" if task.status == "CANCELED" else "",
        "Progress": _PROGRESS.get(task.status, "0"),
        "DeviceName": task.device,
        "IotId": f"iot-{task.device}",
        "ProductKey": job.product_key,
        "FirmwareId": job.firmware_id,
        "JobId": job.job_id,
        "SrcVersion": "1.0.0",
        "DestVersion": job.dest_version,
        "UtcCreate": _utc(job.created),
        "UtcModified": _utc(job.created),
    }


def _firmware_row(job: Job) -> dict[str, Any]:
    return {
        "FirmwareId": job.firmware_id,
        "FirmwareName": job.name or job.dest_version,
        "ProductKey": job.product_key,
        "DestVersion": job.dest_version,
        "Status": 1,
        "Type": 0,
        "UtcCreate": _utc(job.created),
    }
