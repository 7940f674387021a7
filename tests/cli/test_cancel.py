"""`ota-bot cancel` as a person at a terminal uses it, when Slack is down."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from bot.cli import main
from bot.domain.cancellation import Phase, State
from bot.ledger.ledger import Ledger
from tests.cli.stage import CANCEL, COUNTS, JOB, ME, Ended, Terminal, ended

ORDER = f"job {JOB} queued,notified because bad image"


@contextmanager
def ledger(terminal: Terminal) -> Iterator[Ledger]:
    opened = Ledger.open(terminal.ledger, now=lambda: datetime.now(UTC))
    try:
        yield opened
    finally:
        opened.close()


def state(terminal: Terminal) -> State:
    """Return the one cancellation there is; its chain must hold."""
    with ledger(terminal) as opened:
        opened.verify()
        found = opened.state(1)
        assert found is not None
        assert opened.state(2) is None
        return found


def cancels(terminal: Terminal) -> int:
    """Return how many cancelling calls came in."""
    return sum(arrival.action == CANCEL for arrival in terminal.cloud.arrivals)


def untouched(terminal: Terminal) -> bool:
    """Tell whether no cancelling call came in."""
    return not cancels(terminal) and dict(terminal.cloud.fleet.counts(JOB)) == COUNTS


class TestCancel:
    def test_done(self, terminal: Terminal) -> None:
        """With the job's id typed, exactly what was shown is cancelled, and the end is told with all figures."""
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")
        kept = state(terminal)

        assert 0 == found.code, found
        assert {"CONFIRM": 7, "IN_PROGRESS": 5, "CANCELED": 52} == terminal.cloud.fleet.counts(JOB)
        assert (Phase.DONE, ME, "terminal", 1) == (kept.phase, kept.requester, kept.via, cancels(terminal))
        assert [] == [
            text
            for text in (
                "queued, notified: 52 now, at most 59",
                "unconfirmed 7, queued 40, notified 12, in-progress 5",
                CANCEL,
                "bad image",
                (kept.digest or "none")[:12],
                "#1: Done.",
                "asked 52, accepted 52",
                "confirmed 52, left 0",
            )
            if text not in found.out
        ]

    @pytest.mark.parametrize("typed", ["yes\n", f"{JOB.lower()}\n", ""])
    def test_not_the_job(self, terminal: Terminal, typed: str) -> None:
        """Anything but the job's id, or no line at all, withdraws the order, and nothing is cancelled."""
        found = terminal.cancel(ORDER, typed=typed)

        assert (1, Phase.WITHDRAWN) == (found.code, state(terminal).phase)
        assert "#1 is withdrawn. Nothing was cancelled." in found.out
        assert untouched(terminal)

    def test_not_listed(self, terminal: Terminal) -> None:
        """Who sits here is the real user id's name: what environment variables claim is not believed."""
        terminal.configure(requester="cli:mallory")
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")
        kept = state(terminal)

        assert (1, Phase.REFUSED, ME) == (found.code, kept.phase, kept.requester)
        assert "not among the requesters of account pumps" in found.out
        assert (True, []) == (untouched(terminal), terminal.cloud.arrivals)

    def test_nothing_to_hit(self, terminal: Terminal) -> None:
        """Nothing to cancel is told with all counts and asks for nothing."""
        terminal.cloud.fleet.add_job("done", counts={"SUCCEEDED": 9})
        found = terminal.cancel("job done queued")

        assert 1 == found.code
        assert "Nothing to cancel: job done has no task that is queued" in found.out
        assert "succeeded 9" in found.out
        assert "Type the job's id" not in found.out

    def test_above_the_limit(self, terminal: Terminal) -> None:
        """Above the limit nobody can go on alone from a terminal."""
        terminal.configure(more="approval = { above = 58 }\n")
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")

        assert 1 == found.code
        assert "up to 59 devices are more than 58" in found.out
        assert untouched(terminal)

    @pytest.mark.parametrize("kind", ["signature_refused", "http_502_html"])
    def test_cloud_away(self, terminal: Terminal, kind: str) -> None:
        """A cloud that refuses or fails is told in its words; no secret and no traceback is shown."""
        terminal.cloud.faults.add(kind, times=None)
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")

        assert 1 == found.code
        assert {"signature_refused": "SignatureDoesNotMatch", "http_502_html": "HTTP 502"}[kind] in found.out
        assert untouched(terminal)

    def test_failed(self, terminal: Terminal) -> None:
        """A run of which nothing was taken exits with 1 and says so."""
        terminal.cloud.faults.add("signature_refused", CANCEL, times=None)
        found = terminal.cancel(ORDER, typed=f"{JOB}\n")

        assert (1, Phase.FAILED) == (found.code, state(terminal).phase)
        assert "#1: Failed." in found.out
        assert "asked 52, accepted 0" in found.out

    @pytest.mark.parametrize("words", [f"preview job {JOB} queued,notified", f"job {JOB}"])
    def test_looking(self, terminal: Terminal, words: str) -> None:
        """A preview, and a job without statuses, are answered and store nothing."""
        found = terminal.cancel(words)

        assert (0, "52") == (found.code, "52" if "52" in found.out else found.out)
        assert untouched(terminal)
        with ledger(terminal) as opened:
            assert 0 == opened.head()


