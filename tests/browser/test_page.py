"""The page in a real browser, with the real bot behind it: what a newcomer types and clicks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.page.clouds import aliyun
from bot.playground.page.page import Page as Served
from bot.playground.page.panel import Panel
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.sockets import Ack
from bot.playground.slack.values import Payload, Stored
from bot.playground.world import ANN, BEN, CAST, JOB, OPS, World
from tests.browser.conftest import PATIENCE, Tab
from tests.browser.hands import card, said, sideways, types

ORDER = f"/ota-cancel job {JOB} queued,notified because 1.4.2 bricks pumps"
expect.set_options(timeout=PATIENCE)


def alibaba(page: Page) -> Locator:
    """Return the part of the side panel about Alibaba's cloud."""
    return page.get_by_role("region", name="Alibaba Cloud")


def confirms(page: Page) -> None:
    card(page).get_by_role("button", name="Cancel 52 upgrades").click()
    page.get_by_role("dialog", name="Cancel 52 upgrades?").get_by_role("button", name="Cancel them").click()


def test_a_job_is_cancelled_by_typing_and_clicking(world: World, tab: Tab) -> None:
    """From an empty composer to Done: asked, accepted and confirmed are told apart, and the cloud agrees."""
    page = tab(world.stage.slack.url)

    types(page, ORDER)
    expect(said(page, "Only visible to you")).to_be_visible()
    expect(card(page)).to_contain_text("52 now, at most 59")
    confirms(page)

    expect(card(page).get_by_role("heading")).to_have_text("Done · cancellation #1")
    expect(card(page)).to_contain_text("asked 52 · accepted 52 · confirmed 52 · left 0")
    expect(alibaba(page).get_by_role("list", name="Jobs", exact=True).get_by_role("listitem").first).to_contain_text(
        "cancelled 52"
    )
    card(page).get_by_role("button", name="2 replies").click()
    expect(page.get_by_role("complementary", name="Thread")).to_contain_text(
        "@ann Done: the queued and notified tasks of job"
    )


def test_somebody_elses_confirm_is_refused(world: World, tab: Tab) -> None:
    """Ben presses Ann's red button: he alone reads why not, and nothing is cancelled."""
    page = tab(world.stage.slack.url)
    types(page, ORDER)
    expect(card(page)).to_be_visible()

    page.get_by_text("in the channel only").click()
    expect(said(page, "Only visible to you")).to_have_count(0)
    confirms(page)

    expect(said(page, "Refused: not among the requesters of account pumps.")).to_be_visible()
    expect(card(page).get_by_role("heading")).to_have_text("Waiting for confirmation · cancellation #1")
    assert 0 == world.stage.cloud.fleet.counts(JOB)["CANCELED"]
    page.get_by_text("on call: may order").click()
    expect(card(page)).to_be_visible()
    expect(said(page, "Refused:")).to_have_count(0)


def test_the_main_job_on_a_phone(world: World, tab: Tab) -> None:
    """On 390 px the same works by touch alone, and no view is wider than the screen."""
    page = tab(world.stage.slack.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)

    page.get_by_role("button", name="/ota-cancel job").tap()
    page.get_by_role("button", name="Send").tap()
    expect(card(page)).to_be_visible()
    widths = [sideways(page)]
    card(page).get_by_role("button", name="Cancel 52 upgrades").tap()
    widths.append(sideways(page))
    page.get_by_role("button", name="Cancel them").tap()
    expect(card(page)).to_contain_text("confirmed 52")
    card(page).get_by_role("button", name="2 replies").tap()
    expect(page.get_by_role("complementary", name="Thread")).to_be_visible()
    widths.append(sideways(page))
    page.get_by_role("button", name="Close the thread").tap()
    page.get_by_role("button", name="Cloud", exact=True).tap()
    expect(page.get_by_role("heading", name="Alibaba Cloud")).to_be_visible()
    widths.append(sideways(page))
    page.get_by_role("button", name="Close the cloud").tap()
    page.get_by_role("button", name="people and channels").tap()
    widths.append(sideways(page))
    page.get_by_role("link", name="# ota-audit").tap()
    expect(page.get_by_role("heading", name="# ota-audit")).to_be_visible()
    expect(said(page, "confirmed plan")).to_be_visible()

    assert [0, 0, 0, 0, 0, 0] == [*widths, sideways(page)]


