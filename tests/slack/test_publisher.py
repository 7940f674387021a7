"""The publisher keeps Slack equal to the ledger, whatever Slack does meanwhile; its rounds are turned by hand."""

import re
import threading
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import pytest
from slack_sdk import WebClient

from bot.domain.call import Answer
from bot.domain.cancellation import State
from bot.domain.decisions import Decision
from bot.domain.events import Kind, NewEvent
from bot.domain.secret import Secret
from bot.ledger.ledger import Ledger
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Call, Message
from bot.slack.answers import Answers
from bot.slack.app import web_client
from bot.slack.people import SlackDirectory
from bot.slack.publisher import Publisher
from bot.slack.threads import MOST_FAILURES
from bot.slack.turns import LEAST_REST
from tests.builders import (
    ANN,
    BOB,
    COUNTS,
    DONE,
    FAILED,
    STRICT,
    Clock,
    confirm,
    finish,
    record,
    reject,
    requested,
    send,
    show_preview,
    start,
    stop,
    verify,
    void,
    withdraw,
)

OPS, SIDE, AUDIT = "C0OPS", "C0SIDE", "C0AUDIT"
RAN: Final[tuple[Decision, ...]] = (confirm(), start(), send(), record(), verify(), finish())
END: Final = (
    f"<@{ANN}> Done: the queued and notified tasks of job J1 on prod (#1)."
    " asked 52 · accepted 52 · confirmed 52 · left 0."
)
TOLD: Final = ["Confirmed by Ann Arbor. Started: asked 52, 1 call."]
"""The reply that tells how a run came to be; it mentions nobody."""
NOTE: Final = "An earlier card of this may lie above"
TURN: Final = 0.5
"""Seconds between two rounds."""


class Press:
    """A ledger and its publisher in front of a local Slack; time passes only when it is told to."""

    def __init__(
        self,
        folder: Path,
        slack: LocalSlack,
        client: WebClient,
        *,
        clock: Clock | None = None,
        audit_channel: str | None = AUDIT,
    ) -> None:
        self.refreshed = list[str]()
        """The owner of each round in which Home tabs were looked after."""
        self.slack = slack
        self.clock = clock or Clock()
        self.ledger = Ledger.open(folder / "ledger.db", now=self.clock)
        self.answers = Answers(client, timer=lambda: self.clock().timestamp(), sleep=lambda _seconds: None)
        self.client = client
        self._directory = SlackDirectory(client, now=self.clock, timer=lambda: self.clock().timestamp())
        self._directory.identify(team="T0LOCAL", enterprise=None)
        self._owners = count(1)
        self.publisher = self.started(audit_channel)

    def started(self, audit_channel: str | None = AUDIT) -> Publisher:
        """Start a publisher of a process of its own, whose thread does nothing: the test makes its rounds."""
        owner = f"process-{next(self._owners)}"
        made = Publisher(
            self.ledger,
            self.client,
            self._directory,
            self.answers,
            audit_channel=audit_channel,
            owner=owner,
            now=self.clock,
            refresh=lambda: self.refreshed.append(owner),
        )
        made._thread = threading.Thread(target=lambda: None)
        made.start()
        made._thread.join()
        return made

    def close(self) -> None:
        """Close the ledger and the directory."""
        self._directory.close()
        self.ledger.close()

    def order(self, *made: Decision, channel: str = OPS, reason: str | None = "it bricks") -> int:
        """Order, and make the decisions that follow; a card comes with the first of them."""
        event = requested(reason=reason)
        number = self.ledger.order(
            NewEvent(kind=event.kind, actor=event.actor, body={**event.body, "channel": channel})
        )
        self.decide(number.id, *made)
        return number.id

    def decide(self, number: int, *made: Decision) -> None:
        """Make decisions on a cancellation; none may be refused."""
        for decision in made:
            assert isinstance(self.ledger.decide(number, decision), State)

    def turn(self, seconds: float = 4.0) -> None:
        """Let time pass, round after round."""
        for _ in range(round(seconds / TURN)):
            self.publisher._round()
            self.clock.turn(TURN)

    def cards(self, number: int = 1, channel: str = OPS) -> list[Message]:
        """Return the cards of a cancellation."""
        return [one for one in self.slack.messages(channel) if f"cancellation #{number} of" in one.text]

    def thread(self, number: int = 1) -> list[str]:
        """Return what the thread of the latest card says."""
        return [one.text for one in self.slack.thread(OPS, self.cards(number)[-1].ts)]

    def calls(self, method: str) -> list[Call]:
        """Return the calls of a method, those that failed, too."""
        return [call for call in self.slack.calls if call.method == method]

    def lines(self) -> list[str]:
        """Return what the audit channel says."""
        return [message.text for message in self.slack.messages(AUDIT)]


