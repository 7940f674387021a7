"""The card in every phase: what it says, what it offers, and that nothing in it gets loose."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slackblocks import _limits

from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase, State
from bot.domain.decisions import Decision
from bot.domain.events import Event, Kind
from bot.domain.guard import guard
from bot.domain.order import CancelJob
from bot.domain.plan import freeze
from bot.domain.status import Status
from bot.domain.story import told as story_told
from bot.domain.witness import DIGITS
from bot.playground.slack.block_kit import problems
from bot.slack.audit_views import audit_line
from bot.slack.card import card
from bot.slack.lists import line, listing, story, waits
from bot.slack.message import TEXT, Message, said
from bot.slack.views import looked_again, reply
from tests.builders import (
    ACCOUNT,
    ANN,
    APPROVED,
    BOB,
    COUNTS,
    DONE,
    FAILED,
    RUNNING,
    STRICT,
    UNKNOWN,
    WAITING,
    Life,
    account,
    approve,
    blind,
    break_glass,
    by_bot,
    confirm,
    finish,
    life_in,
    preview,
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

REASON: Final = "1.4.2 bricks pumps"
CARDED: Final = tuple(phase for phase in Phase if phase not in (Phase.CHECKING, Phase.REFUSED))
BUTTONS: Final = {
    Phase.WAITING_CONFIRMATION: {"confirm", "withdraw"},
    Phase.WAITING_APPROVAL: {"approve", "reject", "break_glass", "withdraw"},
    Phase.APPROVED: {"stop"},
    Phase.RUNNING: {"stop"},
    Phase.DONE: set[str](),
    Phase.PARTLY_DONE: {"retry"},
    Phase.FAILED: {"retry"},
    Phase.STOPPED: {"retry"},
    Phase.REJECTED: set[str](),
    Phase.WITHDRAWN: set[str](),
    Phase.EXPIRED: {"retry"},
    Phase.VOIDED: {"retry"},
}
"""The buttons a card may have in each phase (contract: "What people see in Slack")."""
ASKING: Final = {Phase.WAITING_CONFIRMATION, Phase.APPROVED, Phase.RUNNING}
"""The phases whose buttons are all there already."""
LIVE: Final = re.compile(r"<[^<>]*>")
ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt);)")
TIME: Final = re.compile(r"<!date\^\d+\^(?:\{date_short_pretty\} )?\{time\}\|(?:[\d-]{10} )?\d\d:\d\d UTC>")


def state_in(phase: Phase) -> State:
    """Return a cancellation with a reason and a card, come to `phase`."""
    if phase is Phase.VOIDED:
        return reasoned(Life(opening=requested(reason=REASON)).after(*WAITING, void()).state)
    return reasoned(life_in(phase).state)


def reasoned(state: State, reason: str = REASON) -> State:
    return replace(state, order=replace(state.order, reason=reason))


def strings(node: Any) -> Iterator[str]:
    """Yield every text that a person may read in blocks, buttons and dialogs included."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("type", "action_id", "block_id", "style", "value"):
                yield from strings(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def mrkdwn(node: Any) -> Iterator[str]:
    """Yield every text that Slack reads for mentions and links."""
    if isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            yield node["text"]
        else:
            for value in node.values():
                yield from mrkdwn(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from mrkdwn(value)


def written(message: Message) -> str:
    """Return everything that is to be read on a message, its text last."""
    return "\n".join([*strings(message.blocks), message.text])


def buttons(message: Message) -> list[dict[str, Any]]:
    return [element for block in message.blocks if block["type"] == "actions" for element in block["elements"]]


def over_limits(message: Message) -> list[str]:
    """Say what is longer or more than another library's table of Slack's limits allows."""
    measured = [("blocks", len(message.blocks), _limits.MESSAGE_BLOCKS_MAX_ITEMS)]
    for block in message.blocks:
        kind = block["type"]
        if kind == "header":
            measured.append(("header", len(block["text"]["text"]), _limits.HEADER_TEXT_MAX_LENGTH))
        elif kind == "section" and "fields" in block:
            measured.append(("fields", len(block["fields"]), _limits.SECTION_FIELDS_MAX_ITEMS))
            longest = max(len(field["text"]) for field in block["fields"])
            measured.append(("field", longest, _limits.SECTION_FIELDS_ITEM_MAX_LENGTH))
        elif kind == "section":
            measured.append(("section", len(block["text"]["text"]), _limits.SECTION_TEXT_MAX_LENGTH))
        elif kind == "context":
            measured.append(("context", len(block["elements"]), _limits.CONTEXT_ELEMENTS_MAX_ITEMS))
            measured += [("note", len(part["text"]), _limits.TEXT_MAX_LENGTH) for part in block["elements"]]
        else:
            measured.append(("actions", len(block["elements"]), _limits.ACTIONS_ELEMENTS_MAX_ITEMS))
            measured.append(("block_id", len(block["block_id"]), _limits.BLOCK_ID_MAX_LENGTH))
    for button in buttons(message):
        measured.append(("button", len(button["text"]["text"]), _limits.BUTTON_TEXT_MAX_LENGTH))
        measured.append(("value", len(button["value"]), _limits.BUTTON_VALUE_MAX_LENGTH))
        label = len(button["accessibility_label"])
        measured.append(("label", label, _limits.BUTTON_ACCESSIBILITY_LABEL_MAX_LENGTH))
        dialog = button.get("confirm")
        if dialog:
            measured.append(("dialog title", len(dialog["title"]["text"]), _limits.CONFIRMATION_TITLE_MAX_LENGTH))
            measured.append(("dialog text", len(dialog["text"]["text"]), _limits.CONFIRMATION_TEXT_MAX_LENGTH))
            measured.append(("dialog yes", len(dialog["confirm"]["text"]), _limits.CONFIRMATION_CONFIRM_MAX_LENGTH))
            measured.append(("dialog no", len(dialog["deny"]["text"]), _limits.CONFIRMATION_DENY_MAX_LENGTH))
    return [f"{what}: {size} > {most}" for what, size, most in measured if not 1 <= size <= most]


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", CARDED)
def test_the_state_word_stands_first(phase: Phase) -> None:
    """The card's first block and its text begin with the state word."""
    drawn = card(state_in(phase))

    assert drawn.blocks[0]["text"]["text"].startswith(phase.value)
    assert drawn.text.startswith(f"{phase.value}: ")


@pytest.mark.parametrize("phase", CARDED)
def test_no_other_state_word_is_on_it(phase: Phase) -> None:
    """Whoever looks for a state word on the card finds the one that is true, in blocks, buttons, dialogs and text."""
    drawn = card(state_in(phase), reposted=True)
    others = [other.value for other in Phase if other is not phase]

    assert [] == [word for word in others if re.search(rf"\b{word}\b", written(drawn))]


@pytest.mark.parametrize("phase", CARDED)
def test_it_says_what_it_is_about(phase: Phase) -> None:
    """In every phase the card says number, asker, reason, account, operation, counts, bound, time and plan."""
    state = state_in(phase)
    on_the_card = "\n".join(mrkdwn(card(state).blocks))

    for fact in (
        f"<@{ANN}>",
        REASON,
        "*prod*",
        "`CancelOTATaskByJob` queued, notified",
        "unconfirmed 0, queued 0" if phase is Phase.DONE else "unconfirmed 7, queued 40, notified 12, in-progress 5",
        "52 now, at most 59",
        "about 1 s at the account's rate",
        f"`{(state.digest or '')[:12]}`",
    ):
        assert fact in on_the_card
    assert "#1" in card(state).blocks[0]["text"]["text"]
    assert 12 == DIGITS


@pytest.mark.parametrize("phase", CARDED)
def test_the_text_is_a_sentence(phase: Phase) -> None:
    """Screen readers read the text alone: it says state, number, what, where and why, as sentences, to nobody."""
    text = card(state_in(phase)).text

    assert f"{phase.value}: cancellation #1 of the queued and notified tasks of job J1 on prod. " in text
    assert f"Why: {REASON}." in text
    assert [] == LIVE.findall(text)
    assert len(text) <= 4000


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.PARTLY_DONE, Phase.FAILED, Phase.STOPPED])
def test_a_finished_card_says_the_figures_apart(phase: Phase) -> None:
    """Asked, accepted, confirmed and left stand apart on a finished card, what was not read as that."""
    drawn = written(card(state_in(phase)))
    figures = {
        Phase.DONE: "*asked* 52 · *accepted* 52 · *confirmed* 52 · *left* 0",
        Phase.PARTLY_DONE: "*asked* 52 · *accepted* 52 · *confirmed* not read · *left* not read",
        Phase.FAILED: "*asked* 52 · *accepted* 0 · *confirmed* not read · *left* not read",
        Phase.STOPPED: "*asked* 52 · *accepted* 0 · *confirmed* not read · *left* not read",
    }

    assert figures[phase] in drawn
    assert "asked 52, accepted" in drawn


