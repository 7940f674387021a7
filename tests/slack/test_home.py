"""Who sees what on their Home."""

from dataclasses import replace

import pytest

from bot.domain.approval import TERMINAL
from bot.slack.home import NEVER
from bot.slack.home_views import NOBODY, UNKNOWN
from tests.builders import (
    ANN,
    BOB,
    STRICT,
    account,
    approve,
    confirm,
    send,
    show_preview,
    start,
    withdraw,
)
from tests.slack.tabs import ASKED, CID, EVE, GUEST, OTHER, Tabs, headlines


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
