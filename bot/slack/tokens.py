"""Notices what Slack says of the bot's two tokens, in the one place through which every call of the Web API goes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.domain.secret import Secret

DEAD: Final = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
"""Slack's words for a token that it does not know, or knows no more; a scope that is missing is no such word."""
UNSAID: Final = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""Slack's words that say nothing of the token."""
LASTING: Final = 60.0
"""Seconds between a first and a last refusal, with nothing taken in between, that make it final: Slack has refused
good tokens for moments, and a restart of the bot would not make a bad one good."""
TIMEOUT: Final = 10
"""Seconds for a call of Slack's Web API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A token that Slack does not take, for the word it says, since the first and until the last refusal."""

    word: str
    since: float
    until: float

    @property
    def lasting(self) -> bool:
        """Whether that has been said for long enough to be believed."""
        return self.until - self.since >= LASTING


class Tokens:
    """What Slack said last of each token; `timer` is monotonic, in seconds."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._refused: dict[str, Refused] = {}

    def took(self, token: str) -> None:
        """Note that Slack has taken a token."""
        with self._lock:
            self._refused.pop(token, None)

    def refuses(self, token: str, word: str) -> None:
        """Note that Slack has refused a token."""
        now = self._timer()
        with self._lock:
            before = self._refused.get(token) or Refused(word=word, since=now, until=now)
            self._refused[token] = replace(before, word=word, until=now)

    @property
    def refused(self) -> dict[str, Refused]:
        """The tokens that Slack refused when they were used last, by their key in the configuration."""
        with self._lock:
            return dict(self._refused)


class NoticingClient(WebClient):
    """Slack's client, which tells `tokens` how Slack took its token; it repeats nothing by itself.

    slack_sdk's own repeat would post a message twice.
    """

    def __init__(self, token: Secret, api_url: str, tokens: Tokens | None = None) -> None:
        super().__init__(token=token.reveal(), base_url=api_url, timeout=TIMEOUT, retry_handlers=[])
        self.tokens = tokens or Tokens(time.monotonic)

    def api_call(self, api_method: str, **given: Any) -> SlackResponse:
        """Call a method; raises what slack_sdk raises."""
        token = "app_token" if api_method == "apps.connections.open" else "bot_token"
        try:
            response = super().api_call(api_method, **given)
        except SlackApiError as error:
            word = said(error)
            if word in DEAD:
                self.tokens.refuses(token, word)
            elif word and word not in UNSAID:
                self.tokens.took(token)
            raise
        self.tokens.took(token)
        return response


def said(error: SlackApiError) -> str:
    """Return Slack's word, or nothing where it said none: slack_sdk's own look fails at what is no JSON object."""
    try:
        found = error.response.get("error")
    except (AttributeError, ValueError):
        return ""
    return found if isinstance(found, str) else ""
