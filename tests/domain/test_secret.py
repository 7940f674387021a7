"""Secrets do not get out by accident."""

import copy
import json
from dataclasses import asdict
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.secret import HIDDEN, LONGEST_MESSAGE, Secret, redact
from tests.builders import ACCOUNT, account

VALUE = "se/cr+et= ~é%"


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(VALUE)),
        str(Secret(VALUE)),
        f"{Secret(VALUE)}",
        f"{Secret(VALUE)!r:>3}",
        "%s" % Secret(VALUE),  # noqa: UP031 - one of the ways things get printed
        "".join(map(str, [Secret(VALUE)])),
    ],
)
def test_a_secret_shows_stars(shown: str) -> None:
    """However a secret is printed, three stars are shown."""
    assert HIDDEN == shown


@pytest.mark.parametrize(
    "shown", [repr([Secret(VALUE)]), repr(account(key_secret=Secret(VALUE))), repr(asdict(ACCOUNT))]
)
def test_a_secret_inside_something_shows_stars(shown: str) -> None:
    """A secret within an account or a list is not printed either."""
    assert HIDDEN in shown
    assert VALUE not in shown
    assert ACCOUNT.key_secret.reveal() not in shown


def test_a_secret_is_not_json() -> None:
    """A secret cannot be written as JSON by mistake, and the error does not name it."""
    with pytest.raises(TypeError) as raised:
        json.dumps({"secret": Secret(VALUE)})

    assert VALUE not in str(raised.value)


def test_a_secret_is_used_by_asking_for_it() -> None:
    """`reveal` gives the value, and equal values make equal secrets."""
    assert VALUE == Secret(VALUE).reveal() == copy.deepcopy(Secret(VALUE)).reveal()
    assert {Secret("a"), Secret("b")} == {Secret("a"), Secret("a"), Secret("b")}
    assert VALUE != Secret(VALUE)


@pytest.mark.parametrize(
    "echoed",
    [VALUE, quote(VALUE), quote(VALUE, safe=""), quote_plus(VALUE), quote(VALUE, safe="").lower(), VALUE.upper()],
)
def test_a_known_secret_is_hidden(echoed: str) -> None:
    """A known secret becomes stars in plain and in every percent-encoded form, in large and small letters."""
    assert f"key {HIDDEN} is wrong" == redact(f"key {echoed} is wrong", [Secret(VALUE)])


@pytest.mark.parametrize("secrets", [["abc", "abcdef"], ["abcdef", "abc"]])
def test_a_secret_within_a_secret_leaves_nothing(secrets: list[str]) -> None:
    """Where one secret is the beginning of another, the whole of the longer one is hidden."""
    assert f"<{HIDDEN}> <{HIDDEN}>" == redact("<abcdef> <abc>", map(Secret, secrets))


@pytest.mark.parametrize("words", ["string to sign", "String To Sign", "STRING TO SIGN"])
@pytest.mark.parametrize("before", ["does not match. server ", "İ" * 30, ""])
def test_the_string_to_sign_is_dropped(words: str, before: str) -> None:
    """Everything after "string to sign" is dropped, whatever letters stand before it."""
    found = redact(f"{before}{words} is:POST&%2F&AccessKeyId%3DLTAI", [])

    assert f"{before}string to sign {HIDDEN}" == found


def test_a_message_is_cut() -> None:
    """A message is kept to 500 characters, cut after the secrets are gone."""
    text = "x" * (LONGEST_MESSAGE - 2) + VALUE

    assert "x" * 500 == redact("x" * 501, [])
    assert "x" * 498 + "**" == redact(text, [Secret(VALUE)])


@pytest.mark.parametrize("secrets", [[], [Secret("")]])
def test_an_empty_secret_hides_nothing(secrets: list[Secret]) -> None:
    """An empty secret does not put stars between all letters."""
    assert "plain words" == redact("plain words", secrets)


@given(
    st.text(max_size=30), st.text(min_size=4, max_size=20).filter(lambda text: "*" not in text), st.text(max_size=30)
)
@example("", ".+*"[:2] + "()", "")
@settings(deadline=None, max_examples=200, derandomize=True)
def test_no_secret_survives(before: str, value: str, after: str) -> None:
    """Whatever stands around it, a secret is not found in what is stored."""
    assert value not in redact(f"{before}{value}{after}", [Secret(value)])
