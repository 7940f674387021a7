"""The form: opened at once, filled with what one may use, checked on its fields, and taken like a typed order."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any, Final, cast

import pytest
from slack_bolt import BoltContext

from bot.engine.keeper import Halt
from bot.playground.slack.values import Delivery, Message, View
from bot.playground.world import ANN, AUDIT, BEN, GUS, JOB, LEA, OPS
from bot.slack.form_views import instead
from bot.wiring.bot import Bot
from tests.journeys.stage import PATIENCE, Scene, until

VALVES: Final = "C0VALVES"
SIDE: Final = "C0SIDE"
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


class Office(Scene):
    """A scene with three accounts and the bot in this process."""

    bot: Bot

    def opened(self, user: str = ANN, channel: str = OPS) -> View:
        """Type the command alone, and return the form once it can be sent."""
        assert "Opening the form." == self.order("", user=user, channel=channel).shown
        return self.form(user)

    def by_shortcut(self, user: str = ANN) -> View:
        """Use the shortcut, and return the form once it can be sent."""
        assert None is self.slack.shortcut(user, "cancel_form").failure
        return self.form(user)

    def form(self, user: str, **wanted: str) -> View:
        """Wait for the form, with these options chosen at first."""

        def there() -> View | None:
            view = self.shown(user)
            chosen = {name: element.get("initial_option", {}).get("value") for name, element in fields(view).items()}
            return view if "submit" in view.body and wanted.items() <= chosen.items() else None

        found = self.slack.wait_for(there, PATIENCE)
        assert found is not None
        return found

    def shown(self, user: str) -> View:
        """Return the view that a person has before them."""
        return self.slack.wait_for(lambda: self.slack.views(user), PATIENCE)[-1]

    def sent_form(self, view: View, **values: Any) -> Delivery:
        """Send the form; what is wrong with it is in `shown` of what this returns."""
        delivery = self.slack.submit_view(view.user, view, values)
        assert None is delivery.failure, delivery.failure
        return delivery

    def requested(self) -> list[dict[str, Any]]:
        """Return what was ordered so far."""
        return [dict(event.body) for event in self.events("requested")]

    def told(self, user: str, text: str) -> Message:
        """Wait until somebody is told something in private."""

        def there() -> list[Message]:
            private = [*self.slack.ephemerals(user), *self.slack.dms(user)]
            return [one for one in private if text in self.slack.plain(one)]

        return self.slack.wait_for(there, PATIENCE)[-1]


def fields(view: View) -> dict[str, dict[str, Any]]:
    """Return a view's fields by action_id."""
    return {block["element"]["action_id"]: block["element"] for block in view.blocks if block["type"] == "input"}


def values(view: View, name: str) -> list[str]:
    """Return the values that a field offers."""
    return [option["value"] for option in fields(view)[name]["options"]]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Office(tmp_path_factory.mktemp("office")) as office:
        office.config.write_text(office.config.read_text() + ACCOUNTS.format(cloud=office.cloud.url))
        office.slack.add_channel(SIDE, "side", [ANN, BEN])
        office.slack.add_channel(VALVES, "valves", [ANN, BEN, LEA])
        with office.hosted() as bot:
            office.bot = bot
            yield office


@pytest.fixture
def job(office: Office) -> str:
    """Give a job that nobody has ordered: an order like one that is open would be held."""
    return new_job(office)


def new_job(office: Office) -> str:
    made = f"form-{next(NUMBERS)}"
    office.cloud.fleet.add_job(made, counts={"QUEUED": 40, "NOTIFIED": 12}, device_prefix=made)
    return made


@pytest.fixture(autouse=True)
def nobody_has_a_form_open(office: Office) -> Iterator[None]:
    yield
    for user in (ANN, BEN, GUS, LEA):
        office.slack.close_views(user)


# --- what is on it ---------------------------------------------------------------------------------------------------