@pytest.fixture
def press(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Press]:
    slack.add_channel(SIDE, "side", [ANN, BOB])
    made = Press(tmp_path, slack, client)
    yield made
    made.close()


def words_of(message: Message) -> list[str]:
    """Return the state words that a card has had, in order."""
    return [version.text.split(":")[0] for version in message.versions]


# --- one card --------------------------------------------------------------------------------------------------------


def test_there_is_one_card_and_it_is_edited(press: Press) -> None:
    """From its first state to its last a cancellation is one message that changes, with the figures at the end."""
    number = press.order(show_preview())
    press.turn()
    for decision in RAN:
        press.decide(number, decision)
        press.turn()

    (card,) = press.cards()
    assert "Waiting for confirmation" == words_of(card)[0]
    assert "Done" == words_of(card)[-1]
    assert ["Waiting for confirmation", "Approved", "Running", "Done"] == list(dict.fromkeys(words_of(card)))
    assert "asked 52, accepted 52, confirmed 52" in card.text
    assert 1 == len(
        [
            call
            for call in press.calls("chat.postMessage")
            if "thread_ts" not in call.args and call.args["channel"] == OPS
        ]
    )


def test_an_order_without_a_plan_has_no_card(press: Press) -> None:
    """Before the preview, and for what is refused or void before it, nothing is posted."""
    press.order()
    press.order(void())
    press.turn()

    assert () == press.slack.messages(OPS)


def test_states_between_two_edits_are_skipped(press: Press) -> None:
    """What happened while nobody could look is not replayed: the card goes from the first to the last state at once."""
    number = press.order(show_preview())
    press.turn()
    press.decide(number, *RAN)
    press.turn()

    assert ["Waiting for confirmation", "Done"] == words_of(press.cards()[0])


def test_an_edit_rings_nobody(press: Press) -> None:
    """The card and the reply at the end ring the requester; none of the edits between rings anybody."""
    number = press.order(show_preview())
    press.turn()
    for decision in RAN:
        press.decide(number, decision)
        press.turn()

    rings = [(ring.user, ring.message.thread_ts is None) for ring in press.slack.rings]
    assert [(ANN, True), (ANN, False)] == rings


def test_many_cards_keep_to_slacks_pace(tmp_path: Path) -> None:
    """Posting and editing several cards at once, Slack never has to say that it is too fast."""
    clock = Clock()
    with LocalSlack(enforce_rates=True, now=lambda: clock().timestamp()) as slack:
        slack.add_user(ANN, "ann")
        for channel in (OPS, SIDE, AUDIT):
            slack.add_channel(channel, channel.lower(), [ANN])
        press = Press(tmp_path, slack, web_client(Secret(slack.bot_token), slack.api_url), clock=clock)
        for channel in (OPS, SIDE):
            for _ in range(4):
                number = press.order(show_preview(), channel=channel)
                press.turn(1)
                press.decide(number, *RAN)
        press.turn(60)

        assert {None} == {call.error for call in slack.calls}
        assert [["Done"]] * 8 == [
            words_of(card)[-1:]
            for number in range(1, 9)
            for card in press.cards(number, OPS) + press.cards(number, SIDE)
        ]
        press.close()


