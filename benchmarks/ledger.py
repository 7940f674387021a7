"""How long an auditor waits: `python -m benchmarks.ledger [EVENTS]` makes a ledger of a million events and verifies it.

The lives are made by the bot's own decisions, once for each size, and repeated under numbers and times of their own.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from bot.domain import approval, decisions, running
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import LATER
from bot.domain.decisions import Decision, Refusal
from bot.domain.events import Event, NewEvent, canonical, stamp
from bot.domain.fold import apply
from bot.domain.offer import CANCEL_DEVICES
from bot.domain.order import CancelDevices
from bot.domain.plan import Job, Preview, freeze
from bot.domain.policy import Allowed
from bot.domain.reading import Named, Reading
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.ledger.chain import GENESIS, digest
from bot.ledger.ledger import Ledger

EVENTS: Final = 1_000_000
PER_CALL: Final = 10
SIZES: Final = (1,) * 60 + (20,) * 15 + (300,)
"""Calls of the cancellations, in turns: most are small, and a few are large."""
BEGAN: Final = datetime(2025, 1, 1, tzinfo=UTC)
PEOPLE: Final = Approval(above=10**6)
ACCOUNT: Final = Account(
    name="prod",
    cloud=Cloud.ALIYUN,
    endpoint="https://iot.cn-shanghai.aliyuncs.com",
    key_id=Secret("key"),
    key_secret=Secret("secret"),
    quota="prod",
    channels=("C0OPS",),
    requesters=("U0ANN",),
    qps=Qps(job=5, devices=10, strategy=10, query=10),
    names_per_call=PER_CALL,
    approval=PEOPLE,
)
SEEN: Final = {"person": "U0ANN", "groups": [], "team": "T1", "flags": [], "at": stamp(BEGAN)}
TAKEN: Final = Answer(outcome=Outcome.DONE, request_id="9F2E4A1C-7B3D-4C5E-8F6A-000000000000")


def reading(queued: int, canceled: int) -> Reading:
    """Return what the cloud says of the named devices."""
    counts: dict[Status, int | None] = dict.fromkeys(Status, 0)
    named = Named(counts={Status.QUEUED: queued}, canceled=canceled)
    return Reading(at=BEGAN, counts={**counts, Status.QUEUED: queued}, canceled=canceled, named=named)


def life(calls: int) -> tuple[tuple[str, ...], list[NewEvent]]:
    """Return the names and the events of a cancellation of so many calls, as the bot decides them."""
    names = tuple(f"pump-{number:06}" for number in range(calls * PER_CALL))
    order, before, after = CancelDevices(names=names, job="J1"), reading(len(names), 0), reading(0, len(names))
    preview = Preview(job=Job(id="J1", name="Spring", status="IN_PROGRESS", version="2.1"), reading=before)
    look = partial(running.verify, reading=after)
    made = [decisions.requested("U0ANN", order, ACCOUNT, channel="C0OPS", via="slack")]
    state = apply(None, stored(made[0], 1))
    steps: list[Decision] = [
        partial(
            decisions.show_preview,
            preview=preview,
            plan=freeze(order, preview, ACCOUNT, {"J1": names}),
            estimate=1,
            verdict=Allowed(),
            account=ACCOUNT,
            evidence=SEEN,
        ),
        partial(approval.confirm, actor="U0ANN", account=ACCOUNT, ran_alone=0, evidence=SEEN),
        partial(running.start, reading=before, account=ACCOUNT, evidence=SEEN),
    ]
    for call in range(1, calls + 1):
        steps += [
            partial(running.send, call=call, action=CANCEL_DEVICES, count=PER_CALL),
            partial(running.record_answer, call=call, attempt=1, action=CANCEL_DEVICES, answer=TAKEN),
        ]
    steps += [look, running.finish, *[look] * len(LATER)]
    for step in steps:
        decided = step(state, BEGAN)
        if isinstance(decided, Refusal):
            raise TypeError(decided.reason)
        for event in decided:
            made.append(event)
            state = apply(state, stored(event, len(made)))
    return names, made


def stored(event: NewEvent, seq: int) -> Event:
    """Return an event as it is stored."""
    return Event(
        id=seq, cancellation=1, seq=seq, at=BEGAN, actor=event.actor, kind=event.kind, body=event.body, digest=""
    )


@dataclass(slots=True)
class Chain:
    """Where the chain stands."""

    id: int = 0
    cancellation: int = 0
    digest: str = GENESIS
    at: datetime = BEGAN

    def rows(self, events: list[NewEvent]) -> Iterator[dict[str, Any]]:
        """Yield the rows of one more cancellation."""
        self.cancellation += 1
        self.at += timedelta(hours=2)
        for seq, event in enumerate(events, start=1):
            self.id += 1
            self.at += timedelta(milliseconds=100)
            row = {
                "id": self.id,
                "cancellation": self.cancellation,
                "seq": seq,
                "at": stamp(self.at),
                "actor": event.actor,
                "kind": event.kind.value,
                "body": event.body,
            }
            row["digest"] = self.digest = digest(self.digest, row)
            yield {**row, "body": canonical(event.body)}


def fill(ledger: Ledger, events: int) -> None:
    """Fill a ledger with lives until it has so many events."""
    lives = {size: life(size) for size in dict.fromkeys(SIZES)}
    chain = Chain()
    with ledger._store.writing():  # noqa: SLF001 - no decision writes so fast
        for names, _ in lives.values():
            ledger.keep_list(names)
        for size in cycle(SIZES):
            for row in chain.rows(lives[size][1]):
                ledger._store.run(  # noqa: SLF001
                    "insert into events values (:id, :cancellation, :seq, :at, :actor, :kind, :body, :digest)", row
                )
            ledger._rows.keep(ledger.rebuilt(chain.cancellation), None, before=None)  # noqa: SLF001
            if chain.id >= events:
                break


def mebibytes() -> float:
    """Return the most memory that this process and each of those that it started have had."""
    most = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(most) / 1024


def main() -> None:
    """Make it, verify it, and print how long that took."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ota-bot.db"
        with closing(Ledger.open(path, now=lambda: datetime.now(UTC))) as ledger:
            fill(ledger, events)
        before = mebibytes()
        with closing(Ledger.open(path, now=lambda: datetime.now(UTC), readonly=True)) as ledger:
            began = time.perf_counter()
            found = ledger.verify()
            took = time.perf_counter() - began
        size = path.stat().st_size / 2**20
        print(f"verify: {found.events:,} events, {found.cancellations:,} cancellations, {size:,.0f} MiB")
        print(f"verify: {took:.1f} s (goal: under 30 s for a million)")
        print(f"verify: {mebibytes():.0f} MiB at most, {before:.0f} MiB before it")


if __name__ == "__main__":
    main()
