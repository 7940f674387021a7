"""Draws the form: the modal that asks what to cancel, and what stands in its place meanwhile or instead. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.domain.account import Account, Cloud
from bot.domain.names import MOST_NAMES
from bot.domain.offer import BY_JOB
from bot.domain.status import Status
from bot.domain.wording import COMMAND
from bot.domain.words import LONGEST_NAME, LONGEST_REASON
from bot.slack.form_fields import Operation
from bot.slack.message import mrkdwn, plain_text, section

TITLE: Final = "Cancel OTA tasks"
MOST_OPTIONS: Final = 100
"""Options of a select (Block Kit)."""
TYPED: Final = 3000
"""Characters that a text field takes (Block Kit)."""
REDRAWING: Final = ("account", "operation")
"""The fields that decide which others there are."""
_OPERATIONS: Final[Mapping[Operation, tuple[str, str]]] = {
    Operation.JOB: ("Tasks of a job", "All of a job's tasks in the statuses you choose"),
    Operation.DEVICES: ("Named devices", "The tasks of devices that you type or upload"),
    Operation.STRATEGY: ("A batch's strategy", "No more devices join a dynamic batch"),
}
_STATUSES: Final[Mapping[Status, str]] = {
    Status.SCHEDULED: "waits for the start time of a scheduled batch",
    Status.UNCONFIRMED: "waits for its owner to confirm it",
    Status.QUEUED: "waits to be pushed",
    Status.NOTIFIED: "pushed; the device has not begun",
    Status.IN_PROGRESS: "the device is flashing it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """An account that somebody may order on, and where."""

    account: Account
    channels: tuple[tuple[str, str], ...]
    """The channels in which they may: id and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is chosen so far, and what there is to choose from."""

    usable: tuple[Usable, ...]
    account: str
    operation: Operation
    channel: str
    """Where the form was asked for; empty for the shortcut, which has no place of its own."""

    @property
    def chosen(self) -> Usable:
        """The account that is chosen."""
        return next((one for one in self.usable if one.account.name == self.account), self.usable[0])


def operations(cloud: Cloud) -> tuple[Operation, ...]:
    """Return what the form offers on a cloud."""
    return tuple(Operation) if cloud is Cloud.ALIYUN else (Operation.JOB, Operation.DEVICES)


def loading(channel: str) -> dict[str, Any]:
    """Return what is shown while Slack is asked who the person is."""
    return _modal([section("Looking up what you may cancel. This takes a moment.")], channel)


def instead(text: str) -> dict[str, Any]:
    """Return what is shown in the form's place when there is nothing to fill in."""
    return _modal([{"type": "section", "text": plain_text(text, 3000)}], "")


def form(choice: Choice) -> dict[str, Any]:
    """Return the form, with the fields that go with what is chosen."""
    chosen = choice.chosen
    cloud = chosen.account.cloud
    operation = choice.operation if choice.operation in operations(cloud) else Operation.JOB
    blocks = [
        _account(choice),
        *_place(choice),
        _operation(cloud, operation),
        *_target(cloud, operation),
        _text("reason", "Why", "Shown on the card and kept in the ledger", most=LONGEST_REASON, optional=True),
        {"type": "context", "elements": [mrkdwn("Nothing is cancelled yet: a card shows the counts first, and asks.")]},
    ]
    return {**_modal(blocks, choice.channel), "submit": plain_text("Preview", 24)}


def _modal(blocks: Sequence[dict[str, Any]], channel: str) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": "cancel_form",
        "title": plain_text(TITLE, 24),
        "close": plain_text("Close", 24),
        # A reminder of where it was asked for; whether somebody may do anything there is looked up anew.
        "private_metadata": json.dumps({"channel": channel}),
        "blocks": list(blocks),
    }