def test_a_reload_keeps_everything(world: World, tab: Tab) -> None:
    """After a reload one is the same person in the same place, with the card, the private answer and the history."""
    page = tab(world.stage.slack.url)
    page.get_by_text("leads: may approve").click()
    types(page, "/ota-cancel nonsense")
    expect(said(page, "does not fit there")).to_be_visible()

    page.reload()

    expect(page.get_by_role("radio", name="lea")).to_be_checked()
    expect(said(page, "does not fit there")).to_be_visible()
    page.get_by_role("textbox", name="Message or command").press("ArrowUp")
    expect(page.get_by_role("textbox", name="Message or command")).to_have_value("/ota-cancel nonsense")


def test_what_people_write_stays_text(world: World, tab: Tab) -> None:
    """Markup in a reason or in an ordinary message is shown as typed, and nothing of it lives."""
    page = tab(world.stage.slack.url)
    markup = "<script>window.owned=1</script><img src=x onerror=window.owned=1> & <!channel>"

    types(page, f"/ota-cancel job {JOB} queued because {markup}")
    expect(card(page)).to_contain_text(markup)
    types(page, markup)
    expect(said(page, markup)).to_have_count(2)

    assert page.evaluate("window.owned") is None
    assert 0 == page.locator("main img, main script").count()


def test_the_bot_copes_with_a_broken_cloud(world: World, tab: Tab) -> None:
    """The dial that loses an answer is turned: the bot looks at the cloud, and does not cancel twice."""
    page = tab(world.stage.slack.url)
    alibaba(page).get_by_role("button", name="Drop").click()
    expect(page.get_by_text("1 to come.")).to_be_visible()

    types(page, ORDER)
    confirms(page)

    expect(card(page)).to_contain_text("asked 52 · accepted 52 · confirmed 52 · left 0")
    expect(alibaba(page).get_by_role("list", name="Calls by operation")).to_contain_text("1 call · 1 lost")
    assert {1} == set(world.stage.cloud.fleet.canceled(JOB).values())


def test_nothing_is_sent_as_nobody(world: World, tab: Tab) -> None:
    """The composer comes with the first news: before that the page knows neither who one is nor where."""
    page = tab("about:blank")
    page.route("**/page/events*", lambda _route: None)
    page.goto(world.stage.slack.url)
    expect(page.get_by_role("heading", name="Simulated clouds")).to_be_visible()

    expect(page.get_by_role("textbox", name="Message or command")).to_be_hidden()


def test_news_is_marked_for_each_person(world: World, tab: Tab) -> None:
    """A card that Ann orders is news to Lea, until she has looked."""
    page = tab(f"{world.stage.slack.url}/#U0LEA/C0AUDIT")
    expect(page.get_by_role("heading", name="# ota-audit")).to_be_visible()

    world.stage.slack.command(ANN, OPS, ORDER.partition(" ")[2])
    expect(page.get_by_role("link", name="# ota-ops 1 new")).to_be_visible()
    page.get_by_role("link", name="# ota-ops").click()
    expect(card(page)).to_be_visible()

    expect(page.get_by_role("link", name="# ota-ops", exact=True)).to_be_visible()


