"""The whole life of a cancellation, in good and in bad times: each call runs once, and every result is kept."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, product
from typing import Final

import pytest

from bot.domain.account import Account, Approval
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import MOST_ATTEMPTS, RETRY_WITHIN, Decided, Decision, Refusal
from bot.domain.secret import Secret
from bot.domain.status import Status
from bot.ledger.leases import LENGTH, Lease, Leases
from bot.ledger.ledger import Ledger
from tests.engine.stage import ANN, CANCEL, COUNTS, JOB, LEA, Stage, figures, nothing

TAKEN: Final = {"CONFIRM": 7, "IN_PROGRESS": 5, "CANCELED": 52}
STALE: Final = 31.0
"""Seconds after which a preview is too old to start on."""
WHOLE: Final = (52, 52, 52, 0)
"""Asked, accepted, confirmed, left of the main job."""


class TestMainJob:
    def test_story(self, stage: Stage) -> None:
        """A job of 64 tasks: exactly the 52 that were named are cancelled, by one call, and all of it is told."""
        state = stage.run(stage.confirmed())
        (call,) = stage.cancels

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert TAKEN == stage.counts
        assert {1} == set(stage.simulated.fleet.canceled(JOB).values())
        assert {
            "JobId": JOB,
            "CancelScheduledTask": "false",
            "CancelUnconfirmedTask": "false",
            "CancelQueuedTask": "true",
            "CancelNotifiedTask": "true",
            "CancelInProgressTask": "false",
        } == {name: value for name, value in call.params.items() if name == "JobId" or name.startswith("Cancel")}
        assert [
            "requested",
            "previewed",
            "confirmed",
            "started",
            "call_sent",
            "call_finished",
            "verified",
            "finished",
        ] == stage.kinds()

    def test_events(self, stage: Stage) -> None:
        """The events of a call carry what the contract names, and no secret is anywhere in the ledger."""
        stage.run(stage.confirmed())
        (sent,), (finished,), (ended,) = map(stage.bodies, ("call_sent", "call_finished", "finished"))

        assert {"v": 1, "action": CANCEL, "call": 1, "attempt": 1, "count": 52} == sent
        assert {
            "v": 1,
            "action": CANCEL,
            "call": 1,
            "attempt": 1,
            "outcome": "done",
            "code": "",
            "message": "",
            "request_id": stage.cancels[0].request_id,
        } == finished
        assert {"v": 1, "result": "Done", "asked": 52, "accepted": 52, "confirmed": 52, "left": 0} == ended
        assert [] == stage.secrets_in_the_ledger()

    def test_again(self, stage: Stage) -> None:
        """Running what is done does nothing at all."""
        identity = stage.confirmed()
        stage.run(identity)
        seen, before = len(stage.simulated.arrivals), stage.kinds()
        stage.run(identity)

        assert (seen, before) == (len(stage.simulated.arrivals), stage.kinds())

    @pytest.mark.parametrize("statuses", [(Status.UNCONFIRMED,), (Status.NOTIFIED,), (Status.QUEUED,)])
    def test_other_choices(self, stage: Stage, statuses: tuple[Status, ...]) -> None:
        """Each single status is cancelled alone."""
        state = stage.run(stage.confirmed(statuses))
        word = {Status.UNCONFIRMED: "CONFIRM", Status.NOTIFIED: "NOTIFIED", Status.QUEUED: "QUEUED"}[statuses[0]]
        hit = COUNTS[word]

        assert (Phase.DONE, (hit, hit, hit, 0)) == (state.phase, figures(state))
        assert {name: count for name, count in COUNTS.items() if name != word} | {"CANCELED": hit} == stage.counts

    def test_fresh_preview_is_not_read_again(self, stage: Stage) -> None:
        """Confirmed within half a minute, the next request after the preview is the cancel itself."""
        identity = stage.confirmed()
        seen = len(stage.simulated.arrivals)
        stage.run(identity)

        assert CANCEL == stage.simulated.arrivals[seen].action

    def test_others_cancelled_before(self, stage: Stage) -> None:
        """Tasks that were cancelled before the start are not counted as this one's."""
        stage.simulated.fleet.add_tasks(JOB, "CANCELED", 100)

        assert WHOLE == figures(stage.run(stage.confirmed()))

    def test_unheard_of(self, stage: Stage) -> None:
        """A cancellation that does not exist, or that nobody confirmed, is left alone."""
        stage.run(stage.ordered())
        stage.one.executor.run(99)

        assert Phase.WAITING_CONFIRMATION is stage.state().phase
        assert [] == stage.cancels


