"""Try the bot without Slack or a cloud: a local Slack and a simulated cloud, and a tour of the main job."""

import argparse

from bot.playground.tour import play


def demo(given: argparse.Namespace) -> int:
    """Play the tour as a transcript of what each person sees."""
    return play(port=given.port)
