"""Answers to people who look: `list`, `pending`, `show`."""

from typing import Final

from slack_sdk import WebClient

from bot.domain.decisions import refused
from bot.domain.order import AskList, AskPending, AskShow
from bot.domain.policy import Role, fault
from bot.domain.story import told
from bot.engine.directory import UNHURRIED
from bot.engine.rooms import Rooms, remember
from bot.slack.card import card
from bot.slack.links import card_link
from bot.slack.lists import listing, pending, story
from bot.slack.message import Message, said, section

LISTED: Final = 15
"""Cancellations on one list."""


class Looks:
    """Draws what is asked for from the ledger; raises DirectoryError when Slack does not say who asks."""

    def __init__(self, rooms: Rooms, client: WebClient) -> None:
        self._rooms = rooms
        self._client = client

    def shown(self, order: AskList | AskPending | AskShow, user: str, channel: str) -> Message:
        """Answer `list`, `pending` or `show`, with what this person may see in this channel."""
        here = {account.name: account for account in self._rooms.accounts.values() if channel in account.channels}
        sights = {
            name: self._rooms.directory.look(user, channel, account, within=UNHURRIED) for name, account in here.items()
        }
        faults = {name: why for name in here if (why := fault(sights[name], here[name], Role.STOP)) is not None}
        visible = frozenset(here.keys() - faults.keys())
        state = self._rooms.ledger.state(order.id) if isinstance(order, AskShow) else None
        # Refused is whoever may not see the one they ask for, or none at all.
        name = state.account if state is not None else "" if visible else next(iter(faults), "")
        if name in faults:
            refusal = refused(user, faults[name], what=order.verb, evidence=sights[name].evidence)
            remember(self._rooms.ledger, refusal, state.id if state is not None else None)
        if not visible:
            why = next(iter(faults.values()), "no account may be used in this channel")
            return said(f"You may see no account's cancellations in this channel: {why}.")
        if isinstance(order, AskShow):
            return self._one(order.id, visible)
        if isinstance(order, AskPending):
            found = [state for state in self._rooms.ledger.open_ones() if state.account in visible and state.has_card]
            return pending("What waits or runs", found[:LISTED], self._link)
        found = [state for state in self._rooms.ledger.latest(100) if state.account in visible]
        return listing("The latest cancellations", found[:LISTED])

    def _one(self, cancellation: int, visible: frozenset[str]) -> Message:
        state = self._rooms.ledger.state(cancellation)
        if state is None or state.account not in visible:
            return said(f"There is no #{cancellation} that you may see here.")
        drawn = card(state, buttons=False)
        link = self._link(state.id)
        below = [*story(told(self._rooms.ledger.story(state.id)), state.id), *([section(link)] if link else [])]
        return Message(text=drawn.text, blocks=(*drawn.blocks, *below))

    def _link(self, cancellation: int) -> str:
        return card_link(self._rooms.ledger, self._client, cancellation)
