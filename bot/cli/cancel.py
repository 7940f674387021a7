"""Cancel from this terminal, when Slack is down: the same preview, plan, policy and ledger as in Slack."""

import argparse
import sys
import threading
from dataclasses import dataclass

from bot.cli.person import person
from bot.cli.shown import TerminalReporter, finished, say, show, what_to_type
from bot.cli.signals import Interrupts, interrupting
from bot.cli.typed import Typed, read_typed
from bot.config import Need, Settings, load
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.cancellation import OPEN, WAITING, Phase, State
from bot.domain.decisions import Refusal
from bot.domain.errors import LedgerError, UsageError
from bot.domain.order import Cancel, CancelJob
from bot.domain.policy import choose_account
from bot.domain.wording import COMMAND, approvals
from bot.engine.directory import TerminalDirectory
from bot.engine.executor import Executor
from bot.engine.intake import Intake
from bot.engine.keeper import Halt, HaltError, Renewer
from bot.engine.presses import Presses
from bot.ledger.ledger import Ordered
from bot.wiring.engine import Engine, build_engine, keep_guards, now, open_ledger
from bot.wiring.logs import set_up


def cancel(given: argparse.Namespace) -> int:
    """Preview, ask for the job's id, cancel, and wait for the end; Ctrl-C, SIGTERM and SIGHUP stop the run."""
    with interrupting() as interrupts:
        return _cancel(given, interrupts)


def _cancel(given: argparse.Namespace, interrupts: Interrupts) -> int:
    typed = read_typed(given.words)
    settings = load(given.config, given.environ, needs=frozenset({Need.CLOUDS}))
    set_up(secrets=settings.secrets, environ=given.environ, verbose=given.verbose)
    halt = Halt()
    engine = build_engine(settings, open_ledger(settings), TerminalDirectory(now=now), halt)
    keep_guards(engine.rooms.ledger, person(), settings)
    renewer = Renewer(engine.rooms)
    renewer.start()
    try:
        return _Session(engine=engine, settings=settings, actor=person(), interrupts=interrupts).handle(typed)
    except KeyboardInterrupt:
        print("Left. What was confirmed stays in the ledger; a running bot brings it to its end.", file=sys.stderr)
        return 1
    finally:
        halt.ask()
        renewer.stop()
        engine.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    engine: Engine
    settings: Settings
    actor: str
    interrupts: Interrupts

    @property
    def intake(self) -> Intake:
        return Intake(self.engine.rooms, TerminalReporter())

    @property
    def presses(self) -> Presses:
        return Presses(self.engine.rooms)

    def handle(self, typed: Typed) -> int:
        order = typed.order
        account = choose_account(self.settings.accounts, order.account, None)
        reason = self.intake.unable(order, account)
        if reason:
            raise UsageError(reason)
        if typed.preview or (isinstance(order, CancelJob) and not order.statuses):
            return self._look(typed, account)
        return self._cancel(order, account)

    def _look(self, typed: Typed, account: Account) -> int:
        """Show what is there, with commands as they are typed here."""
        shown = self.intake.look(self.actor, typed.order, account, channel=None)
        if isinstance(shown, Refusal):
            say(shown.reason)
            return 1
        for line in shown.splitlines():
            to_order = line.startswith("To order it:")
            say(f"To order it: {typed.line}" if to_order else line.replace(f"{COMMAND} ", "ota-bot cancel "))
        return 0

    def _cancel(self, order: Cancel, account: Account) -> int:
        channel = next(iter(account.channels), None)  # where a running bot shows the card
        ordered: Ordered | None = None
        try:
            # Broken off between the order and its number, it would stay open, and a running bot would go on with it.
            with self.interrupts.held():
                ordered = self.intake.order(self.actor, order, account, channel=channel, via="terminal", delivery=None)
            self.interrupts.catch_up()
            starts = self._asked(ordered.id)
        except (EOFError, KeyboardInterrupt):
            if ordered is None:
                raise
            starts = self._left(ordered.id)
        return self._run(ordered.id) if starts else 1

    def _asked(self, cancellation: int) -> bool:
        """Check an order, show what it would do, and ask for all that it needs; returns whether it may start."""
        self.intake.check(cancellation)
        state = self._state(cancellation)
        if state.held is not None:
            typed = input("Type anyway to order it all the same, anything else to leave: ").strip()
            if typed != "anyway" or not self._pressed("order_anyway", cancellation):
                return self._left(cancellation)
            return self._asked(cancellation)
        if state.phase is Phase.REFUSED:
            say(f"You are {self.actor} here; `requesters` of account {state.account} would have to list that.")
        if state.phase is not Phase.WAITING_CONFIRMATION:
            return False
        show(state)
        if not self._typed_id(state, "to cancel them"):
            return self._left(cancellation)
        if not self._pressed("confirm", cancellation):
            return False
        state = self._state(cancellation)
        return self._glass_broken(state) if state.phase is Phase.WAITING_APPROVAL else True

    def _glass_broken(self, state: State) -> bool:
        """Ask somebody who is listed for it whether to go on without the approval that nobody gives at a terminal."""
        say(f"It needs {approvals(state.needs)} ({'; '.join(state.reasons)}). You may go on without, marked for ever.")
        reason = input("Type why it cannot wait for that, nothing to leave: ").strip()
        if not reason or not self._typed_id(state, "once more, to break the glass"):
            return self._left(state.id)
        return self._pressed("break_glass", state.id, reason=reason)

    def _typed_id(self, state: State, to_do: str) -> bool:
        wanted, whose = what_to_type(state)
        return input(f"Type the {whose} id ({wanted}) {to_do}, anything else to leave: ").strip() == wanted

    def _left(self, cancellation: int) -> bool:
        """Take the order back, where it has got so far."""
        state = self._state(cancellation)
        if state.phase in WAITING:
            self._pressed("withdraw", cancellation)
        elif state.held is not None:
            print(f"#{cancellation} is left at that. Nothing was cancelled.")
        elif state.phase is Phase.CHECKING:
            self._void(cancellation)
        elif state.phase in {Phase.APPROVED, Phase.RUNNING}:
            self._pressed("stop", cancellation)
        return False

    def _void(self, cancellation: int) -> None:
        """End an order that is still being checked: a running bot would go on with it."""
        reason = "its asker left while it was being checked"
        done = self.engine.rooms.ledger.decide(
            cancellation, lambda state, now: decisions.void(state, now, reason=reason)
        )
        print(done.reason if isinstance(done, Refusal) else f"#{cancellation} is taken back. Nothing was cancelled.")

    def _pressed(self, button: str, cancellation: int, *, reason: str = "") -> bool:
        done = self.presses.press(button, cancellation, self.actor, None, in_time=lambda: True, reason=reason)
        if isinstance(done, Refusal):
            say(done.reason)
        elif button == "withdraw":
            print(f"#{cancellation} is withdrawn. Nothing was cancelled.")
        elif button == "stop":
            print("Stopping: what is out comes to its end.")
        return not isinstance(done, Refusal)

    def _run(self, cancellation: int) -> int:
        runner = threading.Thread(target=self._work, args=(cancellation,), name="run")
        runner.start()
        try:
            state = self._wait_or_stop(cancellation)
        finally:
            self.engine.halt.ask()
            runner.join()
        ledger = self.engine.rooms.ledger
        finished(state, ledger.names, ledger.story(cancellation))
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
                self._pressed("stop", cancellation)

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
