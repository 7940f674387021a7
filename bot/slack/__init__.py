"""Translates between Slack and the engine; never decides."""
