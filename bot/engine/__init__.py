"""The verbs: taking orders, running calls, resuming, verifying."""
