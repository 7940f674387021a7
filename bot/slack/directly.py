"""Writes to people directly: whoever has to answer, or waits for an answer. Edits ring no phone.

That waits neither for the card's edits nor for its thread: a channel that is ill keeps nobody from hearing of it.
"""

from typing import Final

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.cancellation import State
from bot.domain.errors import DirectoryError
from bot.domain.events import Event, Kind
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import DIRECT, CardRow
from bot.slack.asked import ASKING, MOST_DIRECT, TELLING, Approvers, asks, calls, direct
from bot.slack.links import card_link
from bot.slack.message import Message
from bot.slack.pace import Pace, posting
from bot.slack.parts import Parts
from bot.slack.people import SlackDirectory
from bot.slack.posts import ILL_DRAWN, NO_ANSWER, UNTRUSTED, post, reason, refused

GLASS: Final = "glass"
"""The sink that knows how many of those who were passed over have been told where there is no card."""
MOST_TRIES: Final = 3
"""How often something is tried that Slack cannot take for the moment; what comes after it must not wait for ever."""

Called = tuple[tuple[str, Message | None], ...]
"""Whom an event calls and with what; with nothing who need not hear it any more."""

Missed = dict[str, Exception | None]
"""Who could not be written to, and why; nothing where their slot is not there yet."""

log = structlog.get_logger()


class Directly:
    """Writes to people, at least once, each event after the one before."""

    def __init__(self, ledger: Ledger, client: WebClient, directory: SlackDirectory, pace: Pace) -> None:
        self._ledger = ledger
        self._directory = directory
        self._client = client
        self._pace = pace
        self._parts = Parts(ledger.outbox)

    def tell(self, row: CardRow, *, failures: int) -> bool:
        """Write what was not written; returns whether that is all, or the rest waits for a slot.

        `failures` is how often that failed just before. Raises what slack_sdk raises, and DirectoryError.
        """
        sink, missed, last = f"{DIRECT}:{row.cancellation}", Missed(), self.told(row)
        if self._parts.last(sink) is None:
            self._parts.end(sink, last)
        # The state after the story: an older one would call nobody for what has just been confirmed.
        story = self._ledger.story(row.cancellation, after=last - 1)
        state = self._ledger.state(row.cancellation)
        if state is None:
            return True
        for event in story if state.needs else ():
            if event.kind in ASKING | TELLING and not self._parts.ended(sink, event):
                self._tell(sink, event, self._called(event, state, failures), missed)
                if not missed:
                    self._parts.end(sink, event.id)
        if story and story[-1].id > last and not missed:
            self._parts.end(sink, story[-1].id)
        return _all_told(missed)

    def told(self, row: CardRow) -> int:
        """Return the event up to which people were written to."""
        last = self._parts.last(f"{DIRECT}:{row.cancellation}")
        # Where an older version told the thread and people together, its cursor is theirs, too.
        return row.told if last is None else last

    def tell_skipped(self, state: State) -> bool:
        """Tell those whom broken glass passed over, where there is no card to do it from; returns whether that is all.

        Raises what slack_sdk raises, and DirectoryError.
        """
        if state.broke_glass is None:
            return True
        event, sink = self._broken(state), f"{GLASS}:{state.id}"
        if self._parts.ended(sink, event):
            return True
        approvers, missed = approvers_of(self._directory, state, 0), Missed()
        self._tell(sink, event, direct(event, state, approvers, ""), missed)
        if not missed:
            self._parts.end(sink, event.id)
        return _all_told(missed)

    def _broken(self, state: State) -> Event:
        return next(event for event in self._ledger.story(state.id) if event.kind == Kind.BROKE_GLASS)

    def _called(self, event: Event, state: State, failures: int) -> Called:
        if not calls(event, state):
            return ()
        # Nobody may be passed over unheard: that is tried until Slack itself refuses it.
        patience = 0 if event.kind == Kind.BROKE_GLASS else failures
        asked = asks(event, state)
        approvers = approvers_of(self._directory, state, patience, by_name=True) if asked else Approvers()
        called = direct(event, state, approvers, card_link(self._ledger, self._client, state.id))
        # Who was told without a card has heard of it.
        glass = f"{GLASS}:{state.id}"
        return tuple(
            (user, None if self._heard(glass, event, place, user) else message)
            for place, (user, message) in enumerate(called, start=1)
        )

    def _tell(self, sink: str, event: Event, called: Called, missed: Missed) -> None:
        """Write to one after the other; who is missed hears of nothing later first, and holds up nobody else."""
        for place, (user, message) in enumerate(called, start=1):
            if message is None or user in missed or self._heard(sink, event, place, user):
                continue
            if not self._pace.may(posting(user)):
                missed[user] = None
                continue
            try:
                self._write(user, message, f"#{event.cancellation}")
            except NO_ANSWER as error:
                held = isinstance(error, SlackApiError) and self._pace.heed(posting(user), error)
                missed[user] = None if held else error
                continue
            if missed:
                self._ledger.outbox.advance(f"{sink}:{user}", event.id)
            else:
                self._parts.reach(sink, event, place)

    def _heard(self, sink: str, event: Event, place: int, user: str) -> bool:
        """Tell whether somebody was told of an event: with those before them, or before those who were missed."""
        alone = self._ledger.outbox.cursor(f"{sink}:{user}") or 0
        return place <= self._parts.told(sink, event) or alone >= event.id

    def _write(self, user: str, message: Message, which: str) -> None:
        """Write to somebody; whom Slack does not let be written to is left out, as asking again is no use."""
        try:
            try:
                post(self._client, user, message)
            except SlackApiError as error:
                if reason(error) not in ILL_DRAWN:
                    raise
                post(self._client, user, Message(text=f"{which} has news for you; Slack does not take them here."))
        except SlackApiError as error:
            if not refused(error) or reason(error) in UNTRUSTED:
                raise
            log.warning("direct_message_refused", user=user, error=reason(error))


def approvers_of(directory: SlackDirectory, state: State, failures: int, *, by_name: bool = False) -> Approvers:
    """Return who may approve; where Slack does not tell, their groups are called as a whole, if that is any use.

    Those listed by themselves come first, so that nobody loses their place when the groups cannot be read any more.
    Raises DirectoryError while that may be a question of time.
    """
    listed = tuple((state.policy or {}).get("approvers") or ())
    try:
        # A guest or a stranger in their group may not approve, and is to read nothing of it.
        able = directory.able(listed, enough=MOST_DIRECT + 1)
    except DirectoryError as error:
        users = sorted(name for name in listed if name.startswith(("U", "W")))
        if not refused(error.__cause__) and (failures < MOST_TRIES or (by_name and not users)):
            raise
        return Approvers(people=tuple(users), listed=listed, all=False)
    return Approvers(people=tuple(sorted(able, key=lambda one: (one not in listed, one))), listed=listed)


def _all_told(missed: Missed) -> bool:
    """Tell whether nobody was missed; raises what went wrong with any of them."""
    for error in missed.values():
        if error is not None:
            raise error
    return not missed