def test_a_failure_is_told_in_the_clouds_words() -> None:
    """A card that failed quotes the cloud's code and message."""
    drawn = written(card(life_in(Phase.FAILED).state))

    assert "iot.ota.Nope no" in drawn


def test_a_stopping_run_says_how_much_is_out() -> None:
    """From the stop to the last answer the card says how many calls are still out, and offers no stop any more."""
    state = life_in(Phase.RUNNING).after(send(), stop(BOB)).state
    drawn = card(state)

    assert "stopping: 1 call still out" in written(drawn)
    assert [] == buttons(drawn)


def test_an_unknown_size_is_said() -> None:
    """Where the cloud does not tell the counts, the card says so and gives no figure for them."""
    unknown = dict.fromkeys(COUNTS)
    life = Life().after(show_preview(unknown))
    drawn = card(life.state)

    assert "unknown: the cloud does not tell how many" in written(drawn)
    assert ["Cancel these upgrades", "Keep them"] == [button["text"]["text"] for button in buttons(drawn)]


def test_a_dynamic_batch_is_warned_of() -> None:
    """Devices join a dynamic batch until its strategy is cancelled; the card says so while it can be answered."""
    state = life_in(Phase.WAITING_CONFIRMATION).state
    assert state.preview is not None
    dynamic = replace(state, preview=replace(state.preview, job=replace(state.preview.job, dynamic=True)))

    assert "devices keep joining it" in written(card(dynamic))
    assert "devices keep joining it" not in written(card(state))


