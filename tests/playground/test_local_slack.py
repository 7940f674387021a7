"""The local Slack, held against a real Bolt app over its real sockets."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import RetryHandler
from slack_sdk.webhook import WebhookClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bot.playground.slack.forms import CannotAct
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Message, Payload

OPS = "C0OPS"
ANN, BOB = "U0ANN", "U0BOB"


class Clock:
    """Unix seconds that a test may push ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.time() + self.ahead


def populated(slack: LocalSlack) -> LocalSlack:
    slack.add_user(ANN, "ann")
    slack.add_user(BOB, "bob")
    slack.add_group("S0LEADS", "leads", [BOB])
    slack.add_channel(OPS, "ops", [ANN, BOB])
    return slack


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(clock: Clock) -> Iterator[LocalSlack]:
    with populated(LocalSlack(now=clock)) as running:
        yield running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    return client_of(slack)


def client_of(slack: LocalSlack, token: str | None = None) -> WebClient:
    handlers: list[RetryHandler] = []
    return WebClient(token=token or slack.bot_token, base_url=slack.api_url, retry_handlers=handlers)


@contextmanager
def connected(slack: LocalSlack, set_up: Callable[[App], None]) -> Iterator[SocketModeHandler]:
    """Connect a Bolt app with the given listeners by Socket Mode."""
    app = App(client=client_of(slack))
    set_up(app)
    handler = SocketModeHandler(app, slack.app_token, ping_interval=0.2)
    handler.client.connect()
    slack.wait_for(lambda: slack.connections == 1)
    try:
        yield handler
    finally:
        # Its own close waits 3 s for a last read and 1 s for a last message: a cut and an empty message end both.
        handler.client.default_auto_reconnect_enabled = handler.client.auto_reconnect_enabled = False
        slack.drop_connections()
        # Two threads that close the same session at once make slack_sdk raise.
        deadline = time.monotonic() + 1
        while handler.client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.01)
        handler.client.closed = True
        handler.client.enqueue_message("")
        handler.client.close()
        slack.wait_for(lambda: slack.connections == 0)


def button(action_id: str, label: str = "Go", **more: Any) -> Payload:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": label}, **more}


def card(*buttons: Payload, text: str = "A card") -> list[Payload]:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return [section, {"type": "actions", "elements": list(buttons)}] if buttons else [section]


def refused(call: Callable[[], object]) -> Payload:
    """Return the body of the refusal that a call meets."""
    with pytest.raises(SlackApiError) as caught:
        call()
    body = caught.value.response.data
    assert isinstance(body, dict)
    return body


def only(messages: tuple[Message, ...]) -> Message:
    (message,) = messages
    return message


def test_a_command_is_acknowledged_and_answered(slack: LocalSlack) -> None:
    """A slash command reaches a real Bolt app, whose acknowledgement the person reads."""

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, command: Payload) -> None:
            ack(f"looking up *{command['text']}* for <@{command['user_id']}>")

    with connected(slack, set_up) as handler:
        delivery = slack.command(ANN, OPS, "job 7")
        session = handler.client.current_session
        assert session is not None
        assert session.last_ping_pong_time is not None
    assert delivery.acked_in is not None
    assert "looking up job 7 for @ann" == delivery.shown
    assert "looking up *job 7* for <@U0ANN>" == only(slack.ephemerals(ANN)).text
    assert () == slack.messages(OPS)


def test_a_press_carries_the_message_and_edits_it(slack: LocalSlack, client: WebClient) -> None:
    """A press sends the message as it is; an update makes a new version, and the old one is still known."""
    seen: list[Payload] = []

    def set_up(app: App) -> None:
        @app.action("confirm")
        def confirm(ack: Any, body: Payload, client: WebClient) -> None:
            ack()
            seen.append(body)
            client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="done")

    client.chat_postMessage(
        channel=OPS, text="t", blocks=card(button("confirm", "Cancel 2", value="7", style="danger"))
    )
    message = only(slack.messages(OPS))
    assert "A card\n[! Cancel 2]" == slack.plain(message)
    with connected(slack, set_up):
        assert slack.press(ANN, message, "confirm").acked_in is not None
        slack.wait_for(lambda: only(slack.messages(OPS)).text == "done")
        with pytest.raises(CannotAct, match="no 'confirm'"):
            slack.press(BOB, message, "confirm")
        slack.press(BOB, message, "confirm", force=True)
    edited = only(slack.messages(OPS))
    assert ["t", "done", "done"] == [version.text for version in edited.versions]
    assert () == edited.blocks
    assert ["7", "7"] == [body["actions"][0]["value"] for body in seen]
    assert [ANN, BOB] == [body["user"]["id"] for body in seen]
    assert message.ts == seen[0]["container"]["message_ts"]
    assert list(message.blocks) == seen[0]["message"]["blocks"]


