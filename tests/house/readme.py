"""The blocks of the README that come from the code; run as a program (`make readme`), it writes them anew.

A block is a marker with a fenced block, a table or the addresses of links under it:

    <!-- help: ota-bot run -->   the command's `--help`
    <!-- commands -->            a table of what can be typed after /ota-cancel
    <!-- parameters -->          a table of what the clouds' documents ask for, and the test of each
    <!-- comparison -->          how other systems have somebody approve something; and its notes, sources and links
    <!-- output: ota-bot audit list -->   what an auditor's command prints, on a ledger with three cancellations
    <!-- config -->              an example that the bot can load; written by hand
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final
from unittest import mock

from bot.cli import parser
from bot.domain.command import FORMS, usage
from bot.domain.words import COMMAND
from tests.documents.parameters import table
from tests.house.comparison import comparison
from tests.house.outputs import outputs
from tests.house.tree import ROOT

README: Final = ROOT / "README.md"
SHOWN: Final = (
    "ota-bot audit verify --witness audit.json",
    "ota-bot audit list --person U0ANN",
    "ota-bot audit show 2",
    "ota-bot audit export 2 --to evidence-2",
)
"""The commands whose output is shown."""
BLOCK: Final = re.compile(
    r"^<!-- (?P<marker>[^>\n]+) -->\n+"
    r"(?P<body>```\w*\n(?:(?!```).*\n)*```$|(?:\|.*(?:\n|\Z))+|(?:\[\w+\]: .*(?:\n|\Z))+)",
    re.MULTILINE,
)


def programs(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a command and all commands within it."""
    yield command
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for nested in dict.fromkeys(action.choices.values()):
                yield from programs(nested)


def help_of(command: argparse.ArgumentParser) -> str:
    """Return a command's help as a terminal of 80 columns shows it."""
    with mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}):
        return command.format_help()


def command_table() -> str:
    """Return the table of what can be typed, from the forms that read it."""
    rows = [(f"`{COMMAND} {usage(form)}".rstrip() + "`", form.summary) for form in FORMS]
    cells = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in rows]
    return "\n".join(["| type | and it |", "|---|---|", *(f"| {row} |" for row in cells), ""])


def generated() -> Mapping[str, str]:
    """Return what must stand under each marker, but for the config, which is written by hand."""
    helps = {f"help: {command.prog}": f"```text\n{help_of(command)}```" for command in programs(parser())}
    shown = {f"output: {command}": printed for command, printed in outputs(SHOWN).items()}
    return {**helps, **shown, "commands": command_table(), "parameters": table(), **comparison()}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield each marker of a text with what stands under it."""
    for block in BLOCK.finditer(text):
        yield block["marker"], block["body"]


def renewed(text: str) -> str:
    """Return the text with every generated block as the code has it now."""
    current = generated()
    return BLOCK.sub(
        lambda block: block[0].removesuffix(block["body"]) + current.get(block["marker"], block["body"]), text
    )


def main() -> int:
    """Write the README anew, and say whether it changed."""
    before = README.read_text()
    after = renewed(before)
    README.write_text(after)
    sys.stdout.write("README.md is as it was\n" if before == after else "README.md was written anew\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
