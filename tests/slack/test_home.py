"""Who sees what on their Home, when it is published, and when it is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from slack_sdk import WebClient

from bot.clouds.health import Health
from bot.domain import decisions
from bot.domain.account import Account
from bot.domain.approval import TERMINAL
from bot.domain.cancellation import State
from bot.domain.decisions import Decision
from bot.engine.rooms import Rooms
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.home import EVERY, LATELY, NEVER, SLOWLY, Homes
from bot.slack.home_views import NOBODY, OVER, UNKNOWN
from bot.slack.people import SlackDirectory
from tests.builders import (
    ANN,
    BOB,
    DONE,
    ORDER,
    STRICT,
    Clock,
    account,
    approve,
    confirm,
    record,
    send,
    show_preview,
    start,
    withdraw,
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


@pytest.fixture
def tabs(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Tabs]:
    slack.homes.clear()
    slack.add_user(CID, "cid")
    slack.add_user(EVE, "eve")
    slack.add_user(GUEST, "guest", is_restricted=True)
    slack.add_group("S0ONCALL", "oncall", [ANN, GUEST])
    made = Tabs(tmp_path, slack, client)
    yield made
    made.close()


# --- who sees what ---------------------------------------------------------------------------------------------------


def test_an_approver_sees_what_waits_for_them(tabs: Tabs) -> None:
    """What somebody may approve stands on their Home with the way to its card, until they have answered."""
    number = tabs.order(*ASKED)
    tabs.homes.opened(BOB)

    waiting = tabs.parts(BOB)["What waits for you"]
    assert f"*#{number}* Waiting for approval" in waiting
    assert "1 approval is missing" in waiting
    assert "|Go to its card>" in waiting


def test_the_asker_has_nothing_to_approve(tabs: Tabs) -> None:
    """One's own order is among one's latest while others are asked, and is for oneself to confirm before."""
    tabs.order(*ASKED)
    second = tabs.order(show_preview())
    tabs.homes.opened(ANN)

    parts = tabs.parts(ANN)
    assert [f"*#{second}* Waiting for confirmation"] == headlines(parts["What waits for you"])
    assert ["*#1* Waiting for approval"] == headlines(parts["Your latest"])


def test_who_has_voted_is_not_asked_again(tabs: Tabs) -> None:
    """With two approvals needed, the first approver has nothing to do any more, and the second has."""
    rule = replace(STRICT, people=2)
    tabs.order(show_preview(approval=rule), confirm(approval=rule), approve(on=account(approval=rule)))
    tabs.open(BOB, CID)

    assert "Nothing waits for you." == tabs.parts(BOB)["What waits for you"]
    assert ["*#1* Waiting for approval"] == headlines(tabs.parts(CID)["What waits for you"])


def test_what_is_too_late_waits_for_nobody(tabs: Tabs) -> None:
    """A question whose time is over is not shown as one, even before it is ended."""
    tabs.order(*ASKED)
    tabs.clock.turn(1800)
    tabs.homes.opened(BOB)

    assert "Nothing waits for you." == tabs.parts(BOB)["What waits for you"]


def test_a_run_is_seen_by_everybody_of_the_account(tabs: Tabs) -> None:
    """What runs is shown with how far it is to each requester and approver of its account."""
    tabs.order(show_preview(), confirm(), start(), send())
    for user in (ANN, BOB, CID):
        tabs.open(user)

        assert "Calls taken: 0 of 1 · accepted so far 0." in tabs.parts(user)["What runs"]


def test_accounts_are_seen_by_those_who_may(tabs: Tabs) -> None:
    """Somebody sees their own accounts alone, each with what they may do there and have used."""
    tabs.order(show_preview(), confirm(), start())
    tabs.open(ANN, BOB)

    ann, bob = tabs.parts(ANN)["Accounts"], tabs.parts(BOB)["Accounts"]
    assert ("*prod*" in ann, "*lamps*" in ann) == (True, False)
    assert ("*prod*" in bob, "*lamps*" in bob) == (True, True)
    assert "and have used 59." in ann
    assert "You may approve here, and not order" in bob


def test_cancellations_of_other_accounts_are_seen_by_nobody_else(tabs: Tabs) -> None:
    """What runs on an account, and what one ordered there before one was taken off it, is not on one's Home."""
    over, runs = (tabs.order(on=OTHER) for _ in range(2))
    tabs.decide(over, show_preview(), withdraw())
    tabs.decide(runs, show_preview(), confirm(), start())
    tabs.open(ANN, BOB)

    assert ("Nothing runs.", "You have ordered nothing lately.") == (
        tabs.parts(ANN)["What runs"],
        tabs.parts(ANN)["Your latest"],
    )
    assert [f"*#{runs}* Running"] == headlines(tabs.parts(BOB)["What runs"])


