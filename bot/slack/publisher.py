"""The publisher: one outbox, drawn from the ledger. Cards and their threads, and the audit channel, at least once."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.domain.cancellation import OPEN, State
from bot.domain.errors import LedgerError
from bot.domain.events import Event, Kind
from bot.ledger.leases import Lease
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.answers import Answers, payload
from bot.slack.card import card
from bot.slack.files import share
from bot.slack.message import Message
from bot.slack.pace import UPDATE, Pace, posting
from bot.slack.people import SlackDirectory
from bot.slack.sheets import Sheet, beside, unattached
from bot.slack.views import AUDITED, audit_line, reply

AUDIT: Final = "audit"
FIRST: Final = "reply"
"""The sink that knows of an event with a reply and a file that the reply is there."""
MOST_UPLOADS: Final = 3
"""How often a file is tried that Slack cannot take for the moment; what comes after it must not wait for ever."""
IDLE: Final = 0.5
"""Seconds between looks at the ledger when nothing wakes the publisher; other processes write it, too."""
PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before something that failed is tried again; the last one repeats."""
UNPOSTABLE: Final = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "no_permission", "ekm_access_denied"}
)
"""Slack's words for a channel that the bot cannot post in."""
BROKEN: Final = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack's words for its own failures; "some aspect of the operation" may have succeeded, its documentation says."""
UNEDITABLE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
"""Slack's words for a message that cannot be edited any more: a new one takes its place."""

log = structlog.get_logger()


