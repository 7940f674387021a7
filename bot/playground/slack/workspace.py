"""The local workspace: who and what is in it, what was said, and who saw it. Safe in threads."""

import copy
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bot.playground.slack import text as rendering
from bot.playground.slack.values import (
    Call,
    Channel,
    Group,
    Message,
    Payload,
    Person,
    Refused,
    Ring,
    Stored,
    Version,
    View,
)

T = TypeVar("T")
TEAM = "T0LOCAL"
BOT_USER = "U0BOT"
BOT_ID = "B0BOT"
APP_ID = "A0BOT"
_TRIGGER_LIVES = 3.0
_HOOK_LIVES = 30 * 60.0
_HOOK_USES = 5


@dataclass(slots=True, kw_only=True)
class Hook:
    """A response_url: where its posts go, what they may replace, and how often it may still be used."""

    channel: str
    user: str
    target: Message | None
    expires: float
    uses: int = _HOOK_USES


def new_id(prefix: str) -> str:
    """Return an unused id in Slack's manner."""
    return prefix + uuid.uuid4().hex[:10].upper()


def with_ids(blocks: Sequence[Payload]) -> tuple[Payload, ...]:
    """Return a copy of the blocks in which every block and element has the id that Slack would have made up."""
    filled = tuple({**copy.deepcopy(block), "block_id": block.get("block_id") or new_id("")[:5]} for block in blocks)
    for block in filled:
        inside = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for element in inside if block["type"] in ("actions", "section", "input") else ():
            if element and element["type"] != "image":
                element.setdefault("action_id", new_id("")[:5])
    return filled


