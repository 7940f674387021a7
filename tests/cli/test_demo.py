"""`ota-bot demo` as a newcomer starts it: the tour as a transcript, then the page, then Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.cli.stage import MAIN

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody listens at: whoever asks it gets nothing."""


@contextmanager
def demo(folder: Path, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with subprocess.Popen(  # noqa: S603 - the command under test
        [sys.executable, "-c", MAIN, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_tour_is_a_transcript(tmp_path: Path) -> None:
    """It ends by itself with 0, tells the main job from slip to ledger, logs no trouble, and leaves nothing behind.

    That also where the environment names a proxy that nothing local is reached through.
    """
    with demo(tmp_path, "--tour", HTTPS_PROXY=NOWHERE, HTTP_PROXY=NOWHERE, http_proxy=NOWHERE) as process:
        out, err = process.communicate(timeout=90)

    assert (0, "") == (process.returncode, err)
    assert "Ann presses “Cancel 52 upgrades”" in out
    assert "asked 52 · accepted 52 · confirmed 52 · left 0" in out
    assert re.search(r"The chain holds: \d+ events, head [0-9a-f]{64}\.", out)
    assert "http://127.0.0.1" not in out
    assert [] == list(tmp_path.iterdir())


def test_the_page_comes_after_the_tour(tmp_path: Path) -> None:
    """The address that is printed serves the page, until Ctrl-C ends it with 0."""
    with demo(tmp_path) as process:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.search(r"Now you: (\S+) ==", line)))

        page = requests.get(address, timeout=5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert (0, "") == (process.returncode, err)
    assert "<title>Local Slack</title>" in page.text


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A port that somebody else has is a problem that is named, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path, "--port", str(port)) as process:
            _, err = process.communicate(timeout=30)

    assert 1 == process.returncode
    assert f"Port {port} cannot be used" in err
    assert "Traceback" not in err
