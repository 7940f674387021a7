"""The words: what each makes, what each slip is answered with, and what the help shows."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter

from bot.domain.command import FORMS, LONGEST_HINT, help_text, parse, usage, usage_hint, words
from bot.domain.errors import UsageError
from bot.domain.grammar import Form
from bot.domain.order import (
    AskHelp,
    AskJobs,
    AskList,
    AskPending,
    AskPreview,
    AskShow,
    CancelDevices,
    CancelJob,
    CancelStrategy,
    OpenForm,
    Order,
    RetryOne,
    StopOne,
)
from bot.domain.status import Status
from bot.domain.words import clean_reason, device_names, in_order, shown

QUEUED, NOTIFIED = Status.QUEUED, Status.NOTIFIED
JOB = CancelJob(job="J1", statuses=(QUEUED,))
DEVICES = CancelDevices(names=("a", "b"), job="J1")

ORDERS: list[tuple[str, Order]] = [
    ("job J1 queued", JOB),
    ("job J1 notified,queued", CancelJob(job="J1", statuses=(QUEUED, NOTIFIED))),
    ("job J1 queued,queued", JOB),
    ("job J1", CancelJob(job="J1")),
    ("job J1 on prod-cn", CancelJob(job="J1", account="prod-cn")),
    ("job J1 because I ask", CancelJob(job="J1", reason="I ask")),
    (
        "job J1 queued on prod.cn_1 because the canary failed",
        CancelJob(job="J1", statuses=(QUEUED,), account="prod.cn_1", reason="the canary failed"),
    ),
    ("devices b,a,b job J1", DEVICES),
    ("devices a product P1 firmware F1", CancelDevices(names=("a",), product="P1", firmware="F1")),
    (
        "devices a job J1 on eu because of, and on, \"it\"; <!channel> job 'J1' queued.",
        CancelDevices(names=("a",), job="J1", account="eu", reason="of, and on, \"it\"; <!channel> job 'J1' queued."),
    ),
    ("strategy J1", CancelStrategy(job="J1")),
    ("strategy J1 and queued,notified", CancelStrategy(job="J1", statuses=(QUEUED, NOTIFIED))),
    ("strategy J1 on eu because x", CancelStrategy(job="J1", account="eu", reason="x")),
    ("preview job J1 queued", AskPreview(order=JOB)),
    ("preview devices a,b job J1", AskPreview(order=DEVICES)),
    ("preview strategy J1", AskPreview(order=CancelStrategy(job="J1"))),
    ("jobs", AskJobs()),
    ("jobs on eu", AskJobs(account="eu")),
    ("list", AskList()),
    ("pending", AskPending()),
    ("show 41", AskShow(id=41)),
    ("stop 9223372036854775807", StopOne(id=2**63 - 1)),
    ("retry 1", RetryOne(id=1)),
    ("help", AskHelp()),
    ("", OpenForm()),
]


@pytest.mark.parametrize(("text", "order"), ORDERS)
def test_the_words_make_the_order(text: str, order: Order) -> None:
    """Every form in the contract makes its order."""
    assert order == parse(text)


@pytest.mark.parametrize("order", [order for _, order in ORDERS])
def test_an_order_survives_being_written_and_stored(order: Order) -> None:
    """An order comes back equal from its canonical words and from its stored JSON, with or without a discriminator."""
    plain: TypeAdapter[Order] = TypeAdapter(Order)
    told_apart: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="verb")])

    assert order == parse(words(order))
    assert order == plain.validate_python(plain.dump_python(order, mode="json"))
    assert order == told_apart.validate_python(told_apart.dump_python(order, mode="json"))


@pytest.mark.parametrize(
    "text",
    [
        "JOB J1 Queued",
        "  job   J1\u00a0queued  ",
        "job\nJ1\r\n\tqueued",
        "job J1 queued.",
        "job J1 queued .",
        "job J1. queued",
        '"job" “J1” «queued»',
        "`job J1 queued`",
        "`job J1 queued`.",
        "/ota-cancel job J1 queued",
        "/ota-cancel /OTA-cancel job J1 queued",
        "job <http://J1|J1> queued",
        "job J1 \u200bqueued\ufeff",
    ],
)
def test_how_it_is_typed_does_not_matter(text: str) -> None:
    """Case, spaces, quotes, a full stop, a link wrapper and the command typed again leave the order as it is."""
    expected = JOB

    assert expected == parse(text)


@pytest.mark.parametrize("dash", ["-", "_", "\u2010", "\u2011", "\u2013", "\u2014", "\u2212"])
def test_any_dash_makes_in_progress(dash: str) -> None:
    """The one status word of two parts is known with each kind of dash between them."""
    assert CancelJob(job="J1", statuses=(Status.IN_PROGRESS,)) == parse(f"job J1 In{dash}Progress")


@pytest.mark.parametrize(
    "text", ["a,b", "a , b", "a ,b", "a and b", "a, and b", "b AND a", '"a","b"', '"a, b"', "a,b,a"]
)
def test_any_list_makes_the_names(text: str) -> None:
    """Spaces round commas and `and` for a comma do not matter, and each name counts once."""
    expected = DEVICES

    assert expected == parse(f"devices {text} job J1")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("<http://x.y|x.y>", "x.y"),
        ("<http://x.y>", "http://x.y"),
        ("<mailto:a@b|a@b>", "a@b"),
        ("<@U1|n>", "@n"),
        ("<@U1>", "@U1"),
        ("<#C1|n>", "#n"),
        ("<#C1|>", "#C1"),
        ("<!subteam^S1|@n>", "@n"),
        ("x-<http://x.y|x.y>", "x-x.y"),
        ("x.", "x."),
        ("设备:1/é", "设备:1/é"),
    ],
)
def test_what_slack_made_of_a_name_is_undone(typed: str, name: str) -> None:
    """A device's name is what the person typed before Slack wrapped it."""
    assert CancelDevices(names=(name,), job="J1") == parse(f"devices {typed} job J1")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("job job J1", ("job",)),
        ("because job J1", ("because",)),
        ("on,because,queued job J1", ("because", "on", "queued")),
        ("and job J1", ("and",)),
        ("a,and job J1", ("a", "and")),
        ("and and and job J1", ("and",)),
        ("job,product and b job J1", ("b", "job", "product")),
        ("JOB job J1", ("JOB",)),
        ("/ota-cancel job J1", ("/ota-cancel",)),
    ],
)
def test_a_device_may_be_named_like_a_keyword(text: str, names: tuple[str, ...]) -> None:
    """Where the place makes it clear, a keyword is a device's name."""
    assert CancelDevices(names=names, job="J1") == parse(f"devices {text}")


