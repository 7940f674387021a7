"""What the form's fields make: an order, or everything that is wrong with them at once."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.account import Cloud
from bot.domain.names import LARGEST
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.status import Status
from bot.playground.slack.block_kit import view_problems
from bot.slack.form_fields import LONGEST_ERROR, Filled, MisfilledError, Operation, filled, order_of
from bot.slack.form_views import Choice, Usable, form, instead, loading, operations
from tests.builders import account

FILE: Final = {"id": "F1", "size": 10}
QUEUED: Final = ("queued",)


def made(operation: str, statuses: tuple[str, ...] = (), files: tuple[Any, ...] = (), **texts: str) -> Filled:
    return Filled(texts={"operation": operation, **texts}, statuses=statuses, files=files)


def wrong(form: Filled) -> dict[str, str]:
    with pytest.raises(MisfilledError) as raised:
        order_of(form)
    return dict(raised.value.errors)


@pytest.mark.parametrize(
    ("form", "order"),
    [
        (made("job", ("notified", "queued"), job="J1"), CancelJob(job="J1", statuses=(Status.QUEUED, Status.NOTIFIED))),
        (made("", QUEUED, job="`J1`"), CancelJob(job="J1", statuses=(Status.QUEUED,))),
        (made("strategy", job="J1", reason=" a\n b "), CancelStrategy(job="J1", reason="a b")),
        (made("strategy", QUEUED, job="J1"), CancelStrategy(job="J1", statuses=(Status.QUEUED,))),
        (made("devices", names="b, a;b", job="J1"), CancelDevices(names=("a", "b"), job="J1")),
        (made("devices", files=(FILE,), job="J1"), CancelDevices(file="F1", job="J1")),
        (
            made("devices", names="a", product="P1", firmware="F1"),
            CancelDevices(names=("a",), product="P1", firmware="F1"),
        ),
    ],
)
def test_fields_make_an_order(form: Filled, order: Cancel) -> None:
    """Each operation's fields make the order that the typed words would."""
    assert order == order_of(form)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (made("job"), {"job", "statuses"}),
        (made("job", ("paused",), job="J1"), {"statuses"}),
        (made("job", QUEUED, job="J1", reason="x" * 501), {"reason"}),
        (made("strategy", job="J 1"), {"job"}),
        (made("devices"), {"names", "job"}),
        (made("devices", files=(FILE,), names="a", job="J1"), {"names"}),
        (made("devices", files=(FILE, FILE), job="J1"), {"file"}),
        (made("devices", files=({},), job="J1"), {"file"}),
        (made("devices", files=({"id": "F1", "size": LARGEST + 1},), job="J1"), {"file"}),
        (made("devices", names="a", firmware="F1"), {"product"}),
        (made("devices", names="a", job="J1", product="P1", firmware="F1"), {"job"}),
    ],
)
def test_each_fault_is_on_its_field(form: Filled, fields: set[str]) -> None:
    """Everything that is wrong is said at once, each on the field that it is about."""
    assert fields == set(wrong(form))


def test_a_long_complaint_is_short_enough_to_read() -> None:
    """Of many wrong names a few are quoted, and no complaint is longer than fits below a field."""
    said = wrong(made("devices", names="\n".join(["<" * 60] * 40), job="J1"))["names"]

    assert "and 35 more" in said
    assert len(said) <= LONGEST_ERROR


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["job", "file", "files", "value", "selected_option", "selected_options", "statuses"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_no_payload_breaks_the_reading(payload: Any) -> None:
    """Whatever stands where Slack should put a form's values, the fields count as empty or hold texts."""
    held = filled({"state": {"values": {"block": payload}}})

    assert all(isinstance(text, str) for text in held.texts.values())


# --- the views -------------------------------------------------------------------------------------------------------


def usable(cloud: Cloud, name: str = "prod", channels: int = 1) -> Usable:
    named = tuple((f"C{n}", f"channel-{n}") for n in range(channels))
    return Usable(account=account(name=name, cloud=cloud, channels=tuple(one for one, _ in named)), channels=named)


@pytest.mark.parametrize("cloud", Cloud)
@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("channel", ["", "C0OPS"])
@pytest.mark.parametrize("channels", [1, 2, 150])
def test_slack_takes_every_form(cloud: Cloud, operation: Operation, channel: str, channels: int) -> None:
    """Every form keeps to Block Kit's limits, with a hundred and fifty accounts of the longest names, too."""
    many = tuple(usable(cloud, f"{n:03}{'x' * 61}", channels) for n in range(150))

    drawn = form(Choice(usable=many, account="", operation=operation, channel=channel))

    assert [] == view_problems(drawn)
    assert ("static_select" in str(drawn["blocks"][1])) == (not channel and channels > 1)


@pytest.mark.parametrize("view", [loading("C0OPS"), instead("x" * 4000), instead("<!channel> &amp;")])
def test_slack_takes_what_stands_in_its_place(view: dict[str, Any]) -> None:
    """What is shown while waiting, or instead, has nothing to send and keeps to the limits."""
    assert [] == view_problems(view)
    assert "submit" not in view


def test_more_accounts_than_fit_are_said() -> None:
    """A select takes a hundred options: that there are more is said below it, and how to name them."""
    many = tuple(usable(Cloud.ALIYUN, f"a{n}") for n in range(103))

    drawn = form(Choice(usable=many, account="", operation=Operation.JOB, channel="C0OPS"))

    assert drawn["blocks"][0]["hint"]["text"].startswith("3 more are not in this list")


def test_an_operation_that_is_not_offered_falls_back() -> None:
    """A strategy that was chosen before another cloud was is not asked for there."""
    drawn = form(Choice(usable=(usable(Cloud.ENOS),), account="", operation=Operation.STRATEGY, channel="C0OPS"))

    assert (Operation.JOB, Operation.DEVICES) == operations(Cloud.ENOS)
    assert ["account", "operation/enos", "job", "statuses/enos", "reason"] == [
        block["block_id"] for block in drawn["blocks"] if block["type"] == "input"
    ]
