"""What the local Slack is made of: people, channels, messages, views, and records of what happened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Payload = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is an answer of Slack's, not a fault of the stand-in
    """Slack's `{"ok": false, "error": …}`; `more` holds the answer's further keys."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user account, with the flags that users.info reports."""

    id: str
    name: str
    real_name: str = ""
    team_id: str
    tz: str = "Europe/Berlin"
    deleted: bool = False
    is_bot: bool = False
    is_app_user: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    enterprise_user: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A user group; `deleted` groups answer `no_such_subteam`."""

    id: str
    handle: str
    users: tuple[str, ...]
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel, or a direct message between one person and the bot (`is_im`)."""

    id: str
    name: str
    members: frozenset[str]
    is_private: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    is_org_shared: bool = False
    is_im: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file's name and bytes, from the bot or from a person's form; `length` is what the bot said it would have."""

    id: str
    name: str
    content: bytes = b""
    user: str = ""
    at: float = 0.0
    title: str = ""
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a message said from `at` (Unix seconds) on."""

    at: float
    text: str
    blocks: tuple[Payload, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button as a person sees it; `confirm` is the dialog that their client shows before it counts."""

    action_id: str
    label: str
    value: str
    style: str
    confirm: Mapping[str, Any] | None


def elements_of(blocks: Sequence[Payload]) -> Iterator[tuple[Payload, Payload]]:
    """Yield each interactive element as (its block, the element)."""
    for block in blocks:
        inside = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        yield from ((block, element) for element in inside if element and "action_id" in element)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message with every version it ever had; `only_for` names the one person who sees an ephemeral one."""

    channel: str
    ts: str
    user: str
    versions: tuple[Version, ...]
    thread_ts: str | None = None
    broadcast: bool = False
    only_for: str | None = None
    files: tuple[Stored, ...] = ()
    metadata: Mapping[str, Any] | None = None
    deleted: bool = False

    @property
    def text(self) -> str:
        """The text as it is now."""
        return self.versions[-1].text

    @property
    def blocks(self) -> tuple[Payload, ...]:
        """The blocks as they are now."""
        return self.versions[-1].blocks

    @property
    def buttons(self) -> tuple[Button, ...]:
        """The buttons on it now."""
        return tuple(
            Button(
                action_id=element["action_id"],
                label=element["text"]["text"],
                value=element.get("value", ""),
                style=element.get("style", ""),
                confirm=element.get("confirm"),
            )
            for _, element in elements_of(self.blocks)
            if element["type"] == "button"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A modal or a Home tab of one person; `body` is the view as the bot gave it, ids filled in."""

    id: str
    user: str
    hash: str
    body: Payload
    root: str
    previous: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Payload, ...]:
        """The blocks shown."""
        return tuple(self.body["blocks"])

    @property
    def callback_id(self) -> str:
        """The form's name."""
        return str(self.body.get("callback_id", ""))

    @property
    def is_home(self) -> bool:
        """Whether it is a Home tab."""
        return bool(self.body["type"] == "home")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One envelope to the bot, and how it ended."""

    envelope_id: str
    kind: str
    """slash_commands, interactive or events_api."""
    user: str
    payload: Payload
    acked_in: float | None
    """Seconds; None when no acknowledgement came in time."""
    answer: Payload | None
    """What the acknowledgement carried."""
    failure: str | None = None
    """operation_timeout, dispatch_failed (no connection) or invalid_command_response."""
    shown: str = ""
    """What the person saw: the plain text of the ephemeral answer, of a form's errors, or the failure's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One Web API or response_url request; `args` without the token, `error` as answered (None: ok)."""

    at: float
    method: str
    args: Payload
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A phone that rang: for whom, for which message, and why (dm, mention, group or channel)."""

    at: float
    user: str
    message: Message
    why: str
