"""People acting in the local Slack: commands, presses, forms; each becomes an envelope to the bot."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.playground.slack.api import as_payload
from bot.playground.slack.block_kit import view_problems
from bot.playground.slack.chat import answer, push, view_payload
from bot.playground.slack.sockets import Ack, envelope
from bot.playground.slack.values import Delivery, Message, Payload, Refused, Stored, View, elements_of
from bot.playground.slack.workspace import APP_ID, BOT_USER, TEAM, Workspace, new_id

_TOKEN = "verification-token"


class CannotAct(ValueError):  # noqa: N818 - named for what a person cannot do
    """Slack's client would not let this person do this: no such button, not in the channel, a field left empty."""


def entered(element: Payload, value: Any) -> Payload:
    """Return an element's part of a payload once `value` was entered: text, option values, or files."""
    kind = element["type"]
    if kind == "file_input":
        return {"type": kind, "files": list(value or ())}
    if kind in ("checkboxes", "multi_static_select"):
        chosen = element.get("initial_options", []) if value is None else [_option(element, one) for one in value]
        return {"type": kind, "selected_options": chosen}
    if kind in ("static_select", "radio_buttons", "overflow"):
        return {
            "type": kind,
            "selected_option": element.get("initial_option") if value is None else _option(element, value),
        }
    what = kind.removesuffix("s_select")
    key, initial = ("value", "initial_value") if what == kind else (f"selected_{what}", f"initial_{what}")
    return {"type": kind, key: element.get(initial) if value is None else value}


def _option(element: Payload, value: str) -> Payload:
    groups = [element, *element.get("option_groups", ())]
    options = {option["value"]: option for group in groups for option in group.get("options", ())}
    if value not in options:
        raise CannotAct(f"no option {value!r}, only {sorted(options)}")
    return dict(options[value])


def _filled(part: Payload) -> bool:
    return any(value for key, value in part.items() if key != "type")


