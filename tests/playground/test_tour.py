"""The tour, and the world it is played in: the real bot, a local Slack that keeps Slack's rates, simulated clouds."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from bot.playground.jobs_ready import ALIYUN, LAMPS, METERS, TURBINES
from bot.playground.tour import play
from bot.playground.world import ANN, JOB, OPS, World

PATIENCE = 30.0


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_the_tour_tells_an_order_of_each_cloud(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip, a card, two strangers to it, a second person, each cloud's calls, audit and chain come in this order."""
    play(world)

    said = capsys.readouterr().out
    facts = (
        "ready: socket mode",
        "“queud” does not fit there",
        "Waiting for confirmation · cancellation #1",
        "Ben alone sees:\n   Refused: not among the requesters",
        "Ann presses “Cancel 52 upgrades”, and Slack asks her once more",
        "Done · cancellation #1",
        "asked 52 · accepted 52 · confirmed 52 · left 0",
        "CancelOTATaskByJob\n     CancelInProgressTask=false\n     CancelNotifiedTask=true",
        "52 CANCELED",
        "After you confirm it needs a second person's approval: up to 19,200 devices are more than 100.",
        "Waiting for approval · cancellation #2",
        "[Approve: cancel 18,000 upgrades] [Reject] [Withdraw] [! Go on without approval]",
        "Lea, whose phone rings, sees:\n   #2 waits for your approval until",
        "Go to its card",
        "Ann alone sees:\n   Refused: not among the approvers",
        "Done · cancellation #2",
        "asked 18,000 · accepted 18,000 · confirmed 18,000 · left 0",
        "devices lamp-000005,lamp-000027 job",
        "Waiting for confirmation · cancellation #3",
        "CancelOTATaskByDevice\n     FirmwareId=",
        "devices=lamp-000005, lamp-000027",
        "asked 2, accepted 2, confirmed 2, left 0",
        f"searchTask jobId = '{TURBINES.job}' and status in ('init','published')",
        "Waiting for confirmation · cancellation #4",
        "cancelTask\n     jobId=",
        "devices=turbine-000001, turbine-000002, turbine-000003, … turbine-000024 (24)",
        "asked 24, accepted 24, confirmed 24, left 0",
        "#1 confirmed plan",
        "#2 approved plan",
        "#4 done",
        "The chain holds:",
    )
    places = [said.find(fact) for fact in facts]
    assert -1 not in places, facts[places.index(-1)]
    assert all(before < after for before, after in pairwise(places))
    assert [52, 18_000, 2, 24] == [
        sum(fleet.canceled(job).values())
        for fleet, job in (
            (world.aliyun.fleet, JOB),
            (world.aliyun.fleet, METERS.job),
            (world.tuya.fleet, LAMPS.job),
            (world.enos.fleet, TURBINES.job),
        )
    ]
    assert [] == [call for call in world.stage.slack.calls if call.error]


def test_the_tour_goes_on_where_slack_says_not_so_fast(world: World) -> None:
    """A 429 to the card, to its edit and to what is posted next only delays the tour."""
    faults = world.stage.slack.faults
    faults.add("chat.postMessage", retry_after=1, times=2)
    faults.add("chat.update", retry_after=1)

    play(world)

    said = [call.method for call in world.stage.slack.calls if call.error]
    assert ["chat.postMessage", "chat.postMessage", "chat.update"] == sorted(said)


def test_many_orders_at_once_keep_to_slacks_rates(world: World) -> None:
    """Four orders at once in one channel have their cards a second apart, and Slack never has to refuse one."""
    slack = world.stage.slack
    assert slack.enforce_rates
    jobs = [
        JOB,
        *(ready.job for ready in ALIYUN[1:] if ready.counts.get("QUEUED", 0) < 100 and ready.status == "IN_PROGRESS"),
    ]
    for _ in range(3 - len(jobs[1:])):
        world.another()
    jobs += [job.job_id for job in world.stage.cloud.fleet.jobs() if job.job_id.startswith("aGn")]

    for job in jobs:
        slack.command(ANN, OPS, f"job {job} queued because many at once")
    cards = slack.wait_for(lambda: slack.messages(OPS)[3:] and slack.messages(OPS), PATIENCE)

    assert 4 == len(cards) == len(jobs)
    assert [] == [call.method for call in slack.calls if call.error == "ratelimited"]


def test_there_is_an_order_to_try_on_each_cloud(world: World) -> None:
    """What the page offers to try is an order of each cloud that has something waiting, and it finds its way there."""
    world.tuya.fleet.cancel(LAMPS.job, statuses=("QUEUED",))
    before = world.suggestions()
    world.another()
    after = world.suggestions()

    assert ["job 7glPHmaDYL", "job wTb3Jk9SvC", "strategy dYn6G"] == [words[:14] for words in before]
    assert ["job aGn02Kq7Tz", "devices lamp-0", "job wTb02Rf5Bz", "strategy dYn6G"] == [words[:14] for words in after]
    for words in after:
        world.stage.slack.command(ANN, OPS, words)
    cards = world.stage.slack.wait_for(lambda: world.stage.slack.messages(OPS)[3:], PATIENCE)

    assert cards[-1].text.startswith("Waiting for confirmation")
