"""Where cancellations are led at random: a cloud and a directory in which something may happen at any moment."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from bot.clouds.base import Batches, Cloud, Slow, unsaid
from bot.domain.account import Account, Qps
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.errors import CloudError
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Call, Job, Look, Names, Plan, Preview
from bot.domain.policy import Sight
from bot.domain.reading import Named, Reading
from bot.domain.status import Status
from bot.ledger.ledger import Ledger
from tests.builders import DONE, DRAINED, FAILED, THROTTLED, account
from tests.clouds.stand_ins import Clock
from tests.engine.deadly import CrashError, Unreleased
from tests.engine.scene import People, Process, Scene, nothing

ANN, BOB, LEA, KIM, GUS, EVE = "U0ANN", "U0BOB", "U0LEA", "U0KIM", "U0GUS", "U0EVE"
PEOPLE: Final = (ANN, BOB, LEA, KIM, GUS, EVE)
"""Ann and Bob may order and approve, Lea and Kim approve; Gus is a guest and listed, Eve is listed nowhere."""
PROD: Final = account(
    requesters=(ANN, BOB, GUS),
    approvers=(ANN, BOB, LEA, KIM, GUS),
    quota="main",
    names_per_call=1,
    qps=Qps(job=0.2, devices=0.2, strategy=0.2, query=0.2),  # so slow that a run has one thread: each life is led again
)
ACCOUNTS: Final = {"prod": PROD, "cold": replace(PROD, name="cold"), "test": replace(PROD, name="test", quota="test")}
"""Two accounts share a quota, and so a window."""

NAMES: Final = ("n1", "n2", "n3")
"""The devices of orders that name some; of a job with fewer tasks than that the rest have moved on."""
FINE: Final = "fine"
LOST: Final = Answer(outcome=Outcome.UNKNOWN, code="NoAnswer", message="timed out")
ANSWERS: Final[Mapping[str, tuple[Answer, bool]]] = {
    FINE: (DONE, True),
    "no": (FAILED, False),
    "slower": (THROTTLED, False),
    "lost on the way": (LOST, False),
    "lost on the way back": (LOST, True),
}
"""How a sending ends, and whether it was carried out."""
UNREAD: Final = "unread"


@dataclass
class Sky:
    """Every job's tasks, all of them queued; `None` where the cloud does not tell how many. `now` gives UTC."""

    now: Callable[[], datetime]
    tasks: dict[str, int | None] = field(default_factory=dict)
    canceled: int = 0
    script: list[str] = field(default_factory=list)
    """What the next moments bring; nothing more is fine."""
    always: str = FINE
    """What every moment brings after the script's end."""
    happens: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What comes between the bot and the cloud, by the script's words."""
    choosy: bool = False
    visible_after: float = 0.0

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Look at an order's job."""
        del slow
        self._read()
        job = order.job or ""
        there = tuple(name for name in names if name in self._there(job))
        preview = Preview(job=Job(id=job), reading=self.reading(job, named=bool(names)))
        return Look(preview=preview, names={job: there} if there else {})

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Count again."""
        del names, before
        self._read()
        return self.reading(plan.job, named=plan.by_name)

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Read again."""
        return self.recount(plan, names, None)

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Look at one call's devices."""
        there = set(self._there(call.step.job))
        return tuple(name for name in names if name in there), self.recount(plan, {}, None)

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read nothing about what has ended."""
        del job
        return {}

    def jobs(self) -> Batches:
        """Read no batches."""
        return [], 0, 0

    def estimate(self, plan: Plan) -> int:
        """Return a second for each call."""
        return plan.calls

    def wait(self, action: str) -> None:
        """Wait for nothing, while something may happen."""
        del action
        self._moment()

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """Wait for nothing, and so end nothing."""
        del stopped
        return nullcontext()

    def soon(self) -> AbstractContextManager[None]:
        """Wait for nothing."""
        return nullcontext()

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Answer as the script says."""
        del plan, attempt
        answer, does = ANSWERS.get(self._moment(), ANSWERS[FINE])
        there = self.tasks.get(call.step.job)
        if does and there is not None:
            gone = min(there, len(names)) if names else there
            self.tasks[call.step.job] = there - gone
            self.canceled += gone
        return answer

    def probe(self) -> tuple[str, ...]:
        """Find nothing wrong."""
        return ()

    def reading(self, job: str, *, named: bool) -> Reading:
        """Return what is there now."""
        there = self.tasks.get(job)
        seen = Reading(at=self.now(), counts={**DRAINED, Status.QUEUED: there}, canceled=self.canceled)
        left = len(self._there(job))
        found = Named(counts={Status.QUEUED: left}, canceled=len(NAMES) - left)
        return replace(seen, named=found) if named else seen

    def _there(self, job: str) -> tuple[str, ...]:
        there = self.tasks.get(job)
        return NAMES[: len(NAMES) if there is None else there]

    def _read(self) -> None:
        if self._moment() == UNREAD:
            raise CloudError("The cloud did not answer.", advice="Nothing was changed.")

    def _moment(self) -> str:
        word = self.script.pop(0) if self.script else self.always
        self.happens.get(word, lambda: None)()
        return word


