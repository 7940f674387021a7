"""The slash command: what it answers, what it stores, and what it leaves alone."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, Final, cast

import pytest
from slack_bolt import BoltContext

from bot.domain.command import FORMS
from bot.engine.keeper import Halt
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, AUDIT, BEN, GUS, JOB, LEA, OPS
from bot.slack.commands import Commands, typed
from bot.wiring.bot import Bot
from tests.journeys.stage import PATIENCE, WORDS, Scene, until

VALVES: Final = "C0VALVES"
ACCOUNTS: Final = """
[accounts.valves]
cloud = "aliyun"
endpoint = "{cloud}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
quota = "pumps"
qps = {{ job = 5, devices = 10, strategy = 10, query = 200 }}
channels = ["C0VALVES", "C0OPS"]
requesters = ["U0BEN"]
approvers = ["S0LEADS"]

[accounts.tuya-eu]
cloud = "tuya"
endpoint = "https://openapi.example.com"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
quota = "pumps"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
"""


NUMBERS: Final = count(1)


class Town(Scene):
    """A scene with three accounts, the bot in this process, and a card of a cancellation on two of the accounts."""

    bot: Bot


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.config.write_text(town.config.read_text() + ACCOUNTS.format(cloud=town.cloud.url))
        town.slack.add_channel(VALVES, "valves", [ANN, BEN, LEA])
        for account in ("pumps", "valves"):
            town.cloud.fleet.add_job(f"job-{account}", counts={"QUEUED": 2})
        with town.hosted() as bot:
            town.bot = bot
            town.order("job job-pumps queued because of pumps")
            town.order("job job-valves queued on valves because of valves", user=BEN)
            for job in ("job-pumps", "job-valves"):
                until(partial(cards_of, town, job))
            yield town


@pytest.fixture
def job(town: Town) -> str:
    """Give a job that nobody has ordered: an order like one that is open would be held."""
    made = f"Job.{next(NUMBERS)}-Ops"
    town.cloud.fleet.add_job(made, counts={"QUEUED": 2})
    return made


def cards_of(town: Scene, job: str) -> list[Message]:
    return [card for card in town.slack.messages(OPS) if job in card.text]


def expire_lookups(town: Town) -> None:
    """Have Slack asked anew about groups, of which an answer is kept for a minute."""
    with town.bot._directory._lock:
        town.bot._directory._kept.clear()


def answer(town: Scene, user: str, words: str, channel: str = OPS) -> Message:
    """Type words whose answer comes beside the acknowledgement, before or after it, and return that answer."""
    before = len(town.slack.ephemerals(user))
    acknowledged = town.order(words, user=user, channel=channel).shown

    def found() -> list[Message]:
        # The refusal of an earlier order may come late.
        later = [(one, town.slack.plain(one)) for one in town.slack.ephemerals(user)[before:]]
        return [one for one, text in later if text != acknowledged and (user == GUS or ": Refused" not in text)]

    return town.slack.wait_for(found, PATIENCE)[0]


def later(town: Scene, user: str, words: str, channel: str = OPS) -> str:
    """Type words whose answer comes beside the acknowledgement, and return what is read there."""
    return town.slack.plain(answer(town, user, words, channel))


def ordered(town: Scene, words: str, *, user: str = ANN, channel: str = OPS) -> dict[str, Any]:
    """Type an order and return what the ledger holds of it."""
    shown = town.order(words, user=user, channel=channel).shown
    number = re.match(r"#(\d+): reading job", shown)
    assert number, shown
    (event,) = [event for event in town.events("requested") if event.cancellation == int(number[1])]
    return dict(event.body)


def remembered(town: Scene) -> int:
    """Count what is stored of people: other orders may be on their way meanwhile."""
    return len(town.events("requested", "refused"))


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("jbo x queued", "“jbo” does not fit there"),
        (f"job {JOB} queud", f"Try: /ota-cancel job {JOB} queued"),
        (f"job {JOB} queued on nowhere", "There is no account “nowhere”"),
        ("job", "Something is missing after “job”"),
        ("show me", "“me” does not fit there"),
        ("stop", "Something is missing after “stop”"),
        ("list everything", "“everything” does not fit there"),
        (f"job {JOB} queued because {'x' * 501}", "Nothing was changed."),
        ("x" * 13_000, "Nothing was changed."),
        (f"strategy {JOB} on tuya-eu", "Not on tuya-eu: Tuya does not offer CancelOTAStrategyByJob"),
        (f"job {JOB} in-progress on tuya-eu", "Not on tuya-eu: in-progress: Tuya's CancelOTATaskByJob does not offer"),
        ("retry 4711", "There is no #4711 that could be changed. Nothing was changed."),
    ],
)
def test_words_that_make_no_order_are_answered_and_not_stored(town: Town, words: str, said: str) -> None:
    """A wrong word, a missing one, or one that is not carried out yet: an answer for the asker, and nothing stored."""
    head = remembered(town)

    delivered = town.order(words)

    assert said in delivered.shown.replace("`/", "/")
    assert "ephemeral" == (delivered.answer or {})["response_type"]
    assert head == remembered(town)


def test_a_wrong_word_is_answered_with_a_command_that_works(town: Town, job: str) -> None:
    """The nearest command that is shown can be typed as it stands."""
    shown = town.order(f"job {job} queud,notified because it bricks").shown
    nearest = re.search(r"Try: `?/ota-cancel (.*?)`?\n", shown)

    assert nearest is not None
    assert "it bricks" == ordered(town, nearest[1])["order"]["reason"]


@pytest.mark.parametrize(
    "words",
    [
        "JOB {job} QUEUED,NOTIFIED because it bricks",
        "job  {job}   queued , notified   because   it bricks ",
        "job {job} queued and notified because it bricks",
        "job “{job}” queued,notified because it bricks",
        "job `{job}` notified,queued on PUMPS because it bricks",
        "/ota-cancel job {job} queued,notified because it bricks",
    ],
)
def test_one_order_may_be_typed_in_many_ways(town: Town, job: str, words: str) -> None:
    """Case, spaces, quotes, `and`, and the command's own name before it do not matter; the id keeps its case."""
    body = ordered(town, words.format(job=job))

    assert (job, ["queued", "notified"], "it bricks", "pumps", OPS, "slack") == (
        body["order"]["job"],
        body["order"]["statuses"],
        body["order"]["reason"],
        body["account"],
        body["channel"],
        body["via"],
    )


