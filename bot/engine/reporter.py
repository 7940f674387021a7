"""Tells the asker, in private, what does not go on a card."""

from typing import Protocol

from bot.domain.cancellation import State


class Reporter(Protocol):
    """A way to the person who asked: an ephemeral answer in Slack, lines at a terminal."""

    def tell(self, state: State, text: str) -> None:
        """Tell the requester of `state` something; plain text, escaped by whoever shows it. Never raises."""

    def ask_anyway(self, state: State, like: State) -> None:
        """Ask the requester of `state`, which is like the open one `like`, whether it is meant. Never raises."""
