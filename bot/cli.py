"""The commands of ota-bot."""


def main() -> int:
    """Run one command."""
    return 2