def test_respond_posts_replaces_and_deletes(slack: LocalSlack) -> None:
    """The response_url posts for the person alone, replaces and deletes, five times and no more."""

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, respond: Any) -> None:
            ack()
            respond("first", blocks=card(button("again")))
            respond("for all", response_type="in_channel")

        @app.action("again")
        def again(ack: Any, respond: Any, body: Payload) -> None:
            assert body["container"]["is_ephemeral"]
            assert "message" not in body
            ack()
            respond("second", replace_original=True)
            respond(delete_original=True)

    with connected(slack, set_up):
        delivery = slack.command(ANN, OPS)
        slack.wait_for(lambda: slack.messages(OPS))
        first = only(slack.ephemerals(ANN))
        slack.press(ANN, first, "again")
        slack.wait_for(lambda: not slack.ephemerals(ANN))
    assert "" == delivery.shown
    assert "for all" == only(slack.messages(OPS)).text
    hook = WebhookClient(delivery.payload["response_url"])
    assert [200, 200, 200, 404] == [hook.send(text="more").status_code for _ in range(4)]


def test_a_response_url_ends_after_thirty_minutes(slack: LocalSlack, clock: Clock) -> None:
    """A response_url that is too old answers expired_url."""
    hook = WebhookClient(slack.command(ANN, OPS).payload["response_url"])
    clock.ahead = 30 * 60 + 1
    assert '"expired_url"' in hook.send(text="late").body


def test_the_person_sees_why_nothing_came(slack: LocalSlack) -> None:
    """No connection is dispatch_failed at once, and no acknowledgement in time is operation_timeout."""
    assert "dispatch_failed" == slack.command(ANN, OPS).shown
    release = threading.Event()

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any) -> None:
            release.wait(2)
            ack("late")

    slack.sockets.ack_within = 0.3
    with connected(slack, set_up):
        delivery = slack.command(ANN, OPS)
        release.set()
        slack.wait_for(lambda: slack.sockets.late_acks)
    assert (None, "operation_timeout") == (delivery.acked_in, delivery.shown)
    assert () == slack.ephemerals(ANN)


def test_refreshes_and_broken_connections_are_survived(slack: LocalSlack) -> None:
    """After a disconnect message, and after a cut, the client comes back and the same envelope can come again."""
    runs: list[str] = []

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, command: Payload) -> None:
            ack()
            runs.append(command["text"])

    def opened() -> int:
        return sum(call.method == "apps.connections.open" for call in slack.calls)

    with connected(slack, set_up):
        first = slack.command(ANN, OPS, "one")
        slack.disconnect()
        slack.wait_for(lambda: opened() == 2 and slack.connections == 1)
        assert slack.redeliver(first).acked_in is not None
        slack.drop_connections()
        slack.wait_for(lambda: opened() == 3 and slack.connections == 1)
        assert slack.command(ANN, OPS, "two").acked_in is not None
    assert ["one", "one", "two"] == runs


FORM = {
    "type": "modal",
    "callback_id": "cancel_form",
    "title": {"type": "plain_text", "text": "Cancel"},
    "submit": {"type": "plain_text", "text": "Preview"},
    "blocks": [
        {
            "type": "input",
            "block_id": "job_block",
            "label": {"type": "plain_text", "text": "Job"},
            "element": {"type": "plain_text_input", "action_id": "job", "max_length": 5},
        },
        {
            "type": "input",
            "block_id": "account_block",
            "label": {"type": "plain_text", "text": "Account"},
            "optional": True,
            "element": {
                "type": "static_select",
                "action_id": "account",
                "options": [{"text": {"type": "plain_text", "text": "Prod"}, "value": "prod"}],
            },
        },
    ],
}


