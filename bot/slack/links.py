"""Links to cards."""

from typing import Final

from slack_sdk import WebClient

from bot.ledger.ledger import Ledger
from bot.slack.posts import GONE, NO_ANSWER, reason

ANEW: Final = "Its card was gone; a new one follows"


def card_link(ledger: Ledger, client: WebClient, cancellation: int, label: str = "Go to its card") -> str:
    """Return a link to a cancellation's card, as mrkdwn; empty where there is no card, or Slack does not say.

    A card that somebody has deleted is posted anew: whoever looks for it is told so.
    """
    row = ledger.outbox.card(cancellation)
    if row is None or row.ts is None:
        return ""
    try:
        link = client.chat_getPermalink(channel=row.channel, message_ts=row.ts).get("permalink")
    except NO_ANSWER as error:
        if reason(error) not in GONE:
            return ""
        ledger.outbox.lose(cancellation, row.ts)
        return ANEW
    return f"<{link}|{label}>" if isinstance(link, str) and link.startswith("http") else ""
