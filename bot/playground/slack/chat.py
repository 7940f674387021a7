"""The Web API's methods that write (messages, views, files), and what a response_url takes."""

from typing import Any

from bot.playground.slack.api import Method, as_payload, flag, parsed, reachable
from bot.playground.slack.block_kit import problems, view_problems
from bot.playground.slack.values import Channel, Message, Payload, Refused, Stored, View
from bot.playground.slack.workspace import APP_ID, BOT_ID, BOT_USER, TEAM, Hook, Workspace, new_id

_POST_CHARACTERS = 40_000
_UPDATE_CHARACTERS = 4_000
_MOST_VIEWS = 3


def checked_blocks(args: Payload) -> list[Payload]:
    """Return the blocks of a message; raises Refused with Slack's `invalid_blocks`."""
    blocks = parsed(args, "blocks") or []
    wrong = problems("message", blocks)
    if wrong:
        raise Refused("invalid_blocks", response_metadata={"messages": [f"[ERROR] {problem}" for problem in wrong]})
    return list(blocks)


def _content(args: Payload) -> dict[str, Any]:
    text, blocks = str(args.get("text") or ""), checked_blocks(args)
    if not text and not blocks:
        raise Refused("no_text")
    return {"text": text[:_POST_CHARACTERS], "blocks": blocks}


def _destination(slack: Workspace, channel_id: str) -> Channel:
    person = slack.people.get(channel_id)
    if person is not None and not person.deleted:
        return slack.direct(person.id)
    channel = reachable(slack, channel_id)
    if BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    if channel.is_archived:
        raise Refused("is_archived")
    return channel


def _parent(slack: Workspace, channel: str, args: Payload) -> str | None:
    thread_ts = args.get("thread_ts")
    if not thread_ts:
        return None
    parent = slack.message(channel, thread_ts)
    if parent is None or parent.only_for:
        raise Refused("thread_not_found")
    if parent.thread_ts:
        raise Refused("cannot_reply_to_message")
    return str(thread_ts)


def _post_message(slack: Workspace, args: Payload) -> Payload:
    content, channel = _content(args), _destination(slack, args["channel"]).id
    message = slack.post(
        channel=channel,
        user=BOT_USER,
        thread_ts=_parent(slack, channel, args),
        broadcast=flag(args, "reply_broadcast"),
        metadata=parsed(args, "metadata"),
        **content,
    )
    return {"channel": channel, "ts": message.ts, "message": as_payload(slack, channel, message.ts)}


def _post_ephemeral(slack: Workspace, args: Payload) -> Payload:
    content, channel = _content(args), _destination(slack, args["channel"])
    if args["user"] not in channel.members:
        raise Refused("user_not_in_channel")
    thread_ts = _parent(slack, channel.id, args)
    message = slack.post(channel=channel.id, user=BOT_USER, only_for=args["user"], thread_ts=thread_ts, **content)
    return {"message_ts": message.ts}


def _update(slack: Workspace, args: Payload) -> Payload:
    channel, text = reachable(slack, args["channel"]), args.get("text")
    message = slack.message(channel.id, args["ts"])
    if message is None or message.only_for:
        raise Refused("message_not_found")
    if message.user != BOT_USER:
        raise Refused("cant_update_message")
    if channel.is_archived:
        raise Refused("is_inactive")
    if len(text or "") > _UPDATE_CHARACTERS:
        raise Refused("msg_too_long")
    blocks = checked_blocks(args)
    # A text without blocks takes the blocks away; without either, the message stays as it is.
    kept = blocks or (() if text else message.blocks)
    metadata = parsed(args, "metadata") or message.metadata
    slack.edit(message, text=text or message.text, blocks=kept, metadata=metadata)
    shown = as_payload(slack, channel.id, message.ts)
    return {"channel": channel.id, "ts": message.ts, "text": shown["text"], "message": shown}


def _permalink(slack: Workspace, args: Payload) -> Payload:
    channel = reachable(slack, args["channel"]).id
    message = slack.message(channel, args["message_ts"])
    if message is None or message.only_for:
        raise Refused("message_not_found")
    thread = f"?thread_ts={message.thread_ts}&cid={channel}" if message.thread_ts else ""
    return {
        "channel": channel,
        "permalink": f"{args['_url']}/archives/{channel}/p{message.ts.replace('.', '')}{thread}",
    }


def view_payload(view: View) -> Payload:
    """Return a view as Slack sends it, its state left empty."""
    names = {"id": view.id, "hash": view.hash, "team_id": TEAM, "app_id": APP_ID, "bot_id": BOT_ID}
    tree: Payload = {"root_view_id": view.root, "previous_view_id": view.previous, "state": {"values": {}}}
    defaults = {"private_metadata": "", "callback_id": "", "external_id": ""}
    return {**defaults, **view.body, **names, **tree}


def checked_view(args: Payload, kind: str) -> Payload:
    """Return a view of that kind; raises Refused."""
    view = parsed(args, "view")
    wrong = view_problems(view)
    if not wrong and view["type"] != kind:
        wrong = [f"view.type: must be {kind} here"]
    if wrong:
        raise Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {problem}" for problem in wrong]})
    return dict(view)


