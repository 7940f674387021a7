"""The chain holds as the contract says, and whoever touches a row is found."""

from pathlib import Path
from typing import Any

import pytest

from bot.domain import decisions
from bot.domain.errors import TamperedError
from bot.ledger.chain import GENESIS, walk
from bot.ledger.ledger import Ledger
from bot.ledger.reader import PAGE
from tests.builders import BOB, OF_NOTHING, TAKEN, Clock, finish, requested, show_preview, withdraw
from tests.builders import verify as look
from tests.ledger import raw


@pytest.fixture
def chain(ledger: Ledger, clock: Clock) -> Ledger:
    """Two cancellations whose events alternate, and events of none."""
    first = ledger.order(requested(reason="中文 \U0001f600 \ud800"), delivery="d1").id
    second = ledger.order(requested(actor=BOB)).id
    ledger.append(decisions.refused("U0EVE", "no", what="order", evidence={}))
    for decision in (*TAKEN, look(), finish()):
        clock.turn(0.5)
        ledger.decide(first, decision)
        if decision is TAKEN[1]:
            ledger.decide(second, show_preview())
            ledger.decide(second, withdraw(BOB))
    ledger.append(OF_NOTHING)
    return ledger


def found(ledger: Ledger) -> TamperedError:
    """Return what verification finds."""
    with pytest.raises(TamperedError) as raised:
        ledger.verify()
    return raised.value


def test_the_digests_are_the_contracts(chain: Ledger, path: Path) -> None:
    """Every digest is the SHA-256 of the one before, a line break, and the row's canonical JSON."""
    del chain
    stored = raw.rows(path)
    previous, expected = "0" * 64, []
    for row in stored:
        previous = raw.digest(previous, row)
        expected.append(previous)

    assert 13 == len(stored)
    assert expected == [row["digest"] for row in stored]


def test_ids_and_seqs_have_no_gaps(chain: Ledger, path: Path) -> None:
    """Ids count from 1, and so does seq within each cancellation; both are null where there is none."""
    del chain
    stored = raw.rows(path)
    seqs: dict[Any, list[Any]] = {}
    for row in stored:
        seqs.setdefault(row["cancellation"], []).append(row["seq"])

    assert list(range(1, 14)) == [row["id"] for row in stored]
    assert {1: list(range(1, 9)), 2: [1, 2, 3], None: [None, None]} == seqs


def test_times_are_text_that_sorts(chain: Ledger, path: Path) -> None:
    """Times are written to the microsecond, in UTC, and never go back."""
    del chain
    times = [row["at"] for row in raw.rows(path)]

    assert "2026-01-02T03:04:05.000000Z" == times[0]
    assert sorted(times) == times
    assert {27} == {len(time) for time in times}


def test_an_untouched_chain_holds(chain: Ledger, path: Path) -> None:
    """Verification counts the events and the cancellations, and names the head."""
    found = chain.verify()

    assert (13, 2, raw.rows(path)[-1]["digest"]) == (found.events, found.cancellations, found.head)


def test_an_empty_chain_holds(ledger: Ledger) -> None:
    """A new ledger verifies, and its head is 64 zeros."""
    found = ledger.verify()

    assert (0, 0, "0" * 64) == (found.events, found.cancellations, found.head)
    assert GENESIS == "0" * 64


def other(name: str, value: Any) -> Any:
    """Return another value of the same column."""
    if name in {"id", "cancellation", "seq"}:
        return 100 if value is None else value + 100
    if name == "body":
        return value.replace('"v":1', '"v":2')
    if name == "digest":
        return value[::-1]
    return value[:-2] + ("1Z" if value[-2:] != "1Z" else "2Z")


COLUMNS = ("id", "cancellation", "seq", "at", "actor", "kind", "body", "digest")


@pytest.mark.parametrize("event", range(1, 14))
@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_column_is_found(chain: Ledger, path: Path, column: str, event: int) -> None:
    """Whichever column of whichever event is edited, verification names that event."""
    value = raw.rows(path)[event - 1][column]
    with raw.forging(path) as connection:
        connection.execute(f"update events set {column} = ? where id = ?", (other(column, value), event))  # noqa: S608

    assert other(column, value) != value
    assert event == found(chain).event


@pytest.mark.parametrize("column", ["cancellation", "seq"])
def test_a_number_that_was_taken_away_is_found(chain: Ledger, path: Path, column: str) -> None:
    """An event that lost its cancellation or its seq is named."""
    with raw.forging(path) as connection:
        connection.execute(f"update events set {column} = null where id = 5")  # noqa: S608

    assert 5 == found(chain).event


@pytest.mark.parametrize("event", [1, 6, 12])
def test_a_removed_event_is_found(chain: Ledger, path: Path, event: int) -> None:
    """An event that is gone from the middle is named."""
    with raw.forging(path) as connection:
        connection.execute("delete from events where id = ?", (event,))

    assert event == found(chain).event


