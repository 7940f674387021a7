"""ota-bot: cancels over-the-air tasks from Slack, and keeps a ledger that can be verified."""
