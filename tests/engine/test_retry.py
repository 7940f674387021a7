"""Asking again, and names that lie in a file: what is opened over, by whom, and what happens only once."""

from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from bot.domain.account import Qps
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Refusal, requested
from bot.domain.errors import DirectoryError, UsageError
from bot.domain.order import CancelDevices, CancelJob, CancelStrategy
from bot.domain.status import Status
from bot.ledger.ledger import Ordered
from tests.engine.scene import ANN, LEA, OPS, figures
from tests.engine.yard import DEVICES, FAILED, NAMES, Yard, Yards

BEN: Final = "U0BEN"
SLOW: Final = Qps(job=1, devices=0.1, strategy=1, query=1)


def partly(yards: Yards) -> Yard:
    """Return a yard in which the second of three calls was refused."""
    yard = yards(qps=SLOW, requesters=(ANN, BEN))
    yard.fleet.add("J1", NAMES)
    yard.fleet.play = lambda sent: (FAILED, False) if sent.number == 2 else None
    assert Phase.PARTLY_DONE is yard.run(yard.running(DEVICES)).phase
    yard.fleet.play = lambda _sent: None
    yard.fleet.sent.clear()
    return yard


class TestRetry:
    def test_exactly_the_rest(self, yards: Yards) -> None:
        """Asking again opens a new cancellation over exactly the devices of the call that failed."""
        yard = partly(yards)
        new = yard.retry(1, BEN)
        state = yard.state(new)

        assert (2, BEN, 1, Phase.CHECKING) == (new, state.requester, state.retry_of, state.phase)
        assert (NAMES[200:400], 2) == (yard.names(new), yard.state(1).retried_as)
        assert "bad image" == state.order.reason

        yard.one.intake.check(new)
        assert isinstance(yard.press("confirm", new, BEN), State)
        state = yard.run(new)

        assert (Phase.DONE, (200, 200, 200, 0)) == (state.phase, figures(state))
        assert [NAMES[200:400]] == [sent.names for sent in yard.fleet.sent]
        assert 450 == yard.fleet.count("J1", "canceled")

    def test_twice(self, yards: Yards) -> None:
        """A second press, also somebody else's and in another process, gives the same new cancellation."""
        yard = partly(yards)
        two = yard.process("two")
        first = yard.one.presses.retry(1, ANN, OPS, via="slack", in_time=lambda: True)
        second = two.presses.retry(1, BEN, OPS, via="slack", in_time=lambda: True)

        assert [Ordered(2, repeated=False), Ordered(2, repeated=True)] == [first, second]
        assert (1, None) == (yard.kinds(1).count("retried"), yard.ledger.state(3))

    def test_the_rest_of_the_rest(self, yards: Yards) -> None:
        """What is left of the second try can be asked for again, too."""
        yard = partly(yards)
        new = yard.retry(1)
        yard.one.intake.check(new)
        yard.confirm(new)
        yard.fleet.play = lambda _sent: (FAILED, False)
        state = yard.run(new)

        assert (Phase.FAILED, NAMES[200:400]) == (state.phase, yard.names(yard.retry(new)))

    def test_came_to_nothing(self, yards: Yards) -> None:
        """Where the order for the rest ended before it got a card, the old one can be asked for again."""
        yard = partly(yards)
        yard.people.changes[BEN] = {"deactivated": True}
        made = yard.ledger.again(
            1, requested(BEN, DEVICES, yard.account, channel=OPS, via="slack", retry_of=1), names=NAMES[200:400]
        )
        assert isinstance(made, Ordered)
        yard.one.intake.check(made.id)

        assert (Phase.REFUSED, None) == (yard.state(made.id).phase, yard.state(1).retried_as)
        assert (3, NAMES[200:400]) == (yard.retry(1), yard.names(3))

    def test_delivered_again(self, yards: Yards) -> None:
        """The same delivery again opens nothing, also once what it had opened came to nothing."""
        yard = partly(yards)
        press = partial(yard.one.presses.retry, 1, channel=OPS, via="slack")
        first = press(actor=BEN, in_time=lambda: True, delivery="trigger.1")
        second = press(actor=ANN, in_time=lambda: True, delivery="trigger.2")
        yard.people.changes[BEN] = {"deactivated": True}
        yard.one.intake.check(2)
        yard.people.changes.clear()
        came_to = (yard.state(2).phase, yard.state(1).retried_as)
        again = [
            press(actor=BEN, in_time=lambda: False, delivery="trigger.1"),
            press(actor=ANN, in_time=lambda: True, delivery="trigger.2"),
        ]

        assert (Ordered(2, repeated=False), Ordered(2, repeated=True)) == (first, second)
        assert (Phase.REFUSED, None) == came_to
        assert [Ordered(2, repeated=True)] * 2 == again
        assert 3 == yard.retry(1)

    def test_like_an_open_one(self, yards: Yards) -> None:
        """What is asked for again is held like any order while an equal one is open, and goes on when it is meant."""
        yard = partly(yards)
        assert 2 == yard.order(DEVICES)
        new = yard.retry(1)
        yard.one.intake.check(new)
        held = (yard.state(new).phase, yard.state(new).held)
        yard.press("order_anyway", new)
        yard.one.intake.check(new)

        assert (Phase.CHECKING, 2) == held
        assert Phase.WAITING_CONFIRMATION is yard.state(new).phase

    def test_held_and_not_meant(self, yards: Yards) -> None:
        """One that was held and that nobody meant leaves what was left to be asked for again."""
        yard = partly(yards)
        yard.order(DEVICES)
        new = yard.retry(1)
        yard.one.intake.check(new)
        yard.clock.turn(yard.account.approval.expires.total_seconds())
        yard.one.intake.end_wait(yard.state(new))

        assert (Phase.VOIDED, None) == (yard.state(new).phase, yard.state(1).retried_as)

    @pytest.mark.parametrize("phase", ["Waiting for confirmation", "Approved", "Done", "Withdrawn"])
    def test_not_of_everything(self, yards: Yards, phase: str) -> None:
        """What is not over, is done, or was taken back is not ordered again."""
        yard = yards()
        yard.fleet.add("J1", NAMES)
        identity = yard.order(DEVICES)
        if phase == "Withdrawn":
            yard.press("withdraw", identity)
        if phase in {"Approved", "Done"}:
            yard.confirm(identity)
        if phase == "Done":
            yard.run(identity)
        refused = yard.one.presses.retry(identity, ANN, OPS, via="slack", in_time=lambda: True)

        assert isinstance(refused, Refusal)
        assert f"“{phase}”" in refused.reason
        assert None is yard.ledger.state(2)

    @pytest.mark.parametrize(("actor", "channel"), [(LEA, OPS), ("U0GUS", OPS), (ANN, "C0ELSEWHERE")])
    def test_not_by_everybody(self, yards: Yards, actor: str, channel: str) -> None:
        """Only who may order it, where it may be ordered, asks again; another is refused and remembered."""
        yard = partly(yards)
        refused = yard.one.presses.retry(1, actor, channel, via="slack", in_time=lambda: True)

        assert isinstance(refused, Refusal)
        assert ["retry"] == [body["what"] for body in yard.bodies("refused")]
        assert None is yard.ledger.state(2)

    def test_slack_away(self, yards: Yards) -> None:
        """Where it cannot be learnt who pressed, nothing is done."""
        yard = partly(yards)
        yard.people.silent = 1
        refused = yard.one.presses.retry(1, ANN, OPS, via="slack", in_time=lambda: True)

        assert isinstance(refused, Refusal)
        assert refused.reason.endswith("Nothing was done, press again.")
        assert None is yard.ledger.state(2)

    def test_too_late(self, yards: Yards) -> None:
        """A press that Slack gave up on while it waited for its turn to write opens nothing."""
        yard = partly(yards)
        asked: list[bool] = []

        def in_time() -> bool:
            asked.append(yard.ledger._store._database.conn.in_transaction)
            return False

        refused = yard.one.presses.retry(1, ANN, OPS, via="slack", in_time=in_time)

        assert isinstance(refused, Refusal)
        assert ([True], None, None) == (asked, yard.state(1).retried_as, yard.ledger.state(2))

    def test_where_it_was_asked_for(self, yards: Yards) -> None:
        """What began at a terminal and is asked for again in Slack has its card where that was."""
        yard = yards(requesters=(ANN, "cli:ann"))
        yard.fleet.add("J1", NAMES)
        made = yard.one.intake.order("cli:ann", DEVICES, yard.account, channel=None, via="terminal", delivery=None)
        yard.one.intake.check(made.id)
        yard.clock.turn(yard.account.approval.expires.total_seconds())
        yard.one.intake.end_wait(yard.state(made.id))
        new = yard.state(yard.retry(made.id))

        assert (OPS, "slack", ANN) == (new.channel, new.via, new.requester)

    def test_unheard_of(self, yards: Yards) -> None:
        """What does not exist, or never had a card, is not ordered again."""
        yard = yards()
        yard.fleet.add("J1", NAMES)
        identity = yard.order(replace(DEVICES, names=("unheard-of",)))
        refused = [yard.one.presses.retry(each, ANN, OPS, via="slack", in_time=lambda: True) for each in (identity, 99)]

        assert [
            "There is no #1 that could be ordered again. Nothing was changed.",
            "There is no #99 that could be changed. Nothing was changed.",
        ] == [refusal.reason for refusal in refused if isinstance(refusal, Refusal)]

    def test_a_strategy(self, yards: Yards) -> None:
        """Of a strategy whose tasks were refused the tasks alone are asked for again."""
        yard = yards()
        yard.fleet.add("J1", NAMES)
        yard.fleet.play = lambda sent: (FAILED, False) if sent.number == 2 else None
        yard.run(yard.running(CancelStrategy(job="J1", statuses=(Status.QUEUED,))))

        assert CancelJob(job="J1", statuses=(Status.QUEUED,)) == yard.state(yard.retry(1)).order

    def test_taken_and_never_seen(self, yards: Yards) -> None:
        """Where every call was taken and the cloud could never be read, all its devices are looked at again."""
        yard = yards()
        yard.fleet.add("J1", NAMES)
        yard.fleet.unreadable = lambda read: read == "verify"
        state = yard.run(yard.running(DEVICES))
        yard.fleet.unreadable = lambda _read: False
        new = yard.retry(1)
        yard.one.intake.check(new)

        assert (Phase.PARTLY_DONE, Phase.VOIDED) == (state.phase, yard.state(new).phase)
        assert "none of these devices has a task that can be cancelled: 450 cancelled" in yard.told.texts[0]


