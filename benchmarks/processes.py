"""The processes that `benchmarks.clouds` measures: the bot without Slack, and a simulated cloud, each by itself.

Each runs behind a manager of multiprocessing, so that none shares its interpreter's lock with another, and so that
`time.monotonic`, which all processes of a machine share, tells when a call arrived at the cloud.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any, Final, cast

from bot.config import Need, load
from bot.domain.cancellation import State
from bot.domain.decisions import Refusal
from bot.domain.order import Cancel
from bot.engine.directory import TerminalDirectory
from bot.engine.executor import Executor
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, Keeper
from bot.engine.presses import Presses
from bot.playground.cloud.aliyun_cloud import QPS, AliyunCloud
from bot.wiring.engine import build_engine, now, open_ledger

SECRETS: Final[Mapping[str, str]] = {"KEY_ID": "LTAIbench", "KEY_SECRET": "bench-key-secret"}
ASKER: Final = "cli:bench"
CONFIG: Final = """\
database = "{folder}/ota-bot.db"

[slack]

[approval]
above = 1000000000
always = []

[accounts.pumps]
cloud = "aliyun"
endpoint = "{url}"
key_id = "env:KEY_ID"
key_secret = "env:KEY_SECRET"
requesters = ["cli:bench"]
default = true
"""
PATIENCE: Final = 180.0


class Cloud:
    """Alibaba Cloud, simulated, with its documented rates unless `unlimited`."""

    def __init__(self, *, unlimited: bool = False) -> None:
        limits = {} if unlimited else QPS
        self._cloud = AliyunCloud(keys={SECRETS["KEY_ID"]: SECRETS["KEY_SECRET"]}, limits=limits)
        self._cloud.start()

    def url(self) -> str:
        """Return where it listens."""
        return self._cloud.url

    def add_jobs(self, jobs: Sequence[str], counts: Mapping[str, int]) -> None:
        """Put jobs into it, each with so many tasks in each status and its own devices, named `device-000001` on."""
        for job in jobs:
            self._cloud.fleet.add_job(job, counts=counts)

    def slow(self, action: str, seconds: float) -> None:
        """Answer each call of an operation only after some seconds."""
        self._cloud.faults.add("latency", action, times=None, seconds=seconds)

    def arrivals(self, action: str) -> list[tuple[float, str, str]]:
        """Return when each call of an operation arrived (monotonic seconds), its error code and its job."""
        found = [arrival for arrival in list(self._cloud.arrivals) if arrival.action == action]
        return sorted((arrival.at, arrival.code, arrival.params.get("JobId", "")) for arrival in found)


class Bot:
    """A bot's process without Slack: real wiring, ledger, intake, keeper and executor; its people are at a terminal."""

    def __init__(self, folder: str) -> None:
        settings = load(Path(folder) / "ota-bot.toml", SECRETS, needs=frozenset({Need.CLOUDS}))
        self._halt = Halt()
        self._ledger = open_ledger(settings)
        self._engine = build_engine(settings, self._ledger, TerminalDirectory(now=now), self._halt)
        self._account = settings.accounts["pumps"]
        self._intake = Intake(self._engine.rooms, Told())
        self._keeper = Keeper(self._engine.rooms, self._intake, Executor(self._engine.rooms), self._halt)
        self._keeper.start()

    def order(self, order: Cancel) -> int:
        """Order, and have the order checked as soon as a worker is free."""
        ordered = self._intake.order(ASKER, order, self._account, channel=None, via="terminal", delivery=None)
        self._keeper.check(self._account.name, ordered.id)
        return ordered.id

    def press(self, button: str, cancellation: int) -> float:
        """Press a button; return when that was stored, in monotonic seconds."""
        done = Presses(self._engine.rooms).press(button, cancellation, ASKER, None, in_time=lambda: True)
        if isinstance(done, Refusal):
            raise RuntimeError(done.reason)  # noqa: TRY004 - it is a refusal, not a wrong type
        return time.monotonic()

    def phase(self, cancellation: int) -> str:
        """Return how far a cancellation is."""
        state = self._ledger.state(cancellation)
        return f"{state.phase.name} {state.why}".strip() if state else ""

    def stop(self) -> None:
        """Leave."""
        self._halt.ask()
        self._keeper.stop()
        self._engine.close()


class Told:
    """A reporter to nobody."""

    def tell(self, state: State, text: str) -> None:
        """Say it."""
        print(f"#{state.id}: {text}", flush=True)

    def ask_anyway(self, state: State, like: State) -> None:
        """Say it."""
        print(f"#{state.id}: already #{like.id}", flush=True)


class _Processes(BaseManager):
    """Starts them."""


_Processes.register("Cloud", Cloud)
_Processes.register("Bot", Bot)


@contextmanager
def processes(count: int) -> Iterator[list[Any]]:
    """Start some processes; each can be asked for one `Cloud` or `Bot`."""
    started = [_Processes(ctx=get_context("spawn")) for _ in range(count)]
    try:
        for one in started:
            one.start()
        yield cast(list[Any], started)
    finally:
        for one in started:
            one.shutdown()


@contextmanager
def stage(folder: Path, *, bots: int = 1) -> Iterator[tuple[Cloud, list[Bot]]]:
    """Start a cloud and some bots' processes that share one ledger."""
    with processes(1 + bots) as (first, *others):
        cloud = first.Cloud()
        (folder / "ota-bot.toml").write_text(CONFIG.format(folder=folder, url=cloud.url()))
        made = [other.Bot(str(folder)) for other in others]
        try:
            yield cloud, made
        finally:
            for bot in made:
                bot.stop()


def until(bot: Bot, cancellations: Sequence[int], phase: str) -> None:
    """Wait until each of some cancellations is in a phase."""
    deadline = time.monotonic() + PATIENCE
    for cancellation in cancellations:
        while not (found := bot.phase(cancellation)).startswith(phase):
            if time.monotonic() > deadline:
                raise TimeoutError(f"#{cancellation} is {found}, not {phase}")
            time.sleep(0.02)
