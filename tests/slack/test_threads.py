"""Files in the card's thread: after the reply they go with, at least once, and never in the way of the rest."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from slack_sdk import WebClient

from bot.domain import decisions, running
from bot.domain.decisions import Decision
from bot.domain.order import CancelDevices
from bot.domain.plan import Job, Preview, freeze
from bot.domain.policy import Allowed
from bot.domain.reading import Named, Reading
from bot.domain.status import Status
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.directly import MOST_TRIES
from bot.slack.files import LATER
from bot.slack.posts import BROKEN
from tests.builders import ACCOUNT, ANN, COUNTS, EVIDENCE, FAILED, confirm, finish, record, send
from tests.slack.test_publisher import OPS, Press

NAMES = tuple(f"d{n:02}" for n in range(14))


@pytest.fixture
def press(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Press]:
    slack.uploads.clear()
    made = Press(tmp_path, slack, client)
    yield made
    made.close()


def ordered(press: Press, there: int, *made: Decision) -> int:
    """Order the fourteen devices, of which so many are there, confirm and start; then what else is decided."""
    order = CancelDevices(names=NAMES, job="J1", reason="it bricks")
    named = Named(counts={Status.QUEUED: there}, absent=len(NAMES) - there)
    reading = Reading(at=press.clock(), counts=COUNTS, canceled=0, named=named)
    shown = Preview(job=Job(id="J1", product="P1", firmware="F1"), reading=reading)
    plan = freeze(order, shown, ACCOUNT, {"J1": NAMES[:there]})
    event = decisions.requested(ANN, order, ACCOUNT, channel=OPS, via="slack")
    number = press.ledger.order(event, names=NAMES).id
    preview = partial(
        decisions.show_preview,
        preview=shown,
        plan=plan,
        estimate=1,
        verdict=Allowed(),
        account=ACCOUNT,
        evidence=EVIDENCE,
    )
    press.ledger.decide(number, preview, lists=(NAMES[:there],))
    press.decide(number, confirm(), partial(running.start, reading=reading, account=ACCOUNT, evidence=EVIDENCE))
    press.decide(number, *made)
    return number


def ended(press: Press, there: int = 14) -> int:
    """Order, and let the only call fail."""
    return ordered(press, there, send(count=there), record(FAILED), finish())


def told(press: Press, number: int = 1) -> list[str]:
    """Return the thread: replies by their first words, files by their names."""
    replies = press.slack.thread(OPS, press.cards(number)[-1].ts)
    return [one.files[0].name if one.files else " ".join(one.text.split()[:2]) for one in replies]


END = f"<@{ANN}> Failed:"
CALL = "Call 1,"
BEGUN = ["Confirmed by"]


def test_the_file_follows_the_end(press: Press) -> None:
    """What was not cancelled is attached after the reply that says how it ended, once, with a sentence."""
    ended(press)

    press.turn(12)

    assert [*BEGUN, CALL, END, "not-cancelled-1.csv"] == told(press)
    (file,) = [one for one in press.slack.thread(OPS, press.cards()[-1].ts) if one.files]
    assert "14 devices were not cancelled; the file says why of each." == file.text
    assert list(NAMES) == [line.split(",")[0] for line in file.files[0].content.decode().splitlines()[1:]]


def test_a_restart_attaches_nothing_again(press: Press) -> None:
    """Another process that takes over finds the thread told to its end, the files, too."""
    ended(press)
    press.turn(12)

    press.publisher = press.started()
    press.clock.turn(11)
    press.turn(12)

    assert 1 == told(press).count("not-cancelled-1.csv")


def test_names_left_out_are_attached_at_the_preview(press: Press) -> None:
    """More than ten names that the plan leaves out are a file, before anything is answered."""
    ordered(press, 3)

    press.turn(8)

    assert ["left-out-1.csv", *BEGUN] == told(press)


def test_a_file_that_fails_does_not_repeat_its_reply(press: Press) -> None:
    """When Slack breaks down over the file, the file alone is tried again."""
    press.slack.faults.add("files.getUploadURLExternal", status=500)
    press.slack.faults.add("files.completeUploadExternal", error="internal_error")
    ended(press)

    press.turn(30)

    assert [*BEGUN, CALL, END, "not-cancelled-1.csv"] == told(press)


@pytest.mark.parametrize(
    ("fault", "times", "said"),
    [
        ({"error": "missing_scope"}, 1, "Slack answered missing_scope. I lack the scope files:write"),
        ({"error": "file_uploads_disabled"}, 1, "Slack answered file_uploads_disabled."),
        ({"status": 500}, MOST_TRIES + 1, "I could not attach it"),
        ({"drop": True}, MOST_TRIES + 1, "I could not attach it"),
    ],
)
def test_a_file_that_is_not_taken_holds_up_nothing(press: Press, fault: dict[str, str], times: int, said: str) -> None:
    """Where Slack refuses the file, or cannot take it for long, the thread says so, and goes on."""
    press.slack.faults.add("files.getUploadURLExternal", times=times, **fault)  # type: ignore[arg-type]
    number = ended(press)

    press.turn(60)

    assert said in press.thread()[-1]
    row = press.ledger.outbox.card(number)
    assert row is not None
    assert press.ledger.head() == row.told


def test_a_file_keeps_to_slacks_pace(press: Press) -> None:
    """When Slack says that it is called too often, the file waits as long as it says."""
    press.slack.faults.add("files.getUploadURLExternal", retry_after=20)
    ended(press)

    press.turn(16)
    assert [*BEGUN, CALL, END] == told(press)
    press.turn(24)

    assert "not-cancelled-1.csv" == told(press)[-1]


def test_what_is_not_now_is_known_the_same_everywhere() -> None:
    """Slack's words for its own failures are those after which a file is asked for again, too."""
    assert BROKEN <= LATER
