"""Whatever ails Slack, on whichever call: nothing is lost, nothing else waits, and in the end everything is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from slack_sdk import WebClient

from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Call
from bot.slack.audit_views import AUDITED
from bot.slack.card import EARLIER
from bot.slack.links import ANEW, card_link
from bot.slack.publisher import IDLE
from bot.slack.tries import PATIENCE, RARELY
from tests.builders import ANN, BOB, FAILED, confirm, finish, record, send, show_preview, start, withdraw
from tests.domain.test_approval import LEA
from tests.slack.test_card_approval import show
from tests.slack.test_direct import CONFIRM
from tests.slack.test_publisher import AUDIT, OPS, RAN, SIDE, TURN, Press, calling, words_of
from tests.slack.test_threads import ended, told

ILLS: Final[dict[str, dict[str, Any]]] = {
    "429": {"retry_after": 3},
    "429 without a number": {"retry_after": "soon"},
    "429 as a 200": {"error": "ratelimited"},
    "500": {"status": 500, "error": "internal_error"},
    "502 page": {"status": 502, "page": True},
    "503": {"status": 503, "error": "service_unavailable"},
    "504 page, done": {"status": 504, "page": True, "after": True},
    "page in a 200": {"page": True},
    "dropped": {"drop": True},
    "dropped, done": {"drop": True, "after": True},
    "fatal_error, done": {"error": "fatal_error", "after": True},
    "invalid_blocks": {"error": "invalid_blocks"},
    "msg_too_long": {"error": "msg_too_long"},
    "channel_not_found": {"error": "channel_not_found"},
    "not_in_channel": {"error": "not_in_channel"},
    "is_archived": {"error": "is_archived"},
    "is_inactive": {"error": "is_inactive"},
    "edit_window_closed": {"error": "edit_window_closed"},
    "cant_update_message": {"error": "cant_update_message"},
    "invalid_auth": {"error": "invalid_auth"},
    "token_revoked": {"error": "token_revoked"},
    "a new word": {"error": "phase_of_the_moon"},
}
"""What Slack may answer to any call; `done`: the call has had its effect."""
LEFT_OUT: Final = frozenset(ILLS) - {
    "429", "429 without a number", "429 as a 200", "500", "502 page", "503", "504 page, done", "page in a 200",
    "dropped", "dropped, done", "fatal_error, done", "invalid_auth", "token_revoked",
}  # fmt: skip
"""With these Slack refuses a direct message: whom it does not let be written to is left out."""
STEP: Final = 2.0
"""Seconds between two rounds, where much time has to pass."""
MAX: Final = "U0MAX"


@pytest.fixture
def press(tmp_path: Path, slack: LocalSlack, client: WebClient) -> Iterator[Press]:
    """Give a channel for each call that is to be ill, and one that stays well."""
    slack.uploads.clear()
    slack.add_user(LEA, "lea")
    slack.add_user(MAX, "max")
    slack.add_group("S0LEADS", "leads", [ANN, LEA, MAX])
    for channel in ("C0POST", "C0EDIT", "C0END", "C0REPLY", "C0CALL", SIDE):
        slack.add_channel(channel, channel.lower(), [ANN, BOB, LEA, MAX])
    made = Press(tmp_path, slack, client)
    yield made
    made.close()


def pass_by(press: Press, seconds: float) -> None:
    """Let time pass in long steps."""
    for _ in range(round(seconds / STEP)):
        press.publisher._round()
        press.clock.turn(STEP)


def thread(press: Press, number: int, channel: str) -> list[str]:
    """Return the first two words of each reply under the latest card, what was said twice once."""
    said = press.slack.thread(channel, press.cards(number, channel)[-1].ts)
    return list(dict.fromkeys(" ".join(one.text.split()[:2]) for one in said))


def witnessed(press: Press) -> list[int]:
    """Return the events that the audit channel has a line of, each once, in its order."""
    return list(dict.fromkeys(int(line.split(" event ")[1].split()[0]) for line in press.lines()))


def audited(press: Press) -> list[int]:
    """Return the events that have a line."""
    return [event.id for event in press.ledger.events(after=0) if event.kind in AUDITED]


def by_place(press: Press) -> dict[tuple[str, str], list[Call]]:
    """Return the calls that write, by method and channel."""
    made: dict[tuple[str, str], list[Call]] = {}
    for call in press.slack.calls:
        if call.method.startswith(("chat.post", "chat.update", "files.")):
            made.setdefault((call.method, str(call.args.get("channel"))), []).append(call)
    return made


def word(press: Press, number: int, channel: str) -> str:
    """Return the state word of a cancellation's latest card."""
    return words_of(press.cards(number, channel)[-1])[-1]