# --- what may go wrong with the call ---------------------------------------------------------------------------------


NOT_EXECUTED: Final = ("drop_before", "hang", "http_500", "http_502_html", "system_exception")
EXECUTED: Final = ("drop_after", "hang_after", "system_exception_after", "truncated", "wrong_type", "huge")


def read_between(stage: Stage) -> list[bool]:
    """Tell for each cancel after the first whether the cloud was read between it and the one before."""
    places = [place for place, arrival in enumerate(stage.simulated.arrivals) if arrival.action == CANCEL]
    return [
        "ListOTATaskByJob" in {arrival.action for arrival in stage.simulated.arrivals[first:second]}
        for first, second in pairwise(places)
    ]


class TestFaults:
    @pytest.mark.parametrize("kind", NOT_EXECUTED)
    def test_lost_before(self, stage: Stage, kind: str) -> None:
        """A call of unknown fate that was not executed is sent again, after a read that still finds its tasks."""
        stage.simulated.faults.add(kind, CANCEL)
        state = stage.run(stage.confirmed())

        assert (Phase.DONE, WHOLE, TAKEN) == (state.phase, figures(state), stage.counts)
        assert ["unknown", "done"] == stage.outcomes()
        assert (2, 1, [True]) == (len(stage.cancels), stage.executed, read_between(stage))
        assert [1, 2] == [body["attempt"] for body in stage.bodies("call_sent")]

    @pytest.mark.parametrize("kind", EXECUTED)
    def test_lost_after(self, stage: Stage, kind: str) -> None:
        """A call of unknown fate that was executed is found done by a read, and never sent again."""
        stage.simulated.faults.add(kind, CANCEL)
        state = stage.run(stage.confirmed())

        assert (Phase.DONE, WHOLE, TAKEN) == (state.phase, figures(state), stage.counts)
        assert ["unknown", "done by read"] == stage.outcomes()
        assert (1, 1) == (len(stage.cancels), stage.executed)

    def test_lost_and_drained(self, stage: Stage) -> None:
        """Where the tasks moved on by themselves instead, the read ends the call and claims none of them."""
        stage.simulated.faults.add("drop_before", CANCEL)
        stage.one.cloud.sent = lambda: drain(stage)
        state = stage.run(stage.confirmed())

        assert (["unknown", "done by read"], (52, 0, 0, 0)) == (stage.outcomes(), figures(state))
        assert (1, 0) == (len(stage.cancels), stage.executed)

    @pytest.mark.parametrize("kind", NOT_EXECUTED)
    def test_never_through(self, stage: Stage, kind: str) -> None:
        """A call that never comes through is sent five times, each after a read, and the run has failed."""
        stage.simulated.faults.add(kind, CANCEL, times=None)
        state = stage.run(stage.confirmed())

        assert (Phase.FAILED, (52, 0, 0, 52)) == (state.phase, figures(state))
        assert (MOST_ATTEMPTS, 0) == (len(stage.cancels), stage.executed)
        assert [True] * (MOST_ATTEMPTS - 1) == read_between(stage)
        assert COUNTS == stage.counts

    def test_throttled(self, stage: Stage) -> None:
        """A throttled call is sent again at once as the next attempt, when the cloud's wish is over."""
        stage.simulated.faults.add("throttle", CANCEL, seconds=7, header="Retry-After", times=2)
        state = stage.run(stage.confirmed())
        first, second, third = (arrival.at for arrival in stage.cancels)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert ["failed", "failed", "done"] == stage.outcomes()
        assert min(second - first, third - second) >= 7

    def test_throttled_for_ever(self, stage: Stage) -> None:
        """A call that is always throttled is sent five times, and the run has failed with nothing hit."""
        stage.simulated.faults.add("throttle", CANCEL, times=None)
        state = stage.run(stage.confirmed())

        assert (Phase.FAILED, MOST_ATTEMPTS) == (state.phase, len(stage.cancels))
        assert "Throttling.User" == stage.bodies("call_finished")[-1]["code"]
        assert COUNTS == stage.counts

    def test_five_minutes(self, stage: Stage) -> None:
        """However long the cloud makes it wait, nothing is sent later than five minutes after the first attempt."""
        stage.simulated.faults.add("throttle", CANCEL, seconds=110, header="Retry-After", times=None)
        state = stage.run(stage.confirmed())
        tried = [arrival.at for arrival in stage.cancels]

        assert (Phase.FAILED, 3) == (state.phase, len(tried))
        assert tried[-1] - tried[0] < RETRY_WITHIN

    def test_refused_signature(self, stage: Stage) -> None:
        """A refused signature is final: one call, a failed run, and the echo is cut out of the ledger."""
        stage.simulated.faults.add("signature_refused", CANCEL)
        state = stage.run(stage.confirmed())
        (ended,) = stage.bodies("call_finished")

        assert (Phase.FAILED, (52, 0, 0, 52), 1) == (state.phase, figures(state), len(stage.cancels))
        assert ended["message"].endswith("string to sign ***")
        assert [] == stage.secrets_in_the_ledger()

    @pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0])
    def test_delayed_effect(self, stage: Stage, seconds: float) -> None:
        """A cancel that shows only seconds later is seen by the first verification, and not sent again."""
        stage.simulated.faults.add("delayed_effect", CANCEL, seconds=seconds)
        state = stage.run(stage.confirmed())

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))

    def test_much_delayed_effect(self, stage: Stage) -> None:
        """A cancel that shows only after the end is done with nothing confirmed yet; a later look sees it."""
        stage.simulated.faults.add("delayed_effect", CANCEL, seconds=40)
        identity = stage.confirmed()
        state = stage.run(identity)

        assert (Phase.DONE, (52, 52, 0, 52), 1) == (state.phase, figures(state), len(stage.cancels))

        stage.clock.turn(61)
        stage.one.executor.verify(identity)

        assert (Phase.DONE, WHOLE) == (stage.state().phase, figures(stage.state()))

    def test_connection_refused(self, stage: Stage) -> None:
        """A call that reaches nobody is tried again as the next attempt."""
        identity = stage.confirmed()

        def comes_back() -> None:
            stage.one.cloud._cloud = there

        there = stage.one.cloud._cloud
        elsewhere = stage.process("elsewhere", stage.ledger, accounts={"pumps": replace(stage.account, endpoint=DEAF)})
        stage.one.cloud._cloud = elsewhere.cloud
        stage.one.cloud.sent = comes_back
        state = stage.run(identity)

        assert (["failed", "done"], "NotSent") == (stage.outcomes(), stage.bodies("call_finished")[0]["code"])
        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))

    def test_unknown_and_unreadable(self, stage: Stage) -> None:
        """While the cloud cannot be read, a call of unknown fate is not sent again; then the read decides."""
        stage.simulated.faults.add("drop_after", CANCEL)
        stage.one.cloud.sent = lambda: add_faults(stage, times=20)
        state = stage.run(stage.confirmed())

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))
        assert ["unknown", "done by read"] == stage.outcomes()

    def test_unknown_and_never_readable(self, stage: Stage) -> None:
        """If the cloud cannot be read for all of `run_within`, the run ends without a second call or a claim.

        Nobody can say that nothing was taken, so it has not failed.
        """
        stage.simulated.faults.add("drop_after", CANCEL)
        stage.one.cloud.sent = lambda: add_faults(stage, times=None)
        began = stage.clock.now()
        state = stage.run(stage.confirmed())

        assert (Phase.PARTLY_DONE, (52, 0, None, None), 1) == (state.phase, figures(state), len(stage.cancels))
        assert stage.clock.now() - began > stage.account.approval.run_within

    def test_taken_and_never_readable(self, stage: Stage) -> None:
        """A run whose call was taken but that can never be verified is partly done, not done."""
        stage.one.cloud.sent = lambda: add_faults(stage, times=None)
        state = stage.run(stage.confirmed())

        assert (Phase.PARTLY_DONE, (52, 52, None, None)) == (state.phase, figures(state))

    def test_unfiltered_verification(self, stage: Stage) -> None:
        """A cloud that stops filtering after the call leaves the confirmed unknown instead of inventing it."""
        stage.one.cloud.sent = lambda: add_faults(stage, kind="unfiltered", times=None)
        state = stage.run(stage.confirmed())

        assert (Phase.DONE, (52, 52, None, None)) == (state.phase, figures(state))

    def test_unfiltered_after_unknown(self, stage: Stage) -> None:
        """An unknown size is neither proof that nothing is left nor leave to send again: the run ends and says so."""
        stage.simulated.faults.add("drop_before", CANCEL)
        stage.one.cloud.sent = lambda: add_faults(stage, kind="unfiltered", times=5)
        state = stage.run(stage.confirmed())

        assert (Phase.FAILED, ["unknown"], (52, 0, 0, 52)) == (state.phase, stage.outcomes(), figures(state))
        assert "the cloud does not tell any more how many devices the next call would hit" == state.why

    @pytest.mark.parametrize(("more", "phase"), [(7, Phase.DONE), (8, Phase.FAILED)])
    @pytest.mark.parametrize("kind", ["throttle", "drop_before"])
    def test_outgrown_while_it_waits(self, stage: Stage, kind: str, more: int, phase: Phase) -> None:
        """A job that outgrows what was confirmed between two attempts is not cancelled any more."""
        stage.simulated.faults.add(kind, CANCEL)
        stage.one.cloud.sent = lambda: grow(stage, more)
        state = stage.run(stage.confirmed())

        assert (phase, int(phase is Phase.DONE)) == (state.phase, stage.executed)
        if phase is Phase.FAILED:
            assert "the next call would hit 60 devices, more than the 59 that were confirmed" == state.why

    @pytest.mark.parametrize(
        "kind", ["drop_after", "http_500", "http_502_html", "truncated", "throttle", "signature_refused"]
    )
    def test_nothing_secret_is_kept(self, stage: Stage, kind: str) -> None:
        """Whatever goes wrong, in a call or in a preview, no secret gets into the ledger's file."""
        stage.simulated.faults.add(kind, CANCEL)
        stage.run(stage.confirmed())
        stage.simulated.faults.add(kind, times=4)
        stage.ordered()

        assert [] == stage.secrets_in_the_ledger()


