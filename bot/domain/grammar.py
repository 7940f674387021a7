"""The parts a command line is made of: each can be shown, read from typed words, and written again from an order."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from bot.domain.cursor import Cursor, MisfitError
from bot.domain.order import AskPreview, Order
from bot.domain.words import LONGEST_REASON, Kind, clean_reason


class Part(Protocol):
    """One part of a form."""

    def usage(self) -> str:
        """Show the part in a usage line."""

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take the part's words and return the order's fields they fill, or raise `MisfitError`."""

    def written(self, order: Order) -> str:
        """Write the part in its canonical words; empty where `order` has nothing for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to fill a command line."""

    order: type[Order]
    """What the words make."""
    parts: tuple[Part, ...]
    summary: str
    example: str

    @property
    def verb(self) -> str:
        """The word it begins with; empty for the form of no words."""
        return self.parts[0].usage() if self.parts else ""

    def usage(self) -> str:
        """Show how it is typed."""
        return " ".join(part.usage() for part in self.parts)

    def written(self, order: Order) -> str:
        """Write `order` in its canonical words."""
        return " ".join(filter(None, (part.written(order) for part in self.parts)))

    def writes(self, order: Order) -> bool:
        """Tell whether `order` can be written in this form."""
        needed = (part for part in self.parts if not isinstance(part, Maybe))
        return type(order) is self.order and all(part.written(order) for part in needed)


def written(order: Order, forms: Iterable[Form]) -> str:
    """Write `order` in the first form that can."""
    return next(form.written(order) for form in forms if form.writes(order))


def read(cursor: Cursor, forms: Iterable[Form]) -> Order:
    """Read all words at hand as the first of the forms that fits, or raise `MisfitError`."""
    begin = cursor.at
    prefix = "".join(f"{word.folded} " for word in cursor.words[:begin])
    for form in forms:
        cursor.at = begin
        with suppress(MisfitError):
            return _read_form(cursor, form, prefix)
    raise MisfitError


def _read_form(cursor: Cursor, form: Form, prefix: str) -> Order:
    fields: dict[str, Any] = {}
    for part in form.parts:
        fields |= part.read(cursor)
        if part is form.parts[0]:
            cursor.trying = prefix + form.example
    if cursor.word is not None:
        raise cursor.misfit()
    return form.order(**fields)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that stands for itself."""

    text: str

    def usage(self) -> str:
        """Show the word."""
        return self.text

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take the word."""
        if not cursor.sees(self.text):
            raise cursor.misfit(f"`{self.text}`", (self.text,))
        cursor.at += 1
        return {}

    def written(self, order: Order) -> str:  # noqa: ARG002 - it holds nothing that an order could lack
        """Write the word."""
        return self.text


@dataclass(frozen=True, slots=True)
class One:
    """One word that fills a field of the order."""

    field: str
    kind: Kind

    def usage(self) -> str:
        """Show the placeholder."""
        return f"<{self.kind.placeholder}>"

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take one word."""
        return {self.field: cursor.value(self.kind)}

    def written(self, order: Order) -> str:
        """Write the field's value."""
        return str(getattr(order, self.field) or "")


@dataclass(frozen=True, slots=True)
class Several:
    """A list that fills a field of the order, with commas or `and` between its words."""

    field: str
    kind: Kind
    before: tuple[str, ...] = ()
    """The keywords that may come after the list."""

    def usage(self) -> str:
        """Show the placeholder, and that it may be repeated."""
        return f"<{self.kind.placeholder}>[,<{self.kind.placeholder}>…]"

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take the words up to the first that has neither a comma nor `and` before it."""
        values = [self._value(cursor)]
        while self._separated(cursor):
            values.append(self._value(cursor))
        return {self.field: self.kind.gather(values)}

    def written(self, order: Order) -> str:
        """Write the list with commas."""
        return ",".join(getattr(order, self.field))

    def _value(self, cursor: Cursor) -> Any:
        if self._is_keyword(cursor):
            raise cursor.misfit(self.kind.meaning, self.kind.choices)
        return cursor.value(self.kind)

    def _separated(self, cursor: Cursor) -> bool:
        if not cursor.sees(",", "and"):
            cursor.misfit("`,`", (",",))
            return False
        comma = cursor.sees(",")
        cursor.at += 1
        if comma and cursor.sees("and") and self._is_keyword(cursor):
            cursor.at += 1
        return True

    def _is_keyword(self, cursor: Cursor) -> bool:
        """Tell a keyword from a device of that name: after the device comes a comma, or the list's end."""
        if not cursor.sees("and", *self.before):
            return cursor.sees(",")
        cursor.at += 1
        name = cursor.sees(",", "and", *self.before)
        cursor.at -= 1
        return not name


@dataclass(frozen=True, slots=True)
class Maybe:
    """Parts that may be left out together."""

    parts: tuple[Part, ...]

    def usage(self) -> str:
        """Show the parts in brackets."""
        return f"[{' '.join(part.usage() for part in self.parts)}]"

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take the parts, or nothing."""
        begin, fields = cursor.at, dict[str, Any]()
        try:
            for part in self.parts:
                fields |= part.read(cursor)
        except MisfitError:
            cursor.at = begin
            return {}
        return fields

    def written(self, order: Order) -> str:
        """Write the parts, if the order has them all."""
        texts = [part.written(order) for part in self.parts]
        return " ".join(texts) if all(texts) else ""


@dataclass(frozen=True, slots=True)
class Reason:
    """The rest of the line, as it was typed."""

    def usage(self) -> str:
        """Show the placeholder."""
        return "<reason to the end of the line>"

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take the rest of the text, whatever is in it."""
        reason = clean_reason(cursor.text[cursor.words[cursor.at - 1].end :])
        if not reason:
            raise cursor.misfit("a reason")
        if len(reason) > LONGEST_REASON:
            raise cursor.misfit(f"a reason of at most {LONGEST_REASON} characters, not {len(reason):,}")
        cursor.at = len(cursor.words)
        return {"reason": reason}

    def written(self, order: Order) -> str:
        """Write the reason."""
        return getattr(order, "reason", None) or ""


@dataclass(frozen=True, slots=True)
class Nested:
    """A whole command line of other forms."""

    forms: tuple[Form, ...]

    def usage(self) -> str:
        """Show the words it may begin with."""
        return f"<{' | '.join(dict.fromkeys(form.verb for form in self.forms))} …>"

    def read(self, cursor: Cursor) -> dict[str, Any]:
        """Take all the words."""
        return {"order": read(cursor, self.forms)}

    def written(self, order: Order) -> str:
        """Write the order within the order."""
        return written(order.order, self.forms) if isinstance(order, AskPreview) else ""
