"""The simulated clouds as the side panel shows them: words for their statuses, and the dials that break them.

A dial meets calls by their names; `*` stands for the rest of a name, as a vendor has several calls that cancel.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.cloud.enos_cloud import EnosCloud
from bot.playground.cloud.faults import FaultKind
from bot.playground.cloud.tuya_cloud import TuyaCloud
from bot.playground.page.panel import Dial, Shown

DIALS: Final[Mapping[str, Dial]] = {
    "latency": Dial(
        label="Latency", does="Every answer comes so much later.", kind=FaultKind.LATENCY, times=None, most=6
    ),
    "throttle": Dial(
        label="Throttle",
        does="The next 3 calls are refused for coming too fast.",
        kind=FaultKind.THROTTLE,
        times=3,
    ),
    "drop": Dial(
        label="Drop",
        does="The next cancel is carried out, and its answer lost.",
        kind=FaultKind.DROP_AFTER,
        action="Cancel*",
    ),
    "refuse": Dial(
        label="Refuse",
        does="The next cancel is refused: bad signature.",
        kind=FaultKind.SIGNATURE_REFUSED,
        action="Cancel*",
    ),
}
"""The dials of Alibaba's cloud and of Tuya's, by their names."""
ENOS_DIALS: Final[Mapping[str, Dial]] = {
    "latency": DIALS["latency"],
    "throttle": DIALS["throttle"],
    "drop": replace(DIALS["drop"], action="cancelTask"),
    "token": Dial(
        label="Token",
        does="The next cancel finds that its access token has run out.",
        kind=FaultKind.HTTP_401,
        action="cancelTask",
    ),
    "refuse": Dial(
        label="Refuse",
        does="The next cancel is refused: the app may not do that.",
        kind=FaultKind.PERMISSION_REFUSED,
        action="cancelTask",
    ),
}
"""The dials of EnOS, by their names."""
WORDS: Final[Mapping[str, str]] = {
    "CONFIRM": "unconfirmed",
    "QUEUED": "queued",
    "NOTIFIED": "notified",
    "IN_PROGRESS": "in-progress",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
"""The bot's words for Alibaba's statuses and for Tuya's, in the order of a task's way."""
ENOS_WORDS: Final[Mapping[str, str]] = {
    "init": "queued",
    "published": "notified",
    "upgrading": "in-progress",
    "succeeded": "succeeded",
    # The cloud has no other word for what somebody cancelled; here nothing fails otherwise.
    "failed": "cancelled",
}
"""The bot's words for EnOS's statuses."""


def aliyun(cloud: AliyunCloud, **more: Any) -> Shown:
    """Show a simulated Alibaba Cloud; `more` are further fields of `Shown`."""
    return _shown(cloud, name="aliyun", title="Alibaba Cloud", words=WORDS, dials=DIALS, **more)


def tuya(cloud: TuyaCloud, **more: Any) -> Shown:
    """Show a simulated Tuya instance; `more` are further fields of `Shown`."""
    return _shown(cloud, name="tuya", title="Tuya", words=WORDS, dials=DIALS, **more)


def enos(cloud: EnosCloud, **more: Any) -> Shown:
    """Show a simulated EnOS; `more` are further fields of `Shown`."""
    return _shown(cloud, name="enos", title="EnOS", words=ENOS_WORDS, dials=ENOS_DIALS, **more)


def _shown(cloud: AliyunCloud | TuyaCloud | EnosCloud, **more: Any) -> Shown:
    return Shown(fleet=cloud.fleet, faults=cloud.faults, arrivals=cloud.arrivals, limits=cloud.limits, **more)
