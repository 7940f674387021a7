"""A stage with a cloud in memory: many jobs and devices, every operation, and answers as a test wants them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from bot.clouds.base import Batches, Cloud, Slow, unsaid
from bot.domain import account as accounts
from bot.domain.account import Account, Approval, Qps
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.offer import BY_DEVICE, CANCEL_DEVICES, CANCEL_JOB, CANCEL_STRATEGY, CANCEL_TASKS
from bot.domain.order import Cancel, CancelDevices, CancelStrategy
from bot.domain.plan import Call, Job, Look, Names, Plan, Preview
from bot.domain.reading import Named, Reading
from bot.domain.status import FLOW, Status
from bot.engine.intake import Fetch, no_files
from bot.ledger.ledger import Ledger, Ordered
from tests.clouds.stand_ins import Clock, account
from tests.engine.scene import ANN, OPS, Scene

DONE: Final = Answer(outcome=Outcome.DONE, request_id="R1")
FAILED: Final = Answer(outcome=Outcome.FAILED, code="iot.ota.Nope", message="no")
THROTTLED: Final = Answer(outcome=Outcome.FAILED, code="Throttling.User", message="slower", again=True)
UNKNOWN: Final = Answer(outcome=Outcome.UNKNOWN, code="NoAnswer", message="timed out")
MOVED: Final = Answer(outcome=Outcome.FAILED, code="24620", message="Only init or published tasks can be canceled")
CANCELED: Final = "canceled"
SUCCEEDED: Final = "succeeded"
PERMISSIVE: Final = Approval(above=1_000_000, always=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A call that reached the cloud."""

    number: int
    action: str
    job: str
    names: tuple[str, ...]
    attempt: int
    thread: str


Play = Callable[[Sent], tuple[Answer, bool] | None]
"""Says how a call is answered and whether it is carried out; `None`: as the cloud does."""


@dataclass
class Fleet:
    """What is at the cloud: each job's devices with what their task is doing. Safe to use from several threads."""

    tasks: dict[str, dict[str, str]] = field(default_factory=dict)
    batch: str = "IN_PROGRESS"
    firmware: str = "F"
    sent: list[Sent] = field(default_factory=list)
    done: list[Sent] = field(default_factory=list)
    """Those that were carried out."""
    reads: Counter[str] = field(default_factory=Counter)
    play: Play = lambda _sent: None
    tells_cancelled: bool = True
    """Whether a job's totals say how many tasks are cancelled."""
    unreadable: Callable[[str], bool] = lambda _read: False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, job: str, names: Iterable[str], status: Status = Status.QUEUED) -> None:
        """Add tasks."""
        self.tasks.setdefault(job, {}).update(dict.fromkeys(names, status.value))

    def move(self, job: str, names: Iterable[str], to: str = SUCCEEDED) -> None:
        """Let devices move on."""
        with self.lock:
            self.tasks[job].update(dict.fromkeys(names, to))

    def calls(self, number: int) -> list[Sent]:
        """Return each sending of a call."""
        return [sent for sent in self.sent if sent.number == number]

    def count(self, job: str, word: str) -> int:
        """Count a job's tasks."""
        return Counter(self.tasks[job].values())[word]


