"""The page: the local Slack and the simulated cloud, to be looked at and acted in with a browser."""
