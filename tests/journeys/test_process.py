"""`ota-bot run` as a process: its one line, its end, its exit codes, and its silence about secrets."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

import pytest

from bot.playground.world import ANN, JOB
from tests.journeys.stage import PATIENCE, SECRETS, Process, Scene, Stories, until

LEAVES: Final = 10.0
"""Seconds within which the process is to leave (contract: `ota-bot run`)."""
HASTE: Final = "tokens.LASTING = 1.0; watch.ASK_EVERY = 0.3"
HASTY: Final = (
    sys.executable,
    "-c",
    f"import sys; from bot.cli import main; from bot.slack import tokens, watch; {HASTE}; sys.exit(main())",
)
"""The command, believing Slack's refusals after a second, where it takes a minute."""
REFUSED: Final = {**SECRETS, "SLACK_BOT_TOKEN": "xoxb-not-the-one"}
SLACK: Final = ("users.info", "conversations.info", "usergroups.users.list", "chat.update", "chat.postMessage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How a process left, and what it left behind."""

    code: int
    after: float
    """Seconds from the signal."""
    out: str
    err: str


def left(process: Process, number: signal.Signals = signal.SIGTERM) -> Left:
    """Send a signal, and wait for the end for longer than the end may take."""
    began = time.monotonic()
    process.send(number)
    return Left(code=process.ended(3 * LEAVES), after=time.monotonic() - began, out=process.out, err=process.err)


def asked_to_leave(scene: Scene) -> Left:
    """Send SIGTERM to a process that has nothing to do."""
    with scene.process() as process:
        end = left(process.ready())
        scene.slack.wait_for(lambda: scene.slack.connections == 0)
        return end


def interrupted(scene: Scene) -> Left:
    """Send SIGINT to a process that has nothing to do."""
    with scene.process() as process:
        return left(process.ready(), signal.SIGINT)


def with_a_call_out(scene: Scene) -> tuple[Left, str]:
    """Let the cloud never answer the call, and ask the process to leave meanwhile; return what the run then is."""
    scene.cloud.faults.add("hang", "CancelOTATaskByJob")
    with scene.process() as process:
        _run(scene, process)
        end = left(process)
    scene.verified()
    return end, scene.state().phase.value


def with_an_answer_to_come(scene: Scene) -> tuple[Left, list[str], int]:
    """Let the cloud answer while the process leaves; start it again, and return outcomes before and calls in all."""
    scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=0.7)
    with scene.process() as process:
        _run(scene, process)
        end = left(process)
    outcomes = [str(event.body["outcome"]) for event in scene.events("call_finished")]
    with scene.process() as again:
        again.ready()
        scene.card_in("Done", within=2 * PATIENCE)
    return end, outcomes, len(scene.sent)


def with_a_silent_slack(scene: Scene) -> Left:
    """Let Slack answer nothing any more while four cards have to be edited, and ask the process to leave."""
    cards = range(1, 5)
    with scene.process() as process:
        process.ready()
        for number in cards:
            scene.cloud.fleet.add_job(f"job-{number}", counts={"QUEUED": 5})
            scene.order(f"job job-{number} queued")
        shown = [scene.card(number) for number in cards]
        until(lambda: all(scene.stored(number) for number in cards))
        for method in SLACK:
            scene.slack.faults.add(method, delay=60, times=50)
        for card in shown:
            scene.slack.press(ANN, card, "withdraw")
        until(lambda: len(scene.events("withdrawn")) == len(cards))
        return left(process)


def with_a_token_that_dies(scene: Scene) -> tuple[Left, str]:
    """Revoke the bot token during a run that then takes three more seconds; return how it left, and what the run is."""
    with scene.process(command=HASTY) as process:
        process.ready()
        scene.cloud.faults.add("latency", "CancelOTATaskByJob", seconds=3.0)
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        until(lambda: scene.events("call_sent"))
        scene.slack.bot_token = "xoxb-another"
        began = time.monotonic()
        code = process.ended(3 * PATIENCE)
        end = Left(code=code, after=time.monotonic() - began, out=process.out, err=process.err)
    return end, scene.state().phase.value


def with_a_run_and_a_refused_token(scene: Scene) -> tuple[Left, str]:
    """Kill a process in a run, and start one whose token is refused; return how it left, and what the run is."""
    scene.cloud.faults.add("hang", "CancelOTATaskByJob")
    with scene.process() as process:
        _run(scene, process)
    with scene.process(secrets=REFUSED) as again:
        code = again.ended(3 * PATIENCE)
        end = Left(code=code, after=0.0, out=again.out, err=again.err)
    return end, scene.state().phase.value


