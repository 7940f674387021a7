"""Answers to people who look: `list`, `pending`, `show`."""

from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from bot.domain.cancellation import State
from bot.domain.order import AskList, AskPending, AskShow
from bot.domain.policy import Role, fault
from bot.engine.directory import UNHURRIED
from bot.engine.intake import Rooms
from bot.slack.card import card
from bot.slack.message import Message, said
from bot.slack.views import history, listing

LISTED: Final = 15
"""Cancellations on one list."""


class Looks:
    """Draws what is asked for from the ledger; raises DirectoryError when Slack does not say who asks."""

    def __init__(self, rooms: Rooms, client: WebClient) -> None:
        self._rooms = rooms
        self._client = client

    def shown(self, order: AskList | AskPending | AskShow, user: str, channel: str) -> Message:
        """Answer `list`, `pending` or `show`, with what this person may see in this channel."""
        visible = self._visible(user, channel)
        if not visible:
            return said("You may see no account's cancellations in this channel.")
        if isinstance(order, AskShow):
            return self._one(order.id, visible)
        if isinstance(order, AskPending):
            found = [state for state in self._rooms.ledger.open_ones() if state.account in visible and state.has_card]
            return listing("What waits or runs", found[:LISTED])
        found = [state for state in self._rooms.ledger.latest(100) if state.account in visible]
        return listing("The latest cancellations", found[:LISTED])

    def _visible(self, user: str, channel: str) -> frozenset[str]:
        """Return the accounts whose cancellations this person may see here."""
        here = [account for account in self._rooms.accounts.values() if channel in account.channels]
        sights = [(account, self._rooms.directory.look(user, channel, account, within=UNHURRIED)) for account in here]
        return frozenset(account.name for account, sight in sights if fault(sight, account, Role.STOP) is None)

    def _one(self, cancellation: int, visible: frozenset[str]) -> Message:
        state = self._rooms.ledger.state(cancellation)
        if state is None or state.account not in visible:
            return said(f"There is no #{cancellation} that you may see here.")
        drawn = card(state, buttons=False)
        told = {"type": "section", "text": {"type": "mrkdwn", "text": history(self._rooms.ledger.story(state.id))}}
        link = self._link(state)
        lead = {"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}}
        return Message(text=drawn.text, blocks=(*drawn.blocks, told, *((lead,) if link else ())))

    def _link(self, state: State) -> str:
        row = self._rooms.ledger.outbox.card(state.id)
        if row is None or row.ts is None:
            return ""
        try:
            link = self._client.chat_getPermalink(channel=row.channel, message_ts=row.ts).get("permalink")
        except (SlackClientError, OSError):
            return ""
        return f"<{link}|Go to its card>" if isinstance(link, str) and link.startswith("http") else ""
