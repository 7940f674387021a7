"""Slack's own limits, held by the same slot rows as the clouds'.

Source: https://docs.slack.dev/apis/web-api/rate-limits: about one message a second in a channel, fifty edits a minute
in a workspace.
"""

from typing import Final

from slack_sdk.errors import SlackApiError

from bot.ledger.slots import Slots

QUOTA: Final = "slack"
BETWEEN_POSTS: Final = 1.0
"""Seconds between messages to one channel."""
BETWEEN_EDITS: Final = 1.2
"""Seconds between edits in the whole workspace (tier 3: 50 a minute)."""
UPDATE: Final = "chat.update"
TOO_MANY: Final = 429


def posting(channel: str) -> str:
    """Name the operation of posting to a channel."""
    return f"chat.postMessage:{channel}"


class Pace:
    """Says whether a call to Slack may be made now. Nothing sleeps here: what must wait is taken up in a later round.

    What has no slot once has none for the rest of the round, though one may come free: whoever asks later in a round is
    less urgent and must not overtake.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._refused: dict[str, float] = {}

    def new_round(self) -> None:
        """Begin a round: everybody may ask again."""
        self._refused.clear()

    def may(self, operation: str) -> bool:
        """Take a slot for an operation; returns whether there is one."""
        if operation not in self._refused:
            between = BETWEEN_EDITS if operation == UPDATE else BETWEEN_POSTS
            wait = self._slots.take(QUOTA, operation, between)
            if not wait:
                return True
            self._refused[operation] = wait
        return False

    def soonest(self) -> float:
        """Return the seconds until there is a slot for something that had none in this round; infinity for none."""
        return min(self._refused.values(), default=float("inf"))

    def heed(self, operation: str, error: SlackApiError) -> bool:
        """Hold an operation back if Slack said that it is called too often; returns whether it did."""
        response = error.response
        if getattr(response, "status_code", 0) != TOO_MANY:
            return False
        try:
            seconds = float(response.headers.get("Retry-After", "1"))
        except (ValueError, AttributeError):
            seconds = 1.0
        self._slots.push(QUOTA, operation, seconds)
        self._refused[operation] = seconds
        return True
