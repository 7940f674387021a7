"""Measures the bot against a local Slack: how soon it is ready, what it costs idle, how fast it acknowledges.

Run it with `python -m benchmarks.slack`. Everything is real but Slack and the cloud: a process of its own, sockets,
the ledger on this disk. The stand-ins share the machine with it, so the figures are upper bounds.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bot.ledger.ledger import Ledger
from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Message
from bot.playground.world import ANN, JOB, OPS, Stage
from bot.wiring.engine import now

SECRETS: Final[Mapping[str, str]] = {
    "SLACK_BOT_TOKEN": "xoxb-local",
    "SLACK_APP_TOKEN": "xapp-local",
    "ALIYUN_KEY_ID": "LTAIplayground",
    "ALIYUN_KEY_SECRET": "playground-key-secret",
}
CONFIG: Final = """\
database = "ota-bot.db"

[slack]
api_url = "{slack}"

[approval]
above = 1000000

[accounts.pumps]
cloud = "aliyun"
endpoint = "{cloud}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
default = true
"""
STARTS: Final = 5
SINGLES: Final = 100
RUNNING: Final = 10
PEOPLE: Final = 50
BURST: Final = 200
IDLE: Final = 10.0
"""Seconds for which the idle process is watched."""
PATIENCE: Final = 60.0


class World:
    """A local Slack, a simulated cloud, and the bot in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slack = LocalSlack()
        self.cloud = AliyunCloud(keys={SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]})
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def open(self) -> Iterator["World"]:
        """Put people, jobs and a configuration in place."""
        with self.slack, self.cloud:
            Stage(slack=self.slack, cloud=self.cloud).populate()
            crowd = [f"U0P{number:03d}" for number in range(PEOPLE)]
            for user in crowd:
                self.slack.add_user(user, user.lower())
            self.slack.add_group("S0ONCALL", "oncall", [ANN, *crowd])
            self.slack.add_channel(OPS, "ota-ops", [ANN, *crowd])
            text = CONFIG.format(slack=self.slack.api_url, cloud=self.cloud.url)
            (self.folder / "ota-bot.toml").write_text(text)
            yield self

    def start(self) -> float:
        """Start the bot; return the seconds until it has printed that it is ready."""
        began = time.perf_counter()
        with (self.folder / "bot.err").open("ab") as errors:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("ota-bot"), "run", "--config", self.folder / "ota-bot.toml"],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), **SECRETS},
            )
        line = self.process.stdout.readline() if self.process.stdout else b""
        if not line.startswith(b"ready"):
            raise RuntimeError((self.folder / "bot.err").read_text())
        return time.perf_counter() - began

    def stop(self) -> float:
        """Ask the bot to leave; return the seconds that it took."""
        if self.process is None:
            return 0.0
        began = time.perf_counter()
        self.process.terminate()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.slack.wait_for(lambda: self.slack.connections == 0, PATIENCE)
        return time.perf_counter() - began

    @property
    def pid(self) -> int:
        """The bot's process."""
        if self.process is None:
            raise RuntimeError("the bot does not run")
        return self.process.pid

    def count(self, kind: str) -> int:
        """Count the ledger's events of a kind."""
        ledger = Ledger.open(self.folder / "ota-bot.db", now=now, readonly=True)
        try:
            found, after = 0, 0
            while events := ledger.events(after=after):
                found, after = found + sum(event.kind == kind for event in events), events[-1].id
            return found
        finally:
            ledger.close()

    def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not predicate():
            if time.monotonic() > deadline:
                raise TimeoutError(self.slack.transcript()[-2000:])
            time.sleep(0.05)


def memory(pid: int) -> float:
    """Return the MiB that a process has in memory."""
    listed = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listed.stdout) / 1024


def processor(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    listed = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True)
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():  # finer than ps, where there is such a thing
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    parts = [float(part) for part in re.split("[:-]", listed.stdout.strip())]
    return math.fsum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def spread(seconds: Sequence[float]) -> str:
    """Say the median, the 99th percentile and the most, in milliseconds."""
    high = quantiles(seconds, n=100, method="inclusive")[98]
    return f"median {median(seconds) * 1000:.0f} ms, p99 {high * 1000:.0f} ms, max {max(seconds) * 1000:.0f} ms"


