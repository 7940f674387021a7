"""Slack's own limits, held by the same slot rows as the clouds'.

Source: https://docs.slack.dev/apis/web-api/rate-limits: about one message a second in a channel, fifty edits a minute
in a workspace, a hundred Home tabs.
"""

import math
from collections.abc import Mapping
from typing import Final

from slack_sdk.errors import SlackApiError

from bot.ledger.slots import Slots
from bot.slack.posts import too_often

QUOTA: Final = "slack"
BETWEEN_POSTS: Final = 1.0
"""Seconds between messages to one channel."""
BETWEEN_EDITS: Final = 1.2
"""Seconds between edits in the whole workspace (tier 3: 50 a minute)."""
BETWEEN_HOMES: Final = 0.6
"""Seconds between Home tabs that are published (tier 4: 100 a minute)."""
UPDATE: Final = "chat.update"
PUBLISH: Final = "views.publish"
SHARE: Final = "files.completeUploadExternal"
"""Stands for the methods that attach a file; whatever is attached is a message, too, and takes a channel's slot."""
SOON: Final = 1.0
"""Seconds to wait where Slack does not say how long."""


_BETWEEN: Final = {UPDATE: BETWEEN_EDITS, PUBLISH: BETWEEN_HOMES}


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
            wait = self._slots.take(QUOTA, operation, _BETWEEN.get(operation, BETWEEN_POSTS))
            if not wait:
                return True
            self._refused[operation] = wait
        return False

    def soonest(self) -> float:
        """Return the seconds until there is a slot for something that had none in this round; infinity for none."""
        return min(self._refused.values(), default=float("inf"))

    def holds(self, operation: str) -> bool:
        """Tell whether Slack has said that an operation, which takes no slots of its own, has to wait."""
        ahead = self._slots.ahead(QUOTA, operation)
        if ahead > 0:
            self._refused[operation] = ahead
        return ahead > 0

    def heed(self, operation: str, error: SlackApiError) -> bool:
        """Hold an operation back if Slack said that it is called too often; returns whether it did.

        However long Slack says, it is asked again after two minutes (`LONGEST_PUSH`): nothing falls silent for good.
        """
        if not too_often(error):
            return False
        seconds = asked_seconds(error, unsaid=SOON)
        self._slots.push(QUOTA, operation, seconds)
        self._refused[operation] = seconds
        return True


def asked_seconds(error: SlackApiError, *, unsaid: float) -> float:
    """Return what Retry-After says; `unsaid` where it is missing or says nothing usable."""
    headers = getattr(error.response, "headers", None)
    named = {str(name).lower(): said for name, said in headers.items()} if isinstance(headers, Mapping) else {}
    try:
        seconds = float(named.get("retry-after", unsaid))
    except (TypeError, ValueError):
        return unsaid
    return seconds if math.isfinite(seconds) and seconds > 0 else unsaid
