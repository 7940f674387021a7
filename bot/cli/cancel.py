"""Cancel from this terminal, when Slack is down: the same preview, plan, policy and ledger as in Slack."""

import argparse
import os
import pwd
import sys
import threading
from dataclasses import dataclass

from bot.config import Need, Settings, load
from bot.domain.account import Account
from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.command import parse
from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError, UsageError
from bot.domain.order import AskPreview, Cancel, CancelJob
from bot.domain.policy import choose_account
from bot.domain.wording import counts_line, job_line, now_at_most, number, seconds
from bot.engine.directory import TERMINAL, TerminalDirectory
from bot.engine.executor import Executor
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, HaltError, Renewer
from bot.wiring import Engine, build_engine, now, open_ledger
from bot.wiring.logs import set_up


class TerminalReporter:
    """Tells the person at this terminal."""

    def tell(self, state: State, text: str) -> None:
        """Print it."""
        print(f"#{state.id}: {text}")


def cancel(given: argparse.Namespace) -> int:
    """Preview, ask for the job's id, cancel, and wait for the end; Ctrl-C stops the run."""
    order = _order(given.words)
    settings = load(given.config, given.environ, needs=frozenset({Need.CLOUDS}))
    set_up(secrets=settings.secrets, verbose=given.verbose)
    halt = Halt()
    engine = build_engine(settings, open_ledger(settings), TerminalDirectory(now=now), halt)
    renewer = Renewer(engine.rooms)
    renewer.start()
    try:
        return _Session(engine=engine, settings=settings, actor=_actor()).handle(order)
    except KeyboardInterrupt:
        print(
            "\nLeft at once. What was confirmed stays in the ledger; a running bot brings it to its end.",
            file=sys.stderr,
        )
        return 1
    finally:
        halt.ask()
        renewer.stop()
        engine.close()


def _order(words: list[str]) -> CancelJob | AskPreview:
    order = parse(" ".join(words))
    inner: object = order.order if isinstance(order, AskPreview) else order
    if isinstance(inner, CancelJob) and isinstance(order, CancelJob | AskPreview):
        return order
    raise UsageError(f"“{order.verb}” is not yet to be had from the terminal; `job` and `preview job` are.")


def _actor() -> str:
    """Return who sits here, by the real user id: su and sudo -u change it, an environment variable does not."""
    try:
        return f"{TERMINAL}{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run as a number that has no name
        return f"{TERMINAL}{os.getuid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    engine: Engine
    settings: Settings
    actor: str

    @property
    def intake(self) -> Intake:
        return Intake(self.engine.rooms, TerminalReporter())

    def handle(self, order: CancelJob | AskPreview) -> int:
        inner: Cancel = order.order if isinstance(order, AskPreview) else order
        account = choose_account(self.settings.accounts, inner.account, None)
        reason = self.intake.not_yet(inner, account)
        if reason or not isinstance(inner, CancelJob):
            raise UsageError(reason or "")
        if isinstance(order, AskPreview) or not inner.statuses:
            print(self.intake.look(self.actor, inner, account, channel=None))
            return 0
        return self._cancel(inner, account)

    def _cancel(self, order: CancelJob, account: Account) -> int:
        channel = next(iter(account.channels), None)  # where a running bot shows the card
        ordered = self.intake.order(self.actor, order, account, channel=channel, via="terminal", delivery=None)
        self.intake.check(ordered.id)
        state = self._state(ordered.id)
        if state.phase is Phase.REFUSED:
            print(f"You are {self.actor} here; `requesters` of account {account.name} would have to list that.")
        if state.phase is not Phase.WAITING_CONFIRMATION:
            return 1
        _show(state)
        if not self._confirmed(state, order):
            return 1
        return self._run(ordered.id)

    def _confirmed(self, state: State, order: CancelJob) -> bool:
        try:
            typed = input(f"Type the job's id ({order.job}) to cancel them, anything else to leave: ").strip()
        except (EOFError, KeyboardInterrupt):
            typed = ""
        button = "confirm" if typed == order.job else "withdraw"
        done = self.intake.press(button, state.id, self.actor, None, in_time=lambda: True)
        if isinstance(done, Refusal):
            print(done.reason)
        elif button == "withdraw":
            print(f"#{state.id} is withdrawn. Nothing was cancelled.")
        return button == "confirm" and not isinstance(done, Refusal)

    def _run(self, cancellation: int) -> int:
        runner = threading.Thread(target=self._work, args=(cancellation,), name="run")
        runner.start()
        try:
            state = self._wait_or_stop(cancellation)
        finally:
            self.engine.halt.ask()
            runner.join()
        _finished(state)
        return 0 if state.phase is Phase.DONE else 1

    def _work(self, cancellation: int) -> None:
        executor = Executor(self.engine.rooms)
        try:
            # A bot that runs on the same ledger may have taken it up first; then this waits for its lease.
            while self._state(cancellation).phase in OPEN:
                try:
                    executor.run(cancellation)
                except LedgerError as error:
                    print(f"{error} Trying again.", file=sys.stderr)
                self.engine.rooms.sleep(0.5)
        except (HaltError, LedgerError):
            return

    def _wait_or_stop(self, cancellation: int) -> State:
        while True:
            try:
                return self._wait(cancellation)
            except KeyboardInterrupt:
                done = self.intake.press("stop", cancellation, self.actor, None, in_time=lambda: True)
                print(done.reason if isinstance(done, Refusal) else "Stopping: what is out comes to its end.")

    def _wait(self, cancellation: int) -> State:
        shown = ""
        while True:
            state = self._state(cancellation)
            if state.phase.value != shown:
                shown = state.phase.value
                print(shown, file=sys.stderr)
            if state.phase not in OPEN:
                return state
            self.engine.rooms.sleep(0.1)

    def _state(self, cancellation: int) -> State:
        state = self.engine.rooms.ledger.state(cancellation)
        if state is None:
            raise LedgerError(f"There is no cancellation #{cancellation}.")
        return state


def _show(state: State) -> None:
    if state.preview is None or state.plan is None:
        return
    print(f"#{state.id} on {state.account}: {job_line(state.preview)}")
    print(f"  would cancel   {', '.join(state.plan.statuses)}: {now_at_most(state.size, state.plan.at_most)}")
    print(f"  all its tasks  {counts_line(state.preview)}")
    print(f"  operation      {state.plan.operation}, about {seconds(state.estimate or 1)}")
    print(f"  why            {state.order.reason or 'no reason given'}")
    print(f"  plan           {(state.digest or '')[:12]}")


def _finished(state: State) -> None:
    run = state.run
    print(f"#{state.id}: {state.phase.value}.{f' {state.why}' if state.why else ''}")
    if run is not None:
        confirmed = "not seen yet" if run.confirmed is None else number(run.confirmed)
        print(f"  asked {number(run.asked)}, accepted {number(run.accepted)}")
        print(f"  confirmed {confirmed}, left {number(run.left)}")