def test_home_tabs_are_looked_after_by_one(press: Press) -> None:
    """Whoever holds the lease looks after Home tabs in each round; nobody else does."""
    first, second = press.publisher, press.started()
    for publisher in (first, second, first):
        publisher._round()

    assert ["process-1", "process-1"] == press.refreshed


# --- more than Slack takes -------------------------------------------------------------------------------------------


def calling(press: Press, number: int, first: int, calls: int, answer: Answer = DONE) -> None:
    """Let calls of a run go out and be answered."""
    for call in range(first, first + calls):
        press.decide(number, send(call, count=1), record(answer, call))


def test_a_run_does_not_hold_up_other_cards(press: Press) -> None:
    """While long runs move on and on, every new card and every change of another card is shown at once."""
    long = [press.order(show_preview(), confirm(), start(calls=1000)) for _ in range(3)]
    calls, seen = count(1), []

    def run(seconds: float) -> None:
        for call in islice(calls, round(seconds / TURN)):
            for running in long:
                calling(press, running, call, 1)
            press.turn(TURN)

    run(8)
    for _ in range(8):
        number = press.order(show_preview())
        run(2)
        press.decide(number, withdraw())
        run(2)
        seen.append(words_of(press.cards(number)[0]))

    assert [["Waiting for confirmation", "Withdrawn"]] * 8 == seen


def test_progress_is_shown_now_and_then(press: Press) -> None:
    """Of a run that moves twice a second the card is edited every few seconds; the last state comes at once."""
    number = press.order(show_preview(), confirm(), start(calls=100))
    press.turn()
    before = len(press.calls("chat.update"))
    for call in range(1, 61):
        calling(press, number, call, 1)
        press.turn(TURN)
    edits = len(press.calls("chat.update")) - before
    press.decide(number, stop(ANN), finish())
    press.turn(2)

    assert 8 <= edits <= 30 / LEAST_REST + 1
    assert "Stopped" == words_of(press.cards()[0])[-1]


def test_the_last_progress_is_shown(press: Press) -> None:
    """When a run stands still for a while its card shows all that it has done."""
    number = press.order(show_preview(), confirm(), start(calls=9))
    press.turn()
    for call in range(1, 8):
        calling(press, number, call, 1)
        press.turn(TURN)
    press.turn(LEAST_REST + 2)

    assert "Calls taken: 7 of 9." in str(press.cards()[0].blocks)


def test_a_press_of_strangers_edits_nothing(press: Press) -> None:
    """Refused presses use up none of Slack's edits, also after a restart."""
    number = press.order(show_preview())
    press.turn()
    refused = NewEvent(kind=Kind.REFUSED, actor=BOB, body={"v": 1, "what": "confirm", "reason": "no"})
    press.decide(number, lambda _state, _now: (refused,))
    press.turn()
    press.clock.turn(11)
    press.publisher = press.started()
    press.turn()

    assert [] == press.calls("chat.update")


def test_a_batch_that_fails_is_told_in_a_few_replies(press: Press) -> None:
    """Of hundreds of calls that fail the first few have a reply each, one says that there are more; then the end."""
    number = press.order(show_preview(), confirm(), start(calls=300))
    calling(press, number, 1, 200, FAILED)
    press.turn(3)
    press.publisher = press.started()
    press.clock.turn(11)
    calling(press, number, 201, 100, FAILED)
    press.decide(number, finish())
    press.turn(20)

    thread = press.thread()
    assert [f"Call {n}, attempt 1: failed." for n in range(1, MOST_FAILURES + 1)] == [
        " ".join(text.split()[:5]) for text in thread[1:-2]
    ]
    assert "Confirmed by Ann Arbor. Started: asked 52, 300 calls." == thread[0]
    assert "More attempts failed; from here on they are not told one by one. The ledger has each." == thread[-2]
    assert thread[-1].startswith(f"<@{ANN}> Failed:")