class YardCloud:
    """The engine's way to a fleet, as an account's cloud."""

    visible_after = 0.0

    def __init__(self, account: Account, fleet: Fleet, now: Callable[[], datetime]) -> None:
        self.choosy = account.cloud is accounts.Cloud.ENOS
        self._hits = frozenset(status.value for status in BY_DEVICE[account.cloud])
        self._account = account
        self._fleet = fleet
        self._now = now

    def look(self, order: Cancel, names: tuple[str, ...], slow: Slow = unsaid) -> Look:
        """Look at an order's jobs and devices."""
        del slow
        self._read("look")
        jobs = [order.job] if order.job else list(self._fleet.tasks)
        facts = [self._job(job) for job in jobs]
        if isinstance(order, CancelStrategy) or not (isinstance(order, CancelDevices) or self.choosy):
            return Look(preview=Preview(job=facts[0], reading=self._reading(jobs)))
        statuses = self._hits if isinstance(order, CancelDevices) else frozenset(map(str, order.statuses))
        asked = {job: names or tuple(sorted(self._fleet.tasks[job])) for job in jobs}
        hit = {job: self._in(job, these, statuses) for job, these in asked.items()}
        to_send = {job: these for job, these in hit.items() if these}
        reading = replace(self._reading(jobs), named=self._named(asked))
        return Look(preview=Preview(job=facts[0], reading=reading, others=tuple(facts[1:])), names=to_send)

    def recount(self, plan: Plan, names: Names, before: Reading | None) -> Reading:
        """Count again."""
        self._read("recount")
        del before
        return self._seen(plan, names)

    def verify(self, plan: Plan, names: Names) -> Reading:
        """Read again."""
        self._read("verify")
        return self._seen(plan, names)

    def still(self, plan: Plan, call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], Reading]:
        """Look at one call's devices."""
        del plan
        self._read(f"still {call.number}")
        job = call.step.job
        seen = self._reading([job])
        if call.step.names is None:
            return (), seen
        return self._in(job, names, self._hits), replace(seen, named=self._named({job: names}))

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read what has ended."""
        return {"SUCCEEDED": self._fleet.count(job, SUCCEEDED), "CANCELED": self._fleet.count(job, CANCELED)}

    def jobs(self) -> Batches:
        """Read the running batches."""
        return [Preview(job=self._job(job), reading=self._reading([job])) for job in self._fleet.tasks], 0, 0

    def estimate(self, plan: Plan) -> int:
        """Return a second for each call."""
        return plan.calls

    def wait(self, action: str) -> None:
        """Wait for nothing."""

    def until(self, stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        """Wait for nothing, and so end nothing."""
        del stopped
        return nullcontext()

    def soon(self) -> AbstractContextManager[None]:
        """Wait for nothing."""
        return nullcontext()

    def send(self, plan: Plan, call: Call, names: tuple[str, ...], attempt: int) -> Answer:
        """Answer as the test wants it, else as the cloud does."""
        sent = Sent(
            number=call.number,
            action=call.step.action,
            job=call.step.job,
            names=names,
            attempt=attempt,
            thread=threading.current_thread().name,
        )
        with self._fleet.lock:
            self._fleet.sent.append(sent)
            answer, does = self._fleet.play(sent) or self._answer(sent)
            if does:
                self._fleet.done.append(sent)
                self._carry_out(plan, sent)
        return answer

    def probe(self) -> tuple[str, ...]:
        """Find nothing wrong."""
        return ()

    # --- what it stands on -----------------------------------------------------------------------------------------

    def _answer(self, sent: Sent) -> tuple[Answer, bool]:
        whole = sent.action != CANCEL_TASKS or len(self._in(sent.job, sent.names, self._hits)) == len(sent.names)
        return (DONE, True) if whole else (MOVED, False)

    def _carry_out(self, plan: Plan, sent: Sent) -> None:
        tasks = self._fleet.tasks[sent.job]
        match sent.action:
            case str(action) if action == CANCEL_STRATEGY:
                self._fleet.batch = "CANCELED"
            case str(action) if action == CANCEL_JOB:
                hit = [name for name, word in tasks.items() if word in {status.value for status in plan.statuses}]
                self._fleet.move(sent.job, hit, CANCELED)
            case str(action) if action in {CANCEL_DEVICES, CANCEL_TASKS}:
                self._fleet.move(sent.job, self._in(sent.job, sent.names, self._hits), CANCELED)

    def _read(self, what: str) -> None:
        with self._fleet.lock:
            self._fleet.reads[what] += 1
            if self._fleet.unreadable(what):
                raise CloudError("The cloud did not answer.", advice="Nothing was changed.")

    def _in(self, job: str, names: Iterable[str], words: frozenset[str]) -> tuple[str, ...]:
        with self._fleet.lock:
            tasks = self._fleet.tasks[job]
            return tuple(name for name in names if tasks.get(name) in words)

    def _job(self, job: str) -> Job:
        if job not in self._fleet.tasks:
            raise CloudError(f"There is no job {job}.", advice="Nothing was changed.", final=True)
        return Job(id=job, status=self._fleet.batch, dynamic=True, product="P", firmware=self._fleet.firmware)

    def _seen(self, plan: Plan, names: Names) -> Reading:
        seen = self._reading(list(names) if plan.by_name else [plan.job])
        return replace(seen, named=self._named(names) if plan.by_name else None)

    def _reading(self, jobs: Sequence[str]) -> Reading:
        with self._fleet.lock:
            words = Counter(word for job in jobs for word in self._fleet.tasks[job].values())
        counts = {status: words[status.value] for status in Status}
        canceled = words[CANCELED] if self._fleet.tells_cancelled else None
        return Reading(at=self._now(), counts=counts, canceled=canceled, batch=self._fleet.batch)

    def _named(self, names: Names) -> Named:
        with self._fleet.lock:
            words = Counter(self._fleet.tasks[job].get(name, "") for job, these in names.items() for name in these)
        return Named(
            counts={status: words[status.value] for status in FLOW},
            canceled=words[CANCELED],
            ended=words[SUCCEEDED],
            absent=words[""],
        )


ALIYUN: Final = account(approval=PERMISSIVE)
ENOS: Final = account(
    cloud=accounts.Cloud.ENOS,
    org="o1",
    names_per_call=50,
    approval=PERMISSIVE,
    qps=Qps(job=5, devices=5, strategy=5, query=5),
)


class OneByOne(Clock):
    """A clock on which several threads sleep one after another: whoever renews leases comes in time between them."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeping = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Turn the clock on, alone."""
        with self._sleeping:
            super().sleep(seconds)


