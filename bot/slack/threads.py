"""Tells the thread of a card what happened, in order: replies, and files with lists of devices."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.cancellation import State
from bot.domain.errors import TamperedError
from bot.domain.events import Event, Kind
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.asked import Approvers, asks, thread_reply
from bot.slack.directly import MOST_TRIES, approvers_of
from bot.slack.escape import safe, trim
from bot.slack.files import share
from bot.slack.message import Message
from bot.slack.pace import SHARE, Pace, posting
from bot.slack.parts import Parts
from bot.slack.people import SlackDirectory
from bot.slack.posts import GONE, NO_ANSWER, ill_drawn, post, reason, refused
from bot.slack.sheets import Sheet, beside, unattached
from bot.slack.views import failed_call, looked_again, more_failures, named, reply, speaks

PARTS: Final = "parts"
"""The sink that knows how many parts of an event are told."""
LAST: Final = "failures"
"""The sink that knows of a run which failed attempt was the last to be told; a run of thousands would be minutes of
replies, in which nobody else's come."""
MOST_FAILURES: Final = 5
"""Failed attempts of a run that have a reply of their own."""
SHORT: Final = 300
"""Characters of a reply that Slack did not take as it was."""

log = structlog.get_logger()


class Threads:
    """Tells threads, at least once, each event after the one before."""

    def __init__(self, ledger: Ledger, client: WebClient, directory: SlackDirectory, pace: Pace) -> None:
        self._ledger = ledger
        self._directory = directory
        self._outbox = ledger.outbox
        self._client = client
        self._pace = pace
        self._parts = Parts(ledger.outbox)

    def tell(self, row: CardRow, *, failures: int) -> bool:
        """Tell a thread what it has not been told; returns whether that is all, or the rest waits.

        It waits for a slot, or for a card: under one that is gone there is no thread. `failures` is how often that
        failed just before. Raises what slack_sdk raises, and DirectoryError.
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
        """Tell what an event brings, one part after the other."""
        sink, parts = f"{PARTS}:{row.cancellation}", self._added(row, event, state, failures)
        for index, part in enumerate(parts, start=1):
            if index <= self._parts.told(sink, event):
                continue
            if isinstance(part, Sheet) and self._pace.holds(SHARE):
                return False
            if not self._pace.may(posting(row.channel)) or not self._add(row, part, failures):
                return False
            if index < len(parts):
                self._parts.reach(sink, event, index)
        if parts:
            self._outbox.told(row.cancellation, event.id)
        return True

    def _added(self, row: CardRow, event: Event, state: State, failures: int) -> Sequence[Message | Sheet]:
        """Return what an event adds to the card's thread."""
        approvers = approvers_of(self._directory, state, failures) if asks(event, state) else Approvers()
        by = self._directory.name(named(event, state))
        asked = thread_reply(event, state, approvers, by)
        added = (self._reply_to(row, event, state, by), asked, self._beside(event, state))
        return [part for part in added if part is not None]

    def _beside(self, event: Event, state: State) -> Message | Sheet | None:
        """Return what an event adds about single devices; a list that was changed takes nothing else with it."""
        try:
            return beside(event, state, self._ledger.names, partial(self._ledger.story, state.id))
        except TamperedError as error:
            log.warning("list_unread", cancellation=state.id, error=str(error))
            return Message(text=f"{safe(str(error), 300)} So there is no file with the devices.")

    def _reply_to(self, row: CardRow, event: Event, state: State, by: str) -> Message | None:
        """Return an event's reply; of the failed attempts of a run the first few have one, and then all the others."""
        if event.kind == Kind.VERIFIED:
            return looked_again(event, self._before(event)) if state.ended is not None else None
        if not failed_call(event):
            return reply(event, state, by)
        sink = f"{LAST}:{row.cancellation}"
        last = self._outbox.cursor(sink)
        if last is None and self._failed_before(event) >= MOST_FAILURES:
            last = event.id
            self._outbox.advance(sink, last)
        if last is None:
            return reply(event, state)
        return more_failures(state) if event.id == last else None

    def _failed_before(self, event: Event) -> int:
        return sum(map(failed_call, self._before(event)))

    def _before(self, event: Event) -> list[Event]:
        return [earlier for earlier in self._ledger.story(event.cancellation or 0) if earlier.id < event.id]

    def _add(self, row: CardRow, part: Message | Sheet, failures: int) -> bool:
        """Add a part; returns whether it is told, or has to wait."""
        try:
            if isinstance(part, Sheet):
                return self._attach(row, part, failures)
            self._reply(row, part, failures)
        except SlackApiError as error:
            if reason(error) in GONE:
                # The card is posted anew, and this is told below it; not at once, should that one be gone, too.
                self._outbox.lose(row.cancellation, row.ts or "")
            if self._pace.heed(posting(row.channel), error):
                return False
            raise
        return True

    def _attach(self, row: CardRow, sheet: Sheet, failures: int) -> bool:
        try:
            share(self._client, sheet, channel=row.channel, thread=row.ts)
        except NO_ANSWER as error:
            if isinstance(error, SlackApiError) and self._pace.heed(SHARE, error):
                return False
            if reason(error) in GONE:
                raise
            if not refused(error) and failures < MOST_TRIES:
                raise
            log.warning("file_refused", cancellation=row.cancellation, error=reason(error))
            # The slot was taken for the file, and nothing has come of it.
            self._reply(row, unattached(sheet, reason(error)), failures)
        return True

    def _reply(self, row: CardRow, message: Message, failures: int) -> None:
        """Reply; what Slack minds in a reply is left out of it, and in the end the reply is: the others must come."""
        try:
            post(self._client, row.channel, message, thread=row.ts)
        except SlackApiError as error:
            if not ill_drawn(error):
                raise
            short = Message(text=f"{trim(message.text, SHORT)} (Slack did not take all of this; the ledger has it.)")
            try:
                post(self._client, row.channel, short, thread=row.ts)
            except SlackApiError as again:
                if not ill_drawn(again) or failures < MOST_TRIES:
                    raise
                log.warning("reply_refused", cancellation=row.cancellation, error=reason(again))
