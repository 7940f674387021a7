"""A recorded call whose slot is missed is handed back by every cloud: nothing is sent, and it may be sent again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.http import Http
from bot.clouds.throttle import Throttle
from bot.clouds.tuya import TuyaCloud
from bot.domain.call import Outcome
from bot.domain.offer import CANCEL_JOB, CANCEL_TASKS
from bot.domain.plan import Step
from bot.domain.status import Status
from bot.ledger.slots import Slots
from bot.ledger.store import Store
from tests.clouds.enos_stand_in import EnosStandIn, Pace, an_account, bot_side
from tests.clouds.stand_ins import Clock, Peer, a_plan, account, answering, by_job, rpc_cloud

FAR = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(tmp_path: Path, clock: Clock) -> Iterator[Throttle]:
    store = Store(tmp_path / "slots.db")
    slots = Slots(store, now=clock.now)
    yield Throttle(reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep)
    store.close()


@pytest.mark.parametrize("kind", [AliyunCloud, TuyaCloud])
def test_rpc(kind: type[AliyunCloud | TuyaCloud], throttle: Throttle, clock: Clock) -> None:
    """A call that a throttling answer holds back for long after it was recorded is not sent, and then in a new slot."""
    plan = by_job("J1", Status.QUEUED)
    http = Http(clock=time.monotonic)
    with Peer(answering(lambda _asked: {"Success": True})) as peer:
        cloud = rpc_cloud(kind, account(peer.url), http=http, throttle=throttle, clock=clock)
        cloud.wait(CANCEL_JOB)
        throttle.throttled("main", CANCEL_JOB, FAR)
        began = clock.seconds()
        missed, asked = cloud.send(plan, plan.call(1), (), 1), len(peer.requests)
        cloud.wait(CANCEL_JOB)
        again = cloud.send(plan, plan.call(1), (), 2)
        http.close()

    assert (Outcome.FAILED, "NotSent", True, 0) == (missed.outcome, missed.code, missed.again, asked)
    assert "its slot was missed, and nothing was sent" == missed.message
    assert (Outcome.DONE, 1) == (again.outcome, len(peer.requests))
    assert clock.seconds() - began >= FAR


def test_enos(clock: Clock) -> None:
    """So it is on EnOS."""
    pace = Pace(clock)
    plan = a_plan(Step(action=CANCEL_TASKS, job="J1"))
    with EnosStandIn(clock.now) as enos:
        enos.add("J1", tasks={"q0": "init"})
        known = an_account(enos.url)
        with bot_side(known, clock, pace) as cloud:
            cloud.wait(CANCEL_TASKS)
            pace.push(known.quota, CANCEL_TASKS, FAR)
            clock.turn(1)
            missed = cloud.send(plan, plan.call(1), ("q0",), 1)
        asked = enos.count(CANCEL_TASKS)

    assert (Outcome.FAILED, "NotSent", True, 0) == (missed.outcome, missed.code, missed.again, asked)
