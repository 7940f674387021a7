"""Keeps a cancellation's card in Slack: posted once, and edited from then on."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.cancellation import OPEN, Phase, State
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.answers import Answers, payload
from bot.slack.message import Message
from bot.slack.pace import UPDATE, Pace, posting
from bot.slack.plain import FORMS
from bot.slack.posts import GONE, ILL_DRAWN, UNPOSTABLE, ill_drawn, maybe_posted, post, reason

UNEDITABLE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Slack's words for a message that cannot be edited any more: a new one takes its place."""


class Cards:
    """Draws cards in Slack, each as its latest state has it.

    `tell_skipped` tells those who must hear of it where a card cannot be posted; it returns whether that is all.
    """

    def __init__(
        self, ledger: Ledger, client: WebClient, answers: Answers, pace: Pace, *, tell_skipped: Callable[[State], bool]
    ) -> None:
        self._tell_skipped = tell_skipped
        self._ledger = ledger
        self._outbox = ledger.outbox
        self._client = client
        self._answers = answers
        self._pace = pace
        self._ill: dict[int, tuple[Phase, int]] = {}
        """The phase in which Slack refused a card for what is in it, and which of its forms is to be tried instead."""
        self._anew: dict[int, Hashable] = {}
        """What a card said when it was posted anew because Slack lets nobody edit it."""

    def draw(self, state: State, *, failures: int) -> bool:
        """Show a state on its card; returns whether it is done, or has to wait for a slot.

        `failures` is how often that failed just before. Raises what slack_sdk raises (NO_ANSWER), and DirectoryError.
        """
        if not state.has_card:
            return True
        if state.channel is None:
            return self._tell_skipped(state)
        row = self._outbox.card(state.id) or CardRow(cancellation=state.id, channel=state.channel)
        if row.ts is None:
            return self._post(state, row, failures)
        return row.shown >= state.event or self._edit(state, row, failures)

    def _post(self, state: State, row: CardRow, failures: int) -> bool:
        if not self._pace.may(posting(row.channel)):
            return False
        # Recorded before the post: if this process dies now, the next one knows that a card may lie there.
        self._outbox.keep(replace(row, attempted=row.attempted + 1))
        try:
            ts = post(self._client, row.channel, self._drawn(state, reposted=row.attempted > 0))
        except SlackApiError as error:
            if not maybe_posted(error):
                self._outbox.keep(row)
            return self._unposted(state, row, error, failures)
        self._outbox.keep(replace(row, ts=ts, attempted=row.attempted + 1, shown=state.event))
        return True

    def _unposted(self, state: State, row: CardRow, error: SlackApiError, failures: int) -> bool:
        if self._pace.heed(posting(row.channel), error):
            return False
        self._plainer(state, error)
        if reason(error) in UNPOSTABLE and not self._tell_skipped(state):
            return False
        if reason(error) in UNPOSTABLE and state.phase in OPEN and not failures:
            self._answers.tell(
                state,
                f"I cannot post in this channel ({reason(error)}), so there is no card to confirm. Nothing was"
                " cancelled. Invite me to the channel; the card follows within a minute.",
            )
        raise error

    def _edit(self, state: State, row: CardRow, failures: int) -> bool:
        if not self._pace.may(UPDATE):
            return False
        drawn = self._drawn(state, reposted=row.attempted > 1)
        try:
            self._client.chat_update(channel=row.channel, ts=row.ts or "", **payload(drawn))
        except SlackApiError as error:
            if self._pace.heed(UPDATE, error):
                return False
            if reason(error) not in UNEDITABLE and self._plainer(state, error):
                raise
            if reason(error) in GONE or self._anew.get(state.id) != _matters(state):
                return self._again(state, row, failures)
            # Where Slack lets nobody edit, a message for each call of a run would bury the channel.
        self._outbox.keep(replace(row, shown=state.event))
        return True

    def _again(self, state: State, row: CardRow, failures: int) -> bool:
        """Post a new card, for there is no changing the one that was."""
        self._anew[state.id] = _matters(state)
        gone = replace(row, ts=None)
        self._outbox.keep(gone)
        return self._post(state, gone, failures)

    def _form(self, state: State) -> int:
        """Return the first of a card's forms that Slack has not refused in this phase."""
        phase, form = self._ill.get(state.id, (state.phase, 0))
        return form if phase is state.phase else 0

    def _drawn(self, state: State, *, reposted: bool) -> Message:
        return FORMS[self._form(state)](state, reposted=reposted)

    def _plainer(self, state: State, error: SlackApiError) -> bool:
        """Draw less the next time where Slack minds what is in a card; returns whether there is another try to make.

        Its buttons are left out only where Slack says that it is them: without them nobody can answer.
        """
        if not ill_drawn(error):
            return True
        form, last = self._form(state), len(FORMS) - (1 if reason(error) in ILL_DRAWN else 2)
        self._ill[state.id] = (state.phase, max(form, min(form + 1, last)))
        return form < last


def _matters(state: State) -> Hashable:
    """Return what a card says that somebody waits for; while a run goes on that is not how far it is."""
    return (state.phase, len(state.votes), state.stopped_by) if state.phase in OPEN else state.event