def acknowledged(world: World, words: str, count: int) -> list[float]:
    """Type a command so often, one after the other, and return the seconds of each acknowledgement."""
    taken = []
    for number in range(count):
        delivery = world.slack.command(ANN, OPS, words.format(number=number))
        if delivery.acked_in is None:
            raise RuntimeError(f"{delivery.failure}: {words}")
        taken.append(delivery.acked_in)
    return taken


def starting(world: World) -> None:
    """Start and stop the bot a few times."""
    ready, left = [], []
    for _ in range(STARTS):
        ready.append(world.start())
        left.append(world.stop())
    print(f"ready after start       median {median(ready):.2f} s, max {max(ready):.2f} s of {STARTS} starts")
    print(f"left after SIGTERM      median {median(left):.2f} s, max {max(left):.2f} s", flush=True)


def idling(world: World) -> None:
    """Watch the bot while nothing happens."""
    before = processor(world.pid)
    time.sleep(IDLE)
    used = (processor(world.pid) - before) / IDLE
    print(f"idle for {IDLE:.0f} s           {memory(world.pid):.0f} MiB, {used:.1%} of one processor", flush=True)


def singly(world: World) -> None:
    """Type commands one after the other: with nothing else to do, and while ten cancellations run."""
    print(f"help, idle              {spread(acknowledged(world, 'help', SINGLES))} of {SINGLES}")
    orders = acknowledged(world, f"job {JOB} queued because of number {{number}}", SINGLES)
    print(f"orders, idle            {spread(orders)} of {SINGLES}", flush=True)
    world.until(lambda: world.count("previewed") == SINGLES)
    running(world)
    busy = acknowledged(world, f"job {JOB} queued because of number {{number}}", SINGLES)
    still = RUNNING - world.count("call_finished")
    print(f"orders, {RUNNING} running      {spread(busy)} of {SINGLES} ({still} calls still out)")


def running(world: World) -> None:
    """Bring ten cancellations to where their calls are out, which the cloud answers only after 30 seconds."""
    before = world.count("previewed")
    for number in range(RUNNING):
        world.cloud.fleet.add_job(f"job-{number}", counts={"QUEUED": 100})
        world.slack.command(ANN, OPS, f"job job-{number} queued because it is one of ten")
    world.until(lambda: world.count("previewed") == before + RUNNING)
    cards = world.slack.wait_for(lambda: found if len(found := carded(world)) == RUNNING else None, PATIENCE)
    world.cloud.faults.add("hang", "CancelOTATaskByJob", times=RUNNING, seconds=30.0)
    for card in cards or ():
        world.slack.press(ANN, card, "confirm")
    world.until(lambda: world.count("call_sent") == RUNNING)


def carded(world: World) -> list[Message]:
    """Return the cards of the ten."""
    return [message for message in world.slack.messages(OPS) if "of job job-" in message.text]


def at_once(world: World) -> None:
    """Let fifty people type four commands each at the same moment."""
    before = world.count("requested")
    gate = threading.Barrier(PEOPLE)

    def typing(person: int) -> list[float]:
        gate.wait()
        taken = []
        for number in range(BURST // PEOPLE):
            words = f"job {JOB} notified because of {person}-{number}"
            delivery = world.slack.command(f"U0P{person:03d}", OPS, words)
            taken.append(99.0 if delivery.acked_in is None else delivery.acked_in)
        return taken

    with ThreadPoolExecutor(PEOPLE) as people:
        taken = [seconds for one in people.map(typing, range(PEOPLE)) for seconds in one]
    stored = world.count("requested") - before
    print(f"{BURST} orders of {PEOPLE} people  {spread(taken)}; {stored} of {BURST} stored", flush=True)


def main() -> int:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)).open() as world:
        starting(world)
    for measure in (idling, singly, at_once):
        with tempfile.TemporaryDirectory() as folder, World(Path(folder)).open() as world:
            world.start()
            measure(world)
            world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
