"""Answers EnOS's actions on upgrade jobs (connect-service v2.1, ota-jobs) from a fleet."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.playground.cloud.calls import Call, RefusedError
from bot.playground.cloud.enos_expression import (
    JOB_FIELDS,
    TASK_FIELDS,
    Expression,
    ExpressionError,
    Fields,
    Row,
    parsed,
)
from bot.playground.cloud.fleet import Fleet, Group, Job, Task, UnknownJobError

#: The way of a task; a cancelled one becomes failed.
STEPS = ("init", "published", "upgrading", "succeeded")
FAILED = "failed"
CANCELED_DESC = "Cancelled by user"
_CANCELLABLE = ("init", "published")
_PROGRESS = {"upgrading": 50, "succeeded": 100, FAILED: -1}
_FROM_VERSION = "1.0.0"
_MOST_ROWS = 200


class Mixed(StrEnum):
    """What a cancel does when some of its devices cannot be cancelled; the documents do not say.

    ATOMIC cancels none and refuses, PARTIAL cancels the others and refuses, LENIENT cancels the others and is content.
    """

    ATOMIC = "atomic"
    PARTIAL = "partial"
    LENIENT = "lenient"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnosCall(Call):
    """A call as it came in; `wanted` is the JSON object of its body, None if that is something else or empty."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    wanted: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnosOperations:
    """The actions by name; `settle` is how long a cancel takes to show (seconds), `most_keys` how many it takes."""

    fleet: Fleet
    org_id: str | None
    mixed: Mixed
    settle: float
    most_keys: int | None
    pagination: bool

    @property
    def by_name(self) -> Mapping[str, Callable[[EnosCall], dict[str, Any]]]:
        """Return the actions: each takes a checked call, returns its answer or raises `RefusedError`."""
        return {
            "get": lambda call: {"data": self._row(self._job(call))},
            "search": self._search,
            "searchTask": self._search_task,
            "cancelTask": self._cancel_task,
        }

    def _job(self, call: EnosCall) -> Job:
        if not call.params.get("jobId"):
            raise _invalid("jobId is needed")
        try:
            return self.fleet.job(call.params["jobId"])
        except UnknownJobError as error:
            raise RefusedError(200, "24404", "Job not found") from error

    def _cancel_task(self, call: EnosCall) -> dict[str, Any]:
        keys = self._keys(call)
        job = self._job(call)
        if job.status != self.fleet.running:
            raise RefusedError(200, "24617", "Job not running")
        _, tasks = self.fleet.match(lambda _, __: keys, jobs=[job.job_id], limit=len(keys))
        good = [task.device for task in tasks if task.status in _CANCELLABLE]
        spoiled = len(good) < len(keys)
        if spoiled and self.mixed is Mixed.ATOMIC:
            good = []
        if good:
            delay = self.settle + call.trouble.delay
            self.fleet.cancel(job.job_id, statuses=_CANCELLABLE, names=good, delay=delay)
        if spoiled and self.mixed is not Mixed.LENIENT:
            text = "Only init or published tasks can be canceled"
            raise RefusedError(200, "24620", text, executed=bool(good))
        return {"data": None}

    def _keys(self, call: EnosCall) -> list[str]:
        keys = (call.wanted or {}).get("deviceKeys")
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key for key in keys):
            raise _invalid("deviceKeys is needed")
        if self.most_keys is not None and len(keys) > self.most_keys:
            raise _invalid(f"deviceKeys takes at most {self.most_keys}")
        # Envision's own client sends a set.
        return list(dict.fromkeys(keys))

    def _search(self, call: EnosCall) -> dict[str, Any]:
        expression, (page, size) = _expression(call, JOB_FIELDS), _paging(call)
        newest = sorted(self.fleet.jobs(), key=lambda job: job.created)[::-1]
        found = [job for job in newest if expression.verdict(self._job_fields(call, job))]
        shown = found[(page - 1) * size : page * size]
        return self._paged([self._row(job) for job in shown], len(found), page, size)

    def _search_task(self, call: EnosCall) -> dict[str, Any]:
        expression, (page, size) = _expression(call, TASK_FIELDS), _paging(call)

        def choose(job: Job, group: Group) -> bool | Collection[str]:
            row = _task_fields(job, group) | ({"status": None} if call.trouble.unfiltered else {})
            whole = expression.verdict(row)
            if whole is not None:
                return whole
            # What a group has in common does not decide, so the devices do; only those that are named can pass.
            named = sorted(expression.mentioned("deviceKey"))
            return [key for key in named if expression.verdict(row | {"deviceKey": key})]

        total, tasks = self.fleet.match(choose, offset=(page - 1) * size, limit=size)
        return self._paged([self._task_row(task) for task in tasks], total, page, size)

    def _paged(self, rows: list[dict[str, Any]], total: int, page: int, size: int) -> dict[str, Any]:
        own = {"pageNo": page, "pageSize": size, "totalSize": total}
        return {"data": rows} | ({"pagination": own} if self.pagination else {})

    def _job_fields(self, call: EnosCall, job: Job) -> Row:
        names = {"name": job.name, "firmwareName": self._firmware_name(job)}
        return {
            "productKey": job.product_key,
            "firmwareId": job.firmware_id,
            "firmwareVersion": job.dest_version,
            "type": "upgrade",
            "status": None if call.trouble.unfiltered else job.status,
            **{field: names[field.split(".")[0]] for field in JOB_FIELDS if field.split(".")[0] in names},
        }

    def _firmware_name(self, job: Job) -> str:
        firmware = self.fleet.firmware(job.firmware_id)
        return firmware.name if firmware else ""

    def _row(self, job: Job) -> dict[str, Any]:
        return {
            "orgId": self.org_id or "o15475466766371",
            "productKey": job.product_key,
            "jobId": job.job_id,
            "name": _i18n(job.name),
            "firmwareId": job.firmware_id,
            "firmwareVersion": job.dest_version,
            "firmwareName": _i18n(self._firmware_name(job)),
            "type": "upgrade",
            "enableUpgradeRequest": False,
            "upgradePolicy": "incremental" if job.selection == "DYNAMIC" else "snapshot",
            "upgradeScope": {"fromVersions": [_FROM_VERSION]},
            "upgradeTimeout": 1800,
            "retryPolicy": {"enableRetry": job.retry, "retryInterval": 60, "retryCount": 3 if job.retry else 0},
            "schedulePolicy": {"startTime": _milliseconds(job.created)},
            "maximumConcurrency": 100,
            "status": job.status,
            "createTime": _milliseconds(job.created),
        }

    def _task_row(self, task: Task) -> dict[str, Any]:
        fields = _task_fields(task.job, task.group)
        return {
            "taskId": f"{task.job.job_id}-{task.device}",
            "orgId": self.org_id or "o15475466766371",
            "assetId": f"asset-{task.device}",
            "productKey": task.job.product_key,
            "deviceKey": task.device,
            **fields,
            "progress": _PROGRESS.get(task.status, 0),
            "updateTime": _milliseconds(task.changed),
        }


