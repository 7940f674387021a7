"""The Web API's methods that write messages, and what a response_url takes."""

from typing import Any

from bot.playground.slack.api import Method, as_payload, flag, parsed, reachable
from bot.playground.slack.block_kit import problems
from bot.playground.slack.values import Channel, Message, Payload, Refused
from bot.playground.slack.workspace import BOT_USER, Hook, Workspace

_POST_CHARACTERS = 40_000
_UPDATE_CHARACTERS = 4_000


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


def destination(slack: Workspace, channel_id: str) -> Channel:
    """Return where a post goes, a person's direct messages included; raises Refused."""
    person = slack.people.get(channel_id)
    if person is not None and not person.deleted:
        return slack.direct(person.id)
    channel = reachable(slack, channel_id)
    if BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    if channel.is_archived:
        raise Refused("is_archived")
    return channel


def parent_of(slack: Workspace, channel: str, args: Payload) -> str | None:
    """Return the thread that a post goes into, if any; raises Refused."""
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
    content, channel = _content(args), destination(slack, args["channel"]).id
    message = slack.post(
        channel=channel,
        user=BOT_USER,
        thread_ts=parent_of(slack, channel, args),
        broadcast=flag(args, "reply_broadcast"),
        metadata=parsed(args, "metadata"),
        **content,
    )
    return {"channel": channel, "ts": message.ts, "message": as_payload(slack, channel, message.ts)}


def _post_ephemeral(slack: Workspace, args: Payload) -> Payload:
    content, channel = _content(args), destination(slack, args["channel"])
    if args["user"] not in channel.members:
        raise Refused("user_not_in_channel")
    thread_ts = parent_of(slack, channel.id, args)
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
WRITING: dict[str, Method] = {
    "chat.postMessage": Method(run=_post_message, scopes=_CHAT, needs=("channel",)),
    "chat.postEphemeral": Method(run=_post_ephemeral, scopes=_CHAT, needs=("channel", "user")),
    "chat.update": Method(run=_update, scopes=_CHAT, needs=("channel", "ts")),
    "chat.getPermalink": Method(run=_permalink, needs=("channel", "message_ts")),
}