def test_a_form_is_opened_refused_and_sent(slack: LocalSlack) -> None:
    """A shortcut opens a form; errors keep it open, the client's own checks come first, and taken it closes."""
    sent: list[Payload] = []

    def set_up(app: App) -> None:
        @app.shortcut("cancel_open")
        def shortcut(ack: Any, body: Payload, client: WebClient) -> None:
            ack()
            client.views_open(trigger_id=body["trigger_id"], view=FORM)

        @app.view("cancel_form")
        def submitted(ack: Any, view: Payload) -> None:
            sent.append(view["state"]["values"])
            wrong = {"job_block": "no such job"} if len(sent) == 1 else {}
            ack(response_action="errors", errors=wrong) if wrong else ack()

    with connected(slack, set_up):
        slack.shortcut(ANN, "cancel_open")
        (view,) = slack.wait_for(lambda: slack.views(ANN))
        with pytest.raises(CannotAct, match="“Job” must be filled in"):
            slack.submit_view(ANN, view, {})
        with pytest.raises(CannotAct, match="6 characters"):
            slack.submit_view(ANN, view, {"job": "123456"})
        with pytest.raises(CannotAct, match="no option 'test'"):
            slack.submit_view(ANN, view, {"job": "7", "account": "test"})
        assert "no such job" == slack.submit_view(ANN, view, {"job": "7"}).shown
        assert {"job_block": "no such job"} == slack.views(ANN)[0].errors
        assert "" == slack.submit_view(ANN, view, {"job": "8", "account": "prod"}).shown
    assert () == slack.views(ANN)
    assert ["7", "8"] == [state["job_block"]["job"]["value"] for state in sent]
    assert [None, "prod"] == [(s["account_block"]["account"]["selected_option"] or {}).get("value") for s in sent]
    assert "Cancel" not in slack.transcript()


ASK: Payload = {
    "type": "modal",
    "callback_id": "cancel_form",
    "notify_on_close": True,
    "title": {"type": "plain_text", "text": "Cancel"},
    "submit": {"type": "plain_text", "text": "Preview"},
    "blocks": [
        {
            "type": "input",
            "block_id": "what_block",
            "label": {"type": "plain_text", "text": "What"},
            "dispatch_action": True,
            "element": {
                "type": "radio_buttons",
                "action_id": "what",
                "options": [
                    {"text": {"type": "plain_text", "text": word}, "value": word} for word in ("job", "devices")
                ],
            },
        },
        {
            "type": "input",
            "block_id": "why_block",
            "optional": True,
            "label": {"type": "plain_text", "text": "Why"},
            "element": {"type": "plain_text_input", "action_id": "why", "multiline": True},
        },
    ],
}
FILE: Payload = {
    "type": "input",
    "block_id": "file_block",
    "label": {"type": "plain_text", "text": "Devices"},
    "element": {"type": "file_input", "action_id": "file", "filetypes": ["csv", "txt"], "max_files": 1},
}


def test_a_form_changes_while_it_is_filled_in_and_takes_a_file(slack: LocalSlack) -> None:
    """A choice tells the bot what is entered by now; it asks for more, takes the file, and reads it with its token."""
    told: list[Payload] = []
    read: list[bytes] = []

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, body: Payload, client: WebClient) -> None:
            ack()
            client.views_open(trigger_id=body["trigger_id"], view=ASK)

        @app.action("what")
        def chosen(ack: Any, body: Payload, client: WebClient) -> None:
            ack()
            told.append(body["view"]["state"]["values"])
            view = {**ASK, "blocks": [*ASK["blocks"], FILE]}
            client.views_update(view_id=body["view"]["id"], hash=body["view"]["hash"], view=view)

        @app.view("cancel_form")
        def submitted(ack: Any, view: Payload, client: WebClient) -> None:
            (file,) = view["state"]["values"]["file_block"]["file"]["files"]
            found = client.files_info(file=file["id"])["file"]
            headers = {"Authorization": f"Bearer {client.token}"}
            read.append(requests.get(found["url_private"], headers=headers, timeout=5).content)
            ack(response_action="update", view={**ASK, "title": {"type": "plain_text", "text": "Preview"}})

    with connected(slack, set_up):
        slack.command(ANN, OPS)
        (view,) = slack.wait_for(lambda: slack.views(ANN))
        slack.press(ANN, view, "what", "devices", values={"why": "bricks"})
        (view,) = slack.wait_for(lambda: [one for one in slack.views(ANN) if len(one.blocks) == 3])
        values: Payload = {"what": "devices", "why": ""}
        with pytest.raises(CannotAct, match="“Devices” must be filled in"):
            slack.submit_view(ANN, view, values)
        with pytest.raises(CannotAct, match="takes csv, txt files, not a"):
            slack.submit_view(ANN, view, {**values, "file": [slack.upload("a.exe", b"x")]})
        both = [slack.upload("a.csv", b"dev-1"), slack.upload("b.csv", b"dev-2")]
        with pytest.raises(CannotAct, match="takes 1 files, not 2"):
            slack.submit_view(ANN, view, {**values, "file": both})
        with pytest.raises(CannotAct, match="not uploaded"):
            slack.submit_view(ANN, view, {**values, "file": [{"id": "F0NONE"}]})
        slack.submit_view(ANN, view, {**values, "file": both[:1]})
        (after,) = slack.views(ANN)

    assert [("devices", "bricks")] == [
        (state["what_block"]["what"]["selected_option"]["value"], state["why_block"]["why"]["value"]) for state in told
    ]
    assert [b"dev-1"] == read
    assert (view.id, "Preview") == (after.id, after.body["title"]["text"])


