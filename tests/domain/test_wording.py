"""The sentences that Slack and the terminal share."""

from dataclasses import replace

import pytest

from bot.domain.account import Cloud
from bot.domain.command import parse
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Job, Preview
from bot.domain.reading import Counts, Named
from bot.domain.status import Status
from bot.domain.wording import (
    COMMAND,
    choices,
    counts_line,
    idle,
    job_line,
    named_line,
    nothing_to_hit,
    now_at_most,
    number,
    ordered_again,
    preview_lines,
    seconds,
    target,
    tasks,
    warnings,
)
from tests.builders import ALONE, COUNTS, DEVICES, DRAINED, NAMES, ORDER, named, plan, plan_by_name, preview, reading

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
        (9, 7, "7 now"),
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

    assert expected == choices(CancelJob(job="J1"), preview(counts), Cloud.ALIYUN).splitlines()[3:]


def test_each_choice_can_be_typed() -> None:
    """Every command that is offered is one that the bot understands, with the account and the reason it was given."""
    asked = CancelJob(job="J1", account="prod", reason="bad build")
    lines = choices(asked, preview(), Cloud.ALIYUN).splitlines()[3:]
    orders = [parse(line.removeprefix(COMMAND).partition("   (")[0]) for line in lines]

    assert [(Q, N), (U, Q, N), (U, Q, N, P)] == [
        order.statuses for order in orders if isinstance(order, CancelJob) and order.account == "prod"
    ]


def test_no_choice_where_there_is_nothing() -> None:
    """A job without unfinished tasks is said to have none."""
    assert "Nothing to cancel: J1" == choices(CancelJob(job="J1"), preview(DRAINED), Cloud.ALIYUN)[:21]


def test_a_preview_ends_with_the_line_that_orders_it() -> None:
    """The answer to `preview` shows counts, estimate and digest, and the command to type."""
    lines = preview_lines(ORDER, preview(), plan(), estimate=61, verdict=ALONE).splitlines()

    assert [
        "Preview, nothing was changed. J1 · “Spring” · to 2.1 · the batch is under way",
        f"Would cancel: queued, notified (52 now, at most 59). All: {counts_line(preview())}.",
        "Hits whatever is in these statuses when it starts; the devices are not listed beforehand.",
        f"About 1 min 1 s at the account's rate. Plan {plan().digest[:12]}.",
        "To order it: /ota-cancel job J1 queued,notified",
    ] == lines


@pytest.mark.parametrize(
    ("cloud", "offered"),
    [
        (Cloud.TUYA, ["queued,notified   (52 tasks)", "unconfirmed,queued,notified   (59 tasks)"]),
        (Cloud.ENOS, ["queued,notified   (52 tasks)"]),
    ],
)
def test_only_what_the_cloud_offers_is_offered(cloud: Cloud, offered: list[str]) -> None:
    """No choice names a status that the account's cloud cannot cancel."""
    shown = choices(CancelJob(job="J1"), preview(), cloud).splitlines()[3:]

    assert [f"{COMMAND} job J1 {line}" for line in offered] == shown


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (CancelDevices(names=("a",), job="J1"), "one device of job J1"),
        (DEVICES, "450 devices of job J1"),
        (CancelDevices(names=("a", "b"), product="P", firmware="F"), "2 devices of firmware F"),
        (CancelDevices(file="F0", job="J1"), "the devices in a file of job J1"),
        (CancelStrategy(job="J1"), "the strategy of batch J1"),
        (CancelStrategy(job="J1", statuses=(Q, N)), "the strategy of batch J1 and its queued and notified tasks"),
        (ORDER, "the queued and notified tasks of job J1"),
        (CancelJob(job="J1"), "batch J1"),
    ],
)
def test_what_an_order_is_about(order: Cancel, words: str) -> None:
    """What is about to be hit is said in words, with how many devices are named."""
    assert words == target(order)


def test_what_was_seen_of_named_devices() -> None:
    """Of named devices it is said what will be hit, and of the others why not; what is nought is left out."""
    seen = Named(counts={Q: 1200, P: 3, U: 0}, canceled=2, ended=1, absent=4, unlooked=50)

    assert (
        "queued 1,200, in-progress 3, 2 cancelled, 1 ended otherwise, 4 not found, 50 not looked at one by one"
        == named_line(seen)
    )
    assert "none of them has a task here" == named_line(Named(counts={}))


MID_FLIGHT = "A cancel by device also hits what is in progress (mid-flash)."
STATIC = "This is a static batch: the cloud stops the strategy of dynamic batches alone, and will refuse it."