SLIPS = [
    ("cancel job J1 queued", "cancel", "job J1 queued"),
    ("please cancel job J1 queued now", "please", "job J1 queued"),
    ("cancel J1 queued", "cancel", "job J1 queued"),
    ("jbo J1", "jbo", "job J1"),
    ("jbo J1 queud becuase x", "jbo", "job J1 queued because x"),
    ("job J1 queud", "queud", "job J1 queued"),
    ("job J1 in progress", "in", "job J1 in-progress"),
    ("job J1 in progress, queued", "in", "job J1 queued,in-progress"),
    ("job J1 queued notified", "notified", "job J1 queued,notified"),
    ("job J1 queued notifed", "notifed", "job J1 queued,notified"),
    ("job J1 all", "all", "job J1"),
    ("job J1 all on eu because x", "all", "job J1 on eu because x"),
    ("job J1 not queued", "not", "job J1"),
    ("job J1 queued for reason x y", "for", "job J1 queued because x y"),
    ("job J1 queued for x", "for", "job J1 queued because x"),
    ("job J1, queued", ",", "job J1 queued"),
    ("job J1 and queued", "and", "job J1 queued"),
    ("job J1 queued, on eu", "on", "job J1 queued on eu"),
    ("job J1 queued,", "", "job J1 queued"),
    ("job J1 queued on", "", "job J1 queued"),
    ("job J1 queued because", "", "job J1 queued"),
    ("job J1 queued because \u202e\x00", "��", "job J1 queued"),
    ("job J1 queued at eu", "at", "job J1 queued on eu"),
    ("job J1 queued on eu it broke", "it", "job J1 queued on eu because it broke"),
    ("device a job J1", "device", "devices a job J1"),
    ("devices a b job J1", "b", "devices a,b job J1"),
    ("devices 1 2 job J1", "2", "devices 1,2 job J1"),
    ("devices a,b, job J1", "job", "devices a,b job J1"),
    ("devices a,b J1", "J1", "devices a,b job J1"),
    ("devices a product P1 F1", "F1", "devices a product P1 firmware F1"),
    ("strategy J1 queued", "queued", "strategy J1 and queued"),
    ("strategy J1, queued", ",", "strategy J1 and queued"),
    ("strategy J1 and", "", "strategy J1"),
    ("preview J1 queued", "J1", "preview job J1 queued"),
    ("preview please job J1", "please", "preview job J1"),
    ("jobs eu", "eu", "jobs on eu"),
    ("list foo", "foo", "list"),
    ("status 41", "status", "show 41"),
    ("#41", "#41", "show 41"),
    ("show 41 42", "42", "show 41"),
    ("hello", "hello", "help"),
    ("xyzzy J1", "xyzzy", "help"),
]


