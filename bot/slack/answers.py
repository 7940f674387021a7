"""Private answers to a person: over the response_url of what they did, or as an ephemeral message."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import structlog
from cachetools import TTLCache
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from bot.domain.cancellation import State
from bot.slack.buttons import already
from bot.slack.files import send_whole
from bot.slack.message import Message, said

LIVES: Final = 29 * 60
"""Seconds that a response_url is used; Slack takes it for 30 minutes and five answers."""
AFTER_ACK: Final = 0.1
"""Seconds that an answer leaves to the acknowledgement before it, which another thread sends."""
TIMEOUT: Final = 8

log = structlog.get_logger()


class Answers:
    """Sends ephemeral answers. A response_url is a secret: it is kept in memory alone and never logged.

    `link` gives the way to a cancellation's card, as mrkdwn; empty where there is none.
    """

    def __init__(
        self,
        client: WebClient,
        *,
        timer: Callable[[], float],
        sleep: Callable[[float], None],
        link: Callable[[int], str] = lambda _cancellation: "",
    ) -> None:
        self._sleep = sleep
        self._client = client
        self._link = link
        self._urls: TTLCache[int, str] = TTLCache(10_000, LIVES, timer=timer)
        self._lock = threading.Lock()

    def remember(self, cancellation: int, url: str | None) -> None:
        """Keep the way to whoever ordered `cancellation`."""
        if url:
            with self._lock:
                self._urls[cancellation] = url

    def tell(self, state: State, text: str) -> None:
        """Tell the requester of `state` something; never raises."""
        with self._lock:
            url = self._urls.get(state.id)
        self.answer(url, state.channel, state.requester, said(f"#{state.id}: {text}"))

    def ask_anyway(self, state: State, like: State) -> None:
        """Show the open card that an order is like, and the button that says that it is meant all the same."""
        with self._lock:
            url = self._urls.get(state.id)
        self.answer(url, state.channel, state.requester, already(state, like, self._link(like.id)))

    def answer(self, url: str | None, channel: str | None, user: str, message: Message) -> None:
        """Show `message` to `user` alone; never raises. What it answers is acknowledged first."""
        try:
            self._sleep(AFTER_ACK)
            if not (url and self._over_url(url, message)):
                self._in_channel(channel, user, message)
            if message.whole:
                self.attach(user, message)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be given changes nothing
            log.warning("answer_failed", user=user, error=type(error).__name__)

    def attach(self, user: str, message: Message) -> None:
        """Send somebody the whole of a message that did not fit, as a file in a direct message; never raises."""
        try:
            send_whole(self._client, user, message.whole)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be given changes nothing
            log.warning("answer_failed", user=user, error=type(error).__name__)

    def _in_channel(self, channel: str | None, user: str, message: Message) -> None:
        """Show it in the channel to nobody else; where Slack will not, in a direct message."""
        try:
            if channel:
                self._client.chat_postEphemeral(channel=channel, user=user, **payload(message))
                return
        except SlackApiError as error:
            log.info("ephemeral_failed", error=str(error.response.get("error")))
        if user.startswith(("U", "W")):
            self._client.chat_postMessage(channel=user, **payload(message))

    def _over_url(self, url: str, message: Message) -> bool:
        """Try the response_url; anything wrong with it leaves the other way open."""
        body = {"response_type": "ephemeral", "replace_original": False, **payload(message)}
        try:
            hook = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[], proxy=self._client.proxy)
            return hook.send_dict(body).status_code == HTTPStatus.OK
        except Exception as error:  # noqa: BLE001 - a broken url or answer shows itself in many ways
            log.info("response_url_failed", error=type(error).__name__)
            return False


def payload(message: Message) -> dict[str, Any]:
    """Return a message as the arguments of chat.postMessage and its kin; nothing in it is parsed or unfurled."""
    blocks = {"blocks": list(message.blocks)} if message.blocks else {}
    return {"text": message.text, "parse": "none", "link_names": False, **unfurled(), **blocks}


def unfurled() -> dict[str, bool]:
    """Return the arguments that keep links from growing into previews."""
    return {"unfurl_links": False, "unfurl_media": False}
