"""`ota-bot audit show`: one cancellation's whole story, for somebody who knows neither the bot nor the clouds."""

import os
import pty
import re
import subprocess
import sys
from contextlib import closing
from io import StringIO
from sqlite3 import connect

import pytest
from rich.console import Console

from bot.cli import tables
from bot.domain.story import told
from tests.builders import requested
from tests.cli.auditing import Auditor
from tests.cli.large import WHY
from tests.cli.stage import Ended

PLAN = "f3500d8b8f906ceb8631f8c4364374dac63edcde48e57b93ab298b09dfdb7bdd"
FIGURES = "asked 450, accepted 251, confirmed 251, left 1, moved on before their call 198"
CALL = "CancelOTATaskByDevice"
REQUEST = "request 5A1F0C64-3B7E-4E51-9E0D-9C1D2A7E0B11"
FACTS = f"""\
cancellation  #2
state         Partly done
order         450 devices of job J1
job           J1 · “Spring” · to 2.1
account       prod (aliyun, https://iot.cn-shanghai.aliyuncs.com)
asked by      U0ANN in channel C0OPS, 2026-01-02 04:04:05 UTC
why           {WHY}
approved by   U0LEA, 2026-01-02 04:09:27 UTC
plan          {PLAN}
figures       {FIGURES}
ended         2026-01-02 04:11:19 UTC
"""
WHERE = "in channel C0OPS"
STORY = [
    (
        9,
        "04:04:05",
        "U0ANN",
        f"asked to cancel 450 devices of job J1 on account prod, in channel C0OPS, because “{WHY}”",
    ),
    (
        10,
        "04:04:12",
        "bot",
        (
            "looked at job J1 · “Spring” · to 2.1 · the batch is under way: unconfirmed 0, queued 1,000, notified 0,"
            " in-progress 0, cancelled 3; of the devices named: queued 450. Would hit 450 now;"
            f" 3 calls of {CALL}, about 3 s. Frozen as plan {PLAN[:12]}"
        ),
    ),
    (
        11,
        "04:04:19",
        "U0ANN",
        (
            f"confirmed plan {PLAN[:12]} (seen in S0ONCALL). By the rules, more than 100 devices or in-progress"
            " need a second person; U0ANN had run 0 devices alone in the 60 min before. It needs a second person's"
            " approval: up to 450 devices are more than 100"
        ),
    ),
    (12, "04:09:20", "bot", "reminded the approvers (time 1): 1 more needed"),
    (13, "04:09:27", "U0LEA", f"approved plan {PLAN[:12]}, as 1 of 1 (seen in S0LEADS); nobody else is needed"),
    (
        14,
        "04:09:34",
        "bot",
        (
            f"started plan {PLAN[:12]}: 450 tasks to cancel by the cloud's latest count, 3 calls; looked up once"
            " more and still entitled: U0ANN and U0LEA"
        ),
    ),
    (
        16,
        "04:09:48",
        "bot",
        f"call 1 of 3 ({CALL}, 200 tasks), attempt 1: failed (Throttling.User: “slower”; may be sent again)",
    ),
    (18, "04:10:02", "bot", f"call 1 of 3 ({CALL}, 200 tasks), attempt 2: done ({REQUEST})"),
    (
        20,
        "04:10:16",
        "bot",
        f"call 2 of 3 ({CALL}, 200 tasks), attempt 1: failed (24620: “Only init or published tasks can be canceled”)",
    ),
    (
        21,
        "04:10:23",
        "bot",
        (
            f"call 2 of 3 ({CALL}, 200 tasks) is refused as a whole, so it goes on device by device: 2 tasks in"
            " calls 4 to 5, without 198 that had moved on"
        ),
    ),
    (23, "04:10:37", "bot", f"call 3 of 5 ({CALL}, 50 tasks), attempt 1: done ({REQUEST})"),
    (25, "04:10:51", "bot", f"call 4 of 5 ({CALL}, 1 task), attempt 1: done ({REQUEST})"),
    (
        27,
        "04:11:05",
        "bot",
        f"call 5 of 5 ({CALL}, 1 task), attempt 1: failed (iot.ota.TaskNotExist: “=the task is gone”; request R5)",
    ),
    (
        28,
        "04:11:12",
        "bot",
        (
            "looked at the cloud again: 251 confirmed cancelled, 1 left. The devices named: queued 1, 251 cancelled,"
            " 198 ended otherwise"
        ),
    ),
    (29, "04:11:19", "bot", f"ended it as “Partly done”: {FIGURES}"),
]