def test_new_cards_come_before_replies(press: Press) -> None:
    """However many replies wait, a new card takes the channel's next place; then each thread gets its own."""
    failing = [press.order(show_preview(), confirm(), start(calls=9)) for _ in range(3)]
    press.turn(6)
    for number in failing:
        calling(press, number, 1, 9, FAILED)
    press.turn(3)
    others = [press.order(show_preview()) for _ in range(4)]
    press.turn(5)
    posted = [len(press.cards(number)) for number in others]
    press.turn(26)

    assert [1] * 4 == posted
    assert [len(TOLD) + MOST_FAILURES + 1] * 3 == [len(press.thread(number)) for number in failing]


def test_a_thread_that_fails_holds_up_no_card(press: Press) -> None:
    """While replies cannot be posted the card goes on to its end."""
    number = press.order(show_preview(), confirm(), start())
    press.turn()
    press.slack.faults.add("chat.postMessage", status=500, times=5)
    press.decide(number, send(), record(FAILED))
    press.turn(12)
    press.decide(number, finish())
    press.turn(2)

    assert "Failed" == words_of(press.cards()[0])[-1]
    assert TOLD == press.thread()


# --- Slack fails -----------------------------------------------------------------------------------------------------


def test_too_many_posts_wait_as_long_as_slack_says(press: Press) -> None:
    """After a 429 nothing is posted in the channel before its Retry-After is over; then the card comes, once."""
    press.slack.faults.add("chat.postMessage", retry_after=7)
    press.order(show_preview())

    press.turn(7)
    early = len(press.calls("chat.postMessage"))
    press.turn(2)

    assert 1 == early
    assert 2 == len(press.calls("chat.postMessage"))
    (card,) = press.cards()
    assert NOTE not in str(card.blocks)


def test_too_many_edits_wait_as_long_as_slack_says(press: Press) -> None:
    """After a 429 no card is edited before its Retry-After is over; then the latest state is shown."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.update", retry_after=9)
    press.decide(number, withdraw())

    press.turn(9)
    early = len(press.calls("chat.update"))
    press.turn(2)

    assert 1 == early
    assert 2 == len(press.calls("chat.update"))
    assert ["Waiting for confirmation", "Withdrawn"] == words_of(press.cards()[0])


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}, {"error": "internal_error"}, {"status": 503}])
def test_an_edit_is_tried_until_it_lands(press: Press, fault: dict[str, Any]) -> None:
    """A last state whose edit fails again and again is shown in the end, and the tries come at growing pauses."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.update", **fault, times=4)
    press.decide(number, withdraw())

    press.turn(40)

    assert ["Waiting for confirmation", "Withdrawn"] == words_of(press.cards()[0])
    assert 5 == len(press.calls("chat.update"))


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}, {"error": "internal_error"}])
def test_a_first_post_is_tried_until_it_lands(press: Press, fault: dict[str, Any]) -> None:
    """A card whose post fails again and again comes in the end, once."""
    press.slack.faults.add("chat.postMessage", **fault, times=3)
    press.order(show_preview())

    press.turn(20)

    assert 1 == len(press.cards())


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 500}, {"status": 502}, {"error": "fatal_error"}])
def test_a_post_of_which_nothing_was_heard_may_lie_above(press: Press, fault: dict[str, Any]) -> None:
    """When Slack took the card and its answer was lost, the next card says so, and is the one that is edited."""
    press.slack.faults.add("chat.postMessage", **fault, after=True)
    number = press.order(show_preview())
    press.turn(6)
    press.decide(number, withdraw())
    press.turn(6)

    first, second = press.cards()
    assert [["Waiting for confirmation"], ["Waiting for confirmation", "Withdrawn"]] == [
        words_of(first),
        words_of(second),
    ]
    assert NOTE in str(second.versions[0].blocks)
    assert NOTE not in str(first.blocks)