def _task_fields(job: Job, group: Group) -> dict[str, str | None]:
    failed = "Failed to upgrade" if group.status == FAILED else ""
    return {
        "jobId": job.job_id,
        "fromVersion": _FROM_VERSION,
        "toVersion": job.dest_version,
        "desc": CANCELED_DESC if group.canceled else failed,
        "status": group.status,
    }


def _expression(call: EnosCall, fields: Fields) -> Expression:
    text = (call.wanted or {}).get("expression") or ""
    try:
        return parsed(text, fields) if isinstance(text, str) else parsed("?", fields)
    except ExpressionError as error:
        raise _invalid(f"expression: {error}") from error


def _paging(call: EnosCall) -> tuple[int, int]:
    asked = (call.wanted or {}).get("pagination") or {}
    if not isinstance(asked, dict):
        raise _invalid("pagination")
    page, size = asked.get("pageNo", 1), asked.get("pageSize", 10)
    for name, value, most in (("pageNo", page, None), ("pageSize", size, _MOST_ROWS)):
        if type(value) is not int or value < 1 or (most is not None and value > most):
            raise _invalid(name)
    return page, size


def _invalid(what: str) -> RefusedError:
    return RefusedError(200, "99400", f"Invalid parameter: {what}")


def _i18n(text: str) -> dict[str, Any]:
    return {"defaultValue": text, "i18nValue": {}}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
