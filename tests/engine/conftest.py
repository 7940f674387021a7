"""One simulated cloud for all tests of the engine, and a stage for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.playground.cloud.aliyun_cloud import AliyunCloud
from tests.clouds.stand_ins import KEY_ID, KEY_SECRET, Clock
from tests.engine.stage import COUNTS, JOB, Stage


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