def faults(page: Page) -> list[str]:
    """Return what axe finds serious or worse, in light and in dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=cast("Any", scheme), reduced_motion="reduce")
        violations = Axe().run(page).response["violations"]
        bad = [fault for fault in violations if fault["impact"] in {"serious", "critical"}]
        found += [f"{scheme}: {fault['id']}: {fault['nodes'][0]['html']}" for fault in bad]
    return found


def test_everybody_can_use_it(world: World, tab: Tab) -> None:
    """Axe finds nothing serious: with a card, a private answer, a dialog, a thread and hints on the screen."""
    page = tab(world.stage.slack.url, viewport={"width": 1440, "height": 900})
    types(page, ORDER)
    expect(card(page)).to_be_visible()
    found = faults(page)
    card(page).get_by_role("button", name="Cancel 52 upgrades").click()
    found += faults(page)
    page.get_by_role("button", name="Cancel them").click()
    card(page).get_by_role("button", name=re.compile("repl")).click()
    page.get_by_role("textbox", name="Message or command").fill("/ota-cancel ")
    expect(page.get_by_text("shows these words")).to_be_visible()
    found += faults(page)
    page.get_by_role("link", name="ota-cancel: home").click()
    expect(page.get_by_role("heading", name="What waits for you")).to_be_visible()
    found += faults(page)

    assert [] == found


def test_what_waits_for_somebody_is_a_click_away(world: World, tab: Tab) -> None:
    """On Ann's Home stands what waits for her, when it does and with the way to its card, which leads there."""
    page = tab(f"{world.stage.slack.url}/#{ANN}/home")
    home = page.get_by_role("region", name="Home")
    expect(home).to_contain_text("Nothing waits for you.")
    world.stage.slack.command(ANN, OPS, ORDER.removeprefix("/ota-cancel "))

    expect(home).to_contain_text("to confirm it until")
    home.get_by_role("link", name="Go to its card").click()

    expect(card(page)).to_be_visible()


# --- forms, which the bot does not open yet -----------------------------------------------------------------------


class Formal(LocalSlack):
    """A local Slack whose bot answers every form in the way that `answers` holds; `heard` is what it was sent."""

    def __init__(self, page: Served) -> None:
        super().__init__(extra_routes=page.routes)
        self.answers: list[Payload] = []
        self.heard: list[Payload] = []

    def deliver(self, message: Payload) -> Ack:
        """Acknowledge at once."""
        with self.changing():
            self.heard.append(message["payload"])
        return Ack(after=0.01, answer=self.answers.pop(0) if self.answers else None)


@contextmanager
def formal() -> Iterator[Formal]:
    cloud = AliyunCloud(keys={})
    served = Served(
        slack=lambda: slack,
        panel=Panel(aliyun(cloud)),
        cast=CAST,
        has_home=True,
        shortcuts={"cancel_form": "Cancel an OTA job"},
    )
    with cloud, Formal(served) as slack:
        for user in CAST:
            slack.add_user(user, user[2:].lower())
        slack.add_channel(OPS, "ota-ops", list(CAST))
        yield slack
        served.close()


def words(text: str) -> Payload:
    return {"type": "plain_text", "text": text}


def asks(action: str, label: str, element: Payload, **more: object) -> Payload:
    return {
        "type": "input",
        "block_id": f"b-{action}",
        "label": words(label),
        "element": {"action_id": action, **element},
        **more,
    }


FORM: Payload = {
    "type": "modal",
    "callback_id": "cancel_form",
    "title": words("Cancel upgrades"),
    "submit": words("Preview"),
    "blocks": [
        asks("names", "Devices", {"type": "plain_text_input", "multiline": True}),
        asks(
            "account",
            "Account",
            {"type": "static_select", "options": [{"text": words(name), "value": name} for name in ("pumps", "fans")]},
        ),
        asks(
            "statuses",
            "Statuses",
            {
                "type": "checkboxes",
                "options": [{"text": words(name), "value": name} for name in ("queued", "notified")],
            },
        ),
        asks("file", "Or a file", {"type": "file_input"}, optional=True),
    ],
}


