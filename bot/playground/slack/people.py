"""People acting in the local Slack: commands, presses, forms; each becomes an envelope to the bot."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.playground.slack.api import as_payload, file_payload
from bot.playground.slack.chat import answer
from bot.playground.slack.forms import CannotAct, check_filled, entered, state_of
from bot.playground.slack.sockets import Ack, envelope
from bot.playground.slack.values import Delivery, Message, Payload, Refused, Stored, View, elements_of
from bot.playground.slack.views import checked, push, view_payload
from bot.playground.slack.workspace import APP_ID, BOT_USER, TEAM, Workspace, new_id

_TOKEN = "verification-token"


class People(Workspace):
    """A workspace in which people act; every method waits for the bot's acknowledgement and says how it went."""

    @abstractmethod
    def deliver(self, message: Payload) -> Ack:
        """Send an envelope to the bot and wait for its acknowledgement."""

    def say(self, user: str, channel: str, text: str) -> Message:
        """Let a person write an ordinary message."""
        return self.post(channel=channel, user=user, text=text)

    def upload(self, name: str, content: bytes, user: str = "") -> Payload:
        """Store a person's file; the result goes into `submit_view`'s values as an item of a list."""
        if not content:
            raise CannotAct(f"{name} is empty")
        stored = Stored(id=new_id("F"), name=name, content=content, user=user, at=self.now())
        self.uploads[stored.id] = stored
        return file_payload(self, stored)

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
        self,
        user: str,
        shown: Message | View,
        action_id: str,
        value: Any = None,
        *,
        values: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> Delivery:
        """Press a button, or choose `value` in a select; a confirmation dialog counts as confirmed.

        `values` are what a view's other fields hold by now, by action_id.
        Raises CannotAct when it is not on the current version; with `force` an older version, or anybody, will do.
        """
        block, element = self._element(shown, action_id, force=force)
        action = {"action_id": action_id, "block_id": block["block_id"], "action_ts": f"{self.now():.6f}"}
        if element["type"] == "button":
            action |= {key: element[key] for key in ("type", "text", "value", "style", "confirm") if key in element}
        else:
            action |= entered(element, value)
        payload = self._interaction("block_actions", user) | {"actions": [action]}
        if isinstance(shown, View):
            chosen = {} if element["type"] in ("button", "overflow") else {action_id: value}
            state = self._state(self.view(shown.id) or shown, {**(values or {}), **chosen})
            payload |= {"container": {"type": "view", "view_id": shown.id}, "view": view_payload(shown, state)}
        else:
            payload["state"] = {"values": {}}
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
        check_filled(current, state)
        payload = self._interaction("view_submission", user)
        payload |= {"view": view_payload(current, state), "response_urls": []}
        self.mark_errors(current, {})
        return self._send("interactive", user, payload)

    def _state(self, view: View, values: Mapping[str, Any]) -> Payload:
        state = state_of(view, values)
        for part in (part for block in state.values() for part in block.values() if "files" in part):
            part["files"] = [file_payload(self, self._uploaded(one)) for one in part["files"]]
        return state

    def _uploaded(self, given: Payload) -> Stored:
        stored = self.uploads.get(str(given.get("id")))
        if stored is None:
            raise CannotAct("that file was not uploaded")
        return stored

    def close_view(self, user: str, view: View, *, all_of_them: bool = False) -> Delivery | None:
        """Close a modal, or the whole stack; the bot hears of those that asked for `notify_on_close`.

        Returns the delivery of the last that was told.
        """
        stack, told = self.views(user), None
        clears = all_of_them or bool(view.body.get("clear_on_close"))
        self.close_views(user, from_id=None if clears else view.id)
        still = {one.id for one in self.views(user)}
        for one in reversed([one for one in stack if one.id not in still and one.body.get("notify_on_close")]):
            payload = self._interaction("view_closed", user) | {"view": view_payload(one), "is_cleared": clears}
            told = self._send("interactive", user, payload)
        return told

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
                self.show_view(view.user, checked(self, body.get("view"), "modal", instead=view), instead=view)
            case "push":
                push(self, view.user, checked(self, body.get("view"), "modal"))
            case "clear":
                self.close_views(view.user)
            case None:
                self.close_views(view.user, from_id=view.id)
            case other:
                raise Refused(f"unknown response_action {other}")
        return ""

    def _form_errors(self, view: View, errors: Any) -> str:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or errors.keys() - inputs:
            raise Refused("errors are keyed by the block_id of an input")
        self.mark_errors(view, errors)
        return "\n".join(errors.values())
