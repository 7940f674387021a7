"""Takes the pictures in docs/pictures from the page, through the machine's browser; run as a program: `make pictures`.

The cards are drawn from states that were folded from decisions; everything else happens before the camera.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from bot.domain.account import Approval
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision
from bot.domain.order import CancelJob
from bot.domain.plan import Job
from bot.playground.jobs_ready import LAMPS, METERS, PUMPS
from bot.playground.slack.workspace import BOT_USER
from bot.playground.world import JOB, LEA, OPS, World
from bot.slack.card import card
from tests import builders as made
from tests.browser.machine import ARGUMENTS, INSTALL, found
from tests.browser.shown import datasette
from tests.house.tree import ROOT

FOLDER: Final = ROOT / "docs" / "pictures"
LARGEST: Final = 150_000
"""Bytes of one picture: they are in every clone."""
COLOURS: Final = 160
ORDER: Final = CancelJob(job=JOB, statuses=made.ORDER.statuses, reason="1.4.2 bricks pumps")
TYPED: Final = f"job {JOB} queued,notified because 1.4.2 bricks pumps"
FLICKERING: Final = tuple(f"lamp-{number:06d}" for number in range(5, 16))
BUTTONS: Final = {
    "devices": "Cancel 2 upgrades",
    "strategy": "Stop this strategy",
    "enos": "Cancel 24 upgrades",
}
"""What the red button says on each card."""
RULE: Final = Approval(above=50, break_glass=(made.ANN,))
PAIR: Final = Approval(above=50, people=2, break_glass=(made.ANN,))
GUARDED: Final = made.account(approval=RULE)
ASKED: Final = (made.show_preview(approval=RULE), made.confirm(approval=RULE))
HALF: Final = (
    made.show_preview(approval=PAIR),
    made.confirm(approval=PAIR),
    made.approve(on=made.account(approval=PAIR)),
)
SPECIAL: Final[Mapping[str, tuple[Decision, ...]]] = {
    "waiting-for-approval": HALF,
    "approved": (*ASKED, made.approve(on=GUARDED)),
    "rejected": (*ASKED, made.reject(reason="1.4.2 is the good image; the bad one is 1.4.1")),
    "broken-glass": (
        *ASKED,
        made.break_glass(on=GUARDED, reason="pumps flood the plant, and no lead answers"),
        made.start(on=GUARDED),
        made.send(),
        made.record(),
        made.verify(),
        made.finish(),
    ),
    "running-stopping": (*made.RUNNING, made.send(), made.stop()),
    "voided": (*made.APPROVED, made.void("it would hit 73 devices, more than the 59 that were confirmed")),
}
"""States that the phase alone does not make, or not the one worth showing."""


def states() -> Iterator[tuple[str, State]]:
    """Yield a state for each phase that has a card, and its name."""
    for phase in Phase:
        name = phase.value.lower().replace(" ", "-")
        if phase not in {Phase.CHECKING, Phase.REFUSED} and name not in SPECIAL:
            yield name, made.life_in(phase).state
    for name, decisions in SPECIAL.items():
        yield name, made.Life().after(*decisions).state


def dressed(state: State) -> State:
    """Return the state as one of the playground's own job."""
    job = Job(id=JOB, name=PUMPS.name, status="IN_PROGRESS", version=PUMPS.version)
    plan = state.plan and replace(state.plan, job=JOB)
    stopped_by = state.stopped_by and LEA
    preview = state.preview and replace(state.preview, job=job)
    policy = state.policy and {**state.policy, "approvers": ["S0LEADS"]}
    return replace(
        state, order=ORDER, account="pumps", plan=plan, preview=preview, policy=policy, stopped_by=stopped_by
    )


def keep(name: str, shown: Page | Locator) -> None:
    """Take the picture `name` of what is shown."""
    path = FOLDER / f"{name}.png"
    taken = Image.open(BytesIO(shown.screenshot(animations="disabled"))).convert("RGB")
    # A page has few colours: a palette of them is a third of the size, and nobody sees the difference.
    taken.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    sys.stdout.write(f"{path.relative_to(ROOT)}  {size // 1000} kB{'  TOO LARGE' if size > LARGEST else ''}\n")


