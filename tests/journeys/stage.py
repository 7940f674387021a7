"""The stage of the journeys: a local Slack, a simulated cloud, and the real bot, in this process or in its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from bot.config import Need, load
from bot.domain.cancellation import State
from bot.domain.errors import LedgerError
from bot.domain.events import Event
from bot.domain.offer import CANCEL_JOB
from bot.engine.keeper import Halt
from bot.ledger.ledger import Ledger
from bot.ledger.proof import Verified
from bot.playground.cloud.aliyun_cloud import AliyunCloud, Arrival
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, JOB, OPS, Stage
from bot.wiring.bot import Bot
from bot.wiring.engine import now

SECRETS: Final[Mapping[str, str]] = {
    "SLACK_BOT_TOKEN": "xoxb-stand-in-for-the-bot",
    "SLACK_APP_TOKEN": "xapp-stand-in-for-the-app",
    "ALIYUN_KEY_ID": "LTAIstandinforakeyid",
    "ALIYUN_KEY_SECRET": "stand-in/for+a=key-secret",
}
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5}
WORDS: Final = f"job {JOB} queued,notified because 1.4.2 bricks pumps"
CONFIG: Final = """\
database = "ota-bot.db"
audit_channel = "C0AUDIT"

[slack]
api_url = "{slack}"

[approval]
{approval}

