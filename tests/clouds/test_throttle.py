"""The throttle keeps every sliding second within the limit, lets the urgent go first, and leaks nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.clouds.door import Door
from bot.clouds.throttle import EARLY, LONGEST, MARGIN, PATIENCE, POLITE, SOON, TOLERANCE, StoppedError, Throttle
from bot.domain.errors import CloudError
from bot.ledger.slots import LONGEST_PUSH, Slots
from bot.ledger.store import Store
from tests.clouds.stand_ins import Clock

QPS: Final = 5.0
SPACING: Final = MARGIN / QPS
ACTION: Final = "CancelOTATaskByJob"


class LetGoError(Exception):
    """What a sleep raises when the process leaves."""


class Timeline:
    """Simulated time for several threads: it moves to the next sleeper's time when all of them sleep."""

    def __init__(self, threads: int) -> None:
        self._turn = threading.Condition()
        self._awake = threads
        self._sleepers: list[float] = []
        self._at = 1_750_000_000.0

    def seconds(self) -> float:
        """Return the seconds since 1970."""
        return self._at

    def now(self) -> datetime:
        """Return the time: UTC, aware."""
        return datetime.fromtimestamp(self._at, UTC)

    def sleep(self, seconds: float) -> None:
        """Sleep in simulated time."""
        with self._turn:
            until = self._at + seconds
            self._sleepers.append(until)
            self._move()
            while self._at < until:
                if not self._turn.wait(10):
                    raise TimeoutError("the simulated time stands still")
            self._sleepers.remove(until)

    def leave(self) -> None:
        """Say that a thread has come to its end."""
        with self._turn:
            self._awake -= 1
            self._move()

    def _move(self) -> None:
        if self._sleepers and len(self._sleepers) >= self._awake:
            self._at = max(self._at, min(self._sleepers))
            self._turn.notify_all()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "slots.db")
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def throttle(slots: Slots, clock: Clock | Timeline, *, sleep: Callable[[float], None] | None = None) -> Throttle:
    return Throttle(reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=sleep or clock.sleep)


def breaches(times: list[float], qps: float = QPS) -> list[tuple[float, float]]:
    """Return the calls that came less than a second after the one `qps` places before them."""
    ordered = sorted(times)
    return [(a, b) for a, b in zip(ordered, ordered[int(qps) :], strict=False) if b - a < 1]


@pytest.mark.parametrize("qps", [1.0, 5.0, 10.0])
def test_many_threads_of_two_processes(tmp_path: Path, qps: float) -> None:
    """Six threads of two processes on one file never send more than the limit in any sliding second, nor much less."""
    timeline = Timeline(threads=6)
    stores = [Store(tmp_path / "slots.db") for _ in range(2)]
    throttles = [throttle(Slots(store, now=timeline.now), timeline) for store in stores]
    times: list[float] = []

    def work(mine: Throttle) -> None:
        for _ in range(8):
            mine.wait("main", ACTION, qps)
            times.append(timeline.seconds())
        timeline.leave()

    threads = [threading.Thread(target=work, args=(throttles[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for each in stores:
        each.close()

    assert 48 == len(times)
    assert [] == breaches(times, qps)
    assert pytest.approx(47 * MARGIN / qps, abs=0.01) == max(times) - min(times)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 2) | st.sampled_from([0.0, 0.05, SPACING]) | st.none(), min_size=8, max_size=40))
def test_any_rhythm(shared: tuple[Slots, Clock, Iterator[int]], steps: list[float | None]) -> None:
    """However calls, pauses and throttling answers follow on each other, no sliding second holds too many."""
    slots, clock, numbers = shared
    quota, times = f"quota-{next(numbers)}", []
    waiting = throttle(slots, clock)
    for pause in steps:
        if pause is None:
            waiting.throttled(quota, ACTION, None)
            continue
        clock.turn(pause)
        waiting.wait(quota, ACTION, QPS)
        times.append(clock.seconds())

    assert [] == breaches(times)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Slots, Clock, Iterator[int]]]:
    clock, made = Clock(), Store(tmp_path_factory.mktemp("slots") / "slots.db")
    yield Slots(made, now=clock.now), clock, count()
    made.close()


def test_quotas_and_operations_are_apart(store: Store, clock: Clock) -> None:
    """Each operation of each quota has slots of its own."""
    waiting = throttle(Slots(store, now=clock.now), clock)
    for quota, operation in (("a", "Query"), ("a", "List"), ("b", "Query")):
        waiting.wait(quota, operation, QPS)

    assert [] == clock.slept

    waiting.wait("a", "Query", QPS)

    assert [pytest.approx(SPACING, abs=1e-5)] == clock.slept