def test_what_slack_escapes_is_stored_as_it_was_typed(town: Town, job: str) -> None:
    """Slack writes three characters as entities; the ledger holds what the person wrote, each undone once."""
    body = ordered(town, f"job {job} queued because a &lt; b &amp;amp; c")

    assert "a < b &amp; c" == body["order"]["reason"]
    assert "<@U1> & &lt;" == typed("&lt;@U1&gt; &amp; &amp;lt;")


@pytest.mark.parametrize("words", ["help", "HELP"])
def test_help_names_every_word_that_is_carried_out(town: Town, words: str) -> None:
    """Help shows each command that works and the five statuses, short enough to be shown whole."""
    shown = town.order(words).shown

    assert [] == [form.verb for form in FORMS if f"/ota-cancel {form.verb}".rstrip() not in shown]
    for status in ("scheduled", "unconfirmed", "queued", "notified", "in-progress"):
        assert status in shown
    assert len(shown) <= 4000


def test_a_job_without_statuses_is_answered_with_choices(town: Town) -> None:
    """The counts, and the complete command for each sensible choice; nothing is stored."""
    head = remembered(town)

    shown = later(town, ANN, f"job {JOB} because it bricks")

    assert "unconfirmed 7, queued 40, notified 12, in-progress 5" in shown
    assert f"/ota-cancel job {JOB} queued,notified because it bricks   (52 tasks)" in shown
    assert head == remembered(town)


