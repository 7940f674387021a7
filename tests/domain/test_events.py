"""Canonical JSON and times, as the ledger hashes them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.events import Kind, canonical, stamp, whole

HIGH, LOW = "\ud83d", "\ude00"
texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(min_value=-(2**70), max_value=2**70) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ({"z": {"y": 1, "x": 2}}, '{"z":{"x":2,"y":1}}'),
        ("中文 é \U0001f600", '"中文 é \U0001f600"'),
        ('a\x00\n"\\/', '"a\\u0000\\n\\"\\\\/"'),
        (f"a{HIGH}b", '"a\ufffdb"'),
        (f"a{LOW}b", '"a\ufffdb"'),
        (f"{LOW}{HIGH}", '"\ufffd\ufffd"'),
        (f"{HIGH}{HIGH}", '"\ufffd\ufffd"'),
        (f"{HIGH}{LOW}", '"\U0001f600"'),
        ("\ufeffx", '"\ufeffx"'),
        ({HIGH: 1, "\ue000": 2}, '{"\ue000":2,"\ufffd":1}'),
        (2**64, "18446744073709551616"),
    ],
)
def test_canonical_json(value: Any, text: str) -> None:
    """Names are sorted, nothing is spaced, text is UTF-8 with each lone surrogate replaced by U+FFFD."""
    assert text == canonical(value)


@given(values)
@settings(deadline=None, max_examples=300, derandomize=True)
def test_canonical_json_is_canonical(value: Any) -> None:
    """What was read back from canonical JSON is written exactly so again: a row that was stored always verifies."""
    text = canonical(value)

    assert text == canonical(json.loads(text))


@given(values)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_canonical_json_can_be_stored(value: Any) -> None:
    """Canonical JSON has no lone surrogate, no line break and no control character, whatever went in."""
    text = canonical(value)

    assert text == text.encode().decode()
    assert not any(ord(character) < 0x20 for character in text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": float("-inf")}])
def test_what_json_has_no_word_for_is_an_error(value: Any) -> None:
    """Not-a-number and infinity are never written, because nobody else could read them."""
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(value)


@given(st.lists(st.sampled_from([HIGH, LOW, "a", "\U0001f600", "\ufffd"]), max_size=8).map("".join))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_whole_text_keeps_everything_else(text: str) -> None:
    """Only lone surrogates are replaced, each by one character; pairs become what they stand for."""
    expected = text.replace(HIGH + LOW, "\U0001f600").replace(HIGH, "\ufffd").replace(LOW, "\ufffd")

    assert expected == whole(text)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "2026-12-31T23:59:59.999999Z"),
    ],
)
def test_times_sort_as_text(at: datetime, text: str) -> None:
    """A time is written with all six digits, so that times sort as text."""
    assert text == stamp(at)


def test_no_kind_was_renamed() -> None:
    """The kinds of the contract are all there, by their names."""
    named = (
        "refused requested previewed confirmed approved rejected withdrawn expired started call_sent call_finished"
        " stopped verified finished retried voided broke_glass guard_changed checkpoint"
    )

    assert set() == set(named.split()) - {kind.value for kind in Kind}
