"""Orders, previews and presses: what people ask for, what they are told, and what is kept of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from bot.domain.account import Account, Approval, Cloud
from bot.domain.cancellation import Phase
from bot.domain.decisions import Refusal
from bot.domain.errors import CloudError, DirectoryError
from bot.domain.order import CancelJob, CancelStrategy
from bot.domain.status import Status
from bot.ledger.leases import LENGTH
from tests.engine.scene import ANN, LEA, OPS
from tests.engine.stage import CANCEL, COUNTS, JOB, QUEUED_AND_NOTIFIED, Stage

ORDER: Final = CancelJob(job=JOB, statuses=QUEUED_AND_NOTIFIED, reason="bad image")
GUS: Final = "U0GUS"


def order(stage: Stage, *, delivery: str | None = None, on: Account | None = None) -> tuple[int, bool]:
    """Order and return the id, and whether it was there already."""
    made = stage.one.intake.order(ANN, ORDER, on or stage.account, channel=OPS, via="slack", delivery=delivery)
    return made.id, made.repeated


def preview(stage: Stage, wanted: CancelJob = ORDER) -> str:
    """Return what Ann is shown, who may look."""
    shown = stage.one.intake.look(ANN, wanted, stage.account, channel=OPS)
    assert not isinstance(shown, Refusal)
    return shown


def untouched(stage: Stage) -> bool:
    """Tell whether the cloud was only looked at."""
    return COUNTS == stage.counts and not stage.cancels


class TestOrder:
    def test_stored_before_anything_is_looked_at(self, stage: Stage) -> None:
        """An order is stored without a word to the cloud or about the person."""
        stage.people.silent = 1

        assert (1, False) == order(stage)
        assert (["requested"], []) == (stage.kinds(), stage.simulated.arrivals)
        assert 1 == stage.people.silent

    def test_same_delivery(self, stage: Stage) -> None:
        """The same delivery again opens nothing, even from another process; another one does."""
        first = order(stage, delivery="trigger.1")
        two = stage.process("two").intake.order(
            ANN, ORDER, stage.account, channel=OPS, via="slack", delivery="trigger.1"
        )
        other = order(stage, delivery="trigger.2")

        assert ((1, False), (1, True), (2, False)) == (first, (two.id, two.repeated), other)

    def test_without_a_delivery(self, stage: Stage) -> None:
        """Orders that no delivery names, as at a terminal, are each a new one."""
        assert [(1, False), (2, False)] == [order(stage), order(stage)]

    def test_delivery_is_not_kept(self, stage: Stage) -> None:
        """Of a delivery only a hash is kept."""
        order(stage, delivery="trigger.secret")

        assert b"trigger.secret" not in b"".join(path.read_bytes() for path in stage.path.parent.iterdir())

    @pytest.mark.parametrize("cloud", [Cloud.TUYA, Cloud.ENOS])
    def test_not_on_this_cloud(self, stage: Stage, cloud: Cloud) -> None:
        """What a cloud does not offer is said in its own words, with the account's name; the one that does is used."""
        wanted = CancelStrategy(job=JOB)
        reason = stage.one.intake.unable(wanted, replace(stage.account, cloud=cloud)) or ""

        assert reason.startswith("Not on pumps: ")
        assert "does not offer CancelOTAStrategyByJob" in reason
        assert reason.endswith(". Nothing was changed.")
        assert [None, None] == [stage.one.intake.unable(order, stage.account) for order in (ORDER, wanted)]