NOT_CONFIRMED: Final = "account pumps is no longer the cloud, endpoint and key that were confirmed"
DEAF: Final = "http://127.0.0.1:1"


def add_faults(stage: Stage, *, kind: str = "http_500", times: int | None) -> None:
    """Let the lists of tasks go wrong from now on; only once."""
    stage.simulated.faults.add(kind, "ListOTATaskByJob", times=times)
    stage.one.cloud.sent = nothing


def drain(stage: Stage) -> None:
    """Let every device finish its update."""
    while stage.simulated.fleet.drain(JOB, 1000):
        pass


def grow(stage: Stage, more: int) -> None:
    """Add queued tasks to the job; only once."""
    stage.simulated.fleet.add_tasks(JOB, "QUEUED", more)
    stage.one.cloud.sent = nothing


# --- the start ------------------------------------------------------------------------------------------------------


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
        """A job that the cloud no longer knows is never started on."""
        identity = stage.confirmed()
        stage.clock.turn(STALE)
        stage.simulated.fleet.clear()

        assert "it was not started in time" == voided(stage, stage.keep_running(identity))

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


# --- stop -----------------------------------------------------------------------------------------------------------


class TestStop:
    def test_before_the_start(self, stage: Stage) -> None:
        """Stopped before its start, nothing is ever sent."""
        identity = stage.confirmed()
        stage.press("stop", identity, LEA)
        state = stage.run(identity)

        assert (Phase.STOPPED, LEA, []) == (state.phase, state.stopped_by, stage.cancels)

    def test_while_waiting_for_a_slot(self, stage: Stage) -> None:
        """Stopped while it waits for its slot, nothing is sent."""
        identity = stage.confirmed()
        stage.one.cloud.waiting = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (Phase.STOPPED, (52, 0, 0, 52), []) == (state.phase, figures(state), stage.cancels)

    def test_while_the_call_is_out(self, stage: Stage) -> None:
        """Stopped while its only call is out, the answer is kept and the run is what it has come to."""
        identity = stage.confirmed()
        stage.one.cloud.sending = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (Phase.DONE, WHOLE, LEA) == (state.phase, figures(state), state.stopped_by)
        assert ["done"] == stage.outcomes()

    @pytest.mark.parametrize(
        ("kind", "phase", "expected"),
        [
            ("drop_before", Phase.STOPPED, ["unknown"]),
            ("drop_after", Phase.DONE, ["unknown", "done by read"]),
            ("throttle", Phase.STOPPED, ["failed"]),
        ],
    )
    def test_while_a_lost_call_is_out(self, stage: Stage, kind: str, phase: Phase, expected: list[str]) -> None:
        """Stopped while a call is out that gets lost, a read still tells what became of it; nothing is sent again."""
        identity = stage.confirmed()
        stage.simulated.faults.add(kind, CANCEL)
        stage.one.cloud.sending = lambda: stop(stage, identity)
        state = stage.run(identity)

        assert (phase, expected, 1) == (state.phase, stage.outcomes(), len(stage.cancels))

    def test_twice(self, stage: Stage) -> None:
        """A second stop says who was first and changes nothing."""
        identity = stage.confirmed()
        answers: list[State | Refusal] = []
        stage.one.cloud.sending = lambda: answers.extend(stage.press("stop", identity, who) for who in (LEA, ANN))
        stage.run(identity)

        assert Refusal(f"It is already being stopped, by {LEA}.", who=LEA) == answers[1]
        assert 1 == stage.kinds().count("stopped")

    def test_after_the_end(self, stage: Stage) -> None:
        """A stop after the end changes nothing."""
        identity = stage.confirmed()
        stage.run(identity)

        assert isinstance(stage.press("stop", identity), Refusal)
        assert Phase.DONE is stage.state().phase