def test_a_second_card_says_so() -> None:
    """A card whose first post was never heard of says that an earlier one may lie above."""
    state = life_in(Phase.WAITING_CONFIRMATION).state

    assert "An earlier card of this may lie above" in written(card(state, reposted=True))
    assert "An earlier card" not in written(card(state))


# --- what it offers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", CARDED)
def test_the_buttons_are_the_phases(phase: Phase) -> None:
    """A card offers what its phase allows and nothing else."""
    offered = {button["action_id"] for button in buttons(card(state_in(phase)))}

    assert offered <= BUTTONS[phase]
    assert phase not in ASKING or BUTTONS[phase] == offered


@pytest.mark.parametrize("phase", CARDED)
def test_a_button_carries_the_number_and_nothing_else(phase: Phase) -> None:
    """A button's value is the cancellation's id."""
    assert {"1"} >= {button["value"] for button in buttons(card(state_in(phase)))}


def test_the_confirmation_is_dangerous_and_asked_twice() -> None:
    """The red button says how many, and a dialog asks again, with size, job and that it cannot be undone."""
    confirming, keeping = buttons(card(state_in(Phase.WAITING_CONFIRMATION)))

    assert ("confirm", "danger", "Cancel 52 upgrades") == (
        confirming["action_id"],
        confirming["style"],
        confirming["text"]["text"],
    )
    dialog = confirming["confirm"]
    assert "danger" == dialog["style"]
    assert "Cancel 52 upgrades?" == dialog["title"]["text"]
    assert (
        "The queued and notified tasks of job J1 on prod: 52 now, at most 59, as counted at 03:04 UTC."
        " A cancelled task is not taken up again by itself."
    ) == dialog["text"]["text"]
    assert ("withdraw", "Keep them", None) == (keeping["action_id"], keeping["text"]["text"], keeping.get("confirm"))


