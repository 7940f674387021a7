"""A simulated cloud on real time for the commands, and a terminal for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.playground.cloud.aliyun_cloud import AliyunCloud
from tests.cli.auditing import auditor  # noqa: F401 - a fixture
from tests.cli.stage import COUNTS, JOB, KEY_ID, KEY_SECRET, Terminal


@pytest.fixture(scope="session")
def running() -> Iterator[AliyunCloud]:
    with AliyunCloud(keys={KEY_ID: KEY_SECRET}) as cloud:
        yield cloud


@pytest.fixture
def terminal(running: AliyunCloud, tmp_path: Path) -> Terminal:
    running.fleet.clear()
    running.faults.clear()
    running.arrivals.clear()
    running.fleet.add_job(JOB, counts=COUNTS, name="Spring", dest_version="1.4.2")
    made = Terminal(folder=tmp_path, cloud=running)
    made.configure()
    return made
