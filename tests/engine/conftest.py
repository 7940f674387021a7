"""One simulated cloud for all tests of the engine, and a stage for each."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.account import Account
from bot.engine.intake import no_files
from bot.playground.cloud.aliyun_cloud import AliyunCloud
from tests.clouds.stand_ins import KEY_ID, KEY_SECRET, Clock
from tests.engine.stage import COUNTS, JOB, Stage
from tests.engine.yard import ALIYUN, OneByOne, Yard


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[AliyunCloud]:
    with AliyunCloud(keys={KEY_ID: KEY_SECRET}, now=clock.now, clock=clock.seconds) as cloud:
        yield cloud


@pytest.fixture
def stage(running: AliyunCloud, clock: Clock, tmp_path: Path) -> Iterator[Stage]:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring", dest_version="1.4.2")
    clock.turn(3600)
    clock.slept.clear()
    made = Stage(tmp_path, running, clock)
    yield made
    made.close()


@pytest.fixture
def yards(tmp_path: Path) -> Iterator[Callable[..., Yard]]:
    """Make yards, and close them afterwards."""
    made: list[Yard] = []

    def make(account: Account = ALIYUN, **changes: Any) -> Yard:
        fetch = changes.pop("fetch", no_files)
        folder = tmp_path / f"yard-{len(made)}"
        folder.mkdir()
        made.append(Yard(folder, OneByOne(), replace(account, **changes), fetch=fetch))
        return made[-1]

    yield make
    for yard in made:
        yard.close()
