"""House rules that neither the linter nor the import contracts can hold."""

import ast
import re
from typing import Final

from tests.house.tree import sources

LONGEST_FILE: Final = 400
BANNED: Final = {"data", "helper", "helpers", "info", "manager", "service", "util", "utils"}
CLOCKS: Final = {"fromtimestamp", "now", "today", "utcnow"}


def words(name: str) -> set[str]:
    """Split `snake_case` and `CamelCase` into lower-case words."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def test_files_fit_in_a_head() -> None:
    """No file of the bot is longer than 400 lines."""
    long = [f"{source.path}: {lines}" for source in sources() if (lines := source.text.count("\n")) > LONGEST_FILE]

    assert [] == long


def test_the_environment_is_read_in_one_place() -> None:
    """Only the commands and the config read environment variables."""
    elsewhere = [source for source in sources() if source.room not in {"cli", "config"}]
    names = {f"os.{name}" for name in ("environ", "environb", "getenv", "getenvb")}
    found = [
        source.at(node)
        for source in elsewhere
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in names
    ] + [source.at(node) for source in elsewhere for name, node in source.imports() if name in names]

    assert [] == found


def test_only_commands_print() -> None:
    """Nothing prints but the commands and the playground: the rest reports or logs."""
    found = [
        source.at(node)
        for source in sources()
        if source.room not in {"cli", "playground"}
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert [] == found


def test_names_say_something() -> None:
    """No module and no class is named with a word that fits everything."""
    named = [(source.path.stem, str(source.path)) for source in sources()] + [
        (node.name, source.at(node))
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    ]

    assert [] == [f"{where}: {name}" for name, where in named if words(name) & BANNED]


def test_the_domain_has_no_clock() -> None:
    """The domain may calculate with times, but is told what time it is."""
    found = [
        source.at(node)
        for source in sources()
        if source.room == "domain"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCKS
        and isinstance(node.value, ast.Name | ast.Attribute)
        and ast.unparse(node.value).rpartition(".")[2] in {"date", "datetime"}
    ]

    assert [] == found


def test_the_internet_has_one_window() -> None:
    """The standard library's own HTTP clients are used by nobody but the clouds and their stand-ins.

    The import contracts hold this for requests; of the standard library they see top-level names alone, and
    `urllib.parse` is harmless.
    """
    found = [
        f"{source.at(node)}: {name}"
        for source in sources()
        if source.room not in {"clouds", "playground"}
        for name, node in source.imports()
        if name.startswith(("urllib.request", "http.client"))
    ]

    assert [] == found