def stop(stage: Stage, identity: int) -> None:
    """Stop it."""
    done = stage.press("stop", identity, LEA)
    assert not isinstance(done, Refusal), done.reason


# --- crashes --------------------------------------------------------------------------------------------------------


class CrashError(Exception):
    """The process has been killed."""


class Unreleased(Leases):
    """The leases of a process that was killed: it gives none back."""

    def release(self, lease: Lease) -> None:
        """Do nothing."""


class DeadlyLedger(Ledger):
    """A ledger whose process is killed just before or just after its n-th write is stored."""

    at = 0
    side = "before"

    def decide(self, cancellation: int, decision: Decision, *, lease: Lease | None = None) -> State | Refusal:
        """Decide, and die of it."""
        writes = False

        def noted(state: State, now: datetime) -> Decided:
            nonlocal writes
            decided = decision(state, now)
            writes = not isinstance(decided, Refusal) and bool(decided)
            self.at -= writes
            if writes and self.at == 0 and self.side == "before":
                self._die()
            return decided

        made = super().decide(cancellation, noted, lease=lease)
        if writes and self.at == 0:
            self._die()
        return made

    def _die(self) -> None:
        self.leases = Unreleased(self._store, now=self._now)
        raise CrashError


def crash(stage: Stage, identity: int, *, at: int, side: str) -> bool:
    """Run in a process that is killed at its `at`-th write; tell whether it came so far."""
    ledger = stage.open(DeadlyLedger.open)
    assert isinstance(ledger, DeadlyLedger)
    ledger.at, ledger.side = at, side
    process = stage.process("killed", ledger)
    killed = True
    with suppress(CrashError):
        process.executor.run(identity)
        killed = False
    stage.dies(process)
    stage.clock.turn(LENGTH + 1)
    return killed