def test_late_wake_takes_a_new_slot(store: Store, clock: Clock) -> None:
    """A thread that wakes too late for its slot does not send beside the others: it takes the next one."""
    slots = Slots(store, now=clock.now)

    def oversleep(seconds: float) -> None:
        clock.sleep(seconds + (1.0 if seconds and len(clock.slept) == 0 else 0.0))

    waiting = throttle(slots, clock, sleep=oversleep)
    waiting.wait("main", ACTION, QPS)
    start = clock.seconds()
    slots.reserve("main", ACTION, SPACING)  # another process, right behind
    waiting.wait("main", ACTION, QPS)
    mine, another = clock.seconds(), slots.reserve("main", ACTION, SPACING)

    assert mine - start > 1
    assert pytest.approx(SPACING, abs=1e-5) == another - mine


def test_a_little_late_is_in_time(store: Store, clock: Clock) -> None:
    """A thread that wakes within the margin keeps its slot."""
    slots = Slots(store, now=clock.now)
    waiting = throttle(slots, clock, sleep=lambda seconds: clock.sleep(seconds + TOLERANCE / 2))
    start = clock.seconds()
    waiting.wait("main", ACTION, QPS)
    waiting.wait("main", ACTION, QPS)

    assert pytest.approx(SPACING + TOLERANCE / 2, abs=1e-5) == clock.seconds() - start
    assert pytest.approx(start + 2 * SPACING, abs=1e-5) == slots.reserve("main", ACTION, SPACING)


def test_slots_are_never_in_the_past(tmp_path: Path, clock: Clock) -> None:
    """Threads that wait for the database get slots from when they have it, not from when they asked: no burst."""

    class Busy(Store):
        @contextmanager
        def writing(self) -> Iterator[None]:
            """Have to wait for somebody else's write first."""
            clock.turn(3)
            with super().writing():
                yield

    store = Busy(tmp_path / "slots.db")
    slots = Slots(store, now=clock.now)
    late = []
    for take in (slots.reserve, slots.reserve):
        taken = take("main", ACTION, SPACING)
        late.append(clock.seconds() - taken)
    store.close()

    assert [0, 0] == [round(seconds, 3) for seconds in late]


@pytest.mark.parametrize(
    ("asked", "held"), [(None, 1.0), (7.0, 7.0), (1e9, LONGEST_PUSH), (float("inf"), LONGEST_PUSH)]
)
def test_push(store: Store, clock: Clock, asked: float | None, held: float) -> None:
    """A throttling answer holds the operation back for as long as it says, but not for ever."""
    waiting = throttle(Slots(store, now=clock.now), clock)
    waiting.wait("main", ACTION, QPS)
    waiting.throttled("main", ACTION, asked)
    waiting.wait("main", "another operation", QPS)

    assert [] == clock.slept

    start = clock.seconds()
    waiting.wait("main", ACTION, QPS)

    assert pytest.approx(held, abs=1e-3) == clock.seconds() - start


def test_slower_after_throttling_and_recovers(store: Store, clock: Clock) -> None:
    """After a throttling answer calls are spaced wider, and step by step as before again."""
    waiting = throttle(Slots(store, now=clock.now), clock)
    waiting.throttled("main", ACTION, 0.0)
    times = []
    for _ in range(20):
        waiting.wait("main", ACTION, QPS)
        times.append(clock.seconds())
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert pytest.approx(2 * SPACING, abs=1e-4) == gaps[0]
    assert sorted(gaps, reverse=True) == pytest.approx(gaps, abs=1e-4)
    assert pytest.approx(SPACING, abs=1e-4) == gaps[-1]


def test_stepped_clock(store: Store, clock: Clock) -> None:
    """A clock that was set back an hour does not stop the account for an hour."""
    slots = Slots(store, now=clock.now)
    slots.reserve("main", ACTION, SPACING)
    clock.turn(-3600)
    throttle(slots, clock).wait("main", ACTION, QPS)

    assert [] == clock.slept


