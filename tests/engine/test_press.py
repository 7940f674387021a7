"""Presses on a card: who may answer, in time, and what one person ran alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from bot.domain.cancellation import Phase
from bot.domain.decisions import Refusal
from bot.domain.order import CancelJob
from bot.engine.rooms import MOST_REFUSALS, refused_too_often
from tests.engine.scene import ANN, LEA, OPS
from tests.engine.stage import COUNTS, JOB, QUEUED_AND_NOTIFIED, Stage

ORDER: Final = CancelJob(job=JOB, statuses=QUEUED_AND_NOTIFIED, reason="bad image")
GUS: Final = "U0GUS"


class TestPress:
    def test_confirm(self, stage: Stage) -> None:
        """A confirmation binds its asker to this plan, the policy and what was seen of them."""
        identity = stage.confirmed()
        state, (body,) = stage.state(identity), stage.bodies("confirmed")

        assert (Phase.APPROVED, state.digest) == (state.phase, body["plan"])
        assert (0, 100, []) == (body["ran_alone"], body["policy"]["above"], body["evidence"]["flags"])

    @pytest.mark.parametrize("button", ["confirm", "withdraw"])
    @pytest.mark.parametrize("actor", [LEA, GUS, "U0BEN"])
    def test_somebody_else(self, stage: Stage, button: str, actor: str) -> None:
        """Only the asker may confirm or withdraw; who else tries is refused and remembered, and nothing changes."""
        stage.one = stage.process("two", accounts={"pumps": replace(stage.account, requesters=(ANN, "U0BEN"))})
        identity = stage.ordered()

        assert isinstance(stage.press(button, identity, actor), Refusal)
        assert Phase.WAITING_CONFIRMATION is stage.state().phase
        assert [(actor, button)] == [
            (event.actor, event.body["what"]) for event in stage.ledger.story(identity) if event.kind == "refused"
        ]

    def test_withdraw(self, stage: Stage) -> None:
        """The asker may take it back, and can then no longer confirm it."""
        identity = stage.ordered()
        stage.press("withdraw", identity)

        assert isinstance(stage.press("confirm", identity), Refusal)
        assert Phase.WITHDRAWN is stage.run(identity).phase
        assert (COUNTS, []) == (stage.counts, stage.cancels)

    def test_double_click(self, stage: Stage) -> None:
        """A second confirmation changes nothing."""
        identity = stage.confirmed()

        assert isinstance(stage.press("confirm", identity), Refusal)
        assert 1 == stage.kinds().count("confirmed")

    def test_expired(self, stage: Stage) -> None:
        """A confirmation after its time is no confirmation, even before anybody has recorded the end."""
        identity = stage.ordered()
        stage.clock.turn(stage.account.approval.expires.total_seconds())

        assert isinstance(stage.press("confirm", identity), Refusal)
        assert "confirmed" not in stage.kinds()

    @pytest.mark.parametrize("button", ["confirm", "withdraw", "stop"])
    def test_slack_away(self, stage: Stage, button: str) -> None:
        """Where it cannot be learnt who pressed, nothing is done."""
        identity = stage.ordered()
        before = stage.kinds()
        stage.people.silent = 1
        answer = stage.press(button, identity)

        assert isinstance(answer, Refusal)
        assert answer.reason.endswith("Nothing was done, press again.")
        assert before == stage.kinds()

    @pytest.mark.parametrize("button", ["confirm", "withdraw", "stop"])
    def test_acknowledged_too_late(self, stage: Stage, button: str) -> None:
        """A press that Slack has given up on does nothing."""
        identity = stage.ordered()
        before = stage.kinds()

        assert isinstance(stage.one.presses.press(button, identity, ANN, OPS, in_time=lambda: False), Refusal)
        assert before == stage.kinds()

    def test_unheard_of(self, stage: Stage) -> None:
        """A press on nothing is refused and leaves nothing."""
        assert isinstance(stage.press("confirm", 99), Refusal)
        assert 0 == stage.ledger.head()

    @pytest.mark.parametrize("actor", [ANN, LEA])
    def test_stop(self, stage: Stage, actor: str) -> None:
        """Any requester or approver of the account may stop."""
        identity = stage.confirmed()
        stage.press("stop", identity, actor)

        assert (Phase.STOPPED, actor) == (stage.state().phase, stage.state().stopped_by)

    def test_strangers_do_not_stop(self, stage: Stage) -> None:
        """Nobody else may."""
        identity = stage.confirmed()

        assert isinstance(stage.press("stop", identity, GUS), Refusal)
        assert Phase.DONE is stage.run(identity).phase


class TestWindow:
    def test_added_up(self, stage: Stage) -> None:
        """What one person ran alone within the hour is added up, so that two of 59 do not dodge a limit of 100."""
        stage.one = stage.process("two", accounts={"pumps": replace(stage.account, approvers=(LEA,))})
        first, second = stage.ordered(), stage.meant(stage.ordered())
        stage.press("confirm", first)
        stage.press("confirm", second)

        assert Phase.WAITING_APPROVAL is stage.state(second).phase
        assert ("up to 59 devices and the 59 run alone lately are more than 100",) == stage.state(second).reasons

    def test_given_back(self, stage: Stage) -> None:
        """What ended without anything sent does not count."""
        first, second = stage.ordered(), stage.meant(stage.ordered())
        stage.press("confirm", first)
        stage.press("stop", first)
        stage.press("confirm", second)

        assert Phase.APPROVED is stage.state(second).phase

    def test_over(self, stage: Stage) -> None:
        """What ran before the window does not count."""
        stage.run(stage.confirmed())
        stage.simulated.fleet.add_job(JOB, counts=COUNTS)
        stage.clock.turn(3601)

        assert Phase.DONE is stage.run(stage.confirmed()).phase

    def test_somebody_else(self, stage: Stage) -> None:
        """What another person ran does not count."""
        stage.one = stage.process("two", accounts={"pumps": replace(stage.account, requesters=(ANN, "U0BEN"))})
        first, second = stage.ordered(), stage.meant(stage.ordered(actor="U0BEN"), "U0BEN")
        stage.press("confirm", first)
        stage.press("confirm", second, "U0BEN")

        assert Phase.APPROVED is stage.state(second).phase


class TestRefusals:
    @pytest.mark.parametrize("way", ["look", "press"])
    def test_ten_an_hour(self, stage: Stage, way: str) -> None:
        """Ten refusals of a person an hour are remembered; somebody else's still are, and theirs again later."""
        identity = stage.ordered()

        def refused(actor: str) -> None:
            if way == "look":
                stage.one.intake.look(actor, ORDER, stage.account, channel=OPS)
            else:
                stage.press("confirm", identity, actor)

        def remembered() -> list[str]:
            return [event.actor for event in stage.ledger.events(after=0) if event.kind == "refused"]

        for _ in range(MOST_REFUSALS + 3):
            refused(GUS)
        refused("U0HAL")

        assert [GUS] * MOST_REFUSALS + ["U0HAL"] == remembered()
        assert refused_too_often(stage.one.rooms.ledger, GUS)
        assert not refused_too_often(stage.one.rooms.ledger, "U0HAL")

        stage.clock.turn(timedelta(hours=1).total_seconds() + 1)
        refused(GUS)

        assert GUS == remembered()[-1]
        assert MOST_REFUSALS + 2 == len(remembered())
