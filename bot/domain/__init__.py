"""The business, pure: no clock, no network, no SQL, no Slack, no logging."""
