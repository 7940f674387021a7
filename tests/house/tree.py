"""The repository as the house tests see it: its root, and the syntax of every file of the bot."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file of the bot."""

    path: Path
    """Relative to the root of the repository."""
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """Its room: `slack` for `bot/slack/views.py`, `cli` for `bot/cli.py`, `bot` for `bot/__init__.py`."""
        first = Path(self.path.parts[1]).stem
        return "bot" if first == "__init__" else first

    def at(self, node: ast.expr | ast.stmt) -> str:
        """Say where a node stands, in the form editors understand."""
        return f"{self.path}:{node.lineno}"

    def imports(self) -> Iterator[tuple[str, ast.stmt]]:
        """Yield the full name of everything that is imported: `os.environ` for `from os import environ`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((name.name, node) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{name.name}", node) for name in node.names)


@cache
def sources() -> tuple[Source, ...]:
    """Read every Python file under `bot/`."""
    return tuple(
        Source(path=path.relative_to(ROOT), text=text, tree=ast.parse(text))
        for path in sorted((ROOT / "bot").rglob("*.py"))
        for text in [path.read_text()]
    )
