"""`python -m tests.crash soak`: mixed commands by several people, with faults and kills; then all is compared."""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.crash.town import Town
from tests.crash.verdict import ALL, Verdict
from tests.journeys.stage import Process

HANDS: Final = 3
"""How many people do something at the same time."""
TICK: Final = 1.5
"""Seconds between two things that one of them does; Slack's own limits allow about one new card in five."""
SAID_EVERY: Final = 30.0
FAREWELL: Final = 10.0
"""Seconds within which a bot that was told to leave must have left (contract: `ota-bot run`)."""
REST: Final = 420.0
"""Seconds within which everything must come to rest once nothing goes wrong any more."""


class Bots:
    """The bot's processes: one, sometimes two on one database, ended at random and started again."""

    def __init__(self, town: Town, dice: random.Random) -> None:
        self._town = town
        self._dice = dice
        self.running: list[Process] = []
        self.ends: list[float] = []
        """When a process was ended."""
        self.how: Counter[str] = Counter()
        self.faults: list[str] = []
        self._next = 0.0
        self._wanted = 1

    def begin(self) -> None:
        """Start the first."""
        self._plan()
        self.tend()

    def tend(self) -> None:
        """End or start what is due."""
        for bot in [one for one in self.running if one._process.poll() is not None]:
            self.faults.append(f"a bot ended by itself with {bot._process.poll()}: {bot.err[-500:]}")
            self.running.remove(bot)
        if time.monotonic() >= self._next:
            if self.running:
                self._end(self._dice.choice(self.running))
            self._plan()
        while len(self.running) < self._wanted:
            self._start()

    def _plan(self) -> None:
        self._next = time.monotonic() + self._dice.uniform(20, 60)
        self._wanted = 2 if self._dice.random() < 0.4 else 1
        self.how["two at once"] += self._wanted == 2

    def _start(self) -> None:
        self.running.append(self._town.process())

    def _end(self, bot: Process) -> None:
        self.running.remove(bot)
        self.ends.append(time.time())
        if self._dice.random() < 0.65:
            self.how["SIGKILL"] += 1
            bot.kill()
            return
        self.leave(bot)
        self.ends.append(time.time())

    def leave(self, bot: Process) -> None:
        """Tell one to leave, and see that it does."""
        self.how["SIGTERM"] += 1
        began = time.monotonic()
        bot.send(signal.SIGTERM)
        try:
            code = bot.ended(FAREWELL + 5)
        except subprocess.TimeoutExpired:
            self.faults.append(f"a bot had not left {FAREWELL + 5:.0f} s after SIGTERM")
            bot.kill()
            return
        took = time.monotonic() - began
        if code or took > FAREWELL:
            self.faults.append(f"a bot left with {code} {took:.1f} s after SIGTERM: {bot.err[-300:]}")

    def end(self) -> None:
        """Leave none behind."""
        for bot in self.running:
            bot.kill()

    def one_alone(self) -> None:
        """Let one bot be there, and no other."""
        while len(self.running) > 1:
            self.leave(self.running.pop())
        if not self.running:
            self._start()


def soak(minutes: float, seed: int) -> int:
    """Soak for so long, let everything come to rest, and compare; return the number of violations."""
    dice = random.Random(seed)  # noqa: S311 - dice for a test
    folder = Path(tempfile.mkdtemp(prefix="ota-bot-soak-"))
    # Whoever ends the soak early must not leave its bots behind.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    with ExitStack() as stack:
        town = stack.enter_context(Town(folder, random.Random(dice.random())))  # noqa: S311 - the same
        bots = Bots(town, random.Random(dice.random()))  # noqa: S311 - the same
        stack.callback(bots.end)
        bots.begin()
        _play(town, bots, minutes * 60)
        town.calm()
        bots.one_alone()
        rested = town.comes_to_rest(REST)
        with town.ledger() as ledger:
            verdict = Verdict(town, ledger, bots.ends)
            found = verdict.violations() + bots.faults + ([] if rested else ["it did not come to rest"])
        _sum_up(town, bots, verdict, found, seed)
    if found:
        print(f"the ledger and the logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return len(found)


def _play(town: Town, bots: Bots, seconds: float) -> None:
    over = threading.Event()

    def live() -> None:
        while not over.wait(TICK * town.dice.uniform(0.5, 1.5)):
            town.act()

    people = [threading.Thread(target=live, name=f"person-{number}") for number in range(HANDS)]
    for person in people:
        person.start()
    began = said = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            bots.tend()
            if time.monotonic() - said >= SAID_EVERY:
                said = time.monotonic()
                _say(town, bots, said - began)
            time.sleep(0.2)
    finally:
        over.set()
        for person in people:
            person.join()


def _say(town: Town, bots: Bots, after: float) -> None:
    with town.ledger() as ledger:
        kinds = Counter(event.kind for event in ledger.events(after=0, most=ALL))
    thrown = sum(dice.thrown for dice in town.dices)
    print(
        f"{after:5.0f} s: {kinds['requested']} orders, {kinds['started']} runs, {kinds['finished']} ended,"
        f" {kinds['call_sent']} calls sent, {thrown} cloud faults, {town.weather.thrown} Slack faults,"
        f" {dict(bots.how)}",
        flush=True,
    )


def _sum_up(town: Town, bots: Bots, verdict: Verdict, found: list[str], seed: int) -> None:
    kinds = Counter(event.kind for story in verdict.stories.values() for event in story)
    phases = Counter(state.phase.value for state in verdict.states.values())
    book = town.book
    print(
        f"seed {seed}: {book.typed} orders typed, {len(book.acked)} acknowledged, {len(verdict.states)} in the ledger"
    )
    print(f"  {', '.join(f'{count} {phase}' for phase, count in phases.most_common())}")
    print(
        f"  {kinds['started']} runs, {kinds['approved']} approvals, {kinds['call_sent']} calls sent,"
        f" {kinds['call_finished']} ended, {sum(dice.thrown for dice in town.dices)} cloud faults,"
        f" {town.weather.thrown} Slack faults, {book.repeated} envelopes repeated, {book.unheard} unheard"
    )
    print(f"  {dict(bots.how)}; {verdict.extra} further cards, {verdict.unknown} devices in calls of unknown end")
    for fault in found:
        print(f"VIOLATION {fault}")
    print(f"{len(found)} violations")
