"""Files in Slack: lists of names that people upload, and lists that the bot attaches.

Sources: https://docs.slack.dev/reference/objects/file-object (`url_private` is fetched with the bot's token) and
https://docs.slack.dev/messaging/working-with-files. The token goes to Slack's own hosts and nowhere else.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.clouds.http import Http, NoAnswerError, NotSentError, Reply, Request, session
from bot.domain.errors import DirectoryError, UsageError
from bot.domain.names import LARGEST, TOO_LARGE, text_of
from bot.domain.secret import Secret
from bot.slack.sheets import Sheet

HOSTS: Final = (".slack.com", ".slack-gov.com")
LATER: Final = frozenset(
    {"ratelimited", "fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"}
)
"""Slack's words for "not now"; all others are final."""
AGAIN: Final = "Nothing was changed. Upload it again, or type the names."


class Files:
    """Reads what people upload. `timer` is monotonic, in seconds."""

    def __init__(self, client: WebClient, token: Secret, *, timer: Callable[[], float]) -> None:
        self._client = client
        self._token = token
        self._http = Http(clock=timer, sessions=self._session, largest=LARGEST)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def read(self, file: str) -> str:
        """Return the text of an uploaded file.

        Raises DirectoryError when Slack does not give it now, UsageError when it never will or it is no text.
        """
        found = self._described(file)
        size, url = found.get("size"), str(found.get("url_private_download") or found.get("url_private") or "")
        if isinstance(size, int) and size > LARGEST:
            raise UsageError(f"{TOO_LARGE} {AGAIN}")
        if not self._trusted(url):
            raise UsageError(f"That file does not lie with Slack itself, so I do not fetch it. {AGAIN}")
        try:
            reply = self._http.send(
                Request(method="GET", url=url, headers={"Authorization": f"Bearer {self._token.reveal()}"})
            )
        except (NotSentError, NoAnswerError) as error:
            raise DirectoryError(f"Slack did not give me the file: {error}.") from error
        content = _checked(reply)
        try:
            return text_of(content)
        except UsageError as error:
            raise UsageError(f"{error.message} {AGAIN}") from None

    def _described(self, file: str) -> Mapping[str, Any]:
        try:
            found = self._client.files_info(file=file).get("file")
        except SlackApiError as error:
            why = str(error.response.get("error"))
            if why in LATER or error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise DirectoryError(f"Slack did not tell me where the file is ({why}).") from error
            raise UsageError(f"Slack does not let me read the file ({why}). {AGAIN}") from error
        except (SlackClientError, OSError) as error:
            raise DirectoryError(f"Slack did not tell me where the file is ({type(error).__name__}).") from error
        return found if isinstance(found, Mapping) else {}

    def _trusted(self, url: str) -> bool:
        """Tell whether the bot's token may go to `url`: to where the Web API is, or to Slack's hosts over TLS."""
        try:
            asked, api = urlsplit(url), urlsplit(self._client.base_url)
            if (asked.scheme, asked.netloc) == (api.scheme, api.netloc):
                return True
            plain = asked.netloc in (asked.hostname, f"{asked.hostname}:443")
            return asked.scheme == "https" and plain and (asked.hostname or "").endswith(HOSTS)
        except ValueError:
            return False

    def _session(self) -> Any:
        made = session()
        if self._client.proxy:
            # The Web API's client found it in the environment: where Slack is behind a proxy its files are, too.
            made.proxies = {"http": self._client.proxy, "https": self._client.proxy}
        return made


def _checked(reply: Reply) -> bytes:
    """Return a file's bytes; where a file may not be read Slack sends a page to log in on, or to there."""
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise DirectoryError(f"Slack did not give me the file (HTTP {reply.status}).")
    page = reply.headers.get("content-type", "").startswith("text/html")
    if reply.status != HTTPStatus.OK or page:
        why = "a page to log in on" if page else f"HTTP {reply.status}"
        raise UsageError(f"Slack does not let me read the file ({why}): I may lack the scope files:read. {AGAIN}")
    return reply.body


# --- what the bot attaches -------------------------------------------------------------------------------------------


def share(client: WebClient, sheet: Sheet, *, channel: str, thread: str | None) -> None:
    """Attach a file to a thread; raises what slack_sdk raises, and OSError."""
    client.files_upload_v2(
        channel=channel,
        thread_ts=thread,
        filename=sheet.name,
        title=sheet.name,
        content=sheet.content,
        initial_comment=sheet.comment or None,
    )


def send_whole(client: WebClient, user: str, text: str) -> None:
    """Send somebody a long answer as a file, in a direct message; where Slack takes no file, say so there."""
    told = client.chat_postMessage(channel=user, text="My answer was longer than a message; all of it is in this file.")
    sheet = Sheet(name="answer.txt", comment="", content=text.encode("utf-8", "replace"))
    try:
        share(client, sheet, channel=str(told.get("channel")), thread=str(told.get("ts")))
    except (SlackClientError, OSError) as error:
        why = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        client.chat_postMessage(channel=user, text=f"Slack does not take the file ({why}), so the rest stays unsaid.")