def test_a_preview_shows_what_would_be_hit(town: Town) -> None:
    """Counts, bound, digest, and the line to type to order it; nothing is stored."""
    head = remembered(town)

    shown = later(town, ANN, f"preview {WORDS}")

    assert "Would cancel: queued, notified (52 now, at most 59)." in shown
    assert re.search(r"Plan [0-9a-f]{12}\.", shown)
    assert f"To order it: /ota-cancel {WORDS}" in shown
    assert head == remembered(town)


def test_nothing_to_hit_has_no_card(town: Town) -> None:
    """An order that would hit nothing is answered with all counts, finished ones too, and gets no card."""
    town.cloud.fleet.add_job("job-empty", counts={"SUCCEEDED": 3, "IN_PROGRESS": 1})

    shown = later(town, ANN, "job job-empty queued")

    assert "Nothing to cancel: job job-empty has no task that is queued. Nothing was changed." in shown
    assert "in-progress 1, succeeded 3, failed 0, cancelled 0" in shown
    assert [] == [message for message in town.slack.messages(OPS) if "job-empty" in message.text]


def test_an_order_that_needs_a_second_person_says_so_at_once(town: Town) -> None:
    """Tasks in progress need an approver: the card says so before anybody confirms it."""
    town.cloud.fleet.add_job("job-flashing", counts={"IN_PROGRESS": 2})

    town.order("job job-flashing in-progress")

    (card,) = town.slack.wait_for(lambda: cards_of(town, "job-flashing"), PATIENCE)
    assert "After you confirm it needs a second person's approval: “in-progress” always needs one." in (
        town.slack.plain(card)
    )


# --- accounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "channel", "named", "account"),
    [
        (ANN, OPS, "", "pumps"),
        (ANN, OPS, " on pumps", "pumps"),
        (BEN, OPS, " on Valves", "valves"),
        (BEN, VALVES, "", "valves"),
        (ANN, AUDIT, "", "pumps"),
    ],
    ids=["the default", "by name", "the other one by name", "the channel's own", "elsewhere the default"],
)
def test_the_account_is_the_named_one_or_the_channels(
    town: Town, job: str, *, user: str, channel: str, named: str, account: str
) -> None:
    """A named account is taken, else the channel's default, else the only one that is at home there."""
    assert account == ordered(town, f"job {job} queued{named} because why not", user=user, channel=channel)["account"]


def test_an_unknown_account_names_the_nearest(town: Town) -> None:
    """An account that does not exist is answered with those that do, and the nearest."""
    shown = town.order(f"job {JOB} queued on pimps").shown

    assert "There is no account “pimps” here. There are: pumps, valves, tuya-eu; the nearest is pumps." in shown


# --- who may see what ------------------------------------------------------------------------------------------------


def number_of(town: Scene, job: str) -> int:
    return next(event.cancellation or 0 for event in town.events("requested") if event.body["order"]["job"] == job)


@pytest.mark.parametrize(
    ("user", "channel", "jobs_seen"),
    [
        (ANN, OPS, {"job-pumps"}),
        (BEN, OPS, {"job-valves"}),
        (BEN, VALVES, {"job-valves"}),
        (LEA, OPS, {"job-pumps", "job-valves"}),
        (LEA, VALVES, {"job-valves"}),
        (ANN, VALVES, set[str]()),
        (ANN, AUDIT, set[str]()),
        (GUS, OPS, set[str]()),
    ],
)
@pytest.mark.parametrize("words", ["list", "pending"])
def test_people_see_what_they_may_order_or_approve(
    town: Town, words: str, user: str, channel: str, jobs_seen: set[str]
) -> None:
    """A list holds the cancellations of the accounts that are at home here and that know this person; nothing else."""
    shown = later(town, user, words, channel)

    assert jobs_seen == {job for job in ("job-pumps", "job-valves") if job in shown}
    assert jobs_seen or "You may see no account's cancellations in this channel: " in shown


