"""A whole engine without Slack: real intake, executor, ledger and HTTP, a simulated cloud, a clock turned by hand."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.base import Cloud
from bot.clouds.http import Http
from bot.clouds.throttle import Throttle
from bot.domain.account import Account
from bot.domain.call import Answer
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal
from bot.domain.errors import DirectoryError
from bot.domain.order import CancelJob
from bot.domain.plan import Plan, Preview, Reading
from bot.domain.policy import Person, Place, Sight
from bot.domain.status import Status
from bot.engine.executor import Executor
from bot.engine.intake import Intake, Rooms
from bot.ledger.ledger import Ledger
from bot.playground.cloud.aliyun_cloud import AliyunCloud as SimulatedCloud
from bot.playground.cloud.aliyun_cloud import Arrival
from tests.clouds.stand_ins import KEY_ID, KEY_SECRET, TOKEN, Clock, account, hasty_session

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
COUNTS: Final = {"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5}
ANN: Final = "U0ANN"
LEA: Final = "U0LEA"
OPS: Final = "C0OPS"
CANCEL: Final = "CancelOTATaskByJob"
QUEUED_AND_NOTIFIED: Final = (Status.QUEUED, Status.NOTIFIED)


class People:
    """A directory: everybody is a full member in the order's channel, unless a test says otherwise."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.silent = 0
        """How many looks fail from now on."""
        self.changes: dict[str, dict[str, Any]] = {}
        """What is special about a person."""

    def look(self, actor: str, channel: str | None, account: Account, *, within: float) -> Sight:
        """Look somebody up."""
        del account, within
        if self.silent:
            self.silent -= 1
            raise DirectoryError("Slack did not tell who you are.")
        person = Person(id=actor, **self.changes.get(actor, {}))
        return Sight(person=person, place=Place(id=channel) if channel else None, at=self._now())


@dataclass
class Told:
    """A reporter that keeps what was told."""

    texts: list[str] = field(default_factory=list)

    def tell(self, state: State, text: str) -> None:
        """Keep it."""
        self.texts.append(f"#{state.id}: {text}")


def nothing() -> None:
    """Do nothing."""


