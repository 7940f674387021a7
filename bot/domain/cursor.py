"""Typed words on their way to an order, and what is remembered where they go wrong."""

from typing import Any

from bot.domain.words import Kind, Word, split


class MisfitError(Exception):
    """A word does not fit here; `Cursor` knows which, and what would have fitted."""


class Cursor:
    """Typed words being read, part by part and form by form.

    Of all the attempts that failed, the one that came furthest knows best what the person meant: it names the wrong
    word, and everything that would have fitted in its place.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = split(text)
        self.at = 0
        self.furthest = 0
        self.expected: dict[str, tuple[str, ...]] = {}
        """What would have fitted at `furthest`: its meaning, and the words to choose from."""
        self.trying = self.example = "help"
        """A correct command of the form that is being tried, and of the one that came furthest."""

    @property
    def word(self) -> Word | None:
        """The word at hand."""
        return self.words[self.at] if self.at < len(self.words) else None

    @property
    def wrong(self) -> Word | None:
        """The word that nothing fitted; none where the words ended too early."""
        return self.words[self.furthest] if self.furthest < len(self.words) else None

    @property
    def before(self) -> Word | None:
        """The word before the wrong one."""
        return self.words[self.furthest - 1] if self.furthest else None

    def sees(self, *keywords: str) -> bool:
        """Tell whether the word at hand is one of the keywords."""
        return self.word is not None and self.word.folded in keywords

    def misfit(self, meaning: str = "", choices: tuple[str, ...] = ()) -> MisfitError:
        """Note what would have fitted at hand, and return the error to raise."""
        if self.at > self.furthest:
            self.furthest, self.expected, self.example = self.at, {}, self.trying
        if self.at == self.furthest and meaning:
            self.expected[meaning] = choices
        return MisfitError()

    def value(self, kind: Kind) -> Any:
        """Take one word of the kind."""
        try:
            value = kind.read(kind.spelling(self.word) if self.word else "")
        except ValueError:
            raise self.misfit(kind.meaning, kind.choices) from None
        self.at += 1
        return value