@pytest.mark.parametrize("phase", CARDED)
def test_a_card_can_be_shown_without_buttons(phase: Phase) -> None:
    """What is shown to somebody who only looks has no buttons."""
    assert [] == buttons(card(state_in(phase), buttons=False))


# --- limits, and what is hostile -------------------------------------------------------------------------------------

HOSTILE: Final = st.one_of(
    st.text(max_size=600),
    st.lists(
        st.sampled_from(
            [
                "<!channel>",
                "<!here>",
                "<@U0BOB>",
                "<!subteam^S0>",
                "<http://e|g>",
                "&",
                "<",
                ">",
                "`",
                "*",
                "\n",
                "#",
                "🔥",
            ]
        ),
        max_size=400,
    ).map("".join),
)
MANY: Final = (*WAITING, confirm(), start(calls=6))


def hostile(reason: str, words: str) -> list[State]:
    """Return cancellations whose every text from a person or a cloud is hostile: before, while and after its run."""
    order = CancelJob(job=words[:64] or "J1", statuses=(Status.QUEUED, Status.NOTIFIED), reason=reason[:500])
    seen = preview()
    vendor = replace(seen.job, id=order.job, name=words, status=words, version=words)
    named = replace(ACCOUNT, name=words[:64] or "prod")
    waiting = Life(opening=requested(order=order)).after(*WAITING)
    failed = Life(opening=requested(order=order)).after(*MANY)
    for call in range(1, 7):
        answer = Answer(outcome=Outcome.FAILED, code=words[:100], message=words[:500], request_id=words[:60])
        failed.after(send(call), record(answer, call))
    failed.after(finish(reason=words[:500]))
    voided = Life(opening=requested(order=order)).after(*WAITING, void(words[:500]))
    glass = break_glass(on=account(approval=STRICT), reason=f"x{words}")
    broken = Life(opening=requested(order=order)).after(*WAITING, confirm(approval=STRICT), glass)

    def dressed(state: State) -> State:
        given = replace(seen, job=vendor)
        plan = freeze(order, given, named)
        return replace(state, preview=given, plan=plan, digest=plan.digest, account=named.name)

    return [dressed(life.state) for life in (waiting, failed, voided, broken)]


@settings(deadline=None)
@given(reason=HOSTILE, words=HOSTILE)
def test_nothing_hostile_gets_loose(reason: str, words: str) -> None:
    """Whatever reason, job, account and cloud say, only the asker's mention and the time are live."""
    for state in hostile(reason, words):
        drawn = card(state, reposted=True)
        live = [found for text in (*mrkdwn(drawn.blocks), drawn.text) for found in LIVE.findall(text)]
        assert [] == [found for found in live if found != f"<@{ANN}>" and not TIME.fullmatch(found)]


@settings(deadline=None)
@given(reason=HOSTILE, words=HOSTILE)
def test_no_escape_is_split(reason: str, words: str) -> None:
    """Everything is cut before it is escaped: no half of an entity is ever shown."""
    for state in hostile(reason, words):
        drawn = card(state)
        assert [] == [text for text in (*mrkdwn(drawn.blocks), drawn.text) if ENTITY.search(text)]


@settings(deadline=None)
@given(reason=HOSTILE, words=HOSTILE)
def test_slack_takes_every_card(reason: str, words: str) -> None:
    """Every card is within Slack's limits, by this project's own check and by another library's table."""
    for state in hostile(reason, words):
        drawn = card(state, reposted=True)
        assert [] == problems("message", list(drawn.blocks))
        assert [] == over_limits(drawn)
        assert 0 < len(drawn.text) <= 4000


@pytest.mark.parametrize("letter", ["&", "<", "a", "🔥", "\n"])
def test_the_longest_card_is_taken(letter: str) -> None:
    """With every text as long as it can come, of characters that grow when they are escaped, the card is posted."""
    for state in hostile(letter * 600, letter * 5000):
        drawn = card(state, reposted=True)
        assert [] == problems("message", list(drawn.blocks))
        assert [] == over_limits(drawn)
        assert [] == [text for text in (*mrkdwn(drawn.blocks), drawn.text) if ENTITY.search(text)]


