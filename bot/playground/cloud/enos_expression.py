"""Reads the SQL-like expressions of EnOS's searches: `=`, `in` and `like`, joined with `and`, `or` and parentheses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: What can be asked of a field, as documented for the search of tasks and for that of jobs.
Fields = Mapping[str, frozenset[str]]
_EQUAL, _EITHER, _LIKE = frozenset({"="}), frozenset({"=", "in"}), frozenset({"like"})
_LANGUAGES = ("", ".defaultValue", ".zh_CN", ".en_US")
TASK_FIELDS: Fields = dict.fromkeys(("jobId", "deviceKey", "fromVersion", "toVersion", "status", "desc"), _EITHER)
JOB_FIELDS: Fields = {
    **dict.fromkeys(("productKey", "firmwareId", "firmwareVersion"), _EITHER),
    **dict.fromkeys(("type", "status"), _EQUAL),
    **{f"{name}{language}": _LIKE for name in ("name", "firmwareName") for language in _LANGUAGES},
}

_TOKEN = re.compile(r"""\s*(?:(?P<word>[A-Za-z_][\w.]*)|(?P<text>'[^']*'|"[^"]*")|(?P<sign>[=(),]))""")
_DEEPEST = 50

#: A field's value; None stands for any. A field that is missing is not known.
Row = Mapping[str, str | None]


class ExpressionError(ValueError):
    """An expression that the documents do not allow."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one or several values."""

    field: str
    values: frozenset[str]
    like: bool = False

    def verdict(self, row: Row) -> bool | None:
        """Tell whether the row passes; None if its field is not known."""
        if self.field not in row:
            return None
        found = row[self.field]
        if self.like:
            return found is None or any(value.strip("%").casefold() in found.casefold() for value in self.values)
        return found is None or found in self.values

    def mentioned(self, field: str) -> frozenset[str]:
        """Return the values that `field` is compared with."""
        return self.values if self.field == field else frozenset()


@dataclass(frozen=True, slots=True)
class Joined:
    """Several expressions, all of which must hold, or (`either`) one."""

    parts: tuple["Expression", ...]
    either: bool

    def verdict(self, row: Row) -> bool | None:
        """Tell whether the row passes; None if that depends on what is not known."""
        verdicts = [part.verdict(row) for part in self.parts]
        if self.either in verdicts:
            return self.either
        return None if None in verdicts else not self.either

    def mentioned(self, field: str) -> frozenset[str]:
        """Return the values that `field` is compared with, anywhere."""
        return frozenset[str]().union(*(part.mentioned(field) for part in self.parts))


Expression = Comparison | Joined


def parsed(text: str, fields: Fields) -> Expression:
    """Read an expression over `fields`; an empty one lets everything pass. Raises `ExpressionError`."""
    return _Parser(text, fields).whole() if text.strip() else Joined((), either=False)


class _Parser:
    def __init__(self, text: str, fields: Fields) -> None:
        self._fields = fields
        self._tokens: list[str] = []
        self._depth = 0
        at, text = 0, text.rstrip()
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise ExpressionError(f"unexpected {text[at : at + 1]!r} at {at}")
            self._tokens.append(token[token.lastgroup or 0])
            at = token.end()
        self._tokens.reverse()

    def whole(self) -> Expression:
        found = self._either()
        if self._tokens:
            raise ExpressionError(f"unexpected {self._tokens[-1]}")
        return found

    def _either(self) -> Expression:
        parts = [self._all()]
        while self._meets("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), either=True)

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._meets("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), either=False)

    def _one(self) -> Expression:
        if not self._meets("("):
            return self._test()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("too many parentheses")
        inner = self._either()
        self._expect(")")
        return inner

    def _test(self) -> Expression:
        field, operator = self._next(), self._next().lower()
        if operator not in self._fields.get(field, ()):
            raise ExpressionError(f"{field} {operator} is not supported")
        if operator != "in":
            return Comparison(field, frozenset({self._literal()}), like=operator == "like")
        self._expect("(")
        values = {self._literal()}
        while self._meets(","):
            values.add(self._literal())
        self._expect(")")
        return Comparison(field, frozenset(values))

    def _literal(self) -> str:
        token = self._next()
        if token[0] not in "'\"":
            raise ExpressionError(f"{token} is not a quoted text")
        return token[1:-1]

    def _next(self) -> str:
        if not self._tokens:
            raise ExpressionError("it ends too soon")
        return self._tokens.pop()

    def _meets(self, token: str) -> bool:
        meets = bool(self._tokens) and self._tokens[-1].lower() == token
        if meets:
            self._tokens.pop()
        return meets

    def _expect(self, token: str) -> None:
        if not self._meets(token):
            raise ExpressionError(f"{token} is missing")