def test_a_terminals_order_waits_for_nobody_here(tabs: Tabs) -> None:
    """What was ordered at a terminal is answered there, so no approver's Home asks for it."""
    tabs.order(*ASKED[:1], confirm("cli:ann", approval=STRICT), actor="cli:ann", via=TERMINAL)
    tabs.open(BOB)

    assert "Nothing waits for you." == tabs.parts(BOB)["What waits for you"]


def test_who_is_taken_off_the_list_sees_no_more(tabs: Tabs) -> None:
    """Within two minutes after somebody has left the group that entitled them, their open Home shows nothing."""
    tabs.slack.add_group("S0ONCALL", "oncall", [CID, EVE])
    tabs.order(*ASKED)
    tabs.open(EVE)
    before = "*prod*" in tabs.parts(EVE)["Accounts"]
    tabs.slack.add_group("S0ONCALL", "oncall", [CID])
    tabs.turn(120)

    assert before
    assert [NOBODY] == [block["text"]["text"] for block in tabs.blocks(EVE)]
    assert {} == tabs.ledger.outbox.homes(since=NEVER)


@pytest.mark.parametrize("user", [EVE, GUEST])
def test_strangers_see_nothing(tabs: Tabs, user: str) -> None:
    """Who is listed nowhere, and a guest who is in a group that is, reads one sentence and nothing else."""
    tabs.order(*ASKED)
    tabs.homes.opened(user)

    assert [NOBODY] == [block["text"]["text"] for block in tabs.blocks(user)]
    assert {} == tabs.ledger.outbox.homes(since=tabs.clock())


def test_a_slack_that_does_not_tell_shows_nothing(tabs: Tabs) -> None:
    """Where Slack does not say who somebody is, their Home says so, and nothing else."""
    tabs.order(*ASKED)
    tabs.slack.faults.add("users.info", status=500, times=9)
    tabs.homes.opened(BOB)

    assert [UNKNOWN] == [block["text"]["text"] for block in tabs.blocks(BOB)]


def test_it_says_how_the_cloud_is(tabs: Tabs) -> None:
    """An account says what this process has heard of its cloud, and how its quota is."""
    tabs.health.hear("prod", "HTTP 503")
    tabs.ledger.slots.push("prod", "CancelOTATaskByJob", 40)
    tabs.homes.opened(ANN)

    shown = tabs.parts(ANN)["Accounts"]
    assert "(HTTP 503); not answered since my start." in shown
    assert "CancelOTATaskByJob about 40 s ahead" in shown
    assert "2.0 times wider" in shown


# --- when it is published --------------------------------------------------------------------------------------------


def test_it_follows_what_happens(tabs: Tabs) -> None:
    """A Home that was opened lately is published anew when what it shows changes, within seconds."""
    tabs.homes.opened(BOB)
    number = tabs.order(*ASKED)
    tabs.turn()
    asked = tabs.parts(BOB)["What waits for you"]
    tabs.decide(number, approve(on=ON))
    tabs.turn()

    assert [f"*#{number}* Waiting for approval"] == headlines(asked)
    assert "Nothing waits for you." == tabs.parts(BOB)["What waits for you"]
    assert [f"*#{number}* Approved"] == headlines(tabs.parts(BOB)["What runs"])


def test_what_has_not_changed_is_not_sent(tabs: Tabs) -> None:
    """However long somebody might look, the same Home is published once, and a restart does not repeat it."""
    tabs.order(*ASKED)
    tabs.homes.opened(BOB)
    tabs.turn(120)
    tabs.homes = tabs.process()
    tabs.turn(60)

    assert 1 == tabs.published(BOB)


def test_a_busy_run_is_followed_at_a_pace(tabs: Tabs) -> None:
    """While something changes all the time, somebody's Home is published once in so many seconds."""
    number = tabs.order(show_preview(), confirm(), start(calls=1000))
    tabs.homes.opened(ANN)
    for call in range(1, 61):
        tabs.decide(number, send(call, count=1), record(DONE, call))
        tabs.turn(0.5)

    assert 30 / EVERY.total_seconds() - 1 <= tabs.published(ANN) - 1 <= 30 / EVERY.total_seconds()