class Watched:
    """A cloud, with something happening at chosen moments."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.waiting: Callable[[], None] = nothing
        self.sending: Callable[[], None] = nothing
        self.sent: Callable[[], None] = nothing
        self.reading: Callable[[], None] = nothing

    def preview(self, job: str) -> Preview:
        """Read a job."""
        return self._cloud.preview(job)

    def read(self, job: str, statuses: tuple[Status, ...], *, patient: bool = False) -> Reading:
        """Read a job again."""
        self.reading()
        return self._cloud.read(job, statuses, patient=patient)

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read what has ended."""
        return self._cloud.finished(job)

    def action(self, plan: Plan) -> str:
        """Name the operation."""
        return self._cloud.action(plan)

    def estimate(self, plan: Plan, calls: int) -> int:
        """Return the seconds."""
        return self._cloud.estimate(plan, calls)

    def wait(self, plan: Plan) -> None:
        """Wait for a slot; then something happens."""
        self._cloud.wait(plan)
        self.waiting()

    def send(self, plan: Plan, call: int, attempt: int) -> Answer:
        """Send a call, with something happening before and after."""
        self.sending()
        answer = self._cloud.send(plan, call, attempt)
        self.sent()
        return answer

    def probe(self) -> tuple[str, ...]:
        """Try the credentials."""
        return self._cloud.probe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the bot on a ledger."""

    rooms: Rooms
    intake: Intake
    executor: Executor
    cloud: Watched


class Stage:
    """Everything around one ledger file. `process()` starts a process on it, `close()` ends them all."""

    def __init__(self, folder: Path, simulated: SimulatedCloud, clock: Clock) -> None:
        self.path = folder / "ledger.db"
        self.simulated = simulated
        self.clock = clock
        self.people = People(clock.now)
        self.told = Told()
        self.account = account(simulated.url)
        self.http = Http(clock=time.monotonic, sessions=hasty_session)
        self._ledgers: list[Ledger] = []
        self._renewing: list[tuple[Ledger, str]] = []
        self._numbers = count(1)
        clock.turned = self._renew
        self.ledger = self.open()
        self.one = self.process("one", self.ledger)

    def open(self, made: Callable[..., Ledger] = Ledger.open) -> Ledger:
        """Open the file once more, as another process would."""
        ledger = made(self.path, now=self.clock.now)
        # Nobody cuts the power here, and waiting for the disk is most of what these tests would do.
        ledger._store.run("pragma synchronous=off")
        self._ledgers.append(ledger)
        return ledger

    def process(self, owner: str, ledger: Ledger | None = None, **changes: Any) -> Process:
        """Start a process, on a connection of its own unless one is given; `changes` are to its rooms."""
        ledger = ledger or self.open()
        throttle = Throttle(
            reserve=ledger.slots.reserve, push=ledger.slots.push, now=self.clock.seconds, sleep=self.clock.sleep
        )
        accounts = changes.get("accounts", {self.account.name: self.account})
        known = {**accounts}.get(self.account.name, self.account)
        cloud = Watched(
            AliyunCloud(
                known,
                http=self.http,
                throttle=throttle,
                now=self.clock.now,
                nonce=lambda: f"{self.clock.seconds()}-{owner}-{next(self._numbers)}",
                ahead=ledger.slots.ahead,
            )
        )
        plain = Rooms(
            ledger=ledger,
            accounts=accounts,
            clouds={known.name: cloud},
            directory=self.people,
            now=self.clock.now,
            sleep=self.clock.sleep,
            owner=owner,
        )
        rooms = replace(plain, **changes)
        self._renewing.append((ledger, owner))
        return Process(rooms=rooms, intake=Intake(rooms, self.told), executor=Executor(rooms), cloud=cloud)

    def dies(self, process: Process) -> None:
        """Let nobody renew a process's leases any more."""
        self._renewing = [(ledger, owner) for ledger, owner in self._renewing if owner != process.rooms.owner]

    def _renew(self) -> None:
        for ledger, owner in self._renewing:
            ledger.leases.renew(owner)

    def close(self) -> None:
        """Close everything."""
        self.clock.turned = nothing
        self.http.close()
        for ledger in self._ledgers:
            ledger.close()

    # --- a cancellation's life -------------------------------------------------------------------------------------

    def ordered(self, statuses: tuple[Status, ...] = QUEUED_AND_NOTIFIED, *, actor: str = ANN, job: str = JOB) -> int:
        """Order and check; return the id."""
        order = CancelJob(job=job, statuses=statuses, reason="bad image")
        identity = self.one.intake.order(actor, order, self.account, channel=OPS, via="slack", delivery=None).id
        self.one.intake.check(identity)
        return identity

    def confirmed(self, statuses: tuple[Status, ...] = QUEUED_AND_NOTIFIED) -> int:
        """Order, check and confirm; return the id."""
        identity = self.ordered(statuses)
        done = self.press("confirm", identity)
        assert not isinstance(done, Refusal), done.reason
        return identity

    def press(self, button: str, identity: int, actor: str = ANN) -> State | Refusal:
        """Press a button, in time."""
        return self.one.intake.press(button, identity, actor, OPS, in_time=lambda: True)

    def run(self, identity: int, process: Process | None = None) -> State:
        """Run as far as it goes now and return the state."""
        (process or self.one).executor.run(identity)
        return self.state(identity)

    def keep_running(self, identity: int) -> State:
        """Run again and again, as the keeper does but with longer rests, until it has ended."""
        while (state := self.run(identity)).phase in {Phase.APPROVED, Phase.RUNNING}:
            self.clock.sleep(20)
        return state

    def state(self, identity: int = 1) -> State:
        """Return the state, which must be the fold of its events in a chain that holds."""
        state = self.ledger.state(identity)
        self.ledger.verify()
        if state is None or state != self.ledger.rebuilt(identity):
            raise AssertionError(f"the state is not the fold of its events: {state}")
        return state

    # --- what happened ---------------------------------------------------------------------------------------------

    def kinds(self, identity: int = 1) -> list[str]:
        """Name a cancellation's events."""
        return [event.kind for event in self.ledger.story(identity)]

    def bodies(self, kind: str, identity: int = 1) -> list[Mapping[str, Any]]:
        """Return the bodies of one kind of events."""
        return [event.body for event in self.ledger.story(identity) if event.kind == kind]

    def outcomes(self, identity: int = 1) -> list[str]:
        """Return how each attempt ended, marked where a read told it."""
        return [
            f"{body['outcome']}{' by read' if body.get('by') else ''}"
            for body in self.bodies("call_finished", identity)
        ]

    @property
    def cancels(self) -> list[Arrival]:
        """Return the cancelling calls that came in."""
        return [arrival for arrival in self.simulated.arrivals if arrival.action == CANCEL]

    @property
    def executed(self) -> int:
        """Return how many cancelling calls did their work."""
        return sum(arrival.executed for arrival in self.cancels)

    @property
    def counts(self) -> dict[str, int]:
        """Return the job's tasks by status, as the cloud has them."""
        return dict(self.simulated.fleet.counts(JOB))

    def secrets_in_the_ledger(self) -> list[str]:
        """Return which secrets are anywhere in the file."""
        kept = b"".join(path.read_bytes() for path in self.path.parent.glob("ledger.db*"))
        return [secret for secret in (KEY_ID, KEY_SECRET, TOKEN) if secret.encode() in kept]


def figures(state: State) -> tuple[int | None, int, int | None, int | None]:
    """Return asked, accepted, confirmed and left."""
    if state.run is None:
        raise AssertionError("it never ran")
    return state.run.asked, state.run.accepted, state.run.confirmed, state.run.left