def test_a_process_that_died_with_its_post_out_is_remembered(press: Press) -> None:
    """The attempt is recorded before the post: the next process's card says that an earlier one may lie above."""
    number = press.order(show_preview())
    state = press.ledger.state(number)
    assert state is not None
    seen: list[int] = []
    post = press.client.chat_postMessage

    def dying(**more: Any) -> None:
        row = press.ledger.outbox.card(number)
        seen.append(row.attempted if row else 0)
        post(**more)
        raise KeyboardInterrupt  # the process ends here

    press.client.chat_postMessage = dying  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        press.publisher._round()
    press.client.chat_postMessage = post  # type: ignore[method-assign]
    press.clock.turn(11)
    press.publisher = press.started()
    press.turn()

    assert [1] == seen
    assert [False, True] == [NOTE in str(card.blocks) for card in press.cards()]


def test_a_deleted_card_is_posted_anew(press: Press) -> None:
    """Somebody deleted the card: the next state comes on a new one, and its thread goes on below that."""
    number = press.order(show_preview())
    press.turn()
    (card,) = press.cards()
    press.slack.edit(card, text="", blocks=(), deleted=True)

    press.decide(number, *RAN)
    press.turn(8)

    (anew,) = press.cards()
    assert card.ts != anew.ts
    assert ["Done"] == words_of(anew)
    assert [*TOLD, END] == press.thread()


@pytest.mark.parametrize("private", [False, True], ids=["not_in_channel", "channel_not_found"])
def test_a_channel_without_the_bot_is_told_to_the_requester(press: Press, *, private: bool) -> None:
    """Where the bot cannot post, the requester is told once why; when it has been invited, the card comes."""
    press.slack.add_channel(SIDE, "side", [ANN], bot_member=False, is_private=private)
    number = press.order(channel=SIDE)
    token = press.slack.new_hook(SIDE, ANN, None)
    press.answers.remember(number, f"{press.slack.url}/response/{token}")
    press.decide(number, show_preview())

    press.turn(30)
    told = [message.text for message in press.slack.ephemerals(ANN)]
    press.slack.add_channel(SIDE, "side", [ANN], is_private=private)
    press.turn(90)

    (sentence,) = told
    assert sentence.startswith("#1: I cannot post in this channel (")
    assert "Nothing was cancelled. Invite me to the channel" in sentence
    assert 1 == len(press.cards(channel=SIDE))
    assert 1 == len(press.slack.ephemerals(ANN))


def test_what_cannot_be_posted_holds_up_nothing_else(press: Press) -> None:
    """One cancellation in a channel without the bot, and an audit channel without it: the other cards go on."""
    press.slack.add_channel(SIDE, "side", [ANN], bot_member=False)
    press.slack.add_channel(AUDIT, "audit", [ANN], bot_member=False)
    press.order(show_preview(), channel=SIDE)
    others = [press.order(show_preview(), withdraw()) for _ in range(3)]

    press.turn(12)

    assert [["Withdrawn"]] * 3 == [words_of(press.cards(number)[0]) for number in others]


# --- the thread ------------------------------------------------------------------------------------------------------


def test_the_end_is_told_once(press: Press) -> None:
    """The end is one reply that rings the requester, however many rounds follow."""
    press.order(show_preview(), *RAN)
    press.turn(30)

    assert [*TOLD, END] == press.thread()


@pytest.mark.parametrize(
    ("made", "result", "loud"),
    [
        ((confirm(), start(), send(), record(FAILED), finish()), "Failed", True),
        ((confirm(), start(calls=2), send(), record(), finish()), "Partly done", True),
        (RAN, "Done", False),
        ((confirm(), start(), stop(ANN), finish()), "Stopped", False),
    ],
    ids=["Failed", "Partly done", "Done", "Stopped"],
)
def test_what_went_wrong_is_shown_in_the_channel(
    press: Press, made: tuple[Decision, ...], result: str, *, loud: bool
) -> None:
    """Failed and Partly done are broadcast to the channel; Done and Stopped stay in the thread."""
    press.order(show_preview(), *made)
    press.turn(12)

    (card,) = press.cards()
    end = press.slack.thread(OPS, card.ts)[-1]
    assert end.text.startswith(f"<@{ANN}> {result}: the queued")
    assert loud == end.broadcast == (end in press.slack.messages(OPS))