class TestCheck:
    def test_card(self, stage: Stage) -> None:
        """A good order becomes a plan that waits for its asker's confirmation; nothing is touched."""
        state = stage.state(stage.ordered())

        assert (Phase.WAITING_CONFIRMATION, 52) == (state.phase, state.size)
        assert state.plan is not None
        assert (59, state.plan.digest) == (state.plan.at_most, state.digest)
        assert state.deadline is not None
        assert stage.account.approval.expires == state.deadline - stage.clock.now()
        assert untouched(stage)
        assert [] == stage.told.texts

    def test_again(self, stage: Stage) -> None:
        """Checking what has been checked does nothing."""
        identity = stage.ordered()
        seen = len(stage.simulated.arrivals)
        stage.one.intake.check(identity)
        stage.one.intake.check(99)

        assert (["requested", "previewed"], seen) == (stage.kinds(), len(stage.simulated.arrivals))

    def test_somebody_else_checks_it(self, stage: Stage) -> None:
        """What another process checks is left to it, and taken up when that process has died."""
        identity, _ = order(stage)
        other = stage.process("two")
        assert other.rooms.ledger.leases.take(f"cancellation:{identity}", "two") is not None
        stage.one.intake.check(identity)

        assert ["requested"] == stage.kinds()

        stage.clock.turn(LENGTH)
        stage.one.intake.check(identity)

        assert ["requested", "previewed"] == stage.kinds()

    def test_nothing_to_hit(self, stage: Stage) -> None:
        """Where no task is in the named statuses there is no card: the asker is told with all counts."""
        stage.simulated.fleet.add_job("done", counts={"SUCCEEDED": 9, "FAILED": 2, "CONFIRM": 3, "CANCELED": 1})
        state = stage.state(stage.ordered(job="done"))
        (told,) = stage.told.texts

        assert (Phase.VOIDED, False) == (state.phase, state.has_card)
        assert "Nothing to cancel: job done has no task that is queued, notified. Nothing was changed." in told
        assert "unconfirmed 3, queued 0, notified 0, in-progress 0, succeeded 9, failed 2, cancelled 1." in told

    @pytest.mark.parametrize(
        ("statuses", "approval", "reason"),
        [
            (QUEUED_AND_NOTIFIED, Approval(above=58), "up to 59 devices are more than 58"),
            ((Status.IN_PROGRESS,), Approval(), "“in-progress” always needs one"),
            ((Status.UNCONFIRMED,), Approval(always=("unconfirmed",)), "“unconfirmed” always needs one"),
            (QUEUED_AND_NOTIFIED, Approval(above=0, people=2), "2 other people"),
        ],
    )
    def test_needs_approval(self, stage: Stage, statuses: tuple[Status, ...], approval: Approval, reason: str) -> None:
        """What nobody besides the asker could approve is refused with the reason, without a card."""
        account = replace(stage.account, approval=approval, approvers=(ANN,))
        stage.one = stage.process("strict", accounts={"pumps": account})
        state = stage.state(stage.ordered(statuses))

        assert (Phase.VOIDED, False) == (state.phase, state.has_card)
        assert reason in stage.told.texts[0]
        assert "Nothing was changed" in stage.told.texts[0]
        assert untouched(stage)

    def test_at_the_limit(self, stage: Stage) -> None:
        """Exactly as many devices as one may cancel alone need nobody else."""
        accounts = {"pumps": replace(stage.account, approval=Approval(above=59))}
        stage.one = stage.process("exact", accounts=accounts)

        assert Phase.WAITING_CONFIRMATION is stage.state(stage.ordered()).phase

    def test_unknown_size_needs_approval(self, stage: Stage) -> None:
        """An unknown size counts as more than any limit."""
        stage.simulated.faults.add("unfiltered", times=None)
        stage.one = stage.process("open", accounts={"pumps": replace(stage.account, approvers=(LEA,))})
        state = stage.state(stage.ordered())

        assert (Phase.WAITING_CONFIRMATION, 1) == (state.phase, state.needs)
        assert ("the cloud does not tell how many devices it is",) == state.reasons

    def test_unknown_job(self, stage: Stage) -> None:
        """A job that the cloud does not know is told in its own words."""
        state = stage.state(stage.ordered(job="nosuchjob"))

        assert Phase.VOIDED is state.phase
        assert "iot.ota.JobNotFound: The specified job does not exist." in stage.told.texts[0]
        assert stage.told.texts[0].endswith(" Nothing was changed.")

    def test_cloud_away(self, stage: Stage) -> None:
        """A cloud that cannot be read ends the order, and the asker knows why."""
        stage.simulated.faults.add("http_502_html", times=None)
        state = stage.state(stage.ordered())

        assert (Phase.VOIDED, ["requested", "voided"]) == (state.phase, stage.kinds())
        assert "HTTP 502" in stage.told.texts[0]

    def test_slack_away(self, stage: Stage) -> None:
        """Where it cannot be learnt who somebody is, nothing is looked at; the order is kept for the next try."""
        stage.people.silent = 1
        identity = stage.ordered()

        assert (Phase.CHECKING, []) == (stage.state().phase, stage.simulated.arrivals)

        stage.one.intake.check(identity)

        assert Phase.WAITING_CONFIRMATION is stage.state().phase

    def test_slack_away_for_ever(self, stage: Stage) -> None:
        """An order that could not be checked in its time comes to nothing, and its asker is told."""
        stage.people.silent = 1
        identity = stage.ordered()
        stage.one.intake.end_wait(stage.state(identity))

        assert Phase.CHECKING == stage.state().phase
        assert ["#1: Slack did not tell who you are. Nothing was changed; I keep trying."] == stage.told.texts

        stage.clock.turn(stage.account.approval.expires.total_seconds())
        stage.one.intake.end_wait(stage.state(identity))
        _, told = stage.told.texts

        assert (Phase.VOIDED, []) == (stage.state().phase, stage.simulated.arrivals)
        assert told.startswith("#1: It came to nothing")

    @pytest.mark.parametrize(
        ("actor", "change", "reason"),
        [
            (GUS, {}, "not among the requesters"),
            (LEA, {}, "not among the requesters"),
            (ANN, {"guest": True}, "guests"),
            (ANN, {"stranger": True}, "people of other organisations"),
            (ANN, {"ours": False}, "people of other organisations"),
            (ANN, {"bot": True}, "bots"),
            (ANN, {"deactivated": True}, "deactivated"),
        ],
    )
    def test_not_entitled(self, stage: Stage, actor: str, change: dict[str, bool], reason: str) -> None:
        """Somebody who may not is refused and remembered, gets no card, and the cloud hears nothing of it."""
        stage.people.changes[actor] = change
        state = stage.state(stage.ordered(actor=actor))

        assert (Phase.REFUSED, False, []) == (state.phase, state.has_card, stage.simulated.arrivals)
        assert reason in stage.told.texts[0]
        assert ["requested", "refused"] == stage.kinds()
        assert [actor] == [event.actor for event in stage.ledger.story(1) if event.kind == "refused"]

    def test_wrong_channel(self, stage: Stage) -> None:
        """An account may be used in its own channels alone."""
        made = stage.one.intake.order(ANN, ORDER, stage.account, channel="C0ELSEWHERE", via="slack", delivery=None)
        stage.one.intake.check(made.id)

        assert Phase.REFUSED is stage.state().phase

    def test_account_gone(self, stage: Stage) -> None:
        """An order on an account that is no longer configured ends."""
        identity, _ = order(stage)
        stage.process("two", accounts={}).intake.check(identity)

        assert (Phase.VOIDED, "account pumps is no longer configured") == (stage.state().phase, stage.state().why)

    def test_long_reasons_are_cut(self, stage: Stage) -> None:
        """What is stored of a long reason is cut; what is told is not."""
        stage.simulated.fleet.add_job("done", counts={"SUCCEEDED": 9}, name="N" * 400)
        stage.ordered(job="done")

        assert 300 == len(stage.bodies("voided")[0]["reason"])
        assert len(stage.told.texts[0]) > 400

    def test_too_late(self, stage: Stage) -> None:
        """An order whose acknowledgement came too late never becomes anything."""
        identity, _ = order(stage)
        stage.one.intake.too_late(identity)
        stage.one.intake.check(identity)

        assert (Phase.VOIDED, []) == (stage.state().phase, stage.simulated.arrivals)


