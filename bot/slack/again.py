"""“Ask again”: what a cancellation left over is ordered once more, in the name of whoever asks."""

from collections.abc import Callable
from dataclasses import dataclass

from slack_sdk import WebClient

from bot.domain.decisions import Refusal
from bot.engine.keeper import Keeper
from bot.engine.presses import Presses
from bot.ledger.ledger import Ledger
from bot.slack.answers import Answers
from bot.slack.links import card_link
from bot.slack.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What to say at once, and what once Slack has told where the card is."""

    message: Message
    linked: Callable[[], Message]


class Again:
    """Opens the cancellation that takes up what another one left over."""

    def __init__(self, ledger: Ledger, client: WebClient, presses: Presses, keeper: Keeper, answers: Answers) -> None:
        self._ledger = ledger
        self._client = client
        self._presses = presses
        self._keeper = keeper
        self._answers = answers

    def ask(
        self,
        cancellation: int,
        user: str,
        channel: str,
        url: str | None,
        *,
        delivery: str | None,
        in_time: Callable[[], bool],
    ) -> Told | Refusal:
        """Order what `cancellation` left over; whoever comes second is shown where that was done.

        `delivery` names what brought it; the same again opens nothing.
        """
        done = self._presses.retry(cancellation, user, channel, via="slack", in_time=in_time, delivery=delivery)
        if isinstance(done, Refusal):
            return done
        if done.repeated:
            text = f"What #{cancellation} left was asked for again already: #{done.id}."
            return Told(message=Message(text=text), linked=lambda: self._linked(text, done.id))
        self._answers.remember(done.id, url)
        self._keeper.check_soon(done.id)
        text = f"#{done.id}: asking again for what #{cancellation} left. What comes of it follows here."
        return Told(message=Message(text=text), linked=lambda: Message(text=text))

    def press(
        self,
        cancellation: int,
        user: str,
        channel: str,
        url: str | None,
        *,
        delivery: str | None,
        in_time: Callable[[], bool],
    ) -> Refusal | None:
        """Take a press of the button; what is said about it comes after the acknowledgement."""
        told = self.ask(cancellation, user, channel, url, delivery=delivery, in_time=in_time)
        if isinstance(told, Refusal):
            return told
        self._keeper.answer(lambda: self._answers.answer(url, channel, user, told.linked()))
        return None

    def _linked(self, text: str, cancellation: int) -> Message:
        return Message(text=f"{text} {card_link(self._ledger, self._client, cancellation)}".rstrip())