def test_an_hour_later_nothing_is_shown_any_more(tabs: Tabs) -> None:
    """So long after its opening a Home is taken away, once and at whichever process, until it is opened again."""
    tabs.order(*ASKED)
    tabs.open(BOB)
    tabs.clock.turn(LATELY.total_seconds())
    tabs.homes = tabs.process()
    tabs.process().opened(CID)
    tabs.turn(60)
    left = [block["text"]["text"] for block in tabs.blocks(BOB)]
    known = set(tabs.ledger.outbox.homes(since=NEVER))
    tabs.order(*ASKED)
    tabs.turn(60)
    before = tabs.published(BOB)
    tabs.homes.opened(BOB)

    assert ([OVER], {CID}) == (left, known)
    assert (2, 3) == (before, tabs.published(BOB))
    assert ["*#2* Waiting for approval"] == headlines(tabs.parts(BOB)["What waits for you"])


def test_an_hour_ends_within_slacks_pace(tabs: Tabs) -> None:
    """Homes whose hour is over are taken away one by one, and again where Slack could not take it."""
    tabs.open(ANN, BOB, CID)
    tabs.slack.faults.add("views.publish", status=500)
    tabs.clock.turn(LATELY.total_seconds())
    tabs.homes.refresh()
    at_once = attempts(tabs)
    tabs.turn(2 * SLOWLY.total_seconds())

    assert 4 == at_once
    assert [2, 2, 2] == [tabs.published(user) for user in (ANN, BOB, CID)]
    assert {} == tabs.ledger.outbox.homes(since=NEVER)


def test_who_opens_again_as_the_hour_ends_is_shown_theirs(tabs: Tabs) -> None:
    """An opening while the Home is being taken away is not forgotten with it."""
    tabs.open(BOB)
    tabs.clock.turn(LATELY.total_seconds())
    publish = tabs.client.views_publish

    def opened_meanwhile(**arguments: Any) -> Any:
        tabs.client.views_publish = publish  # type: ignore[method-assign]
        answer = publish(**arguments)
        tabs.homes.opened(BOB)
        return answer

    tabs.client.views_publish = opened_meanwhile  # type: ignore[method-assign]
    tabs.turn(2)

    assert {BOB} == set(tabs.ledger.outbox.homes(since=tabs.clock() - LATELY))
    assert "Nothing waits for you." == tabs.parts(BOB)["What waits for you"]


def test_while_nobody_looks_nothing_is_asked(tabs: Tabs) -> None:
    """Before anybody has opened their Home, Slack is asked for nothing, and of the ledger one small table."""
    tabs.order(*ASKED)
    asked = list[str]()
    tabs.ledger._store._database.conn.set_trace_callback(asked.append)
    before = len(tabs.slack.calls)
    tabs.turn(20)
    tabs.ledger._store._database.conn.set_trace_callback(None)

    assert before == len(tabs.slack.calls)
    assert 20 / EVERY.total_seconds() == len(asked)
    assert {True} == {"from homes" in statement for statement in asked}


def test_another_process_goes_on(tabs: Tabs) -> None:
    """Whoever holds the publisher's lease publishes what was opened at another process."""
    tabs.process().opened(BOB)
    tabs.turn()
    tabs.order(*ASKED)
    tabs.turn()

    assert ["*#1* Waiting for approval"] == headlines(tabs.parts(BOB)["What waits for you"])


def test_an_opened_home_is_published_again(tabs: Tabs) -> None:
    """Whoever opens it is shown it, whatever is remembered of what Slack was given."""
    tabs.homes.opened(BOB)
    tabs.clock.turn(1)
    tabs.homes.opened(BOB)

    assert 2 == tabs.published(BOB)


def test_it_keeps_to_slacks_pace(tabs: Tabs) -> None:
    """Each Home that is published takes a slot; told that it is too often, the bot waits as long."""
    tabs.open(ANN, BOB, CID)
    assert [1, 1, 1] == [tabs.published(user) for user in (ANN, BOB, CID)]

    tabs.clock.turn(1)
    tabs.slack.faults.add("views.publish", retry_after=20)
    tabs.order(*ASKED)
    tabs.turn(15)
    assert [1, 1, 1] == [tabs.published(user) for user in (ANN, BOB, CID)]
    tabs.turn(25)
    assert [2, 2, 2] == [tabs.published(user) for user in (ANN, BOB, CID)]


