"""Finds what somebody's Home shows: what they may see, in the ledger and of the clouds."""

import threading
from collections.abc import Callable
from typing import Any, Final

from cachetools import TTLCache
from slack_sdk import WebClient

from bot.clouds.health import Health
from bot.domain.account import Account
from bot.domain.approval import press_fault
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import late
from bot.domain.errors import DirectoryError
from bot.domain.policy import Role, Sight, fault
from bot.engine.directory import UNHURRIED
from bot.engine.rooms import Rooms
from bot.slack.home_views import LATEST, NOBODY, UNKNOWN, Listed, Seen, Standing, home, notice
from bot.slack.links import card_link

LOOKED_AT: Final = 20
"""Of somebody's own cancellations so many are looked at: what waits or runs is shown above them."""
LINKS: Final = 1000
LINK_LIVES: Final = 3600
"""Seconds that the way to a card is kept; it changes with the card alone."""
ANSWERED_BY: Final = {Phase.WAITING_CONFIRMATION: "confirm", Phase.WAITING_APPROVAL: "approve"}
"""The button that a cancellation in each phase waits for."""
RUNS: Final = frozenset({Phase.CHECKING, Phase.APPROVED, Phase.RUNNING})
"""The phases in which it is the bot's turn."""


class Shown:
    """Draws Homes as they are now; safe in threads. `timer` is monotonic, in seconds."""

    def __init__(self, rooms: Rooms, client: WebClient, health: Health, *, timer: Callable[[], float]) -> None:
        self._rooms = rooms
        self._client = client
        self._health = health
        self._lock = threading.Lock()
        self._links: TTLCache[tuple[str, str], str] = TTLCache(LINKS, LINK_LIVES, timer=timer)

    def view(self, user: str) -> dict[str, Any]:
        """Draw somebody's Home."""
        try:
            sights = self._sights(user)
        except DirectoryError:
            return notice(UNKNOWN)
        return home(self._seen(user, sights)) if sights else notice(NOBODY)

    def _sights(self, user: str) -> dict[str, Sight]:
        """Return what the directory sees of somebody, for each account that they may see."""
        accounts, directory = self._rooms.accounts, self._rooms.directory
        sights = {name: directory.look(user, None, one, within=UNHURRIED) for name, one in accounts.items()}
        return {name: sight for name, sight in sights.items() if fault(sight, accounts[name], Role.STOP) is None}

    def _seen(self, user: str, sights: dict[str, Sight]) -> Seen:
        ledger, accounts = self._rooms.ledger, self._rooms.accounts
        open_ones = [state for state in ledger.open_ones() if state.account in sights and state.has_card]
        waiting = [one for one in open_ones if self._waits_for(user, one, sights[one.account], accounts[one.account])]
        running = [one for one in open_ones if one.phase in RUNS]
        shown = {state.id for state in (*waiting, *running)}
        latest = [one for one in ledger.latest_of(user, LOOKED_AT) if one.account in sights]
        own = [one for one in latest if one.id not in shown][:LATEST]
        return Seen(
            waiting=[self._listed(state) for state in waiting],
            running=[self._listed(state) for state in running],
            latest=[self._listed(state) for state in own],
            accounts=[self._standing(user, accounts[name], sight) for name, sight in sights.items()],
        )

    def _waits_for(self, user: str, state: State, sight: Sight, account: Account) -> bool:
        """Tell whether somebody may give the answer that a cancellation waits for."""
        button = ANSWERED_BY.get(state.phase)
        if button is None or late(state, self._rooms.now()):
            return False
        voted = any(vote.actor == user for vote in state.votes)
        return not voted and press_fault(button, state, sight, account) is None

    def _listed(self, state: State) -> Listed:
        return Listed(state=state, link=self._link(state.id))

    def _link(self, cancellation: int) -> str:
        row = self._rooms.ledger.outbox.card(cancellation)
        if row is None or row.ts is None:
            return ""
        card = (row.channel, row.ts)
        with self._lock:
            known = self._links.get(card)
        if known is not None:
            return known
        link = card_link(self._rooms.ledger, self._client, cancellation)
        if link.startswith("<"):
            with self._lock:
                self._links[card] = link
        return link

    def _standing(self, user: str, account: Account, sight: Sight) -> Standing:
        ledger = self._rooms.ledger
        alone = ledger.ran_alone_by(user, account.name, account.quota, window=account.approval.window)
        return Standing(
            account=account,
            orders=fault(sight, account, Role.REQUEST) is None,
            ran_alone=alone,
            heard=self._health.of(account.name),
            slots=ledger.slots.of(account.quota),
        )
