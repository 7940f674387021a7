"""Files: the token goes to Slack alone, what cannot be read now is tried again, and what never can is said."""

import time
from collections.abc import Iterator

import pytest
from slack_sdk import WebClient

from bot.domain.errors import DirectoryError, UsageError
from bot.domain.names import LARGEST
from bot.domain.secret import Secret
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.files import Files, send_whole
from bot.slack.message import TEXT, said
from tests.builders import ANN


@pytest.fixture
def files(slack: LocalSlack, client: WebClient) -> Iterator[Files]:
    slack.uploads.clear()
    made = Files(client, Secret(slack.bot_token), timer=time.monotonic)
    yield made
    made.close()


@pytest.mark.parametrize(
    "content", [b"a\nb", "\ufeffa\nb".encode(), "a\nb".encode("utf-16")], ids=["plain", "with a mark", "utf-16"]
)
def test_an_upload_is_read(slack: LocalSlack, files: Files, content: bytes) -> None:
    """A text file is read however a spreadsheet has written it."""
    assert "a\nb" == files.read(slack.upload("names.txt", content, ANN)["id"])


def test_the_largest_list_is_read(slack: LocalSlack, files: Files) -> None:
    """A hundred thousand names of 64 characters are read whole."""
    names = "\r\n".join(f"{n:064}" for n in range(100_000)).encode()

    assert names.decode() == files.read(slack.upload("names.csv", names, ANN)["id"])


def test_a_file_that_is_too_large_is_not_fetched(slack: LocalSlack, files: Files) -> None:
    """What Slack says is larger than any list is refused before a byte of it is read."""
    file = slack.upload("names.txt", b"x" * (LARGEST + 1), ANN)["id"]

    with pytest.raises(UsageError, match="more than 8,388,608 bytes, the most"):
        files.read(file)


@pytest.mark.parametrize("error", ["internal_error", "ratelimited", "service_unavailable"])
def test_a_slack_that_is_ill_is_asked_again(slack: LocalSlack, files: Files, error: str) -> None:
    """What Slack cannot say for the moment is no mistake of the file's."""
    slack.faults.add("files.info", error=error)

    with pytest.raises(DirectoryError, match=error):
        files.read(slack.upload("names.txt", b"a", ANN)["id"])


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}])
def test_a_broken_line_is_tried_again(slack: LocalSlack, files: Files, fault: dict[str, int]) -> None:
    """An answer that is none, or none at all, is no mistake of the file's."""
    slack.faults.add("files.info", **fault)  # type: ignore[arg-type]

    with pytest.raises(DirectoryError, match="Slack did not tell me where the file is"):
        files.read(slack.upload("names.txt", b"a", ANN)["id"])


def test_a_file_that_is_gone_is_said(files: Files) -> None:
    """A file that Slack does not know is a mistake that trying again does not mend."""
    with pytest.raises(UsageError, match="Slack does not let me read the file \\(file_not_found\\)"):
        files.read("F0GONE")


def test_a_file_without_the_scope_is_said(slack: LocalSlack, files: Files) -> None:
    """Where the bot lacks files:read the asker hears which scope is missing."""
    file = slack.upload("names.txt", b"a", ANN)["id"]
    scopes = slack.scopes
    slack.scopes -= {"files:read"}

    with pytest.raises(UsageError, match="missing_scope"):
        files.read(file)
    slack.scopes = scopes


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://files.slack.com/files-pri/T1-F1/download/names.txt", True),
        ("https://files.slack.com:443/files-pri/T1-F1/names.txt", True),
        ("https://files.slack-gov.com/files-pri/T1-F1/names.txt", True),
        ("http://files.slack.com/files-pri/T1-F1/names.txt", False),
        ("https://files.slack.com:8443/names.txt", False),
        ("https://files.slack.com.example.com/names.txt", False),
        ("https://notslack.com/names.txt", False),
        ("https://files.slack.com@example.com/names.txt", False),
        ("https://me@files.slack.com/names.txt", False),
        ("https://docs.google.com/names.txt", False),
        ("https://[/names.txt", False),
        ("", False),
    ],
)
def test_the_token_goes_to_slack_alone(files: Files, url: str, *, trusted: bool) -> None:
    """A file's address is fetched with the bot's token from Slack's hosts over TLS, and from nowhere else."""
    assert trusted == files._trusted(url)


def test_a_local_slacks_files_are_fetched(slack: LocalSlack, files: Files) -> None:
    """The host that the Web API is at has the files, too, whatever it is called."""
    assert files._trusted(f"{slack.url}/files/F1/names.txt")
    assert not files._trusted(f"{slack.url}0/files/F1/names.txt")


def test_a_long_answer_is_a_file(slack: LocalSlack, client: WebClient) -> None:
    """What is longer than a message comes whole in a direct message, as a file in its thread."""
    message = said("line\n" * 1000)

    send_whole(client, ANN, message.whole)

    *_, lead, reply = slack.dms(ANN)
    assert lead.ts == reply.thread_ts
    assert ("answer.txt", b"line\n" * 1000) == (reply.files[0].name, reply.files[0].content)


def test_a_long_answer_that_slack_does_not_take_is_said(slack: LocalSlack, client: WebClient) -> None:
    """Where Slack takes no file, the person hears that there was more."""
    slack.faults.add("files.getUploadURLExternal", error="missing_scope")

    send_whole(client, ANN, "x")

    assert "Slack does not take the file (missing_scope), so the rest stays unsaid." == slack.dms(ANN)[-1].text


@pytest.mark.parametrize(("text", "cut"), [("x" * TEXT, False), ("x" * (TEXT + 1), True), ("<" * TEXT, True)])
def test_what_does_not_fit_is_kept_whole(text: str, *, cut: bool) -> None:
    """A message knows whether it says everything."""
    assert (text if cut else "") == said(text).whole
