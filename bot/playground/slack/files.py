"""Files: the Web API's methods for them, and how Slack describes them."""

from dataclasses import replace

from bot.playground.slack.api import Method, file_payload, parsed
from bot.playground.slack.chat import checked_blocks, destination, parent_of
from bot.playground.slack.values import Payload, Refused, Stored
from bot.playground.slack.workspace import BOT_USER, Workspace, new_id


def _upload_url(slack: Workspace, args: Payload) -> Payload:
    length = str(args["length"])
    if not length.isdecimal() or int(length) < 1:
        raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] length: must be more than 0"]})
    stored = Stored(id=new_id("F"), name=args["filename"], user=BOT_USER, at=slack.now(), length=int(length))
    slack.uploads[stored.id] = stored
    return {"upload_url": f"{slack.url}/upload/{stored.id}", "file_id": stored.id}


def received(slack: Workspace, file_id: str, content: bytes) -> bool:
    """Take a file's bytes at its upload URL; returns whether they are as many as were announced."""
    stored = slack.uploads.get(file_id)
    if stored is None or stored.length != len(content):
        return False
    slack.uploads[file_id] = replace(stored, content=content)
    return True


def _titled(slack: Workspace, one: Payload) -> Stored:
    stored = slack.uploads.get(str(one.get("id")))
    if stored is None or not stored.content:
        raise Refused("file_not_found")
    return replace(stored, title=str(one.get("title") or stored.name))


def _complete_upload(slack: Workspace, args: Payload) -> Payload:
    given = parsed(args, "files")
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] files: must be a list of files"]})
    stored = tuple(_titled(slack, one) for one in given)
    listed = [one for one in str(args.get("channels") or "").split(",") if one]
    places = [destination(slack, one).id for one in [*filter(None, [args.get("channel_id")]), *listed]]
    threads = [parent_of(slack, channel, args) for channel in places]
    text = str(args.get("initial_comment") or "")
    blocks = [] if text else checked_blocks(args)
    slack.uploads |= {one.id: one for one in stored}
    for channel, thread_ts in zip(places, threads, strict=True):
        slack.post(channel=channel, user=BOT_USER, text=text, blocks=blocks, thread_ts=thread_ts, files=stored)
    return {"files": [file_payload(slack, one) for one in stored]}


def _info(slack: Workspace, args: Payload) -> Payload:
    stored = slack.uploads.get(args["file"])
    if stored is None:
        raise Refused("file_not_found")
    return {"file": file_payload(slack, stored), "comments": [], "response_metadata": {"next_cursor": ""}}


_WRITE = ("files:write",)
FILING: dict[str, Method] = {
    "files.info": Method(run=_info, scopes=("files:read",), needs=("file",)),
    "files.getUploadURLExternal": Method(run=_upload_url, scopes=_WRITE, needs=("filename", "length")),
    "files.completeUploadExternal": Method(run=_complete_upload, scopes=_WRITE, needs=("files",)),
}