@pytest.mark.parametrize("phase", CARDED)
def test_slack_takes_every_phase(phase: Phase) -> None:
    """Every phase's card is one that Slack takes."""
    drawn = card(state_in(phase))

    assert [] == problems("message", list(drawn.blocks))
    assert [] == over_limits(drawn)


# --- the thread ------------------------------------------------------------------------------------------------------


def last(life: Life) -> tuple[Event, State]:
    return life.events[-1], life.state


def told(life: Life) -> Message:
    message = reply(*last(life))
    assert message is not None
    return message


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.STOPPED])
def test_the_end_is_told_to_the_requester(phase: Phase) -> None:
    """The end is a reply that mentions the requester and nobody else, with the figures; it is not broadcast."""
    message = told(life_in(phase))

    assert message.text.startswith(
        f"<@{ANN}> {phase.value}: the queued and notified tasks of job J1 on prod (#1). asked 52 · accepted"
    )
    assert [f"<@{ANN}>"] == LIVE.findall(message.text)
    assert not message.broadcast


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.PARTLY_DONE])
def test_what_went_wrong_is_broadcast(phase: Phase) -> None:
    """Failed and Partly done are shown in the channel, too."""
    message = told(life_in(phase))

    assert message.text.startswith(f"<@{ANN}> {phase.value}: the queued and notified tasks of job J1 on prod (#1).")
    assert message.broadcast


@pytest.mark.parametrize(
    ("life", "word"),
    [(life_in(Phase.EXPIRED), "Expired"), (life_in(Phase.WAITING_CONFIRMATION).after(void()), "Voided")],
)
def test_what_ends_by_itself_is_told(life: Life, word: str) -> None:
    """An order that ended without its asker's doing tells them, and that nothing was cancelled."""
    message = told(life)

    assert message.text.startswith(f"<@{ANN}> {word}: the queued and notified tasks of job J1 on prod (#1), because ")
    assert message.text.endswith("Nothing was cancelled.")
    assert [f"<@{ANN}>"] == LIVE.findall(message.text)


def test_somebody_elses_stop_is_told() -> None:
    """A stop by somebody else rings the requester alone; one's own rings nobody. Both say by whom."""
    by_bob, by_ann = (told(life_in(Phase.RUNNING).after(stop(who))).text for who in (BOB, ANN))

    assert f"<@{ANN}> #1 is being ended early by {BOB}; what was not sent stays unsent." == by_bob
    assert f"#1 is being ended early by {ANN}; what was not sent stays unsent." == by_ann


def test_a_confirmation_that_came_to_nothing_is_told() -> None:
    """What is voided after its confirmation says who had confirmed; where others had to agree, the question has."""
    alone = reply(*last(Life().after(*APPROVED, void())), "Ann Arbor")
    voted = reply(*last(Life().after(*WAITING, confirm(approval=STRICT), void())), "Ann Arbor")

    assert alone is not None
    assert voted is not None
    assert alone.text.startswith(f"<@{ANN}> Voided, though Ann Arbor had confirmed it: the queued and notified tasks")
    assert voted.text.startswith(f"<@{ANN}> Voided: the queued and notified tasks")


def test_a_stop_before_the_start_is_told_once() -> None:
    """Stopped before it started, an order says that it was confirmed, by whom it was stopped, and rings once."""
    life = Life().after(*APPROVED, stop(BOB))
    stopped, finished = (reply(event, life.state) for event in life.events[-2:])

    assert stopped is not None
    assert finished is not None
    assert f"#1 is being ended early by {BOB}; what was not sent stays unsent." == stopped.text
    assert finished.text.endswith("(#1). It was confirmed and had not started. Nothing was cancelled.")
    assert [f"<@{ANN}>"] == LIVE.findall(finished.text)


@pytest.mark.parametrize(("answer", "told_so"), [(DONE, False), (FAILED, True), (UNKNOWN, True)])
def test_calls_that_went_wrong_are_told(answer: Answer, told_so: bool) -> None:
    """A call that was not taken is told in the thread, mentioning nobody; one that was taken is not."""
    message = reply(*last(life_in(Phase.RUNNING).after(send(), record(answer))))

    assert told_so == (message is not None)
    if message is not None:
        assert message.text.startswith(
            f"Call 1, attempt 1: {answer.outcome.value}. {answer.code}: {answer.message}"[:30]
        )
        assert [] == LIVE.findall(message.text)