class Yard(Scene):
    """Processes whose cloud is a fleet in memory."""

    def __init__(self, folder: Path, clock: Clock, account: Account = ALIYUN, *, fetch: Fetch = no_files) -> None:
        self.fleet = Fleet()
        super().__init__(folder, account, clock, fetch=fetch)

    def cloud(self, account: Account, ledger: Ledger, owner: str) -> Cloud:
        """Return the way to the fleet."""
        del ledger, owner
        return YardCloud(account, self.fleet, self.clock.now)

    def running(self, order: Cancel) -> int:
        """Order, check and confirm; return the id."""
        return self.confirm(self.order(order))

    def retry(self, old: int, actor: str = ANN) -> int:
        """Ask again, which must open something; return its id."""
        made = self.one.presses.retry(old, actor, OPS, via="slack", in_time=lambda: True)
        assert isinstance(made, Ordered), made.reason
        assert not made.repeated
        return made.id

    def names(self, identity: int) -> tuple[str, ...]:
        """Return the devices that an order names."""
        order = self.state(identity).order
        assert isinstance(order, CancelDevices)
        return self.ledger.names(order.listed.sha256 if order.listed else None)

    def sendings(self) -> Counter[int]:
        """Count how often each call was sent."""
        return Counter(sent.number for sent in self.fleet.sent)


Yards = Callable[..., Yard]
NAMES: Final = tuple(f"pump-{number:03}" for number in range(1, 451))
DEVICES: Final = CancelDevices(names=NAMES, job="J1", reason="bad image")


def pumps(yards: Yards, **changes: object) -> Yard:
    """Return a yard with 450 queued devices in a job, and others beside them."""
    yard = yards(**changes)
    yard.fleet.add("J1", NAMES)
    yard.fleet.add("J1", ["other-1", "other-2"])
    return yard
