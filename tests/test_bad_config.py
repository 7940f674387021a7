"""Whatever the file holds: settings or named problems, and never a secret among them."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config import parse
from bot.domain.errors import ConfigError
from tests.test_config import BOTH, ENVIRON, EXAMPLE

WRITTEN: Final = "xoxb-written-into-the-file"
SECRET_KEYS: Final = frozenset({"bot_token", "app_token", "signing_secret", "key_id", "key_secret", "security_token"})
TIMES: Final = tomllib.loads("a = 1979-05-27T07:32:00Z\nb = 1979-05-27\nc = 07:32:00")
JUNK: Final[tuple[Any, ...]] = (
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x" * 100_000,
    "\u202e\x00\r\n[accounts.b]",
    [],
    {},
    [[]],
    [{}],
    {"": {"": [{}]}},
    *TIMES.values(),
)
"""Of each type that TOML has, and of each size."""


def problems_of(tables: dict[str, Any]) -> tuple[str, ...]:
    """Read the tables and return what is wrong with them."""
    try:
        parse(tables, folder=Path("/tmp"), environ=ENVIRON, needs=BOTH)  # noqa: S108 - nothing is written there
    except ConfigError as error:
        return error.problems
    return ()


def places(table: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each key of a table and of those within it, with the table that has it."""
    for key, value in list(table.items()):
        yield table, key
        if isinstance(value, dict):
            yield from places(value)


def told(problems: tuple[str, ...]) -> bool:
    """Tell whether each problem is one line of a readable length, without a secret."""
    secrets = [*ENVIRON.values(), WRITTEN]
    lines = all(len(problem.splitlines()) == 1 and len(problem) < 5_000 for problem in problems)
    return lines and not any(secret in problem for secret in secrets for problem in problems)


def test_any_type_at_any_key_is_a_problem_that_is_told() -> None:
    """The contract's example with each key, at any depth, of every other type: what is wrong is said on one line."""
    for number in range(len(list(places(tomllib.loads(EXAMPLE))))):
        for junk in JUNK:
            tables = tomllib.loads(EXAMPLE)
            table, key = list(places(tables))[number]
            table[key] = junk

            assert told(problems_of(tables)), (key, junk)


def test_a_secret_that_is_written_into_the_file_is_not_repeated() -> None:
    """Whoever writes a token where a reference belongs, alone or in a list or table, does not find it in a log."""
    for number in range(len(list(places(tomllib.loads(EXAMPLE))))):
        for written in (WRITTEN, [WRITTEN], {"key": WRITTEN}):
            tables = tomllib.loads(EXAMPLE)
            table, key = list(places(tables))[number]
            table[key] = written
            if key in SECRET_KEYS:
                problems = problems_of(tables)

                assert problems, key
                assert told(problems), (key, problems)


values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(JUNK) | st.text(max_size=10) | st.integers() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.data())
def test_several_wrong_things_at_once_are_told(data: st.DataObject) -> None:
    """Several keys of any value, and others that are not known, leave settings or problems on one line each."""
    tables = tomllib.loads(EXAMPLE)
    known = list(places(tables))
    for number in data.draw(st.sets(st.integers(0, len(known) - 1), max_size=6)):
        table, key = known[number]
        table[key] = data.draw(values)
        table[data.draw(st.text(min_size=1, max_size=8))] = data.draw(values)

    assert told(problems_of(tables))