def test_a_form_is_filled_in_corrected_and_sent(tab: Tab) -> None:
    """A modal takes text, choices and a file; what the bot finds wrong stands under its field, and nothing is lost."""
    with formal() as slack:
        slack.answers = [{}, {"response_action": "errors", "errors": {"b-names": "“pump 1” is not a device's name."}}]
        page = tab(f"{slack.url}/#{BEN}/{OPS}")
        form = page.get_by_role("dialog", name="Cancel upgrades")
        page.get_by_role("button", name="Cancel an OTA job").click()
        slack.wait_for(lambda: "shortcut" in [one["type"] for one in slack.heard])
        slack.show_view(BEN, FORM)

        form.get_by_role("textbox", name="Devices").fill("pump 1")
        form.get_by_role("combobox", name="Account").select_option("fans")
        form.get_by_role("checkbox", name="queued").check()
        form.get_by_label("Or a file").set_input_files(
            {"name": "more.txt", "mimeType": "text/plain", "buffer": b"pump-2"}
        )
        form.get_by_role("button", name="Preview").click()
        expect(form.get_by_role("alert")).to_have_text("“pump 1” is not a device's name.")
        assert {"pump-2"} == {stored.content.decode() for stored in slack.uploads.values()}
        form.get_by_role("textbox", name="Devices").fill("pump-1")
        form.get_by_role("button", name="Preview").click()
        expect(form).to_have_count(0)

        state = slack.heard[-1]["view"]["state"]["values"]
        assert ["more.txt"] == [one["name"] for one in state["b-file"]["file"]["files"]]
        assert 1 == len(slack.uploads)
        assert "pump-1" == state["b-names"]["names"]["value"]
        assert "fans" == state["b-account"]["account"]["selected_option"]["value"]
        assert ["queued"] == [option["value"] for option in state["b-statuses"]["statuses"]["selected_options"]]


def test_a_form_is_used_with_the_keyboard_alone(tab: Tab) -> None:
    """Focus goes into the form, stays there, and returns when Escape closes it; axe and a phone's width are content."""
    with formal() as slack:
        page = tab(f"{slack.url}/#{BEN}/{OPS}", viewport={"width": 390, "height": 844})
        opener = page.get_by_role("button", name="Cancel an OTA job")
        opener.focus()
        page.keyboard.press("Enter")
        slack.wait_for(lambda: slack.heard)
        slack.show_view(BEN, {**FORM, "notify_on_close": True})
        form = page.get_by_role("dialog", name="Cancel upgrades")
        expect(form.get_by_role("textbox", name="Devices")).to_be_focused()

        assert [] == faults(page)
        assert 0 == sideways(page)
        inside = "document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
        for _ in range(12):
            page.keyboard.press("Tab")
            assert page.evaluate(inside)
        page.keyboard.press("Escape")

        expect(form).to_have_count(0)
        expect(opener).to_be_focused()
        assert ["shortcut", "view_closed"] == [one["type"] for one in slack.heard]


def test_a_confirmation_is_answered_with_the_keyboard_alone(world: World, tab: Tab) -> None:
    """The safe answer has the focus first; Escape is that answer; and the focus goes back to the button."""
    page = tab(world.stage.slack.url)
    types(page, ORDER)
    button = card(page).get_by_role("button", name="Cancel 52 upgrades")
    button.focus()

    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Go back")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    assert 0 == world.stage.cloud.fleet.counts(JOB)["CANCELED"]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(card(page)).to_contain_text("confirmed 52")


def test_what_a_form_will_not_take_is_said_in_it(tab: Tab) -> None:
    """A text that is too long is not cut, and an empty file is not sent: the form says so and keeps everything."""
    with formal() as slack:
        page = tab(f"{slack.url}/#{BEN}/{OPS}")
        slack.show_view(BEN, FORM)
        form = page.get_by_role("dialog", name="Cancel upgrades")
        form.get_by_role("textbox", name="Devices").fill("x" * 3001)
        form.get_by_role("combobox", name="Account").select_option("fans")
        form.get_by_role("checkbox", name="queued").check()

        form.get_by_role("button", name="Preview").click()
        expect(form.get_by_role("alert")).to_have_text("Not done: “Devices” has 3001 characters, and takes 0 to 3000.")
        form.get_by_role("textbox", name="Devices").fill("pump-1")
        form.get_by_label("Or a file").set_input_files({"name": "no.txt", "mimeType": "text/plain", "buffer": b""})
        form.get_by_role("button", name="Preview").click()
        expect(form.get_by_role("alert")).to_have_text("Not done: no.txt is empty.")

        expect(form.get_by_role("checkbox", name="queued")).to_be_checked()
        assert [] == slack.heard


