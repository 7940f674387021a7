"""Direct messages: each approver has one with the way to the card, and nobody's failure is another's silence."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest
from slack_sdk import WebClient

from bot.domain import approval, decisions, running
from bot.domain.approval import remind
from bot.ledger.ledger import Ledger
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.directly import MOST_TRIES, Directly
from bot.slack.pace import Pace
from tests.builders import ANN, BOB, EVIDENCE, approve, break_glass, reading, reject, requested, withdraw
from tests.domain.test_approval import LEA
from tests.slack.test_card_approval import ON, show
from tests.slack.test_publisher import OPS, Press

MAX: Final = "U0MAX"
CONFIRM: Final = partial(approval.confirm, actor=ANN, account=ON, ran_alone=0, evidence=EVIDENCE)


@pytest.fixture
def press(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Press]:
    """Give a publisher without an audit channel, and three approvers: Bob, and Lea and Max in a group with Ann."""
    for user, name in ((LEA, "lea"), (MAX, "max")):
        slack.add_user(user, name)
    slack.add_group("S0LEADS", "leads", [ANN, LEA, MAX])
    slack.add_channel(OPS, "ops", [ANN, BOB, LEA, MAX])
    made = Press(tmp_path, slack, client, audit_channel=None)
    yield made
    made.close()


def asking(press: Press, to: str = LEA, **fault: Any) -> int:
    """Order and confirm what needs two people; the direct messages to one of them meet this fault."""
    if fault:
        press.slack.faults.add("chat.postMessage", channel=to, **fault)
    return press.order(show(), CONFIRM)


def written(press: Press) -> dict[str, list[str]]:
    """Return what each person was written directly, by the first words after the number."""
    return {
        user: [" ".join(one.text.split()[1:3]) for one in press.slack.dms(user)]
        for user in (ANN, BOB, LEA, MAX)
        if press.slack.dms(user)
    }


def test_each_approver_is_called_once(press: Press) -> None:
    """The thread mentions all who may answer, each is written to with the link to the card, and the asker is not."""
    number = press.order(show())
    press.turn()
    press.slack.rings.clear()
    press.decide(number, CONFIRM)

    press.turn(10)

    (reply,) = press.thread()
    assert reply.startswith(f"<@{BOB}> <@{LEA}> <@{MAX}> #1 waits for your approval until ")
    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"]} == written(press)
    place = f"/archives/{OPS}/p{press.cards()[0].ts.replace('.', '')}"
    assert [True] * 3 == [f"{place}|Go to its card>" in press.slack.dms(user)[0].text for user in (BOB, LEA, MAX)]
    rings = {user: sorted(ring.why for ring in press.slack.notifications(user)) for user in (ANN, BOB, LEA, MAX)}
    assert {ANN: [], BOB: ["dm", "mention"], LEA: ["dm", "mention"], MAX: ["dm", "mention"]} == rings


def test_a_restart_calls_nobody_again(press: Press) -> None:
    """Another process that takes over finds everybody called."""
    asking(press)
    press.turn(10)

    press.publisher = press.started(None)
    press.clock.turn(11)
    press.turn(10)

    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"]} == written(press)
    assert 1 == len(press.thread())


def test_a_crash_between_two_parts_repeats_none(press: Press) -> None:
    """A process that dies before somebody could be written to leaves them, alone, to the next one."""
    asking(press, retry_after=60)
    press.turn(5)
    before = written(press)

    press.publisher = press.started(None)
    press.clock.turn(60)
    press.turn(10)

    assert {BOB: ["waits for"], MAX: ["waits for"]} == before
    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"]} == written(press)
    assert 1 == len(press.thread())


def test_an_answer_between_two_parts_leaves_nobody_out(press: Press) -> None:
    """Somebody who approves while others are still being written to does not take anybody's place."""
    number = asking(press, retry_after=20)
    press.turn(5)
    assert {BOB: ["waits for"], MAX: ["waits for"]} == written(press)

    press.decide(number, approve(BOB, on=ON))
    press.turn(30)

    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"], ANN: ["is approved"]} == written(press)


