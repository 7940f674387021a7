"""Tells the thread of a card what happened, in order: replies, files with lists of devices, and who is to be called.

Whoever has to answer, or waits for an answer, is also written to directly: edits ring no phone.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.domain.cancellation import State
from bot.domain.errors import DirectoryError, TamperedError
from bot.domain.events import Event, Kind
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.asked import MOST_DIRECT, Approvers, asks, calls, direct, thread_reply
from bot.slack.escape import safe
from bot.slack.files import share
from bot.slack.links import card_link
from bot.slack.message import Message
from bot.slack.pace import TOO_MANY, Pace, posting
from bot.slack.people import SlackDirectory
from bot.slack.posts import UNPOSTABLE, maybe_posted, post, reason
from bot.slack.sheets import Sheet, beside, unattached
from bot.slack.views import failed_call, more_failures, reply, speaks

PARTS: Final = "parts"
"""The sink that knows how many parts of an event are told: a part that fails must not repeat those before it."""
GLASS: Final = "glass"
"""The sink that knows how many of those who were passed over have been told where there is no card."""
MOST_PARTS: Final = 1000
"""More parts than any event has: a reply, a file, and a direct message to each of a few dozen people."""
LAST: Final = "failures"
"""The sink that knows of a run which failed attempt was the last to be told; a run of thousands would be minutes of
replies, in which nobody else's come."""
MOST_FAILURES: Final = 5
"""Failed attempts of a run that have a reply of their own."""
MOST_TRIES: Final = 3
"""How often something is tried that Slack cannot take for the moment; what comes after it must not wait for ever."""

Parts = Sequence[tuple[str, Message | Sheet | None]]
"""What an event adds: the channel or person, and what; nothing for somebody who need not hear it any more."""

log = structlog.get_logger()


class Threads:
    """Tells threads, at least once, each event after the one before."""

    def __init__(self, ledger: Ledger, client: WebClient, directory: SlackDirectory, pace: Pace) -> None:
        self._ledger = ledger
        self._directory = directory
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
        """Tell what an event brings."""
        # Nobody may be passed over unheard: that is tried until Slack itself refuses it.
        failures = 0 if event.kind == Kind.BROKE_GLASS else failures
        parts = self._parts(row, event, state, failures)
        if not self._tell_parts(row, event, PARTS, parts, failures):
            return False
        if parts:
            self._outbox.told(row.cancellation, event.id)
        return True

    def tell_skipped(self, state: State) -> bool:
        """Tell those whom broken glass passed over, where there is no card to do it from; returns whether that is all.

        Raises what slack_sdk raises, DirectoryError, and OSError.
        """
        if state.broke_glass is None:
            return True
        event = next(event for event in self._ledger.story(state.id) if event.kind == Kind.BROKE_GLASS)
        row = CardRow(cancellation=state.id, channel=state.channel or "")
        if self._told(GLASS, event) == MOST_PARTS - 1:
            return True
        if not self._tell_parts(row, event, GLASS, direct(event, state, self._approvers(state, 0), ""), 0):
            return False
        self._outbox.advance(f"{GLASS}:{state.id}", event.id * MOST_PARTS + MOST_PARTS - 1)
        return True

    def _tell_parts(self, row: CardRow, event: Event, sink: str, parts: Parts, failures: int) -> bool:
        """Tell one part after the other, from where `sink` knows that they are told."""
        told = self._told(sink, event)
        for index, (place, part) in enumerate(parts, start=1):
            if part is None or index <= told:
                continue
            if not self._pace.may(posting(place)) or not self._add(row, place, part, failures):
                return False
            if index < len(parts):
                self._outbox.advance(f"{sink}:{row.cancellation}", event.id * MOST_PARTS + index)
        return True

    def _told(self, sink: str, event: Event) -> int:
        """Return how many parts of an event a sink knows to be told."""
        last, told = divmod(self._outbox.cursor(f"{sink}:{event.cancellation}") or 0, MOST_PARTS)
        return told if last == event.id else 0

    def _parts(self, row: CardRow, event: Event, state: State, failures: int) -> Parts:
        """Return what an event adds to the card's thread, and then whom it calls: the channel or person, and what."""
        approvers = self._approvers(state, failures) if asks(event, state) else Approvers()
        asked = thread_reply(event, state, approvers)
        added = (self._reply_to(row, event, state), asked, self._beside(event, state))
        link = card_link(self._ledger, self._client, row.cancellation) if calls(event, state) else ""
        called = direct(event, state, approvers, link)
        # Who was told without a card has heard of it.
        unheard = called[self._told(GLASS, event) :] if event.kind == Kind.BROKE_GLASS else called
        return [*((row.channel, part) for part in added if part is not None), *unheard]

    def _approvers(self, state: State, failures: int) -> Approvers:
        """Return who may approve; where Slack does not tell, their groups are called as a whole.

        Those listed by themselves come first, so that nobody loses their place when the groups cannot be read any more.
        """
        listed = tuple((state.policy or {}).get("approvers") or ())
        try:
            # A guest or a stranger in their group may not approve, and is to read nothing of it.
            able = self._directory.able(listed, enough=MOST_DIRECT + 1)
        except DirectoryError as error:
            if failures < MOST_TRIES and not _refused(error.__cause__):
                raise
            users = sorted(name for name in listed if name.startswith(("U", "W")))
            return Approvers(people=tuple(users), listed=listed, all=False)
        return Approvers(people=tuple(sorted(able, key=lambda one: (one not in listed, one))), listed=listed)

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

    def _add(self, row: CardRow, place: str, part: Message | Sheet, failures: int) -> bool:
        if isinstance(part, Sheet):
            return self._attach(row, part, failures)
        return self._reply(row, part) if place == row.channel else self._direct(place, part, failures)

    def _direct(self, user: str, message: Message, failures: int) -> bool:
        """Write to somebody; who cannot be written to holds up nobody else."""
        try:
            post(self._client, user, message)
        except (SlackClientError, OSError) as error:
            if isinstance(error, SlackApiError) and self._pace.heed(posting(user), error):
                return False
            if not _refused(error) and failures < MOST_TRIES:
                raise
            log.warning("direct_message_refused", user=user, error=reason(error))
        return True

    def _attach(self, row: CardRow, sheet: Sheet, failures: int) -> bool:
        try:
            share(self._client, sheet, channel=row.channel, thread=row.ts)
        except (SlackClientError, OSError) as error:
            refused = isinstance(error, SlackApiError) and not maybe_posted(error)
            if isinstance(error, SlackApiError) and self._pace.heed(posting(row.channel), error):
                return False
            if not refused and failures < MOST_TRIES:
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


def _refused(error: BaseException | None) -> bool:
    """Tell whether Slack itself said no, which is no breakdown of its and no question of time."""
    if not isinstance(error, SlackApiError) or maybe_posted(error):
        return False
    return getattr(error.response, "status_code", TOO_MANY) != TOO_MANY and reason(error) != "ratelimited"
