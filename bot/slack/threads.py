"""Tells the thread of a card what happened, in order: replies, and files with lists of devices."""

from functools import partial
from typing import Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.domain.cancellation import State
from bot.domain.errors import TamperedError
from bot.domain.events import Event
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.escape import safe
from bot.slack.files import share
from bot.slack.message import Message
from bot.slack.pace import Pace, posting
from bot.slack.posts import UNPOSTABLE, maybe_posted, post, reason
from bot.slack.sheets import Sheet, beside, unattached
from bot.slack.views import failed_call, more_failures, reply, speaks

FIRST: Final = "reply"
"""The sink that knows of an event with a reply and a file that the reply is there."""
LAST: Final = "failures"
"""The sink that knows of a run which failed attempt was the last to be told; a run of thousands would be minutes of
replies, in which nobody else's come."""
MOST_FAILURES: Final = 5
"""Failed attempts of a run that have a reply of their own."""
MOST_UPLOADS: Final = 3
"""How often a file is tried that Slack cannot take for the moment; what comes after it must not wait for ever."""

log = structlog.get_logger()


class Threads:
    """Tells threads, at least once, each event after the one before."""

    def __init__(self, ledger: Ledger, client: WebClient, pace: Pace) -> None:
        self._ledger = ledger
        self._outbox = ledger.outbox
        self._client = client
        self._pace = pace

    def tell(self, row: CardRow, *, failures: int) -> bool:
        """Tell a thread what it has not been told; returns whether that is all, or the rest waits for a slot.

        `failures` is how often that failed just before. Raises what slack_sdk raises, and OSError.
        """
        events = self._ledger.story(row.cancellation, after=row.told)
        spoken = [event for event in events if speaks(event)]
        state = self._ledger.state(row.cancellation) if spoken else None
        for event in spoken:
            if state is not None and not self._tell_event(row, event, state, failures):
                return False
        if events:
            self._outbox.told(row.cancellation, events[-1].id)
        return True

    def _tell_event(self, row: CardRow, event: Event, state: State, failures: int) -> bool:
        """Add to the thread what an event brings, one after the other: a file that fails must not repeat its reply."""
        parts = [part for part in (self._reply_to(row, event, state), self._beside(event, state)) if part is not None]
        first = f"{FIRST}:{row.cancellation}"
        if len(parts) > 1 and (self._outbox.cursor(first) or 0) >= event.id:
            del parts[0]
        for index, part in enumerate(parts, start=1):
            if not self._pace.may(posting(row.channel)) or not self._add(row, part, failures):
                return False
            if index < len(parts):
                self._outbox.advance(first, event.id)
        if parts:
            self._outbox.told(row.cancellation, event.id)
        return True

    def _beside(self, event: Event, state: State) -> Message | Sheet | None:
        """Return what an event adds about single devices; a list that was changed takes nothing else with it."""
        try:
            return beside(event, state, self._ledger.names, partial(self._ledger.story, state.id))
        except TamperedError as error:
            log.warning("list_unread", cancellation=state.id, error=str(error))
            return Message(text=f"{safe(str(error), 300)} So there is no file with the devices.")

    def _reply_to(self, row: CardRow, event: Event, state: State) -> Message | None:
        """Return an event's reply; of the failed attempts of a run the first few have one, and then all the others."""
        if not failed_call(event):
            return reply(event, state)
        sink = f"{LAST}:{row.cancellation}"
        last = self._outbox.cursor(sink)
        if last is None and self._failed_before(event) >= MOST_FAILURES:
            last = event.id
            self._outbox.advance(sink, last)
        if last is None:
            return reply(event, state)
        return more_failures(state) if event.id == last else None

    def _failed_before(self, event: Event) -> int:
        story = self._ledger.story(event.cancellation or 0)
        return sum(failed_call(earlier) for earlier in story if earlier.id < event.id)

    def _add(self, row: CardRow, part: Message | Sheet, failures: int) -> bool:
        return self._attach(row, part, failures) if isinstance(part, Sheet) else self._reply(row, part)

    def _attach(self, row: CardRow, sheet: Sheet, failures: int) -> bool:
        try:
            share(self._client, sheet, channel=row.channel, thread=row.ts)
        except (SlackClientError, OSError) as error:
            refused = isinstance(error, SlackApiError) and not maybe_posted(error)
            if isinstance(error, SlackApiError) and self._pace.heed(posting(row.channel), error):
                return False
            if not refused and failures < MOST_UPLOADS:
                raise
            log.warning("file_refused", cancellation=row.cancellation, error=reason(error))
            # The slot was taken for the file, and nothing has come of it.
            return self._reply(row, unattached(sheet, reason(error)))
        return True

    def _reply(self, row: CardRow, message: Message) -> bool:
        try:
            post(self._client, row.channel, message, thread=row.ts)
        except SlackApiError as error:
            if self._pace.heed(posting(row.channel), error):
                return False
            if reason(error) not in UNPOSTABLE:
                raise
        return True