def test_closing_a_form_is_told_to_who_asked(slack: LocalSlack) -> None:
    """One closed alone is told with `is_cleared` false, a stack with true, and an answer may clear the stack."""
    heard: list[tuple[str, bool]] = []

    def set_up(app: App) -> None:
        @app.view_closed("cancel_form")
        def closed(ack: Any, body: Payload) -> None:
            ack()
            heard.append((body["view"]["id"], body["is_cleared"]))

        @app.view("cancel_form")
        def submitted(ack: Any) -> None:
            ack(response_action="clear")

    def opened() -> list[str]:
        client = client_of(slack)
        first = client.views_open(trigger_id=slack.new_trigger(ANN), view=ASK)["view"]
        second = client.views_push(trigger_id=slack.new_trigger(ANN), view=ASK)["view"]
        assert (first["id"], first["id"]) == (second["root_view_id"], second["previous_view_id"])
        return [first["id"], second["id"]]

    with connected(slack, set_up):
        one = opened()
        slack.close_view(ANN, slack.views(ANN)[-1])
        assert one[:1] == [view.id for view in slack.views(ANN)]
        two = opened()
        slack.close_view(ANN, slack.views(ANN)[-1], all_of_them=True)
        assert () == slack.views(ANN)
        opened()
        slack.submit_view(ANN, slack.views(ANN)[-1], {"what": "job"})
        assert () == slack.views(ANN)

    assert [(one[1], False), (two[1], True), (two[0], True)] == heard


def test_views_are_refused_as_slack_refuses_them(slack: LocalSlack, client: WebClient) -> None:
    """A name used twice, a view too large, a file field without its scope and an unknown view have Slack's names."""

    def open_(**more: Any) -> Callable[[], object]:
        return lambda: client.views_open(trigger_id=slack.new_trigger(ANN), view={**ASK, **more})

    many = [
        {**ASK["blocks"][1], "block_id": str(n), "element": {"type": "plain_text_input", "initial_value": "x" * 3000}}
        for n in range(100)
    ]
    assert "view_too_large" == refused(open_(blocks=many))["error"]
    client.views_publish(user_id=BOB, view={"type": "home", "external_id": "mine", "blocks": card()})
    assert "duplicate_external_id" == refused(open_(external_id="mine"))["error"]
    client.views_publish(user_id=BOB, view={"type": "home", "external_id": "mine", "blocks": card()})
    home = slack.home(BOB)
    assert home is not None
    assert "not_found" == refused(lambda: client.views_update(view_id=home.id, view=ASK))["error"]
    assert "invalid_arguments" == refused(open_(blocks=[{"type": "table", "rows": []}]))["error"]
    slack.scopes = frozenset({"chat:write"})
    assert "files:read" == refused(open_(blocks=[FILE]))["needed"]


def test_the_home_tab_is_published_on_opening(slack: LocalSlack) -> None:
    """Opening the Home tab sends the event, the published view is seen, and its buttons can be pressed."""
    pressed: list[str] = []

    def set_up(app: App) -> None:
        @app.event("app_home_opened")
        def opened(event: Payload, client: WebClient) -> None:
            client.views_publish(user_id=event["user"], view={"type": "home", "blocks": card(button("refresh"))})

        @app.action("refresh")
        def refresh(ack: Any, body: Payload) -> None:
            ack()
            pressed.append(body["view"]["id"])

    with connected(slack, set_up):
        assert slack.open_home(ANN).acked_in is not None
        home = slack.wait_for(lambda: slack.home(ANN))
        assert home is not None
        slack.press(ANN, home, "refresh")
    assert [home.id] == pressed