POINTS: Final = [
    *product(["none"], range(1, 6), ["before", "after"]),
    *product(["drop_before", "http_500"], range(1, 8), ["before", "after"]),
    *product(["drop_after", "system_exception_after"], range(1, 7), ["before", "after"]),
    *product(["throttle"], range(1, 8), ["before", "after"]),
]


class TestCrash:
    @pytest.mark.parametrize(("kind", "at", "side"), POINTS)
    def test_every_point(self, stage: Stage, kind: str, at: int, side: str) -> None:
        """Killed between any two writes, the next process brings it to the right end with the work done once."""
        identity = stage.confirmed()
        if kind != "none":
            stage.simulated.faults.add(kind, CANCEL)

        assert crash(stage, identity, at=at, side=side)

        state = stage.run(identity, stage.process("two"))

        assert (Phase.DONE, WHOLE, TAKEN) == (state.phase, figures(state), stage.counts)
        assert 1 == stage.executed
        assert 1 == [outcome.split()[0] for outcome in stage.outcomes()].count("done")
        assert (1, 1) == (stage.kinds().count("started"), stage.kinds().count("finished"))

    def test_points_are_all(self, stage: Stage) -> None:
        """An undisturbed run makes five writes, so that the points above leave none out."""
        assert not crash(stage, stage.confirmed(), at=6, side="before")
        assert Phase.DONE is stage.state().phase

    @pytest.mark.parametrize("times", [2, 3])
    def test_again_and_again(self, stage: Stage, times: int) -> None:
        """Killed with its call out several times in a row, the run still does its work once."""
        identity = stage.confirmed()
        killed = [crash(stage, identity, at=2, side="after")]
        killed += [crash(stage, identity, at=2, side="after") for _ in range(times - 1)]
        state = stage.run(identity, stage.process("two"))

        assert [True] * times == killed
        assert (Phase.DONE, 1, WHOLE) == (state.phase, stage.executed, figures(state))

    def test_attempts_count_over_processes(self, stage: Stage) -> None:
        """Attempts are counted in the ledger: a fifth process does not start from one."""
        identity = stage.confirmed()
        for _ in range(MOST_ATTEMPTS):
            crash(stage, identity, at=2, side="after")
        state = stage.run(identity, stage.process("two"))

        assert (Phase.FAILED, []) == (state.phase, stage.cancels)
        assert [1, 2, 3, 4, 5] == [body["attempt"] for body in stage.bodies("call_sent")]

    @pytest.mark.parametrize(("side", "phase", "taken"), [("before", Phase.DONE, 52), ("after", Phase.FAILED, 0)])
    def test_stalled(self, stage: Stage, side: str, phase: Phase, taken: int) -> None:
        """A run that stood still for longer than `run_within` is not resumed: it is read, and ends as it is."""
        identity = stage.confirmed()
        # Killed before the answer is stored (the call was executed), or right after `call_sent` (it was not).
        crash(stage, identity, at=3 if side == "before" else 2, side=side)
        executed = stage.executed
        stage.clock.turn(stage.account.approval.run_within.total_seconds())
        state = stage.run(identity, stage.process("two"))

        assert (phase, (52, taken, taken, 52 - taken)) == (state.phase, figures(state))
        assert executed == stage.executed == len(stage.cancels)

    def test_stalled_before_its_call(self, stage: Stage) -> None:
        """A run that was killed right after its start and stood still for too long sends nothing any more."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        stage.clock.turn(stage.account.approval.run_within.total_seconds())
        state = stage.run(identity, stage.process("two"))

        assert (Phase.FAILED, (52, 0, 0, 52), []) == (state.phase, figures(state), stage.cancels)
        assert "the run had made no progress for too long" == state.why

    def test_not_stalled_yet(self, stage: Stage) -> None:
        """A run that stood still for less than that is resumed."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        stage.clock.turn(stage.account.approval.run_within.total_seconds() - LENGTH - 30)

        assert Phase.DONE is stage.run(identity, stage.process("two")).phase