@pytest.mark.parametrize(
    ("order", "dynamic", "said"),
    [
        (CancelStrategy(job="J1"), False, (STATIC,)),
        (
            CancelStrategy(job="J1"),
            True,
            ("No device joins this batch any more. Tasks that exist already stay: name statuses to cancel them, too.",),
        ),
        (CancelStrategy(job="J1", statuses=(Q,)), True, ("No device joins this batch any more.",)),
        (
            ORDER,
            True,
            (
                "Hits whatever is in these statuses when it starts; the devices are not listed beforehand.",
                "This is a dynamic batch: devices keep joining it until its strategy is cancelled, too.",
            ),
        ),
    ],
)
def test_what_is_warned_of(order: Cancel, dynamic: bool, said: tuple[str, ...]) -> None:
    """A static batch has no strategy to stop, a dynamic one keeps growing, and a cancel by job lists no devices."""
    seen = preview()

    assert said == warnings(order, replace(seen, job=replace(seen.job, dynamic=dynamic)), plan(order=order))


@pytest.mark.parametrize(
    ("flashing", "said"), [(0, MID_FLIGHT), (1, f"{MID_FLIGHT} 1 of them is in progress now."), (2, "2 of them are")]
)
def test_mid_flight_is_warned_of(flashing: int, said: str) -> None:
    """That a cancel by device hits what is being flashed is said, with how many that are now."""
    shown = replace(preview(), reading=named(400, flashing=flashing))
    (warning,) = warnings(DEVICES, shown, plan_by_name(shown.reading))

    assert said in warning


@pytest.mark.parametrize(("statuses", "still"), [((N,), "notified"), ((Q, N), "queued or notified")])
def test_a_job_that_is_cancelled_by_name_hits_nobody_else(statuses: tuple[Status, ...], still: str) -> None:
    """Where a job's devices are listed, it is said that those are hit which still wait, and that no others come in."""
    frozen = replace(plan_by_name(named()), verb="job", statuses=statuses)

    (said,) = warnings(CancelJob(job="J1", statuses=statuses), preview(), frozen)

    assert f"hits those still {still} when their call is sent; a device that becomes so later is not hit." in said


def test_a_job_that_revives_is_warned_of() -> None:
    """A job that retries by itself may take up again what was cancelled, and that is said before."""
    seen = preview()

    said = warnings(ORDER, replace(seen, job=replace(seen.job, revives=True)), plan())

    assert said[-1].startswith("This job retries what failed")


@pytest.mark.parametrize(
    ("order", "counts", "batch", "expected"),
    [
        (ORDER, COUNTS, "", False),
        (ORDER, DRAINED, "", True),
        (ORDER, {**DRAINED, Q: None}, "", False),
        (CancelStrategy(job="J1"), COUNTS, "IN_PROGRESS", False),
        (CancelStrategy(job="J1"), DRAINED, "IN_PROGRESS", False),
        (CancelStrategy(job="J1"), COUNTS, "CANCELED", True),
        (CancelStrategy(job="J1", statuses=(Q,)), COUNTS, "CANCELED", False),
        (CancelStrategy(job="J1", statuses=(Q,)), DRAINED, "COMPLETED", True),
    ],
)
def test_what_would_change_nothing(order: Cancel, counts: Counts, batch: str, expected: bool) -> None:
    """No task to hit and no strategy to stop is nothing to do; what is unknown is not nothing."""
    seen = preview(counts)
    shown = replace(seen, reading=replace(seen.reading, batch=batch))

    assert expected == idle(order, shown, plan(counts, order=order))


def test_no_device_to_send_is_nothing_to_do() -> None:
    """Named devices of which none can be cancelled make no plan to confirm, whatever the job's totals say."""
    shown = replace(preview(), reading=named(450))

    assert [False, True] == [idle(DEVICES, shown, plan_by_name(names=names)) for names in (NAMES, ())]
    assert "Nothing to cancel: none of these devices has a task that can be cancelled" in nothing_to_hit(
        DEVICES, shown, {}
    )


def test_many_names_are_not_written_out() -> None:
    """The line that orders a preview holds the names up to fifty of them, and says how many there are beyond."""
    few = replace(DEVICES, names=NAMES[:50])
    lines = [
        preview_lines(order, preview(), plan_by_name(), estimate=3, verdict=ALONE).splitlines()[-1]
        for order in (few, DEVICES)
    ]

    assert f"To order it: /ota-cancel devices {','.join(NAMES[:50])} job J1" == lines[0]
    assert "To order it: /ota-cancel devices pump-001 job J1   (with all 450 names)" == lines[1]


def test_what_was_ordered_again() -> None:
    """The order for the rest is named; where that came to nothing, it is said that there may be another."""
    assert "ordered again as #42" == ordered_again(42)
    assert "may be ordered again, as the order for its rest came to nothing" == ordered_again(None)
