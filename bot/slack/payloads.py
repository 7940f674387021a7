"""Tells what Bolt can be handed: it takes a payload's shape for granted, and where it errs nobody is answered. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from bot.slack.message import notice

NOT_UNDERSTOOD: Final = "I could not read what Slack sent me. Nothing was done; try again."
_TABLES: Final = ("user", "team", "channel", "container", "message", "enterprise", "view")
_WITHIN: Final = ("assistant_thread", "edited", "enterprise", "item", "message", "metadata", "previous_message", "view")
_EITHER: Final = ("user", "team", "channel")
"""What an event names by its id, or shows whole."""
_TEXTS: Final = ("user_id", "team_id", "channel_id", "enterprise_id")


def usable(payload: object) -> bool:
    """Tell whether a payload has the shape that Slack documents for it, as far as Bolt looks at it unasked."""
    if not isinstance(payload, Mapping):
        return False
    if payload.get("type") == "event_callback":
        return _is_event(payload)
    tables = all(isinstance(payload.get(name, {}), Mapping | None) for name in _TABLES)
    texts = all(isinstance(payload.get(name, ""), str | None) for name in _TEXTS)
    return tables and texts and "event" not in payload and "authorizations" not in payload and _known(payload)


def _is_event(payload: Mapping[str, Any]) -> bool:
    event, whose = payload.get("event"), payload.get("authorizations") or []
    if not (isinstance(event, Mapping) and isinstance(whose, list) and all(map(_shaped, (payload, event, *whose)))):
        return False
    return _named(event, "type")


def _shaped(found: object) -> bool:
    """Tell whether what Bolt looks for within something that an event brings is of the kind that it takes it for."""
    if not isinstance(found, Mapping):
        return False
    tables = all(isinstance(found.get(name, {}), Mapping | None) for name in _WITHIN)
    either = all(isinstance(found.get(name, ""), str | Mapping | None) for name in _EITHER)
    return tables and either and all(isinstance(found.get(name, ""), str | None) for name in _TEXTS)


def _known(payload: Mapping[str, Any]) -> bool:
    match payload.get("type"):
        case "block_actions":
            actions = payload.get("actions")
            return isinstance(actions, list) and bool(actions) and all(_named(one, "action_id") for one in actions)
        case "view_submission" | "view_closed":
            return _named(payload.get("view"), "callback_id") and _named(payload.get("view"), "type")
        case "shortcut" | "message_action":
            return _named(payload, "callback_id")
        case None:
            return _named(payload, "command")
        case _:
            return False


def _named(found: object, name: str) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get(name), str)


def refusal(payload: object) -> dict[str, Any] | None:
    """Return what to acknowledge such a payload with, so that whoever sent it is told where that can be."""
    kind = payload.get("type") if isinstance(payload, Mapping) else ""
    if kind is None:
        return {"text": NOT_UNDERSTOOD, "response_type": "ephemeral"}
    return {"response_action": "update", "view": notice(NOT_UNDERSTOOD)} if kind == "view_submission" else None
