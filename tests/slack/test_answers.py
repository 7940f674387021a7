"""Private answers: over the way back, else in the channel, else directly; what does not fit comes as a file."""

import pytest
from slack_sdk import WebClient

from bot.playground.slack.local_slack import LocalSlack
from bot.slack.answers import Answers
from bot.slack.message import CUT, Message, said
from tests.builders import ANN
from tests.slack.conftest import OPS


@pytest.fixture
def answers(client: WebClient) -> Answers:
    return Answers(client, timer=lambda: 0.0, sleep=lambda _seconds: None)


def seen(slack: LocalSlack) -> tuple[list[str], list[str]]:
    """Return what Ann has read in the channel alone, and directly."""
    return [one.text for one in slack.ephemerals(ANN)], [one.text for one in slack.dms(ANN) if one.text]


@pytest.mark.parametrize("channel", ["", None])
def test_without_a_channel_it_is_said_directly(slack: LocalSlack, answers: Answers, channel: str | None) -> None:
    """Who used the shortcut, and has no channel yet, is told in a direct message."""
    answers.answer(None, channel, ANN, Message(text="no"))

    assert ([], ["no"]) == seen(slack)


@pytest.mark.parametrize("error", ["user_not_in_channel", "not_in_channel", "channel_not_found", "is_archived"])
def test_what_the_channel_does_not_take_is_said_directly(slack: LocalSlack, answers: Answers, error: str) -> None:
    """Where Slack shows the person nothing in the channel, a direct message does."""
    slack.faults.add("chat.postEphemeral", error=error)

    answers.answer(None, OPS, ANN, Message(text="no"))

    assert ([], ["no"]) == seen(slack)


def test_what_the_channel_takes_is_said_once(slack: LocalSlack, answers: Answers) -> None:
    """An answer that is shown in the channel is not sent directly, too."""
    answers.answer(None, OPS, ANN, Message(text="no"))

    assert (["no"], []) == seen(slack)


def test_who_is_no_person_of_slacks_is_not_written_to(slack: LocalSlack, answers: Answers) -> None:
    """Somebody at a terminal has no direct messages; nothing is raised."""
    answers.answer(None, None, "cli:ann", Message(text="no"))

    assert [] == [call for call in slack.calls if call.method == "chat.postMessage"]


def test_what_does_not_fit_comes_as_a_file(slack: LocalSlack, answers: Answers) -> None:
    """A long answer says that it is cut, and all of it is in a file that is sent directly."""
    text = "<a line>\n" * 900

    answers.answer(None, OPS, ANN, said(text))

    (shown,), _ = seen(slack)
    assert shown.endswith(CUT)
    assert [text.encode()] == [one.files[0].content for one in slack.dms(ANN) if one.files]