def test_a_view_is_opened_before_anybody_is_looked_up(office: Office) -> None:
    """The trigger is spent on a view that asks for patience; the form takes its place."""
    calls = len(office.slack.calls)

    view = office.opened()

    methods = [call.method for call in office.slack.calls[calls:]]
    assert "views.open" == methods[0]
    assert "views.update" == methods[-1]
    assert "Cancel OTA tasks" == view.body["title"]["text"]


@pytest.mark.parametrize(
    ("user", "channel", "accounts"), [(ANN, OPS, ["pumps", "tuya-eu"]), (BEN, OPS, ["valves"]), (ANN, SIDE, ["pumps"])]
)
def test_only_what_one_may_use_there_is_offered(office: Office, user: str, channel: str, accounts: list[str]) -> None:
    """The form offers the accounts that the person may order on in that channel, the default first."""
    assert accounts == values(office.opened(user, channel), "account")


def test_each_operation_has_its_fields(office: Office) -> None:
    """The fields are those of the operation that is chosen; what was chosen before stays chosen."""
    view = office.opened()
    assert ["account", "operation", "job", "statuses", "reason"] == list(fields(view))

    office.slack.press(ANN, view, "operation", "devices")
    devices = office.form(ANN, operation="devices")
    assert ["account", "operation", "names", "file", "job", "product", "firmware", "reason"] == list(fields(devices))

    office.slack.press(ANN, devices, "operation", "strategy")
    strategy = office.form(ANN, operation="strategy")
    assert ["account", "operation", "job", "statuses", "reason"] == list(fields(strategy))


def test_each_cloud_has_its_offer(office: Office) -> None:
    """With another account the form offers what that cloud does: no strategies and fewer statuses on Tuya."""
    view = office.opened()
    assert ["job", "devices", "strategy"] == values(view, "operation")

    office.slack.press(ANN, view, "account", "tuya-eu")
    tuya = office.form(ANN, account="tuya-eu")

    assert ["job", "devices"] == values(tuya, "operation")
    assert ["unconfirmed", "queued", "notified"] == values(tuya, "statuses")


def test_the_shortcut_asks_for_the_channel(office: Office) -> None:
    """The shortcut offers all that one may use anywhere; an account with two channels asks where to post the card."""
    view = office.by_shortcut()

    assert ["pumps", "tuya-eu"] == values(view, "account")
    assert [OPS, SIDE] == values(view, "channel")
    assert ["#ota-ops", "#side"] == [option["text"]["text"] for option in fields(view)["channel"]["options"]]

    office.slack.press(ANN, view, "account", "tuya-eu")
    assert "channel" not in fields(office.form(ANN, account="tuya-eu"))


@pytest.mark.parametrize(
    ("user", "channel", "said"),
    [
        (GUS, OPS, "Refused: guests of this workspace may not cancel anything. Nothing was done."),
        (LEA, OPS, "Refused: not among the requesters of account pumps. Nothing was done."),
        (ANN, AUDIT, "No account may be used in this channel. Nothing was done."),
    ],
)
def test_who_may_use_nothing_is_told(office: Office, user: str, channel: str, said: str) -> None:
    """In the form's place stands why there is nothing to fill in; that a person was refused is remembered."""
    refused = len(office.events("refused"))

    office.order("", user=user, channel=channel)

    office.slack.wait_for(lambda: said in office.slack.plain(office.shown(user)), PATIENCE)
    assert "submit" not in office.shown(user).body
    assert refused + said.startswith("Refused") == len(office.events("refused"))


def test_a_slack_that_says_nothing_of_people_lets_nobody_in(office: Office) -> None:
    """When Slack does not say who somebody is, there is no form, and the view says so."""
    office.slack.add_user("U0NEW", "new")
    office.slack.faults.add("users.info", error="internal_error", times=3)

    office.order("", user="U0NEW", force=True)

    office.slack.wait_for(lambda: "Close this and try again" in office.slack.plain(office.shown("U0NEW")), PATIENCE)
    office.slack.close_views("U0NEW")
    office.slack.faults.__init__()  # type: ignore[misc]


