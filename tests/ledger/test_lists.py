"""Lists of names beside the chain, and what is ordered again: stored with their event or not at all."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from bot.domain import decisions
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision, Refusal
from bot.domain.errors import TamperedError
from bot.domain.order import listed
from bot.ledger.ledger import Ledger, Ordered
from tests.builders import (
    ACCOUNT,
    BOB,
    DEVICES,
    NAMES,
    ORDER,
    confirm,
    finish,
    keep_names,
    requested,
    show_names,
    show_preview,
    start,
    void,
)
from tests.ledger import raw
from tests.ledger.conftest import Open


def lists(path: Path) -> int:
    """Count the lists that are stored."""
    found = raw.one(path, "select count(*) from lists")
    assert isinstance(found, int)
    return found


def test_an_order_brings_its_names(ledger: Ledger, path: Path) -> None:
    """The names of an order are stored with it, under the SHA-256 of their lines, and read back as they were."""
    made = ledger.order(requested(order=DEVICES), names=NAMES)
    state = ledger.state(made.id)
    key = sha256("\n".join(NAMES).encode()).hexdigest()

    assert NAMES == ledger.names(key)
    assert state is not None
    assert (key, 1) == (listed(NAMES).sha256, lists(path))
    assert replace(DEVICES, names=(), listed=listed(NAMES)) == state.order
    assert "pump-001" not in str(raw.rows(path))


def test_the_same_delivery_brings_nothing(ledger: Ledger, path: Path) -> None:
    """A delivery that comes again stores no list either."""
    ledger.order(requested(), delivery="trigger.1")
    again = ledger.order(requested(order=DEVICES), delivery="trigger.1", names=NAMES)

    assert (Ordered(1, repeated=True), 0) == (again, lists(path))


def test_a_decision_brings_its_lists(ledger: Ledger, path: Path) -> None:
    """The lists that a decision speaks of are stored with it, each once."""
    ledger.order(requested(order=DEVICES), names=NAMES)
    ledger.decide(1, show_names(), lists=(NAMES, NAMES[:3], NAMES))

    assert (NAMES[:3], 2) == (ledger.names(listed(NAMES[:3]).sha256), lists(path))
    assert 2 == ledger.verify().events


@pytest.mark.parametrize("decision", [confirm(), keep_names(NAMES[:3])])
def test_a_refused_decision_brings_nothing(ledger: Ledger, path: Path, decision: Decision) -> None:
    """What is refused stores no list."""
    ledger.order(requested())
    ledger.decide(1, show_preview())
    ledger.decide(1, void())

    assert isinstance(ledger.decide(1, decision, lists=(NAMES,)), Refusal)
    assert 0 == lists(path)


def test_a_decision_that_fails_brings_nothing(ledger: Ledger, path: Path) -> None:
    """What breaks in the middle stores neither the order nor its names."""

    def names() -> Iterator[tuple[str, ...]]:
        yield NAMES
        raise RuntimeError("power cut")

    ledger.order(requested(order=DEVICES))
    with pytest.raises(RuntimeError):
        ledger.decide(1, show_names(), lists=names())

    assert (1, 0) == (ledger.head(), lists(path))


def test_an_empty_list_has_no_name(ledger: Ledger) -> None:
    """A list without names, as of a job in which there is nothing to cancel, is read back as none."""
    assert () == ledger.names(ledger.keep_list(()))


def test_a_list_that_is_not_there(ledger: Ledger) -> None:
    """A list that nobody stored is an error, and no list is no names."""
    assert () == ledger.names(None)
    with pytest.raises(TamperedError, match=f"The list of names {'ab' * 6} is not in the ledger"):
        ledger.names("ab" * 32)


@pytest.mark.parametrize(
    "change",
    [
        "names = replace(names, 'pump-002', 'pump-999')",
        "names = names || char(10) || 'pump-999'",
        "names = ''",
        "sha256 = '{key}', names = (select names from lists where sha256 = '{other}')",
    ],
)
def test_a_changed_list_is_not_read(ledger: Ledger, path: Path, change: str) -> None:
    """A list that is not what its SHA-256 says is never handed out: nobody confirmed those names."""
    key, other = ledger.keep_list(NAMES), ledger.keep_list(NAMES[:3])
    with raw.forging(path) as forged:
        forged.execute(f"update lists set {change.format(key=key, other=other)} where sha256 = '{key}'")  # noqa: S608

    assert NAMES[:3] == ledger.names(other)
    with pytest.raises(TamperedError, match=f"The list of names {key[:12]} was changed in the ledger"):
        ledger.names(key)


# --- ordered again ---------------------------------------------------------------------------------------------------


def voided(ledger: Ledger) -> int:
    """Order something that comes to nothing."""
    identity = ledger.order(requested(order=DEVICES), names=NAMES).id
    ledger.decide(identity, void())
    return identity


def test_both_are_linked(ledger: Ledger) -> None:
    """Ordered again, the old one says as what, the new one of what, and each is the fold of its events."""
    old = voided(ledger)
    rest = decisions.requested(BOB, DEVICES, ACCOUNT, channel="C0OPS", via="slack", retry_of=old)
    new = ledger.again(old, rest, names=NAMES[:3])
    states = [ledger.state(identity) for identity in (1, 2)]

    assert Ordered(2, repeated=False) == new
    assert [(Phase.VOIDED, 2), (Phase.CHECKING, None)] == [(state.phase, state.retried_as) for state in states if state]
    assert [ledger.rebuilt(1), ledger.rebuilt(2)] == states
    assert (NAMES[:3], 4) == (ledger.names(listed(NAMES[:3]).sha256), ledger.verify().events)


def test_a_second_time_it_is_the_same(ledger: Ledger, opened: Open, path: Path) -> None:
    """A second time, also through another connection, it is the one that the first opened; nothing is stored."""
    old = voided(ledger)
    ledger.again(old, requested(order=DEVICES))
    before = raw.rows(path)
    second = opened().again(old, requested(actor=BOB, order=DEVICES), names=NAMES[:3])

    assert (Ordered(2, repeated=True), before, 1) == (second, raw.rows(path), lists(path))


@pytest.mark.parametrize("way", [(), (show_preview(),), (show_preview(), confirm(), start())])
def test_what_is_not_over_is_not_ordered_again(ledger: Ledger, path: Path, way: tuple[Decision, ...]) -> None:
    """Of what is not over nothing is left yet: it is refused, and nothing is opened."""
    ledger.order(requested(order=ORDER))
    for decision in way:
        ledger.decide(1, decision)
    before = raw.rows(path)

    assert isinstance(ledger.again(1, requested(), names=NAMES), Refusal)
    assert isinstance(ledger.again(99, requested(), names=NAMES), Refusal)
    assert (before, 0) == (raw.rows(path), lists(path))


def test_too_late_is_asked_in_its_turn(ledger: Ledger, path: Path) -> None:
    """Whether it comes too late is asked inside the transaction that would store it."""
    old = voided(ledger)
    before = raw.rows(path)
    asked: list[bool] = []

    def late() -> Refusal:
        asked.append(ledger._store._database.conn.in_transaction)
        return Refusal("too late")

    assert (Refusal("too late"), [True]) == (ledger.again(old, requested(), late=late), asked)
    assert before == raw.rows(path)


def test_a_state_is_returned_with_what_is_linked(ledger: Ledger) -> None:
    """A finished run that was ordered again still is what it was."""
    ledger.order(requested())
    for decision in (show_preview(), confirm(), start(), finish()):
        assert isinstance(ledger.decide(1, decision), State)
    ledger.again(1, requested())
    state = ledger.state(1)

    assert state is not None
    assert (Phase.FAILED, 2) == (state.phase, state.retried_as)