def with_secrets_about(scene: Scene) -> tuple[str, str]:
    """Let the cloud echo what was signed; return what the person saw, and everything that was written anywhere."""
    with scene.process() as process:
        process.ready()
        scene.cloud.faults.add("signature_refused", "CancelOTATaskByJob", times=2)
        scene.order()
        scene.slack.press(ANN, scene.card(), "confirm")
        card = scene.card_in("Failed")
        scene.cloud.faults.add("signature_refused", "QueryOTAJob", times=4)
        before = len(scene.slack.ephemerals(ANN))
        scene.order(f"preview job {JOB} queued")
        scene.slack.wait_for(lambda: len(scene.slack.ephemerals(ANN)) >= before + 2, PATIENCE)
        seen = "\n".join([scene.slack.plain(card), *(one.text for one in scene.slack.ephemerals(ANN))])
        left(process)
    stored = b"".join(path.read_bytes() for path in scene.folder.iterdir() if path.suffix != ".toml")
    return seen, stored.decode("utf-8", "replace") + "\n".join(str(call.args) for call in scene.slack.calls)


def _run(scene: Scene, process: Process) -> None:
    process.ready()
    scene.order()
    scene.slack.press(ANN, scene.card(), "confirm")
    until(lambda: scene.events("call_sent"))


PLAYS: Final = (
    asked_to_leave,
    interrupted,
    with_a_call_out,
    with_an_answer_to_come,
    with_a_silent_slack,
    with_secrets_about,
    with_a_token_that_dies,
    with_a_run_and_a_refused_token,
)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    told = Stories(tmp_path_factory.mktemp("process"), *PLAYS)
    yield told
    told.close()


def test_it_prints_one_line(stories: Stories) -> None:
    """One line starting `ready` names the mode, the account, and who may run how much alone."""
    assert (
        "ready: socket mode, pumps (aliyun, in C0OPS, C0SIDE): S0ONCALL may cancel up to 100 alone;"
        " in-progress and more needs 1 approval of S0LEADS\n"
    ) == stories.end(asked_to_leave).out


@pytest.mark.parametrize("play", [asked_to_leave, interrupted])
def test_a_signal_ends_it(stories: Stories, play: Callable[[Scene], Left]) -> None:
    """SIGTERM and SIGINT end it with 0, within ten seconds."""
    end = stories.end(play)

    assert 0 == end.code
    assert end.after < LEAVES


def test_it_leaves_with_a_call_out(stories: Stories) -> None:
    """With a call out that the cloud never answers it still leaves with 0 in time, and the run stays to be resumed."""
    end, phase = stories.end(with_a_call_out)

    assert 0 == end.code
    assert end.after < LEAVES
    assert "Running" == phase


def test_what_is_in_flight_comes_to_its_end(stories: Stories) -> None:
    """A call that is answered while the process leaves is recorded, and the next process only does the rest."""
    end, outcomes, calls = stories.end(with_an_answer_to_come)

    assert 0 == end.code
    assert end.after < LEAVES
    assert (["done"], 1) == (outcomes, calls)


def test_it_leaves_while_slack_is_silent(stories: Stories) -> None:
    """A Slack that answers nothing any more does not keep the process from leaving in time."""
    end = stories.end(with_a_silent_slack)

    assert 0 == end.code
    assert end.after < LEAVES


def test_no_secret_is_written(stories: Stories) -> None:
    """No secret is in output, logs, the ledger's files or anything sent to Slack, though the cloud echoes it."""
    seen, everything = stories.end(with_secrets_about)

    assert "SignatureDoesNotMatch" in seen
    assert "1.4.2 bricks pumps" in everything
    assert [] == [
        name
        for name, value in SECRETS.items()
        for form in {value, quote(value, safe=""), quote_plus(value)}
        if form in everything
    ]


def test_a_token_that_dies_ends_it_after_the_run(stories: Stories) -> None:
    """A token that Slack refuses for good ends the process with 1, once the run that was under way has been done."""
    end, phase = stories.end(with_a_token_that_dies)

    assert (1, "Done") == (end.code, phase)
    assert (
        "slack.bot_token: Slack refuses the token: invalid_auth; check it with `ota-bot check`"
        == end.err.splitlines()[-1]
    )


def test_a_refused_token_cuts_no_run(stories: Stories) -> None:
    """Started with a refused token, a process brings the run that it finds to its end before it leaves with 1."""
    end, phase = stories.end(with_a_run_and_a_refused_token)

    assert (1, "Done", "") == (end.code, phase, end.out)
    assert "slack: Slack refuses the token: invalid_auth; check it with `ota-bot check`" == end.err.splitlines()[-1]


@pytest.mark.parametrize("token", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])
def test_a_refused_token_is_said(scene: Scene, token: str) -> None:
    """With a token that Slack refuses it ends with 1, and its last line names the reason and what to do."""
    wrong = f"{SECRETS[token][:5]}not-the-one"
    with scene.process(secrets={**SECRETS, token: wrong}) as process:
        assert 1 == process.ended(PATIENCE)
        assert (
            "slack: Slack refuses the token: invalid_auth; check it with `ota-bot check`"
            == process.err.splitlines()[-1]
        )
        assert "" == process.out
        assert wrong not in process.err


def test_a_missing_secret_is_said(scene: Scene) -> None:
    """Without a secret in the environment it ends with 1, and names the key and the variable."""
    with scene.process(secrets={name: SECRETS[name] for name in SECRETS if name != "ALIYUN_KEY_SECRET"}) as process:
        assert 1 == process.ended(PATIENCE)
        assert "ALIYUN_KEY_SECRET" in process.err
        assert "accounts.pumps.key_secret" in process.err
