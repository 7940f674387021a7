"""The lock files hold everything that pyproject.toml asks for, and nothing that only one machine can fetch."""

import re
import tomllib
from itertools import chain
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.tree import ROOT

RUNTIME: Final = "requirements.lock"
TEST: Final = "requirements-test.lock"
PIN: Final = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;\\]+)(?P<rest>(?:.*\\\n)+.*)$", re.MULTILINE)
HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def pins(lock: str) -> dict[str, Version]:
    """Return the version that a lock file gives each distribution."""
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in PIN.finditer((ROOT / lock).read_text())}


def wanted(*, test: bool) -> list[Requirement]:
    """Return what pyproject.toml asks for: to build, to run, and to test."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["build-system"]["requires"], project["project"]["dependencies"]]
    if test:
        lists.append(project["project"]["optional-dependencies"]["test"])
    return [Requirement(line) for line in chain.from_iterable(lists)]


@pytest.mark.parametrize(("lock", "test"), [(RUNTIME, False), (TEST, True)])
def test_every_dependency_is_pinned(lock: str, *, test: bool) -> None:
    """Each dependency of pyproject.toml has a version in the lock file, and one that it allows."""
    pinned = pins(lock)
    unmet = [
        str(requirement)
        for requirement in wanted(test=test)
        if (version := pinned.get(canonicalize_name(requirement.name))) is None or version not in requirement.specifier
    ]

    assert [] == unmet, "run `make lock`"


@pytest.mark.parametrize("lock", [RUNTIME, TEST])
def test_every_pin_has_hashes(lock: str) -> None:
    """Each pin names the hashes of its files, so that a changed file is not installed."""
    text = (ROOT / lock).read_text()
    names = re.findall(r"^([a-z0-9][^=\s]*)", text, re.MULTILINE)

    assert names == [pin["name"] for pin in PIN.finditer(text) if HASH.search(pin["rest"])]


def test_tests_run_with_what_runs() -> None:
    """The tests' lock file holds every pin of the bot's, in the same version."""
    assert pins(RUNTIME).items() <= pins(TEST).items()


@pytest.mark.parametrize("lock", [RUNTIME, TEST])
def test_locks_belong_to_no_machine(lock: str) -> None:
    """A lock file names the command that makes it, and neither an index nor a folder."""
    text = (ROOT / lock).read_text()

    assert "#    make lock" == text.splitlines()[1]
    assert [] == re.findall(r"^.*(?://|file:|--index|--find-links|--extra|--trusted).*$", text, re.MULTILINE)
