"""The Home tab as it is drawn: what it says of each thing, its limits, and that nothing in it gets loose."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.clouds.health import Heard
from bot.domain.approval import BOUNDLESS
from bot.domain.cancellation import Phase
from bot.domain.decisions import Decision
from bot.playground.slack.block_kit import view_problems
from bot.slack.home_views import LATEST, MOST, NOBODY, Listed, Seen, Standing, home, notice
from bot.slack.lists import entry, line
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    ASKING,
    BOB,
    NOW,
    RUNNING,
    STRICT,
    WAITING,
    Life,
    account,
    break_glass,
    finish,
    life_in,
    record,
    requested,
    send,
    start,
    stop,
    verify,
)
from tests.slack.test_views import LIVE, mrkdwn, strings

LINK = "<https://a.example/archives/C0OPS/p1|Go to its card>"
LATER = "<!date^1767323045^{date_short_pretty} {time}|2026-01-02 03:04 UTC>"
UNTIL = "<!date^1767324845^{time}|03:34 UTC>"
WHY = "J1 · “Spring” · to 2.1 · because no reason was given\n"
STANDING = Standing(account=ACCOUNT, orders=True, ran_alone=52, slots={})


def said(view: dict[str, Any]) -> list[str]:
    """Return the texts of a view in order."""
    return list(strings(view["blocks"]))


def shown(life: Life) -> str:
    """Return a cancellation as a Home and `pending` show it."""
    return entry(life.state, LINK)


# --- a cancellation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "below"),
    [
        ((), "Being checked; what it would hit follows on its card."),
        (WAITING, f"{WHY}Waits for <@{ANN}> to confirm it until {UNTIL}."),
        (ASKING, f"{WHY}1 approval is missing; <@{BOB}> may give it until {UNTIL}."),
        (APPROVED, "About to start; not after <!date^1767323945^{time}|03:19 UTC>."),
        (RUNNING, "Calls taken: 0 of 1 · accepted so far 0."),
        ((*APPROVED, start(calls=3), send(), record()), "Calls taken: 1 of 3 · accepted so far 52."),
        (
            (*RUNNING, send(), stop(BOB)),
            f"Calls taken: 0 of 1. <@{BOB}> pressed Stop; stopping: 1 call still out · accepted so far 0.",
        ),
        ((*RUNNING, send(), record(), verify(), finish()), ""),
    ],
    ids=["checking", "to confirm", "to approve", "approved", "running", "half way", "stopping", "done"],
)
def test_an_open_one_says_what_it_waits_for(made: tuple[Decision, ...], below: str) -> None:
    """Below a line stands what it waits for (and why, for who answers), until when or how far, and the way there."""
    life = Life().after(*made)

    assert f"{line(life.state)}\n{f'{below} ' if below else ''}{LINK}" == shown(life)


def test_without_a_card_there_is_no_way_to_it() -> None:
    """What has no card yet has no link, and leaves no gap for one."""
    assert entry(life_in(Phase.WAITING_CONFIRMATION).state).endswith(f"to confirm it until {UNTIL}.")
    assert "\n" not in entry(life_in(Phase.DONE).state)


def test_broken_glass_is_marked() -> None:
    """A cancellation that went on without the approval it needed carries the mark in every list."""
    broken = Life().after(*ASKING, break_glass(on=account(approval=STRICT)))

    assert line(broken.state).endswith(" · *glass broken*")
    assert "glass" not in line(Life().after(*ASKING).state)


# --- the whole -------------------------------------------------------------------------------------------------------


def test_it_says_what_waits_first() -> None:
    """What waits for somebody stands first, then what runs, their latest, and the accounts."""
    waiting, running, done = (Listed(state=life_in(phase).state, link=LINK) for phase in PHASES)
    view = home(Seen(waiting=[waiting], running=[running], latest=[done], accounts=[STANDING]))

    assert [] == view_problems(view)
    texts = said(view)
    order = ["What waits for you", "What runs", "Your latest", "Accounts"]
    assert order == [text for text in texts if text in order]
    assert entry(waiting.state, LINK) == texts[texts.index("What waits for you") + 1]
    assert "`/ota-cancel` opens the form" in texts[-1]


PHASES = (Phase.WAITING_APPROVAL, Phase.RUNNING, Phase.DONE)


def test_it_says_that_there_is_nothing() -> None:
    """An empty part says so, rather than to be missing."""
    texts = said(home(Seen(accounts=[STANDING])))

    assert {"Nothing waits for you.", "Nothing runs.", "You have ordered nothing lately."} <= {*texts}


def test_it_never_grows_over_slacks_limits() -> None:
    """However much there is, it is a view that Slack takes, and says how much it leaves out."""
    many = [Listed(state=life_in(Phase.RUNNING).state, link=LINK)] * 40
    view = home(Seen(waiting=many, running=many, latest=many, accounts=[STANDING] * 40))

    assert [] == view_problems(view)
    assert 2 == said(view).count(f"… and {40 - MOST} more.")
    assert 2 * MOST + LATEST == sum("*#1*" in text for text in said(view))


def test_nothing_hostile_gets_loose() -> None:
    """Words of people and clouds mention nobody and link nothing."""
    loud = "<!channel> <@U0EVE> <http://evil|good> *x* `y`"
    order = replace(life_in(Phase.RUNNING).state.order, job=loud)
    state = replace(life_in(Phase.RUNNING).state, order=order, account=loud)
    heard = Heard(silent=NOW, why=loud)
    standing = replace(STANDING, account=account(name=loud), heard=heard, slots={loud: (60.0, 2.0)})
    view = home(Seen(waiting=[Listed(state=state)], accounts=[standing]))

    assert [] == view_problems(view)
    live = {found for text in mrkdwn(view["blocks"]) for found in LIVE.findall(text) if not found.startswith("<!date")}
    assert {f"<@{ANN}>", f"<@{BOB}>", "<#C0OPS>"} == live


def test_a_notice_is_a_home_too() -> None:
    """Whoever may see nothing is shown one sentence, and nothing else."""
    assert [] == view_problems(notice(NOBODY))
    assert [NOBODY] == [text.replace("&gt;", ">") for text in said(notice(NOBODY))]


# --- an account ------------------------------------------------------------------------------------------------------


def account_shown(**changes: Any) -> list[str]:
    """Return the lines of an account."""
    (text,) = [text for text in said(home(Seen(accounts=[replace(STANDING, **changes)]))) if text.startswith("*prod")]
    return text.split("\n")


def test_an_account_says_what_one_may_do() -> None:
    """Where it may be used, how much one may run alone within which time, how much is used, and who approves."""
    title, allowance, *_ = account_shown()

    assert "*prod* · Alibaba Cloud · in <#C0OPS>" == title
    assert (
        "You may cancel up to 100 devices alone within 60 min, and have used 52."
        f" More needs 1 approval of <@{BOB}>; in-progress always."
    ) == allowance


def test_an_approver_is_told_what_they_are() -> None:
    """Whoever may only approve is not told of an allowance; whoever broke glass for an unknown size has used that."""
    assert account_shown(orders=False)[1].startswith(
        "You may approve here, and not order: more than 100 devices need 1"
    )
    assert "have used an unknown number." in account_shown(ran_alone=BOUNDLESS)[1]


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (None, "Cloud: not asked yet since my start."),
        (Heard(answered=NOW), f"Cloud: answered last {LATER}."),
        (
            Heard(silent=NOW, why="no connection could be made"),
            f"Cloud: *no answer* {LATER} (no connection could be made); not answered since my start.",
        ),
        (
            Heard(answered=NOW, silent=NOW + timedelta(seconds=1), why="HTTP 503"),
            f"Cloud: *no answer* {LATER.replace('045', '046')} (HTTP 503); answered last {LATER}.",
        ),
        (Heard(answered=NOW, silent=NOW - timedelta(seconds=1), why="HTTP 503"), f"Cloud: answered last {LATER}."),
    ],
    ids=["unknown", "well", "never", "ill", "well again"],
)
def test_an_account_says_how_its_cloud_is(heard: Heard | None, told: str) -> None:
    """What the cloud's latest answer was, when, and what is not known."""
    assert told == account_shown(heard=heard)[2]


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ({}, "Quota: free."),
        ({"QueryOTAJob": (0.4, 1.0)}, "Quota: free."),
        ({"CancelOTATaskByJob": (42.4, 1.0)}, "Quota: reserved, CancelOTATaskByJob about 40 s ahead."),
        (
            {"CancelOTATaskByJob": (63.0, 2.0), "QueryOTAJob": (0.0, 1.0)},
            (
                "Quota: reserved, CancelOTATaskByJob about 1 min 5 s ahead. *Throttled*, so its calls are spaced:"
                " CancelOTATaskByJob 2.0 times wider."
            ),
        ),
    ],
    ids=["never used", "free", "reserved", "throttled"],
)
def test_an_account_says_how_its_quota_is(slots: dict[str, tuple[float, float]], told: str) -> None:
    """How far ahead calls are reserved, roughly, and what is spaced wider since the cloud throttled it."""
    assert told == account_shown(slots=slots)[3]


def test_the_same_words_are_the_same_view() -> None:
    """What has not changed is drawn the same, so that it need not be sent again."""
    life = Life(opening=requested(reason="it bricks")).after(*WAITING)
    seen = Seen(waiting=[Listed(state=life.state, link=LINK)], accounts=[STANDING])

    assert home(seen) == home(seen)