# --- several processes ----------------------------------------------------------------------------------------------


class TestTogether:
    def test_two_at_once(self, stage: Stage) -> None:
        """Two processes that take up one cancellation at once run it once."""
        identity = stage.confirmed()
        processes = [stage.process("two"), stage.process("three")]
        barrier = threading.Barrier(2)

        def work(number: int) -> None:
            barrier.wait(10)
            processes[number].executor.run(identity)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        state = stage.state(identity)

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))
        assert 1 == stage.kinds().count("started")

    @pytest.mark.parametrize("moment", ["waiting", "sending", "sent", "reading"])
    def test_one_comes_meanwhile(self, stage: Stage, moment: str) -> None:
        """A process that comes at any moment of another's run leaves it alone."""
        identity = stage.confirmed()
        other = stage.process("two")
        before: list[list[str]] = []

        def come() -> None:
            before.append(stage.kinds())
            other.executor.run(identity)
            assert before[-1] == stage.kinds()

        setattr(stage.one.cloud, moment, come)
        state = stage.run(identity)

        assert (Phase.DONE, 1) == (state.phase, len(stage.cancels))
        assert before

    @pytest.mark.parametrize("moment", ["waiting", "reading"])
    def test_lease_lost(self, stage: Stage, moment: str) -> None:
        """A process that stood still past its lease touches nothing any more: it neither sends nor finishes."""
        identity = stage.confirmed()
        other = stage.process("two")
        before: list[list[str]] = []

        def stand_still() -> None:
            if not before:
                stage.dies(stage.one)
                stage.clock.turn(LENGTH + 1)
                assert other.rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
                before.append(stage.kinds())

        setattr(stage.one.cloud, moment, stand_still)
        state = stage.run(identity)

        assert (Phase.RUNNING, before[0]) == (state.phase, stage.kinds())

        state = stage.run(identity, other)

        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), len(stage.cancels))

    def test_late_answer(self, stage: Stage) -> None:
        """A frozen process's late answer is not taken for the answer to the attempt of its successor."""
        identity = stage.confirmed()
        other = stage.process("two")
        frozen, thawed = threading.Event(), threading.Event()

        def freeze() -> None:
            frozen.set()
            assert thawed.wait(10)

        def thaw() -> None:
            # The first process wakes while the second attempt is out, and its answer comes in before the other's.
            thawed.set()
            first.join(10)

        stage.simulated.faults.add("throttle", CANCEL)
        stage.one.cloud.sent = freeze
        other.cloud.sending = thaw
        first = threading.Thread(target=stage.one.executor.run, args=(identity,))
        first.start()
        assert frozen.wait(10)
        stage.dies(stage.one)
        stage.clock.turn(LENGTH + 1)
        state = stage.run(identity, other)

        assert ["unknown", "done"] == stage.outcomes()
        assert ["Interrupted", ""] == [body["code"] for body in stage.bodies("call_finished")]
        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), stage.executed)

    def test_late_taker(self, stage: Stage) -> None:
        """A process that froze with a fresh lease does not declare its successor's call lost when it wakes."""
        identity = stage.confirmed()
        crash(stage, identity, at=1, side="after")
        frozen, thawed = threading.Event(), threading.Event()

        class Freezing(dict[str, Account]):
            def get(self, name: str, default: Account | None = None) -> Account | None:  # type: ignore[override]
                """Stand still until somebody else has the lease."""
                frozen.set()
                assert thawed.wait(10)
                return super().get(name, default)

        def thaw() -> None:
            thawed.set()
            first.join(10)

        late = stage.process("late", accounts=Freezing({"pumps": stage.account}))
        other = stage.process("two")
        other.cloud.sending = thaw
        first = threading.Thread(target=late.executor.run, args=(identity,))
        first.start()
        assert frozen.wait(10)
        stage.dies(late)
        stage.clock.turn(LENGTH + 1)
        state = stage.run(identity, other)

        assert ["done"] == stage.outcomes()
        assert (Phase.DONE, WHOLE, 1) == (state.phase, figures(state), stage.executed)