class Publisher:
    """Keeps Slack equal to the ledger.

    Only the holder of its lease writes; a failure delays one card, never the rest.
    """

    def __init__(
        self,
        ledger: Ledger,
        client: WebClient,
        directory: SlackDirectory,
        answers: Answers,
        *,
        audit_channel: str | None,
        owner: str,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._directory = directory
        self._answers = answers
        self._audit_channel = audit_channel
        self._audit_sink = f"{AUDIT}:{audit_channel}"
        self._owner = owner
        self._over = threading.Event()
        self._now = now
        self._pace = Pace(ledger.slots)
        self._pending: set[int] = set()
        self._seen = 0
        self._not_before: dict[int | str, datetime] = {}
        self._failures: dict[int | str, int] = {}
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="publisher")

    def start(self) -> None:
        """Start publishing."""
        outbox = self._ledger.outbox
        if outbox.cursor(self._audit_sink) is None:
            # On a bot's first start everything is told: what was cancelled from a terminal before wants its witness,
            # too. A channel that is named later is told from then on: a line a second, years of an old ledger would
            # bury today's decisions, and `audit list` has them. Without a channel the row says that a bot has run.
            outbox.advance(self._audit_sink, 0 if outbox.untold() else self._ledger.head())
        self._ledger.listen(self._wake.set)
        self._thread.start()

    def stop(self) -> None:
        """Tell once more what was decided, and leave; everything that decides has ended before."""
        self._over.set()
        self._wake.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._over.is_set():
            self._round()
            self._wake.wait(self._idle())
            self._wake.clear()
        self._round()

    def _idle(self) -> float:
        waiting = [self._not_before[key] for key in (*self._pending, AUDIT) if key in self._not_before]
        soonest = min(((at - self._now()).total_seconds() for at in waiting), default=IDLE)
        return max(0.01, min(IDLE, soonest))

    def _round(self) -> None:
        try:
            if not self._hold():
                return
            events = self._ledger.events(after=self._seen)
            self._pending |= {event.cancellation for event in events if event.cancellation is not None}
            self._seen = events[-1].id if events else self._seen
            for cancellation in sorted(self._pending):
                if self._due(cancellation) and self._tried(cancellation, partial(self._tell, cancellation)):
                    self._pending.discard(cancellation)
            if self._audit_channel and self._due(AUDIT):
                self._tried(AUDIT, self._audit)
        except LedgerError as error:
            log.warning("ledger_failed", error=str(error))
        except Exception:
            # The thread must not end: nobody else in this process tells Slack anything.
            log.exception("publisher_failed")

    def _hold(self) -> bool:
        """Hold the publisher's lease; whoever has just got it looks at everything that may be behind."""
        lease = Lease("publisher", self._owner)
        if self._ledger.leases.holds(lease):
            return True
        if self._ledger.leases.take(lease.name, lease.owner) is None:
            return False
        self._seen = self._ledger.head()
        self._pending = set(self._ledger.outbox.behind())
        return True

    # --- trying, and trying again ------------------------------------------------------------------------------

    def _due(self, key: int | str) -> bool:
        return self._not_before.get(key, self._now()) <= self._now()

    def _tried(self, key: int | str, work: Callable[[], float]) -> bool:
        """Do `work`, which returns 0 when all is told, or the seconds until there is a slot.

        Returns whether it is done.
        """
        try:
            pause = work()
            self._failures.pop(key, None)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - one card that cannot be told must not silence the others
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = PAUSES[min(failures, len(PAUSES)) - 1]
            log.warning("publishing_failed", what=key, error=_reason(error), again_in=pause)
        if pause:
            self._not_before[key] = self._now() + timedelta(seconds=pause)
        else:
            self._not_before.pop(key, None)
        return not pause

    # --- cards and threads -------------------------------------------------------------------------------------

    def _tell(self, cancellation: int) -> float:
        state = self._ledger.state(cancellation)
        if state is None or state.channel is None or not state.has_card:
            return 0.0
        row = self._ledger.outbox.card(cancellation) or CardRow(cancellation=cancellation, channel=state.channel)
        if row.ts is None:
            pause = self._post_card(state, row)
        elif row.shown < state.event and self._changed(row):
            pause = self._edit_card(state, row)
        else:
            pause = 0.0
        return pause or self._tell_thread(cancellation)

    def _changed(self, row: CardRow) -> bool:
        """Tell whether anything happened that the card shows: strangers must not use up Slack's edits by pressing."""
        return any(event.kind != Kind.REFUSED for event in self._ledger.story(row.cancellation, after=row.shown))

    def _post_card(self, state: State, row: CardRow) -> float:
        pause = self._pace.wait_for(posting(row.channel))
        if pause:
            return pause
        # Recorded before the post: if this process dies now, the next one knows that a card may lie there.
        self._ledger.outbox.keep(replace(row, attempted=row.attempted + 1))
        try:
            ts = self._post(row.channel, card(state, reposted=row.attempted > 0))
        except SlackApiError as error:
            if not _maybe_posted(error):
                self._ledger.outbox.keep(row)
            return self._unposted(state, row, error)
        self._ledger.outbox.keep(replace(row, ts=ts, attempted=row.attempted + 1, shown=state.event))
        return 0.0

    def _unposted(self, state: State, row: CardRow, error: SlackApiError) -> float:
        if self._pace.heed(posting(row.channel), error):
            return PAUSES[0]
        if _reason(error) in UNPOSTABLE and state.phase not in OPEN:
            return 0.0
        if _reason(error) in UNPOSTABLE and state.id not in self._failures:
            self._answers.tell(
                state,
                f"I cannot post in this channel ({_reason(error)}), so there is no card to confirm. Nothing was"
                " cancelled. Invite me to the channel; the card follows within a minute.",
            )
        raise error

    def _edit_card(self, state: State, row: CardRow) -> float:
        pause = self._pace.wait_for(UPDATE)
        if pause:
            return pause
        try:
            self._client.chat_update(channel=row.channel, ts=row.ts or "", **payload(card(state)))
        except SlackApiError as error:
            if self._pace.heed(UPDATE, error):
                return PAUSES[0]
            if _reason(error) not in UNEDITABLE:
                raise
            self._ledger.outbox.keep(replace(row, ts=None))
            return PAUSES[0]
        self._ledger.outbox.keep(replace(row, shown=state.event))
        return 0.0

    def _tell_thread(self, cancellation: int) -> float:
        row, state = self._ledger.outbox.card(cancellation), self._ledger.state(cancellation)
        if row is None or row.ts is None or state is None:
            return 0.0
        events = self._ledger.story(cancellation, after=row.told)
        for event in events:
            pause = self._tell_event(row, event, state)
            if pause:
                return pause
        if events:
            self._ledger.outbox.told(cancellation, events[-1].id)
        return 0.0

    def _tell_event(self, row: CardRow, event: Event, state: State) -> float:
        """Add to the thread what an event brings, one after the other: a file that fails must not repeat its reply."""
        parts = [part for part in (reply(event, state), beside(event, state, self._ledger.names)) if part is not None]
        first, outbox = f"{FIRST}:{row.cancellation}", self._ledger.outbox
        if len(parts) > 1 and (outbox.cursor(first) or 0) >= event.id:
            del parts[0]
        for index, part in enumerate(parts, start=1):
            pause = self._attach(row, part) if isinstance(part, Sheet) else self._reply(row, part)
            if pause:
                return pause
            if index < len(parts):
                outbox.advance(first, event.id)
        if parts:
            outbox.told(row.cancellation, event.id)
        return 0.0

    def _attach(self, row: CardRow, sheet: Sheet) -> float:
        pause = self._pace.wait_for(posting(row.channel))
        if pause:
            return pause
        try:
            share(self._client, sheet, channel=row.channel, thread=row.ts)
        except (SlackClientError, OSError) as error:
            refused = isinstance(error, SlackApiError) and not _maybe_posted(error)
            if isinstance(error, SlackApiError) and self._pace.heed(posting(row.channel), error):
                return PAUSES[0]
            if not refused and self._failures.get(row.cancellation, 0) < MOST_UPLOADS:
                raise
            log.warning("file_refused", cancellation=row.cancellation, error=_reason(error))
            # The slot was taken for the file, and nothing has come of it.
            return self._posted(row, unattached(sheet, _reason(error)))
        return 0.0

    def _reply(self, row: CardRow, message: Message) -> float:
        return self._pace.wait_for(posting(row.channel)) or self._posted(row, message)

    def _posted(self, row: CardRow, message: Message) -> float:
        try:
            self._post(row.channel, message, thread=row.ts)
        except SlackApiError as error:
            if self._pace.heed(posting(row.channel), error):
                return PAUSES[0]
            if _reason(error) not in UNPOSTABLE:
                raise
        return 0.0

    # --- the audit channel -------------------------------------------------------------------------------------

    def _audit(self) -> float:
        channel = self._audit_channel or ""
        events = self._ledger.events(after=self._ledger.outbox.cursor(self._audit_sink) or 0)
        for event in events:
            if event.kind not in AUDITED:
                continue
            state = self._ledger.state(event.cancellation) if event.cancellation is not None else None
            line = audit_line(event, state, self._directory.name(event.actor))
            if line is not None:
                pause = self._audit_one(channel, line)
                if pause:
                    return pause
            self._ledger.outbox.advance(self._audit_sink, event.id)
        if events:
            self._ledger.outbox.advance(self._audit_sink, events[-1].id)
        return 0.0

    def _audit_one(self, channel: str, line: str) -> float:
        pause = self._pace.wait_for(posting(channel))
        if pause:
            return pause
        try:
            self._post(channel, Message(text=line))
        except SlackApiError as error:
            if self._pace.heed(posting(channel), error):
                return PAUSES[0]
            raise
        return 0.0

    def _post(self, channel: str, message: Message, *, thread: str | None = None) -> str:
        place: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": message.broadcast} if thread else {}
        posted = self._client.chat_postMessage(channel=channel, **place, **payload(message))
        ts = posted.get("ts")
        if not isinstance(ts, str):
            raise SlackClientError("Slack named no ts for the message")
        return ts


def _maybe_posted(error: SlackApiError) -> bool:
    """Tell whether Slack broke down over a post, instead of refusing it: the message may be there all the same."""
    status = getattr(error.response, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or _reason(error) in BROKEN


def _reason(error: BaseException) -> str:
    response = getattr(error, "response", None)
    found = response.get("error") if response is not None and hasattr(response, "get") else None
    return str(found or type(error).__name__)