@pytest.mark.parametrize(("text", "word", "nearest"), SLIPS)
def test_a_slip_is_answered_with_the_nearest_command(text: str, word: str, nearest: str) -> None:
    """The error quotes the wrong word, and the nearest command keeps what was right."""
    with pytest.raises(UsageError) as caught:
        parse(text)

    assert (word, nearest) == (caught.value.word, caught.value.nearest)
    assert not word or f"“{word}”" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message", "verb"),
    [
        ("job", "Something is missing after “job”: expected a job's id", "job"),
        ("job queued", "“queued” does not fit there: expected a job's id", "job"),
        ("job because x", "“because” does not fit there: expected a job's id", "job"),
        ("devices", "Something is missing after “devices”: expected a device's name", "devices"),
        ("devices job J1", "“job” does not fit there: expected a device's name", "devices"),
        ("devices a,b", "Something is missing after “b”: expected `,`, `job` or `product`.", "devices"),
        ("devices a product P1", "Something is missing after “P1”: expected `firmware`.", "devices"),
        ("strategy", "Something is missing after “strategy”: expected a job's id", "strategy"),
        ("preview", "Something is missing after “preview”: expected `job`, `devices` or `strategy`.", "preview"),
        ("preview devices a", "Something is missing after “a”: expected", "preview"),
        ("stop", "Something is missing after “stop”: expected a cancellation's number, such as 41.", "stop"),
        ("job on on eu", "“on” does not fit there", "job"),
        ("show 0", "“0” does not fit there", "show"),
        ("show -1", "“-1” does not fit there", "show"),
        ("show ４１", "“４１” does not fit there", "show"),  # noqa: RUF001 - digits that are not ASCII
        ("show 9223372036854775808", "“9223372036854775808” does not fit there", "show"),
        ("devices O'Brien job J1", "“O'Brien” does not fit there", "devices"),
        ("devices a\u202eb job J1", "“a�b” does not fit there", "devices"),
        ("devices a\\b job J1", "“a\\b” does not fit there", "devices"),
        ("devices a<b job J1", "“a<b” does not fit there", "devices"),
        ("job J/1 queued", "“J/1” does not fit there", "job"),
        ("list foo", "“foo” does not fit there: expected nothing more.", "list"),
        (f"job {'x' * 65}", f"“{'x' * 39}…” does not fit there", "job"),
    ],
)
def test_the_error_says_what_was_expected(text: str, message: str, verb: str) -> None:
    """A missing or impossible part is named, and the nearest command is an example of the same form."""
    with pytest.raises(UsageError) as caught:
        parse(text)

    assert str(caught.value).startswith(message)
    assert verb == parse(caught.value.nearest).verb


def test_a_wrong_status_is_answered_with_all_five() -> None:
    """`all` is never accepted: the five words are listed."""
    with pytest.raises(UsageError, match="scheduled, unconfirmed, queued, notified, in-progress"):
        parse("job J1 all")