def test_show_draws_the_card_again(town: Town) -> None:
    """`show` answers with the card as it is, without its buttons, and a link to it."""
    number = number_of(town, "job-pumps")
    shown = answer(town, ANN, f"show {number}")
    (card,) = cards_of(town, "job-pumps")

    assert card.text == shown.text
    assert () == shown.buttons
    assert f"/archives/{OPS}/p{card.ts.replace('.', '')}" in str(shown.blocks)


def test_show_tells_the_story(town: Town) -> None:
    """Below the card stands what happened, by whom, and where all of it can be read."""
    number = number_of(town, "job-pumps")
    shown = str(answer(town, ANN, f"show {number}").blocks)

    assert "*What happened*" in shown
    assert f"<@{ANN}> asked to cancel the queued tasks of job job-pumps on account pumps" in shown
    assert "Frozen as plan" in shown
    assert f"`ota-bot audit show {number}`" in shown


def test_pending_says_what_is_waited_for(town: Town) -> None:
    """`pending` says of each what it waits for, until when, and where its card is."""
    shown = answer(town, ANN, "pending")
    (card,) = cards_of(town, "job-pumps")

    said = " ".join(str(block["text"]["text"]) for block in shown.blocks)
    assert f"Waits for <@{ANN}> to confirm it until <!date^" in said
    assert f"/archives/{OPS}/p{card.ts.replace('.', '')}|Go to its card>" in said
    assert f"Waits for <@{ANN}> to confirm it" in shown.text


@pytest.mark.parametrize(
    ("user", "channel", "job"), [(ANN, OPS, "job-valves"), (BEN, OPS, "job-pumps"), (LEA, VALVES, "job-pumps")]
)
def test_show_hides_what_is_not_for_them(town: Town, user: str, channel: str, job: str) -> None:
    """A cancellation of another account is as if it did not exist."""
    number = number_of(town, job)

    assert f"There is no #{number} that you may see here." == later(town, user, f"show {number}", channel)
    assert f"There is no #{number + 900} that you may see here." == later(town, user, f"show {number + 900}", channel)


@pytest.mark.parametrize(
    ("user", "words", "job", "reason"),
    [
        (GUS, "list", None, "guests of this workspace may not cancel anything"),
        (GUS, "pending", None, "guests of this workspace may not cancel anything"),
        (GUS, "show 4711", None, "guests of this workspace may not cancel anything"),
        (ANN, "show", "job-valves", "not among the requesters or approvers of account valves"),
        (BEN, "show", "job-pumps", "not among the requesters or approvers of account pumps"),
    ],
)
def test_who_may_not_look_is_remembered(town: Town, user: str, words: str, job: str | None, reason: str) -> None:
    """Whoever is shown nothing, or not the one they ask for, is stored as refused, with what was seen of them."""
    number = number_of(town, job) if job else None

    later(town, user, f"{words} {number}" if number else words)

    event = town.events("refused")[-1]
    assert (user, number, words.split(maxsplit=1)[0], reason) == (
        event.actor,
        event.cancellation,
        event.body["what"],
        event.body["reason"],
    )
    assert "T0LOCAL" == event.body["evidence"]["team"]


def test_refused_looks_are_not_stored_without_end(world: Scene) -> None:
    """Of twelve looks of a guest ten are remembered; each is answered."""
    nothing = (
        "You may see no account's cancellations in this channel: guests of this workspace may not cancel anything."
    )
    for _ in range(12):
        assert nothing == later(world, GUS, "list")

    assert [GUS] * 10 == [event.actor for event in world.events("refused")]


def test_looking_stores_nothing(town: Town) -> None:
    """`list`, `pending` and `show` leave no event of somebody who may look."""
    head = remembered(town)

    for words in ("list", "pending", f"show {number_of(town, 'job-pumps')}"):
        later(town, LEA, words)

    assert head == remembered(town)