def test_triggers_open_one_view_within_three_seconds(slack: LocalSlack, client: WebClient, clock: Clock) -> None:
    """A trigger_id is good once, and not for long; a stack holds three views; a stale hash is refused."""
    trigger = slack.new_trigger(ANN)
    opened = client.views_open(trigger_id=trigger, view=FORM)["view"]
    assert "exchanged_trigger_id" == refused(lambda: client.views_open(trigger_id=trigger, view=FORM))["error"]
    late = slack.new_trigger(ANN)
    clock.ahead = 3.1
    assert "expired_trigger_id" == refused(lambda: client.views_open(trigger_id=late, view=FORM))["error"]
    for _ in range(2):
        client.views_push(trigger_id=slack.new_trigger(ANN), view=FORM)
    trigger = slack.new_trigger(ANN)
    assert "push_limit_reached" == refused(lambda: client.views_push(trigger_id=trigger, view=FORM))["error"]
    client.views_update(view_id=opened["id"], hash=opened["hash"], view=FORM)
    stale = refused(lambda: client.views_update(view_id=opened["id"], hash=opened["hash"], view=FORM))
    assert "hash_conflict" == stale["error"]
    assert 3 == len(slack.views(ANN))
    slack.close_view(ANN, slack.views(ANN)[1])
    assert 1 == len(slack.views(ANN))


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
    ("chat.postMessage", {"channel": OPS}, "no_text"),
    ("chat.postMessage", {"channel": OPS, "blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
    ("chat.postMessage", {"channel": OPS, "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
    ("chat.postMessage", {"channel": "C0NONE", "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "C0AWAY", "text": "x"}, "not_in_channel"),
    ("chat.postMessage", {"channel": "C0PRIV", "text": "x"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "C0OLD", "text": "x"}, "is_archived"),
    ("chat.postEphemeral", {"channel": OPS, "user": "U0EVE", "text": "x"}, "user_not_in_channel"),
    ("chat.update", {"channel": OPS, "ts": "1.000001", "text": "x"}, "message_not_found"),
    ("chat.getPermalink", {"channel": OPS, "message_ts": "1.000001"}, "message_not_found"),
    ("users.info", {"user": "U0NONE"}, "user_not_found"),
    ("usergroups.users.list", {"usergroup": "S0NONE"}, "no_such_subteam"),
    ("conversations.info", {"channel": "C0NONE"}, "channel_not_found"),
    ("conversations.open", {"users": ANN}, "missing_scope"),
    ("team.info", {}, "missing_scope"),
    ("files.getUploadURLExternal", {"filename": "a"}, "invalid_arguments"),
    ("files.completeUploadExternal", {"files": [{"id": "F0NONE"}]}, "file_not_found"),
    ("files.info", {"file": "F0NONE"}, "file_not_found"),
    ("views.open", {"trigger_id": "none", "view": FORM}, "invalid_trigger_id"),
    ("views.update", {"view_id": "V0NONE", "view": FORM}, "not_found"),
    ("views.publish", {"user_id": ANN, "view": FORM}, "invalid_arguments"),
    ("apps.connections.open", {}, "not_allowed_token_type"),
    ("nonsense.method", {}, "unknown_method"),
]


def test_refusals_have_slacks_names(slack: LocalSlack, client: WebClient) -> None:
    """Each mistake is answered with the error that Slack has for it, as JSON and as a form."""
    slack.add_channel("C0AWAY", "away", [ANN], bot_member=False)
    slack.add_channel("C0PRIV", "private", [ANN], bot_member=False, is_private=True)
    slack.add_channel("C0OLD", "old", [ANN], is_archived=True)
    for method, args, error in REFUSALS:
        form = {key: value if isinstance(value, str) else json.dumps(value) for key, value in args.items()}
        assert error == refused(partial(client.api_call, method, json=args))["error"]
        assert error == refused(partial(client.api_call, method, params=form))["error"]


def test_tokens_are_checked(slack: LocalSlack) -> None:
    """A wrong token, none, and a missing scope are refused; the answer names the scopes."""
    assert "invalid_auth" == refused(client_of(slack, "xoxb-wrong").auth_test)["error"]
    assert "not_authed" == refused(lambda: WebClient(base_url=slack.api_url).auth_test())["error"]
    answer = client_of(slack).auth_test()
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")
    slack.scopes = frozenset({"chat:write"})
    body = refused(lambda: client_of(slack).users_info(user=ANN))
    assert ("missing_scope", "users:read", "chat:write") == (body["error"], body["needed"], body["provided"])


def test_updates_follow_slacks_rules(slack: LocalSlack, client: WebClient) -> None:
    """Blocks alone keep the text, a text alone takes the blocks, 4,001 characters and others' messages are refused."""
    ts = client.chat_postMessage(channel=OPS, text="one", blocks=card(button("a")))["ts"]
    client.chat_update(channel=OPS, ts=ts, text="one", blocks=card(text="two"))
    assert "two" == slack.plain(only(slack.messages(OPS)))
    long = refused(lambda: client.chat_update(channel=OPS, ts=ts, text="x" * 4001))
    assert "msg_too_long" == long["error"]
    client.chat_update(channel=OPS, ts=ts, text="three")
    assert ("three", ()) == (only(slack.messages(OPS)).text, only(slack.messages(OPS)).blocks)
    theirs = slack.say(ANN, OPS, "mine").ts
    assert "cant_update_message" == refused(lambda: client.chat_update(channel=OPS, ts=theirs, text="x"))["error"]
    whisper = client.chat_postEphemeral(channel=OPS, user=ANN, text="psst")["message_ts"]
    assert "message_not_found" == refused(lambda: client.chat_update(channel=OPS, ts=whisper, text="x"))["error"]
    assert 40_000 == len(client.chat_postMessage(channel=OPS, text="x" * 40_001)["message"]["text"])


def test_people_groups_and_channels_are_read(slack: LocalSlack, client: WebClient) -> None:
    """What was set up is what the Web API tells."""
    slack.add_user("U0EVE", "eve", team_id="T0OTHER", is_stranger=True, tz="Asia/Shanghai")
    slack.add_channel("C0EXT", "shared", [ANN, "U0EVE"], is_ext_shared=True)
    eve = client.users_info(user="U0EVE")["user"]
    assert ("T0OTHER", True, False, "Asia/Shanghai") == (eve["team_id"], eve["is_stranger"], eve["deleted"], eve["tz"])
    assert [BOB] == client.usergroups_users_list(usergroup="S0LEADS")["users"]
    assert ["leads"] == [group["handle"] for group in client.usergroups_list()["usergroups"]]
    shared = client.conversations_info(channel="C0EXT", include_num_members=True)["channel"]
    assert (True, True, 3) == (shared["is_ext_shared"], shared["is_member"], shared["num_members"])
    assert "num_members" not in client.conversations_info(channel=OPS)["channel"]
    assert [ANN, BOB, "U0BOT"] == client.conversations_members(channel=OPS)["members"]


def test_phones_ring_for_new_messages_alone(slack: LocalSlack, client: WebClient) -> None:
    """A mention, a group, a DM and @channel ring; an edit, escaped text and a hidden fallback do not."""
    ts = client.chat_postMessage(channel=OPS, text="quiet &lt;!channel&gt;")["ts"]
    client.chat_update(channel=OPS, ts=ts, text="<@U0ANN> <@U0BOB>")
    client.chat_postMessage(channel=OPS, text="<@U0ANN>", blocks=card(text="hidden"))
    client.chat_postEphemeral(channel=OPS, user=ANN, text="<@U0ANN>")
    assert ((), ()) == (slack.notifications(ANN), slack.notifications(BOB))
    client.chat_postMessage(channel=OPS, text="x", blocks=card(text="<!subteam^S0LEADS> please"), thread_ts=ts)
    client.chat_postMessage(channel=OPS, text="<!channel>", blocks=card(text="all"))
    client.chat_postMessage(channel=ANN, text="hello")
    assert ["channel", "dm"] == [ring.why for ring in slack.notifications(ANN)]
    assert ["group", "channel"] == [ring.why for ring in slack.notifications(BOB)]
    assert "hello" == only(slack.dms(ANN)).text
    assert "@leads please" == slack.plain(only(slack.thread(OPS, ts)))


def test_messages_are_read_as_on_the_screen(slack: LocalSlack, client: WebClient) -> None:
    """Mentions, dates, links, entities, rich text and tables become plain lines."""
    blocks: list[Payload] = [
        {"type": "header", "text": {"type": "plain_text", "text": "*#7*"}},
        *card(text="*Done* by <@U0ANN> in <#C0OPS> at <!date^1^{time}|01:00> &lt;b&gt; &amp;amp; <https://x|the log>"),
        *card(text="<http://127.0.0.1:9/archives/C0OPS/p1700000000000001|Go to its card>"),
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "a"}, {"type": "plain_text", "text": "b"}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "1"}, {"type": "raw_text", "text": "2"}]]},
        {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "ask "}]},
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [{"type": "rich_text_section", "elements": [{"type": "user", "user_id": BOB}]}],
                },
            ],
        },
    ]
    client.chat_postMessage(channel=OPS, text="t", blocks=blocks)
    assert [
        "*#7*",
        "Done by @ann in #ops at 01:00 <b> &amp; the log (https://x)",
        "Go to its card",
        "-" * 40,
        "a b",
        "1 | 2",
        "ask ",
        "- @bob",
    ] == slack.plain(only(slack.messages(OPS))).splitlines()


