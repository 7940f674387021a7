"""A town to soak the bot in: three clouds that fail a fifth of all calls, a Slack with bad weather, and its people."""

import random
import re
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, Self

from bot.playground.cloud.faults import Fault, FaultKind, Faults, Trouble
from bot.playground.slack.forms import CannotAct
from bot.playground.slack.limits import Fault as SlackFault
from bot.playground.slack.limits import Faults as SlackFaults
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, AUDIT, BEN, LEA, OPS
from tests.journeys.plant import Plant
from tests.journeys.stage import until

BOB, CLEO, MAX = "U0BOB", "U0CLEO", "U0MAX"
ON_CALL: Final = (ANN, BOB, CLEO)
APPROVERS: Final = (LEA, MAX)
ABOVE: Final = 10
APPROVAL: Final = f'above = {ABOVE}\nexpires = "3m"\nwindow = "1s"'
KINDS: Final = (
    FaultKind.THROTTLE,
    FaultKind.HTTP_500,
    FaultKind.HTTP_503,
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_AFTER,
    FaultKind.SYSTEM_EXCEPTION,
    FaultKind.SYSTEM_EXCEPTION_AFTER,
    FaultKind.SERVICE_ERROR,
    FaultKind.SERVICE_ERROR_AFTER,
    FaultKind.NONCE_USED,
    FaultKind.NONCE_USED_AFTER,
)
SHARE: Final = 0.2
"""The share of a cloud's calls that go wrong."""
BURST: Final = 8.0
"""Seconds that Slack's bad weather lasts, in each so many:"""
EVERY: Final = 30.0


class Dice(Faults):
    """Faults that dice choose."""

    def __init__(self, kinds: Collection[FaultKind], dice: random.Random) -> None:
        super().__init__(kinds=frozenset(kinds))
        self.share = SHARE
        self.thrown = 0
        self._dice = dice
        self._of = [kind for kind in KINDS if kind in kinds]

    def take(self, action: str) -> Trouble:
        """Return what a call meets."""
        with self._lock:
            if self._dice.random() >= self.share:
                return Trouble()
            self.thrown += 1
            kind = self._dice.choice(self._of)
        return Trouble(mishap=Fault(kind=kind, action=action, seconds=1.0, header=None))