def pressable(press: Press, number: int, channel: str) -> list[str]:
    """Return the buttons of a cancellation's latest card."""
    return [button.action_id for button in press.cards(number, channel)[-1].buttons]


def ail(press: Press, ill: str, *calls: tuple[str, str]) -> None:
    """Make calls ill, each a method and where it goes to, until all are healed."""
    for method, place in calls:
        press.slack.faults.add(method, channel=place, times=99, **ILLS[ill])


@pytest.mark.parametrize("ill", ILLS)
def test_nothing_is_lost(press: Press, ill: str) -> None:
    """A first post, an edit, the last edit, a reply, a direct message and a file: all ill at once, and all told."""
    edited = press.order(show_preview(), channel="C0EDIT")
    closed = press.order(show_preview(), channel="C0END")
    replied = press.order(show_preview(), channel="C0REPLY")
    pass_by(press, 8)
    ail(press, ill, ("chat.postMessage", "C0POST"), ("chat.update", "C0EDIT"), ("chat.update", "C0END"))
    ail(press, ill, ("chat.postMessage", "C0REPLY"), ("chat.postMessage", BOB), ("files.completeUploadExternal", OPS))
    posted = press.order(show_preview(), channel="C0POST")
    press.decide(edited, confirm(), start(calls=2))
    press.decide(closed, withdraw())
    press.decide(replied, confirm(), start(), send(), record(FAILED), finish())
    press.order(show(), CONFIRM, channel="C0CALL")
    filed = ended(press)
    well = press.order(show_preview(), channel=SIDE)
    pass_by(press, 12)
    press.decide(well, withdraw())
    pass_by(press, 14)

    # Slack's limit of edits is the whole workspace's: then nobody's card is edited before its time is over.
    assert ("Waiting for confirmation" if "429" in ill else "Withdrawn") == word(press, well, SIDE)
    assert audited(press) == witnessed(press)
    assert {LEA: 1, MAX: 1} == {user: len(press.slack.dms(user)) for user in (LEA, MAX)}
    assert all(len(calls) < 20 for calls in by_place(press).values())

    press.slack.faults.heal()
    pass_by(press, 76)

    cards = ((posted, "C0POST"), (edited, "C0EDIT"), (closed, "C0END"), (well, SIDE))
    assert ["Waiting for confirmation", "Running", "Withdrawn", "Withdrawn"] == [word(press, *card) for card in cards]
    wordy = ill in ("invalid_blocks", "msg_too_long")  # no blocks were taken, so there is nothing to press
    assert [[] if wordy else ["confirm", "withdraw"], [] if wordy else ["stop"], [], []] == [
        pressable(press, *card) for card in cards
    ]
    assert f"<@{ANN}> Failed:" == thread(press, replied, "C0REPLY")[-1]
    assert told(press, filed)[-1] in ("not-cancelled-6.csv", "14 devices")
    assert (ill in LEFT_OUT) == (press.slack.dms(BOB) == ())
    assert {LEA: 1, MAX: 1} == {user: len(press.slack.dms(user)) for user in (LEA, MAX)}
    assert [] == press.ledger.outbox.behind()


@pytest.mark.parametrize("ill", ILLS)
def test_the_witness_is_told_in_order(press: Press, ill: str) -> None:
    """An audit channel that is ill holds up no card; well again, it has a line of every decision, in order."""
    ail(press, ill, ("chat.postMessage", AUDIT))
    for _ in range(3):
        press.order(show_preview(), withdraw())
    pass_by(press, 16)
    shown = [word(press, number, OPS) for number in (1, 2, 3)]

    press.slack.faults.heal()
    pass_by(press, 70)

    assert ["Withdrawn"] * 3 == shown
    assert audited(press) == witnessed(press)


def test_a_line_that_is_refused_is_witnessed_all_the_same(press: Press) -> None:
    """Of a line that Slack does not take the event and its digest are told, and the others follow."""
    press.slack.faults.add("chat.postMessage", channel=AUDIT, error="msg_too_long")
    for _ in range(2):
        press.order(show_preview(), withdraw())
    press.turn(8)

    assert ["#1 withdrawn · Slack did not take the whole line", "#2 withdrawn · Ann Arbor (U0ANN)"] == [
        " · ".join(line.split(" · ")[:2]) for line in press.lines()
    ]
    assert audited(press) == witnessed(press)


# --- a card that Slack does not take ---------------------------------------------------------------------------------