def test_faults_come_in_order_and_are_used_up(slack: LocalSlack, client: WebClient) -> None:
    """Errors, statuses, 429s, lost answers and delays are met once each, and the log tells what was asked."""
    faults = slack.faults
    faults.add("chat.postMessage", error="fatal_error")
    faults.add("chat.postMessage", retry_after=7)
    faults.add("chat.postMessage", status=503)
    faults.add("chat.postMessage", drop=True, after=True)
    faults.add("chat.postMessage", delay=0.05)

    def post() -> object:
        return client.chat_postMessage(channel=OPS, text="x")

    assert "fatal_error" == refused(post)["error"]
    with pytest.raises(SlackApiError) as limited:
        post()
    assert (429, "7") == (limited.value.response.status_code, limited.value.response.headers["Retry-After"])
    with pytest.raises(SlackApiError):
        post()
    with pytest.raises(ConnectionError):
        post()
    assert 1 == len(slack.messages(OPS))
    post()
    assert 2 == len(slack.messages(OPS))
    assert ["fatal_error", "fault", "fault", None, None] == [call.error for call in slack.calls]
    assert {"channel": OPS, "text": "x"} == slack.calls[-1].args


def test_faults_are_met_where_they_are_meant(slack: LocalSlack, client: WebClient) -> None:
    """A fault of one channel leaves the others well; a page of a proxy and an error in JSON are told apart."""
    faults = slack.faults
    faults.add("chat.postMessage", channel=OPS, status=502, page=True)
    faults.add("chat.postMessage", channel=OPS, status=500, error="internal_error")
    faults.add("chat.postMessage", channel=OPS, status=500, times=9)
    seen = []

    client.chat_postMessage(channel=ANN, text="elsewhere")
    for _ in range(2):
        with pytest.raises(SlackApiError) as broken:
            client.chat_postMessage(channel=OPS, text="x")
        seen.append((broken.value.response.status_code, str(broken.value.response.get("error"))[:14]))
    faults.heal()
    client.chat_postMessage(channel=OPS, text="x")

    assert [(502, "Received a res"), (500, "internal_error")] == seen
    assert 1 == len(slack.messages(OPS))


