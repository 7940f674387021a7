"""The life of a cancellation, led at random: people, clocks, restarts, other rules and a cloud's answers in any order.

It never runs without the quorum, never runs twice, and never ends nowhere: the witness says so from the events alone.
More lives than the suite leads, other ones each time: `.venv/bin/python -m tests.domain.test_life 5000`.
"""

import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.domain import decisions, running
from bot.domain.account import Approval
from bot.domain.approval import TERMINAL, lost_standing, remind, standing
from bot.domain.call import Answer
from bot.domain.cancellation import OPEN, REPEATABLE, Phase, State
from bot.domain.decisions import Decision, Refusal
from bot.domain.fates import fates
from bot.domain.offer import CANCEL_JOB
from bot.domain.order import CancelDevices
from bot.domain.policy import Role, fault
from bot.domain.reading import Reading
from bot.domain.run_story import UNREADABLE
from bot.domain.story import told
from bot.ledger.ledger import Ordered
from tests.builders import DONE
from tests.domain.town import ANN, BOB, EVE, FINE, GUS, KIM, LEA, PEOPLE, PROD, Town
from tests.domain.wishes import (
    AT,
    AT_WORK,
    CALLS,
    CHANGES,
    DUSKS,
    MOST,
    PRESSES,
    RULES,
    SAID,
    SCRIPTS,
    STARTED,
    UNKNOWN,
    WHICH,
    WISHES,
    Change,
    Press,
    Wish,
)
from tests.domain.witness import Witness, World
from tests.engine.scene import OPS, nothing


