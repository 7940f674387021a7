"""The second person, on a real ledger with a cloud behind it: who is asked, what starts, what never does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any, Final

import pytest

from bot.domain.account import Account, Approval
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal
from bot.domain.secret import Secret
from bot.engine.presses import TOO_LATE
from tests.engine.scene import ANN, LEA, OPS, figures
from tests.engine.stage import COUNTS, JOB, WHOLE, Stage

KIM: Final = "U0KIM"
RULES: Final = Approval(above=50, break_glass=(ANN,))
TWO: Final = replace(RULES, people=2)


def under(stage: Stage, rules: Approval = RULES, **changes: Any) -> Account:
    """Put the stage's process under other rules and lists of people."""
    people: dict[str, Any] = {"approvers": (LEA, KIM), **changes}
    account = replace(stage.account, approval=rules, **people)
    stage.account = account
    stage.one = stage.process(f"process-{len(stage.told.texts)}-{id(account)}", accounts={account.name: account})
    return account


def asking(stage: Stage, rules: Approval = RULES) -> int:
    """Order and confirm what then waits for approval; return the id."""
    under(stage, rules)
    identity = stage.confirmed()
    assert Phase.WAITING_APPROVAL is stage.state(identity).phase
    return identity


def said(done: State | Refusal) -> str:
    """Return why a press was refused."""
    assert isinstance(done, Refusal)
    return done.reason


class TestRun:
    def test_nothing_happens_before_the_vote(self, stage: Stage) -> None:
        """Without an approval nothing is sent, however often it is tried."""
        identity = asking(stage)
        stage.run(identity)

        assert (Phase.WAITING_APPROVAL, COUNTS, []) == (stage.state(identity).phase, stage.counts, stage.cancels)

    def test_one_vote_runs_it(self, stage: Stage) -> None:
        """With the vote it runs, and the start carries what is known of who asked and who approved."""
        identity = asking(stage)
        stage.press("approve", identity, LEA)
        state = stage.run(identity)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert {LEA} == set(stage.bodies("started", identity)[0]["evidence"]["approvers"])

    def test_two_are_needed(self, stage: Stage) -> None:
        """One vote of two starts nothing, the second does."""
        identity = asking(stage, TWO)
        stage.press("approve", identity, LEA)
        assert Phase.WAITING_APPROVAL is stage.run(identity).phase
        assert "You have approved #1 already; 1 approval is missing." in said(stage.press("approve", identity, LEA))

        stage.press("approve", identity, KIM)
        assert (Phase.DONE, 1) == (stage.run(identity).phase, stage.executed)

    def test_shrunk_meanwhile(self, stage: Stage) -> None:
        """What has become less since it was confirmed runs, and says with how many it began."""
        identity = asking(stage)
        stage.clock.turn(600)
        for _ in range(4):
            stage.simulated.fleet.drain(JOB, 20)
        stage.press("approve", identity, LEA)
        state = stage.run(identity)

        assert Phase.DONE is state.phase
        assert state.run is not None
        assert (state.run.asked or 0) < 52

    def test_outgrown_meanwhile(self, stage: Stage) -> None:
        """What has become more than was approved is void, with nothing sent."""
        identity = asking(stage)
        stage.press("approve", identity, LEA)
        stage.simulated.fleet.add_job(JOB, counts={**COUNTS, "QUEUED": 70})
        state = stage.run(identity)

        assert (Phase.VOIDED, []) == (state.phase, stage.cancels)
        assert "it would hit 82 devices, more than the 59 that were confirmed" == state.why

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (
                lambda stage: under(stage, TWO),
                "the approval rules are stricter now than when it was agreed to",
            ),
            (
                lambda stage: under(stage, approvers=(KIM,)),
                "U0LEA, who agreed to it, may not do so any more: not among the approvers of account pumps",
            ),
            (
                lambda stage: under(stage, requesters=("U0BEN",)),
                "whoever asked for it may not do so any more: not among the requesters of account pumps",
            ),
            (
                lambda stage: stage.people.changes.update({LEA: {"deactivated": True}}),
                "U0LEA, who agreed to it, may not do so any more: deactivated accounts may not cancel anything",
            ),
            (
                lambda stage: stage.people.changes.update({ANN: {"deactivated": True}}),
                "whoever asked for it may not do so any more: deactivated accounts may not cancel anything",
            ),
            (
                lambda stage: under(stage, key_id=Secret("LTAIanother")),
                "account pumps is no longer the cloud, endpoint and key that were confirmed",
            ),
        ],
        ids=["stricter", "approver-gone", "requester-gone", "approver-left", "requester-left", "another-key"],
    )
    def test_what_it_rests_on_is_gone(self, stage: Stage, change: Callable[[Stage], object], why: str) -> None:
        """Rules, people, cloud and key are looked at again at the start; what does not hold voids it."""
        identity = asking(stage)
        stage.press("approve", identity, LEA)
        change(stage)
        state = stage.run(identity)

        assert (Phase.VOIDED, why, []) == (state.phase, state.why, stage.cancels)


