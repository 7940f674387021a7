"""`ota-bot cancel` where a second person would be needed, where the order is a repeat, and where the guard changed."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.events import Event
from tests.cli.stage import CANCEL, COUNTS, JOB, ME, Ended, Terminal, ended
from tests.cli.test_cancel import ORDER, cancels, ledger, untouched

LISTED: Final = f'approval = {{ above = 58, break_glass = ["{ME}"] }}\n'
WHY: Final = "the plant floods"
REASONS: Final = "up to 59 devices are more than 58"


def states(terminal: Terminal) -> list[State]:
    """Return the cancellations, the oldest first; the chain must hold."""
    with ledger(terminal) as opened:
        opened.verify()
        return [state for state in map(opened.state, range(1, 4)) if state is not None]


def events(terminal: Terminal, *kinds: str) -> list[Event]:
    with ledger(terminal) as opened:
        return [event for event in opened.events(after=0) if event.kind in kinds]


@contextmanager
def waiting(terminal: Terminal, order: str, *typed: str, phase: Phase) -> Iterator[list[Ended]]:
    """Have an order at another terminal come so far; in the end Ctrl-C is pressed there, and the list holds its end."""
    process = terminal.start("cancel", *order.split(), "--config", str(terminal.config))
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in typed))
    process.stdin.flush()
    until(lambda: terminal.ledger.exists() and phase in [state.phase for state in states(terminal)])
    found: list[Ended] = []
    try:
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        found.append(ended(process))


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestBreakGlass:
    def test_not_listed(self, terminal: Terminal) -> None:
        """Who is not listed is told at once that nobody approves at a terminal, why it is needed, and what to do."""
        terminal.configure(more="approval = { above = 58 }\n")
        found = terminal.cancel(ORDER, typed=f"{JOB}\n{WHY}\n{JOB}\n")

        assert (1, [Phase.VOIDED]) == (found.code, [state.phase for state in states(terminal)])
        assert (
            f"This needs approval ({REASONS}), and nobody approves what is ordered at a terminal. Order it in Slack, or"
            f" have {ME} listed in break_glass of account pumps. Nothing was changed."
        ) in found.out
        assert "Type" not in found.out
        assert untouched(terminal)

    def test_listed(self, terminal: Terminal) -> None:
        """Who is listed types why, and the job's id twice: it runs, marked with the reason for ever."""
        terminal.configure(more=LISTED)
        found = terminal.cancel(ORDER, typed=f"{JOB}\n  {WHY} \n{JOB}\n")
        (kept,) = states(terminal)
        (mark,) = events(terminal, "broke_glass")

        assert 0 == found.code, found
        assert (Phase.DONE, 1, 1) == (kept.phase, kept.needs, cancels(terminal))
        assert (ME, WHY, kept.digest) == (mark.actor, mark.body["reason"], mark.body["plan"])
        assert kept.broke_glass is not None
        assert (ME, WHY) == (kept.broke_glass.actor, kept.broke_glass.reason)
        assert [] == [
            text
            for text in (
                f"approval       needs a second person's approval: {REASONS}",
                f"Type the job's id ({JOB}) to cancel them, anything else to leave: ",
                f"It needs a second person's approval ({REASONS}). You may go on without, marked for ever.",
                "Type why it cannot wait for that, nothing to leave: ",
                f"Type the job's id ({JOB}) once more, to break the glass, anything else to leave: ",
                "#1: Done.",
            )
            if text not in found.out
        ]

    @pytest.mark.parametrize(
        "typed",
        [
            f"{JOB}\n\n",
            f"{JOB}\n   \n{JOB}\n",
            f"{JOB}\n{WHY}\n\n",
            f"{JOB}\n{WHY}\n{JOB.lower()}\n",
            f"{JOB}\n{WHY}\n",
            f"{JOB}\n",
            "no\n",
        ],
        ids=["no-reason", "blank", "no-id", "another-id", "end-at-the-id", "end-at-the-reason", "no"],
    )
    def test_left(self, terminal: Terminal, typed: str) -> None:
        """Without a reason, or without the id once more, it is withdrawn, and nothing is cancelled."""
        terminal.configure(more=LISTED)
        found = terminal.cancel(ORDER, typed=typed)

        assert (1, [Phase.WITHDRAWN]) == (found.code, [state.phase for state in states(terminal)])
        assert "#1 is withdrawn. Nothing was cancelled." in found.out
        assert (True, []) == (untouched(terminal), events(terminal, "broke_glass", "started"))

    def test_interrupt_at_the_reason(self, terminal: Terminal) -> None:
        """Ctrl-C where the reason is asked for withdraws it."""
        terminal.configure(more=LISTED)
        with waiting(terminal, ORDER, JOB, phase=Phase.WAITING_APPROVAL) as found:
            pass

        assert (1, [Phase.WITHDRAWN]) == (found[0].code, [state.phase for state in states(terminal)])
        assert untouched(terminal)

    def test_below_the_limit(self, terminal: Terminal) -> None:
        """What one may cancel alone asks for no reason and carries no mark."""
        terminal.configure(more=LISTED.replace("58", "59"))
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")
        (kept,) = states(terminal)

        assert (0, Phase.DONE, None) == (found.code, kept.phase, kept.broke_glass)
        assert "break the glass" not in found.out

    def test_in_two_parts(self, terminal: Terminal) -> None:
        """Splitting an order does not help: what one ran alone lately counts."""
        terminal.configure(more="approval = { above = 60 }\n")
        first = terminal.cancel(f"job {JOB} notified", typed=f"{JOB}\n")
        second = terminal.cancel(f"job {JOB} queued", typed=f"{JOB}\n")

        assert (0, 1) == (first.code, second.code), second
        assert "run alone lately are more than 60" in second.out
        assert 1 == cancels(terminal)