def test_replies_mention_exactly_the_requester(press: Press) -> None:
    """Of all replies only those that concern the requester mention somebody, and then the requester alone."""
    press.order(show_preview(), confirm(), start(), send(), record(FAILED), finish())
    press.turn(12)

    mentioned = [re.findall(r"<@(\w+)>", reply) for reply in press.thread()]
    assert [[], [], [ANN]] == mentioned
    assert {ANN} == {ring.user for ring in press.slack.rings}


def test_a_failed_reply_is_tried_again(press: Press) -> None:
    """A reply that Slack did not take comes later, after the card is right already, and once."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.postMessage", status=500, times=2)
    press.decide(number, *RAN)
    press.turn(20)

    assert ["Waiting for confirmation", "Done"] == words_of(press.cards()[0])
    assert [*TOLD, END] == press.thread()


def test_a_later_look_is_told_when_it_saw_something_else(press: Press) -> None:
    """After the end, a look that finds other figures is told once in the thread, and one that does not is not."""
    number = press.order(show_preview(), *RAN)
    press.turn(12)
    press.decide(number, verify())
    press.turn(6)
    press.decide(number, verify(COUNTS, canceled=43))
    press.turn(6)

    again = "Looked at the cloud again: confirmed 40, where it was 52; left 52, where it was 0."
    assert [*TOLD, END, again] == press.thread()


def test_who_decided_is_named_and_not_rung(press: Press) -> None:
    """A rejection names who it was to whoever asked; nobody else's phone rings for it."""
    number = press.order(show_preview(approval=STRICT), confirm(approval=STRICT), reject())
    press.turn(8)

    end = f"<@{ANN}> #{number} is rejected by bob: not tonight."
    assert press.thread()[-1].startswith(end)
    assert "Confirmed by Ann Arbor, which needs a second person's approval." == press.thread()[0]


# --- the audit channel -----------------------------------------------------------------------------------------------


def test_audit_lines_come_in_order(press: Press) -> None:
    """Each decision and each end has its line, in the ledger's order, with the event's id and digits of its digest."""
    press.order(show_preview(), *RAN)
    press.order(show_preview(), withdraw())
    press.turn(12)

    told_of = [
        event for event in press.ledger.events(after=0) if event.kind in (Kind.CONFIRMED, Kind.FINISHED, Kind.WITHDRAWN)
    ]
    assert [f" · event {event.id} {event.digest[:12]}" for event in told_of] == [
        line[line.index(" · event ") :] for line in press.lines()
    ]
    assert "Ann Arbor (U0ANN)" in press.lines()[0]


def test_a_checkpoint_has_its_whole_digest(press: Press) -> None:
    """The daily line says how many events there were, and ends with all 64 digits."""
    press.order(show_preview(), withdraw())
    press.clock.turn(24 * 3600)
    stored = press.ledger.checkpoint()
    press.turn(6)

    assert stored is not None
    assert f"checkpoint after 3 events · bot · event 4 {stored.digest}" == press.lines()[-1]


def test_audit_lines_mention_nobody(press: Press) -> None:
    """No line rings anybody, whatever was typed as a reason."""
    press.order(show_preview(), *RAN, reason="<!channel> <@U0BOB> <https://evil|good>")
    press.turn(12)

    assert 2 == len(press.lines())
    assert [] == [line for line in press.lines() if re.search("[<>]", line)]
    assert [] == [ring for ring in press.slack.rings if ring.message.channel == AUDIT]


