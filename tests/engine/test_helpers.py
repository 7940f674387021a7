"""Threads of several large runs: as many as their common rate needs, and nobody without one."""

import threading
from typing import Final

from bot.domain.account import Qps
from bot.domain.cancellation import Phase
from bot.domain.order import CancelDevices
from tests.engine.yard import Yard, Yards

HELPERS: Final = 4
"""What an account of one call a second has for all its runs."""
RUNS: Final = 3
NAMES: Final = tuple(f"pump-{number:02}" for number in range(40))


def large(yards: Yards, runs: int) -> tuple[Yard, list[int]]:
    """Return a yard with runs of forty calls each that are confirmed."""
    yard = yards(names_per_call=1, qps=Qps(job=1, devices=1, strategy=1, query=10))
    for number in range(runs):
        yard.fleet.add(f"J{number}", NAMES)
    return yard, [yard.running(CancelDevices(names=NAMES, job=f"J{number}")) for number in range(runs)]


def test_runs_of_an_account_share_their_helpers(yards: Yards) -> None:
    """However many large runs there are, no more calls are out at once than one a run and the account's helpers."""
    yard, runs = large(yards, RUNS)
    together, lock = threading.Barrier(RUNS + HELPERS), threading.Lock()
    most, out, entered = 0, 0, 0

    def begin() -> None:
        nonlocal most, out, entered
        with lock:
            out, entered = out + 1, entered + 1
            most, first = max(most, out), entered <= RUNS + HELPERS
        if first:
            together.wait(20)

    def end() -> None:
        nonlocal out
        with lock:
            out -= 1

    yard.one.cloud.sending, yard.one.cloud.sent = begin, end
    threads = [threading.Thread(target=yard.one.executor.run, args=(number,)) for number in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [Phase.DONE] * RUNS == [yard.state(number).phase for number in runs]
    assert RUNS + HELPERS == most
    assert [HELPERS] == [spare._value for spare in yard.one.executor._spare.values()]


def test_a_run_without_helpers_gets_them_later(yards: Yards) -> None:
    """A run that begins while others have all the helpers sends by itself, and gets them when the others end."""
    yard, (run,) = large(yards, 1)
    (spare,) = yard.one.executor._spare.values()
    for _ in range(HELPERS):
        spare.acquire()
    together = threading.Barrier(1 + HELPERS)

    def meet() -> None:
        if len(yard.fleet.sent) == 1:
            spare.release(HELPERS)
        elif len(yard.fleet.sent) <= 2 + HELPERS:
            together.wait(20)

    yard.one.cloud.sent = meet
    state = yard.run(run)

    assert (Phase.DONE, 1 + HELPERS) == (state.phase, len({sent.thread for sent in yard.fleet.sent}))