def test_a_form_that_does_not_open_is_said(office: Office) -> None:
    """When the trigger has run out, the asker hears of it, and what to do."""
    office.slack.faults.add("views.open", error="expired_trigger_id")

    office.order("")

    office.told(ANN, "The form could not be opened (expired_trigger_id). Nothing was done; type /ota-cancel again.")


# --- sending it ------------------------------------------------------------------------------------------------------


def test_a_form_is_an_order(office: Office, job: str) -> None:
    """What is sent is stored as if it had been typed, the form closes, its sender is told, and a card follows."""
    view = office.opened()

    office.sent_form(view, job=f" “{job}” ", statuses=["queued", "notified"], reason="it  bricks")

    body = office.requested()[-1]
    assert (job, ["queued", "notified"], "it bricks", "pumps", OPS, "slack") == (
        body["order"]["job"],
        body["order"]["statuses"],
        body["order"]["reason"],
        body["account"],
        body["channel"],
        body["via"],
    )
    assert () == office.slack.views(ANN)
    number = len(office.requested())
    office.told(ANN, f"#{number}: reading job `{job}` on pumps. What comes of it follows here.")
    assert "Waiting for confirmation" in office.card(number).text


def test_the_shortcuts_card_is_posted_where_it_was_asked_for(office: Office, job: str) -> None:
    """A form without a channel of its own posts the card in the channel that was picked."""
    office.sent_form(office.by_shortcut(), channel=SIDE, job=job, statuses=["queued"])

    assert SIDE == office.requested()[-1]["channel"]


@pytest.mark.parametrize(
    ("filled", "said"),
    [
        ({"job": "one two", "statuses": ["queued"]}, "“one two” is not a job's id"),
        ({"job": "queued", "statuses": ["queued"]}, "“queued” is not a job's id"),
        ({"job": JOB, "statuses": ["queued"], "reason": "x" * 500}, ""),
    ],
)
def test_what_is_wrong_is_said_on_its_field(office: Office, filled: dict[str, Any], said: str) -> None:
    """A field that makes no order says why and the form stays open; nothing is stored."""
    before = len(office.requested())

    shown = office.sent_form(office.opened(), **filled).shown

    assert said in shown
    assert (before if said else before + 1) == len(office.requested())
    assert bool(said) == bool(office.slack.views(ANN))


def devices(office: Office) -> View:
    """Open the form for devices."""
    view = office.opened()
    office.slack.press(ANN, view, "operation", "devices")
    return office.form(ANN, operation="devices")


@pytest.mark.parametrize(
    ("filled", "said"),
    [
        ({"names": "d1", "job": ""}, "Give a job's id"),
        ({"job": JOB}, "Type the names here, or upload a file with them."),
        ({"names": "d1\nd2<\n", "job": JOB}, "“d2<” in line 2"),
        ({"names": "d1", "job": JOB, "product": "P", "firmware": "F"}, "Give a job, or a product and a firmware"),
        ({"names": "d1", "product": "P"}, "Give a firmware's id."),
    ],
)
def test_what_is_wrong_with_devices_is_said(office: Office, filled: dict[str, Any], said: str) -> None:
    """Names that are none are quoted with their line; a job, or a product and a firmware, is needed."""
    before = len(office.requested())

    assert said in office.sent_form(devices(office), **filled).shown
    assert before == len(office.requested())


def test_what_a_cloud_does_not_offer_is_said_in_the_form(office: Office) -> None:
    """A form that an old offer was chosen in says the cloud's own reason, and stores nothing."""
    view = office.opened()
    before = len(office.requested())
    changed = {"account": "tuya-eu", "job": JOB, "statuses": ["in-progress"]}

    shown = office.sent_form(view, **changed).shown

    assert shown.startswith("Not on tuya-eu: in-progress: Tuya's CancelOTATaskByJob does not offer")
    assert before == len(office.requested())


