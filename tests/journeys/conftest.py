"""Worlds for the journeys: with the bot in this process, and for bots in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.stage import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Give a Slack and a cloud to which nobody is connected yet."""
    with Scene(tmp_path) as scene:
        yield scene


@pytest.fixture
def world(scene: Scene) -> Iterator[Scene]:
    """Give the scene with the real bot connected to it, in this process."""
    with scene.hosted():
        yield scene