# --- after the end --------------------------------------------------------------------------------------------------


def looks(stage: Stage, identity: int) -> Iterator[State]:
    """Turn the clock to each later verification and make it."""
    for minutes in (1, 5, 30):
        ended = stage.state(identity).ended
        assert ended is not None
        stage.clock.turn((ended + timedelta(minutes=minutes) - stage.clock.now()).total_seconds() - 1)
        stage.one.executor.verify(identity)
        early = stage.kinds(identity)
        stage.clock.turn(1)
        stage.one.executor.verify(identity)

        assert [*early, "verified"] == stage.kinds(identity)
        yield stage.state(identity)


class TestLater:
    def test_numbers_move(self, stage: Stage) -> None:
        """At 1, 5 and 30 minutes the cloud is read again: the figures follow it, the state does not."""
        identity = stage.confirmed()
        stage.simulated.faults.add("delayed_effect", CANCEL, seconds=200)
        first = stage.run(identity)
        later = list(looks(stage, identity))

        assert [(52, 52, 0, 52), (52, 52, 0, 52), WHOLE, WHOLE] == [figures(state) for state in (first, *later)]
        assert [Phase.DONE] * 3 == [state.phase for state in later]
        assert [first.ended] * 3 == [state.ended for state in later]
        assert (None, 1) == (later[-1].due, len(stage.cancels))

    def test_no_more_than_three(self, stage: Stage) -> None:
        """After the third look nothing is looked at any more."""
        identity = stage.confirmed()
        stage.run(identity)
        list(looks(stage, identity))
        before = len(stage.simulated.arrivals)
        stage.clock.turn(86_400)
        stage.one.executor.verify(identity)

        assert before == len(stage.simulated.arrivals)

    @pytest.mark.parametrize("away", ["cloud", "account"])
    def test_unreadable(self, stage: Stage, away: str) -> None:
        """A later look that cannot read the cloud leaves the figures as they were last seen, and is not repeated."""
        identity = stage.confirmed()
        stage.run(identity)
        process = stage.process("two", accounts={}) if away == "account" else stage.one
        if away == "cloud":
            stage.simulated.faults.add("http_500", times=None)
        stage.clock.turn(61)
        process.executor.verify(identity)
        state = stage.state(identity)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert state.ended is not None
        assert state.ended + timedelta(minutes=5) == state.due

    @pytest.mark.parametrize("kind", ["drop_before", "signature_refused"])
    def test_nothing_to_verify(self, stage: Stage, kind: str) -> None:
        """A run of which nothing was taken is not looked at later."""
        stage.simulated.faults.add(kind, CANCEL, times=None)

        assert stage.run(stage.confirmed()).due is None

    def test_taken_over(self, stage: Stage) -> None:
        """A look that another process makes already is left to it."""
        identity = stage.confirmed()
        stage.run(identity)
        stage.clock.turn(61)
        assert stage.process("two").rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
        before = stage.kinds()
        stage.one.executor.verify(identity)

        assert before == stage.kinds()


def test_times_never_run_back(stage: Stage) -> None:
    """Events of a run are stored in the order of their times, and a clock set back does not change that."""
    identity = stage.confirmed()
    stage.one.cloud.sending = lambda: stage.clock.turn(-5)
    stage.run(identity)
    times: list[datetime] = [event.at for event in stage.ledger.events(after=0)]

    assert sorted(times) == times
