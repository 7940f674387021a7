"""What must hold once a soak has come to rest: the clouds, the ledger and the channel are held against each other."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from bot.domain.call import Outcome, holds
from bot.domain.cancellation import OPEN, REPEATABLE, WAITING, Phase, State
from bot.domain.errors import TamperedError
from bot.domain.events import Event
from bot.domain.fold import apply
from bot.domain.offer import CANCEL_JOB, CANCEL_STRATEGY
from bot.ledger.ledger import Ledger
from bot.playground.world import OPS
from bot.slack.card import figures
from tests.crash.town import ABOVE, APPROVERS, Town

NOTE: Final = "An earlier card of this may lie above"
STORED_AS: Final = {"confirm": "confirmed", "withdraw": "withdrawn", "approve": "approved", "stop": "stopped"}
TAKEN_IN: Final = {
    "confirm": {Phase.WAITING_CONFIRMATION},
    "withdraw": WAITING,
    "approve": {Phase.WAITING_APPROVAL},
    "stop": {Phase.APPROVED, Phase.RUNNING},
}
ALL: Final = 10**9
"""More events than any soak makes; a ledger gives a page of them else."""
TOLD_WITHIN: Final = 20.0
"""Seconds in which somebody hears why their press was not taken."""
KILLED_WITHIN: Final = 12.0
"""Seconds after a press in which a kill may have taken that answer with it."""


class Verdict:
    """Holds a town against what must be so; `kills` are the times (Unix seconds) at which a bot was ended."""

    def __init__(self, town: Town, ledger: Ledger, kills: list[float]) -> None:
        self._town = town
        self._ledger = ledger
        self._kills = kills
        events = ledger.events(after=0, most=ALL)
        numbers = sorted({event.cancellation for event in events if event.cancellation is not None})
        self.states: dict[int, State] = {one: state for one in numbers if (state := ledger.state(one)) is not None}
        self.stories: dict[int, list[Event]] = {one: list(ledger.story(one)) for one in numbers}
        self.unknown = 0
        """Devices cancelled by calls of which the card says that nobody knows what came of them."""
        self.extra = 0
        """Cards more than there are cancellations."""

    def violations(self) -> list[str]:
        """Return everything that is not as it must be, each with what to look at."""
        found = [*self._orders(), *self._presses(), *self._devices(), *self._cards(), *self._chain()]
        for state in self.states.values():
            found += [f"#{state.id} ({state.order.job}): {fault}" for fault in self._one(state)]
        return found

    def _chain(self) -> Iterator[str]:
        try:
            self._ledger.verify()
        except TamperedError as error:
            yield f"audit verify: {error}"

    # --- orders and presses ------------------------------------------------------------------------------------

    def _orders(self) -> Iterator[str]:
        for one in self._town.book.acked:
            if one.number is not None:
                state = self.states.get(one.number)
                if state is None or (state.requester, state.order.job) != (one.user, one.job):
                    yield f"lost: #{one.number} of {one.user} on {one.job} was acknowledged and is not in the ledger"
            elif not any((state.requester, state.order.job) == (one.user, one.job) for state in self.states.values()):
                yield f"lost: the form of {one.user} on {one.job} was taken and is not in the ledger"

    def _presses(self) -> Iterator[str]:
        for press in self._town.book.pressed:
            if press.button not in STORED_AS or press.number not in self.stories:
                continue
            story = self.stories[press.number]
            if any(event.actor == press.user and event.kind in {STORED_AS[press.button], "refused"} for event in story):
                continue
            allowed = self._phase_at(press.number, press.at + 3) in TAKEN_IN[press.button]
            told = any(
                press.at <= float(one.ts) <= press.at + TOLD_WITHIN for one in self._town.slack.ephemerals(press.user)
            )
            killed = any(press.at - 1 < at < press.at + KILLED_WITHIN for at in self._kills)
            if allowed and not told and not killed:
                what = f"{press.user}'s {press.button} at {press.at:.1f}"
                yield f"#{press.number}: {what} was acknowledged and left no trace"

    def _phase_at(self, number: int, at: float) -> Phase | None:
        """Return the phase that the events up to a time have led to."""
        state = None
        for event in self.stories[number]:
            if event.at.timestamp() <= at:
                state = apply(state, event)
        return state.phase if state else None

    # --- one cancellation --------------------------------------------------------------------------------------

    def _one(self, state: State) -> Iterator[str]:
        story = self.stories[state.id]
        kinds = Counter(event.kind for event in story)
        deadline = state.deadline
        waits = state.phase in WAITING or (state.phase is Phase.CHECKING and state.held is not None)
        if state.phase in OPEN and not (waits and deadline is not None and deadline.timestamp() > time.time()):
            yield f"it stays {state.phase}"
        if state.ended is not None and state.run is None and not (state.why or state.ended_by):
            yield f"it is {state.phase}, and nothing says why"
        if max(kinds["started"], kinds["finished"], kinds["confirmed"]) > 1:
            yield "it was confirmed, started or finished twice"
        yield from self._agreed(state, story)
        yield from self._sent_again(story)

    def _agreed(self, state: State, story: list[Event]) -> Iterator[str]:
        started = next((event.id for event in story if event.kind == "started"), None)
        if started is None:
            if any(event.kind == "call_sent" for event in story):
                yield "calls were sent without a start"
            return
        before = [event for event in story if event.id < started]
        if not any(event.kind == "confirmed" and event.actor == state.requester for event in before):
            yield "it ran and its requester never confirmed it"
        voters = {event.actor for event in before if event.kind == "approved"} & set(APPROVERS) - {state.requester}
        devices = sum(step.count for step in state.plan.steps) if state.plan else 0
        large = devices > ABOVE or (state.run is not None and (state.run.asked or 0) > ABOVE) or state.needs > 0
        if large and not voters:
            yield "it ran without the approval that it needed"

    def _sent_again(self, story: list[Event]) -> Iterator[str]:
        finished = set[int]()
        for event in story:
            if event.kind == "call_sent" and event.body["call"] in finished:
                yield f"call {event.body['call']} was sent after it was finished (event {event.id})"
            if event.kind == "call_finished" and event.body["outcome"] == "done":
                if event.body["call"] in finished:
                    yield f"call {event.body['call']} was finished twice (event {event.id})"
                finished.add(event.body["call"])

    # --- the clouds --------------------------------------------------------------------------------------------

    def _devices(self) -> Iterator[str]:
        for account in ("pumps", "lamps", "wind"):
            cloud = self._town.on(account)
            of_account = [state for state in self.states.values() if state.account == account]
            arrived = Counter(
                one.params.get("JobId") or one.params.get("jobId")
                for one in cloud.arrivals
                if one.action.lower().startswith("cancel")
            )
            ids = Counter(one.request_id for one in cloud.arrivals if one.executed)
            for job in {state.order.job for state in of_account if state.order.job}:
                these = [state for state in of_account if state.order.job == job]
                sent = sum(event.kind == "call_sent" for state in these for event in self.stories[state.id])
                if arrived[job] > sent:
                    yield f"{account}, {job}: {arrived[job]} calls came in, {sent} were recorded as sent"
                yield from self._hit(account, job, these)
            for state in of_account:
                for event in self.stories[state.id]:
                    body = event.body
                    answered = event.kind == "call_finished" and body["outcome"] == "done" and not body.get("by")
                    if answered and ids[body["request_id"]] != 1:
                        what = f"call {body['call']} ({body['request_id']})"
                        yield f"#{state.id}: {what} is done, and not once at the cloud"

    def _hit(self, account: str, job: str, states: list[State]) -> Iterator[str]:
        fleet = self._town.on(account).fleet
        hits = fleet.canceled(job)
        done, sent = set[str](), set[str]()
        for state in states:
            for number, sendings in self._sendings(state).items():
                left_out = frozenset(sendings[-1].body.get("left_out", []))
                sent |= self._names(state, number, hits)
                if state.run is not None and holds(state.run.done, number):
                    done |= self._names(state, number, hits, left_out)
        self.unknown += len(set(hits) - done)
        facts = {
            "hit twice": {name for name, times in hits.items() if times > 1},
            "not cancelled although their call is done": done - set(hits),
            "cancelled without a call that was sent": set(hits) - sent,
            "cancelled, and their call is neither done nor is it said that nobody knows": set(hits)
            - done
            - self._unsure(states, hits),
        }
        yield from (f"{account}, {job}: {fault}: {sorted(these)[:5]}" for fault, these in facts.items() if these)
        stopped = any(
            event.body["action"] == CANCEL_STRATEGY
            for state in states
            for event in self.stories[state.id]
            if event.kind == "call_sent"
        )
        if fleet.job(job).status == "CANCELED" and not stopped:
            yield f"{account}, {job}: its strategy was stopped, and no call for that was sent"

    def _unsure(self, states: list[State], hits: Counter[str]) -> set[str]:
        """Return the devices of calls that ended unknown, and those that later attempts left out as cancelled."""
        found = set[str]()
        for state in states:
            for number, sendings in self._sendings(state).items():
                attempt = state.run.attempts.get(number) if state.run else None
                names = self._names(state, number, hits)
                left_out = frozenset(sendings[-1].body.get("left_out", []))
                found |= names - self._names(state, number, hits, left_out)
                settled = state.run is not None and state.run.is_settled(number)  # done, skipped or split
                if settled or (attempt is not None and attempt.outcome is Outcome.UNKNOWN):
                    found |= names
        return found

    def _sendings(self, state: State) -> dict[int, list[Event]]:
        """Return the sendings of each call."""
        found: dict[int, list[Event]] = {}
        for event in self.stories[state.id]:
            if event.kind == "call_sent":
                found.setdefault(event.body["call"], []).append(event)
        return found

    def _names(self, state: State, number: int, hits: Counter[str], out: frozenset[int] = frozenset()) -> set[str]:
        """Return the devices of a call; of one by job, those that waited when it was ordered."""
        if state.run is None or state.plan is None:
            return set()
        call = state.run.call(state.plan, number)
        if call.step.names is not None:
            names = self._ledger.names(call.step.names)
            return {names[position] for position in call.at if position not in out}
        if call.step.action != CANCEL_JOB:
            return set()
        fleet = self._town.on(state.account).fleet
        waiting = {status.value.upper() for status in state.plan.statuses}
        still = {name for status in waiting for name in fleet.devices(state.order.job or "", status)}
        return still | set(hits)

    # --- the channel -------------------------------------------------------------------------------------------

    def _cards(self) -> Iterator[str]:
        slack = self._town.slack
        posted = [one for one in slack.messages(OPS) if "cancellation #" in one.text and not one.thread_ts]
        for state in self.states.values():
            mine = [one for one in posted if f"cancellation #{state.id} of" in one.text]
            self.extra += max(0, len(mine) - 1)
            if not state.has_card:
                if mine:
                    yield f"#{state.id}: it has a card and should have none"
                continue
            row = self._ledger.outbox.card(state.id)
            card = slack.message(OPS, row.ts or "") if row else None
            if card is None or not mine or mine[-1].ts != card.ts:
                yield f"#{state.id}: the card that the ledger knows is not the last one in the channel"
                continue
            yield from (f"#{state.id}: {fault}" for fault in self._card(state, slack.plain(card), card.text))
            if {button.action_id for button in card.buttons} != _buttons(state):
                yield f"#{state.id}: {state.phase} with the buttons {[one.action_id for one in card.buttons]}"
            if not all(NOTE in str(one.versions[0].blocks) for one in mine[1:]):
                yield f"#{state.id}: a further card does not say that an earlier one may lie above"

    def _card(self, state: State, shown: str, text: str) -> Iterator[str]:
        if not text.startswith(f"{state.phase.value}:"):
            yield f"the card says {text[:20]!r}, the ledger {state.phase.value!r}"
        if state.run is not None and state.ended is not None and figures(state.run).replace("*", "") not in shown:
            yield f"the card does not say {figures(state.run)}"


def _buttons(state: State) -> set[str]:
    match state.phase:
        case Phase.WAITING_CONFIRMATION:
            return {"confirm", "withdraw"}
        case Phase.WAITING_APPROVAL:
            return {"approve", "reject", "withdraw"}
        case _:
            return {"retry"} if state.phase in REPEATABLE and state.retried_as is None else set()