class TestLook:
    def test_preview(self, stage: Stage) -> None:
        """A preview shows counts, digest and the line to type, and stores nothing."""
        shown = preview(stage)

        assert "52 now, at most 59" in shown
        assert f"/ota-cancel job {JOB} queued,notified because bad image" in shown
        assert 0 == stage.ledger.head()
        assert untouched(stage)

    def test_same_digest(self, stage: Stage) -> None:
        """The digest of a preview is the digest of the plan that is then confirmed."""
        shown = preview(stage)
        digest = stage.state(stage.ordered()).digest

        assert digest is not None
        assert f"Plan {digest[:12]}." in shown

    def test_ran_alone(self, stage: Stage) -> None:
        """A preview counts what its asker has run alone in the window, as the confirmation will."""
        above = stage.account.approval.above
        before = preview(stage)
        stage.confirmed()
        after = preview(stage)

        assert 100 == above
        assert "approv" not in before
        assert "up to 59 devices and the 59 run alone lately are more than 100" in after

    def test_choices(self, stage: Stage) -> None:
        """A job without statuses is answered with its counts and a complete command for each sensible choice."""
        shown = preview(stage, CancelJob(job=JOB))

        assert "unconfirmed 7, queued 40, notified 12, in-progress 5" in shown
        assert f"/ota-cancel job {JOB} queued,notified   (52 tasks)" in shown
        assert f"/ota-cancel job {JOB} unconfirmed,queued,notified,in-progress   (64 tasks)" in shown

    def test_nothing(self, stage: Stage) -> None:
        """Where nothing would be hit, that is the answer."""
        stage.simulated.fleet.add_job("done", counts={"SUCCEEDED": 9})
        shown = preview(stage, replace(ORDER, job="done"))

        assert shown.startswith("Nothing to cancel")
        assert "succeeded 9" in shown

    def test_refused(self, stage: Stage) -> None:
        """Somebody who may not order may not look either; that is remembered and the cloud hears nothing."""
        shown = stage.one.intake.look(GUS, ORDER, stage.account, channel=OPS)

        assert isinstance(shown, Refusal)
        assert shown.reason.startswith("Refused: not among the requesters")
        assert (["refused"], []) == ([event.kind for event in stage.ledger.events(after=0)], stage.simulated.arrivals)

    @pytest.mark.parametrize("error", [CloudError, DirectoryError])
    def test_errors(self, stage: Stage, error: type[Exception]) -> None:
        """What cannot be read is an error for the caller to tell."""
        if error is CloudError:
            stage.simulated.faults.add("http_500", times=None)
        else:
            stage.people.silent = 1
        with pytest.raises(error):
            stage.one.intake.look(ANN, ORDER, stage.account, channel=OPS)


def test_only_the_executor_cancels(stage: Stage) -> None:
    """Whatever people do before a run, no cancelling call goes out."""
    steps: list[Callable[[], Any]] = [
        lambda: stage.one.intake.look(ANN, ORDER, stage.account, channel=OPS),
        stage.ordered,
        lambda: stage.press("withdraw", 1),
        stage.confirmed,
        lambda: stage.press("stop", 2),
    ]
    for step in steps:
        step()

    assert CANCEL not in {arrival.action for arrival in stage.simulated.arrivals}
