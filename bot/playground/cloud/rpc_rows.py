"""Writes a fleet's jobs, tasks and firmwares as Alibaba Cloud IoT's documents show them, and pages them."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.playground.cloud.calls import RefusedError
from bot.playground.cloud.fleet import Firmware, Job, Task
from bot.playground.cloud.rpc_gate import RpcCall

STATUSES = frozenset({"CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"})
_PROGRESS = {"IN_PROGRESS": "50", "SUCCEEDED": "100"}
_MAX_ROWS = 100_000
_AHEAD = timedelta(days=1)


def paging(call: RpcCall, *, most: int) -> tuple[int, int]:
    """Return which page a call asks for, and its size."""
    page = call.number("CurrentPage", default=1, most=_MAX_ROWS)
    size = call.number("PageSize", default=10, most=most)
    if page * size > _MAX_ROWS:
        raise RefusedError(200, "iot.common.InvalidPageParams", "CurrentPage times PageSize is too large.")
    return page, size


def paged(total: int, page: int, size: int) -> dict[str, Any]:
    """Write what a list says of itself."""
    return {"Total": total, "PageCount": math.ceil(total / size), "PageSize": size, "CurrentPage": page}


def job_row(job: Job, *, spelled: Mapping[str, str]) -> dict[str, Any]:
    """Write a job as a list shows it."""
    return {
        "JobId": job.job_id,
        "JobStatus": spelled.get(job.status, job.status),
        "JobType": "UPGRADE_FIRMWARE",
        "SelectionType": job.selection,
        "TargetSelection": "ALL" if job.selection == "DYNAMIC" else "SPECIFIC",
        "FirmwareId": job.firmware_id,
        "ProductKey": job.product_key,
        "UtcCreate": _utc(job.created),
        "UtcModified": _utc(job.created),
    }


def job_details(job: Job) -> dict[str, Any]:
    """Write a job as the query of it shows it."""
    own = {"Name": job.name, "DestVersion": job.dest_version, "NeedPush": True, "NeedConfirm": False}
    dynamic = {"DynamicMode": 1} if job.selection == "DYNAMIC" else {}
    planned = {"UtcScheduleTime": _utc(job.created + _AHEAD)} if job.status == "PLANNED" else {}
    return job_row(job, spelled={}) | own | dynamic | planned


def task_row(task: Task) -> dict[str, Any]:
    """Write a device's task."""
    return {
        "TaskId": f"{task.job.job_id}-{task.device}",
        "TaskStatus": task.status,
        "TaskDesc": "Cancelled by user" if task.status == "CANCELED" else "",
        "Progress": _PROGRESS.get(task.status, "0"),
        "DeviceName": task.device,
        "IotId": f"iot-{task.device}",
        "ProductKey": task.job.product_key,
        "FirmwareId": task.job.firmware_id,
        "JobId": task.job.job_id,
        "SrcVersion": "1.0.0",
        "DestVersion": task.job.dest_version,
        "UtcCreate": _utc(task.job.created),
        "UtcModified": _utc(task.changed),
    }


def firmware_row(firmware: Firmware) -> dict[str, Any]:
    """Write a firmware."""
    return {
        "FirmwareId": firmware.firmware_id,
        "FirmwareName": firmware.name,
        "ProductKey": firmware.product_key,
        "DestVersion": firmware.version,
        "Status": 1,
        "Type": 0,
        "UtcCreate": _utc(firmware.created),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
