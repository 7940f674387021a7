"""Reads what was filled into the form: an order, or what is wrong, field by field. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bot.domain.errors import UsageError
from bot.domain.names import LARGEST, TOO_LARGE, read_names
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.status import Status
from bot.domain.words import FIRMWARE, JOB, LONGEST_REASON, PRODUCT, Kind, clean_reason, in_order, shown
from bot.domain.words import split as split_words
from bot.slack.escape import cut

LONGEST_ERROR: Final = 500
"""Characters of what is said below a field."""


class Operation(StrEnum):
    """What the form can order."""

    JOB = "job"
    DEVICES = "devices"
    STRATEGY = "strategy"


class MisfilledError(Exception):
    """Fields that make no order; `errors` say what is wrong, by field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("the form makes no order")
        self.errors = {name: cut(error, LONGEST_ERROR) for name, error in errors.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a form's fields hold, by name; what is not there is empty."""

    texts: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[str, ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()

    def text(self, name: str) -> str:
        """Return what was typed or picked."""
        return self.texts.get(name, "")


def filled(view: Mapping[str, Any]) -> Filled:
    """Return what the fields of a view hold, as Slack sends it; whatever has another shape counts as empty."""
    texts: dict[str, str] = {}
    statuses: tuple[str, ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()
    for name, held in _fields(view):
        chosen = held.get("selected_option")
        value = chosen.get("value") if isinstance(chosen, Mapping) else held.get("value")
        if isinstance(value, str):
            texts[name] = value.strip()
        if name == "statuses":
            statuses = tuple(str(option.get("value")) for option in _listed(held, "selected_options"))
        if name == "file":
            files = _listed(held, "files")
    return Filled(texts=texts, statuses=statuses, files=files)


def _listed(held: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    found = held.get(name)
    return tuple(one for one in found if isinstance(one, Mapping)) if isinstance(found, list) else ()


def _fields(view: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    state = view.get("state")
    values = state.get("values") if isinstance(state, Mapping) else None
    blocks = [block for block in values.values() if isinstance(block, Mapping)] if isinstance(values, Mapping) else []
    return [(name, held) for block in blocks for name, held in block.items() if isinstance(held, Mapping)]


def order_of(form: Filled) -> Cancel:
    """Return the order that the fields make; raises MisfilledError with everything that is wrong at once."""
    errors: dict[str, str] = {}
    reason = clean_reason(form.text("reason")) or None
    if reason is not None and len(reason) > LONGEST_REASON:
        errors["reason"] = f"A reason has at most {LONGEST_REASON} characters, not {len(reason):,}."
    makers = {Operation.DEVICES.value: _devices, Operation.STRATEGY.value: _strategy}
    order = makers.get(form.text("operation"), _job)(form, reason, errors)
    if errors:
        raise MisfilledError(errors)
    return order


def _job(form: Filled, reason: str | None, errors: dict[str, str]) -> Cancel:
    order = CancelJob(job=_id(form, "job", JOB, errors), statuses=_statuses(form, errors), reason=reason)
    if not order.statuses:
        errors["statuses"] = "Choose at least one."
    return order


def _strategy(form: Filled, reason: str | None, errors: dict[str, str]) -> Cancel:
    return CancelStrategy(job=_id(form, "job", JOB, errors), statuses=_statuses(form, errors), reason=reason)


def _devices(form: Filled, reason: str | None, errors: dict[str, str]) -> Cancel:
    names, file = _names(form, errors)
    if form.text("product") or form.text("firmware"):
        if form.text("job"):
            errors["job"] = "Give a job, or a product and a firmware, not both."
        product, firmware = _id(form, "product", PRODUCT, errors), _id(form, "firmware", FIRMWARE, errors)
        return CancelDevices(names=names, file=file, product=product, firmware=firmware, reason=reason)
    return CancelDevices(names=names, file=file, job=_id(form, "job", JOB, errors), reason=reason)


def _names(form: Filled, errors: dict[str, str]) -> tuple[tuple[str, ...], str | None]:
    typed, files = form.text("names"), form.files
    if bool(typed) == bool(files):
        errors["names"] = (
            "Type the names here or upload a file with them, not both."
            if typed
            else "Type the names here, or upload a file with them."
        )
        return (), None
    if files:
        return (), _file(files, errors)
    try:
        return read_names(typed), None
    except UsageError as error:
        errors["names"] = str(error)
        return (), None


def _file(files: tuple[Mapping[str, Any], ...], errors: dict[str, str]) -> str | None:
    """Return the id of the one file; its names are read once the form has been acknowledged."""
    identity, size = files[0].get("id"), files[0].get("size")
    if len(files) > 1:
        errors["file"] = "One file at a time."
    elif not isinstance(identity, str) or not identity:
        errors["file"] = "Slack did not say which file that is. Upload it again."
    elif isinstance(size, int) and size > LARGEST:
        errors["file"] = TOO_LARGE
    else:
        return identity
    return None


def _statuses(form: Filled, errors: dict[str, str]) -> tuple[Status, ...]:
    try:
        return in_order(Status(word) for word in form.statuses)
    except ValueError:
        errors["statuses"] = f"Choose among {', '.join(Status)}."
        return ()


def _id(form: Filled, name: str, kind: Kind, errors: dict[str, str]) -> str:
    text = form.text(name)
    if not text:
        errors.setdefault(name, f"Give {kind.meaning}.")
        return ""
    try:
        # As in a typed command, quotes and Slack's link wrappers round it do not matter.
        (word,) = split_words(text)
        return str(kind.read(word.plain))
    except ValueError:
        errors.setdefault(name, f"“{shown(text)}” is not {kind.meaning}.")
        return ""