class TestPeople:
    @pytest.mark.parametrize(
        ("actor", "flags", "why"),
        [
            (ANN, {}, "not among the approvers of account pumps"),
            ("U0BEN", {}, "not among the approvers of account pumps"),
            (LEA, {"guest": True}, "guests of this workspace may not cancel anything"),
            (
                LEA,
                {"stranger": True},
                "people of other organisations (Slack Connect) may not cancel anything",
            ),
        ],
    )
    def test_four_wrong_people(self, stage: Stage, actor: str, flags: dict[str, bool], why: str) -> None:
        """Requester, outsider, guest and stranger are refused, each with the reason, and the ledger has it."""
        identity = asking(stage)
        stage.people.changes[actor] = flags
        done = said(stage.press("approve", identity, actor))

        assert f"Refused: {why}. Nothing was changed." == done
        assert [("approve", why)] == [(body["what"], body["reason"]) for body in stage.bodies("refused", identity)]
        assert Phase.WAITING_APPROVAL is stage.state(identity).phase

    def test_a_requester_who_is_an_approver(self, stage: Stage) -> None:
        """Being listed as an approver, too, does not make anybody their own second person."""
        under(stage, approvers=(ANN, LEA))
        identity = stage.confirmed()

        assert "Refused: whoever asked for #1 may not approve it. Nothing was changed." == said(
            stage.press("approve", identity, ANN)
        )

    def test_slack_is_silent(self, stage: Stage) -> None:
        """A press of somebody whom Slack does not know about does nothing."""
        identity = asking(stage)
        stage.people.silent = 1

        assert "Nothing was done, press again." in said(stage.press("approve", identity, LEA))
        assert Phase.WAITING_APPROVAL is stage.state(identity).phase

    def test_too_late(self, stage: Stage) -> None:
        """A vote whose acknowledgement came too late is none."""
        identity = asking(stage)
        done = stage.one.presses.press("approve", identity, LEA, OPS, in_time=lambda: False)

        assert said(done) == TOO_LATE
        assert Phase.WAITING_APPROVAL is stage.state(identity).phase

    @pytest.mark.parametrize("approvers", [(), (ANN,), (LEA,)])
    def test_a_quorum_that_cannot_be_reached(self, stage: Stage, approvers: tuple[str, ...]) -> None:
        """What not enough people besides its asker could approve is refused with the reason, without a card."""
        under(stage, TWO, approvers=approvers)
        state = stage.state(stage.ordered())

        assert (Phase.VOIDED, False) == (state.phase, state.has_card)
        assert "This needs 2 other people to approve it (up to 59 devices are more than 50)" in stage.told.texts[0]

    def test_a_quorum_that_is_gone_at_the_confirmation(self, stage: Stage) -> None:
        """Nobody is made to wait for an approval that nobody can give."""
        under(stage)
        identity = stage.ordered()
        stage.people.changes.update({LEA: {"deactivated": True}, KIM: {"guest": True}})

        assert "there are none besides you who may" in said(stage.press("confirm", identity))
        assert Phase.WAITING_CONFIRMATION is stage.state(identity).phase