def _account(choice: Choice) -> dict[str, Any]:
    options = [
        _option(one.account.name, f"{one.account.name} ({one.account.cloud})") for one in choice.usable[:MOST_OPTIONS]
    ]
    initial = next((one for one in options if one["value"] == choice.chosen.account.name), options[0])
    more = len(choice.usable) - MOST_OPTIONS
    hint = f"{more:,} more are not in this list: name them in a command, {COMMAND} … on <account>." if more > 0 else ""
    element = _element("static_select", "account", options=options, initial_option=initial)
    return _input("account", "Account", element, hint=hint, redraws=True)


def _place(choice: Choice) -> list[dict[str, Any]]:
    """Ask where to post the card, where that is not clear."""
    channels = choice.chosen.channels
    if choice.channel or len(choice.chosen.account.channels) == 1:
        place = choice.channel or channels[0][0]
        return [{"type": "context", "elements": [mrkdwn(f"The card is posted in <#{place}>.")]}]
    options = [_option(identity, f"#{name}") for identity, name in channels[:MOST_OPTIONS]]
    element = _element("static_select", "channel", options=options, initial_option=options[0])
    return [_input(f"channel/{choice.chosen.account.name}", "Post the card in", element)]


def _operation(cloud: Cloud, operation: Operation) -> dict[str, Any]:
    options = [_option(one.value, *_OPERATIONS[one]) for one in operations(cloud)]
    initial = next(option for option in options if option["value"] == operation.value)
    element = _element("radio_buttons", "operation", options=options, initial_option=initial)
    # Named after the cloud: what is chosen must not outlive the options that it was chosen from.
    return _input(f"operation/{cloud}", "What to cancel", element, redraws=True)


def _target(cloud: Cloud, operation: Operation) -> list[dict[str, Any]]:
    match operation:
        case Operation.JOB:
            return [_text("job", "Job", "The job's id"), _statuses(cloud, "Cancel what is", optional=False)]
        case Operation.STRATEGY:
            also = _statuses(cloud, "Also cancel what is", optional=True)
            return [_text("job", "Batch", "The id of the batch's job"), also]
        case Operation.DEVICES:
            return _devices(cloud)


def _devices(cloud: Cloud) -> list[dict[str, Any]]:
    by_firmware = cloud is not Cloud.ENOS
    file = _element("file_input", "file", filetypes=["txt", "csv"], max_files=1)
    hint = f"Text or CSV, a name a line; up to {MOST_NAMES:,} names of at most {LONGEST_NAME} characters."
    fields = [
        _text("names", "Names of the devices", "One a line, or with commas", most=TYPED, many=True, optional=True),
        _input("file", "Or a file with the names", file, hint=hint, optional=True),
        _text("job", "Job", "The job's id", optional=by_firmware),
    ]
    if by_firmware:
        fields.append(_text("product", "Or, without a job: product", "The product's key", optional=True))
        fields.append(_text("firmware", "and firmware", "The firmware's id", optional=True))
    return fields


def _statuses(cloud: Cloud, label: str, *, optional: bool) -> dict[str, Any]:
    options = [_option(status.value, status.value, _STATUSES[status]) for status in BY_JOB[cloud]]
    element = _element("checkboxes", "statuses", options=options)
    return _input(f"statuses/{cloud}", label, element, optional=optional)


def _text(
    name: str, label: str, hint: str, *, most: int = 200, many: bool = False, optional: bool = False
) -> dict[str, Any]:
    element = _element("plain_text_input", name, max_length=most, multiline=many, placeholder=plain_text(hint, 150))
    return _input(name, label, element, optional=optional)


def _input(
    block: str,
    label: str,
    element: dict[str, Any],
    *,
    hint: str = "",
    optional: bool = False,
    redraws: bool = False,
) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": block,
        "label": plain_text(label, 2000),
        "element": element,
        "optional": optional,
        **({"hint": plain_text(hint, 2000)} if hint else {}),
        **({"dispatch_action": True} if redraws else {}),
    }


def _element(kind: str, action: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "action_id": action, **more}


def _option(value: str, text: str, description: str = "") -> dict[str, Any]:
    described = {"description": plain_text(description, 75)} if description else {}
    return {"text": plain_text(text, 75), "value": value, **described}