class Lives(RuleBasedStateMachine):
    """Cancellations of several people on one ledger; every rule is something that may happen at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.town = Town(Path(self.folder.name))
        self.town.sky.happens["stop"] = self._stop_the_run
        self.witness = Witness()
        self.ids: list[int] = []
        self.left: set[str] = set()
        """Who has left the company, for now."""
        self.answers: list[tuple[str, int, str]] = []
        """The presses that were taken."""
        self.dusk = FINE
        self.broken = False
        """Whether the witness has seen something that must not be: how it ends does not matter then."""

    @invariant()
    def nothing_happened_that_must_not(self) -> None:
        """Let the witness hear what is new."""
        world = World(accounts=self.town.accounts.copy(), unfit=frozenset({GUS, *self.left}))
        self.broken, unheard = True, self.town.ledger.events(after=self.witness.last)
        for event in unheard:
            self.witness.hear(event, world)
        self.broken = False

    # --- people ----------------------------------------------------------------------------------------------------

    @initialize(rules=RULES, wishes=st.lists(WISHES, min_size=1, max_size=3), dusk=DUSKS)
    def begin(self, rules: Approval, wishes: list[Wish], dusk: str) -> None:
        """Begin with some rules and orders; `dusk` is what the world is like when everything has to end."""
        self.dusk = dusk
        self._set_rules(rules, PROD.approvers)
        for wish in wishes:
            self.order(wish)

    @precondition(lambda self: len(self.ids) < MOST)
    @rule(wish=WISHES)
    def order(self, wish: Wish) -> None:
        """Order, of a job of some size, and go on with it for some steps."""
        self.town.sky.tasks[wish.order.job or ""] = wish.size
        account, via = self.town.accounts[wish.on], TERMINAL if wish.terminal else "slack"
        made = self.town.other().intake.order(wish.who, wish.order, account, channel=OPS, via=via, delivery=None)
        self.ids.append(made.id)
        self._go_on(made.id, wish.steps)

    @rule(
        button=st.sampled_from((*AT, "confirm", "approve")),
        which=WHICH,
        change=CHANGES,
        people=st.permutations(PEOPLE),
        past=st.booleans(),
    )
    def press(self, button: str, which: int, change: Change, people: list[str], past: bool) -> None:
        """Let everybody press a button, one after the other; or, `past` the door, all who have any standing."""
        state = self._one(which, AT[button])
        self._change(change, state)
        for who in people:
            if past:
                self._answer_past_the_door(button, state, who)
            else:
                self._answer(button, state.id, who)

    @rule(one=PRESSES, other=PRESSES)
    def press_at_once(self, one: Press, other: Press) -> None:
        """Press two buttons at once: the second press comes through while the first one's presser is looked up."""
        self.town.crowd.meanwhile = lambda: self._press(other)
        self._press(one)
        self.town.crowd.meanwhile = nothing

    @precondition(lambda self: self.answers)
    @rule(which=st.integers(0, 50))
    def press_again(self, which: int) -> None:
        """Replay a press that was taken before: it changes nothing."""
        assert isinstance(self._answer(*self.answers[which % len(self.answers)]), Refusal)

    @rule(which=WHICH, who=st.sampled_from((ANN, ANN, BOB, EVE)))
    def ask_again(self, which: int, who: str) -> None:
        """Order what is left over."""
        old, process = self._one(which, REPEATABLE), self.town.other()
        made = process.presses.retry(old.id, who, OPS, via="slack", in_time=lambda: True)
        if isinstance(made, Ordered) and not made.repeated:
            self.ids.append(made.id)
            process.intake.check(made.id)

    # --- as it should go -------------------------------------------------------------------------------------------

    @rule(which=WHICH, steps=st.integers(0, 4), change=CHANGES, then=st.integers(0, 3))
    def go_on(self, which: int, steps: int, change: Change, then: int) -> None:
        """Let everybody do what is expected of them, with something between."""
        state = self._one(which, OPEN)
        self._go_on(state.id, steps)
        self._change(change, self._state(state.id))
        self._go_on(state.id, then)

    def _go_on(self, identity: int, steps: int) -> None:
        for _ in range(steps):
            self._take_next(identity)

    def _take_next(self, identity: int) -> None:
        state = self._state(identity)
        match state.phase:
            case Phase.CHECKING if state.held is None:
                self.town.other().intake.check(identity)
            case Phase.CHECKING:
                self._answer("order_anyway", identity, state.requester)
            case Phase.WAITING_CONFIRMATION:
                self._answer("confirm", identity, state.requester)
            case Phase.WAITING_APPROVAL:
                glass = state.via == TERMINAL or identity % 3 == 0
                button = "break_glass" if glass else "approve"
                self._answer(button, identity, _whose(button, state))
            case Phase.APPROVED:
                self._start(state)
            case Phase.RUNNING:
                self._go_on_running(state)
            case _:
                pass

    def _go_on_running(self, state: State) -> None:
        run = state.run
        if run is not None and run.out:
            self._hear(state, run.out[0], run.attempts[run.out[0]].number, DONE)
        elif run is not None and (run.complete or state.stopped_by):
            self._decide(state, running.finish)
        else:
            self._send(state, _next(state))

    # --- the bot, step by step -------------------------------------------------------------------------------------

    @rule(which=WHICH)
    def start(self, which: int) -> None:
        """Start, with the checks of standing that come before it."""
        self._start(self._one(which, OPEN))

    def _start(self, state: State) -> None:
        account = self.town.accounts[state.account]
        voters = [vote.actor for vote in state.votes]
        sights = [self.town.crowd.look(who, OPS, account, within=1) for who in (state.requester, *voters)]
        if lost_standing(state, account, sights) is None:
            begin = partial(running.start, reading=self._seen(state), account=account, evidence=standing(sights))
            self._decide(state, begin)

    @rule(which=WHICH, call=CALLS, answer=st.sampled_from(SAID), change=CHANGES)
    def send(self, which: int, call: int, answer: Answer | None, change: Change) -> None:
        """Send a call, and once more after it was answered, or was not."""
        state = self._one(which, STARTED)
        number = call or _next(state)
        self._send(state, number)
        if answer is not None:
            attempts = run.attempts if (run := self._state(state.id).run) else {}
            self._hear(state, number, attempts[number].number if number in attempts else 1, answer)
        self._change(change, state)
        self._send(state, number)

    def _send(self, state: State, call: int) -> None:
        action, count = _of(state, call)
        self._decide(state, lambda at, now: running.send(at, now, call=call, action=action, count=count))

    @rule(which=WHICH, call=CALLS, attempt=CALLS, answer=st.sampled_from(SAID[1:]), read=st.booleans())
    def hear(self, which: int, call: int, attempt: int, answer: Answer, read: bool) -> None:
        """Hear what became of a call, from the cloud itself or from a look at it; it may be said late, or twice."""
        state = self._one(which, STARTED)
        attempts = state.run.attempts if state.run else {}
        number = call or next(iter(attempts), 1)
        latest = attempts[number].number if number in attempts else 1
        self._hear(state, number, attempt or latest, answer, seen=self._seen(state) if read else None)

    def _hear(self, state: State, call: int, attempt: int, answer: Answer, *, seen: Reading | None = None) -> None:
        self._decide(
            state,
            lambda at, now: running.record_answer(
                at, now, call=call, attempt=attempt, action=_of(state, call)[0], answer=answer, seen=seen
            ),
        )

    @rule(which=WHICH, step=st.sampled_from(("verify", "finish", "expire", "remind")))
    def step(self, which: int, step: str) -> None:
        """Take another of the bot's steps, whether or not it is time for it."""
        state = self._one(which, OPEN)
        seen = self._seen(state)
        steps: dict[str, Decision] = {
            "verify": lambda at, now: running.verify(at, now, reading=seen),
            "finish": running.finish,
            "expire": decisions.expire,
            "remind": remind,
        }
        self._decide(state, steps[step])

    # --- the bot, as it goes by itself -----------------------------------------------------------------------------

    @rule(which=WHICH, script=SCRIPTS)
    def run(self, which: int, script: list[str]) -> None:
        """Bring a cancellation as far as it goes; meanwhile anything may happen, and the process may be killed."""
        self.town.bring_on(self._one(which, AT_WORK), script)

    @rule()
    def keep(self) -> None:
        """Do what is due."""
        self.town.keep()

    # --- the world -------------------------------------------------------------------------------------------------

    @rule(which=WHICH, change=CHANGES)
    def change(self, which: int, change: Change) -> None:
        """Let the world become another; some changes are made for one cancellation."""
        self._change(change, self._one(which, OPEN))

    def _change(self, change: Change, state: State) -> None:
        self.nothing_happened_that_must_not()  # what has happened so far has happened in the world that was
        what, how = change
        match what:
            case "wait":
                self.town.clock.turn(how)
            case "wait until":
                now = self.town.clock.now()
                self.town.clock.turn(max(0, ((state.deadline or now) - now).total_seconds() + how))
            case "size":
                self.town.sky.tasks[state.order.job or ""] = how
            case "rules":
                self._set_rules(*how)
            case "place":
                place = {"endpoint": PROD.endpoint, "key_id": PROD.key_id, **how}
                self.town.reconfigure({"prod": replace(self.town.accounts["prod"], **place)})
            case "leave":
                voted = [vote.actor for vote in state.votes]
                self._leave({"requester": state.requester, "approver": voted[0] if voted else LEA}.get(how, how))
            case _:
                pass

    def _set_rules(self, rules: Approval, approvers: tuple[str, ...]) -> None:
        accounts = self.town.accounts.items()
        self.town.reconfigure(
            {name: replace(account, approval=rules, approvers=approvers) for name, account in accounts}
        )

    def _leave(self, who: str | None) -> None:
        """Let somebody lose their standing, and whoever had lost it have it again."""
        self.left = {who} if who else set()
        self.town.crowd.changes = {GUS: {"guest": True}} | {one: {"deactivated": True} for one in self.left}

    @rule()
    def restart(self) -> None:
        """Kill a process, and start another: what it finds is the fold of the events."""
        self.town.kill(self.town.other())
        for identity in self.ids:
            assert self.town.processes[0].rooms.ledger.state(identity) == self.town.ledger.rebuilt(identity)
            assert self.town.ledger.honest(identity)

    def teardown(self) -> None:
        """Let the bot go on by itself, in a world of some kind: everything ends, and nothing is left to do."""
        try:
            if not self.broken:
                self._end()
        finally:
            self.town.close()
            self.folder.cleanup()

    def _end(self) -> None:
        self.town.sky.always = self.dusk
        self.town.crowd.silent = 1_000_000 if self.dusk == UNKNOWN else 0
        for seconds in (0, 60, *[7200] * 6):
            self.town.clock.turn(seconds)
            for state in self.town.ledger.at_work():
                self.town.bring_on(state)
            self.town.keep()
        self.nothing_happened_that_must_not()
        assert [] == self.town.ledger.due()
        assert [] == [identity for identity, life in self.witness.lives.items() if not life.ended]
        self.town.ledger.verify()
        for identity in self.ids:
            story = self.town.ledger.story(identity)
            assert [] == [line for line in told(story) if line.text == UNREADABLE]
            devices = [fate.device for fate in fates(self._state(identity), self.town.ledger.names, story)]
            assert sorted({*devices}) == devices

    # --- how it is done --------------------------------------------------------------------------------------------

    def _state(self, identity: int) -> State:
        state = self.town.ledger.state(identity)
        assert state is not None
        return state

    def _seen(self, state: State) -> Reading:
        return self.town.sky.reading(state.order.job or "", named=isinstance(state.order, CancelDevices))

    def _one(self, which: int, phases: Iterable[Phase]) -> State:
        """Return a cancellation in one of these phases, the newest first; where there is none, any other."""
        states = [self._state(identity) for identity in reversed(self.ids)]
        fit = [state for state in states if state.phase in phases] or states
        return fit[which % len(fit)]

    def _press(self, press: Press) -> None:
        button, which, who = press
        state = self._one(which, AT[button])
        self._answer(button, state.id, who or _whose(button, state))

    def _answer(self, button: str, identity: int, who: str) -> State | Refusal:
        made = self.town.other().presses.press(button, identity, who, OPS, in_time=lambda: True, reason="because")
        if isinstance(made, State):
            self.answers.append((button, identity, who))
        return made

    def _answer_past_the_door(self, button: str, state: State, who: str) -> None:
        """Press without the look at who may press what: the decision holds by itself, but for standing as such."""
        account, presses = self.town.accounts[state.account], self.town.other().presses
        sight = self.town.crowd.look(who, OPS, account, within=1)
        if fault(sight, account, Role.APPROVE if button in {"approve", "reject"} else Role.REQUEST) is None:
            self.town.ledger.decide(state.id, presses._decisions(who, account, sight, "because")[button])

    def _decide(self, state: State, decision: Decision) -> None:
        self.town.other().rooms.ledger.decide(state.id, decision)

    def _stop_the_run(self) -> None:
        self._answer("stop", self.town.running, LEA)


