"""Home tabs over a local Slack, with a clock that is turned by hand."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from slack_sdk import WebClient

from bot.clouds.health import Health
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.cancellation import State
from bot.domain.decisions import Decision
from bot.engine.rooms import Rooms
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.home import Homes
from bot.slack.people import SlackDirectory
from tests.builders import (
    ANN,
    BOB,
    ORDER,
    STRICT,
    Clock,
    account,
    confirm,
    show_preview,
)

CID, EVE, GUEST = "U0CID", "U0EVE", "U0GUEST"
ON: Final = account(approval=STRICT, approvers=(BOB, CID))
OTHER: Final = account(name="lamps", quota="lamps", requesters=(BOB,), approvers=(CID,))
ASKED: Final = (show_preview(approval=STRICT), confirm(approval=STRICT))


class Tabs:
    """Home tabs over a ledger and a local Slack; work is done at once, or when a test wants it to be."""

    def __init__(self, folder: Path, slack: LocalSlack, client: WebClient) -> None:
        self.slack = slack
        self.clock = Clock()
        self.client = client
        self._names = count(1)
        self.ledger = Ledger.open(folder / "ledger.db", now=self.clock)
        self._directory = SlackDirectory(client, now=self.clock, timer=lambda: self.clock().timestamp())
        self._directory.identify(team="T0LOCAL", enterprise=None)
        self.health = Health(now=self.clock)
        self.later: list[Callable[[], None]] = []
        self.homes = self.process()

    def process(self, answer: Callable[[Callable[[], None]], None] = lambda work: work()) -> Homes:
        """Return the Homes of a process of its own."""
        rooms = Rooms(
            ledger=self.ledger,
            accounts={one.name: one for one in (ON, OTHER)},
            clouds={},
            directory=self._directory,
            now=self.clock,
            sleep=self.clock.turn,
            owner=f"process-{next(self._names)}",
        )
        return Homes(rooms, self.client, self.health, answer=answer, timer=lambda: self.clock().timestamp())

    def open(self, *users: str) -> None:
        """Open the Homes of some, one after the other, so that each finds a slot."""
        for user in users:
            self.homes.opened(user)
            self.clock.turn(1)

    def close(self) -> None:
        """Close the directory and the ledger."""
        self._directory.close()
        self.ledger.close()

    def order(self, *made: Decision, on: Account = ON, actor: str = ANN, via: str = "slack") -> int:
        """Order with a card, and decide."""
        number = self.ledger.order(decisions.requested(actor, ORDER, on, channel="C0OPS", via=via)).id
        self.decide(number, *made)
        card = self.slack.post(channel="C0OPS", user="U0BOT", text="card")
        self.ledger.outbox.keep(CardRow(cancellation=number, channel="C0OPS", ts=card.ts))
        return number

    def decide(self, number: int, *made: Decision) -> None:
        """Make decisions, none of which may be refused."""
        for decision in made:
            assert isinstance(self.ledger.decide(number, decision), State)

    def turn(self, seconds: float = 6.0) -> None:
        """Let time pass, round after round."""
        for _ in range(round(seconds * 2)):
            self.clock.turn(0.5)
            self.homes.refresh()

    def parts(self, user: str) -> dict[str, str]:
        """Return what somebody's Home shows under each of its headings."""
        found, heading = dict[str, str](), ""
        for block in self.blocks(user):
            if block["type"] == "header":
                heading = block["text"]["text"]
            elif block["type"] == "section":
                found[heading] = f"{found.get(heading, '')}\n{block['text']['text']}".strip()
        return found

    def blocks(self, user: str) -> list[dict[str, Any]]:
        """Return the blocks of somebody's Home."""
        view = self.slack.home(user)
        return list(view.blocks) if view is not None else []

    def published(self, user: str) -> int:
        """Return how often somebody's Home was published."""
        calls = [call for call in self.slack.calls if call.method == "views.publish" and call.error is None]
        return len([call for call in calls if call.args["user_id"] == user])


def headlines(text: str) -> list[str]:
    """Return number and state of each cancellation in a part."""
    return [line.split(" · ")[0] for line in text.split("\n") if line.startswith("*#")]


def attempts(tabs: Tabs) -> int:
    """Return how often anything was published, or tried to be."""
    return len([call for call in tabs.slack.calls if call.method == "views.publish"])
