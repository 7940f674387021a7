"""Links to cards."""

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from bot.ledger.ledger import Ledger


def card_link(ledger: Ledger, client: WebClient, cancellation: int, label: str = "Go to its card") -> str:
    """Return a link to a cancellation's card, as mrkdwn; empty where there is no card, or Slack does not say."""
    row = ledger.outbox.card(cancellation)
    if row is None or row.ts is None:
        return ""
    try:
        link = client.chat_getPermalink(channel=row.channel, message_ts=row.ts).get("permalink")
    except (SlackClientError, OSError):
        return ""
    return f"<{link}|{label}>" if isinstance(link, str) and link.startswith("http") else ""
