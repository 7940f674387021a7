"""Text from people and clouds is harmless in Slack, whatever it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.escape import code, cut, mention, plain, safe, trim

ENTITY = re.compile(r"&(?!(?:amp|lt|gt);)")


@given(st.text())
def test_safe_text_holds_nothing_live(text: str) -> None:
    """No `<` or `>` is left, and every `&` begins one of Slack's three entities."""
    made = safe(text)

    assert not set("<>") & set(made)
    assert None is ENTITY.search(made)


DRAWN = re.compile(r"[*~`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^\s*(?:>|&gt;)|:[a-z0-9_+-]+:", re.MULTILINE | re.ASCII)
"""What Slack draws instead of showing it: bold, struck, code, italic, a quote, an emoji."""


@given(st.one_of(st.text(), st.text(alphabet="*_~`>: \nab1&")))
def test_safe_text_is_shown_as_it_was_written(text: str) -> None:
    """Whatever the text, Slack draws nothing of it: each character stands there, or one that looks the same."""
    made = safe(text)
    read = made.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    assert None is DRAWN.search(made)
    assert len(plain(text, 2000)) == len(read)


@given(st.from_regex(r"[A-Za-z0-9]+([_.#-][A-Za-z0-9]+)*", fullmatch=True))
def test_ids_are_left_as_they_are(text: str) -> None:
    """What a person may want to copy from a line is what was written."""
    assert plain(text, 2000) == safe(text)


@given(st.text(alphabet="&<a", min_size=1), st.integers(1, 20))
def test_no_escape_is_ever_split(text: str, most: int) -> None:
    """Cut first and escaped afterwards: what is read has at most so many characters, and none of them is half."""
    made = safe(text, most)
    read = made.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    assert cut(text, most) == read
    assert len(read) <= most


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U0LEA>", "&lt;@U0LEA&gt;"),
        ("<https://evil|good>", "&lt;https://evil|good&gt;"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ("a\u202eb\u200bc\x00d\ufeff\ud800e", "abcde"),
        ("two\nlines \r\n\u2028\x85 of four", "two lines of four"),
        ("*now* ~or~ `never`", "\u2217now\u2217 \u223cor\u223c 'never'"),
        ("_very_ snake_case", "\u02cdvery\u02cd snake_case"),
        ("> it said\n> a > b", "\u203a it said &gt; a &gt; b"),
        (":fire: at 12:30", "\u2236fire: at 12:30"),
        ("see https://a.example/x: http://b.example", "see https://a.example/x: http://b.example"),
    ],
)
def test_what_becomes_of_it(text: str, shown: str) -> None:
    """Three characters are escaped, what draws has a lookalike, and what a reader cannot see is dropped."""
    assert shown == safe(text)


def test_plain_text_is_not_escaped() -> None:
    """A plain_text object shows entities as they stand, so nothing is escaped for it."""
    assert "a < b & c" == plain("a < b & c")


@given(st.text())
def test_a_code_span_cannot_be_left(text: str) -> None:
    """A back-tick within would end the span; there is one at each end and none between."""
    made = code(text)

    assert made.startswith("`")
    assert made.endswith("`")
    assert 2 == made.count("`")
    assert not set("<>") & set(made)


@pytest.mark.parametrize(
    ("text", "most", "made"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abcd", 1, "…"), ("", 3, "")]
)
def test_a_cut_says_so(text: str, most: int, made: str) -> None:
    """What was too long ends with an ellipsis, which counts."""
    assert made == cut(text, most)


@pytest.mark.parametrize("actor", ["U0ANN", "W012ABCDEF"])
def test_people_are_mentioned(actor: str) -> None:
    """A Slack id becomes a mention."""
    assert f"<@{actor}>" == mention(actor)


@pytest.mark.parametrize("group", ["S0LEADS", "S012ABCDEF"])
def test_groups_are_mentioned(group: str) -> None:
    """A user group's id becomes a mention of the group."""
    assert f"<!subteam^{group}>" == mention(group)


@pytest.mark.parametrize(
    "actor", ["bot", "cli:ann", "U0ANN> <!channel", "S0LEADS> <!here", "C0OPS", "u0ann", "s0leads", "U", "S", "S1", ""]
)
def test_nobody_else_is(actor: str) -> None:
    """Whatever is neither a person's id nor a group's is shown as text, and cannot smuggle a mention in."""
    assert safe(actor) == mention(actor)
    assert not set("<>") & set(mention(actor))


@pytest.mark.parametrize(
    ("text", "most", "made"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("a&amp;b", 6, "a…"),
        ("a&amp;bc", 7, "a&amp;…"),
        ("a<@U0ANN>b", 8, "a…"),
        ("a<@U0ANN>bc", 10, "a<@U0ANN>…"),
    ],
)
def test_finished_text_is_trimmed_between_escapes(text: str, most: int, made: str) -> None:
    """What is escaped already is cut where no escape and no mention is split."""
    assert made == trim(text, most)