class TestHeld:
    def test_anyway(self, terminal: Terminal) -> None:
        """A repeat of an open order is told which and whose; with `anyway` and the id it runs like any other."""
        with waiting(terminal, ORDER, phase=Phase.WAITING_CONFIRMATION):
            found = terminal.cancel(f"job {JOB} queued because I mean it", typed=f"anyway\n{JOB}\n")

        assert 0 == found.code, found
        assert (
            f"#2: already #1 by {ME}: the queued and notified tasks of job {JOB} on pumps, Waiting for confirmation."
        ) in found.out
        assert "Type anyway to order it all the same, anything else to leave: " in found.out
        assert [Phase.WITHDRAWN, Phase.DONE] == [state.phase for state in states(terminal)]
        assert [(ME, 2)] == [(event.actor, event.cancellation) for event in events(terminal, "ordered_anyway")]

    @pytest.mark.parametrize("typed", ["\n", f"{JOB}\n", "ANYWAY?\n", ""])
    def test_left(self, terminal: Terminal, typed: str) -> None:
        """Anything else leaves it at that: nothing is asked and nothing cancelled."""
        with waiting(terminal, ORDER, phase=Phase.WAITING_CONFIRMATION):
            found = terminal.cancel(ORDER, typed=typed)

        assert 1 == found.code
        assert "#2 is left at that. Nothing was cancelled." in found.out
        assert "Type the job's id" not in found.out
        assert (True, []) == (untouched(terminal), events(terminal, "ordered_anyway", "confirmed"))

    def test_another_job(self, terminal: Terminal) -> None:
        """An order for another job is none like it."""
        terminal.cloud.fleet.add_job("other", counts={"QUEUED": 1})
        with waiting(terminal, ORDER, phase=Phase.WAITING_CONFIRMATION):
            found = terminal.cancel("job other queued", typed="other\n")

        assert (0, False) == (found.code, "already #1" in found.out)


class TestGuard:
    def test_changed(self, terminal: Terminal) -> None:
        """A guard that is lowered and then used at a terminal is an event of whoever sits there, before the order."""
        terminal.configure(more="approval = { above = 58 }\n")
        terminal.cancel(ORDER)
        terminal.configure(more="approval = { above = 1000 }\n")
        terminal.cancel(ORDER, typed=f"{JOB}\n")
        (change,) = events(terminal, "guard_changed")

        assert (ME, "pumps", 58, 1000) == (
            change.actor,
            change.body["account"],
            change.body["before"]["above"],
            change.body["after"]["above"],
        )
        assert change.id < min(event.id for event in events(terminal, "confirmed"))
        assert {"CANCELED": 52, "CONFIRM": 7, "IN_PROGRESS": 5} == dict(terminal.cloud.fleet.counts(JOB))

    def test_not_changed(self, terminal: Terminal) -> None:
        """The first start, and the same guard again, are no change."""
        for _ in range(2):
            terminal.cancel(f"preview {ORDER}")

        assert [] == events(terminal, "guard_changed")
        assert [] == [arrival for arrival in terminal.cloud.arrivals if arrival.action == CANCEL]
        assert COUNTS == dict(terminal.cloud.fleet.counts(JOB))
