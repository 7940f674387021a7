"""Posts messages, and reads what Slack says when it does not take one."""

import re
from http import HTTPStatus
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.answers import payload
from bot.slack.message import Message

UNPOSTABLE: Final = frozenset(
    {
        "channel_not_found",
        "ekm_access_denied",
        "is_archived",
        "is_inactive",
        "no_permission",
        "not_in_channel",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
    }
)
"""Slack's words for a channel that the bot cannot post in."""
BROKEN: Final = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack's words for its own failures; "some aspect of the operation" may have succeeded, its documentation says."""
GONE: Final = frozenset({"message_not_found", "thread_not_found"})
"""Slack's words for a message that is not there any more."""
UNTRUSTED: Final = frozenset(
    {
        "accesslimited",
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "team_added_to_org",
        "token_expired",
        "token_revoked",
    }
)
"""Slack's words for a token or a workspace that it does not let in now: nothing is wrong with what was said."""
ILL_DRAWN: Final = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text"}
)
"""Slack's words for what is in a message; for a card, a reply and a line any other unknown no is taken for one, too."""
TOO_OFTEN: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
"""Slack's words for too many calls."""
NO_ANSWER: Final = (SlackClientError, OSError, ValueError)
"""What slack_sdk raises where Slack gives no answer, or none that can be read."""
_WORD: Final = re.compile(r"[a-z0-9_]{2,60}")


def post(client: WebClient, channel: str, message: Message, *, thread: str | None = None) -> str:
    """Post a message and return Slack's id of it; raises what slack_sdk raises (NO_ANSWER)."""
    place: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": message.broadcast} if thread else {}
    ts = client.chat_postMessage(channel=channel, **place, **payload(message)).get("ts")
    if not isinstance(ts, str):
        raise SlackClientError("Slack named no ts for the message")
    return ts


def maybe_posted(error: SlackApiError) -> bool:
    """Tell whether Slack broke down over a post, instead of refusing it: the message may be there all the same."""
    if too_often(error):
        return False
    return _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or _said(error) is None or _said(error) in BROKEN


def too_often(error: SlackApiError) -> bool:
    """Tell whether Slack says that it is called too often; some methods say so in a 200."""
    return _status(error) == HTTPStatus.TOO_MANY_REQUESTS or _said(error) in TOO_OFTEN


def refused(error: BaseException | None) -> bool:
    """Tell whether Slack itself said no, which is no breakdown of its and no question of time."""
    return isinstance(error, SlackApiError) and not too_often(error) and not maybe_posted(error)


def ill_drawn(error: SlackApiError) -> bool:
    """Tell whether Slack refused a message for what is in it, so that the same message will never be taken."""
    return refused(error) and reason(error) not in UNPOSTABLE | GONE | UNTRUSTED


def reason(error: BaseException) -> str:
    """Return Slack's word for an error, or what kind of error it is."""
    if not isinstance(error, SlackApiError):
        return type(error).__name__
    return _said(error) or f"HTTP {_status(error)}"


def _said(error: SlackApiError) -> str | None:
    """Return Slack's own word; a proxy's page has none, and slack_sdk gives the page in its place."""
    answer = getattr(error.response, "data", error.response)
    said = answer.get("error") if isinstance(answer, dict) else None
    return said if isinstance(said, str) and _WORD.fullmatch(said) else None


def _status(error: SlackApiError) -> int:
    return int(getattr(error.response, "status_code", HTTPStatus.OK))
