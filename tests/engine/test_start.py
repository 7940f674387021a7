"""The start: everything is checked once more, and what does not hold any more is void."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from bot.domain.account import Approval
from bot.domain.cancellation import Phase, State
from bot.domain.secret import Secret
from tests.engine.deadly import crash
from tests.engine.scene import ANN, figures
from tests.engine.stage import DEAF, JOB, STALE, WHOLE, Stage, drain

NOT_CONFIRMED: Final = "account pumps is no longer the cloud, endpoint and key that were confirmed"


def voided(stage: Stage, state: State) -> str:
    """Return why it was voided; nothing may have been sent."""
    assert (Phase.VOIDED, []) == (state.phase, stage.cancels)
    return state.why


class TestStart:
    def test_unreadable_for_a_while(self, stage: Stage) -> None:
        """A cloud that cannot be read at the start is asked again until it answers."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.faults.add("http_500", "ListOTATaskByJob", times=9)
        state = stage.keep_running(identity)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))

    def test_unreadable_for_ever(self, stage: Stage) -> None:
        """A run that cannot be started within `run_within` of its confirmation is void."""
        identity = stage.confirmed()
        began = stage.clock.now()
        stage.clock.turn(STALE)
        stage.simulated.faults.add("http_500", "ListOTATaskByJob", times=None)
        reason = voided(stage, stage.keep_running(identity))

        assert "it was not started in time" == reason
        assert timedelta(0) <= stage.clock.now() - began - stage.account.approval.run_within < timedelta(seconds=60)

    def test_slack_is_away_for_a_while(self, stage: Stage) -> None:
        """A directory that does not answer at the start is asked again: nothing starts without knowing who asked."""
        identity = stage.confirmed()
        stage.people.silent = 3

        assert Phase.DONE is stage.keep_running(identity).phase

    def test_slack_is_away_for_ever(self, stage: Stage) -> None:
        """Without an answer about the requester the run is void after `run_within`."""
        identity = stage.confirmed()
        stage.people.silent = 10_000

        assert "it was not started in time" == voided(stage, stage.keep_running(identity))

    def test_started_too_late(self, stage: Stage) -> None:
        """An approved run that nobody took up within `run_within` is void."""
        identity = stage.confirmed()
        stage.clock.turn(stage.account.approval.run_within.total_seconds())

        assert "it was not started in time" == voided(stage, stage.run(identity))

    @pytest.mark.parametrize(("more", "hit"), [(0, 52), (1, 53), (7, 59)])
    def test_drift_within(self, stage: Stage, more: int, hit: int) -> None:
        """A job that moved on, but not above what was confirmed, runs on what is there at the start."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.fleet.add_tasks(JOB, "QUEUED", more)
        state = stage.run(identity)

        assert (Phase.DONE, (hit, hit, hit, 0)) == (state.phase, figures(state))

    def test_drained_within(self, stage: Stage) -> None:
        """A live job drains while people decide: what flowed in from CONFIRM is hit, what flowed out is not."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.fleet.drain(JOB, 12)
        before = stage.counts
        state = stage.run(identity)
        hit = before["QUEUED"] + before["NOTIFIED"]

        assert (Phase.DONE, (hit, hit, hit, 0)) == (state.phase, figures(state))

    def test_drift_above(self, stage: Stage) -> None:
        """One device more than what was confirmed at most voids it."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.fleet.add_tasks(JOB, "QUEUED", 8)

        assert "it would hit 60 devices, more than the 59 that were confirmed" == voided(stage, stage.run(identity))

    def test_size_unknown(self, stage: Stage) -> None:
        """A cloud that has stopped filtering at the start voids it: the size is not what was confirmed."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.faults.add("unfiltered", times=None)

        assert "an unknown number of devices" in voided(stage, stage.run(identity))

    def test_drained_to_nothing(self, stage: Stage) -> None:
        """A job that has drained to nothing meanwhile is void; no empty call goes out."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        drain(stage)

        assert "nothing is left to cancel" in voided(stage, stage.run(identity))

    def test_job_gone(self, stage: Stage) -> None:
        """A job that the cloud no longer knows voids it at once, in the cloud's words."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.fleet.clear()
        reason = voided(stage, stage.run(identity))

        assert "iot.ota.JobNotFound: The specified job does not exist." in reason
        assert not reason.endswith("Nothing was changed.")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"deactivated": True}, "deactivated accounts may not cancel anything"),
            ({"guest": True}, "guests of this workspace"),
            ({"stranger": True}, "people of other organisations"),
            ({"bot": True}, "bots may not cancel anything"),
        ],
    )
    def test_lost_standing(self, stage: Stage, change: dict[str, bool], words: str) -> None:
        """Somebody who lost their standing between confirmation and start starts nothing."""
        identity = stage.confirmed()
        stage.people.changes[ANN] = change

        assert words in voided(stage, stage.run(identity))

    def test_no_longer_listed(self, stage: Stage) -> None:
        """Somebody taken off the account's list between confirmation and start starts nothing."""
        identity = stage.confirmed()
        process = stage.process("two", accounts={"pumps": replace(stage.account, requesters=("U0BEN",))})

        assert "not among the requesters" in voided(stage, stage.run(identity, process))

    @pytest.mark.parametrize(
        "change",
        [{"key_id": Secret("another")}, {"instance": "iot-2"}, {"region": "cn-beijing"}, {"endpoint": DEAF}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_cloud(self, stage: Stage, change: dict[str, object]) -> None:
        """Another endpoint, instance, region or key than planned for voids it."""
        identity = stage.confirmed()
        process = stage.process("two", accounts={"pumps": replace(stage.account, **change)})  # type: ignore[arg-type]

        assert NOT_CONFIRMED == voided(stage, stage.run(identity, process))

    @pytest.mark.parametrize("stricter", [Approval(above=51), Approval(always=("queued",))])
    def test_stricter_policy(self, stage: Stage, stricter: Approval) -> None:
        """A policy that has become stricter since the confirmation voids it."""
        identity = stage.confirmed()
        process = stage.process("two", accounts={"pumps": replace(stage.account, approval=stricter)})

        assert "the approval rules are stricter now" in voided(stage, stage.run(identity, process))

    def test_account_gone(self, stage: Stage) -> None:
        """A confirmed cancellation of an account that is no longer configured is void."""
        identity = stage.confirmed()
        process = stage.process("two", accounts={})

        assert NOT_CONFIRMED == voided(stage, stage.run(identity, process))

    def test_cloud_gone(self, stage: Stage) -> None:
        """The same holds where the account's cloud is one that this version cannot cancel on."""
        identity = stage.confirmed()
        process = stage.process("two", clouds={})

        assert NOT_CONFIRMED == voided(stage, stage.run(identity, process))

    def test_account_gone_while_running(self, stage: Stage) -> None:
        """A run whose account is no longer configured ends, its interrupted call unknown, without a call."""
        identity = stage.confirmed()
        crash(stage, identity, at=2, side="after")
        process = stage.process("two", accounts={})
        state = stage.run(identity, process)

        assert (Phase.PARTLY_DONE, ["unknown"], []) == (state.phase, stage.outcomes(), stage.cancels)
        assert NOT_CONFIRMED == state.why
