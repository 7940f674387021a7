"""Tells the audit channel: one line for each decision and each end, in the ledger's order."""

from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.events import Event
from bot.ledger.ledger import Ledger
from bot.slack.audit_views import AUDITED, audit_line, short_line
from bot.slack.message import Message
from bot.slack.pace import Pace, posting
from bot.slack.people import SlackDirectory
from bot.slack.posts import ill_drawn, post

AUDIT: Final = "audit"


class AuditChannel:
    """The ledger's outside witness, told at least once of everything; without a channel nothing is told."""

    def __init__(
        self, ledger: Ledger, client: WebClient, directory: SlackDirectory, pace: Pace, *, channel: str | None
    ) -> None:
        self._ledger = ledger
        self._outbox = ledger.outbox
        self._client = client
        self._directory = directory
        self._pace = pace
        self._channel = channel
        self._sink = f"{AUDIT}:{channel}"

    def begin(self) -> None:
        """Settle from where on it is told, when it is told for the first time."""
        if self._outbox.cursor(self._sink) is None:
            # On a bot's first start everything is told: what was cancelled from a terminal before wants its witness,
            # too. A channel that is named later is told from then on: a line a second, years of an old ledger would
            # bury today's decisions, and the ledger has them. Without a channel the row says that a bot has run.
            self._outbox.advance(self._sink, 0 if self._outbox.untold() else self._ledger.head())

    def tell(self) -> bool:
        """Tell what was not told; returns whether that is all, or the rest waits for a slot."""
        if self._channel is None:
            return True
        events = self._ledger.events(after=self._outbox.cursor(self._sink) or 0)
        for event in events:
            if event.kind in AUDITED:
                line = self._line(event)
                if line is not None and not self._post(self._channel, line, short_line(event)):
                    return False
                self._outbox.advance(self._sink, event.id)
        if events:
            self._outbox.advance(self._sink, events[-1].id)
        return True

    def _line(self, event: Event) -> str | None:
        state = self._ledger.state(event.cancellation) if event.cancellation is not None else None
        return audit_line(event, state, self._directory.name(event.actor))

    def _post(self, channel: str, line: str, short: str) -> bool:
        """Post a line, or where Slack minds what is in it, what makes it a witness all the same."""
        if not self._pace.may(posting(channel)):
            return False
        try:
            try:
                post(self._client, channel, Message(text=line))
            except SlackApiError as error:
                if not ill_drawn(error):
                    raise
                post(self._client, channel, Message(text=short))
        except SlackApiError as error:
            if self._pace.heed(posting(channel), error):
                return False
            raise
        return True