class Weather(SlackFaults):
    """Slack's bad weather: in a burst, every second call is told to wait, or breaks, before or after it was done."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.bad = True
        self.thrown = 0
        self._dice = dice
        self._began = time.monotonic()

    def take(self, method: str, *places: str) -> SlackFault:
        """Return what a call meets."""
        del method, places
        with self._lock:
            burst = (time.monotonic() - self._began) % EVERY > EVERY - BURST
            if not (self.bad and burst) or self._dice.random() < 0.5:
                return SlackFault()
            self.thrown += 1
            return self._dice.choice(
                (
                    SlackFault(retry_after=2),
                    SlackFault(retry_after=1),
                    SlackFault(status=500),
                    SlackFault(status=500, after=True),
                    SlackFault(drop=True, after=True),
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """An order that the bot acknowledged."""

    user: str
    job: str
    number: int | None
    """`None` for a form, which tells no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A press that the bot acknowledged."""

    user: str
    button: str
    number: int
    at: float


@dataclass(slots=True)
class Book:
    """What the people remember."""

    acked: list[Acked] = field(default_factory=list)
    pressed: list[Pressed] = field(default_factory=list)
    typed: int = 0
    unheard: int = 0
    """Commands and presses that nobody acknowledged."""
    repeated: int = 0
    """Envelopes that came twice."""


class Town(Plant):
    """The three clouds and five people; a context manager."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        super().__init__(folder)
        self.dice = dice
        self.book = Book()
        self.weather = Weather(random.Random(dice.random()))  # noqa: S311 - dice for a test
        self.dices = [
            Dice(cloud.faults.kinds, random.Random(dice.random()))  # noqa: S311 - the same
            for cloud in (self.cloud, self.tuya, self.enos)
        ]
        self.slack.faults = self.weather
        for cloud, dices in zip((self.cloud, self.tuya, self.enos), self.dices, strict=True):
            cloud.faults = dices  # type: ignore[attr-defined]
        self._jobs = count(1)

    def __enter__(self) -> Self:
        super().__enter__()
        self._lines["approval"] = APPROVAL
        few = self._lines["account"].replace('cloud = "enos"', 'cloud = "enos"\nnames_per_call = 4')
        self._lines["account"] = f"names_per_call = 5\n{few}"
        self.configure()
        for user, name in ((BOB, "bob"), (CLEO, "cleo"), (MAX, "max")):
            self.slack.add_user(user, name)
        self.slack.add_group("S0ONCALL", "oncall", list(ON_CALL))
        self.slack.add_group("S0LEADS", "leads", list(APPROVERS))
        for channel, name in ((OPS, "ota-ops"), (AUDIT, "ota-audit")):
            self.slack.add_channel(channel, name, [*ON_CALL, *APPROVERS, BEN])
        return self

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        self.weather.bad = False
        for one in self.dices:
            one.share = 0.0

    # --- what people do ----------------------------------------------------------------------------------------

    def act(self) -> None:
        """Do one thing."""
        with suppress(CannotAct, TimeoutError):
            self.dice.choices((self._order, self._press, self._type, self._form), (4, 30, 2, 1))[0]()

    def _new(self) -> tuple[str, str, str]:
        """Put a job into a cloud; return it, the account, and the words that cancel on it."""
        job, dice = f"soak{next(self._jobs):05}", self.dice
        kind = dice.choice(
            ("job", "job", "large", "devices", "devices", "many", "strategy", "waiting", "wind", "lamps")
        )
        account = {"wind": "wind", "lamps": "lamps"}.get(kind, "pumps")
        fleet = self.on(account).fleet
        waits = "init" if account == "wind" else "QUEUED"
        many = {"large": dice.randint(11, 40), "many": dice.randint(30, 60), "wind": dice.randint(3, 14)}
        devices = many.get(kind, dice.randint(2, 9))
        selection = {"strategy": "DYNAMIC", "waiting": "DYNAMIC", "wind": "snapshot"}.get(kind, "STATIC")
        running = {"wind": "started"}.get(kind)
        counts = {waits: devices, "published" if account == "wind" else "NOTIFIED": 2}
        fleet.add_job(job, counts=counts, device_prefix=job, selection=selection, job_status=running)
        names = fleet.devices(job, waits)
        words = {
            "devices": f"devices {','.join(names)} job {job}",
            "many": f"devices {','.join(names)} job {job}",
            "lamps": f"devices {','.join(names)} job {job} on lamps",
            "strategy": f"strategy {job}",
            "waiting": f"strategy {job} and queued",
            "wind": f"job {job} queued on wind",
        }.get(kind, f"job {job} queued")
        return job, account, f"{words} because it is bad"

    def _order(self) -> None:
        job, _, words = self._new()
        self._sent(self.dice.choice(ON_CALL), job, words)
        if self.dice.random() < 0.1:  # somebody else has seen it, too
            self._sent(self.dice.choice(ON_CALL), job, words)

    def _sent(self, user: str, job: str, words: str) -> None:
        self.book.typed += 1
        delivery = self.slack.command(user, OPS, words)
        found = re.match(r"#(\d+): reading", delivery.shown)
        if found:
            self.book.acked.append(Acked(user=user, job=job, number=int(found[1])))
        self._perhaps_again(delivery)

    def _form(self) -> None:
        user, (job, account, _) = self.dice.choice(ON_CALL), self._new()
        before = len(self.slack.views(user))
        self.slack.shortcut(user, "cancel_form")
        view = self.slack.wait_for(lambda: self.slack.views(user)[before:], 3)[-1]
        self.book.typed += 1
        filled = {"job": job, "statuses": ["queued"], "reason": "a form"}
        delivery = self.slack.submit_view(user, view, filled)
        taken = delivery.failure is None and not (delivery.answer or {}).get("response_action") and account == "pumps"
        if taken:
            self.book.acked.append(Acked(user=user, job=job, number=None))
        else:
            self.slack.close_views(user)
        self._perhaps_again(delivery)

    def _type(self) -> None:
        number = self.dice.randint(1, max(1, len(self.book.acked)))
        words = self.dice.choice((f"stop {number}", f"retry {number}", f"show {number}", "list", "pending"))
        self._perhaps_again(self.slack.command(self.dice.choice(ON_CALL), OPS, words))

    def _press(self) -> None:
        cards = [one for one in self.slack.messages(OPS) if one.buttons]
        if not cards:
            return
        card = self.dice.choice(cards[-25:])
        there = {button.action_id for button in card.buttons}
        number = int(card.buttons[0].value)
        if "confirm" in there:
            button = self.dice.choice(("confirm",) * 9 + ("withdraw",))
            self._presses(self._asker(card), card, button, number)
        elif "approve" in there:
            button = self.dice.choice(("approve",) * 8 + ("reject", "withdraw"))
            user = self._asker(card) if button == "withdraw" else self.dice.choice(APPROVERS)
            self._presses(user, card, button, number)
        elif self.dice.random() < 0.25:
            self._presses(self.dice.choice(ON_CALL), card, card.buttons[0].action_id, number)

    def _asker(self, card: Message) -> str:
        if self.dice.random() < 0.05:
            return self.dice.choice((BEN, *APPROVERS, *ON_CALL))
        found = re.search(r"<@(U0\w+)>", str(card.blocks))
        return found[1] if found else ANN

    def _presses(self, user: str, card: Message, button: str, number: int) -> None:
        at, views = time.time(), len(self.slack.views(user))
        if self.dice.random() < 0.1:  # a double click
            twin = threading.Thread(target=self._again, args=(user, card, button))
            twin.start()
        delivery = self.slack.press(user, card, button)
        if delivery.failure is None:
            self.book.pressed.append(Pressed(user=user, button=button, number=number, at=at))
        if button == "reject" and delivery.failure is None:
            view = self.slack.wait_for(lambda: self.slack.views(user)[views:], 3)[-1]
            self.slack.submit_view(user, view, {"reason": "not tonight"})
            self.slack.close_views(user)
        self._perhaps_again(delivery)

    def _again(self, user: str, card: Message, button: str) -> None:
        with suppress(CannotAct):
            self.slack.press(user, card, button, force=True)
            self.book.repeated += 1

    def _perhaps_again(self, delivery: Delivery) -> None:
        self.book.unheard += delivery.failure is not None
        if self.dice.random() < (0.5 if delivery.failure else 0.15):
            self.book.repeated += 1
            self.slack.redeliver(delivery)

    def at_rest(self) -> bool:
        """Tell whether nothing moves any more: nothing is checked or runs, and Slack has been told all."""
        with self.ledger() as ledger:
            busy = [state for state in ledger.at_work() if state.held is None]
            told = not ledger.outbox.behind() and ledger.outbox.cursor(f"audit:{AUDIT}") == ledger.head()
        return told and not busy

    def comes_to_rest(self, within: float) -> bool:
        """Wait until nothing moves any more; returns whether it came to that."""
        try:
            return until(self.at_rest, within)
        except TimeoutError:
            return False
