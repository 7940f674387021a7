"""The sentences that Slack and the terminal share."""

import pytest

from bot.domain.command import parse
from bot.domain.order import CancelJob
from bot.domain.plan import Counts, Job, Preview
from bot.domain.status import Status
from bot.domain.wording import (
    COMMAND,
    choices,
    counts_line,
    job_line,
    nothing_to_hit,
    now_at_most,
    number,
    preview_lines,
    seconds,
    tasks,
)
from tests.builders import COUNTS, DRAINED, ORDER, plan, preview, reading

S, U, Q, N, P = Status


@pytest.mark.parametrize(("count", "words"), [(0, "0"), (999, "999"), (1_000_000, "1,000,000"), (None, "unknown")])
def test_a_count(count: int | None, words: str) -> None:
    """Thousands are set apart, and what is not known is said."""
    assert words == number(count)


@pytest.mark.parametrize(("count", "words"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (None, "unknown tasks")])
def test_a_count_of_tasks(count: int | None, words: str) -> None:
    """One task is one task."""
    assert words == tasks(count)


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (7200, "120 min")]
)
def test_a_duration(count: int, words: str) -> None:
    """A duration is said in minutes and seconds."""
    assert words == seconds(count)


@pytest.mark.parametrize(
    ("now", "at_most", "words"),
    [
        (52, 59, "52 now, at most 59"),
        (7, 7, "7 now"),
        (1000, 2000, "1,000 now, at most 2,000"),
        (None, None, "unknown: the cloud does not tell how many"),
        (52, None, "unknown: the cloud does not tell how many"),
    ],
)
def test_the_size_of_a_cancel(now: int | None, at_most: int | None, words: str) -> None:
    """A size says what is hit now and what it may grow to; half a size is unknown."""
    assert words == now_at_most(now, at_most)


def test_all_counts_in_the_order_of_the_flow() -> None:
    """Counts are shown in the order in which tasks flow, then what has ended."""
    ended = {"SUCCEEDED": 9, "FAILED": None, "CANCELED": 3}
    flow = "unconfirmed 7, queued 40, notified 12, in-progress 5"

    assert f"{flow}, cancelled 3" == counts_line(preview())
    assert f"{flow}, succeeded 9, failed unknown, cancelled 3" == counts_line(preview(), ended)


def test_a_scheduled_batch_comes_first() -> None:
    """The count of a scheduled batch is shown where there is one, and an unknown count is said."""
    seen = preview({**COUNTS, S: 64, U: None})

    assert "scheduled 64, unconfirmed unknown, queued 40, notified 12, in-progress 5, cancelled 3" == counts_line(seen)


def test_a_job_is_recognised() -> None:
    """A job's line holds its name, version, state and kind, where the cloud tells them."""
    dynamic = Preview(job=Job(id="J2", dynamic=True), reading=reading())

    assert "J1 · “Spring” · to 2.1 · the batch is under way" == job_line(preview())
    assert "J2 · dynamic batch" == job_line(dynamic)


def test_nothing_to_hit_shows_all_counts() -> None:
    """An order that hits nothing is answered with every count of the job."""
    expected = (
        "Nothing to cancel: job J1 has no task that is queued, notified. Nothing was changed.\n"
        "J1 · “Spring” · to 2.1 · the batch is under way\n"
        "All its tasks: unconfirmed 0, queued 0, notified 0, in-progress 0, succeeded 9, cancelled 3."
    )

    assert expected == nothing_to_hit(ORDER, preview(DRAINED), {"SUCCEEDED": 9, "CANCELED": 3})


@pytest.mark.parametrize(
    ("counts", "offered"),
    [
        (COUNTS, ["queued,notified   (52 tasks)", "unconfirmed,queued,notified   (59 tasks)", None]),
        ({**DRAINED, Q: 1}, ["queued   (1 task)"]),
        ({**COUNTS, S: 64}, ["scheduled   (64 tasks)"]),
        ({**DRAINED, P: 5}, ["in-progress   (5 tasks)"]),
        (
            {**DRAINED, U: None},
            ["unconfirmed   (unknown tasks)"],
        ),
    ],
)
def test_the_sensible_choices(counts: Counts, offered: list[str | None]) -> None:
    """A job without statuses is answered with a complete command for each choice that would hit something."""
    every = "unconfirmed,queued,notified,in-progress   (64 tasks)"
    expected = [f"{COMMAND} job J1 {line or every}" for line in offered]

    assert expected == choices(CancelJob(job="J1"), preview(counts)).splitlines()[3:]


def test_each_choice_can_be_typed() -> None:
    """Every command that is offered is one that the bot understands, with the account and the reason it was given."""
    asked = CancelJob(job="J1", account="prod", reason="bad build")
    lines = choices(asked, preview()).splitlines()[3:]
    orders = [parse(line.removeprefix(COMMAND).partition("   (")[0]) for line in lines]

    assert [(Q, N), (U, Q, N), (U, Q, N, P)] == [
        order.statuses for order in orders if isinstance(order, CancelJob) and order.account == "prod"
    ]


def test_no_choice_where_there_is_nothing() -> None:
    """A job without unfinished tasks is said to have none."""
    assert "Nothing to cancel: J1" == choices(CancelJob(job="J1"), preview(DRAINED))[:21]


def test_a_preview_ends_with_the_line_that_orders_it() -> None:
    """The answer to `preview` shows counts, estimate and digest, and the command to type."""
    lines = preview_lines(ORDER, preview(), at_most=59, digest=plan().digest, estimate=61).splitlines()

    assert [
        "Preview, nothing was changed. J1 · “Spring” · to 2.1 · the batch is under way",
        f"Would cancel: queued, notified (52 now, at most 59). All: {counts_line(preview())}.",
        f"About 1 min 1 s at the account's rate. Plan {plan().digest[:12]}.",
        "To order it: /ota-cancel job J1 queued,notified",
    ] == lines