class People(Workspace):
    """A workspace in which people act; every method waits for the bot's acknowledgement and says how it went."""

    url: str

    @abstractmethod
    def deliver(self, message: Payload) -> Ack:
        """Send an envelope to the bot and wait for its acknowledgement."""

    def say(self, user: str, channel: str, text: str) -> Message:
        """Let a person write an ordinary message."""
        return self.post(channel=channel, user=user, text=text)

    def upload(self, name: str, content: bytes) -> Payload:
        """Store a person's file; the result goes into `submit_view`'s values as an item of a list."""
        stored = Stored(id=new_id("F"), name=name, content=content)
        self.uploads[stored.id] = stored
        address = f"{self.url}/files/{stored.id}/{name}"
        size = len(content)
        return {"id": stored.id, "name": name, "size": size, "url_private": address, "url_private_download": address}

    def command(
        self, user: str, channel: str, text: str = "", command: str = "/ota-cancel", *, force: bool = False
    ) -> Delivery:
        """Type a slash command; `force` also from people and places where Slack's client would not let them."""
        place = self._seat(user, channel, force=force)
        token = self.new_hook(channel, user, None)
        payload = {
            "token": _TOKEN,
            "team_id": TEAM,
            "team_domain": "local",
            "channel_id": channel,
            "channel_name": place,
            "user_id": user,
            "user_name": self.name_of(user),
            "command": command,
            "text": text.strip(),
            "api_app_id": APP_ID,
            "is_enterprise_install": "false",
            "response_url": f"{self.url}/response/{token}",
            "trigger_id": self.new_trigger(user),
        }
        return self._send("slash_commands", user, payload)

    def press(
        self, user: str, shown: Message | View, action_id: str, value: Any = None, *, force: bool = False
    ) -> Delivery:
        """Press a button, or choose `value` in a select; a confirmation dialog counts as confirmed.

        Raises CannotAct when it is not on the current version; with `force` an older version, or anybody, will do.
        """
        block, element = self._element(shown, action_id, force=force)
        action = {"action_id": action_id, "block_id": block["block_id"], "action_ts": f"{self.now():.6f}"}
        if element["type"] == "button":
            action |= {key: element[key] for key in ("type", "text", "value", "style", "confirm") if key in element}
        else:
            action |= entered(element, value)
        payload = self._interaction("block_actions", user) | {"actions": [action], "state": {"values": {}}}
        if isinstance(shown, View):
            payload |= {"container": {"type": "view", "view_id": shown.id}, "view": view_payload(shown)}
        else:
            self._seat(user, shown.channel, force=force)
            payload |= self._pressed(user, shown)
        return self._send("interactive", user, payload)

    def _pressed(self, user: str, message: Message) -> Payload:
        token = self.new_hook(message.channel, user, message)
        container: Payload = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        container["is_ephemeral"] = bool(message.only_for)
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        body: Payload = {
            "container": container,
            "channel": {"id": message.channel, "name": self.name_of(message.channel)},
            "response_url": f"{self.url}/response/{token}",
        }
        # Slack does not send ephemeral messages back.
        return body if message.only_for else {**body, "message": as_payload(self, message.channel, message.ts)}

    def _element(self, shown: Message | View, action_id: str, *, force: bool) -> tuple[Payload, Payload]:
        if isinstance(shown, View):
            current = self.view(shown.id)
            versions: Sequence[Sequence[Payload]] = [current.blocks if current else ()]
        else:
            message = self.message(shown.channel, shown.ts) or replace(shown, versions=())
            versions = [version.blocks for version in message.versions[-1:]]
            versions += [version.blocks for version in reversed([*shown.versions, *message.versions])] if force else []
        for blocks in versions:
            for block, element in elements_of(blocks):
                if element["action_id"] == action_id:
                    return block, element
        there = [element["action_id"] for blocks in versions[:1] for _, element in elements_of(blocks)]
        raise CannotAct(f"there is no {action_id!r} to press, only {there}")

    def _seat(self, user: str, channel: str, *, force: bool) -> str:
        person, place = self.people.get(user), self.channels.get(channel)
        if person is None or place is None:
            raise CannotAct(f"unknown: {user} or {channel}")
        if not force and (person.deleted or user not in place.members):
            raise CannotAct(f"@{person.name} is deactivated or not in #{place.name}")
        return place.name

    def shortcut(self, user: str, callback_id: str) -> Delivery:
        """Use a global shortcut."""
        payload = self._interaction("shortcut", user) | {"callback_id": callback_id, "action_ts": f"{self.now():.6f}"}
        return self._send("interactive", user, payload)

    def submit_view(self, user: str, view: View, values: Mapping[str, Any]) -> Delivery:
        """Send a form: `values` by action_id (text, option values, uploaded files); the rest keeps its initial values.

        Raises CannotAct where Slack's client would not send it: a required field empty, a text too long, no such field.
        """
        current = self.view(view.id)
        if current is None:
            raise CannotAct("the view is not open any more")
        state = self._state(current, values)
        payload = self._interaction("view_submission", user)
        payload |= {"view": {**view_payload(current), "state": {"values": state}}, "response_urls": []}
        self.mark_errors(current, {})
        return self._send("interactive", user, payload)

    def _state(self, view: View, values: Mapping[str, Any]) -> Payload:
        fields = {element["action_id"]: (block, element) for block, element in elements_of(view.blocks)}
        if values.keys() - fields.keys():
            raise CannotAct(f"no such field: {sorted(values.keys() - fields.keys())}, only {sorted(fields)}")
        state: Payload = {}
        for action_id, (block, element) in fields.items():
            if element["type"] == "button":
                continue
            part = entered(element, values.get(action_id))
            length = len(str(part.get("value") or ""))
            if block["type"] == "input" and not block.get("optional") and not _filled(part):
                raise CannotAct(f"{action_id} must be filled in")
            if not element.get("min_length", 0) <= length <= element.get("max_length", 3000) and _filled(part):
                raise CannotAct(f"{action_id} has {length} characters")
            state.setdefault(block["block_id"], {})[action_id] = part
        return state

    def close_view(self, user: str, view: View) -> Delivery | None:
        """Close a modal; the bot hears of it when it asked for `notify_on_close`."""
        self.close_views(user, from_id=view.id)
        if not view.body.get("notify_on_close"):
            return None
        payload = self._interaction("view_closed", user) | {"view": view_payload(view), "is_cleared": False}
        return self._send("interactive", user, payload)

    def open_home(self, user: str) -> Delivery:
        """Open the bot's Home tab."""
        event: Payload = {"type": "app_home_opened", "user": user, "channel": self.direct(user).id, "tab": "home"}
        shown = self.home(user)
        payload = {
            "token": _TOKEN,
            "team_id": TEAM,
            "api_app_id": APP_ID,
            "type": "event_callback",
            "event": event | {"event_ts": f"{self.now():.6f}"} | ({"view": view_payload(shown)} if shown else {}),
            "event_id": new_id("Ev"),
            "event_time": int(self.now()),
            "authorizations": [{"enterprise_id": None, "team_id": TEAM, "user_id": BOT_USER, "is_bot": True}],
        }
        return self._send("events_api", user, payload)

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send the very same envelope again, as Slack may after a lost acknowledgement."""
        return self._send(delivery.kind, delivery.user, delivery.payload, envelope_id=delivery.envelope_id)

    def _interaction(self, kind: str, user: str) -> Payload:
        person = self.people.get(user)
        if person is None:
            raise CannotAct(f"unknown: {user}")
        return {
            "type": kind,
            "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team_id},
            "team": {"id": TEAM, "domain": "local"},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": APP_ID,
            "token": _TOKEN,
            "trigger_id": self.new_trigger(user),
        }

    def _send(self, kind: str, user: str, payload: Payload, *, envelope_id: str | None = None) -> Delivery:
        accepts = kind == "slash_commands" or payload["type"] == "view_submission"
        message = envelope(kind, payload, accepts_answer=accepts)
        message["envelope_id"] = envelope_id or message["envelope_id"]
        ack = self.deliver(message)
        shown, failure = ack.failure or "", ack.failure
        if failure is None and accepts:
            try:
                with self.changing():
                    shown = self._answered(kind, payload, ack.answer or {})
            except Refused:
                shown = failure = "invalid_command_response" if kind == "slash_commands" else "invalid_view_response"
        return Delivery(
            envelope_id=message["envelope_id"],
            kind=kind,
            user=user,
            payload=payload,
            acked_in=ack.after,
            answer=ack.answer,
            failure=failure,
            shown=shown,
        )

    def _answered(self, kind: str, payload: Payload, body: Payload) -> str:
        if kind == "slash_commands":
            return self._command_answered(payload, body)
        view = self.view(payload["view"]["id"])
        return self._form_answered(view, body) if view else ""

    def _command_answered(self, payload: Payload, body: Payload) -> str:
        channel, user = payload["channel_id"], payload["user_id"]
        # An answer for all to see also shows what was typed.
        if body.get("response_type") == "in_channel":
            self.post(channel=channel, user=user, text=f"{payload['command']} {payload['text']}".strip())
        if not body.get("text") and not body.get("blocks"):
            return ""
        hook = self.hooks[payload["response_url"].rsplit("/", 1)[1]]
        message = answer(self, hook, body)
        return self.plain(message) if message else ""

    def _form_answered(self, view: View, body: Payload) -> str:
        match body.get("response_action"):
            case "errors":
                return self._form_errors(view, body.get("errors") or {})
            case "update":
                self.show_view(view.user, self._checked(body.get("view")), instead=view)
            case "push":
                push(self, view.user, self._checked(body.get("view")))
            case "clear":
                self.close_views(view.user)
            case None:
                self.close_views(view.user, from_id=view.id)
            case other:
                raise Refused(f"unknown response_action {other}")
        return ""

    def _form_errors(self, view: View, errors: Mapping[str, str]) -> str:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not errors or errors.keys() - inputs:
            raise Refused("errors are keyed by the block_id of an input")
        self.mark_errors(view, errors)
        return "\n".join(errors.values())

    @staticmethod
    def _checked(body: Any) -> Payload:
        if view_problems(body):
            raise Refused("invalid_view", problems=view_problems(body))
        return dict(body)
