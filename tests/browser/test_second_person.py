"""The second person on the page: called directly, they approve or reject; without them the glass is broken."""

import re

from playwright.sync_api import Page, expect

from bot.playground.jobs_ready import METERS
from bot.playground.world import ANN, LEA, OPS, World
from tests.browser.conftest import PATIENCE, Tab
from tests.browser.hands import card, said, sideways, types

WORDS = f"job {METERS.job} queued,notified because 5.2.0 drains batteries"
expect.set_options(timeout=PATIENCE)


def asked(world: World) -> None:
    """Let Ann order and confirm what she may not cancel alone, and wait until Lea is called."""
    slack = world.stage.slack
    slack.command(ANN, OPS, WORDS)
    shown = slack.wait_for(lambda: slack.messages(OPS), 20)[-1]
    slack.press(ANN, shown, "confirm")
    slack.wait_for(lambda: slack.dms(LEA), 20)


def is_now(page: Page, state: str) -> None:
    """Expect the card in a state."""
    expect(card(page).last.get_by_role("heading")).to_have_text(re.compile(f"^{state} · cancellation #"))


def test_a_second_person_approves_on_a_phone(world: World, tab: Tab) -> None:
    """Lea follows the link of her direct message on 390 px, approves by touch, and the batch is cancelled."""
    asked(world)
    slack = world.stage.slack
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = tab(f"{slack.url}/#{LEA}/{slack.dms(LEA)[0].channel}", **phone)
    expect(said(page, "#1 waits for your approval")).to_be_visible()
    widths = [sideways(page)]

    page.get_by_role("link", name="Go to its card").tap()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread).to_contain_text("1 approval is missing")
    widths.append(sideways(page))
    thread.get_by_role("button", name="Approve: cancel 18,000 upgrades").tap()
    widths.append(sideways(page))
    page.get_by_role("dialog").get_by_role("button", name="Approve", exact=True).tap()

    expect(thread.get_by_role("heading", name="Done")).to_be_visible()
    expect(thread).to_contain_text("asked 18,000 · accepted 18,000 · confirmed 18,000 · left 0")
    expect(thread).to_contain_text("is approved")
    assert [0, 0, 0, 0] == [*widths, sideways(page)]
    assert 18_000 == sum(world.aliyun.fleet.canceled(METERS.job).values())


def test_a_second_person_rejects_with_a_reason(world: World, tab: Tab) -> None:
    """Rejecting opens a form that wants a reason; it stands on the card, and Ann reads it in her direct messages."""
    asked(world)
    slack = world.stage.slack
    page = tab(f"{slack.url}/#{LEA}/{OPS}")

    card(page).get_by_role("button", name="Reject").click()
    form = page.get_by_role("dialog", name="Reject #1")
    form.get_by_role("textbox", name="Why is it rejected?").fill("5.2.0 is fine: the meters report it wrongly.")
    form.get_by_role("button", name="Reject", exact=True).click()

    is_now(page, "Rejected")
    expect(card(page)).to_contain_text("By @lea: 5.2.0 is fine: the meters report it wrongly. Nothing was cancelled.")
    told = tab(f"{slack.url}/#{ANN}/{slack.direct(ANN).id}")
    expect(said(told, "#1 is rejected by")).to_contain_text("5.2.0 is fine")


def test_the_glass_is_broken(world: World, tab: Tab) -> None:
    """Ann, who is listed for it, is asked twice and for a reason; it runs, and the card carries the mark."""
    asked(world)
    page = tab(f"{world.stage.slack.url}/#{ANN}/{OPS}")

    card(page).get_by_role("button", name="Go on without approval").click()
    page.get_by_role("button", name="Say why").click()
    form = page.get_by_role("dialog", name="Break glass for #1")
    form.get_by_role("textbox").fill("Meters lose their readings.")
    form.get_by_role("button", name="Go on without approval").click()

    is_now(page, "Done")
    expect(card(page)).to_contain_text("Glass broken by @ann")
    expect(card(page)).to_contain_text("Meters lose their readings.")


def test_the_same_order_twice(world: World, tab: Tab) -> None:
    """The second order is answered with the first one's card and a button, which only then opens a card of its own."""
    asked(world)
    page = tab(f"{world.stage.slack.url}/#{ANN}/{OPS}")

    types(page, f"/ota-cancel {WORDS}")
    expect(said(page, "already #1 by")).to_be_visible()
    expect(card(page)).to_have_count(1)
    page.get_by_role("button", name="Order it anyway").click()

    expect(card(page)).to_have_count(2)
    is_now(page, "Waiting for confirmation")