class TestInterrupt:
    def test_while_running(self, terminal: Terminal) -> None:
        """Ctrl-C while calls are tried is `stop`: nothing more is sent, and the end is told."""
        terminal.cloud.faults.add("throttle", CANCEL, times=None)
        found, sent = interrupted(terminal, typed=f"{JOB}\n", when=lambda: cancels(terminal) >= 1)
        kept = state(terminal)

        assert (1, Phase.STOPPED, ME) == (found.code, kept.phase, kept.stopped_by)
        assert "Stopping: what is out comes to its end." in found.out
        assert "#1: Stopped." in found.out
        assert sent == cancels(terminal)
        assert COUNTS == terminal.cloud.fleet.counts(JOB)

    def test_at_the_question(self, terminal: Terminal) -> None:
        """Ctrl-C instead of the job's id withdraws the order."""

        def asked() -> bool:
            if not terminal.ledger.exists():
                return False
            with ledger(terminal) as opened:
                return [Phase.WAITING_CONFIRMATION] == [found.phase for found in opened.latest(1)]

        found, _ = interrupted(terminal, typed="", when=asked)

        assert (1, Phase.WITHDRAWN) == (found.code, state(terminal).phase)
        assert untouched(terminal)


def interrupted(terminal: Terminal, *, typed: str, when: object) -> tuple[Ended, int]:
    """Press Ctrl-C when something holds; return the end, and how many cancelling calls had come in by then."""
    process = terminal.start("cancel", *ORDER.split(), "--config", str(terminal.config))
    assert process.stdin is not None
    process.stdin.write(typed)
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while callable(when) and not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    sent = cancels(terminal)
    process.send_signal(signal.SIGINT)
    return ended(process), sent


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "said"),
        [(f"job {JOB} qeued", "queued"), (f"job {JOB} queued on nowhere", "There is no account “nowhere”")],
    )
    def test_wrong_words(self, terminal: Terminal, words: str, said: str) -> None:
        """Wrong words exit with 2 and say what was expected; nothing is asked, stored or cancelled."""
        found = terminal.cancel(words, typed=f"{JOB}\n")

        assert (2, "") == (found.code, found.out)
        assert said in found.err
        assert [] == terminal.cloud.arrivals

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("jbo x queued", "jbo"),
            ("devices d job", "a job's id"),
            ("list", "“list” is not for the terminal; job, devices, strategy, preview are."),
        ],
    )
    def test_more_wrong_words(
        self, terminal: Terminal, capsys: pytest.CaptureFixture[str], words: str, said: str
    ) -> None:
        """So do other wrong words, before anything is opened."""
        assert 2 == main(["cancel", *words.split(), "--config", str(terminal.config)])
        assert said in capsys.readouterr().err
        assert not terminal.ledger.exists()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [(["cancel"], "WORDS"), (["cancel", *ORDER.split()], "OTA_BOT_CONFIG"), (["cancel", "--force"], "WORDS")],
    )
    def test_wrong_arguments(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        said: str,
    ) -> None:
        """So do arguments that are not as described, or no config file."""
        monkeypatch.delenv("OTA_BOT_CONFIG", raising=False)
        with pytest.raises(SystemExit) as raised:
            main(arguments)

        assert 2 == raised.value.code
        assert said in capsys.readouterr().err

    def test_broken_config(self, terminal: Terminal) -> None:
        """A config with problems exits with 1 and names them."""
        terminal.config.write_text(terminal.config.read_text().replace("cloud =", "clouds ="))
        found = terminal.cancel(ORDER)

        assert 1 == found.code
        assert "clouds" in found.err