@pytest.mark.parametrize("number", ["2", "#2", "002"])
def test_a_large_one(auditor: Auditor, number: str) -> None:
    """A large approved cancellation is told in order: event, time, who, and what is to be known of it."""
    lines = "".join(f"event {event}  2026-01-02 {at} UTC  {who}  {text}\n" for event, at, who, text in STORY)

    assert Ended(code=0, out=f"{FACTS}\n{lines}", err="") == auditor.audit("show", number)


def test_glass(auditor: Auditor) -> None:
    """Glass that was broken stands in the head, too, with people's words on one line."""
    shown = auditor.audit("show", "3").out

    assert "glass         glass broken by U0BOB at 2026-01-03 04:11 UTC: they burn\n" in shown
    assert "why           pumps #3 Done\n" in shown


@pytest.mark.parametrize("width", [None, 80])
def test_what_people_wrote_steers_nothing(
    auditor: Auditor, capsys: pytest.CaptureFixture[str], width: int | None
) -> None:
    """Nothing in people's words steers the terminal, in the head or in the story, piped or drawn."""
    odd = auditor.ledger.order(requested(reason="a\x1b[2Jb\x9b1m\u202ec")).id
    state, story, out = auditor.ledger.rebuilt(odd), auditor.ledger.story(odd), StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False) if width else None
    tables.print_story(tables.facts(state), told(story), console)
    shown = out.getvalue() + capsys.readouterr().out

    assert 2 == shown.count("a�[2Jb�1m�c")
    assert [] == [letter for letter in shown if not letter.isprintable() and letter != "\n"]


def test_there_is_none(auditor: Auditor) -> None:
    """What is not there is said in a sentence."""
    said = "There is no cancellation #4 in the ledger.\n"

    assert Ended(code=1, out="", err=said) == auditor.audit("show", "#4")


@pytest.mark.parametrize("number", ["two", "0", "-1", "##2", "1e3", "٣", "9" * 30, ""])
def test_no_number(auditor: Auditor, number: str) -> None:
    """What is no number is a usage error."""
    found = auditor.audit("show", number)

    assert (2, "") == (found.code, found.out)


def test_changed_by_somebody(auditor: Auditor) -> None:
    """Events that are not what the ledger writes are not told as if they were."""
    with closing(connect(auditor.folder / "ledger.db")) as database, database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{name}"')
        database.execute("update events set body = 'x' where id = 13")
    found = auditor.audit("show", "2")

    assert (1, "") == (found.code, found.out)
    assert found.err.startswith("The events of #2 hold what the ledger never writes. `ota-bot audit verify` names")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_on_a_terminal(auditor: Auditor, width: int) -> None:
    """On a terminal the story wraps within its width and keeps every word."""
    shown, state = StringIO(), auditor.ledger.rebuilt(2)
    console = Console(file=shown, width=width, force_terminal=True, markup=False, emoji=False, highlight=False)
    tables.print_story(tables.facts(state), told(auditor.ledger.story(2)), console)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
    start = next(line for line in lines if " what" in line).index("what")
    words = "".join(line[start:].strip() for line in lines if line[:start].strip(" 0123456789-:UANLEbot") == "")

    assert max(map(len, lines)) <= width
    assert "".join(text for *_, text in STORY).replace(" ", "") in words.replace(" ", "")


def test_as_a_process_on_a_terminal(auditor: Auditor) -> None:
    """As a process it draws where its output is a terminal: within its width, and without tracebacks."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", "import sys; from bot.cli import main; sys.exit(main())", "audit", "list"]
    with subprocess.Popen(  # noqa: S603 - the words of tests
        [*words, *auditor.config],
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
    ) as process:
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)

    assert 0 == process.returncode
    assert "Partly" in shown.decode()
    assert "─" * 50 in shown.decode()


def _read(terminal: int) -> bytes:
    """Read on; a terminal whose other end is closed is an error on Linux."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