class TestRaces:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("approve", LEA), ("approve", KIM)),
            (("approve", LEA), ("approve", LEA)),
            (("approve", LEA), ("reject", KIM)),
        ],
    )
    def test_two_at_once(self, stage: Stage, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Of two presses at once one counts, whoever made them, and what runs runs once."""
        identity = asking(stage)
        barrier = Barrier(2)

        def press(pressed: tuple[str, str]) -> State | Refusal:
            barrier.wait(10)
            return stage.one.presses.press(
                pressed[0], identity, pressed[1], OPS, in_time=lambda: True, reason="not tonight"
            )

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(press, (one, other)))
        state = stage.run(identity)

        assert 1 == sum(isinstance(each, Refusal) for each in done)
        assert stage.executed == (state.phase is Phase.DONE)
        assert 1 == sum(kind in {"approved", "rejected"} for kind in stage.kinds(identity))

    def test_a_replayed_press(self, stage: Stage) -> None:
        """The same press again, from before a restart or after the end, changes nothing."""
        identity = asking(stage)
        stage.press("approve", identity, LEA)
        stage.run(identity)
        before = stage.kinds(identity)
        stage.one = stage.process("restarted", accounts={stage.account.name: stage.account})

        assert "#1 is already “Done”" in said(stage.press("approve", identity, LEA))
        assert (before, 1) == (stage.kinds(identity), stage.executed)


class TestClocks:
    def test_unanswered(self, stage: Stage) -> None:
        """Unanswered for `expires` it ends by itself, also when no bot was there when the time came."""
        identity = asking(stage)
        stage.clock.turn(RULES.expires.total_seconds() + 60)
        restarted = stage.process("restarted", accounts={stage.account.name: stage.account})
        for due in stage.ledger.due():
            restarted.intake.end_wait(due)

        assert (Phase.EXPIRED, []) == (stage.state(identity).phase, stage.cancels)
        assert "#1 is already “Expired”" in said(stage.press("approve", identity, LEA))

    def test_reminded(self, stage: Stage) -> None:
        """Each reminder that is due is an event, and then the wait goes on to its end."""
        identity = asking(stage)
        while stage.state(identity).phase is Phase.WAITING_APPROVAL:
            stage.clock.turn(30)
            for due in stage.ledger.due():
                stage.one.intake.end_wait(due)

        assert [1, 2] == [body["time"] for body in stage.bodies("reminded", identity)]
        assert Phase.EXPIRED is stage.state(identity).phase

    @pytest.mark.parametrize(
        ("away", "phase", "calls"), [(timedelta(minutes=14), Phase.DONE, 1), (timedelta(minutes=15), Phase.VOIDED, 0)]
    )
    def test_killed_between_approval_and_start(self, stage: Stage, away: timedelta, phase: Phase, calls: int) -> None:
        """A bot that comes back within `run_within` starts it once; later it is void."""
        identity = asking(stage)
        stage.press("approve", identity, LEA)
        stage.dies(stage.one)
        stage.clock.turn(away.total_seconds())
        again = stage.process("again", accounts={stage.account.name: stage.account})

        assert (phase, calls) == (stage.run(identity, again).phase, stage.executed)
        assert (phase, calls) == (stage.run(identity, again).phase, stage.executed)


class TestGlass:
    def test_it_runs_at_once(self, stage: Stage) -> None:
        """Whoever is listed goes on without approval, with their reason on it for ever."""
        identity = asking(stage)
        stage.press("break_glass", identity, ANN, reason="pumps burn")
        state = stage.run(identity)

        assert (Phase.DONE, WHOLE) == (state.phase, figures(state))
        assert state.broke_glass is not None
        assert (ANN, "pumps burn") == (state.broke_glass.actor, state.broke_glass.reason)

    @pytest.mark.parametrize("actor", [LEA, "U0BEN"])
    def test_not_by_somebody_else(self, stage: Stage, actor: str) -> None:
        """Nobody but the requester breaks the glass."""
        identity = asking(stage)

        assert said(stage.press("break_glass", identity, actor, reason="now")).startswith("Refused: ")
        assert Phase.WAITING_APPROVAL is stage.state(identity).phase

    def test_it_counts_as_alone(self, stage: Stage) -> None:
        """What ran without approvers fills the window, what others approved does not."""
        under(stage, replace(RULES, above=59))
        stage.simulated.fleet.add_job("other", counts={"QUEUED": 200})
        identity = stage.ordered(job="other", statuses=stage.state(stage.ordered()).plan.statuses)  # type: ignore[union-attr]
        stage.press("confirm", identity)
        stage.press("approve", identity, LEA)
        stage.run(identity)
        assert 0 == stage.ledger.ran_alone(stage.state(1), window=timedelta(hours=1))

        stage.simulated.fleet.add_job("third", counts={"QUEUED": 200})
        third = stage.confirm(stage.ordered(job="third"))
        stage.press("break_glass", third, ANN, reason="pumps burn")
        stage.run(third)
        assert 200 == stage.ledger.ran_alone(stage.state(1), window=timedelta(hours=1))


class TestTwice:
    def test_the_same_order(self, stage: Stage) -> None:
        """An order like an open one waits, its asker is shown that one, and nothing is read for it."""
        first = stage.ordered()
        second = stage.ordered()

        assert [f"#{second}: already #{first}"] == stage.told.texts
        assert (Phase.CHECKING, first, None) == (
            stage.state(second).phase,
            stage.state(second).held,
            stage.state(second).plan,
        )

    def test_meant(self, stage: Stage) -> None:
        """Meant all the same, it goes on to a card of its own."""
        stage.ordered()
        second = stage.meant(stage.ordered())

        assert Phase.WAITING_CONFIRMATION is stage.state(second).phase
        assert ["requested", "held", "ordered_anyway", "previewed"] == stage.kinds(second)

    def test_not_meant(self, stage: Stage) -> None:
        """What nobody says is meant ends, and its asker is told why."""
        stage.ordered()
        second = stage.ordered()
        stage.clock.turn(1801)
        for due in stage.ledger.due():
            stage.one.intake.end_wait(due)

        assert Phase.VOIDED is stage.state(second).phase
        why = "it is like #1, which was open, and nobody said that it was meant all the same"
        assert [
            "#2: already #1",
            f"#2: It came to nothing: {why}. Nothing was changed; type it again.",
        ] == stage.told.texts

    def test_asked_after_a_restart(self, stage: Stage) -> None:
        """A process that starts asks again whoever's order is held: the one that held it may have died before."""
        stage.ordered()
        stage.ordered()
        stage.told.texts.clear()

        stage.process("two").intake.ask_held()

        assert ["#2: already #1"] == stage.told.texts

    def test_after_the_end(self, stage: Stage) -> None:
        """An order like one that has ended is an order of its own."""
        stage.run(stage.confirmed())
        stage.simulated.fleet.add_job(JOB, counts=COUNTS)

        assert Phase.WAITING_CONFIRMATION is stage.state(stage.ordered()).phase

    def test_another_job(self, stage: Stage) -> None:
        """Another job is another order."""
        stage.simulated.fleet.add_job("other", counts=COUNTS)
        stage.ordered()

        assert Phase.WAITING_CONFIRMATION is stage.state(stage.ordered(job="other")).phase
