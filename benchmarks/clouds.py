"""Measures the bot against a simulated Alibaba Cloud: its pace, its fairness, and what a call and a plan cost.

Run it with `python -m benchmarks.clouds`, or some of it with the names of the measurements. Everything is real but
Slack and the cloud: processes of their own, sockets, the ledger on this disk. Arrivals are taken by the cloud's clock.
"""

import json
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.costs import plan_cost, signing
from benchmarks.processes import Bot, Cloud, stage, until
from bot.domain.order import CancelDevices, CancelJob
from bot.domain.status import Status

BY_DEVICE: Final = "CancelOTATaskByDevice"
BY_JOB: Final = "CancelOTATaskByJob"
LATENCY: Final = 0.25
CALLS: Final = 100
PER_CALL: Final = 200
CANCELLATIONS: Final = 40
LARGE: Final = 500
"""Calls of the batch that a small cancellation stands beside; at ten a second it would take 51 s, and is stopped."""
URGENT: Final = 5
"""How often the small one is ordered."""
SOON: Final = 2.0
"""Seconds from its confirmation in which the small one's call must arrive."""
ENOUGH: Final = 97.0
"""Per cent of the cloud's rate that must be used."""
RESULTS: Final = Path(__file__).with_name("clouds.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    goal: str
    met: bool


def main(chosen: list[str]) -> int:
    """Measure what is chosen, or everything; print a table and write it as JSON."""
    rows: list[Row] = []
    for name, measure in MEASURES.items():
        if not chosen or name in chosen:
            for row in measure():
                rows.append(row)
                print(f"{'ok ' if row.met else 'NOT'}  {row.what:<58} {row.measured}   (goal: {row.goal})", flush=True)
    if not chosen:
        about = {"at": time.strftime("%Y-%m-%d"), "python": platform.python_version(), "machine": platform.platform()}
        RESULTS.write_text(json.dumps(about | {"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


# --- pace ------------------------------------------------------------------------------------------------------------


def by_device(bots: int) -> list[Row]:
    """Cancel 20,000 devices by name; with two bots each orders one half."""
    with world(bots) as (cloud, running):
        share = CALLS // bots
        jobs = [f"devices-{number}" for number in range(bots)]
        cloud.add_jobs(jobs, {"QUEUED": share * PER_CALL})
        cloud.slow(BY_DEVICE, LATENCY)
        ids = [bot.order(devices(job, share)) for bot, job in zip(running, jobs, strict=True)]
        for bot, one in zip(running, ids, strict=True):
            until(bot, [one], "WAITING_CONFIRMATION")
        for bot, one in zip(running, ids, strict=True):
            bot.press("confirm", one)
        what = f"{CALLS} calls by device at 10/s, {LATENCY * 1000:.0f} ms latency, {processes(bots)}"
        return pace(what, cloud, BY_DEVICE, CALLS, 10)


def by_job(bots: int, statuses: tuple[Status, ...] = (Status.QUEUED,)) -> list[Row]:
    """Confirm 40 cancellations at once, while others are ordered and previewed, and those that are over verified."""
    with world(bots) as (cloud, running):
        jobs = [f"job-{number}" for number in range(CANCELLATIONS)]
        more = [f"more-{number}" for number in range(CANCELLATIONS)]
        cloud.add_jobs([*jobs, *more], {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5})
        cloud.slow(BY_JOB, LATENCY)
        ordered = [
            (bot, bot.order(CancelJob(job=job, statuses=statuses, reason="bench")))
            for job, bot in zip(jobs, running * CANCELLATIONS, strict=False)
        ]
        for bot, one in ordered:
            until(bot, [one], "WAITING_CONFIRMATION")
        over = threading.Event()
        previews = threading.Thread(target=preview, args=(running[0], more, statuses, over))
        previews.start()
        for bot, one in ordered:
            bot.press("confirm", one)
        try:
            words = ", ".join(statuses)
            what = f"{CANCELLATIONS} cancellations by job ({words}) at 5/s, {processes(bots)}"
            return pace(what, cloud, BY_JOB, CANCELLATIONS, 5)
        finally:
            over.set()
            previews.join()


def preview(bot: Bot, jobs: list[str], statuses: tuple[Status, ...], over: threading.Event) -> None:
    """Order something every two seconds."""
    for job in jobs:
        bot.order(CancelJob(job=job, statuses=statuses, reason="bench, too"))
        if over.wait(2):
            return


def pace(what: str, cloud: Cloud, action: str, calls: int, limit: int) -> list[Row]:
    """Wait until all calls have arrived; tell how much of the rate they used and whether a second held too many."""
    deadline = time.monotonic() + 240
    while len(arrived := cloud.arrivals(action)) < calls:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(arrived)} of {calls} calls arrived: {what}")
        time.sleep(0.2)
    times = [at for at, _, _ in arrived]
    used = 100 * (len(times) - 1) / (times[-1] - times[0]) / limit
    most = max(sum(at <= later < at + 1 for later in times) for at in times)
    refused = sum(code.startswith("Throttling") for _, code, _ in arrived)
    # How near the limit it comes: how long after the call `limit` places before it the hastiest call arrived.
    nearest = min(later - sooner for sooner, later in zip(times, times[limit:], strict=False))
    return [
        Row(f"{what}: rate", f"{used:.1f} %", f">= {ENOUGH:.0f} %", used >= ENOUGH),
        Row(
            f"{what}: fullest second",
            f"{most} calls, {refused} refused; call n+{limit} came {nearest:.3f} s or more after call n",
            f"<= {limit}",
            most <= limit and not refused,
        ),
    ]


# --- fairness --------------------------------------------------------------------------------------------------------


def urgent() -> list[Row]:
    """Order a small cancellation, again and again, beside a large one, at the cloud's real ten calls a second."""
    with world(1) as (cloud, (bot,)):
        small = [f"small-{number}" for number in range(URGENT)]
        cloud.add_jobs(["large"], {"QUEUED": LARGE * PER_CALL})
        cloud.add_jobs(small, {"QUEUED": 10})
        cloud.slow(BY_DEVICE, LATENCY)
        large = bot.order(devices("large", LARGE))
        until(bot, [large], "WAITING_CONFIRMATION")
        bot.press("confirm", large)
        until(bot, [large], "RUNNING")
        time.sleep(2)
        waited = []
        for job in small:
            one = bot.order(devices(job, 1, of=10))
            until(bot, [one], "WAITING_CONFIRMATION")
            confirmed = bot.press("confirm", one)
            waited.append(arrival(cloud, job) - confirmed)
        beside = len(cloud.arrivals(BY_DEVICE))
        bot.press("stop", large)
        until(bot, [large], "STOPPED")
    figure = f"median {median(waited):.2f} s, max {max(waited):.2f} s of {URGENT}"
    what = f"1 call confirmed beside {LARGE} ({beside} sent meanwhile) at 10/s"
    return [Row(f"{what}: until it arrives", figure, f"<= {SOON:.0f} s", max(waited) <= SOON)]


def arrival(cloud: Cloud, job: str) -> float:
    """Return when the first call for a job arrived."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for at, _, of in cloud.arrivals(BY_DEVICE):
            if of == job:
                return at
        time.sleep(0.05)
    raise TimeoutError(f"no call for {job}")


# --- the stage -------------------------------------------------------------------------------------------------------


def devices(job: str, calls: int, *, of: int = PER_CALL) -> CancelDevices:
    """Make an order for a job's devices."""
    names = tuple(f"device-{number:06d}" for number in range(1, calls * of + 1))
    return CancelDevices(job=job, names=names, reason="bench")


@contextmanager
def world(bots: int) -> Iterator[tuple[Cloud, list[Bot]]]:
    """Start everything in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="ota-bot-bench-") as folder, stage(Path(folder), bots=bots) as made:
        yield made


def processes(bots: int) -> str:
    """Say how many there are."""
    return "1 process" if bots == 1 else f"{bots} processes"


MEASURES: Final[dict[str, Callable[[], list[Row]]]] = {
    "by-device": lambda: by_device(1),
    "by-device-two": lambda: by_device(2),
    "by-job": lambda: by_job(1),
    "by-job-two": lambda: by_job(2),
    "urgent": urgent,
    "signing": lambda: [Row(*row) for row in signing()],
    "plan": lambda: [Row(*row) for row in plan_cost()],
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