def an_order(sort: str, job: str) -> Cancel:
    """Return an order of one sort."""
    orders: dict[str, Cancel] = {
        "queued": CancelJob(job=job, statuses=(Status.QUEUED,)),
        "in progress": CancelJob(job=job, statuses=(Status.QUEUED, Status.IN_PROGRESS)),
        "devices": CancelDevices(job=job, names=NAMES),
        "strategy": CancelStrategy(job=job),
        "strategy and queued": CancelStrategy(job=job, statuses=(Status.QUEUED,)),
    }
    return orders[sort]


class Crowd(People):
    """A directory in which something may happen while somebody is looked up."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.meanwhile: Callable[[], object] = nothing

    def look(
        self, actor: str, channel: str | None, account: Account, *, within: float, since: datetime | None = None
    ) -> Sight:
        """Look somebody up; what happens meanwhile happens once."""
        seen = super().look(actor, channel, account, within=within, since=since)
        happens, self.meanwhile = self.meanwhile, nothing
        happens()
        return seen


class Town(Scene):
    """Two processes of the bot on one ledger, under one sky."""

    def __init__(self, folder: Path) -> None:
        clock = Clock()
        self.sky = Sky(now=clock.now)
        super().__init__(folder, PROD, clock)
        self.dies(self.one)
        self.accounts = dict(ACCOUNTS)
        self.crowd = self.people = Crowd(clock.now)
        self.crowd.changes[GUS] = {"guest": True}
        self.sky.happens = {"15 s": lambda: clock.turn(15), "16 min": lambda: clock.turn(960), "killed": self._die}
        self._started = 0
        self.processes = [self.start(), self.start()]
        self._latest = self._runner = self.processes[0]
        self.running = 0
        """What was brought on last."""

    def cloud(self, account: Account, ledger: Ledger, owner: str) -> Cloud:
        """Return the sky."""
        del account, ledger, owner
        return self.sky

    def other(self) -> Process:
        """Return the process whose turn it is: whatever comes goes to one after the other."""
        self._latest = next(process for process in self.processes if process is not self._latest)
        return self._latest

    def bring_on(self, state: State, script: Iterable[str] = ()) -> None:
        """Bring a cancellation as far as it goes; the script says what happens at the cloud meanwhile."""
        self.running, self._runner = state.id, self.other()
        self.sky.script = [*script]
        with suppress(CrashError):
            work = self._runner.intake.check if state.phase is Phase.CHECKING else self._runner.executor.run
            work(state.id)
        self.sky.script = []

    def keep(self) -> None:
        """Do what is due."""
        process = self.other()
        for state in process.rooms.ledger.due():
            if state.phase not in OPEN:
                process.executor.verify(state.id)
            elif state.phase is not Phase.RUNNING:
                process.intake.end_wait(state)

    def _die(self) -> None:
        self.kill(self._runner)
        raise CrashError

    def start(self, ledger: Ledger | None = None) -> Process:
        """Start a process with what is configured now."""
        self._started += 1
        clouds = dict.fromkeys(self.accounts, self.sky)
        return self.process(f"process {self._started}", ledger, accounts=dict(self.accounts), clouds=clouds)

    def kill(self, process: Process) -> None:
        """Let a process die as it stands, and another one start in its place."""
        ledger = process.rooms.ledger
        ledger.leases = Unreleased(ledger._store, now=self.clock.now)
        self.dies(process)
        self.processes = [self.start() if one is process else one for one in self.processes]

    def reconfigure(self, changes: Mapping[str, Account]) -> None:
        """Stop both processes, and start them with other accounts."""
        self.accounts |= changes
        for process in self.processes:
            process.rooms.ledger.leases.release_all(process.rooms.owner)
            self.dies(process)
        self.processes = [self.start(process.rooms.ledger) for process in self.processes]