@contextmanager
def tab(browser: Browser, address: str, *, width: int, height: int, scale: float = 1.5) -> Iterator[Page]:
    """Open the page in a window of that size, in one place and language for everybody."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    page.locator(".jobs li").first.wait_for(state="attached")
    yield page
    context.close()


def cards(browser: Browser) -> None:
    """Take a picture of the card in every state."""
    with World() as world:
        slack = world.stage.slack
        # The states were made at another time, and by somebody who is not of this company.
        slack.now = made.NOW.timestamp
        slack.add_user(made.BOB, "lea")
        with tab(browser, slack.url, width=1200, height=1600, scale=2) as page:
            for name, state in states():
                message = card(dressed(state))
                slack.post(channel=OPS, user=BOT_USER, text=message.text, blocks=message.blocks)
                shown = page.locator("#messages .message").last
                shown.get_by_role("heading", name=state.phase.value).wait_for()
                keep(f"card-{name}", shown)


def views(browser: Browser) -> None:
    """Take a picture of each view while the main job is done."""
    with World() as world:
        slack = world.stage.slack
        with tab(browser, slack.url, width=1240, height=780) as page:
            order(page, "queued,notified")
            page.locator("#messages h3").wait_for()
            settle(page)
            keep("channel", page)
            page.get_by_role("button", name="Cancel 52 upgrades").click()
            keep("confirm", page.get_by_role("dialog"))
            page.get_by_role("button", name="Go back").click()
            refused(page)
            page.get_by_text("on call: may order").click()
            page.locator("#messages .only", has_text="Refused").wait_for(state="detached")
            page.get_by_role("button", name="Cancel 52 upgrades").click()
            page.get_by_role("button", name="Cancel them").click()
            page.get_by_role("button", name="2 replies").click()
            settle(page)
            keep("thread", page)
            page.get_by_role("button", name="Close the thread").click()
            page.set_viewport_size({"width": 1240, "height": 1500})
            settle(page)
            keep("cloud", page.locator("#cloud"))
            order(page, "queud,notified")
            page.locator("#messages .only", has_text="does not fit there").wait_for()
            keep("usage-error", page.locator("#messages .message").last)
            page.set_viewport_size({"width": 1240, "height": 440})
            page.get_by_role("link", name="# ota-audit").click()
            page.locator("#messages .message", has_text="done:").wait_for()
            keep("audit", page.locator("main"))
        with tab(browser, f"{slack.url}/#{LEA}/{OPS}", width=390, height=844) as page:
            page.get_by_role("heading", name="Done").wait_for()
            keep("phone", page)


def second_person(browser: Browser) -> None:
    """Take pictures of what approvers are told and asked, and of an order that is there already."""
    with World() as world:
        slack = world.stage.slack
        words = f"job {METERS.job} queued,notified because 5.2.0 drains batteries"
        with tab(browser, slack.url, width=1240, height=780) as page:
            types(page, words)
            page.get_by_role("button", name="Cancel 18,000 upgrades").click()
            page.get_by_role("button", name="Cancel them").click()
            page.get_by_role("heading", name="Waiting for approval").wait_for()
            types(page, words)
            page.get_by_role("button", name="Order it anyway").wait_for()
            settle(page)
            keep("already", page.locator("#messages .only").last)
            page.get_by_role("button", name="Go on without approval").click()
            page.get_by_role("button", name="Say why").click()
            form = page.locator("dialog[open]")
            form.get_by_role("textbox").fill("Meters lose their readings, and no lead answers.")
            keep("break-glass-form", form)
            page.keyboard.press("Escape")
        slack.wait_for(lambda: slack.dms(LEA))
        place = slack.dms(LEA)[0].channel
        with tab(browser, f"{slack.url}/#{LEA}/{place}", width=390, height=844) as page:
            page.get_by_role("link", name="Go to its card").wait_for()
            keep("called", page)
            page.get_by_role("link", name="Go to its card").click()
            page.get_by_role("button", name="Approve: ").click()
            keep("approve", page)
            page.get_by_role("button", name="Go back").click()
            page.get_by_role("button", name="Reject", exact=False).click()
            page.locator("dialog[open]").get_by_role("textbox").fill("5.2.0 is fine: the meters report it wrongly.")
            settle(page)
            keep("reject-form", page)


def operations(browser: Browser) -> None:
    """Take a picture of what the other operations and clouds look like, the form, and the files in a thread."""
    with World() as world:
        slack = world.stage.slack
        _, lamps, wind, gateways = world.suggestions()
        with tab(browser, slack.url, width=1240, height=1400) as page:
            for name, words in (("devices", lamps), ("strategy", gateways), ("enos", wind)):
                types(page, words)
                page.get_by_role("button", name=BUTTONS[name]).wait_for()
                keep(f"card-{name}", page.locator("#messages .message", has=page.locator("h3")).last)
            types(page, "jobs")
            page.locator("#messages .only", has_text="newest first").wait_for()
            keep("jobs", page.locator("#messages .message").last)
            filled_in(page)
            world.another()  # so that there are two jobs of the firmware, of which one fails
            world.tuya.faults.add("permission_refused", "CancelOTATaskByDevice")
            types(page, f"devices {','.join(FLICKERING)} product {LAMPS.product} firmware {LAMPS.firmware} on lamps")
            page.get_by_role("button", name="Cancel 22 upgrades").click()
            page.get_by_role("button", name="Cancel them").click()
            partly = page.locator("#messages .message", has=page.get_by_role("heading", name="Partly done")).first
            partly.wait_for()
            partly.get_by_role("button", name="4 replies").click()
            page.locator("#replies a", has_text=".csv").wait_for()
            settle(page)
            keep("left-over", page.locator("#thread"))


def home(browser: Browser) -> None:
    """Take a picture of Lea's Home while an order waits for her, another one runs, and a cloud does not answer."""
    with World() as world:
        slack = world.stage.slack
        waits = f"job {METERS.job} queued,notified because 5.2.0 drains batteries"
        with tab(browser, slack.url, width=1240, height=780) as page:
            types(page, waits)
            page.get_by_role("button", name="Cancel 18,000 upgrades").click()
            page.get_by_role("button", name="Cancel them").click()
            page.get_by_role("heading", name="Waiting for approval").wait_for()
            world.enos.faults.add("drop_before", times=None)
            types(page, f"preview {world.suggestions()[2]}")
            world.aliyun.faults.add("latency", "CancelOTATaskByJob", seconds=7.5)
            order(page, "queued,notified")
            page.get_by_role("button", name="Cancel 52 upgrades").click()
            page.get_by_role("button", name="Cancel them").click()
            page.get_by_role("heading", name="Running").wait_for()
        with tab(browser, f"{slack.url}/#{LEA}/home", width=1240, height=790) as page:
            page.get_by_role("region", name="Home").get_by_text("Calls taken").wait_for()
            settle(page)
            keep("home", page.locator("main"))