def test_what_changes_nothing_is_not_told() -> None:
    """A request and a preview are on the card, and no reply; nor are a reminder and a call that goes out."""
    for life in (Life(), life_in(Phase.WAITING_CONFIRMATION), life_in(Phase.RUNNING).after(send())):
        assert None is reply(*last(life))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (APPROVED, None),
        ((*WAITING, withdraw()), "Withdrawn by Ann Arbor. Nothing was cancelled."),
        ((*APPROVED, start()), "Confirmed by Ann Arbor. Started: asked 52, 1 call."),
        ((*APPROVED, start(calls=1200)), "Confirmed by Ann Arbor. Started: asked 52, 1,200 calls."),
        ((*RUNNING, stop(ANN)), "#1 is being ended early by Ann Arbor; what was not sent stays unsent."),
    ],
    ids=["confirmed", "withdrawn", "started", "many calls", "stopped"],
)
def test_the_story_names_people_and_rings_nobody(made: tuple[Decision, ...], said: str | None) -> None:
    """Each step that calls nobody is a reply without a mention; a confirmation is told with the start it brings."""
    life = Life().after(*made)
    message = reply(*last(life), "Ann Arbor")

    assert said == (message.text if message else None)


def test_the_start_after_an_approval_names_nobody() -> None:
    """Where others had to agree, the question has said who confirmed, and each vote who agreed."""
    asked = (
        *WAITING,
        confirm(approval=STRICT),
        approve(on=account(approval=STRICT)),
        start(on=account(approval=STRICT)),
    )

    assert "Started: asked 52, 1 call." == told(Life().after(*asked)).text


def test_a_name_that_calls_is_text() -> None:
    """What somebody is called rings nobody, whatever they are called."""
    message = reply(*last(Life().after(*RUNNING)), "<!channel> <@U0EVE>")

    assert message is not None
    assert [] == LIVE.findall(message.text)


def test_the_question_says_who_confirmed() -> None:
    """What needs approval has the question to the approvers as its one reply, unless that has its answer by then."""
    asking = Life().after(*WAITING, confirm(approval=STRICT))
    confirmed = asking.events[-1]
    assert None is reply(confirmed, asking.state)

    asking.after(approve())
    late = reply(confirmed, asking.state, "Ann Arbor")
    assert "Confirmed by Ann Arbor, which needs a second person's approval." == (late.text if late else None)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (verify(), None),
        (blind(), None),
        (
            verify(COUNTS, canceled=43),
            "Looked at the cloud again: confirmed 40, where it was 52; left 52, where it was 0.",
        ),
    ],
    ids=["the same", "not read", "other figures"],
)
def test_a_later_look_is_told_where_it_saw_something_else(look: Decision, said: str | None) -> None:
    """After the end, a look at the cloud that finds other figures says which they were; before it none is told."""
    life = life_in(Phase.DONE)
    during = [event for event in life.events if event.kind == Kind.VERIFIED][-1]
    assert None is looked_again(during, [event for event in life.events if event.id < during.id])

    life.after(look)
    message = looked_again(life.events[-1], life.events[:-1])
    assert said == (message.text if message else None)


@settings(deadline=None)
@given(words=HOSTILE)
def test_replies_hold_nothing_live(words: str) -> None:
    """A cloud's words in a reply mention nobody and link nothing, and the reply is short enough to be shown."""
    answer = Answer(outcome=Outcome.FAILED, code=words[:100], message=words[:500], request_id=words[:100])
    failed = life_in(Phase.RUNNING).after(send(), record(answer))
    for message in (told(failed), told(Life().after(*WAITING, void(words[:500])))):
        assert {f"<@{ANN}>"} >= set(LIVE.findall(message.text))
        assert None is ENTITY.search(message.text)
        assert len(message.text) <= 4000


# --- the audit channel and lists -------------------------------------------------------------------------------------