[accounts.pumps]
cloud = "aliyun"
endpoint = "{cloud}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
channels = ["C0OPS", "C0SIDE"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
default = true
qps = {{ job = 5, devices = 10, strategy = 10, query = 200 }}
{account}
"""
END: Final = (
    "<@U0ANN> Done: the {statuses} tasks of job {job} on pumps (#{number})."
    " asked {count} · accepted {count} · confirmed {count} · left 0."
)
"""The reply that tells the asker the end."""
COMMAND: Final = Path(sys.executable).with_name("ota-bot")
PATIENCE: Final = 20.0
"""Seconds that something which takes well under one may take on a busy machine."""

T = TypeVar("T")


def ended(scene: "Scene", card: Message) -> tuple[Message, ...]:
    """Return what a card's thread says, once it tells the asker the end; nothing before."""
    told = scene.slack.thread(OPS, card.ts)
    return told if any(one.text.startswith(f"<@{ANN}> Done:") for one in told) else ()


def until(predicate: Callable[[], T], within: float = PATIENCE) -> T:
    """Return what `predicate` gives once it is true; raises TimeoutError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing of the kind within {within} s")
        time.sleep(0.02)
    return found


class Scene:
    """A local Slack and a simulated cloud with the playground's people and job in them; a context manager.

    `approval` and `account` are further lines of the configuration's tables.
    """

    def __init__(self, folder: Path, *, approval: str = "", account: str = "") -> None:
        self.folder = folder
        self.slack = LocalSlack(bot_token=SECRETS["SLACK_BOT_TOKEN"], app_token=SECRETS["SLACK_APP_TOKEN"])
        # Reads are not held back, or each preview would take half a second: the throttle has tests of its own.
        keys = {SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]}
        self.cloud = AliyunCloud(keys=keys, limits={CANCEL_JOB: 5})
        self.config = folder / "ota-bot.toml"
        self.database = folder / "ota-bot.db"
        self._lines = {"approval": approval, "account": account}
        self._names = count(1)

    def __enter__(self) -> Self:
        self.slack.start()
        self.cloud.start()
        Stage(slack=self.slack, cloud=self.cloud).populate()
        self.configure()
        return self

    def configure(self) -> None:
        """Write the configuration."""
        self.config.write_text(CONFIG.format(slack=self.slack.api_url, cloud=self.cloud.url, **self._lines))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cloud.stop()
        self.slack.stop()

    # --- the bot -----------------------------------------------------------------------------------------------

    @contextmanager
    def hosted(self) -> Iterator[Bot]:
        """Run the bot in this process."""
        halt = Halt()
        bot = Bot(load(self.config, SECRETS, needs=frozenset({Need.SLACK, Need.CLOUDS})), halt=halt)
        try:
            bot.start()
            yield bot
        finally:
            halt.ask()
            bot.stop()

    def process(self, *, secrets: Mapping[str, str] = SECRETS, command: Sequence[str | Path] = (COMMAND,)) -> "Process":
        """Start `ota-bot run` as a process of its own."""
        return Process(self, f"bot-{next(self._names)}", secrets, command)

    # --- what people do ----------------------------------------------------------------------------------------

    def order(self, words: str = WORDS, *, user: str = ANN, channel: str = OPS, force: bool = False) -> Delivery:
        """Type `/ota-cancel` and the words."""
        delivery = self.slack.command(user, channel, words, force=force)
        assert None is delivery.failure, delivery.failure
        return delivery

    def card(self, number: int = 1) -> Message:
        """Wait for the card of a cancellation and return it as it is now."""
        return self.slack.wait_for(lambda: self.cards(number), PATIENCE)[-1]

    def cards(self, number: int = 1) -> list[Message]:
        """Return every card that a cancellation has, as it is now."""
        posted = [*self.slack.messages(OPS), *self.slack.messages("C0SIDE")]
        return [message for message in posted if f"cancellation #{number} of" in message.text]

    def card_in(self, state: str, number: int = 1, within: float = PATIENCE) -> Message:
        """Wait until the latest card of a cancellation is in a state, by its word."""

        def there() -> Message | None:
            cards = self.cards(number)
            return cards[-1] if cards and cards[-1].text.startswith(f"{state}:") else None

        found = self.slack.wait_for(there, within)
        assert found is not None
        return found

    # --- what came of it ---------------------------------------------------------------------------------------

    @property
    def sent(self) -> list[Arrival]:
        """The calls to the cloud that cancel."""
        return [arrival for arrival in self.cloud.arrivals if arrival.action.startswith("Cancel")]

    @property
    def canceled(self) -> dict[str, int]:
        """The devices that were cancelled, and by how many calls."""
        return dict(self.cloud.fleet.canceled(JOB))

    def planned(self) -> dict[str, int]:
        """Return the devices in the statuses that `WORDS` names, once each."""
        names = [name for status in ("QUEUED", "NOTIFIED") for name in self.cloud.fleet.devices(JOB, status)]
        return dict.fromkeys(names, 1)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Read the ledger, as an auditor would."""
        ledger = Ledger.open(self.database, now=now, readonly=True)
        try:
            yield ledger
        finally:
            ledger.close()

    def events(self, *kinds: str) -> list[Event]:
        """Return the ledger's events, those of the kinds only where any are named; none before there is a ledger."""
        try:
            with self.ledger() as ledger:
                return [event for event in ledger.events(after=0) if not kinds or event.kind in kinds]
        except LedgerError:
            return []

    def kinds(self) -> list[str]:
        """Return the kinds of the ledger's events, in order."""
        return [event.kind for event in self.events()]

    def state(self, number: int = 1) -> State:
        """Return a cancellation's state."""
        with self.ledger() as ledger:
            state = ledger.state(number)
        assert state is not None
        return state

    def stored(self, number: int = 1) -> str | None:
        """Return Slack's id of a cancellation's card, as the ledger has it."""
        with self.ledger() as ledger:
            row = ledger.outbox.card(number)
        return row.ts if row is not None else None

    def verified(self) -> Verified:
        """Recompute the chain."""
        with self.ledger() as ledger:
            return ledger.verify()


class Process:
    """`ota-bot run` as an operator starts it, its secrets in its environment; a context manager that leaves none."""

    def __init__(
        self, scene: Scene, name: str, secrets: Mapping[str, str], command: Sequence[str | Path] = (COMMAND,)
    ) -> None:
        self._scene = scene
        self._out, self._err = scene.folder / f"{name}.out", scene.folder / f"{name}.err"
        environment = {"PATH": os.environ.get("PATH", ""), **secrets}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603 - the command under test
                [*command, "run", "--config", scene.config], stdout=out, stderr=err, env=environment, cwd=scene.folder
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has logged so far."""
        return self._err.read_text()

    def ready(self) -> Self:
        """Wait for the line that says so; fails at once when the process has ended instead."""

        def said() -> bool:
            assert self._process.poll() is None, self.err
            return "\n" in self.out

        until(said)
        self._scene.slack.wait_for(lambda: self._scene.slack.connections, PATIENCE)
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it between two instructions, and wait until Slack has noticed."""
        self._process.kill()
        self._process.wait()

    def ended(self, within: float) -> int:
        """Wait for its end and return its exit code; raises subprocess.TimeoutExpired."""
        return self._process.wait(within)


class Stories:
    """Scenes that are played at the same time, because each of them waits a lot; a test asks for the end of its own."""

    def __init__(self, folder: Path, *plays: Callable[[Any], Any], stage: Callable[[Path], Scene] = Scene) -> None:
        self._folder = folder
        self._stage = stage
        self._pool = ThreadPoolExecutor(len(plays), thread_name_prefix="story")
        self._ends: dict[Callable[[Any], Any], Future[Any]] = {
            play: self._pool.submit(self._play, play) for play in plays
        }

    def end(self, play: Callable[[Any], T]) -> T:
        """Return what a play returned, or raise what it raised."""
        found: T = self._ends[play].result()
        return found

    def close(self) -> None:
        """Wait for the end of all."""
        self._pool.shutdown()

    def _play(self, play: Callable[[Any], T]) -> T:
        folder = self._folder / play.__name__
        folder.mkdir()
        with self._stage(folder) as scene:
            return play(scene)
