"""One ledger file and the processes of the bot on it, without Slack; what cloud they have is up to who comes after."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bot.clouds.base import Batches, Cloud, Slow, unsaid
from bot.domain.account import Account
from bot.domain.call import Answer
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal
from bot.domain.errors import DirectoryError
from bot.domain.order import Cancel
from bot.domain.plan import Call, Look, Names, Plan
from bot.domain.policy import Person, Place, Sight, personal_fault
from bot.domain.reading import Reading
from bot.engine.executor import Executor
from bot.engine.intake import Fetch, Intake, no_files
from bot.engine.presses import Presses
from bot.engine.rooms import Rooms
from bot.ledger.ledger import Ledger
from tests.clouds.stand_ins import KEY_ID, KEY_SECRET, TOKEN, Clock

ANN: Final = "U0ANN"
LEA: Final = "U0LEA"
OPS: Final = "C0OPS"


class People:
    """A directory: everybody is a full member in the order's channel, unless a test says otherwise."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.silent = 0
        """How many looks fail from now on."""
        self.changes: dict[str, dict[str, Any]] = {}
        """What is special about a person."""

    def look(
        self, actor: str, channel: str | None, account: Account, *, within: float, since: datetime | None = None
    ) -> Sight:
        """Look somebody up."""
        del account, within, since
        if self.silent:
            self.silent -= 1
            raise DirectoryError("Slack did not tell who you are.")
        person = Person(id=actor, **self.changes.get(actor, {}))
        return Sight(person=person, place=Place(id=channel) if channel else None, at=self._now())

    def approvers(self, account: Account, *, besides: str, enough: int, within: float) -> tuple[str, ...]:
        """Return the listed approvers who are full members."""
        listed = [one for one in account.approvers if one != besides]
        sights = [self.look(one, None, account, within=within) for one in listed]
        return tuple(sight.person.id for sight in sights if personal_fault(sight.person) is None)[:enough]


@dataclass
class Told:
    """A reporter that keeps what was told."""

    texts: list[str] = field(default_factory=list)

    def tell(self, state: State, text: str) -> None:
        """Keep it."""
        self.texts.append(f"#{state.id}: {text}")

    def ask_anyway(self, state: State, like: State) -> None:
        """Keep it."""
        self.texts.append(f"#{state.id}: already #{like.id}")


def nothing() -> None:
    """Do nothing."""


class Watched:
    """A cloud, with something happening at chosen moments."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.choosy = cloud.choosy
        self.visible_after = cloud.visible_after
        self.waiting: Callable[[], None] = nothing
        self.sending: Callable[[], None] = nothing
        self.sent: Callable[[], None] = nothing
        self.reading: Callable[[], None] = nothing

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Look at what an order would hit."""
        return self._cloud.look(order, names, slow)

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Count again before the start."""
        self.reading()
        return self._cloud.recount(plan, names, before)

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Read again after the calls."""
        self.reading()
        return self._cloud.verify(plan, names)

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Read what a call would still hit."""
        self.reading()
        return self._cloud.still(plan, call, names)

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read what has ended."""
        return self._cloud.finished(job)

    def jobs(self) -> Batches:
        """Read the running batches."""
        return self._cloud.jobs()

    def estimate(self, plan: Plan) -> int:
        """Return the seconds."""
        return self._cloud.estimate(plan)

    def wait(self, action: str) -> None:
        """Wait for a slot; then something happens."""
        self._cloud.wait(action)
        self.waiting()

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """End waits once it is stopped."""
        return self._cloud.until(stopped)

    def soon(self) -> AbstractContextManager[None]:
        """Wait for no long."""
        return self._cloud.soon()

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Send a call, with something happening before and after."""
        self.sending()
        answer = self._cloud.send(plan, call, names, attempt)
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
    presses: Presses
    executor: Executor
    cloud: Watched


class Scene(ABC):
    """Everything around one ledger file. `process()` starts a process on it, `close()` ends them all."""

    def __init__(self, folder: Path, account: Account, clock: Clock, *, fetch: Fetch = no_files) -> None:
        self.path = folder / "ledger.db"
        self.clock = clock
        self.people = People(clock.now)
        self.told = Told()
        self.account = account
        self.fetch = fetch
        self._ledgers: list[Ledger] = []
        self._renewing: list[tuple[Ledger, str]] = []
        clock.turned = self._renew
        self.ledger = self.open()
        self.one = self.process("one", self.ledger)

    @abstractmethod
    def cloud(self, account: Account, ledger: Ledger, owner: str) -> Cloud:
        """Return the cloud of a process."""

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
        accounts: Mapping[str, Account] = changes.get("accounts", {self.account.name: self.account})
        known = {**accounts}.get(self.account.name, self.account)
        cloud = Watched(self.cloud(known, ledger, owner))
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
        intake = Intake(rooms, self.told, fetch=self.fetch)
        return Process(rooms=rooms, intake=intake, presses=Presses(rooms), executor=Executor(rooms), cloud=cloud)

    def dies(self, process: Process) -> None:
        """Let nobody renew a process's leases any more."""
        self._renewing = [(ledger, owner) for ledger, owner in self._renewing if owner != process.rooms.owner]

    def _renew(self) -> None:
        for ledger, owner in self._renewing:
            ledger.leases.renew(owner)

    def close(self) -> None:
        """Close everything."""
        self.clock.turned = nothing
        for ledger in self._ledgers:
            ledger.close()

    # --- a cancellation's life -------------------------------------------------------------------------------------

    def order(self, order: Cancel, *, actor: str = ANN) -> int:
        """Order and check; return the id."""
        identity = self.one.intake.order(actor, order, self.account, channel=OPS, via="slack", delivery=None).id
        self.one.intake.check(identity)
        return identity

    def confirm(self, identity: int) -> int:
        """Confirm; return the id."""
        done = self.press("confirm", identity)
        assert not isinstance(done, Refusal), done.reason
        return identity

    def press(self, button: str, identity: int, actor: str = ANN, *, reason: str = "") -> State | Refusal:
        """Press a button, in time."""
        return self.one.presses.press(button, identity, actor, OPS, in_time=lambda: True, reason=reason)

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

    def secrets_in_the_ledger(self) -> list[str]:
        """Return which secrets are anywhere in the file."""
        kept = b"".join(path.read_bytes() for path in self.path.parent.glob("ledger.db*"))
        return [secret for secret in (KEY_ID, KEY_SECRET, TOKEN) if secret.encode() in kept]


def figures(state: State) -> tuple[int | None, int, int | None, int | None]:
    """Return asked, accepted, confirmed and left."""
    if state.run is None:
        raise AssertionError("it never ran")
    return state.run.asked, state.run.accepted, state.run.confirmed, state.run.left
