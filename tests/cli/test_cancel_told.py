"""`ota-bot cancel` when it is told to leave, and what it tells of devices that were not cancelled."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.cli.shown import FEW, finished
from bot.cli.signals import Interrupts
from bot.domain.cancellation import Phase, State
from bot.domain.order import CancelDevices
from bot.ledger.ledger import Ledger
from tests.cli.stage import CANCEL, COUNTS, JOB, ME, Ended, Terminal, ended
from tests.engine.yard import ENOS, MOVED, OneByOne, Yard

ORDER = f"job {JOB} queued,notified because bad image"


def states(terminal: Terminal) -> list[State]:
    """Return the cancellations that there are."""
    if not terminal.ledger.exists():
        return []
    opened = Ledger.open(terminal.ledger, now=lambda: datetime.now(UTC))
    try:
        return [state for state in map(opened.state, (1, 2)) if state is not None]
    finally:
        opened.close()


def phases(terminal: Terminal) -> list[tuple[Phase, str | None]]:
    """Return how each cancellation stands and who stopped it."""
    return [(state.phase, state.stopped_by) for state in states(terminal)]


def cancels(terminal: Terminal) -> int:
    """Return how many cancelling calls came in."""
    return sum(arrival.action == CANCEL for arrival in terminal.cloud.arrivals)


def signalled(
    terminal: Terminal, *numbers: signal.Signals, typed: str, when: Callable[[], bool]
) -> tuple[Ended, float]:
    """Send signals once something holds; return how it ended, and how long that took."""
    process = terminal.start("cancel", *ORDER.split(), "--config", str(terminal.config))
    assert process.stdin is not None
    process.stdin.write(typed)
    process.stdin.flush()
    eventually(lambda: when() or process.poll() is not None)
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    return ended(process), time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
class TestToldToLeave:
    def test_while_a_slot_is_waited_for(self, terminal: Terminal, number: signal.Signals) -> None:
        """Whichever signal comes while the cloud wants two minutes, the run is stopped, finished and told at once."""
        terminal.cloud.faults.add("throttle", CANCEL, seconds=120, header="Retry-After", times=None)
        found, took = signalled(terminal, number, typed=f"{JOB}\n", when=lambda: cancels(terminal) == 1)

        assert (1, [(Phase.STOPPED, ME)], 1) == (found.code, phases(terminal), cancels(terminal))
        assert ["Stopping: what is out comes to its end.", "#1: Stopped."] == [
            line for line in found.out.splitlines() if line.startswith(("Stopping", "#1: "))
        ]
        assert took < 6
        assert COUNTS == terminal.cloud.fleet.counts(JOB)

    def test_while_it_is_checked(self, terminal: Terminal, number: signal.Signals) -> None:
        """Told to leave before the order was checked, it takes the order back: nothing open is left behind."""
        terminal.cloud.faults.add("latency", seconds=2.0, times=None)
        found, _ = signalled(terminal, number, typed="", when=lambda: bool(phases(terminal)))

        assert (1, [(Phase.VOIDED, None)], 0) == (found.code, phases(terminal), cancels(terminal))
        assert "#1 is taken back. Nothing was cancelled." in found.out

    def test_twice(self, terminal: Terminal, number: signal.Signals) -> None:
        """A second signal leaves at once what is still out; the ledger keeps what was decided."""
        terminal.cloud.faults.add("latency", CANCEL, seconds=5.0, times=None)
        found, took = signalled(terminal, number, number, typed=f"{JOB}\n", when=lambda: out(terminal))
        eventually(lambda: cancels(terminal) == 1)  # or it would come in the middle of the next test

        assert (1, [(Phase.RUNNING, ME)]) == (found.code, phases(terminal))
        assert "Left at once." in found.err
        assert took < 3


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)


def out(terminal: Terminal) -> bool:
    """Tell whether a call is out."""
    return any(state.run is not None and state.run.out for state in states(terminal))


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path, OneByOne(), ENOS)
    yield made
    made.close()


class TestNotCancelled:
    def test_why(self, yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
        """Devices that moved on, had nothing, or were refused are told with the reason, twenty of each by name."""
        names = tuple(f"pump-{number:03}" for number in range(1, 101))
        yard.fleet.add("J1", names)
        identity = yard.running(CancelDevices(names=(*names, "unheard"), job="J1"))
        yard.fleet.move("J1", names[:2])
        yard.fleet.play = lambda sent: (MOVED, False) if names[60] in sent.names else None
        state = yard.run(identity)
        said = told(state, yard.ledger, capsys)

        assert [
            "not cancelled: pump-001 (call 1, had moved on before its call was sent)",
            "not cancelled: pump-002 (call 1, had moved on before its call was sent)",
            "not cancelled: pump-061 (call 13, failed)",
            "not cancelled: unheard (had nothing that could be cancelled)",
        ] == sorted(line for line in said if line.startswith("not cancelled"))
        assert "confirmed 97, left 1, moved on before their call 2" in said

    def test_many(self, yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
        """Of more than twenty devices with one reason the others are counted."""
        names = tuple(f"pump-{number:03}" for number in range(1, 101))
        yard.fleet.add("J1", names)
        identity = yard.running(CancelDevices(names=names, job="J1"))
        yard.fleet.move("J1", names[:30])
        said = told(yard.run(identity), yard.ledger, capsys)

        assert FEW + 1 == len([line for line in said if line.startswith("not cancelled")])
        assert "not cancelled: 10 more (had moved on before its call was sent)" in said


def told(state: State, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that are printed at the end."""
    capsys.readouterr()
    finished(state, ledger.names, ledger.story(state.id))
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_what_comes_while_it_is_held_comes_afterwards() -> None:
    """A signal breaks nothing off whose result would be lost: it is caught up with, once."""
    interrupts, done = Interrupts(), []
    with interrupts.held():
        interrupts.come()
        done.append("the order has its number")

    with pytest.raises(KeyboardInterrupt):
        interrupts.catch_up()
    interrupts.catch_up()
    with pytest.raises(KeyboardInterrupt):
        interrupts.come()
    assert ["the order has its number"] == done
