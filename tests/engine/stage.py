"""A whole engine without Slack: real intake, executor, ledger and HTTP, a simulated cloud, a clock turned by hand."""

import time
from itertools import count
from pathlib import Path
from typing import Final

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.base import Cloud
from bot.clouds.http import Http
from bot.clouds.throttle import Throttle
from bot.domain.account import Account
from bot.domain.order import CancelJob
from bot.domain.status import Status
from bot.ledger.ledger import Ledger
from bot.playground.cloud.aliyun_cloud import AliyunCloud as SimulatedCloud
from bot.playground.cloud.aliyun_cloud import Arrival
from tests.clouds.stand_ins import Clock, account, hasty_session
from tests.engine.scene import ANN, Scene

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5}
CANCEL: Final = "CancelOTATaskByJob"
DEAF: Final = "http://127.0.0.1:1"
"""An address at which nobody listens."""
TAKEN: Final = {"CONFIRM": 7, "IN_PROGRESS": 5, "CANCELED": 52}
"""What the main job's tasks are after its cancel."""
STALE: Final = 31.0
"""Seconds after which a reading is not of the present any more."""
WHOLE: Final = (52, 52, 52, 0)
"""Asked, accepted, confirmed, left of the main job."""
QUEUED_AND_NOTIFIED: Final = (Status.QUEUED, Status.NOTIFIED)


class Stage(Scene):
    """Processes whose cloud is the simulated one, over HTTP."""

    def __init__(self, folder: Path, simulated: SimulatedCloud, clock: Clock) -> None:
        self.simulated = simulated
        self.http = Http(clock=time.monotonic, sessions=hasty_session)
        self._numbers = count(1)
        super().__init__(folder, account(simulated.url), clock)

    def cloud(self, account: Account, ledger: Ledger, owner: str) -> Cloud:
        """Return the real client."""
        throttle = Throttle(
            reserve=ledger.slots.reserve,
            push=ledger.slots.push,
            now=self.clock.seconds,
            sleep=self.clock.sleep,
            ahead=ledger.slots.ahead,
        )
        return AliyunCloud(
            account,
            http=self.http,
            throttle=throttle,
            now=self.clock.now,
            nonce=lambda: f"{self.clock.seconds()}-{owner}-{next(self._numbers)}",
            ahead=ledger.slots.ahead,
        )

    def close(self) -> None:
        """Close everything."""
        self.http.close()
        super().close()

    def ordered(self, statuses: tuple[Status, ...] = QUEUED_AND_NOTIFIED, *, actor: str = ANN, job: str = JOB) -> int:
        """Order and check; return the id."""
        return self.order(CancelJob(job=job, statuses=statuses, reason="bad image"), actor=actor)

    def meant(self, identity: int, actor: str = ANN) -> int:
        """Say that an order is meant although it is like an open one; return the id."""
        self.press("order_anyway", identity, actor)
        self.one.intake.check(identity)
        return identity

    def confirmed(self, statuses: tuple[Status, ...] = QUEUED_AND_NOTIFIED) -> int:
        """Order, check and confirm; return the id."""
        return self.confirm(self.ordered(statuses))

    @property
    def cancels(self) -> list[Arrival]:
        """Return the cancelling calls that came in."""
        return [arrival for arrival in self.simulated.arrivals if arrival.action == CANCEL]

    @property
    def executed(self) -> int:
        """Return how many cancelling calls did their work."""
        return sum(arrival.executed for arrival in self.cancels)

    @property
    def counts(self) -> dict[str, int]:
        """Return the job's tasks by status, as the cloud has them."""
        return dict(self.simulated.fleet.counts(JOB))


def drain(stage: Stage) -> None:
    """Let every device finish its update."""
    while stage.simulated.fleet.drain(JOB, 1000):
        pass