class TestPatient:
    def test_alone(self, store: Store, clock: Clock) -> None:
        """A patient call takes a slot like any other when nobody urgent waits."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.wait("main", ACTION, QPS, patient=True)
        waiting.wait("main", ACTION, QPS, patient=True)

        assert [pytest.approx(SPACING, abs=1e-5)] == clock.slept

    @pytest.mark.parametrize(("quota", "polite"), [("main", True), ("another", False)])
    def test_waits_for_the_urgent(self, store: Store, clock: Clock, quota: str, polite: bool) -> None:
        """A patient call reserves nothing while an urgent one of the same quota, of any operation, waits."""
        urgent_sleeps, go_on = threading.Event(), threading.Event()
        naps: list[float] = []
        held = threading.local()

        def sleep(seconds: float) -> None:
            if getattr(held, "urgent", False):
                urgent_sleeps.set()
                assert go_on.wait(10)
            elif seconds:
                naps.append(seconds)
                if len(naps) == 3:
                    go_on.set()
                    urgent.join(10)
            clock.turn(seconds)

        slots = Slots(store, now=clock.now)
        waiting = throttle(slots, clock, sleep=sleep)
        slots.reserve("main", "cancel", SPACING)

        def work() -> None:
            held.urgent = True
            waiting.wait("main", "cancel", QPS)

        urgent = threading.Thread(target=work)
        urgent.start()
        assert urgent_sleeps.wait(10)
        waiting.wait(quota, "read", QPS, patient=True)
        go_on.set()
        urgent.join(10)

        assert ([POLITE] * 3 if polite else []) == naps

    def test_let_go(self, store: Store, clock: Clock) -> None:
        """A patient wait ends when its sleep raises."""
        waiting = throttle(Slots(store, now=clock.now), clock, sleep=raising)
        waiting._urgent["main"] += 1

        with pytest.raises(LetGoError):
            waiting.wait("main", ACTION, QPS, patient=True)


def raising(_seconds: float) -> None:
    raise LetGoError


class TestLetGo:
    def test_nothing_leaks(self, store: Store, clock: Clock) -> None:
        """A sleep that raises ends the wait, and neither the gate nor the count of the urgent remembers it."""
        leaving = [True]

        def sleep(seconds: float) -> None:
            (raising if leaving[0] else clock.sleep)(seconds)

        waiting = throttle(Slots(store, now=clock.now), clock, sleep=sleep)
        for _ in range(20):
            with pytest.raises(LetGoError):
                waiting.wait("main", ACTION, QPS)
        leaving[0] = False
        done = threading.Thread(target=waiting.wait, args=("main", ACTION, QPS), kwargs={"patient": True}, daemon=True)
        done.start()
        done.join(10)

        assert not done.is_alive()
        assert 0 == waiting._urgent["main"]

    def test_reserve_raises(self, clock: Clock) -> None:
        """A ledger that cannot be used ends the wait and leaks nothing either."""

        def broken(_quota: str, _operation: str, _spacing: float) -> float:
            raise LetGoError

        waiting = Throttle(reserve=broken, push=broken_push, now=clock.seconds, sleep=clock.sleep)
        for _ in range(20):
            with pytest.raises(LetGoError):
                waiting.wait("main", ACTION, QPS)

        assert 0 == waiting._urgent["main"]


def broken_push(_quota: str, _operation: str, _seconds: float) -> None:
    raise LetGoError


@pytest.mark.parametrize(("qps", "ahead"), [(1.0, 3), (5.0, 3), (10.0, 6)])
def test_gate(store: Store, clock: Clock, qps: float, ahead: int) -> None:
    """Only a few threads of a process hold a slot ahead; the rest wait without one, for a stop to waste little."""
    slots, go_on, asleep = Slots(store, now=clock.now), threading.Event(), threading.Semaphore(0)
    reserved: list[float] = []

    def reserve(quota: str, operation: str, spacing: float) -> float:
        reserved.append(slots.reserve(quota, operation, spacing))
        return reserved[-1]

    def sleep(_seconds: float) -> None:
        asleep.release()
        assert go_on.wait(10)
        raise LetGoError

    def work() -> None:
        with pytest.raises(LetGoError):
            waiting.wait("main", ACTION, qps)

    slots.reserve("main", ACTION, 600)
    waiting = Throttle(reserve=reserve, push=slots.push, now=clock.seconds, sleep=sleep)
    threads = [threading.Thread(target=work) for _ in range(ahead + 4)]
    for thread in threads:
        thread.start()
    slept = [asleep.acquire(timeout=10) for _ in range(ahead)]
    one_more = asleep.acquire(timeout=0.1)
    ahead_now = len(reserved)
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert ([True] * ahead, False, ahead) == (slept, one_more, ahead_now)


def recorded(tmp_path: Path, takes: Callable[[int], float]) -> tuple[list[float], float]:
    """Send 24 calls from two processes of two threads each; recording call n takes so long. Return when they left."""
    timeline = Timeline(threads=4)
    stores = [Store(tmp_path / "slots.db") for _ in range(2)]
    throttles = [throttle(Slots(store, now=timeline.now), timeline) for store in stores]
    times: list[float] = []
    numbers, start = count(), timeline.seconds()

    def work(mine: Throttle) -> None:
        for _ in range(6):
            mine.early("main", ACTION, QPS)
            timeline.sleep(takes(next(numbers)))
            if mine.on_time("main", ACTION):
                times.append(timeline.seconds())
        timeline.leave()

    threads = [threading.Thread(target=work, args=(throttles[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for each in stores:
        each.close()
    return times, start


class TestRecorded:
    """A call that is recorded between its waits: `early`, then `on_time`."""

    def test_recording_bunches_nothing(self, tmp_path: Path) -> None:
        """However long each recording takes below EARLY, calls leave on their slots: none earlier, none in bunches."""
        times, _ = recorded(tmp_path, lambda number: (0.0, EARLY - 0.001, 0.04)[number % 3])
        gaps = [later - earlier for earlier, later in pairwise(sorted(times)[1:])]

        assert 24 == len(times)
        assert [] == breaches(times)
        assert [pytest.approx(SPACING, abs=TOLERANCE)] * 22 == gaps

    def test_a_slow_recording_takes_another_slot(self, tmp_path: Path) -> None:
        """A recording that outlasts its slot costs another slot, and no second holds too many for it."""
        times, start = recorded(tmp_path, lambda number: EARLY + 0.08 if number % 5 == 4 else 0.001)

        assert 24 == len(times)
        assert [] == breaches(times)
        assert pytest.approx((23 + 4) * SPACING, abs=2 * SPACING) == max(times) - start

    def test_early(self, store: Store, clock: Clock) -> None:
        """The first wait ends EARLY before the slot, the second on it."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.wait("main", ACTION, QPS)
        waiting.early("main", ACTION, QPS)
        waiting.on_time("main", ACTION)

        assert [pytest.approx(SPACING - EARLY, abs=1e-5), pytest.approx(EARLY, abs=1e-5)] == clock.slept

    def test_waits_once(self, store: Store, clock: Clock) -> None:
        """`on_time` waits for what this thread waited early, of this operation, and for nothing else."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.wait("main", ACTION, QPS)
        waiting.early("main", ACTION, QPS)
        slept = list(clock.slept)
        waiting.on_time("main", "another operation")
        waiting.on_time("another quota", ACTION)
        other = threading.Thread(target=waiting.on_time, args=("main", ACTION))
        other.start()
        other.join(10)

        assert slept == clock.slept

        waiting.on_time("main", ACTION)
        waiting.on_time("main", ACTION)

        assert len(slept) + 1 == len(clock.slept)

    def test_is_not_let_go(self, store: Store, clock: Clock) -> None:
        """What is recorded as sent is sent, though the process leaves meanwhile."""
        leaving = [False]
        naps: list[float] = []

        def sleep(seconds: float) -> None:
            (raising if leaving[0] else clock.sleep)(seconds)

        def nap(seconds: float) -> None:
            naps.append(seconds)
            clock.sleep(seconds)

        slots = Slots(store, now=clock.now)
        waiting = Throttle(reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=sleep, nap=nap)
        waiting.wait("main", ACTION, QPS)
        waiting.early("main", ACTION, QPS)
        leaving[0] = True
        waiting.on_time("main", ACTION)

        assert [pytest.approx(EARLY, abs=1e-5)] == naps

    @pytest.mark.parametrize("turned", [EARLY + 1, -3600.0])
    def test_does_not_wait_for_a_far_slot(self, store: Store, clock: Clock, turned: float) -> None:
        """Where a cloud wants a minute, or the clock was set back, the recorded call is handed back and not sent."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.wait("main", ACTION, QPS)
        waiting.early("main", ACTION, QPS)
        waiting.throttled("main", ACTION, 60.0)
        clock.turn(turned)
        slept = len(clock.slept)

        assert not waiting.on_time("main", ACTION)
        assert [] == clock.slept[slept:]

    @pytest.mark.parametrize(("asked", "sent"), [(None, True), (LONGEST + 1, False)])
    def test_throttled_after_it_was_recorded(self, store: Store, clock: Clock, asked: float | None, sent: bool) -> None:
        """A recorded call is not sent into the time that a throttling answer asked for: after it, or handed back."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.wait("main", ACTION, QPS)
        waiting.early("main", ACTION, QPS)
        waiting.throttled("main", ACTION, asked)
        start = clock.seconds()

        assert sent == waiting.on_time("main", ACTION)
        assert not sent or clock.seconds() - start >= 1.0

    @pytest.mark.parametrize(("late", "sent"), [(0.01, True), (0.1, True), (0.7, True), (0.9, False)])
    def test_a_machine_that_is_always_late(self, store: Store, clock: Clock, late: float, sent: bool) -> None:
        """A call that wakes late for each slot is sent within one that is as much wider, and never outside of any."""
        slots = Slots(store, now=clock.now)
        waiting = Throttle(
            reserve=slots.reserve,
            push=slots.push,
            now=clock.seconds,
            sleep=clock.sleep,
            nap=lambda seconds: clock.sleep(seconds + late),
        )
        times = []
        for _ in range(6):
            waiting.early("main", ACTION, QPS)
            if waiting.on_time("main", ACTION):
                times.append(clock.seconds())

        assert (6 if sent else 0) == len(times)
        assert [] == [gap for gap in (later - earlier for earlier, later in pairwise(times)) if gap < 1 / QPS]
        assert not times or slots.reserve("main", ACTION, SPACING) - times[-1] >= SPACING - TOLERANCE

    def test_a_slot_that_was_reserved_slowly(self, store: Store, clock: Clock) -> None:
        """A call leaves within its slot as the slots have it, also where reserving that took long."""
        slots, slow = Slots(store, now=clock.now), [0.3, 0.3]

        def reserve(quota: str, operation: str, spacing: float) -> float:
            at = slots.reserve(quota, operation, spacing)
            clock.turn(slow.pop() if slow else 0.0)
            return at

        waiting = Throttle(reserve=reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep)
        waiting.early("main", ACTION, QPS)

        assert waiting.on_time("main", ACTION)
        assert slots.reserve("main", ACTION, SPACING) - clock.seconds() >= 1 / QPS

    def test_waits_for_a_few_slots_at_a_slow_rate(self, store: Store, clock: Clock) -> None:
        """At a slow rate a recorded call waits as long as it takes behind the few that may be ahead."""
        slots = Slots(store, now=clock.now)
        waiting = throttle(slots, clock)
        waiting.early("main", ACTION, 0.5)
        clock.turn(1)
        slots.reserve("main", ACTION, MARGIN / 0.5)

        assert waiting.on_time("main", ACTION)
        assert [pytest.approx(2 * MARGIN / 0.5 - 1, abs=1e-3)] == clock.slept


def test_throttling_holds_back_who_waits_already(store: Store, clock: Clock) -> None:
    """A slot that was reserved before a throttling answer is not used: it lies within the time the cloud asked for."""
    slots, answered = Slots(store, now=clock.now), [False]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if seconds and not answered[0]:
            answered[0] = True
            waiting.throttled("main", ACTION, 7.0)

    waiting = throttle(slots, clock, sleep=sleep)
    waiting.wait("main", ACTION, QPS)
    start = clock.seconds()
    waiting.wait("main", ACTION, QPS)

    assert pytest.approx(SPACING + 7.0, abs=1e-3) == clock.seconds() - start


def test_patience_has_an_end(store: Store, clock: Clock) -> None:
    """Beside the urgent without end a patient call takes its place after a while."""
    waiting = throttle(Slots(store, now=clock.now), clock)
    waiting._urgent["main"] += 1
    waiting.wait("main", ACTION, QPS, patient=True)

    assert pytest.approx(PATIENCE) == sum(clock.slept)


def test_the_gate_is_passed_in_order() -> None:
    """Whoever comes again stands behind those who wait: a large run's next thread does not pass a small run's."""
    gate, order = Door(1), list[str]()

    def small() -> None:
        with gate.passed():
            order.append("small")

    waiting = threading.Thread(target=small)
    with gate.passed():
        waiting.start()
        while not gate._queue:
            time.sleep(0.001)
    with gate.passed():
        order.append("large again")
    waiting.join(10)

    assert ["small", "large again"] == order


class TestTerms:
    """What ends a thread's waits early."""

    @pytest.mark.parametrize("wait", ["wait", "early"])
    def test_stopped(self, store: Store, clock: Clock, wait: str) -> None:
        """A wait of two minutes ends half a second after it is stopped, and leaves its place to others."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        waiting.throttled("main", ACTION, 120.0)
        start, places = clock.seconds(), 10  # more than the door has
        for _ in range(places):
            until = clock.seconds() + 5.1
            with (
                pytest.raises(StoppedError),
                waiting.on_terms(stopped=lambda until=until: clock.seconds() > until),  # type: ignore[misc]
            ):
                getattr(waiting, wait)("main", ACTION, QPS)

        assert pytest.approx(5.5 * places) == clock.seconds() - start
        assert 0 == waiting._urgent["main"]

    def test_stopped_before_the_door(self, store: Store, clock: Clock) -> None:
        """Who waits for others at the door is let go, too, and does not stay in the queue."""
        waiting, go_on, stopped = throttle(Slots(store, now=clock.now), clock), threading.Event(), threading.Event()

        def hold() -> None:
            with waiting._passed(("main", ACTION), 1.0):
                go_on.wait(10)

        def queue() -> None:
            with pytest.raises(StoppedError), waiting.on_terms(stopped=stopped.is_set):
                waiting.wait("main", ACTION, 1.0)

        threads = [threading.Thread(target=hold) for _ in range(3)] + [threading.Thread(target=queue)]
        for thread in threads:
            thread.start()
        while not waiting._doors["main", ACTION]._queue:
            time.sleep(0.001)
        stopped.set()
        threads[-1].join(10)
        queued = len(waiting._doors["main", ACTION]._queue)
        go_on.set()
        for thread in threads:
            thread.join(10)

        assert (0, 3) == (queued, waiting._doors["main", ACTION]._room)

    def test_of_this_thread_and_block_alone(self, store: Store, clock: Clock) -> None:
        """The terms hold for one thread and one block."""
        waiting = throttle(Slots(store, now=clock.now), clock)
        with waiting.on_terms(stopped=lambda: True):
            other = threading.Thread(target=waiting.wait, args=("main", ACTION, QPS))
            other.start()
            other.join(10)
        waiting.wait("main", ACTION, QPS)

        assert pytest.approx(SPACING, abs=1e-5) == sum(clock.slept)

    def test_too_far(self, store: Store, clock: Clock) -> None:
        """Who only looks is told at once when to try again, and takes no slot; who runs or verifies waits."""
        slots = Slots(store, now=clock.now)
        waiting = Throttle(
            reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep, ahead=slots.ahead
        )
        waiting.throttled("main", ACTION, 300.0)
        before = slots.ahead("main", ACTION)
        with pytest.raises(CloudError) as refused, waiting.on_terms(longest=SOON):
            waiting.wait("main", ACTION, QPS)

        assert (0, before) == (sum(clock.slept), slots.ahead("main", ACTION))
        assert (
            "The cloud asked to be left alone until about 120 s from now. Try again then. Nothing was changed."
            == str(refused.value)
        )

        waiting.wait("main", ACTION, QPS, patient=True)

        assert pytest.approx(LONGEST_PUSH, abs=1e-3) == sum(clock.slept)

    def test_soon_enough(self, store: Store, clock: Clock) -> None:
        """A few seconds are waited for by everybody, and at a slow rate a few slots."""
        slots = Slots(store, now=clock.now)
        waiting = Throttle(
            reserve=slots.reserve, push=slots.push, now=clock.seconds, sleep=clock.sleep, ahead=slots.ahead
        )
        waiting.throttled("main", ACTION, SOON - 1)
        for _ in range(3):
            slots.reserve("main", "slow", 10.2)
        with waiting.on_terms(longest=SOON):
            waiting.wait("main", ACTION, QPS)
            waiting.wait("main", "slow", 0.1)

        assert pytest.approx(3 * 10.2, abs=1e-3) == sum(clock.slept)


@pytest.mark.parametrize("late", [0.016, 0.045, 0.5, 2.0])
def test_reads_are_never_late_beside_each_other(store: Store, clock: Clock, late: float) -> None:
    """However late a machine wakes its threads, reads come no nearer than their slots, and all of them come."""
    slots, times = Slots(store, now=clock.now), list[float]()
    waiting = throttle(slots, clock, sleep=lambda seconds: clock.sleep(seconds + late))
    for _ in range(12):
        waiting.wait("main", ACTION, QPS)
        times.append(clock.seconds())

    assert [] == breaches(times)
    assert [] == [gap for gap in (later - earlier for earlier, later in pairwise(times)) if gap < 1 / QPS]
    assert slots.reserve("main", ACTION, SPACING) - times[-1] >= SPACING - TOLERANCE