def ledger(browser: Browser) -> None:
    """Take a picture of a ledger in Datasette."""
    with datasette() as overview:
        page = browser.new_page(viewport={"width": 1240, "height": 980}, device_scale_factor=1.5)
        page.goto(overview)
        keep("datasette", page)
        page.close()


def filled_in(page: Page) -> None:
    """Open the form, name devices in it, and take a picture."""
    types(page, "")
    form = page.get_by_role("dialog", name="Cancel OTA tasks")
    form.get_by_role("radio", name="Named devices").check()
    form.get_by_role("textbox", name="Names of the devices").fill("pump-0117\npump-0118\npump-0342")
    form.get_by_role("textbox", name=re.compile("^Job")).fill(JOB)
    settle(page)
    keep("form", form)
    page.keyboard.press("Escape")
    form.wait_for(state="detached")


def types(page: Page, words: str) -> None:
    """Type the command and these words."""
    page.locator("#text").fill(f"/ota-cancel {words}".rstrip())
    page.keyboard.press("Enter")


def order(page: Page, statuses: str) -> None:
    """Type the order."""
    types(page, TYPED.replace("queued,notified", statuses))


def refused(page: Page) -> None:
    """Let Ben press Ann's button, and take a picture of what he is told."""
    page.get_by_text("in the channel only").click()
    page.get_by_role("button", name="Cancel 52 upgrades").click()
    page.get_by_role("button", name="Cancel them").click()
    page.locator("#messages .only", has_text="Refused").wait_for()
    keep("refusal", page.locator("#messages .only").last)


def settle(page: Page) -> None:
    """Wait until what was just said is no longer on the move."""
    page.wait_for_timeout(400)


def main() -> int:
    """Take all pictures."""
    executable = found()
    if executable is None:
        sys.stderr.write(f"There is no Chromium or Chrome here; {INSTALL}\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        cards(browser)
        views(browser)
        second_person(browser)
        operations(browser)
        home(browser)
        ledger(browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
