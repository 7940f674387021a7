"""A cloud that did a part, or cannot be read: no more is hit than was confirmed, and people are told why it ended."""

import pytest

from bot.domain.call import Answer
from bot.domain.cancellation import Phase
from bot.domain.errors import CloudError
from bot.domain.order import CancelJob
from bot.domain.status import Status
from tests.engine.scene import figures
from tests.engine.yard import CANCELED, DEVICES, ENOS, MOVED, NAMES, THROTTLED, UNKNOWN, Sent, Yard, Yards, pumps

JOB = CancelJob(job="J1", statuses=(Status.QUEUED,))
GONE = CloudError("There is no such job any more.", advice="Nothing was changed.", final=True)


def in_part(yard: Yard, *, cancelled: int, joined: int, answer: Answer = UNKNOWN) -> None:
    """Let the first attempt cancel so many, unheard of, while so many others join."""

    def play(sent: Sent) -> tuple[Answer, bool] | None:
        if sent.attempt > 1:
            return None
        yard.fleet.move("J1", NAMES[:cancelled], CANCELED)
        yard.fleet.add("J1", [f"late-{number}" for number in range(joined)])
        return answer, False

    yard.fleet.play = play


class TestByJob:
    @pytest.mark.parametrize(("joined", "sent", "phase"), [(0, 2, Phase.DONE), (1, 1, Phase.PARTLY_DONE)])
    def test_what_was_cancelled_counts(self, yards: Yards, joined: int, sent: int, phase: Phase) -> None:
        """A call is sent again only if what an earlier attempt cancelled and what it would hit now were confirmed."""
        yard = pumps(yards)
        in_part(yard, cancelled=300, joined=joined)
        state = yard.run(yard.running(JOB))

        assert (phase, sent) == (state.phase, len(yard.fleet.sent))
        assert state.why == (
            "the next call would hit 153 devices beside 300 that became cancelled since the start,"
            " together more than the 452 that were confirmed"
            if joined
            else ""
        )

    @pytest.mark.parametrize("answer", [UNKNOWN, THROTTLED])
    def test_untold(self, yards: Yards, answer: Answer) -> None:
        """Where the cloud does not tell how many are cancelled by now, nothing is sent a second time."""
        yard = pumps(yards)
        yard.fleet.tells_cancelled = False
        in_part(yard, cancelled=0, joined=0, answer=answer)
        state = yard.run(yard.running(JOB))

        assert 1 == len(yard.fleet.sent)
        assert "the cloud does not tell how many devices an earlier attempt has cancelled already" == state.why

    def test_untold_at_first(self, yards: Yards) -> None:
        """The first attempt needs no such figure."""
        yard = pumps(yards)
        yard.fleet.tells_cancelled = False
        state = yard.run(yard.running(JOB))

        assert (Phase.DONE, 1) == (state.phase, len(yard.fleet.sent))


class TestByName:
    @pytest.mark.parametrize("answer", [UNKNOWN, MOVED])
    def test_cancelled_by_us(self, yards: Yards, answer: Answer) -> None:
        """Devices that an attempt cancelled, unheard of, are accepted; those that moved on by themselves moved on."""
        yard = pumps(yards, account=ENOS)

        def play(sent: Sent) -> tuple[Answer, bool] | None:
            if (sent.number, sent.attempt) != (1, 1):
                return None
            yard.fleet.move("J1", sent.names[:20], CANCELED)
            yard.fleet.move("J1", sent.names[20:25])
            return answer, False

        yard.fleet.play = play
        state = yard.run(yard.running(DEVICES))

        assert state.run is not None
        assert (Phase.DONE, (450, 445, 445, 0), 5) == (state.phase, figures(state), state.run.moved_on)

    def test_all_of_a_call_cancelled_by_us(self, yards: Yards) -> None:
        """A call that was refused although all of it was cancelled is settled, accepted, and counted in the window."""
        yard = pumps(yards, account=ENOS)

        def play(sent: Sent) -> tuple[Answer, bool] | None:
            yard.fleet.move("J1", sent.names, CANCELED)
            return MOVED, False

        yard.fleet.play = play
        state = yard.run(yard.running(DEVICES))

        assert state.run is not None
        assert (Phase.DONE, (450, 450, 450, 0), 0) == (state.phase, figures(state), state.run.moved_on)

    def test_the_window_is_not_given_back(self, yards: Yards) -> None:
        """What was sent counts in the asker's window, though all of it is found to have moved on."""
        yard = pumps(yards, account=ENOS)

        def play(sent: Sent) -> tuple[Answer, bool] | None:
            yard.fleet.move("J1", sent.names)
            return MOVED, False

        yard.fleet.play = play
        state = yard.run(yard.running(DEVICES))
        yard.fleet.add("J2", ["other"])
        other = yard.state(yard.order(CancelJob(job="J2", statuses=(Status.QUEUED,))))

        assert (Phase.FAILED, 450) == (
            state.phase,
            yard.ledger.ran_alone(other, window=yard.account.approval.window),
        )


class TestUnread:
    def test_refused_for_good(self, yards: Yards) -> None:
        """A read that the cloud refuses for good ends the run at once, with its words and without a claim."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, False) if sent.number == 1 else None
        began = yard.clock.now()
        yard.one.cloud.sent = lambda: setattr(yard.one.cloud, "reading", refuse)

        def refuse() -> None:
            yard.one.cloud.reading = lambda: None
            raise GONE

        state = yard.run(yard.running(JOB))

        assert ("There is no such job any more.", 1) == (state.why, len(yard.fleet.sent))
        assert (yard.clock.now() - began).total_seconds() < 60

    def test_for_too_long(self, yards: Yards) -> None:
        """Where the cloud could not be read until the run stood still for too long, the end says so."""
        yard = pumps(yards)
        yard.fleet.play = lambda sent: (UNKNOWN, True) if sent.number == 1 else None
        yard.fleet.unreadable = lambda read: read == "still 1"
        state = yard.run(yard.running(DEVICES))

        assert (Phase.PARTLY_DONE, "the cloud could not be read: The cloud did not answer.") == (
            state.phase,
            state.why,
        )
