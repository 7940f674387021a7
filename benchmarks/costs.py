"""What one call and one large plan cost the bot."""

import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import requests
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from benchmarks.processes import ASKER, SECRETS, processes
from bot.clouds.aliyun import ALIYUN
from bot.clouds.http import Http
from bot.clouds.rpc_line import RpcLine
from bot.clouds.throttle import Throttle
from bot.domain import decisions
from bot.domain.account import Account, Approval, Qps
from bot.domain.account import Cloud as CloudName
from bot.domain.order import CancelDevices
from bot.domain.plan import Job, Preview, freeze
from bot.domain.policy import Allowed
from bot.domain.reading import Named, Reading
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.ledger.ledger import Ledger
from bot.wiring.engine import now

ACTION: Final = "CancelOTATaskByDevice"
JOB: Final = "7glPHmaDYLAYMD1HHutT02"
CALLS: Final = 100
ROUNDS: Final = 5
NAMES: Final = 200
DEVICES: Final = 100_000
MIB: Final = 100

Line = tuple[str, str, str, bool]
"""What was measured, the figure, the goal, and whether it was met."""


def account(url: str) -> Account:
    """Return an account at the simulated cloud."""
    return Account(
        name="pumps",
        cloud=CloudName.ALIYUN,
        endpoint=url,
        key_id=Secret(SECRETS["KEY_ID"]),
        key_secret=Secret(SECRETS["KEY_SECRET"]),
        quota="main",
        requesters=(ASKER,),
        qps=Qps(job=5, devices=10, strategy=10, query=10),
        names_per_call=NAMES,
        approval=Approval(above=10**9, always=()),
    )


# --- one call --------------------------------------------------------------------------------------------------------


def signing() -> list[Line]:
    """Send the same call of 200 names by the bot, by requests alone and by Alibaba's SDK, in turns."""
    asked = {"JobId": JOB, "ProductKey": "a1V4kdeABCD", "FirmwareId": "T0F5b5tpFnHQrgfk030100"}
    asked |= {f"DeviceName.{number}": name for number, name in enumerate(named(NAMES), 1)}
    with processes(1) as (process,):
        cloud = process.Cloud(unlimited=True)
        cloud.add_jobs([JOB], {"QUEUED": NAMES})
        url = cloud.url()
        http = Http(clock=time.monotonic)
        senders = {"requests": plain(url, asked), "bot": own(url, http, asked), "sdk": official(url, asked)}
        used: dict[str, list[float]] = {name: [] for name in senders}
        for _ in range(ROUNDS):
            for name, send in senders.items():
                used[name].append(processor(send))
        http.close()
    cost = {name: median(seconds) * 1000 for name, seconds in used.items()}
    beside = cost["bot"] - cost["requests"]
    what = f"processor time of a call with {NAMES} names"
    return [
        (f"{what}: requests alone", f"{cost['requests']:.2f} ms", "-", True),
        (f"{what}: the bot, beside requests", f"{beside:.2f} ms ({cost['bot']:.2f} in all)", "< 1 ms", beside < 1),
        (f"{what}: aliyun-python-sdk-core", f"{cost['sdk']:.2f} ms in all", "> the bot", cost["sdk"] > cost["bot"]),
    ]


def processor(send: Callable[[], None]) -> float:
    """Return the seconds of processor time, of all threads, that one sending takes."""
    send()
    before = time.process_time()
    for _ in range(CALLS):
        send()
    return (time.process_time() - before) / CALLS


def own(url: str, http: Http, asked: dict[str, str]) -> Callable[[], None]:
    """Send as the bot does: signed anew each time, cut at its deadline, its answer classified."""
    throttle = Throttle(
        reserve=lambda _quota, _operation, _spacing: 0.0, push=lambda *_: None, now=time.time, sleep=time.sleep
    )
    line = RpcLine(account(url), ALIYUN, http=http, throttle=throttle, now=now, nonce=lambda: str(uuid.uuid4()))

    def send() -> None:
        answer, _ = line.ask(ACTION, asked, resent=False)
        if answer.outcome != "done":
            raise RuntimeError(str(answer))

    return send


