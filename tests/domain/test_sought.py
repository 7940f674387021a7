"""Which cancellations somebody looks for, and how the words for it are read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.cancellation import Phase, State
from bot.domain.errors import UsageError
from bot.domain.order import CancelDevices, CancelJob, listed
from bot.domain.sought import WORDS, Sought, jobs, lists, moment, phase
from tests.builders import (
    ASKING,
    DEVICES,
    NAMES,
    NOW,
    STRICT,
    Life,
    account,
    break_glass,
    by_name,
    life_in,
    requested,
)

ONE = life_in(Phase.DONE).state
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
TICK = timedelta(microseconds=1)
FOUR = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MIXED = Sought(account="prod", job="J1", phases=frozenset({Phase.DONE, Phase.FAILED}), since=NOW, until=NOW)


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(), True),
        (Sought(account="prod"), True),
        (Sought(account="Prod"), False),
        (Sought(job="J1"), True),
        (Sought(job="J"), False),
        (Sought(since=NOW, until=NOW), True),
        (Sought(since=NOW + timedelta(microseconds=1)), False),
        (Sought(until=NOW - timedelta(microseconds=1)), False),
        (Sought(phases=frozenset({Phase.DONE})), True),
        (Sought(phases=frozenset({Phase.FAILED})), False),
        (Sought(broke_glass=True), False),
        (Sought(person="U0ANN"), False),
        (MIXED, True),
        (replace(MIXED, account="test"), False),
    ],
)
def test_what_a_state_tells(sought: Sought, found: bool) -> None:
    """Everything that is given has to be so; whose events are in it the state does not tell."""
    assert found == sought.matches(ONE)


def test_whose_it_is() -> None:
    """A person is found in the cancellations that are theirs."""
    assert Sought(person="U0BOB").matches(ONE, theirs={1, 7})
    assert not Sought(person="U0BOB").matches(ONE, theirs={7})


def test_broken_glass() -> None:
    """Glass that was broken is found as such."""
    assert Sought(broke_glass=True).matches(Life().after(*ASKING, break_glass(on=account(approval=STRICT))).state)


def test_everything() -> None:
    """Nothing given is everything."""
    assert Sought().everything
    assert not Sought(device="pump-1").everything


def test_jobs_of_a_firmware() -> None:
    """What was ordered by firmware is found by each job that its plan has."""
    order = CancelDevices(names=("a",), product="P1", firmware="F1")

    assert frozenset() == jobs(Life(opening=requested(order=order)).state)
    assert {"J1"} == jobs(by_name().state)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (by_name().state, {listed(NAMES).sha256}),
        (Life(opening=requested(order=DEVICES)).state, {listed(NAMES).sha256}),
        (Life(opening=requested(order=CancelJob(job="J1"))).state, set()),
        (ONE, set()),
    ],
)
def test_lists(state: State, found: set[str]) -> None:
    """The lists are those of the order and of the plan; a cancel by job has none."""
    assert found == lists(state)


@pytest.mark.parametrize("word", ["partly-done", "Partly Done", "PARTLY_DONE", " partly  done "])
def test_a_state(word: str) -> None:
    """A state's word is read in any case, with a dash for a space."""
    assert phase(word) is Phase.PARTLY_DONE


def test_every_state() -> None:
    """Each state has a word."""
    assert [*Phase] == [phase(word) for word in WORDS]


@pytest.mark.parametrize(
    ("word", "near"), [("fialed", "failed"), ("waiting", "waiting-for-approval"), ("done!", "done")]
)
def test_no_state(word: str, near: str) -> None:
    """A wrong word is quoted, and the nearest is named."""
    with pytest.raises(UsageError, match=f"there is no state “{word}”: the nearest is {near}; there are checking"):
        phase(word)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-01-02T03:04", FOUR, FOUR + MINUTE - TICK),
        ("2026-01-02T03:04Z", FOUR, FOUR + MINUTE - TICK),
        ("2026-01-02 03:04+08:00", FOUR - 8 * HOUR, FOUR - 8 * HOUR + MINUTE - TICK),
        ("2026-01-02T03+00:00", FOUR - 4 * MINUTE, FOUR + 56 * MINUTE - TICK),
        ("2026-01-02T03:04:00", FOUR, FOUR + SECOND - TICK),
        ("20260102T030400Z", FOUR, FOUR + SECOND - TICK),
        ("2026-01-02T03:04:00.000001", FOUR + TICK, FOUR + TICK),
        ("9999-12-31T23:59", datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_moment(text: str, first: datetime, last: datetime) -> None:
    """A time is of UTC where it has no offset; a date, an hour, a minute, a second is its first moment, or last."""
    assert (first, last) == (moment(text), moment(text, last=True))


@pytest.mark.parametrize("text", ["", "yesterday", "02.01.2026", "2026-13-01", "0001-01-01T00:00+08:00"])
def test_no_moment(text: str) -> None:
    """What is no time is quoted, with what one looks like."""
    with pytest.raises(UsageError, match="is no date or time as ISO 8601 writes it, like 2026-01-31"):
        moment(text)
