"""Every parameter of the documents' request tables goes over the wire."""

import json
import time
from collections.abc import Mapping

import pytest

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.http import Http
from bot.clouds.tuya import TuyaCloud
from bot.domain.account import Account, Cloud
from bot.domain.call import Outcome
from bot.domain.offer import CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY, CANCEL_TASKS
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Job, Plan, Preview, freeze
from bot.domain.reading import Named, Reading
from bot.domain.status import Status
from tests.clouds.enos_stand_in import EnosStandIn, Pace, an_account, bot_side
from tests.clouds.stand_ins import START, Clock, Peer, Talk, account, rpc_cloud, sent, unpaced
from tests.documents.parameters import PARAMETERS, Parameter
from tests.house.readme import README

JOB = "Jn4wOp3v"
DEVICES = ("device-1", "device-2")
WAITING = (Status.QUEUED, Status.NOTIFIED)
ORDERS: Mapping[str, Cancel] = {
    CANCEL_JOB: CancelJob(job=JOB, statuses=WAITING),
    CANCEL_DEVICES: CancelDevices(job=JOB, names=DEVICES),
    CANCEL_STRATEGY: CancelStrategy(job=JOB),
    CANCEL_TASKS: CancelDevices(job=JOB, names=DEVICES),
}


def planned(order: Cancel, known: Account) -> Plan:
    """Freeze an order as if the cloud had been looked at."""
    counts = dict.fromkeys(Status, 2)
    seen = Reading(at=START, counts=counts, canceled=0, named=Named(counts={Status.QUEUED: 2}))
    job = Job(id=JOB, product="a1V4kde", firmware="T0F5b5")
    return freeze(order, Preview(job=job, reading=seen), known, {JOB: DEVICES})


def takes_it(talk: Talk) -> None:
    """Take whatever comes."""
    while talk.hear() is not None:
        talk.answer()


def rpc_parameters(parameter: Parameter) -> Mapping[str, str]:
    """Send the operation to a cloud that speaks Alibaba's protocol, and return what came."""
    kind = AliyunCloud if parameter.cloud is Cloud.ALIYUN else TuyaCloud
    instance = "iot_instc_1" if parameter.cloud is Cloud.ALIYUN else None
    clock, http = Clock(), Http(clock=time.monotonic)
    with Peer(takes_it) as peer:
        known = account(peer.url, cloud=parameter.cloud, instance=instance)
        plan = planned(ORDERS[parameter.operation], known)
        cloud = rpc_cloud(kind, known, http=http, throttle=unpaced(clock), clock=clock)
        answer = cloud.send(plan, plan.call(1), DEVICES, 1)
        http.close()
    assert Outcome.DONE is answer.outcome
    return sent(peer)[0]


def enos_parameters() -> Mapping[str, str]:
    """Send the operation to EnOS, and return what came in the query and the body."""
    clock = Clock()
    with EnosStandIn(clock.now) as stand_in:
        stand_in.add(JOB, tasks=dict.fromkeys(DEVICES, "init"))
        known = an_account(stand_in.url, org="o15000000001")
        with bot_side(known, clock, Pace(clock)) as cloud:
            plan = planned(ORDERS[CANCEL_TASKS], known)
            cloud.wait(CANCEL_TASKS)
            cloud.send(plan, plan.call(1), DEVICES, 1)
        heard = next(heard for heard in stand_in.heard if heard.action == CANCEL_TASKS)
    return {**heard.query, "deviceKeys": json.dumps(heard.json["deviceKeys"], separators=(",", ":"))}


@pytest.mark.parametrize(
    "parameter", PARAMETERS, ids=[f"{each.operation}-{each.cloud}-{each.name}" for each in PARAMETERS]
)
def test_it_is_sent(parameter: Parameter) -> None:
    """The parameter goes over the wire with the value that the order or the account gives it."""
    found = enos_parameters() if parameter.cloud is Cloud.ENOS else rpc_parameters(parameter)

    assert parameter.value == found[parameter.name]


def test_the_readme_names_them_all() -> None:
    """The README has a row for each parameter, and each row's test exists: it is the one above."""
    text = README.read_text()

    assert [] == [each for each in PARAMETERS if f"| `{each.name}` |" not in text or f"`{each.test}`" not in text]
