"""The fold: whatever is decided, the state is what the events say, and the promises hold."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.call import holds
from bot.domain.cancellation import OPEN, STATE, State
from bot.domain.events import Event, Kind
from bot.domain.fold import apply
from tests.builders import (
    ANN,
    NAMES,
    folded,
)
from tests.dice import CALLS, lived

seeds = st.integers(min_value=0, max_value=2**32)
lengths = st.integers(min_value=5, max_value=60)


@given(seeds, lengths)
@settings(deadline=None, max_examples=250, derandomize=True)
def test_the_state_is_the_fold(seed: int, length: int) -> None:
    """A state stored as JSON after every event equals the fold of all events, whatever was decided."""
    life = lived(seed, length)
    kept: State | None = None
    for event in life.events:
        kept = STATE.validate_json(STATE.dump_json(apply(kept, event)))

    assert life.state == kept == folded(life.events)


@given(seeds, lengths)
@settings(deadline=None, max_examples=250, derandomize=True)
def test_nothing_runs_unconfirmed(seed: int, length: int) -> None:
    """No call is sent unless the requester confirmed exactly this plan and the run was started after that."""
    events = lived(seed, length).events
    kinds = [event.kind for event in events]
    before = kinds[: kinds.index(Kind.CALL_SENT)] if Kind.CALL_SENT in kinds else kinds

    if Kind.CALL_SENT in kinds or Kind.STARTED in kinds:
        confirmed = events[kinds.index(Kind.CONFIRMED)]
        previewed = events[kinds.index(Kind.PREVIEWED)]
        assert (ANN, previewed.body["digest"]) == (confirmed.actor, confirmed.body["plan"])
        assert before.index(Kind.CONFIRMED) < before.index(Kind.STARTED)
    assert max(Counter(kinds)[kind] for kind in (Kind.PREVIEWED, Kind.CONFIRMED, Kind.STARTED, Kind.FINISHED)) <= 1


def call_faults(events: list[Event]) -> list[str]:
    """Follow each call through the events, without the fold, and return what must not have happened."""
    out: dict[int, int] = {}
    done: set[int] = set()
    gone: set[int] = set()
    sendings: dict[int, list[Event]] = defaultdict(list)
    faults: list[str] = []
    over, planned = False, CALLS
    for event in events:
        body: Any = event.body
        if event.kind == Kind.CALL_SENT:
            call = body["call"]
            sendings[call].append(event)
            wrong = {
                "unplanned": not 1 <= call <= planned,
                "done": call in done,
                "split or without anything left": call in gone,
                "out": call in out,
                "numbered wrongly": body["attempt"] != len(sendings[call]),
                "too late": event.at - sendings[call][0].at >= timedelta(minutes=5),
                "over": over,
            }
            faults += [f"call {call} was sent: {name}" for name, at_fault in wrong.items() if at_fault]
            out[call] = body["attempt"]
        elif event.kind == Kind.CALL_FINISHED:
            if body["call"] in done:
                faults.append(f"call {body['call']} was done already")
            if out.pop(body["call"], None) is None and body.get("by") != "read":
                faults.append(f"call {body['call']} was not out")
            done |= {body["call"]} if body["outcome"] == "done" else set()
        elif event.kind in {Kind.CALL_SKIPPED, Kind.CALL_SPLIT}:
            faults += [
                f"call {body['call']} was settled before" for settled in (gone, done, out) if body["call"] in settled
            ]
            gone.add(body["call"])
            planned += len(body.get("at", ()))
        elif event.kind in {Kind.STOPPED, Kind.FINISHED}:
            over = True
    return faults + [f"call {call} was sent too often" for call, sent in sendings.items() if len(sent) > 5]


@given(seeds, lengths)
@settings(deadline=None, max_examples=400, derandomize=True)
def test_a_call_is_never_sent_twice_at_once(seed: int, length: int) -> None:
    """No call that is done, out, unplanned, stopped, late or tried five times is sent; figures count it once."""
    life = lived(seed, length)
    sent, taken = Counter[int](), Counter[int]()
    for event in life.events:
        body: Any = event.body
        if event.kind == Kind.CALL_SENT:
            sent[body["call"]] = body["count"]
        elif body.get("outcome") == "done":
            taken[body["call"]] += body.get("count", sent[body["call"]])

    assert [] == call_faults(life.events)
    assert taken.total() == (life.state.run.accepted if life.state.run else 0)


@given(seeds, lengths)
@settings(deadline=None, max_examples=250, derandomize=True)
def test_every_device_is_somewhere(seed: int, length: int) -> None:
    """Of the devices in a plan each was taken, had moved on, or is in exactly one call that is still open."""
    life = lived(seed, length)
    run, plan = life.state.run, life.state.plan
    if run is None or plan is None or not plan.by_name:
        return
    sent = {event.body["call"]: event.body["count"] for event in life.events if event.kind == Kind.CALL_SENT}
    taken = [number for number in range(1, run.calls + 1) if holds(run.done, number)]
    still = [number for number in range(1, run.calls + 1) if not run.is_settled(number)]
    waiting = Counter(
        position
        for number in still
        for position in run.call(plan, number).at
        if number not in run.attempts or position not in run.attempts[number].left_out
    )

    assert len(NAMES) == sum(sent[number] for number in taken) + run.moved_on + waiting.total()
    assert 1 == max(waiting.values(), default=1)
    assert run.complete == (not still)


@given(seeds, lengths)
@settings(deadline=None, max_examples=150, derandomize=True)
def test_an_end_is_an_end(seed: int, length: int) -> None:
    """Once ended, a cancellation keeps its phase, and `ended` is set exactly when it is not open."""
    life = lived(seed, length)
    states = [folded(life.events[: index + 1]) for index in range(len(life.events))]
    after = [state.phase for state in states if state.phase not in OPEN]

    assert len(set(after)) <= 1
    assert [state.phase not in OPEN for state in states] == [state.ended is not None for state in states]
