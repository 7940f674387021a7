"""The only place where rooms meet: `engine` for what needs no Slack, `bot` for the whole."""
