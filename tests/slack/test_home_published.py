"""When a Home is published, and when it is not."""

from typing import Any

import pytest

from bot.slack.home import EVERY, LATELY, NEVER, SLOWLY
from bot.slack.home_views import OVER
from tests.builders import (
    ANN,
    BOB,
    DONE,
    approve,
    confirm,
    record,
    send,
    show_preview,
    start,
)
from tests.slack.tabs import ASKED, CID, ON, Tabs, attempts, headlines


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