def test_slack_not_saying_who_looks_shows_nothing(town: Town) -> None:
    """Somebody of whom Slack says nothing sees nothing."""
    town.slack.add_user("U0NEW", "new")
    town.slack.add_channel(OPS, "ota-ops", [ANN, BEN, GUS, LEA, "U0NEW"])
    town.slack.faults.add("users.info", status=500)

    assert "Slack did not tell me who you are" in later(town, "U0NEW", "list")


# --- stopping --------------------------------------------------------------------------------------------------------


def test_stop_is_for_requesters_and_approvers(town: Town) -> None:
    """Whoever is on neither list of the account is refused and that is stored; what does not run says so."""
    number = number_of(town, "job-pumps")

    refused = town.order(f"stop {number}", user=BEN).shown
    idle = town.order(f"stop {number}", user=LEA).shown
    unknown = town.order("stop 4711").shown

    assert "Refused: not among the requesters or approvers of account pumps. Nothing was changed." == refused
    assert (BEN, "stop", number) == next(
        (event.actor, event.body["what"], event.cancellation) for event in reversed(town.events("refused"))
    )
    assert f"#{number} " in idle
    assert "There is no #4711 that could be changed. Nothing was changed." == unknown


# --- refusals, deliveries, time --------------------------------------------------------------------------------------


def test_refusals_are_stored_and_not_without_end(world: Scene) -> None:
    """Of thirteen orders that a guest types, ten are remembered as refused; each is answered with the reason."""
    for _ in range(13):
        assert "Refused: guests of this workspace may not cancel anything." in later(world, GUS, WORDS)

    refused = world.events("refused")
    assert [GUS] * 10 == [event.actor for event in refused]
    assert 10 == len([event for event in world.events("requested") if event.actor == GUS])
    assert all(len(event.body["reason"]) <= 300 for event in refused)
    assert world.order(user=ANN).failure is None


def test_refusals_at_once_are_not_stored_without_end(world: Scene) -> None:
    """Fifteen orders that a guest has typed at the same moment are remembered as ten refusals at most."""
    with ThreadPoolExecutor(15) as people:
        list(people.map(lambda _: world.order(user=GUS), range(15)))
    until(
        lambda: all(
            state.phase.value != "Checking" for state in map(world.state, range(1, len(world.events("requested")) + 1))
        )
    )

    assert 1 <= len(world.events("refused")) <= 10


def test_the_same_delivery_opens_one_cancellation(world: Scene) -> None:
    """One typed command that is delivered five times at once, and later again, is one order with one card."""
    first = world.order()
    with ThreadPoolExecutor(5) as deliveries:
        again = list(deliveries.map(lambda _: world.slack._send(first.kind, ANN, first.payload), range(5)))
    again.append(world.slack.redeliver(first))
    world.card()

    assert ["That is #1 already."] * 6 == [one.shown for one in again]
    assert 1 == len(world.events("requested"))
    assert 1 == len(world.cards())


