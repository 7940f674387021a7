"""What holds for every text and every order."""

from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.command import FORMS, parse, words
from bot.domain.errors import UsageError
from bot.domain.order import (
    AskHelp,
    AskJobs,
    AskList,
    AskPending,
    AskPreview,
    AskShow,
    Cancel,
    CancelDevices,
    CancelJob,
    CancelStrategy,
    OpenForm,
    Order,
    RetryOne,
    StopOne,
)
from bot.domain.status import Status
from bot.domain.words import clean_reason, device_names, in_order

PLACES = frozenset({"on", "and", "because", "in_progress", *Status})
KEYWORDS = sorted(PLACES | {form.verb for form in FORMS} | {"product", "firmware", "ota-cancel"} - {""})
# No id is drawn like these, so that they are keywords wherever an order without device names has them.
CASELESS = frozenset({"on", "and", *Status})


def is_device(name: str) -> bool:
    """Tell whether a device may be called so."""
    try:
        return bool(device_names([name]))
    except UsageError:
        return False


ids = st.from_regex(r"[A-Za-z0-9_-]([A-Za-z0-9_.:@*-]{0,30}[A-Za-z0-9_-])?", fullmatch=True).filter(
    lambda text: text.lower() not in PLACES
)
accounts = st.from_regex(r"[A-Za-z0-9_-]([A-Za-z0-9_.-]{0,9}[A-Za-z0-9_-])?", fullmatch=True).filter(
    lambda text: text.lower() not in PLACES
)
devices = (st.sampled_from(KEYWORDS) | st.text(min_size=1, max_size=12)).filter(is_device)
reasons = (
    (st.text(max_size=60) | st.lists(st.sampled_from([*KEYWORDS, ",", '"', "<!channel>", "<x|", "."])).map(" ".join))
    .map(clean_reason)
    .filter(bool)
)
numbers = st.integers(min_value=1, max_value=2**63 - 1)
statuses = st.sets(st.sampled_from(Status)).map(in_order)
tail: dict[str, Any] = {"account": st.none() | accounts, "reason": st.none() | reasons}
names = st.sets(devices, min_size=1, max_size=6).map(sorted).map(tuple)
cancels: st.SearchStrategy[Cancel] = st.one_of(
    st.builds(CancelJob, job=ids, statuses=statuses, **tail),
    st.builds(CancelStrategy, job=ids, statuses=statuses, **tail),
    st.builds(CancelDevices, names=names, job=ids, **tail),
    st.builds(CancelDevices, names=names, product=ids, firmware=ids, **tail),
)
orders: st.SearchStrategy[Order] = st.one_of(
    cancels,
    st.builds(AskPreview, order=cancels),
    st.builds(AskJobs, account=st.none() | accounts),
    st.builds(AskShow, id=numbers),
    st.builds(StopOne, id=numbers),
    st.builds(RetryOne, id=numbers),
    st.sampled_from([AskList(), AskPending(), AskHelp(), OpenForm()]),
)
odd = [
    "J1",
    "41",
    "#41",
    ",",
    ".",
    '"',
    "“",
    "<",
    ">",
    "|",
    "<@U1|n>",
    "\u200b",
    "\u202e",
    "\ud800",
    "\x00",
    "\u00a0",
    "—",
]
slips = ["jbo", "queud", "all", "for", "reason", "in", "progress", "/ota-cancel", "x" * 600]
pieces = st.sampled_from([*KEYWORDS, *odd, *slips])
texts = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.lists(pieces, max_size=12).map(" ".join),
    st.lists(pieces, max_size=12).map("".join),
    st.builds(
        lambda order, piece, at: words(order)[:at] + piece + words(order)[at:], orders, pieces, st.integers(0, 40)
    ),
)
spaces = st.sampled_from([" ", "  ", "\u00a0", "\n", " \t ", "\u3000"])
quotes = st.sampled_from(["{}", '"{}"', "“{}”", "`{}`", "«{}»", "\u200b{}"])


@settings(deadline=None, max_examples=400)
@given(texts)
@example("devices " + "a," * 5_990)
@example("devices " + "a " * 5_990)
@example("<a|" * 4_000)
@example('job J1 queued because "' + "x" * 600)
def test_any_text_is_an_order_or_a_usage_error_whose_nearest_command_parses(text: str) -> None:
    """Nothing but an order or a `UsageError` comes of a text, and the nearest command is canonical and correct."""
    try:
        order = parse(text)
    except UsageError as error:
        order = parse(error.nearest)

    assert order == parse(words(order))


@settings(deadline=None, max_examples=400)
@given(orders)
@example(CancelDevices(names=("a", "and"), job="job"))
@example(CancelDevices(names=("and", "job", "product"), product="product", firmware="firmware"))
def test_canonical_words_make_the_same_order(order: Order) -> None:
    """Writing an order and reading it again changes nothing."""
    assert order == parse(words(order))


@settings(deadline=None, max_examples=200)
@given(orders, st.data())
def test_noise_does_not_change_the_order(order: Order, data: st.DataObject) -> None:
    """Spaces, quotes, the case of keywords, and the command typed again leave the order as it is."""
    calm = without_reason(order)
    caseless = frozenset[str]() if "devices" in words(calm) else CASELESS
    noisy = [noise(word, caseless, data) for word in words(calm).split(" ")]
    text = data.draw(spaces).join(["/ota-cancel", *noisy]) + data.draw(st.sampled_from(["", ".", " .", "\n"]))

    assert calm == parse(text)


def without_reason(order: Order) -> Order:
    """Return the order without its reason, in which noise would matter."""
    match order:
        case CancelJob() | CancelDevices() | CancelStrategy():
            return replace(order, reason=None)
        case AskPreview():
            return replace(order, order=replace(order.order, reason=None))
        case _:
            return order


def noise(word: str, caseless: frozenset[str], data: st.DataObject) -> str:
    """Return a word, or a list with commas, with noise that does not matter."""
    if word in caseless and data.draw(st.booleans()):
        return word.upper()
    comma = data.draw(st.sampled_from([",", " , ", ", "]))
    return comma.join(data.draw(quotes).format(part) for part in word.split(","))