@pytest.mark.parametrize("event", [1, 4, 12])
def test_swapped_events_are_found(chain: Ledger, path: Path, event: int) -> None:
    """Of two events that changed places the first is named."""
    with raw.forging(path) as connection:
        connection.execute("update events set id = -1 where id = ?", (event,))
        connection.execute("update events set id = ? where id = ?", (event, event + 1))
        connection.execute("update events set id = ? where id = -1", (event + 1,))

    assert event == found(chain).event


@pytest.mark.parametrize("event", [1, 6, 13])
def test_an_inserted_event_is_found(chain: Ledger, path: Path, event: int) -> None:
    """An event that was slipped in is named, even with a digest that fits the one before."""
    stored = raw.rows(path)
    previous = stored[event - 2]["digest"] if event > 1 else GENESIS
    made = {**stored[event - 1], "cancellation": None, "seq": None, "kind": "refused", "id": event}
    made["digest"] = raw.digest(previous, made)
    with raw.forging(path) as connection:
        for identity in range(len(stored), event - 1, -1):
            connection.execute("update events set id = ? where id = ?", (identity + 1, identity))
        names = ", ".join(made)
        connection.execute(f"insert into events ({names}) values ({', '.join('?' * len(made))})", tuple(made.values()))  # noqa: S608

    assert event + 1 == found(chain).event


REWRITTEN = [
    ("update events set at = '2026-01-02T03:04:04.000000Z' where id = 7", 7, "lies before"),
    ("update events set seq = 100 where id = 7", 7, "out of order"),
    ("update events set cancellation = null where id = 7", 7, "do not go together"),
    ("update events set id = 99 where id = 13", 13, "event 13 is missing"),
]


@pytest.mark.parametrize(("sql", "event", "said"), REWRITTEN)
def test_a_rewritten_chain_still_has_its_rules(chain: Ledger, path: Path, sql: str, event: int, said: str) -> None:
    """Order, time and numbering are checked of themselves, even where every digest was made anew."""
    with raw.forging(path) as connection:
        connection.execute(sql)
    raw.forge(path)
    error = found(chain)

    assert event == error.event
    assert said in error.message


@pytest.mark.parametrize(
    "body", ['{"v": 1}', '{"v":1 }', '{"v":1}\n', '{"z":1,"v":1}', '{"v":1,"x":"\\u00e9"}', '{"v":1,"v":1}']
)
def test_a_body_that_is_not_canonical_is_found(chain: Ledger, path: Path, body: str) -> None:
    """A body written in another way is named, although its digest is the same."""
    with raw.forging(path) as connection:
        connection.execute("update events set body = ? where id = 13", (body,))
    raw.forge(path)
    error = found(chain)

    assert (13, "event 13: its body is not canonical JSON") == (error.event, error.message)


@pytest.mark.parametrize("column", COLUMNS[3:])
@pytest.mark.parametrize("value", [b"\x00\xff", b'{"v":1}', "NaN", '{"v":1,"x":Infinity}', "", "[" * 100_000])
def test_what_the_ledger_never_writes_is_found(chain: Ledger, path: Path, column: str, value: object) -> None:
    """Bytes, words that JSON does not have, and endless nesting are named, and do not break the verification."""
    with raw.forging(path) as connection:
        connection.execute(f"update events set {column} = ? where id = 5", (value,))  # noqa: S608

    assert 5 == found(chain).event


def test_a_whole_new_chain_has_another_head(chain: Ledger, path: Path) -> None:
    """Whoever rewrites an event and all digests after it cannot keep the head, which outside witnesses know."""
    before = chain.verify()
    with raw.forging(path) as connection:
        connection.execute("update events set actor = 'U0IVY' where kind = 'refused'")
    raw.forge(path)
    after = chain.verify()

    assert (before.events, before.cancellations) == (after.events, after.cancellations)
    assert before.head != after.head


def test_the_first_fault_is_named(chain: Ledger, path: Path) -> None:
    """Of several touched events the first is named."""
    with raw.forging(path) as connection:
        connection.execute("update events set actor = 'x' where id in (4, 8, 12)")

    assert 4 == found(chain).event


@pytest.mark.parametrize("cut", [0, 1])
def test_a_long_chain_is_walked_page_by_page(ledger: Ledger, path: Path, cut: int) -> None:
    """A chain longer than a page verifies, and a row that is gone at the border of two pages is named."""
    with ledger._store.writing():
        for _ in range(PAGE + 5):
            ledger.append(OF_NOTHING)

    assert PAGE + 5 == ledger.verify().events
    with raw.forging(path) as connection:
        connection.execute("delete from events where id = ?", (PAGE + cut,))
    assert PAGE + cut == found(ledger).event


def test_rows_may_come_from_anywhere(chain: Ledger, path: Path) -> None:
    """Verification needs nothing but rows in order: an export verifies as the database does."""
    assert [row["id"] for row in raw.rows(path)] == [chained.row["id"] for chained in walk(raw.rows(path))]
    assert 13 == chain.head()


def test_verification_changes_nothing(chain: Ledger, path: Path) -> None:
    """Verification reads and writes nothing."""
    before = raw.rows(path)
    chain.verify()

    assert before == raw.rows(path)