DECIDED: Final[dict[str, tuple[Decision, ...]]] = {
    "confirmed": (*WAITING, confirm()),
    "withdrawn": (*WAITING, withdraw()),
    "finished": (*WAITING, confirm(), start(), send(), record(), verify(), finish()),
    "stopped": (*WAITING, confirm(), start(), stop(BOB)),
    "voided": (*WAITING, void()),
    "approved": (*WAITING, confirm(approval=STRICT), approve()),
    "rejected": (*WAITING, confirm(approval=STRICT), reject()),
    "broke_glass": (*WAITING, confirm(approval=STRICT), break_glass(on=account(approval=STRICT))),
}
"""The decisions that lead to each kind of event that has a line in the audit channel."""


@pytest.mark.parametrize("kind", DECIDED)
def test_an_audit_line_is_a_witness(kind: str) -> None:
    """A decision's line names number, actor, what and where, mentions nobody, and ends with id and digest."""
    life = Life(opening=requested(reason=REASON)).after(*DECIDED[kind])
    event = replace(life.events[-1], digest="0123456789abcdef" * 4)

    told_of = audit_line(event, life.state, "Ann <!channel>")

    assert told_of is not None
    assert told_of.startswith("#1 ")
    assert told_of.endswith(f" · event {event.id} 0123456789ab")
    assert f"({event.actor})" in told_of
    assert "the queued and notified tasks of job J1 on prod" in told_of
    assert [] == LIVE.findall(told_of)


def test_the_audit_line_of_a_confirmation_says_why() -> None:
    """The line of a confirmation names the plan and the reason."""
    life = Life(opening=requested(reason=REASON)).after(*DECIDED["confirmed"])

    assert f"confirmed plan {(life.state.digest or '')[:12]}, because “{REASON}”" in str(audit_line(*last(life), "ann"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("approved", "#1 approved plan {plan} · "),
        ("rejected", "#1 rejected: “not tonight” · "),
        ("broke_glass", "#1 BROKE GLASS for plan {plan}: “pumps burn” · "),
    ],
)
def test_the_audit_line_of_an_approval(kind: str, said: str) -> None:
    """The lines of a vote, a rejection and broken glass name the plan or the reason."""
    life = Life(opening=requested(reason=REASON)).after(*DECIDED[kind])

    assert str(audit_line(*last(life), "bob")).startswith(said.format(plan=(life.state.digest or "")[:12]))


def test_nobody_writes_an_audit_line() -> None:
    """Words that look like the end of a line and like another one stay within their quotation marks, on one line."""
    forged = "x” · ann (U0ANN) · event 115 1a2b3c4d5e6f\n\u2028#1 approved plan 5 · lea"
    life = Life(opening=requested(reason="why")).after(
        *WAITING, confirm(approval=STRICT), break_glass(on=account(approval=STRICT), reason=forged)
    )

    line_ = str(audit_line(*last(life), "ann"))
    plan = (life.state.digest or "")[:12]

    assert line_.startswith(
        f'#1 BROKE GLASS for plan {plan}: “x" · ann (U0ANN) · event 115 1a2b3c4d5e6f #1 approved plan 5 · lea” · '
    )
    assert [line_] == line_.splitlines()


def test_the_audit_line_of_a_confirmation_says_what_it_needs() -> None:
    """Where others have to approve it, the line of the confirmation says so."""
    life = Life(opening=requested(reason=REASON)).after(*WAITING, confirm(approval=STRICT))

    assert f", which needs a second person's approval, because “{REASON}” · " in str(audit_line(*last(life), "ann"))


def test_the_audit_line_of_a_lowered_guard() -> None:
    """The line of a change of the guard says what it was and is, and whose start showed it; it has no number."""
    before = guard(account(approval=STRICT))
    made = by_bot(Kind.GUARD_CHANGED, account="prod", before=before, after={**before, "above": 1000})
    life = Life()
    life.put(made)

    line_ = str(audit_line(replace(life.events[-1], cancellation=None), None, "cli:<!channel>"))

    assert line_.startswith("guard of prod changed: above from 0 to 1000 · cli:&lt;!channel&gt; (bot) · event 2")


def test_the_audit_line_of_an_end_has_the_figures() -> None:
    """The line of an end names its result and the three figures."""
    life = life_in(Phase.DONE)

    assert "done: asked 52, accepted 52, confirmed 52, left 0" in str(audit_line(*last(life), "bot"))