def test_a_card_that_is_refused_comes_as_plain_text(press: Press) -> None:
    """What Slack minds in a card is left out: its state, who asked for what, and its buttons are there all the same."""
    press.slack.faults.add("chat.postMessage", error="invalid_blocks")
    number = press.order(show_preview())
    press.turn()

    (card,) = press.cards(number)
    assert "Waiting for confirmation: cancellation #1 of the queued and notified tasks of job J1 on prod" in card.text
    assert f"Asked for by <@{ANN}>." in card.text
    assert ["confirm", "withdraw"] == [button.action_id for button in card.buttons]
    assert ["1", "1"] == [button.value for button in card.buttons]
    assert 2 == len(press.calls("chat.postMessage"))


def test_buttons_that_are_refused_leave_the_words(press: Press) -> None:
    """Where even that is refused the state is told in words, with the command that ends a run."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.update", error="msg_too_long", times=2)
    press.decide(number, confirm(), start(calls=2))
    press.turn(8)

    (card,) = press.cards(number)
    assert ("Running", ()) == (words_of(card)[-1], card.buttons)
    assert "To end it, type `/ota-cancel stop 1`." in card.text


def test_a_run_whose_card_is_refused_is_not_drawn_in_vain_for_ever(press: Press) -> None:
    """While a run moves on, what Slack has refused once in a phase is not sent again; the next phase is tried whole."""
    number = press.order(show_preview(), confirm(), start(calls=30))
    press.turn()
    press.slack.faults.add("chat.update", error="invalid_blocks")
    for call in range(1, 21):
        calling(press, number, call, 1)
        press.turn(1)
    press.decide(number, finish())
    press.turn(4)

    assert ["invalid_blocks"] == [one.error for one in press.calls("chat.update") if one.error]
    assert "header" == press.cards(number)[0].blocks[0]["type"]


def test_a_card_that_nobody_may_edit_does_not_bury_the_channel(press: Press) -> None:
    """Where the workspace allows no edits each new state has a card, and the progress of a run has none."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.update", error="edit_window_closed", times=99)
    press.decide(number, confirm(), start(calls=30))
    for call in range(1, 21):
        calling(press, number, call, 1)
        press.turn(1)
    press.decide(number, finish())
    press.turn(6)

    assert ["Waiting for confirmation", "Running", "Partly done"] == [
        words_of(card)[-1] for card in press.cards(number)
    ]
    assert [False, True, True] == [EARLIER in str(card.blocks) for card in press.cards(number)]


def test_a_card_that_may_lie_twice_says_so_to_its_end(press: Press) -> None:
    """The later edits of a card keep the words that only this one counts."""
    press.slack.faults.add("chat.postMessage", drop=True, after=True)
    number = press.order(show_preview())
    press.turn(6)
    press.decide(number, withdraw())
    press.turn(6)

    assert EARLIER in str(press.cards(number)[-1].blocks)


def test_a_refused_file_is_told_in_slacks_word_alone(press: Press) -> None:
    """What a proxy sends in Slack's place is not shown to people."""
    press.slack.faults.add("files.completeUploadExternal", status=502, page=True, times=9)
    number = ended(press)
    press.turn(40)

    assert "I could not attach it: Slack answered HTTP 502." in press.thread(number)[-1]


# --- a card that is gone ---------------------------------------------------------------------------------------------


def test_a_deleted_card_is_posted_anew_by_looking_for_it(press: Press) -> None:
    """Nothing more happens to a cancellation whose card somebody deleted: `show` notices, says so and has a new one."""
    number = press.order(show_preview(), withdraw())
    press.turn()
    (card,) = press.cards(number)
    press.slack.edit(card, text="", blocks=(), deleted=True)
    said = card_link(press.ledger, press.client, number)
    press.turn(8)

    (anew,) = press.cards(number)
    assert (ANEW, "Withdrawn") == (said, word(press, number, OPS))
    assert EARLIER in str(anew.blocks)
    assert "|Go to its card>" in card_link(press.ledger, press.client, number)


def test_a_card_that_was_lost_before_a_restart_is_posted_anew(press: Press) -> None:
    """The next process finds that there is none."""
    number = press.order(show_preview(), withdraw())
    press.turn()
    press.slack.edit(press.cards(number)[0], text="", blocks=(), deleted=True)
    card_link(press.ledger, press.client, number)
    press.publisher = press.started()
    press.clock.turn(11)
    press.turn(4)

    assert "Withdrawn" == word(press, number, OPS)


def test_dead_buttons_vanish_after_a_restart(press: Press) -> None:
    """What ended while no process was there to show it is shown by the next one, without anything to press."""
    number = press.order(show_preview())
    press.turn()
    before = pressable(press, number, OPS)
    press.decide(number, withdraw())
    press.publisher = press.started()
    press.clock.turn(11)
    press.turn(2)

    assert ["confirm", "withdraw"] == before
    assert ("Withdrawn", []) == (word(press, number, OPS), pressable(press, number, OPS))