class Workspace:
    """Everything in the local Slack; `now` gives Unix seconds, `url` is where it is served."""

    url: str = ""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.now = now
        self.revision = 0
        self.people: dict[str, Person] = {}
        self.groups: dict[str, Group] = {}
        self.channels: dict[str, Channel] = {}
        self.modals: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.calls: list[Call] = []
        self.rings: list[Ring] = []
        self.hooks: dict[str, Hook] = {}
        self.uploads: dict[str, Stored] = {}
        self._changed = threading.Condition()
        self._messages: dict[tuple[str, str], Message] = {}
        self._triggers: dict[str, tuple[str, float, bool]] = {}
        self._last_ts = 0
        self.add_user(BOT_USER, "ota-cancel", is_bot=True)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold everything still, then wake whoever waits for a change."""
        with self._changed:
            try:
                yield
            finally:
                self.revision += 1
                self._changed.notify_all()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold everything still while it is read."""
        with self._changed:
            yield

    def wait_for(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """Return what `predicate` gives once it is true; it is asked again at every change.

        Raises TimeoutError after `timeout` seconds, with everything that was said until then.
        """
        with self._changed:
            result = self._changed.wait_for(predicate, timeout)
            if not result:
                raise TimeoutError(
                    f"nothing of the kind within {timeout} s; the local Slack says:\n{self.transcript()}"
                )
            return result

    def add_user(self, user: str, name: str, *, team_id: str = TEAM, **flags: Any) -> Person:
        """Add or change a person; `flags` are further fields of `Person`."""
        with self.changing():
            self.people[user] = Person(id=user, name=name, team_id=team_id, **flags)
            return self.people[user]

    def add_group(self, group: str, handle: str, users: Sequence[str], *, deleted: bool = False) -> Group:
        """Add or change a user group; `handle` without the @."""
        with self.changing():
            self.groups[group] = Group(id=group, handle=handle, users=tuple(users), deleted=deleted)
            return self.groups[group]

    def add_channel(
        self, channel: str, name: str, members: Sequence[str], *, bot_member: bool = True, **flags: Any
    ) -> Channel:
        """Add or change a channel; `flags` are further fields of `Channel`."""
        with self.changing():
            everybody = frozenset([*members, BOT_USER] if bot_member else members)
            self.channels[channel] = Channel(id=channel, name=name, members=everybody, **flags)
            return self.channels[channel]

    def direct(self, user: str) -> Channel:
        """Return the direct message channel of a person and the bot, opened when there was none."""
        found = self.channels.get("D" + user[1:])
        return found or self.add_channel("D" + user[1:], "directmessage", [user], is_im=True)

    def message(self, channel: str, ts: str) -> Message | None:
        """Return a message, also an ephemeral one, as it is now; None when there is none or it was deleted."""
        found = self._messages.get((channel, ts))
        return None if found is None or found.deleted else found

    def messages(self, channel: str) -> tuple[Message, ...]:
        """Return what a channel shows, oldest first: top-level messages and broadcast replies."""
        return tuple(
            m for m in self._visible() if m.channel == channel and not m.only_for and (not m.thread_ts or m.broadcast)
        )

    def thread(self, channel: str, ts: str) -> tuple[Message, ...]:
        """Return the replies to a message, oldest first, without it."""
        return tuple(m for m in self._visible() if m.channel == channel and m.thread_ts == ts and not m.only_for)

    def ephemerals(self, user: str) -> tuple[Message, ...]:
        """Return what only this person saw, oldest first, whether answered, posted or sent through a response_url."""
        return tuple(m for m in self._visible() if m.only_for == user)

    def dms(self, user: str) -> tuple[Message, ...]:
        """Return the messages between a person and the bot."""
        return tuple(m for m in self._visible() if m.channel == "D" + user[1:] and not m.only_for)

    def seen_by(self, user: str) -> tuple[Message, ...]:
        """Return everything that this person's client shows, oldest first: in their channels, and theirs alone."""
        places = {channel.id for channel in self.channels.values() if user in channel.members}
        return tuple(m for m in self._visible() if m.channel in places and m.only_for in (None, user))

    def notifications(self, user: str) -> tuple[Ring, ...]:
        """Return what rang this person's phone: new messages for them, never edits."""
        with self._changed:
            return tuple(ring for ring in self.rings if ring.user == user)

    def home(self, user: str) -> View | None:
        """Return the Home tab that was published for this person."""
        return self.homes.get(user)

    def views(self, user: str) -> tuple[View, ...]:
        """Return the person's open modals, the topmost last."""
        with self._changed:
            return tuple(view for view in self.modals.values() if view.user == user)

    def view(self, view_id: str) -> View | None:
        """Return an open modal or a Home tab by its id."""
        return self.modals.get(view_id) or next((view for view in self.homes.values() if view.id == view_id), None)

    def _visible(self) -> list[Message]:
        with self._changed:
            return [message for message in self._messages.values() if not message.deleted]

    def name_of(self, any_id: str) -> str:
        """Return the name, handle or channel name that people see for an id."""
        person, group, channel = self.people.get(any_id), self.groups.get(any_id), self.channels.get(any_id)
        return (person and person.name) or (group and group.handle) or (channel and channel.name) or any_id

    def plain(self, shown: Message | View) -> str:
        """Render a message or a view as lines for a terminal; buttons as [Label], dangerous ones as [! Label]."""
        text = shown.text if isinstance(shown, Message) else shown.body.get("title", {}).get("text", "")
        files = [f"(file {one.name})" for one in shown.files] if isinstance(shown, Message) else []
        return "\n".join([rendering.plain(text, shown.blocks, self.name_of), *files])

    def transcript(self) -> str:
        """Render everything that was said, in order, for a terminal or a failed test."""
        parts = []
        for m in self._visible():
            where = f"#{self.name_of(m.channel)}" + (" > thread" if m.thread_ts else "")
            where += f" (only @{self.name_of(m.only_for)} sees it)" if m.only_for else ""
            parts.append(f"{where} @{self.name_of(m.user)}:\n{textwrap.indent(self.plain(m), '    ')}")
        parts += [f"view of @{self.name_of(view.user)}: {self.plain(view)}" for view in self.modals.values()]
        failed = [f"{call.method}: {call.error}" for call in self.calls[-50:] if call.error]
        return "\n".join([*parts, *failed]) or "(silence)"

    def post(self, *, channel: str, user: str, text: str, blocks: Sequence[Payload] = (), **more: Any) -> Message:
        """Put a message into a channel and ring whom it rings; `more` are further fields of `Message`."""
        with self.changing():
            self._last_ts = max(self._last_ts + 1, int(self.now() * 1_000_000))
            ts = f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"
            version = Version(at=self.now(), text=text, blocks=with_ids(blocks))
            message = Message(channel=channel, ts=ts, user=user, versions=(version,), **more)
            self._messages[channel, ts] = message
            if message.only_for is None:
                self._ring(message)
            return message

    def edit(self, message: Message, *, text: str, blocks: Sequence[Payload], **more: Any) -> Message:
        """Give a message a new version, or with `deleted=True` take it away; nobody's phone rings."""
        with self.changing():
            version = Version(at=self.now(), text=text, blocks=with_ids(blocks))
            changed = replace(message, versions=(*message.versions, version), **more)
            self._messages[message.channel, message.ts] = changed
            return changed

    def _ring(self, message: Message) -> None:
        named = rendering.mentions(message.text, message.blocks)
        channel = self.channels[message.channel]
        for user in sorted(channel.members - {message.user, BOT_USER}):
            in_group = any(user in self.groups[group].users for group in named.groups & self.groups.keys())
            holds = (channel.is_im, user in named.users, in_group, named.everyone)
            why = next(
                (why for why, true in zip(("dm", "mention", "group", "channel"), holds, strict=True) if true), None
            )
            if why:
                self.rings.append(Ring(at=self.now(), user=user, message=message, why=why))

    def new_trigger(self, user: str) -> str:
        """Return a trigger_id: good for 3 seconds and one use."""
        trigger = f"{uuid.uuid4().int % 10**12}.{uuid.uuid4().hex}"
        self._triggers[trigger] = (user, self.now() + _TRIGGER_LIVES, False)
        return trigger

    def spend_trigger(self, trigger: str) -> str:
        """Use up a trigger_id and return whose it was; raises Refused."""
        if trigger not in self._triggers:
            raise Refused("invalid_trigger_id")
        user, expires, spent = self._triggers[trigger]
        if spent:
            raise Refused("exchanged_trigger_id")
        if self.now() > expires:
            raise Refused("expired_trigger_id")
        self._triggers[trigger] = (user, expires, True)
        return user

    def new_hook(self, channel: str, user: str, target: Message | None) -> str:
        """Return the token of a new response_url: 30 minutes, 5 uses."""
        token = uuid.uuid4().hex
        self.hooks[token] = Hook(channel=channel, user=user, target=target, expires=self.now() + _HOOK_LIVES)
        return token

    def show_view(self, user: str, body: Payload, *, over: View | None = None, instead: View | None = None) -> View:
        """Show a Home tab or a modal: the first, one on top of `over`, or one in place of `instead`."""
        with self.changing():
            view_id = instead.id if instead else new_id("V")
            near = instead or over
            view = View(
                id=view_id,
                user=user,
                hash=new_id(f"{self.now():.0f}."),
                body={**body, "blocks": list(with_ids(body["blocks"]))},
                root=near.root if near else view_id,
                previous=over.id if over else instead.previous if instead else None,
            )
            if body["type"] == "home":
                self.homes[user] = view
            else:
                self.modals[view_id] = view
            return view

    def mark_errors(self, view: View, errors: Mapping[str, str]) -> None:
        """Show these errors, by block_id, under the fields of a modal; none clears them."""
        with self.changing():
            self.modals[view.id] = replace(view, errors=dict(errors))

    def close_views(self, user: str, *, from_id: str | None = None) -> None:
        """Close the person's modals: all of them, or that one and those on top of it."""
        with self.changing():
            mine = [view.id for view in self.views(user)]
            first = 0 if from_id is None else mine.index(from_id) if from_id in mine else len(mine)
            for view_id in mine[first:]:
                del self.modals[view_id]