def test_the_audit_line_of_an_order_for_the_rest() -> None:
    """The line names the order for the rest; once that has come to nothing, it says so and names no order."""
    life, told_of = life_in(Phase.VOIDED), []
    for new in (42, None):
        life.put(by_bot(Kind.RETRIED, **{"as": new}))
        told_of.append(str(audit_line(*last(life), "bot")).partition(" · ")[0])

    assert [
        "#1 ordered again as #42",
        "#1 may be ordered again, as the order for its rest came to nothing",
    ] == told_of


@pytest.mark.parametrize("phase", [Phase.CHECKING, Phase.WAITING_CONFIRMATION, Phase.RUNNING])
def test_what_is_no_decision_has_no_line(phase: Phase) -> None:
    """Requests, previews and starts have no line of their own: the decision after them has."""
    assert None is audit_line(*last(life_in(phase)), "ann")


@settings(deadline=None)
@given(words=HOSTILE)
def test_audit_lines_hold_nothing_live(words: str) -> None:
    """A line mentions nobody whatever the people's names, reasons and refusals are; it is one short message."""
    life = Life(opening=requested(reason=words[:500])).after(*WAITING, confirm())
    for event in (life.events[-1], replace(life.events[-1], kind="refused", body={"what": words, "reason": words})):
        made = audit_line(event, life.state, words)
        assert made is not None
        assert [] == LIVE.findall(made)
        assert len(made) <= 40_000


def test_a_list_names_each_on_a_line() -> None:
    """A list has a line for each: number, state, what, where, how many, who and when."""
    first, second = state_in(Phase.DONE), replace(state_in(Phase.RUNNING), id=2)
    lines = listing("The latest", [second, first]).text.splitlines()

    assert "The latest:" == lines[0]
    assert [line(second), line(first)] == lines[1:]
    assert lines[1].startswith("*#2* Running · the queued and notified tasks of job J1 on prod · 52 tasks · <@U0ANN>")


def test_an_empty_list_says_so() -> None:
    """Nothing is said as nothing."""
    assert "The latest: none." == listing("The latest", []).text


@settings(deadline=None, max_examples=25)
@given(words=HOSTILE)
def test_a_long_list_is_cut(words: str) -> None:
    """However much is listed, the answer stays one that Slack shows whole."""
    states = [replace(state, id=number) for number in range(20) for state in hostile(words, words)[:1]]
    made = listing("The latest", states).text

    assert len(made) <= TEXT
    assert {f"<@{ANN}>"} >= {found for found in LIVE.findall(made) if not TIME.fullmatch(found)}


@settings(deadline=None, max_examples=25)
@given(words=HOSTILE)
def test_a_story_holds_nothing_live(words: str) -> None:
    """Words of people and clouds in a story mention nobody but whoever did each thing, and link nothing."""
    answer = Answer(outcome=Outcome.FAILED, code=words[:100], message=words[:500], request_id=words[:100])
    life = Life(opening=requested(reason=words[:200] or "x")).after(*RUNNING, send(), record(answer))
    blocks = story(story_told(life.events), 1)

    assert [] == problems("message", blocks)
    live = {found for text in mrkdwn(blocks) for found in LIVE.findall(text) if not TIME.fullmatch(found)}
    assert {f"<@{ANN}>"} == live
    assert [] == [text for text in mrkdwn(blocks) if ENTITY.search(text)]


def test_what_may_lie_on_another_day_is_dated() -> None:
    """A list and a story say the day, too, as each reader counts it; a deadline is of the day."""
    life = Life().after(*WAITING)
    at = "<!date^1767323045^{date_short_pretty} {time}|2026-01-02 03:04 UTC>"

    assert at in line(life.state)
    assert at in str(story(story_told(life.events), 1))
    assert waits(life.state).endswith(" until <!date^1767324845^{time}|03:34 UTC>.")


@settings(deadline=None)
@given(words=HOSTILE)
def test_what_the_bot_says_is_text(words: str) -> None:
    """An answer that quotes somebody is escaped as a whole."""
    assert [] == LIVE.findall(said(words).text)