def test_many_who_open_at_once_hold_up_nobody(tabs: Tabs) -> None:
    """Without a slot nothing waits in the thread of private answers: it is the next round's, before all else."""
    tabs.order(*ASKED)
    tabs.open(ANN)
    tabs.clock.turn(EVERY.total_seconds())
    tabs.order(*ASKED)
    began = tabs.clock()
    for user in (BOB, CID):
        tabs.homes.opened(user)
    at_once = [tabs.clock() - began, tabs.published(BOB), tabs.published(CID)]
    looked_up = [call for call in tabs.slack.calls if call.args.get("user") == CID]
    tabs.turn(1)

    assert ([began - began, 1, 0], []) == (at_once, looked_up)
    assert [1, 1, 1] == [tabs.published(user) for user in (ANN, BOB, CID)]
    tabs.turn(1)
    assert 2 == tabs.published(ANN)


def test_who_opens_at_another_process_is_not_left(tabs: Tabs) -> None:
    """What has no slot at another process is published by the holder of the lease, though nothing has happened."""
    tabs.open(BOB)
    tabs.turn(EVERY.total_seconds() + 1)
    tabs.ledger.slots.take("slack", "views.publish", 3)
    tabs.process().opened(BOB)
    before = tabs.published(BOB)
    tabs.turn(2 * EVERY.total_seconds())

    assert (1, 2) == (before, tabs.published(BOB))


@pytest.mark.parametrize("error", ["user_not_found", "not_enabled", "invalid_arguments"])
def test_who_cannot_be_shown_one_is_forgotten(tabs: Tabs, error: str) -> None:
    """A Home that Slack refuses for good is not tried again."""
    tabs.slack.faults.add("views.publish", error=error, times=9)
    tabs.homes.opened(BOB)
    tabs.turn(60)

    assert ({}, 1) == (tabs.ledger.outbox.homes(since=tabs.clock() - LATELY), attempts(tabs))


@pytest.mark.parametrize("fault", [{"status": 500}, {"error": "internal_error"}, {"drop": True}, {"page": True}])
def test_what_slack_could_not_take_comes_later(tabs: Tabs, fault: dict[str, Any]) -> None:
    """A breakdown of Slack leaves the Home as it was, and it is published when Slack takes it."""
    tabs.slack.faults.add("views.publish", **fault)
    tabs.homes.opened(BOB)
    before = tabs.published(BOB)
    tabs.turn(SLOWLY.total_seconds() + 6)

    assert (0, 1) == (before, tabs.published(BOB))


def test_what_is_being_published_is_not_begun_again(tabs: Tabs) -> None:
    """While a Home is under way nobody else draws it, so that nothing older comes after something newer."""
    tabs.homes = tabs.process(answer=tabs.later.append)
    tabs.ledger.outbox.open_home(BOB, tabs.clock())
    tabs.turn(20)
    waiting = len(tabs.later)
    tabs.later.pop()()
    tabs.order(*ASKED)
    tabs.turn(10)

    assert (1, 1, 1) == (waiting, len(tabs.later), tabs.published(BOB))


def test_everybody_has_their_turn(tabs: Tabs) -> None:
    """Where more look than are served at a time, whoever was served least lately is next."""
    tabs.homes = tabs.process(answer=tabs.later.append)
    for user in (ANN, BOB, CID):
        tabs.ledger.outbox.open_home(user, tabs.clock())
    served = []
    for _ in range(2):
        tabs.order(*ASKED)
        tabs.turn(5.5)
        served.append(len(tabs.later))
        while tabs.later:
            tabs.later.pop()()
            tabs.clock.turn(0.6)

    assert [2, 2] == served
    assert [2, 1, 1] == [tabs.published(user) for user in (ANN, BOB, CID)]


def test_the_way_to_a_card_is_asked_for_once(tabs: Tabs) -> None:
    """Slack is asked where a card is when it is first shown, and not each time it is drawn."""
    number = tabs.order(*ASKED)
    tabs.homes.opened(BOB)
    tabs.decide(number, approve(on=ON))
    tabs.turn(60)

    assert 2 == tabs.published(BOB)
    assert 1 == len([call for call in tabs.slack.calls if call.method == "chat.getPermalink"])


def headlines(text: str) -> list[str]:
    """Return number and state of each cancellation in a part."""
    return [line.split(" · ")[0] for line in text.split("\n") if line.startswith("*#")]


def attempts(tabs: Tabs) -> int:
    """Return how often anything was published, or tried to be."""
    return len([call for call in tabs.slack.calls if call.method == "views.publish"])
