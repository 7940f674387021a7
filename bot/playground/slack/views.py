"""The Web API's methods for modals and Home tabs."""

import json
from collections.abc import Mapping
from typing import Any

from bot.playground.slack.api import Method, parsed
from bot.playground.slack.block_kit import view_problems
from bot.playground.slack.values import Payload, Refused, View
from bot.playground.slack.workspace import APP_ID, BOT_ID, TEAM, Workspace

_MOST_VIEWS = 3
_MOST_BYTES = 250_000


def view_payload(view: View, state: Mapping[str, Any] | None = None) -> Payload:
    """Return a view as Slack sends it, with what was entered by block and action."""
    names = {"id": view.id, "hash": view.hash, "team_id": TEAM, "app_id": APP_ID, "bot_id": BOT_ID}
    tree: Payload = {"root_view_id": view.root, "previous_view_id": view.previous, "state": {"values": state or {}}}
    defaults: Payload = {"private_metadata": "", "callback_id": "", "external_id": ""}
    defaults |= {"clear_on_close": False, "notify_on_close": False}
    return {**defaults, **view.body, **names, **tree}


def checked(slack: Workspace, view: Any, kind: str, *, instead: View | None = None) -> Payload:
    """Return a view of that kind that may stand in the place of `instead`; raises Refused."""
    wrong = view_problems(view)
    if not wrong and view["type"] != kind:
        wrong = [f"view.type: must be {kind} here"]
    if wrong:
        raise Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {problem}" for problem in wrong]})
    if len(json.dumps(view)) > _MOST_BYTES:
        raise Refused("view_too_large")
    name = view.get("external_id")
    if name and any(
        other.body.get("external_id") == name and (instead is None or other.id != instead.id)
        for other in (*slack.modals.values(), *slack.homes.values())
    ):
        raise Refused("duplicate_external_id")
    return dict(view)


def _given(slack: Workspace, args: Payload, kind: str, *, instead: View | None = None) -> Payload:
    view = checked(slack, parsed(args, "view"), kind, instead=instead)
    asks_for_files = any(block.get("element", {}).get("type") == "file_input" for block in view["blocks"])
    if asks_for_files and "files:read" not in args["_scopes"]:
        raise Refused("missing_scope", needed="files:read", provided=",".join(sorted(args["_scopes"])))
    return view


def push(slack: Workspace, user: str, body: Payload) -> View:
    """Lay a modal on top of the person's; Slack takes three."""
    stack = slack.views(user)
    if len(stack) >= _MOST_VIEWS:
        raise Refused("push_limit_reached")
    return slack.show_view(user, body, over=stack[-1] if stack else None)


def _open(slack: Workspace, args: Payload) -> Payload:
    body = _given(slack, args, "modal")
    user = slack.spend_trigger(args["trigger_id"])
    slack.close_views(user)
    return {"view": view_payload(slack.show_view(user, body))}


def _push(slack: Workspace, args: Payload) -> Payload:
    body = _given(slack, args, "modal")
    return {"view": view_payload(push(slack, slack.spend_trigger(args["trigger_id"]), body))}


def _update(slack: Workspace, args: Payload) -> Payload:
    external = args.get("external_id")
    named = (view for view in slack.modals.values() if external and view.body.get("external_id") == external)
    view = slack.modals.get(str(args.get("view_id"))) or next(named, None)
    if view is None:
        raise Refused("not_found")
    body = _given(slack, args, "modal", instead=view)
    if args.get("hash") not in (None, "", view.hash):
        raise Refused("hash_conflict")
    return {"view": view_payload(slack.show_view(view.user, body, instead=view))}


def _publish(slack: Workspace, args: Payload) -> Payload:
    shown = slack.home(args["user_id"])
    body = _given(slack, args, "home", instead=shown)
    if slack.people.get(args["user_id"]) is None:
        raise Refused("user_not_found")
    if shown and args.get("hash") not in (None, "", shown.hash):
        raise Refused("hash_conflict")
    return {"view": view_payload(slack.show_view(args["user_id"], body, instead=shown))}


VIEWING: dict[str, Method] = {
    "views.open": Method(run=_open, needs=("trigger_id", "view")),
    "views.push": Method(run=_push, needs=("trigger_id", "view")),
    "views.update": Method(run=_update, needs=("view",)),
    "views.publish": Method(run=_publish, needs=("user_id", "view")),
}