def test_a_thread_goes_on_under_a_new_card(press: Press) -> None:
    """A reply under a card that somebody deleted is told under the one that takes its place."""
    number = press.order(show_preview())
    press.turn()
    press.slack.faults.add("chat.postMessage", retry_after=3)
    press.decide(number, *RAN)
    press.turn(TURN)
    press.slack.edit(press.cards(number)[0], text="", blocks=(), deleted=True)
    press.turn(12)

    assert ["Confirmed by", f"<@{ANN}> Done:"] == thread(press, number, OPS)


# --- pace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [("3600", 120, 125), ("7", 7, 9), ("soon", 1, 3), ("-5", 1, 3), ("nan", 1, 3), ("inf", 1, 3), ("0", 1, 3)],
)
def test_retry_after_is_bounded(press: Press, said: str, least: float, most: float) -> None:
    """Slack is heeded for two minutes at most and asked again then; what is no number of seconds is one second."""
    press.slack.faults.add("chat.postMessage", channel=OPS, retry_after=said)
    began, number = press.clock(), press.order(show_preview())
    while not press.cards(number):
        press.turn(TURN)

    assert least <= (press.clock() - began).total_seconds() <= most


def test_a_file_that_is_held_back_holds_back_nothing_else(press: Press) -> None:
    """Too many files are no reason for a card to wait."""
    press.slack.faults.add("files.completeUploadExternal", retry_after=60)
    ended(press)
    press.turn(8)
    number = press.order(show_preview())
    press.turn(2)

    assert "Waiting for confirmation" == word(press, number, OPS)


def test_what_is_refused_for_an_hour_is_tried_now_and_then(press: Press) -> None:
    """A channel that never takes the bot in again costs a call every ten minutes; let in, it has the card."""
    press.slack.add_channel(SIDE, "side", [ANN], bot_member=False)
    number = press.order(show_preview(), withdraw(), channel=SIDE)
    for _ in range(2 * PATIENCE):
        pass_by(press, STEP)
        press.clock.turn(60)
    before = len(press.calls("chat.postMessage"))
    for _ in range(30):
        pass_by(press, STEP)
        press.clock.turn(58)
    tried = len(press.calls("chat.postMessage")) - before
    press.slack.add_channel(SIDE, "side", [ANN])
    press.clock.turn(RARELY)
    pass_by(press, STEP)

    assert 2 <= tried <= 4
    assert "Withdrawn" == word(press, number, SIDE)


def at_its_own_pace(press: Press, seconds: float, *, latency: float) -> None:
    """Let the publisher go round as its thread does: each call takes a while, and then it waits as long as it says."""
    until = press.clock().timestamp() + seconds
    while press.clock().timestamp() < until:
        before = len(press.slack.calls)
        press.publisher._round()
        press.clock.turn((len(press.slack.calls) - before) * latency)
        waits = (IDLE, press.publisher._pace.soonest(), press.publisher._tries.soonest())
        press.clock.turn(max(0.01, min(waits)))


@pytest.mark.parametrize("latency", [0.05, 0.3])
def test_a_channel_that_stays_ill_starves_no_other(press: Press, latency: float) -> None:
    """Cards that Slack does not let be edited take few of the edits: one that is well shows its change at once."""
    ill = [press.order(show_preview(), channel="C0EDIT") for _ in range(2)]
    well = press.order(show_preview(), channel=OPS)
    at_its_own_pace(press, 10, latency=latency)
    press.slack.faults.add("chat.update", channel="C0EDIT", error="is_archived", times=999)
    for number in ill:
        press.decide(number, withdraw())
    at_its_own_pace(press, 3, latency=latency)

    press.decide(well, withdraw())
    at_its_own_pace(press, 8, latency=latency)

    assert "Withdrawn" == word(press, well, OPS)
    at_its_own_pace(press, 60, latency=latency)
    assert 20 > len(press.calls("chat.update"))


@pytest.mark.parametrize("said", ["thread_not_found", "cannot_reply_to_message"])
def test_a_thread_that_takes_nothing_makes_no_flood_of_cards(press: Press, said: str) -> None:
    """Where Slack takes no reply though the card is there, few new cards come of it."""
    number = press.order(show_preview(), channel="C0REPLY")
    at_its_own_pace(press, 5, latency=0.1)
    before = len(press.cards(number, "C0REPLY"))
    press.slack.faults.add("chat.postMessage", channel="C0REPLY/thread", error=said, times=999)
    press.decide(number, confirm(), start(calls=1), send(), record(FAILED), finish())
    at_its_own_pace(press, 120, latency=0.1)

    assert 6 >= len(press.cards(number, "C0REPLY")) - before