def test_a_reason_is_kept_on_one_line_without_what_nobody_sees() -> None:
    """Whitespace is collapsed; control, bidirectional and zero-width characters and lone surrogates are removed."""
    typed = " it\n\u202ebroke,\ud800 设备\u00a0\x00 👩\u200d🔧 \u200b <!channel> "
    expected = "it broke, 设备 👩\u200d🔧 <!channel>"

    assert expected == clean_reason(typed)


def test_a_reason_has_a_longest_length() -> None:
    """Five hundred characters are kept; of more, the nearest command keeps the first five hundred."""
    reason = "x" * 500
    with pytest.raises(UsageError, match="at most 500 characters, not 501") as caught:
        parse(f"job J1 queued because {reason}y")

    expected = CancelJob(job="J1", statuses=(QUEUED,), reason=reason)
    assert expected == parse(f"job J1 queued because {reason}")
    assert expected == parse(caught.value.nearest)


def test_a_text_has_a_longest_length() -> None:
    """A longer text is told its length, and that names can be uploaded; its nearest command opens the form."""
    with pytest.raises(UsageError, match=r"12,001 characters long.*upload a file") as caught:
        parse("devices " + "x" * 11_993)

    assert OpenForm() == parse(caught.value.nearest)


def test_names_from_a_file_are_sorted_and_checked() -> None:
    """Names that did not come through the words obey the same rule."""
    with pytest.raises(UsageError, match="“a b” is not a device's name") as caught:
        device_names(["b", "a b"])

    expected = ("a", "b")
    assert expected == device_names(["b", "a", "b"])
    assert caught.match(caught.value.word)


def test_statuses_have_one_order() -> None:
    """Statuses are in the order in which tasks pass through them."""
    expected = (Status.SCHEDULED, QUEUED, NOTIFIED)

    assert expected == in_order([NOTIFIED, QUEUED, Status.SCHEDULED, QUEUED])


def test_a_quoted_word_is_short_and_visible() -> None:
    """What is quoted to a person hides nothing and does not fill the screen."""
    expected = "a�" + "b" * 37 + "…"

    assert expected == shown("a\u202e" + "b" * 60)


@pytest.mark.parametrize("form", FORMS, ids=usage)
def test_every_example_makes_its_own_form(form: Form) -> None:
    """The example of each form in the table parses to that form's order, and is written in its canonical words."""
    order = parse(form.example)

    assert form.order is type(order)
    assert form is next(known for known in FORMS if known.writes(order))
    assert form.example == words(order)


def test_the_usage_lines_are_the_contract() -> None:
    """The table shows the words as they are promised."""
    tail = "[on <account>] [because <reason to the end of the line>]"

    assert [
        f"job <job-id> <status>[,<status>…] {tail}",
        f"job <job-id> {tail}",
        f"devices <name>[,<name>…] job <job-id> {tail}",
        f"devices <name>[,<name>…] product <product-key> firmware <firmware-id> {tail}",
        f"strategy <job-id> [and <status>[,<status>…]] {tail}",
        "preview <job | devices | strategy …>",
        "jobs [on <account>]",
        "list",
        "pending",
        "show <id>",
        "stop <id>",
        "retry <id>",
        "help",
        "",
    ] == [usage(form) for form in FORMS]


def test_the_help_shows_every_form() -> None:
    """The help has each form's usage and summary, under the name of the command it is asked of."""
    lines = help_text("ota-bot cancel").splitlines()

    assert [f"ota-bot cancel {usage(form)}".strip() for form in FORMS] == lines[::2]
    assert [form.summary for form in FORMS] == [line.strip() for line in lines[1::2]]


def test_the_help_can_be_limited_to_some_verbs() -> None:
    """A place that offers a few verbs explains these alone."""
    expected = "/ota-cancel show <id>\n    shows a cancellation and its history"

    assert expected == help_text(verbs={"show"})


def test_the_usage_hint_fits_the_manifest() -> None:
    """The hint names every verb, within what Slack takes."""
    hint = usage_hint()

    assert {form.verb for form in FORMS if form.verb} <= set(hint.split())
    assert len(hint) <= 120 < LONGEST_HINT
