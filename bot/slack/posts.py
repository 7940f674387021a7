"""Posts messages, and reads what Slack says when it does not take one."""

from http import HTTPStatus
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.answers import payload
from bot.slack.message import Message

UNPOSTABLE: Final = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "no_permission", "ekm_access_denied"}
)
"""Slack's words for a channel that the bot cannot post in."""
BROKEN: Final = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack's words for its own failures; "some aspect of the operation" may have succeeded, its documentation says."""


def post(client: WebClient, channel: str, message: Message, *, thread: str | None = None) -> str:
    """Post a message and return Slack's id of it; raises what slack_sdk raises, and OSError."""
    place: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": message.broadcast} if thread else {}
    ts = client.chat_postMessage(channel=channel, **place, **payload(message)).get("ts")
    if not isinstance(ts, str):
        raise SlackClientError("Slack named no ts for the message")
    return ts


def maybe_posted(error: SlackApiError) -> bool:
    """Tell whether Slack broke down over a post, instead of refusing it: the message may be there all the same."""
    status = getattr(error.response, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or reason(error) in BROKEN


def reason(error: BaseException) -> str:
    """Return Slack's word for an error, or what kind of error it is."""
    response = getattr(error, "response", None)
    found = response.get("error") if response is not None and hasattr(response, "get") else None
    return str(found or type(error).__name__)