def test_rates_are_enforced_when_asked(clock: Clock) -> None:
    """A fourth post at once to one channel is answered 429, and taken a second later."""
    with populated(LocalSlack(now=clock, enforce_rates=True)) as slack:
        client = client_of(slack)
        for _ in range(3):
            client.chat_postMessage(channel=OPS, text="x")
        with pytest.raises(SlackApiError) as limited:
            client.chat_postMessage(channel=OPS, text="x")
        assert "1" == limited.value.response.headers["Retry-After"]
        client.chat_postMessage(channel=ANN, text="elsewhere")
        clock.ahead = 1.1
        client.chat_postMessage(channel=OPS, text="x")
        assert ["ratelimited"] == [call.error for call in slack.calls if call.error]


def test_files_go_both_ways(slack: LocalSlack, client: WebClient) -> None:
    """The bot attaches a file to a thread, and fetches with its token what a person uploaded."""
    ts = client.chat_postMessage(channel=OPS, text="card")["ts"]
    client.files_upload_v2(channel=OPS, thread_ts=ts, filename="devices.csv", content="a\nb\n", initial_comment="all")
    reply = only(slack.thread(OPS, ts))
    assert ["devices.csv"] == [stored.name for stored in reply.files]
    assert "all\n(file devices.csv)" == slack.plain(reply)
    url = slack.upload("names.txt", b"dev-1\n")["url_private_download"]
    assert 403 == requests.get(url, timeout=5).status_code
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    assert b"dev-1\n" == requests.get(url, headers=headers, timeout=5).content


