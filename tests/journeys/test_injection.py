"""What people and clouds write stays text: it pings nobody and links nothing, wherever the bot shows it."""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from bot.playground.world import ANN, AUDIT, BEN, GUS, JOB, LEA
from tests.journeys.stage import PATIENCE, Scene, ended

HOSTILE: Final = (
    "<!channel> <!here> <!everyone> <@U0LEA> <!subteam^S0LEADS> <#C0AUDIT>"
    " <https://evil.example|https://good.example> *bold* `code` &lt;!channel&gt;"
)
LIVE: Final = re.compile(r"<[^<>]*>")
TIME: Final = r"<!date\^\d+\^(\{time\}\||\{date_short_pretty\} \{time\}\|\d{4}-\d\d-\d\d )\d\d:\d\d UTC>"
OURS: Final = re.compile(rf"<@{ANN}>|{TIME}|<http://127\.0\.0\.1:\d+/[^|>]*\|[^|>]*>")


def answered(world: Scene, words: str, times: int) -> None:
    """Type words, and wait for the acknowledgement and what comes beside it."""
    before = len(world.slack.ephemerals(ANN))
    world.order(words)
    world.slack.wait_for(lambda: len(world.slack.ephemerals(ANN)) >= before + times, PATIENCE)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give a world in which a job has a hostile name and was cancelled for a hostile reason."""
    with Scene(tmp_path_factory.mktemp("attacked")) as scene:
        scene.cloud.fleet.clear()
        scene.cloud.fleet.add_job(JOB, name=HOSTILE, dest_version=HOSTILE, counts={"QUEUED": 3, "NOTIFIED": 1})
        with scene.hosted():
            scene.order(f"job {JOB} queued because {HOSTILE}")
            scene.slack.press(ANN, scene.card(), "confirm")
            done = scene.card_in("Done")
            scene.slack.wait_for(partial(ended, scene, done), PATIENCE)
            scene.slack.wait_for(lambda: len(scene.slack.messages(AUDIT)) == 2, PATIENCE)
            for words in ("list", "pending", "show 1", f"preview job {JOB} notified because {HOSTILE}"):
                answered(scene, words, 2)
            answered(scene, HOSTILE, 1)
            yield scene


def texts(node: Any) -> Iterator[str]:
    """Yield every piece of text in what was sent to Slack, the parts that Slack does not read as mrkdwn left out."""
    if isinstance(node, dict) and node.get("type") != "plain_text":
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def everything(world: Scene) -> list[str]:
    """Return every text that the bot has sent to Slack, acknowledgements included."""
    calls = [
        call.args for call in world.slack.calls if call.method.startswith("chat.") or call.method == "response_url"
    ]
    for args in calls:
        if isinstance(args.get("blocks"), str):
            args["blocks"] = json.loads(args["blocks"])
    answers = [[message.text, list(message.blocks)] for message in world.slack.ephemerals(ANN)]
    return [*texts(calls), *texts(answers)]


def test_nothing_that_was_sent_is_live(attacked: Scene) -> None:
    """Of all texts that reach Slack only the bot's own mentions, times and links are live."""
    sent = everything(attacked)

    assert any("evil.example" in text for text in sent)
    assert [] == [found for text in sent for found in LIVE.findall(text) if not OURS.fullmatch(found)]


def test_nobody_is_pinged(attacked: Scene) -> None:
    """No phone rings but the asker's, and hers for the card and the end alone."""
    slack = attacked.slack

    assert [] == [ring for user in (BEN, GUS, LEA) for ring in slack.notifications(user)]
    assert ["mention", "mention"] == [ring.why for ring in slack.notifications(ANN)]


def test_nothing_is_parsed_or_unfurled(attacked: Scene) -> None:
    """Every message says that nothing in it is to be parsed for names, and that links are not to grow."""
    calls = [call for call in attacked.slack.calls if call.method in ("chat.postMessage", "chat.update")]

    assert {"none"} == {call.args.get("parse") for call in calls}
    for name in ("link_names", "unfurl_links", "unfurl_media"):
        assert {"0"} == {str(call.args.get(name)).lower().replace("false", "0") for call in calls}


def test_the_reason_is_kept_as_typed(attacked: Scene) -> None:
    """Being shown harmless does not change the ledger: it holds what was typed."""
    (requested,) = attacked.events("requested")

    assert HOSTILE.replace("&lt;", "<").replace("&gt;", ">") == requested.body["order"]["reason"]


def test_the_reason_is_readable(attacked: Scene) -> None:
    """People read on the card exactly what was typed."""
    card = attacked.slack.plain(attacked.card())

    assert "<!channel> <!here> <!everyone> <@U0LEA> <!subteam^S0LEADS> <#C0AUDIT>" in card
    assert "<https://evil.example|https://good.example>" in card