def push(slack: Workspace, user: str, body: Payload) -> View:
    """Lay a modal on top of the person's; Slack takes three."""
    stack = slack.views(user)
    if len(stack) >= _MOST_VIEWS:
        raise Refused("push_limit_reached")
    return slack.show_view(user, body, over=stack[-1] if stack else None)


def _views_open(slack: Workspace, args: Payload) -> Payload:
    body = checked_view(args, "modal")
    user = slack.spend_trigger(args["trigger_id"])
    slack.close_views(user)
    return {"view": view_payload(slack.show_view(user, body))}


def _views_push(slack: Workspace, args: Payload) -> Payload:
    body = checked_view(args, "modal")
    return {"view": view_payload(push(slack, slack.spend_trigger(args["trigger_id"]), body))}


def _views_update(slack: Workspace, args: Payload) -> Payload:
    body, external = checked_view(args, "modal"), args.get("external_id")
    everybody = [view for view in slack.modals.values() if external and view.body.get("external_id") == external]
    view = slack.view(str(args.get("view_id"))) or next(iter(everybody), None)
    if view is None:
        raise Refused("not_found")
    if args.get("hash") not in (None, "", view.hash):
        raise Refused("hash_conflict")
    return {"view": view_payload(slack.show_view(view.user, body, instead=view))}


def _views_publish(slack: Workspace, args: Payload) -> Payload:
    body, shown = checked_view(args, "home"), slack.home(args["user_id"])
    if slack.people.get(args["user_id"]) is None:
        raise Refused("user_not_found")
    if shown and args.get("hash") not in (None, "", shown.hash):
        raise Refused("hash_conflict")
    return {"view": view_payload(slack.show_view(args["user_id"], body, instead=shown))}


def _upload_url(slack: Workspace, args: Payload) -> Payload:
    stored = Stored(id=new_id("F"), name=args["filename"])
    slack.uploads[stored.id] = stored
    return {"upload_url": f"{args['_url']}/upload/{stored.id}", "file_id": stored.id}


def _complete_upload(slack: Workspace, args: Payload) -> Payload:
    files = [slack.uploads.get(one["id"]) for one in parsed(args, "files")]
    if any(one is None or not one.content for one in files):
        raise Refused("file_not_found")
    stored = tuple(one for one in files if one)
    if args.get("channel_id"):
        channel = _destination(slack, args["channel_id"]).id
        thread_ts, text = _parent(slack, channel, args), str(args.get("initial_comment") or "")
        slack.post(channel=channel, user=BOT_USER, text=text, thread_ts=thread_ts, files=stored)
    return {"files": [{"id": one.id, "title": one.name} for one in stored]}


def answer(slack: Workspace, hook: Hook, body: Payload) -> Message | None:
    """Do what a response_url, or the acknowledgement of a slash command, asks for; raises Refused."""
    target = hook.target and slack.message(hook.target.channel, hook.target.ts)
    if target and body.get("delete_original"):
        slack.edit(target, text="", blocks=(), deleted=True)
        return None
    content = _content(body)
    if target and body.get("replace_original"):
        return slack.edit(target, **content)
    only_for = None if body.get("response_type") == "in_channel" else hook.user
    thread_ts = body.get("thread_ts")
    message = slack.post(channel=hook.channel, user=BOT_USER, only_for=only_for, thread_ts=thread_ts, **content)
    hook.target = hook.target or message
    return message


def use_hook(slack: Workspace, token: str, body: Payload) -> Payload:
    """Take one post to a response_url; raises Refused once it is used up or too old."""
    hook = slack.hooks.get(token)
    if hook is None or slack.now() > hook.expires:
        raise Refused("expired_url")
    if not hook.uses:
        raise Refused("used_url")
    hook.uses -= 1
    answer(slack, hook, body)
    return {}


_CHAT = ("chat:write",)
_FILES = ("files:write",)
WRITING: dict[str, Method] = {
    "chat.postMessage": Method(run=_post_message, scopes=_CHAT, needs=("channel",)),
    "chat.postEphemeral": Method(run=_post_ephemeral, scopes=_CHAT, needs=("channel", "user")),
    "chat.update": Method(run=_update, scopes=_CHAT, needs=("channel", "ts")),
    "chat.getPermalink": Method(run=_permalink, needs=("channel", "message_ts")),
    "views.open": Method(run=_views_open, needs=("trigger_id", "view")),
    "views.push": Method(run=_views_push, needs=("trigger_id", "view")),
    "views.update": Method(run=_views_update, needs=("view",)),
    "views.publish": Method(run=_views_publish, needs=("user_id", "view")),
    "files.getUploadURLExternal": Method(run=_upload_url, scopes=_FILES, needs=("filename", "length")),
    "files.completeUploadExternal": Method(run=_complete_upload, scopes=_FILES, needs=("files",)),
}