@pytest.mark.parametrize("error", ["cannot_dm_bot", "user_disabled", "messages_tab_disabled", "channel_not_found"])
def test_somebody_who_takes_none_holds_up_nobody(press: Press, error: str) -> None:
    """A refused direct message is left out at once; everybody else's comes, and the thread goes on."""
    number = asking(press, BOB, error=error)

    press.turn(5)

    assert {LEA: ["waits for"], MAX: ["waits for"]} == written(press)
    press.decide(number, reject(LEA))
    press.turn(5)
    assert f"<@{ANN}> #1 is rejected by lea: not tonight." in press.thread()[-1]


@pytest.mark.parametrize("fault", [{"status": 500}, {"error": "internal_error"}, {"drop": True}])
def test_a_slack_that_breaks_down_is_tried_again(press: Press, fault: dict[str, Any]) -> None:
    """What Slack could not take comes later; what it had taken is not said twice."""
    asking(press, **fault)

    press.turn(15)

    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"]} == written(press)
    assert 1 == len(press.thread())


def test_one_that_fails_for_long_holds_up_nobody(press: Press) -> None:
    """Everybody else is written to at once, also of what comes next; who was missed hears of it in the end."""
    number = asking(press, status=500, times=MOST_TRIES + 2)
    press.turn(5)
    press.decide(number, approve(BOB, on=ON))
    press.turn(8)
    before = written(press)

    press.turn(40)

    assert {BOB: ["waits for"], MAX: ["waits for"], ANN: ["is approved"]} == before
    assert {**before, LEA: ["waits for"]} == written(press)


def test_who_has_left_is_not_written_to(press: Press) -> None:
    """A deactivated approver holds up nobody, either."""
    press.slack.add_user(BOB, "bob", deleted=True)
    asking(press)

    press.turn(10)

    assert {LEA: ["waits for"], MAX: ["waits for"]} == written(press)


def test_a_group_that_cannot_be_read_silences_nobody_else(press: Press) -> None:
    """Where Slack keeps failing to say who is in a group, it is called as a whole in the thread."""
    press.slack.faults.add("usergroups.users.list", error="internal_error", times=2 * (MOST_TRIES + 1))
    asking(press)

    press.turn(40)

    assert press.thread()[0].startswith(f"<!subteam^S0LEADS> <@{BOB}> <@{LEA}> #1 waits for your approval until ")
    assert {BOB: ["waits for"], LEA: ["waits for"]} == written(press)


def test_a_group_that_is_read_late_is_called_one_by_one(press: Press) -> None:
    """One failure of Slack's is not the end of it."""
    press.slack.faults.add("usergroups.users.list", error="internal_error")
    asking(press)

    press.turn(10)

    assert {BOB: ["waits for"], LEA: ["waits for"], MAX: ["waits for"]} == written(press)


def test_what_is_answered_by_then_calls_nobody(press: Press) -> None:
    """A question that has its answer before it is told calls nobody, in the thread and directly."""
    number = asking(press)
    press.decide(number, withdraw())

    press.turn(10)

    confirmed = "Confirmed by Ann Arbor, which needs the approval of 2 other people."
    assert [confirmed, "Withdrawn by Ann Arbor. Nothing was cancelled."] == press.thread()
    assert {} == written(press)


def test_the_whole_way_is_told(press: Press) -> None:
    """Reminders go to those who have not answered, each vote and the end to the asker, each once."""
    number = asking(press)
    press.turn(5)
    press.decide(number, approve(BOB, on=ON))
    press.turn(300)
    press.decide(number, remind)
    press.turn(5)
    press.decide(number, approve(LEA, on=ON))
    press.turn(5)
    begin = partial(running.start, reading=reading(at=press.clock()), account=ON, evidence=EVIDENCE)
    press.decide(number, begin)
    press.turn(5)

    assert {
        ANN: ["is approved", "is approved"],
        BOB: ["waits for"],
        LEA: ["waits for", "still waits"],
        MAX: ["waits for", "still waits"],
    } == written(press)


def test_an_end_by_time_is_told_once(press: Press) -> None:
    """Whoever asked hears of the end once in the thread and once directly."""
    number = asking(press)
    press.turn(5)
    press.clock.turn(3600)
    press.decide(number, decisions.expire)
    press.turn(5)

    assert ["has expired:"] == written(press)[ANN]
    assert 1 == len([text for text in press.thread() if text.startswith(f"<@{ANN}> Expired:")])


