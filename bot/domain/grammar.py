"""The parts a command line is made of: each can be shown, read from typed words, and written again from an order."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from bot.domain.order import AskPreview, Order
from bot.domain.reading import MisfitError, Reading
from bot.domain.words import LONGEST_REASON, Kind, clean_reason


class Part(Protocol):
    """One part of a form."""

    def usage(self) -> str:
        """Show the part in a usage line."""

    def read(self, reading: Reading) -> dict[str, Any]:
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


def read(reading: Reading, forms: Iterable[Form]) -> Order:
    """Read all words at hand as the first of the forms that fits, or raise `MisfitError`."""
    begin = reading.at
    prefix = "".join(f"{word.folded} " for word in reading.words[:begin])
    for form in forms:
        reading.at = begin
        with suppress(MisfitError):
            return _read_form(reading, form, prefix)
    raise MisfitError


def _read_form(reading: Reading, form: Form, prefix: str) -> Order:
    fields: dict[str, Any] = {}
    for part in form.parts:
        fields |= part.read(reading)
        if part is form.parts[0]:
            reading.trying = prefix + form.example
    if reading.word is not None:
        raise reading.misfit()
    return form.order(**fields)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that stands for itself."""

    text: str

    def usage(self) -> str:
        """Show the word."""
        return self.text

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take the word."""
        if not reading.sees(self.text):
            raise reading.misfit(f"`{self.text}`", (self.text,))
        reading.at += 1
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

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take one word."""
        return {self.field: reading.value(self.kind)}

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

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take the words up to the first that has neither a comma nor `and` before it."""
        values = [self._value(reading)]
        while self._separated(reading):
            values.append(self._value(reading))
        return {self.field: self.kind.gather(values)}

    def written(self, order: Order) -> str:
        """Write the list with commas."""
        return ",".join(getattr(order, self.field))

    def _value(self, reading: Reading) -> Any:
        if self._is_keyword(reading):
            raise reading.misfit(self.kind.meaning, self.kind.choices)
        return reading.value(self.kind)

    def _separated(self, reading: Reading) -> bool:
        if not reading.sees(",", "and"):
            reading.misfit("`,`", (",",))
            return False
        comma = reading.sees(",")
        reading.at += 1
        if comma and reading.sees("and") and self._is_keyword(reading):
            reading.at += 1
        return True

    def _is_keyword(self, reading: Reading) -> bool:
        """Tell a keyword from a device of that name: after the device comes a comma, or the list's end."""
        if not reading.sees("and", *self.before):
            return reading.sees(",")
        reading.at += 1
        name = reading.sees(",", "and", *self.before)
        reading.at -= 1
        return not name


@dataclass(frozen=True, slots=True)
class Maybe:
    """Parts that may be left out together."""

    parts: tuple[Part, ...]

    def usage(self) -> str:
        """Show the parts in brackets."""
        return f"[{' '.join(part.usage() for part in self.parts)}]"

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take the parts, or nothing."""
        begin, fields = reading.at, dict[str, Any]()
        try:
            for part in self.parts:
                fields |= part.read(reading)
        except MisfitError:
            reading.at = begin
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

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take the rest of the text, whatever is in it."""
        reason = clean_reason(reading.text[reading.words[reading.at - 1].end :])
        if not reason:
            raise reading.misfit("a reason")
        if len(reason) > LONGEST_REASON:
            raise reading.misfit(f"a reason of at most {LONGEST_REASON} characters, not {len(reason):,}")
        reading.at = len(reading.words)
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

    def read(self, reading: Reading) -> dict[str, Any]:
        """Take all the words."""
        return {"order": read(reading, self.forms)}

    def written(self, order: Order) -> str:
        """Write the order within the order."""
        return written(order.order, self.forms) if isinstance(order, AskPreview) else ""