def test_typed_names_are_an_order(office: Office, job: str) -> None:
    """Names that are typed are sorted, each once, and stand on the card as a count."""
    names = sorted(office.cloud.fleet.devices(job, "QUEUED"))[:3]

    office.sent_form(devices(office), names=f"{names[2]}, {names[0]}\n{names[1]}\n{names[0]}", job=job)

    number = len(office.requested())
    assert 3 == office.state(number).order.count  # type: ignore[union-attr]
    assert f"3 devices of job {job}" in office.card(number).text


def test_an_uploaded_list_is_an_order(office: Office, job: str) -> None:
    """The file is read after the acknowledgement, its names are kept in the ledger, and a card follows."""
    names = sorted(office.cloud.fleet.devices(job, "QUEUED"))[:20]
    listed = office.slack.upload("names.csv", ("\ufeffDeviceName\r\n" + "\r\n".join(names)).encode(), ANN)

    office.sent_form(devices(office), file=[listed], job=job, reason="from a file")

    number = len(office.requested())
    assert listed["id"] == office.requested()[-1]["order"]["file"]
    assert f"20 devices of job {job}" in office.card(number).text
    assert names[0] not in json.dumps([dict(event.body) for event in office.events()])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"good-1\nnot<good\n", "“not<good” in line 2"),
        (b"\n\n", "There is no device name in it."),
        ("gerät".encode("latin-1"), "The file is not text in UTF-8"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(office: Office, job: str, content: bytes, said: str) -> None:
    """A file that holds no list ends the order, and whoever sent it is told why, in private."""
    office.sent_form(devices(office), file=[office.slack.upload("names.txt", content, ANN)], job=job)

    number = len(office.requested())
    office.told(ANN, said)
    assert "Voided" == until(lambda: office.state(number).phase).value
    assert [] == office.cards(number)


def test_who_cannot_be_told_in_the_channel_is_told_directly(office: Office, job: str) -> None:
    """When Slack shows somebody nothing in the channel, what comes of their form is a direct message."""
    office.slack.faults.add("chat.postEphemeral", error="user_not_in_channel", times=2)

    office.sent_form(devices(office), file=[office.slack.upload("names.txt", b"<>\n", ANN)], job=job)

    office.slack.wait_for(lambda: [one for one in office.slack.dms(ANN) if "Not a device" in one.text], PATIENCE)
    office.slack.faults.__init__()  # type: ignore[misc]


# --- who sends it, how often, and when -------------------------------------------------------------------------------


def test_a_form_says_nothing_of_who_may(office: Office, job: str) -> None:
    """Whoever sends a form is looked up like any asker: what stands in it opens no account to them."""
    view = office.opened()

    office.slack.submit_view(LEA, view, {"job": job, "statuses": ["queued"]})

    office.told(LEA, "Refused: not among the requesters of account pumps. Nothing was changed.")
    assert LEA == office.events("requested")[-1].actor
    assert [] == office.cards(len(office.requested()))


def test_another_place_in_the_form_is_no_way_in(office: Office, job: str) -> None:
    """A channel that is written into the form, and where the account is not at home, is refused."""
    view = office.opened()
    forged = json.dumps({"channel": AUDIT})
    sent = office.sent_form(view, job=job, statuses=["queued"])
    payload = {**sent.payload, "view": {**sent.payload["view"], "private_metadata": forged, "id": "V0OTHER"}}

    office.slack._send("interactive", ANN, payload)

    office.told(ANN, "Refused: account pumps may not be used in this channel. Nothing was changed.")


def test_the_same_form_opens_one_cancellation(office: Office, job: str) -> None:
    """A form that is delivered again is one order."""
    sent = office.sent_form(office.opened(), job=job, statuses=["queued"])
    number = len(office.requested())

    office.slack.redeliver(sent)

    assert number == len(office.requested())
    office.told(ANN, f"That is #{number} already.")


class Told:
    """An acknowledgement that only remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def __call__(self, **given: Any) -> None:
        """Take it."""
        self.given.append(given)

    @property
    def errors(self) -> str:
        """What is said on the fields."""
        return " ".join(self.given[-1]["errors"].values())


def delivered(office: Office, payload: dict[str, Any], *in_time: bool, halt: Halt | None = None) -> Told:
    """Deliver a form; each look at the clock finds it in time or not, the last answer for good."""
    answers, told = list(in_time), Told()
    form = office.bot._form(halt or office.bot._halt)
    context = BoltContext({"in_time": lambda: answers.pop(0) if len(answers) > 1 else answers[0]})
    form.submitted(cast(Any, told), payload, payload["view"], context)
    return told


def payload_of(office: Office) -> dict[str, Any]:
    """Return what Slack sends with a form that was stored already, as from a view of its own."""
    sent = office.sent_form(office.opened(), job=new_job(office), statuses=["queued"])
    view = {**sent.payload["view"], "id": f"V0{len(office.requested())}"}
    return {**sent.payload, "view": view}


def test_a_form_that_comes_too_late_does_nothing(office: Office) -> None:
    """A form that waited too long says so, and nothing is stored."""
    payload = payload_of(office)
    before = len(office.requested())

    told = delivered(office, payload, False)

    assert "That reached me too late. Nothing was done; send it again." == told.errors
    assert before == len(office.requested())


def test_a_form_that_was_stored_too_late_can_be_sent_again(office: Office) -> None:
    """When Slack has given up the order is void at once; the same form, sent again, is an order of its own."""
    payload, form = payload_of(office), office.bot._form(office.bot._halt)
    before = len(office.requested())

    def sent(*in_time: bool) -> Told:
        answers, told = list(in_time), Told()
        context = BoltContext({"in_time": lambda: answers.pop(0) if len(answers) > 1 else answers[0]})
        form.submitted(cast(Any, told), payload, payload["view"], context)
        return told

    late = sent(True, False)
    again, more = sent(True), sent(True)

    assert f"That took too long. Nothing was done (#{before + 1}); send it again." == late.errors
    assert "Voided" == office.state(before + 1).phase.value
    assert [{"response_action": "clear"}] * 2 == again.given + more.given
    assert before + 2 == len(office.requested())


def test_a_bot_that_leaves_takes_no_forms(office: Office) -> None:
    """While the process is leaving a form stays as it is, and says that it can be sent again."""
    halt = Halt()
    halt.ask()
    payload = payload_of(office)
    before = len(office.requested())

    told = delivered(office, payload, True, halt=halt)

    assert "I am being restarted. Nothing was done; try again in a minute." == told.errors
    assert before == len(office.requested())


def test_a_bot_that_leaves_says_so_to_the_shortcut(office: Office) -> None:
    """While the process is leaving the shortcut opens a view that says so."""
    halt = Halt()
    halt.ask()
    body = {"user": {"id": ANN}, "trigger_id": office.slack.new_trigger(ANN)}

    office.bot._form(halt).shortcut(cast(Any, Told()), body)

    assert instead("I am being restarted. Nothing was done; try again in a minute.")["blocks"][0]["text"]["text"] in (
        office.slack.plain(office.shown(ANN))
    )


def test_a_broken_form_is_acknowledged(office: Office) -> None:
    """Whatever else stands in a form, it is answered on a field, and nothing is stored."""
    payload = payload_of(office)
    before = len(office.requested())
    view = {**payload["view"], "state": {"values": {"x": {"account": {"value": 7}}, "y": None}}}

    told = delivered(office, {**payload, "view": view}, True)

    assert "That account is not configured any more. Open the form again." == told.errors
    assert before == len(office.requested())


def test_a_form_without_fields_is_answered_in_its_place(office: Office) -> None:
    """A form of another version, which has no field to say it on, is replaced by what is wrong with it."""
    payload = payload_of(office)

    told = delivered(office, {**payload, "view": {**payload["view"], "state": {}, "blocks": []}}, True)

    assert "update" == told.given[-1]["response_action"]
    assert "Open the form again." in str(told.given[-1]["view"])