def test_a_group_that_is_gone_is_not_waited_for(press: Press) -> None:
    """What Slack itself refuses to tell does not become known by asking again."""
    press.slack.faults.add("usergroups.users.list", error="no_such_subteam", times=9)
    asking(press)

    press.turn(5)

    assert {BOB: ["waits for"], LEA: ["waits for"]} == written(press)


def test_what_has_its_answer_is_looked_up_for_nobody(press: Press) -> None:
    """Slack is not asked who may approve what is answered by then."""
    number = asking(press)
    press.decide(number, withdraw())

    press.turn(10)

    assert [] == press.calls("usergroups.users.list")


def test_broken_glass_is_never_given_up(press: Press) -> None:
    """However long Slack is broken, each approver hears that it went on without them."""
    press.decide(asking(press), break_glass(on=ON))
    press.slack.faults.add("usergroups.users.list", error="internal_error", times=MOST_TRIES + 1)
    press.slack.faults.add("chat.postMessage", channel=BOB, status=500, times=MOST_TRIES + 1)

    press.turn(400)

    assert [True] * 3 == ["went on without you" in str(press.slack.dms(user)) for user in (BOB, LEA, MAX)]


def test_broken_glass_is_told_without_a_card(press: Press) -> None:
    """Where the card's channel cannot be posted in, the approvers hear of broken glass all the same, each once."""
    press.order(show(), CONFIRM, break_glass(on=ON), channel="C0GONE")

    press.turn(10)
    press.publisher = press.started(None)
    press.clock.turn(60)
    press.turn(70)

    assert [1] * 3 == [len(press.slack.dms(user)) for user in (BOB, LEA, MAX)]
    assert "#1 and went on without you" in press.slack.dms(MAX)[0].text


def test_broken_glass_is_told_once_a_card_follows(press: Press) -> None:
    """Who heard of it without a card does not hear of it again when the bot is let into the channel."""
    press.order(show(), CONFIRM, break_glass(on=ON), channel="C0GONE")
    press.turn(10)
    press.slack.add_channel("C0GONE", "gone", [ANN, BOB, LEA, MAX])

    press.turn(80)

    assert [1] * 3 == [len(press.slack.dms(user)) for user in (BOB, LEA, MAX)]
    (card,) = press.cards(channel="C0GONE")
    assert any("went on without you" in one.text for one in press.slack.thread("C0GONE", card.ts))


def test_broken_glass_is_told_of_an_account_without_channels(press: Press) -> None:
    """What has no channel for a card, as an order at a terminal may have none, is told to those passed over, too."""
    press.turn(1)
    opening = requested(reason="it bricks")
    made = press.ledger.order(replace(opening, body={**opening.body, "channel": None}))
    press.decide(made.id, show(), CONFIRM, break_glass(on=ON))

    press.turn(10)

    assert [1] * 3 == [len(press.slack.dms(user)) for user in (BOB, LEA, MAX)]


class Racing:
    """A ledger on which something is decided right after it was read for the first time."""

    def __init__(self, ledger: Ledger, then: Callable[[], None]) -> None:
        self._ledger = ledger
        self._then = iter([then])

    def __getattr__(self, name: str) -> Any:
        read = getattr(self._ledger, name)
        if name not in {"state", "story"}:
            return read

        def once(*given: Any, **named: Any) -> Any:
            found = read(*given, **named)
            next(self._then, lambda: None)()
            return found

        return once


def test_a_confirmation_between_two_looks_is_told(press: Press) -> None:
    """What is confirmed while it is read what there is to tell calls everybody, then or the next time."""
    number = press.order(show())
    press.turn(10)
    row = press.ledger.outbox.card(number)
    assert row is not None
    racing = cast(Ledger, Racing(press.ledger, lambda: press.decide(number, CONFIRM)))
    Directly(racing, press.client, press._directory, Pace(press.ledger.slots)).tell(row, failures=0)

    press.turn(10)

    assert {user: ["waits for"] for user in (BOB, LEA, MAX)} == written(press)