def test_an_audit_channel_that_fails_is_caught_up(press: Press) -> None:
    """While the channel cannot be written nothing is lost: the lines come later, in order, each once."""
    press.slack.add_channel(AUDIT, "audit", [ANN], bot_member=False)
    for _ in range(3):
        press.order(show_preview(), withdraw())
    press.turn(10)
    before = press.lines()
    press.slack.add_channel(AUDIT, "audit", [ANN])
    press.slack.faults.add("chat.postMessage", retry_after=2)
    press.turn(90)

    assert [] == before
    assert ["#1 withdrawn", "#2 withdrawn", "#3 withdrawn"] == [line.split(" · ")[0] for line in press.lines()]


def earlier(folder: Path) -> None:
    """Decide something in a ledger before any bot has run on it, as the terminal does."""
    ledger = Ledger.open(folder / "ledger.db", now=Clock())
    number = ledger.order(requested())
    for decision in (show_preview(), withdraw()):
        ledger.decide(number.id, decision)
    ledger.close()


def test_what_was_decided_before_the_first_start_is_told(tmp_path: Path, slack: LocalSlack, client: WebClient) -> None:
    """What was cancelled from a terminal before any bot ran has its line when the first one starts, and has it once."""
    earlier(tmp_path)

    press = Press(tmp_path, slack, client)
    press.order(show_preview(), withdraw())
    press.turn(6)
    press.publisher = press.started()
    press.turn(6)

    assert ["#1 withdrawn", "#2 withdrawn"] == [line.split(" · ")[0] for line in press.lines()]
    press.close()


@pytest.mark.parametrize("before", [None, SIDE], ids=["without one", "with another one"])
def test_a_channel_that_is_named_later_is_told_from_then_on(
    tmp_path: Path, slack: LocalSlack, client: WebClient, before: str | None
) -> None:
    """Where a bot has run before, an old ledger is not poured into a new audit channel."""
    earlier(tmp_path)
    press = Press(tmp_path, slack, client, audit_channel=before)

    press.publisher = press.started()
    press.order(show_preview(), withdraw())
    press.clock.turn(11)
    press.turn(6)

    assert ["#2 withdrawn"] == [line.split(" · ")[0] for line in press.lines()]
    press.close()


# --- processes -------------------------------------------------------------------------------------------------------


def test_a_restart_goes_on_where_it_was(press: Press) -> None:
    """The next process repeats no card, no reply and no line, and tells what came meanwhile."""
    number = press.order(show_preview())
    press.order(show_preview(), withdraw())
    press.turn(6)
    press.decide(number, *RAN)
    press.clock.turn(11)
    press.publisher = press.started()
    press.turn(12)

    assert [1, 1] == [len(press.cards(one)) for one in (1, 2)]
    assert [[*TOLD, END], ["Withdrawn by Ann Arbor. Nothing was cancelled."]] == [press.thread(1), press.thread(2)]
    assert ["#2 withdrawn", "#1 confirmed", "#1 done"] == [
        re.sub(r"( plan|:| ·).*", "", line) for line in press.lines()
    ]


def test_only_one_of_two_writes(press: Press) -> None:
    """While one process publishes another one stays silent; when its lease has lapsed, the other goes on."""
    other = press.started()
    number = press.order(show_preview())
    press.turn(2)
    press.decide(number, withdraw())
    other._round()
    silent = words_of(press.cards()[0])

    press.clock.turn(11)
    other._round()

    assert ["Waiting for confirmation"] == silent
    assert ["Waiting for confirmation", "Withdrawn"] == words_of(press.cards()[0])


def test_its_thread_wakes_for_each_decision(tmp_path: Path, slack: LocalSlack, client: WebClient) -> None:
    """Running by itself, it shows a decision at once and leaves when it is asked to."""
    press = Press(tmp_path, slack, client)
    running = Publisher(
        press.ledger,
        client,
        press._directory,
        press.answers,
        audit_channel=None,
        owner="itself",
        now=press.clock,
    )
    running.start()

    press.order(show_preview())
    slack.wait_for(press.cards)

    running.stop()
    assert not running._thread.is_alive()
    press.close()