WHAT = asks(
    "what",
    "What",
    {"type": "radio_buttons", "options": [{"text": words(word), "value": word} for word in ("job", "devices")]},
    dispatch_action=True,
)


def test_a_form_grows_while_it_is_filled_in(tab: Tab) -> None:
    """A choice sends what is entered by now; a form laid on top comes and goes, and nothing entered is lost."""
    with formal() as slack:
        page = tab(f"{slack.url}/#{BEN}/{OPS}")
        view = slack.show_view(BEN, {**FORM, "blocks": [WHAT, FORM["blocks"][0]]})
        form = page.get_by_role("dialog")
        form.get_by_role("textbox", name="Devices").fill("pump-1")

        form.get_by_role("radio", name="devices").check()
        slack.wait_for(lambda: slack.heard)
        slack.show_view(BEN, {**FORM, "blocks": [WHAT, *FORM["blocks"]]}, instead=view)
        expect(form.get_by_role("combobox", name="Account")).to_be_visible()
        expect(form.get_by_role("radio", name="devices")).to_be_checked()
        slack.show_view(BEN, {**FORM, "title": words("On top"), "blocks": []}, over=view)
        expect(page.get_by_role("heading", name="On top")).to_be_visible()
        form.get_by_role("button", name="Cancel").click()
        expect(form.get_by_role("textbox", name="Devices")).to_have_value("pump-1")
        form.get_by_role("button", name="Close").click()
        expect(form).to_have_count(0)

        state = slack.heard[0]["view"]["state"]["values"]
        assert ("devices", "pump-1") == (
            state["b-what"]["what"]["selected_option"]["value"],
            state["b-names"]["names"]["value"],
        )


def test_a_file_opens_from_its_thread(tab: Tab) -> None:
    """A file that the bot put into a thread is named there with its size, and its link serves it."""
    with formal() as slack:
        parent = slack.post(channel=OPS, user=slack.people["U0BOT"].id, text="the card")
        stored = Stored(id="F0LEFT", name="left.csv", content=b"pump-1")
        slack.uploads[stored.id] = stored
        slack.post(channel=OPS, user="U0BOT", text="What is left", thread_ts=parent.ts, files=(stored,))
        page = tab(f"{slack.url}/#{BEN}/{OPS}")

        page.get_by_role("button", name="1 reply").click()
        link = page.get_by_role("link", name="left.csv · 6 bytes")

        assert "pump-1" == page.request.get(f"{slack.url}{link.get_attribute('href')}").text()


def test_there_is_always_something_to_try(world: World, tab: Tab) -> None:
    """The line to try goes from job to job as each has a card, through all clouds, and then offers another job."""
    page = tab(world.stage.slack.url)
    types(page, "/ota-cancel help")
    expect(page.get_by_role("button", name=f"/ota-cancel job {JOB}")).to_be_visible()
    types(page, ORDER)
    expect(page.get_by_role("button", name="/ota-cancel devices lamp-000005,lamp-000006 job")).to_be_visible()
    for words in world.suggestions()[1:]:
        world.stage.slack.command(ANN, OPS, words)

    page.get_by_role("button", name="Add a small job").click()
    page.get_by_role("button", name="/ota-cancel job aGn").click()

    expect(page.get_by_role("textbox", name="Message or command")).to_be_focused()
    expect(page.get_by_text("Try this")).to_be_hidden()


def test_the_home_tab_shows_what_the_bot_published(tab: Tab) -> None:
    """An empty Home tab says so; a published one is drawn, and its buttons press."""
    with formal() as slack:
        page = tab(f"{slack.url}/#{ANN}/home")
        expect(page.get_by_text("The bot publishes no Home tab yet.")).to_be_visible()
        button = {"type": "button", "action_id": "open", "text": words("Open #41")}
        slack.show_view(ANN, {"type": "home", "blocks": [{"type": "actions", "elements": [button]}]})

        page.get_by_role("button", name="Open #41").click()
        expect(page.get_by_role("button", name="Open #41")).not_to_have_attribute("aria-busy", "true")

        assert ["app_home_opened", "block_actions"] == [one.get("event", one)["type"] for one in slack.heard]
