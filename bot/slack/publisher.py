"""The publisher: one outbox, drawn from the ledger. Cards and their threads, and the audit channel, at least once."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from slack_sdk import WebClient

from bot.domain.cancellation import OPEN
from bot.domain.errors import LedgerError
from bot.ledger.leases import Lease
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.answers import Answers
from bot.slack.audit import AUDIT, AuditChannel
from bot.slack.cards import Cards
from bot.slack.directly import Directly
from bot.slack.pace import Pace
from bot.slack.people import SlackDirectory
from bot.slack.threads import Threads
from bot.slack.tries import Tries
from bot.slack.turns import Need, in_turn, need

IDLE: Final = 0.5
"""Seconds between looks at the ledger when nothing wakes the publisher; other processes write it, too."""
GONE_WITHIN: Final = timedelta(seconds=5)
"""How soon a card is posted anew that somebody was seen to have deleted."""

log = structlog.get_logger()


class Publisher:
    """Keeps Slack equal to the ledger.

    Only the holder of its lease writes; a failure delays one card, never the rest. A round does what Slack's pace
    allows now, the most urgent first: cards, then their threads, then the audit channel, then, by `refresh`, Home tabs.
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
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._refresh = refresh
        self._ledger = ledger
        self._owner = owner
        self._now = now
        self._pace = Pace(ledger.slots)
        self._tries = Tries(now)
        self._threads = Threads(ledger, client, directory, self._pace)
        self._directly = Directly(ledger, client, directory, self._pace)
        self._cards = Cards(ledger, client, answers, self._pace, tell_skipped=self._directly.tell_skipped)
        self._audit = AuditChannel(ledger, client, directory, self._pace, channel=audit_channel)
        self._needs: dict[int, Need] = {}
        """What each card needs whose cancellation Slack has not been told all of."""
        self._drawn: dict[int, datetime] = {}
        """When this process last drew a card that is not at its end."""
        self._seen = 0
        self._looked: datetime | None = None
        """When it was looked for cards that are gone from Slack."""
        self._caught_up = False
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="publisher")

    def start(self) -> None:
        """Start publishing."""
        self._audit.begin()
        self._ledger.listen(self._wake.set)
        self._thread.start()

    def stop(self) -> None:
        """Tell once more what was decided, and leave; everything that decides has ended before."""
        self._over.set()
        self._wake.set()
        if self._thread.ident is not None:  # else the start came to nothing before it
            self._thread.join()

    def _publish(self) -> None:
        while not self._over.is_set():
            self._round()
            self._wake.wait(max(0.01, min(IDLE, self._pace.soonest(), self._tries.soonest())))
            self._wake.clear()
        self._round()

    def _round(self) -> None:
        self._pace.new_round()
        try:
            if not self._hold():
                return
            self._look()
            for cancellation in in_turn(self._needs, self._drawn, self._now()):
                self._draw(cancellation)
            for row in self._posted():
                self._tell(row)
            self._tries.attempt(AUDIT, self._audit.tell)
            self._refresh()
        except LedgerError as error:
            log.warning("ledger_failed", error=str(error))
        except Exception:
            # The thread must not end: nobody else in this process tells Slack anything.
            log.exception("publisher_failed")

    # --- what is behind ----------------------------------------------------------------------------------------

    def _hold(self) -> bool:
        """Hold the publisher's lease; whoever has just got it looks at everything that may be behind."""
        lease = Lease("publisher", self._owner)
        if not self._ledger.leases.holds(lease):
            self._caught_up = False
            if self._ledger.leases.take(lease.name, lease.owner) is None:
                return False
        if not self._caught_up:
            self._seen = self._ledger.head()
            self._needs = {cancellation: self._behind(cancellation) for cancellation in self._ledger.outbox.behind()}
            self._drawn.clear()
            self._caught_up = True
        return True

    def _behind(self, cancellation: int) -> Need:
        row = self._ledger.outbox.card(cancellation)
        if row is None or row.ts is None:
            return Need.POST
        story = self._ledger.story(cancellation, after=row.shown)
        return min((need(event.kind) for event in story), default=Need.NOTHING)

    def _look(self) -> None:
        """Note what the events since the last look ask for."""
        events = self._ledger.events(after=self._seen)
        for event in events:
            if event.cancellation is not None:
                before = self._needs.get(event.cancellation)
                known = self._behind(event.cancellation) if before is None else before
                self._needs[event.cancellation] = min(known, need(event.kind))
        self._seen = events[-1].id if events else self._seen
        if self._looked is None or abs(self._now() - self._looked) >= GONE_WITHIN:
            self._looked = self._now()
            for cancellation in self._ledger.outbox.unposted():
                self._needs[cancellation] = Need.POST

    # --- cards and threads -------------------------------------------------------------------------------------

    def _draw(self, cancellation: int) -> None:
        state, what = self._ledger.state(cancellation), f"card {cancellation}"
        if state is None or not self._tries.attempt(
            what, lambda: self._cards.draw(state, failures=self._tries.failures(what))
        ):
            return
        self._needs[cancellation] = Need.NOTHING
        if state.phase in OPEN:
            self._drawn[cancellation] = self._now()
        else:
            self._drawn.pop(cancellation, None)

    def _posted(self) -> list[CardRow]:
        """Return the cards that are there and may have something to be told beside them, as they fell behind."""
        found = {one: self._ledger.outbox.card(one) for one in self._needs}
        for cancellation, row in found.items():
            if (row is None or row.ts is None) and self._needs[cancellation] is Need.NOTHING:
                del self._needs[cancellation]  # without a card there is no thread
        return sorted((row for row in found.values() if row is not None and row.ts), key=lambda row: row.told)

    def _tell(self, row: CardRow) -> None:
        """Tell people directly what calls them, and the thread; each is tried by itself.

        The card shows first what a reply speaks of, unless it cannot be edited; its progress, which may be held back,
        is waited for by nobody.
        """
        card, thread, direct = (f"{what} {row.cancellation}" for what in ("card", "thread", "direct"))
        held = self._needs[row.cancellation]
        called = self._tries.attempt(
            direct,
            lambda: self._directly.tell(row, failures=self._tries.failures(direct)),
            at=self._directly.told(row),
        )
        if held <= Need.CHANGE and not self._tries.failures(card):
            return
        told = self._tries.attempt(
            thread, lambda: self._threads.tell(row, failures=self._tries.failures(thread)), at=row.told
        )
        if told and called and held is Need.NOTHING:
            del self._needs[row.cancellation]