class Told:
    """An acknowledgement that only remembers what it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *, text: str, response_type: str) -> None:
        """Take it."""
        assert "ephemeral" == response_type
        self.texts.append(text)


@pytest.fixture
def commands(town: Town) -> Commands:
    return made(town, town.bot._halt)


def made(town: Town, halt: Halt) -> Commands:
    return town.bot._commands(halt, town.bot._form(halt))


def delivered(commands: Commands, *in_time: bool, trigger: str = "1.a") -> str:
    """Deliver an order; each look at the clock finds it in time or not, the last answer for good."""
    answers = list(in_time)
    told = Told()
    context = BoltContext({"in_time": lambda: answers.pop(0) if len(answers) > 1 else answers[0]})
    body = {"user_id": ANN, "channel_id": OPS, "text": WORDS, "trigger_id": trigger}
    commands.command(cast(Any, told), body, context)
    (text,) = told.texts
    return text


def test_what_comes_too_late_does_nothing(town: Town, commands: Commands) -> None:
    """A command that waited too long for its turn is answered, and nothing is stored."""
    head = remembered(town)

    assert "That reached me too late. Nothing was done; type it again." == delivered(commands, False)
    assert head == remembered(town)


def test_what_was_stored_too_late_does_nothing(town: Town, commands: Commands) -> None:
    """When storing took so long that Slack has given up, the order is void at once: it is never looked at."""
    answer = delivered(commands, True, False, trigger="2.b")
    number = int(re.findall(r"#(\d+)", answer)[0])

    assert answer.startswith("That took too long. Nothing was done")
    assert ["requested", "voided"] == [event.kind for event in town.events() if event.cancellation == number]
    assert "Voided" == town.state(number).phase.value


def test_a_bot_that_leaves_takes_no_orders(town: Town) -> None:
    """While the process is leaving a command is answered, and nothing is stored."""
    halt = Halt()
    halt.ask()
    head = remembered(town)

    assert "I am being restarted" in delivered(made(town, halt), True, trigger="3.c")
    assert head == remembered(town)


def test_an_answer_finds_another_way(town: Town) -> None:
    """When the way back that came with the command fails, the answer comes as an ephemeral message."""
    town.slack.faults.add("response_url", status=500)

    assert "Would cancel: queued, notified" in later(town, ANN, f"preview {WORDS}")
    assert "chat.postEphemeral" == town.slack.calls[-1].method


def test_acknowledgements_carry_no_blocks_and_are_for_the_asker(town: Town, job: str) -> None:
    """An acknowledged order says its number, its job and its account, to the asker alone."""
    acknowledged: Delivery = town.order(f"job {job} queued")

    assert {"text", "response_type"} == set(acknowledged.answer or {})
    assert re.fullmatch(
        rf"#\d+: reading job `?{re.escape(job)}`? on pumps\. What comes of it follows here\.", acknowledged.shown
    )


# --- what is not carried out at once ---------------------------------------------------------------------------------


def test_an_order_that_nobody_could_approve_is_refused(town: Town) -> None:
    """Where no approver but the asker may approve, the order is refused with the reason, and has no card."""
    town.cloud.fleet.add_job("job-lonely", counts={"IN_PROGRESS": 2})
    town.slack.add_group("S0LEADS", "leads", [ANN])
    expire_lookups(town)

    shown = later(town, ANN, "job job-lonely in-progress")

    town.slack.add_group("S0LEADS", "leads", [LEA])
    expire_lookups(town)
    assert "This needs a second person to approve it (“in-progress” always needs one), and of the approvers" in shown
    assert town.events("voided")[-1].body["reason"].startswith("This needs a second person to approve it")
    assert [] == cards_of(town, "job-lonely")


def test_an_order_like_an_open_one_is_held(town: Town, job: str) -> None:
    """A repeat is shown who has ordered that already and where, and asked whether another one is meant."""
    first = town.order(f"job {job} queued because it bricks").shown.split(":")[0]
    town.slack.wait_for(lambda: cards_of(town, job), PATIENCE)

    asked = answer(town, ANN, f"job {job} queued,notified because it still bricks")

    assert f"already {first} by @ann (waiting for confirmation): the queued tasks of job {job}" in town.slack.plain(
        asked
    )
    assert (
        "is held, and nothing was changed. Press the button if you mean a second one, else leave it."
        in town.slack.plain(asked)
    )
    assert f"/archives/{OPS}/" in asked.text
    assert ["order_anyway"] == [button.action_id for button in asked.buttons]
    assert 1 == len(cards_of(town, job))

    town.slack.press(ANN, asked, "order_anyway")

    town.slack.wait_for(lambda: 2 == len(cards_of(town, job)), PATIENCE)
