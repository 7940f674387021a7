"""Lists of device names, as people's spreadsheets and consoles write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.errors import UsageError
from bot.domain.names import MOST_NAMES, read_names

HEADINGS = ("device", "devices", "devicename", "device_name", "device name", "devicekey", "name")
names = st.sets(st.text("abcXYZ019-_.:@", min_size=1, max_size=64), min_size=1)


@pytest.mark.parametrize(
    "text",
    [
        "a\nb\nc\n",
        "c,b,a",
        "a, b ;c",
        "a , b\n\tc",
        "a\r\nb\r\nc\r\n",
        "  a\n\n\tb\n c  ",
        "a\nb\nc\na\nb",
        "\ufeffa\nb\nc",
        '"a"\n"b"\n"c"',
        "'a','b','c'",
        "a,\nb,\nc,",
        "a;;b;\n;c",
        "a\u2028b\u2029c",
    ],
)
def test_the_ways_to_write_a_list(text: str) -> None:
    """Lines, commas, semicolons, quotes, blanks around and a byte order mark come to the same: sorted, each once."""
    assert ("a", "b", "c") == read_names(text)


@pytest.mark.parametrize(
    "heading", ["DeviceName", "device_name", "DEVICE NAME", '"DeviceName"', "\ufeffDeviceName", "name,", "devices\t"]
)
@pytest.mark.parametrize("before", ["", "\n", " \r\n\n"])
def test_a_heading_is_no_name(heading: str, before: str) -> None:
    """A heading above the names is left out, after empty lines, too."""
    assert ("a", "b") == read_names(f"{before}{heading}\na\nb")


def test_only_the_first_line_is_a_heading() -> None:
    """A device that is called `name` is one, wherever it does not stand for a heading."""
    assert ("a", "name") == read_names("a\nname")
    assert ("Device", "a") == read_names("Device,a")


@pytest.mark.parametrize("between", [" ", "\t", "  ", "\u3000"])
def test_a_blank_separates_nothing(between: str) -> None:
    """Two words in a line are no two devices: the line is refused, and quoted with its number."""
    with pytest.raises(UsageError) as refused:
        read_names(f"pump-1\npump-2{between}pump-3\n")

    assert "in line 2. Nothing was changed." in str(refused.value)
    assert "pump-3" in str(refused.value)


def test_case_is_kept() -> None:
    """Names that differ in case are different devices."""
    assert ("A", "a") == read_names("a\nA")


def test_what_is_no_name_is_quoted_with_its_line() -> None:
    """What cannot be a device's name is quoted with the line that it stands in, and nothing is taken."""
    with pytest.raises(UsageError) as refused:
        read_names("a\nb<c\nd\n" + "x" * 65)

    assert "“b<c” in line 2, “" + "x" * 39 + "…” in line 4. Nothing was changed." in str(refused.value)


def test_not_all_that_is_wrong_is_quoted() -> None:
    """Of many wrong names five are quoted, and the others counted."""
    with pytest.raises(UsageError) as refused:
        read_names("\n".join(f"<{number}>" for number in range(1, 1507)))

    assert "“<5>” in line 5 and 1,501 more. Nothing was changed." in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n \n", ",;,", "DeviceName", "\ufeff", '""'])
def test_nothing_is_no_list(text: str) -> None:
    """A file without a name in it is refused, and so is a heading alone."""
    with pytest.raises(UsageError, match="There is no device name in it"):
        read_names(text)


@pytest.mark.parametrize("text", ["a\x00b", "a\u200bb", "a\ud800b", "a\u202eb", 'a"b', "a\\b"])
def test_unseen_characters_are_no_part_of_a_name(text: str) -> None:
    """A name with a character that nobody sees, or that ends a quotation, is refused and not mended."""
    with pytest.raises(UsageError, match="in line 1"):
        read_names(text)


def test_a_hundred_thousand_are_the_most() -> None:
    """100,000 different names are taken, one more is refused with the number; a name twice counts once."""
    lines = [f"d{number}" for number in range(MOST_NAMES)]

    assert MOST_NAMES == len(read_names("\n".join([*lines, "d1"])))
    with pytest.raises(UsageError, match="100,001 names are more than 100,000"):
        read_names("\n".join([*lines, "one-more"]))


@given(names, st.sampled_from(["\n", "\r\n", ",", ";", " \n", " , "]), st.sampled_from(["", '"', "'"]))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_what_is_written_is_read(given_names: set[str], between: str, quote: str) -> None:
    """However a set of names is written, exactly that set is read."""
    text = between.join(f"{quote}{name}{quote}" for name in given_names)

    assert tuple(sorted(given_names)) == read_names(text)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever a file holds, it is a sorted list of distinct names or a sentence for a person."""
    found: tuple[str, ...] = ()
    said = "Nothing was changed."
    try:
        found = read_names(text)
    except UsageError as refused:
        said = str(refused)

    assert said.endswith(("Nothing was changed.", "Split the list."))
    assert said.isprintable()
    assert sorted(set(found)) == list(found)
    assert all(name.isprintable() and 1 <= len(name) <= 64 and not set(name) & set(" ,\"'<>\\") for name in found)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_the_devices_column_of_a_table(between: str) -> None:
    """Of a table the devices' column is read, as in the bot's own file of what was not cancelled."""
    rows = (("job", "device", "why"), ("J1", "'+pump-2", "failed, twice"), ("J1", "pump-1", ""))
    text = "\n".join(between.join(f'"{cell}"' for cell in row) for row in rows)

    assert ("+pump-2", "pump-1") == read_names(text)
