"""The whole life of a cancellation, in good and in bad times: each call runs once, and every result is kept."""

from dataclasses import replace
from itertools import pairwise
from typing import Final

import pytest

from bot.domain.cancellation import Phase
from bot.domain.running import MOST_ATTEMPTS, RETRY_WITHIN
from bot.domain.status import Status
from tests.engine.scene import figures, nothing
from tests.engine.stage import CANCEL, COUNTS, DEAF, JOB, TAKEN, WHOLE, Stage, drain


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

    def test_counted_again_at_the_start(self, stage: Stage) -> None:
        """However fresh the preview is, what is asked is counted at the start: the named statuses, and nothing else."""
        identity = stage.confirmed()
        seen = len(stage.simulated.arrivals)
        stage.simulated.fleet.add_tasks(JOB, "QUEUED", 1)
        state = stage.run(identity)
        actions = [arrival.action for arrival in stage.simulated.arrivals[seen:]]
        counted = stage.simulated.arrivals[seen : seen + actions.index(CANCEL)]

        assert (53, 53, 53, 0) == figures(state)
        assert ["NOTIFIED", "QUEUED"] == sorted(arrival.params["TaskStatus"] for arrival in counted)

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

        def goes() -> None:
            stage.one.cloud._cloud = elsewhere.cloud
            stage.one.cloud.waiting = nothing

        def comes_back() -> None:
            stage.one.cloud._cloud = there

        there = stage.one.cloud._cloud
        elsewhere = stage.process("elsewhere", stage.ledger, accounts={"pumps": replace(stage.account, endpoint=DEAF)})
        stage.one.cloud.waiting = goes
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
        looks: list[bool] = []

        def look() -> None:
            looks.append(True)
            if len(looks) == 3:  # at the start, for the lost call, and then for the end
                stage.simulated.faults.clear()

        stage.simulated.faults.add("drop_before", CANCEL)
        stage.one.cloud.sent = lambda: add_faults(stage, kind="unfiltered", times=None)
        stage.one.cloud.reading = look
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


def add_faults(stage: Stage, *, kind: str = "http_500", times: int | None) -> None:
    """Let the lists of tasks go wrong from now on; only once."""
    stage.simulated.faults.add(kind, "ListOTATaskByJob", times=times)
    stage.one.cloud.sent = nothing


def grow(stage: Stage, more: int) -> None:
    """Add queued tasks to the job; only once."""
    stage.simulated.fleet.add_tasks(JOB, "QUEUED", more)
    stage.one.cloud.sent = nothing
