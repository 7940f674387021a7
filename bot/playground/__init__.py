"""The local Slack and the simulated clouds: the demo, and the stage of the end-to-end tests."""
