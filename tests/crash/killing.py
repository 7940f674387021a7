"""`python -m tests.crash points`: every point of a life, and random moments of a batch, with a real SIGKILL."""

import random
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bot.domain.cancellation import Phase
from tests.crash.seams import Point, points
from tests.crash.world import Launched, Mortal
from tests.journeys.stage import PATIENCE

LONGEST: Final = 3.0
"""Seconds after its approval within which a batch of 26 calls is ended."""
SHORT: Final = {"devices": 12, "per_call": 5}
BATCH: Final = {"devices": 52, "per_call": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one point."""

    where: str
    what: str
    said: str
    wrong: bool


def every_point(at_once: int, seed: int, moments: int, only: str) -> int:
    """End the bot at every point and at random moments; print the table, and return the number of wrong outcomes."""
    with tempfile.TemporaryDirectory(prefix="ota-bot-crash-") as made, ThreadPoolExecutor(at_once) as pool:
        folder = Path(made)
        life = points(_undisturbed(folder / "undisturbed"))
        plays: list[Callable[[], Outcome]] = [
            partial(_at_point, folder / str(at).replace(":", "-"), at, what)
            for at, what in life
            if not only or str(at).startswith(only)
        ]
        dice = random.Random(seed)  # noqa: S311 - dice for a test
        plays += [
            partial(_at_moment, folder / f"moment-{number}", dice.uniform(0, LONGEST)) for number in range(moments)
        ]
        print(f"{len(plays)} ends by SIGKILL, {at_once} at once, seed {seed}", flush=True)
        return _table(pool.map(lambda play: play(), plays))


def _table(outcomes: Iterable[Outcome]) -> int:
    wrong = total = 0
    for one in outcomes:
        total, wrong = total + 1, wrong + one.wrong
        print(f"{one.where:20} {one.what:16} {'WRONG: ' if one.wrong else ''}{one.said}", flush=True)
    print(f"{total} points, {wrong} wrong")
    return wrong


def _undisturbed(folder: Path) -> list[str]:
    folder.mkdir()
    with Mortal(folder, **SHORT) as scene, Launched(scene, None) as bot:
        bot.ready()
        scene.lead(lambda: bot.over)
        if wrong := scene.wrong():
            raise AssertionError(f"a life that nothing disturbed went wrong: {wrong}")
        return bot.notes.read_text().splitlines()


def _at_point(folder: Path, at: Point, what: str) -> Outcome:
    folder.mkdir()
    with Mortal(folder, **SHORT) as scene:
        with Launched(scene, at) as bot:
            with suppress(AssertionError, TimeoutError):  # it may be killed before it is ready
                bot.ready()
            scene.lead(lambda: bot.over)
            killed, noted = bot.killed, bot.notes.read_text().splitlines()
        return _resumed(scene, str(at), _met(noted, at) or what, "" if killed else "never came there: ")


def _met(noted: list[str], at: Point) -> str:
    """Return what the process was at when it was ended: two runs may differ in what they tell Slack."""
    same = [line.split(" ", 1)[1] for line in noted if line.startswith(at.kind)]
    return same[at.at - 1] if len(same) >= at.at else ""


def _at_moment(folder: Path, after: float) -> Outcome:
    folder.mkdir()
    with Mortal(folder, **BATCH) as scene:
        with Launched(scene, None) as bot:
            bot.ready()
            scene.lead(lambda: bot.over, until=lambda state: state.phase in {Phase.APPROVED, Phase.RUNNING})
            time.sleep(after)
            bot.kill()
        done = sum(event.body["outcome"] == "done" for event in scene.events("call_finished"))
        return _resumed(scene, f"after {after:.2f} s", f"{done} calls done", "")


def _resumed(scene: Mortal, where: str, what: str, before: str) -> Outcome:
    """Start the bot again, let it come to rest, and compare the cloud, the ledger and the channel."""
    try:
        with suppress(TimeoutError):
            scene.slack.wait_for(lambda: not scene.slack.connections, PATIENCE)
        with scene.process() as bot:
            bot.ready()
            scene.lead(lambda: bot._process.poll() is not None)
            wrong = scene.wrong()
    except Exception as error:  # noqa: BLE001 - one point must not hide the others
        wrong = [f"{type(error).__name__}: {str(error)[:200]}"]
    said = "; ".join(wrong) if wrong else scene.outcome()
    return Outcome(where=where, what=what, said=f"{before}{said}", wrong=bool(wrong))