class Shelf:
    """The files that were uploaded."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, file: str) -> str:
        """Return the next answer."""
        self.asked.append(file)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class TestFile:
    ORDER: Final = CancelDevices(file="F0NAMES", job="J1")

    def test_story(self, yards: Yards) -> None:
        """The names of an uploaded file are read once, kept, looked at and sent."""
        shelf = Shelf("DeviceName\n" + "\n".join(reversed(NAMES)))
        yard = yards(fetch=shelf)
        yard.fleet.add("J1", NAMES)
        state = yard.run(yard.running(self.ORDER))

        assert (Phase.DONE, (450, 450, 450, 0), ["F0NAMES"]) == (state.phase, figures(state), shelf.asked)
        assert ["requested", "listed", "previewed"] == yard.kinds()[:3]
        assert NAMES == yard.names(1)

    def test_read_after_a_restart(self, yards: Yards) -> None:
        """An order whose process died before the file was read is read by the next one."""
        yard = yards(fetch=Shelf("\n".join(NAMES)))
        yard.fleet.add("J1", NAMES)
        made = yard.one.intake.order(ANN, self.ORDER, yard.account, channel=OPS, via="slack", delivery=None)
        yard.process("two").intake.check(made.id)

        assert (Phase.WAITING_CONFIRMATION, NAMES) == (yard.state(made.id).phase, yard.names(made.id))

    def test_not_read_twice(self, yards: Yards) -> None:
        """One that died after the file was read is not read again: the file may be gone by then."""
        shelf = Shelf("\n".join(NAMES))
        yard = yards(fetch=shelf)
        yard.fleet.add("J1", NAMES)
        broken = [RuntimeError("power cut")]

        def unreadable(_read: str) -> bool:
            if broken:
                raise broken.pop()
            return False

        yard.fleet.unreadable = unreadable
        made = yard.one.intake.order(ANN, self.ORDER, yard.account, channel=OPS, via="slack", delivery=None)
        with pytest.raises(RuntimeError):
            yard.one.intake.check(made.id)
        before = yard.state(made.id).phase
        yard.process("two").intake.check(made.id)

        assert (Phase.CHECKING, Phase.WAITING_CONFIRMATION) == (before, yard.state(made.id).phase)
        assert ["F0NAMES"] == shelf.asked

    def test_slack_away(self, yards: Yards) -> None:
        """While Slack does not give the file the order waits; it is checked when it does."""
        yard = yards(fetch=Shelf(DirectoryError("Slack is away."), "\n".join(NAMES)))
        yard.fleet.add("J1", NAMES)
        identity = yard.order(self.ORDER)
        before = yard.state(identity).phase
        yard.one.intake.check(identity)

        assert (Phase.CHECKING, Phase.WAITING_CONFIRMATION) == (before, yard.state(identity).phase)

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (UsageError("The file is gone. Nothing was changed."), "The file is gone. Nothing was changed."),
            ("pump-1\n<b>", "“<b>” in line 2. Nothing was changed."),
            ("", "There is no device name in it. Nothing was changed."),
        ],
    )
    def test_no_list(self, yards: Yards, answer: str | Exception, told: str) -> None:
        """A file that is gone, or is no list of names, ends the order with the reason."""
        yard = yards(fetch=Shelf(answer))
        yard.fleet.add("J1", NAMES)
        state = yard.state(yard.order(self.ORDER))

        assert (Phase.VOIDED, False) == (state.phase, state.has_card)
        assert yard.told.texts[0].endswith(told)

    def test_at_a_terminal(self, yards: Yards) -> None:
        """Where nothing can be uploaded, an order by file is told so."""
        yard = yards()
        yard.fleet.add("J1", NAMES)
        yard.order(self.ORDER)

        assert ["#1: The file F0NAMES was uploaded in Slack and cannot be read here."] == yard.told.texts
