"""Keeps a cancellation's card in Slack: posted once, and edited from then on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.domain.cancellation import OPEN, State
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from bot.slack.answers import Answers, payload
from bot.slack.card import card
from bot.slack.pace import UPDATE, Pace, posting
from bot.slack.posts import UNPOSTABLE, maybe_posted, post, reason

UNEDITABLE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
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

    def draw(self, state: State, *, failures: int) -> bool:
        """Show a state on its card; returns whether it is done, or has to wait for a slot.

        `failures` is how often that failed just before. Raises what slack_sdk raises, and OSError.
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
            ts = post(self._client, row.channel, card(state, reposted=row.attempted > 0))
        except SlackApiError as error:
            if not maybe_posted(error):
                self._outbox.keep(row)
            return self._unposted(state, row, error, failures)
        self._outbox.keep(replace(row, ts=ts, attempted=row.attempted + 1, shown=state.event))
        return True

    def _unposted(self, state: State, row: CardRow, error: SlackApiError, failures: int) -> bool:
        if self._pace.heed(posting(row.channel), error):
            return False
        if reason(error) in UNPOSTABLE and not self._tell_skipped(state):
            return False
        if reason(error) in UNPOSTABLE and state.phase not in OPEN:
            return True
        if reason(error) in UNPOSTABLE and not failures:
            self._answers.tell(
                state,
                f"I cannot post in this channel ({reason(error)}), so there is no card to confirm. Nothing was"
                " cancelled. Invite me to the channel; the card follows within a minute.",
            )
        raise error

    def _edit(self, state: State, row: CardRow, failures: int) -> bool:
        if not self._pace.may(UPDATE):
            return False
        try:
            self._client.chat_update(channel=row.channel, ts=row.ts or "", **payload(card(state)))
        except SlackApiError as error:
            if self._pace.heed(UPDATE, error):
                return False
            if reason(error) not in UNEDITABLE:
                raise
            gone = replace(row, ts=None)
            self._outbox.keep(gone)
            return self._post(state, gone, failures)
        self._outbox.keep(replace(row, shown=state.event))
        return True
