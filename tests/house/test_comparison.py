"""The README's comparison rests on what was read, and this bot's side of it on tests."""

import pytest

from tests.house.comparison import LETTERS, REFERENCE, ROWS, SOURCES, SYSTEMS, Row, cells, comparison, legend
from tests.house.readme import BLOCK, README, blocks
from tests.house.tree import ROOT


def prose() -> str:
    """Return what is written by hand in the README's section."""
    section = README.read_text().partition("\n## How the second person compares\n")[2].partition("\n## ")[0]
    return BLOCK.sub("", section)


def test_every_capital_of_the_others_was_read() -> None:
    """Each capital letter of another system, and each wish of its users, names what was read for it."""
    wrong = [
        f"{row.feature}, {system}"
        for row in ROWS
        for system in SYSTEMS
        for cell in [row.other(system)]
        if (cell.letter.isupper() or cell.letter == "asked") and not cell.sources
    ]

    assert [] == wrong


@pytest.mark.parametrize("row", ROWS, ids=[row.feature for row in ROWS])
def test_our_own_letters_are_tested(row: Row) -> None:
    """Each letter of this bot names files of tests, and they exist."""
    assert row.ours.letter.isupper()
    assert row.ours.tests
    assert [] == [test for test in row.ours.tests if not (ROOT / test).is_file()]


def test_letters_and_columns_are_known() -> None:
    """Each cell has one of the letters that the README explains, in a column that there is."""
    assert set() == {cell.letter for cell in (*cells(), *(row.ours for row in ROWS))} - LETTERS
    assert set() == {system for row in ROWS for system in row.others} - SYSTEMS.keys()


def test_every_number_leads_somewhere() -> None:
    """Each source that a cell or the README's prose names has an address, and nothing is listed that none names."""
    named = {number for cell in cells() for number in cell.sources}
    written = set(REFERENCE.findall(prose()))

    assert set() == (named | written) ^ SOURCES.keys()
    assert [] == [number for number, source in SOURCES.items() if not source.url.startswith("https://")]


def test_the_readme_has_it_as_it_is() -> None:
    """The README's section has the tables and addresses of today, and says what each column stands for."""
    text = README.read_text()
    shown = dict(blocks(text))

    assert comparison() == {marker: shown.get(marker) for marker in comparison()}, "run `make readme`"
    assert legend() in " ".join(prose().split())
