"""What the clouds' documents ask of each operation, parameter by parameter, and where the bot takes it from.

Sources: CancelOTATaskByJob, CancelOTATaskByDevice and CancelOTAStrategyByJob of Alibaba Cloud IoT Platform,
CancelOTATaskByJob and CancelOTATaskByDevice of Tuya's compatible cloud, "Cancel OTA Task" of EnOS connect-service v2.1.
"""

from dataclasses import dataclass, replace
from typing import Final

from bot.domain.account import Cloud
from bot.domain.offer import CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY, CANCEL_TASKS

NAMES: Final = {Cloud.ALIYUN: "Alibaba Cloud", Cloud.TUYA: "Tuya", Cloud.ENOS: "EnOS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One row of a request table."""

    operation: str
    cloud: Cloud
    name: str
    comes_from: str
    """Words of the command, or a key of the config file."""
    value: str
    """What the test's order must put on the wire."""

    @property
    def test(self) -> str:
        """The test that sees it on the wire."""
        return f"test_parameters.py::test_it_is_sent[{self.operation}-{self.cloud}-{self.name}]"


def _flag(name: str, cloud: Cloud, word: str, *, value: str) -> Parameter:
    comes_from = f"`{word}` among the statuses: `true`, else `false`"
    return Parameter(operation=CANCEL_JOB, cloud=cloud, name=name, comes_from=comes_from, value=value)


def _common(operation: str, cloud: Cloud) -> tuple[Parameter, ...]:
    action = Parameter(operation=operation, cloud=cloud, name="Action", comes_from="the verb", value=operation)
    if cloud is not Cloud.ALIYUN:
        return (action,)
    return (action, replace(action, name="IotInstanceId", comes_from="`instance`", value="iot_instc_1"))


def _by_device(cloud: Cloud) -> tuple[Parameter, ...]:
    def row(name: str, comes_from: str, value: str) -> Parameter:
        return Parameter(operation=CANCEL_DEVICES, cloud=cloud, name=name, comes_from=comes_from, value=value)

    return (
        row("ProductKey", "`product`, or looked up by the job", "a1V4kde"),
        row("FirmwareId", "`firmware`, or looked up by the job", "T0F5b5"),
        row("DeviceName.1", "`devices`: each name once, as many a call as `names_per_call`", "device-1"),
        row("DeviceName.2", "`devices`", "device-2"),
        row("JobId", "`job`, or the firmware's unfinished jobs: always sent", "Jn4wOp3v"),
    )


def _job_id(operation: str, cloud: Cloud) -> Parameter:
    verb = "`strategy`" if operation == CANCEL_STRATEGY else "`job`"
    return Parameter(operation=operation, cloud=cloud, name="JobId", comes_from=verb, value="Jn4wOp3v")


PARAMETERS: Final = (
    *_common(CANCEL_JOB, Cloud.ALIYUN),
    _job_id(CANCEL_JOB, Cloud.ALIYUN),
    _flag("CancelScheduledTask", Cloud.ALIYUN, "scheduled", value="false"),
    _flag("CancelUnconfirmedTask", Cloud.ALIYUN, "unconfirmed", value="false"),
    _flag("CancelQueuedTask", Cloud.ALIYUN, "queued", value="true"),
    _flag("CancelNotifiedTask", Cloud.ALIYUN, "notified", value="true"),
    _flag("CancelInProgressTask", Cloud.ALIYUN, "in-progress", value="false"),
    *_common(CANCEL_DEVICES, Cloud.ALIYUN),
    *_by_device(Cloud.ALIYUN),
    *_common(CANCEL_STRATEGY, Cloud.ALIYUN),
    _job_id(CANCEL_STRATEGY, Cloud.ALIYUN),
    *_common(CANCEL_JOB, Cloud.TUYA),
    _job_id(CANCEL_JOB, Cloud.TUYA),
    _flag("CancelUnconfirmedTask", Cloud.TUYA, "unconfirmed", value="false"),
    _flag("CancelQueuedTask", Cloud.TUYA, "queued", value="true"),
    _flag("CancelNotifiedTask", Cloud.TUYA, "notified", value="true"),
    *_common(CANCEL_DEVICES, Cloud.TUYA),
    *_by_device(Cloud.TUYA),
    Parameter(operation=CANCEL_TASKS, cloud=Cloud.ENOS, name="action", comes_from="the verb", value="cancelTask"),
    Parameter(operation=CANCEL_TASKS, cloud=Cloud.ENOS, name="orgId", comes_from="`org`", value="o15000000001"),
    Parameter(operation=CANCEL_TASKS, cloud=Cloud.ENOS, name="jobId", comes_from="`job`", value="Jn4wOp3v"),
    Parameter(
        operation=CANCEL_TASKS,
        cloud=Cloud.ENOS,
        name="deviceKeys",
        comes_from="`devices`, or the job's tasks in the statuses, as many a call as `names_per_call`",
        value='["device-1","device-2"]',
    ),
)
"""Every parameter of every request table, in the documents' spelling on the wire."""


def table() -> str:
    """Return the README's table: operation, cloud, parameter, where it comes from, the test that sees it sent."""
    rows = [
        f"| `{row.operation}` | {NAMES[row.cloud]} | `{row.name}` | {row.comes_from} | `{row.test}` |"
        for row in PARAMETERS
    ]
    return "\n".join(["| operation | cloud | parameter | comes from | test |", "|---|---|---|---|---|", *rows, ""])
