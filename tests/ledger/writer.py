"""A process of its own that writes to a ledger: `python -m tests.ledger.writer WHAT PATH [COUNT]`.

It says `ready`, waits for a line on its standard input, and then does `WHAT`, saying one line for each acknowledged
commit or answer.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count as counting
from pathlib import Path
from typing import Final

from bot.domain.account import Approval
from bot.domain.cancellation import State
from bot.domain.decisions import Decided
from bot.ledger.ledger import Ledger
from tests.builders import confirm, confirm_alone, requested, show_preview

THREADS: Final = 4


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def say(text: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def crowd(ledger: Ledger, count: int) -> None:
    """Order `count` cancellations in each of several threads, freeze a plan for each, and confirm it."""

    def work() -> None:
        for _ in range(count):
            identity = ledger.order(requested()).id
            ledger.decide(identity, show_preview())
            ledger.decide(identity, confirm_alone(ledger))
            say(str(identity))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def press(ledger: Ledger, count: int) -> None:
    """Confirm each of the first `count` cancellations."""
    for identity in range(1, count + 1):
        decided = ledger.decide(identity, confirm_alone(ledger))
        say("confirmed" if isinstance(decided, State) else decided.reason)


def alone(ledger: Ledger, count: int) -> None:
    """Confirm each of the first `count` cancellations as far as the window allows."""

    def decision(state: State, at: datetime) -> Decided:
        ran = ledger.ran_alone(state, window=timedelta(hours=1))
        return confirm(approval=Approval(above=300), ran_alone=ran)(state, at)

    for identity in range(1, count + 1):
        decided = ledger.decide(identity, decision)
        say(decided.phase.value if isinstance(decided, State) else decided.reason)


def deliver(ledger: Ledger, count: int) -> None:
    """Take `count` deliveries that other processes take as well."""
    for number in range(count):
        say(f"{ledger.order(requested(), delivery=f'trigger-{number}').id}")


def slots(ledger: Ledger, count: int) -> None:
    """Reserve `count` slots."""
    for _ in range(count):
        say(f"{ledger.slots.reserve('q', 'job', 0.2)!r}")


def lease(ledger: Ledger, count: int) -> None:
    """Take each of `count` leases that other processes want as well."""
    for number in range(count):
        say(str(ledger.leases.take(f"cancellation:{number}", str(os.getpid())) is not None))


def flood(ledger: Ledger, count: int) -> None:
    """Commit flat out until killed: order, and freeze the plan."""
    del count
    for _ in counting():
        identity = ledger.order(requested()).id
        ledger.decide(identity, show_preview())
        say(str(identity))


WORK: Final[Mapping[str, Callable[[Ledger, int], None]]] = {
    work.__name__: work for work in (crowd, press, alone, deliver, slots, lease, flood)
}


def main(what: str, path: str, count: str = "0") -> None:
    """Open the ledger before or after the signal to go, and do the work."""
    late = what == "open"
    ledger = None if late else Ledger.open(Path(path), now=now)
    say("ready")
    sys.stdin.readline()
    ledger = ledger or Ledger.open(Path(path), now=now)
    if late:
        say("opened")
    else:
        WORK[what](ledger, int(count))
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