def test_an_upload_has_to_be_what_was_announced(slack: LocalSlack, client: WebClient) -> None:
    """An upload of another length is refused, and so is completing a file that never came, or somewhere else."""
    ticket = client.files_getUploadURLExternal(filename="left over.csv", length=4)
    files = [{"id": ticket["file_id"], "title": "What is left"}]
    assert 400 == requests.post(ticket["upload_url"], data=b"five!", timeout=5).status_code
    assert "file_not_found" == refused(lambda: client.files_completeUploadExternal(files=files))["error"]
    assert 200 == requests.post(ticket["upload_url"], data=b"a\nb\n", timeout=5).status_code

    def complete(**more: Any) -> Callable[[], object]:
        return lambda: client.files_completeUploadExternal(files=files, channel_id=OPS, **more)

    assert "thread_not_found" == refused(complete(thread_ts="1.000001"))["error"]
    assert () == slack.messages(OPS)
    complete()()

    message = only(slack.messages(OPS))
    (stored,) = message.files
    assert ("left over.csv", "What is left", b"a\nb\n") == (stored.name, stored.title, stored.content)
    found = client.files_info(file=stored.id)["file"]
    assert ("text/csv", "csv", 4) == (found["mimetype"], found["filetype"], found["size"])
    assert "file_not_found" == refused(lambda: client.files_info(file="F0NONE"))["error"]
    assert "invalid_arguments" == refused(lambda: client.files_getUploadURLExternal(filename="a", length=0))["error"]


def test_the_same_envelope_may_be_out_twice_at_once(slack: LocalSlack) -> None:
    """Two deliveries of one envelope at the same time are both acknowledged; with one answer, one times out."""
    arrived, release, answers = threading.Barrier(3), threading.Event(), [1, 2]

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, command: Payload) -> None:
            if command["text"] != "first":
                arrived.wait(5)
                release.wait(5)
            if answers:
                answers.pop()
                ack()

    def twice(name: str) -> list[str]:
        delivery = replace(first, envelope_id=name, payload={**first.payload, "text": name})
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(slack.redeliver, delivery) for _ in range(2)]
            arrived.wait(5)
            release.set()
            return sorted(str(one.result(timeout=5).failure) for one in both)

    with connected(slack, set_up):
        first = slack.command(ANN, OPS, "first")
        answers.append(3)
        assert ["None", "None"] == twice("both")
        slack.sockets.ack_within = 0.5
        release.clear()
        answers.append(4)
        assert ["None", "operation_timeout"] == twice("one")


def test_a_ticket_opens_one_connection_and_ten_are_the_most(slack: LocalSlack) -> None:
    """A ticket cannot be used twice; the eleventh connection is told to go."""
    opened = client_of(slack).apps_connections_open(app_token=slack.app_token)["url"]
    with ExitStack() as stack:
        stack.enter_context(connect(opened))
        with pytest.raises(InvalidStatus):
            connect(opened)
        others = [stack.enter_context(connect(f"{opened[:-32]}{slack.sockets.new_ticket()}")) for _ in range(10)]
        hellos = [json.loads(other.recv(timeout=2)) for other in others]
    assert [*range(2, 11)] == [hello["num_connections"] for hello in hellos[:-1]]
    assert "too_many_websockets" == hellos[-1]["reason"]


def test_waiting_in_vain_says_what_there_was(slack: LocalSlack, client: WebClient) -> None:
    """A wait that ends without its event raises an error that quotes the workspace."""
    client.chat_postMessage(channel=OPS, text="only this")
    with pytest.raises(TimeoutError, match="only this"):
        slack.wait_for(lambda: slack.dms(ANN), timeout=0.01)


def test_people_act_only_where_they_can(slack: LocalSlack) -> None:
    """Who is not in the channel, or deactivated, cannot type there, except by force."""
    slack.add_user("U0EVE", "eve")
    with pytest.raises(CannotAct, match="@eve"):
        slack.command("U0EVE", OPS)
    assert "dispatch_failed" == slack.command("U0EVE", OPS, force=True).shown


def test_a_bad_answer_to_a_command_is_an_error_for_the_person(slack: LocalSlack) -> None:
    """An acknowledgement with broken blocks shows Slack's error; one in_channel also shows the typed words."""

    def set_up(app: App) -> None:
        @app.command("/ota-cancel")
        def command(ack: Any, command: Payload) -> None:
            if command["text"] == "bad":
                ack(text="x", blocks=[{"type": "nonsense"}])
            else:
                ack(text="for all", response_type="in_channel")

    with connected(slack, set_up):
        assert "invalid_command_response" == slack.command(ANN, OPS, "bad").shown
        slack.command(ANN, OPS, "good")
    assert ["/ota-cancel good", "for all"] == [message.text for message in slack.messages(OPS)]


def test_more_routes_can_be_served(clock: Clock) -> None:
    """A page can be mounted on the same port."""

    def page(_request: Request) -> Response:
        return PlainTextResponse("a page")

    with LocalSlack(now=clock, extra_routes=[Route("/page", page)]) as slack:
        assert "a page" == requests.get(f"{slack.url}/page", timeout=5).text
