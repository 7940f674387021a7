"""The README says what the code does: its commands, their help, the words of the slash command, the config."""

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bot.cli import parser
from bot.config import Need, parse
from tests.house.readme import README, blocks, generated

LINE: Final = re.compile(r"(?:^[$ ]*|`)(?:\.venv/bin/)?ota-bot((?: [^`\n#]+)?)", re.MULTILINE)
"""A call of ota-bot: at the start of a line of a fenced block, or in a code span."""


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words after each `ota-bot` of the README that somebody may type."""
    fenced = "\n".join(re.findall(r"^```(?!toml)\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    spans = " ".join(re.findall(r"`[^`\n]+`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)))
    for call in LINE.finditer(f"{fenced}\n{spans}"):
        yield call[1].split()


def nested(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the commands within a command, by name."""
    return {
        name: within
        for action in command._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, within in action.choices.items()
    }


def unknown(words: list[str]) -> list[str]:
    """Return the words of a call that ota-bot does not know: commands (`verify|list` is both) and options."""
    command, options = parser(), set(parser()._option_string_actions)
    for word in words:
        if not nested(command):
            break
        alternatives = re.split(r"\\?\|", word)
        if wrong := [name for name in alternatives if name not in nested(command) and name not in options]:
            return wrong
        command = nested(command).get(alternatives[0], command)
    options |= set(command._option_string_actions)
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]


def test_every_command_exists() -> None:
    """Each `ota-bot …` of the README is a command with options that ota-bot has."""
    found = list(calls(README.read_text()))

    assert found
    assert [] == [" ".join(words) for words in found if unknown(words)]


def test_every_command_shows_its_help() -> None:
    """The README shows the help of `ota-bot` and of each of its commands, the slash command's words and a config."""
    shown = [marker for marker, _ in blocks(README.read_text())]
    wanted = {"help: ota-bot", *(f"help: ota-bot {name}" for name in nested(parser())), "commands", "config"}

    assert set() == wanted - set(shown)
    assert sorted(set(shown)) == sorted(shown)
    assert set() == set(shown) - set(generated()) - {"config"}


def test_generated_blocks_are_current() -> None:
    """Help texts and command table stand in the README as the code prints them now."""
    current = generated()

    for marker, body in blocks(README.read_text()):
        assert current.get(marker, body) == body, f"run `make readme`: {marker}"


def test_the_config_loads(tmp_path: Path) -> None:
    """Each config of the README is complete: with its secrets given, nothing is wrong with it."""
    bodies = [body for marker, body in blocks(README.read_text()) if marker == "config"]

    assert bodies
    for body in bodies:
        text = body.partition("\n")[2].rpartition("\n")[0]
        secrets = {name: f"stand-in-for-{name}" for name in re.findall(r'"env:(\w+)"', text)}
        secrets |= {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": "1"}
        assert parse(tomllib.loads(text), folder=tmp_path, environ=secrets, needs=frozenset(Need)).accounts


def test_every_link_leads_somewhere() -> None:
    """Each relative link of the documents at the top leads to a file or folder of the repository."""
    top = README.parent
    links = {
        (page.name, link)
        for page in sorted(top.glob("*.md"))
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    }

    assert ("SECURITY.md", "tests/domain/test_secret.py") in links
    assert [] == sorted((page, link) for page, link in links if not (top / link).exists())