def plain(url: str, asked: dict[str, str]) -> Callable[[], None]:
    """Send a body of the same size, unsigned, with requests alone: what any bot in Python pays."""
    session = requests.Session()
    session.trust_env = False
    body = "&".join(f"{name}={value}" for name, value in asked.items()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def send() -> None:
        # Refused for its missing parameters, after the whole of it was read.
        session.post(url, data=body, headers=headers, params={"Action": ACTION, "Format": "JSON"}).json()

    return send


def official(url: str, asked: dict[str, str]) -> Callable[[], None]:
    """Send with Alibaba's own SDK."""
    client = AcsClient(SECRETS["KEY_ID"], SECRETS["KEY_SECRET"], "cn-shanghai", auto_retry=False)

    def send() -> None:
        request = CommonRequest(domain=url.removeprefix("http://"), version="2018-01-20", action_name=ACTION)
        request.set_protocol_type("http")
        request.set_method("POST")
        request.set_accept_format("json")
        for name, value in asked.items():
            request.add_body_params(name, value)
        answer = client.do_action_with_exception(request)
        if b'"Success":true' not in answer.replace(b" ", b""):
            raise RuntimeError(answer.decode())

    return send


# --- one plan --------------------------------------------------------------------------------------------------------


def plan_cost() -> list[Line]:
    """Make, hash, store and fold a plan of 100,000 devices: once for the time, once for the memory."""
    seconds = median(timed(named(DEVICES)) for _ in range(ROUNDS))
    tracemalloc.start()
    timed(named(DEVICES))
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    what = f"plan of {DEVICES:,} devices made, hashed, stored, folded"
    return [
        (f"{what}: time", f"{seconds:.2f} s", "< 1 s", seconds < 1),
        (f"{what}: memory at most", f"{peak:.0f} MiB", f"< {MIB} MiB", peak < MIB),
    ]


def named(count: int) -> tuple[str, ...]:
    """Name so many devices."""
    return tuple(f"device-{number:06d}" for number in range(count))


def timed(names: tuple[str, ...]) -> float:
    """Do it on a new ledger and return the seconds."""
    with tempfile.TemporaryDirectory(prefix="ota-bot-bench-") as folder:
        ledger = Ledger.open(Path(folder) / "ota-bot.db", now=now)
        began = time.perf_counter()
        try:
            whole(ledger, names)
        finally:
            ledger.close()
        return time.perf_counter() - began


def whole(ledger: Ledger, names: tuple[str, ...]) -> None:
    """Order, freeze, store with the preview, and fold the events anew."""
    at = account("https://iot.cn-shanghai.aliyuncs.com")
    order = CancelDevices(job=JOB, names=names, reason="bench")
    opened = ledger.order(decisions.requested(ASKER, order, at, channel=None, via="terminal"), names=names)
    reading = Reading(
        at=now(),
        counts=dict.fromkeys(Status, 0) | {Status.QUEUED: len(names)},
        canceled=0,
        named=Named(counts={Status.QUEUED: len(names)}, unlooked=0),
    )
    preview = Preview(job=Job(id=JOB, product="a1V4kdeABCD", firmware="T0F5b5tpFnHQrgfk030100"), reading=reading)
    plan = freeze(order, preview, at, {JOB: names})
    ledger.decide(
        opened.id,
        lambda state, moment: decisions.show_preview(
            state,
            moment,
            preview=preview,
            plan=plan,
            estimate=1,
            verdict=Allowed(),
            account=at,
            evidence={},
        ),
        lists=[names],
    )
    folded = ledger.rebuilt(opened.id)
    stored = ledger.names(plan.steps[0].names)
    if folded.plan is None or folded.plan.digest != plan.digest or stored != names:
        raise RuntimeError("what was stored is not what was planned")