def _whose(button: str, state: State) -> str:
    """Return who should press a button."""
    if button == "stop":
        return LEA
    if button in {"approve", "reject"}:
        voted = {state.requester, *(vote.actor for vote in state.votes)}
        return next(who for who in (LEA, KIM, BOB, ANN, EVE) if who not in voted)
    return state.requester


def _of(state: State, call: int) -> tuple[str, int]:
    """Return the operation of a call, and the devices that are sent in it."""
    if state.plan is None or state.run is None or not 1 <= call <= state.run.calls:
        return "none", 0
    its = state.run.call(state.plan, call)
    most = 1 if state.plan.at_most is None else min(1, state.plan.at_most)
    return its.step.action, len(its.at) or most * (its.step.action == CANCEL_JOB)


def _next(state: State) -> int:
    """Return the first call of which nothing is known to be done."""
    run = state.run
    return next((call for call in range(1, run.calls + 1) if not run.is_settled(call)), 1) if run else 1


SUITE: Final = settings(
    max_examples=100,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[*HealthCheck],
)


def test_lives() -> None:
    """Whatever happens, nothing runs without the quorum or twice, and everything ends."""
    run_state_machine_as_test(Lives, settings=SUITE)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run_state_machine_as_test(Lives, settings=settings(SUITE, max_examples=int(sys.argv[1]), derandomize=False))
