"""`ota-bot audit export`: events that anybody can check, and one cancellation as a folder that needs no bot."""

import csv
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from sqlite3 import connect

import pytest

from bot.cli import folder_check
from bot.domain.order import listed
from bot.domain.status import Status
from bot.ledger.chain import GENESIS, digest
from bot.ledger.reader import PAGE
from tests.builders import FAILED, NAMES, RUNNING, finish, record, requested, send, verify
from tests.cli.auditing import Auditor
from tests.cli.large import decide
from tests.cli.stage import Ended

COLUMNS = ["actor", "at", "body", "cancellation", "digest", "id", "kind", "seq"]
LISTED = f"lists/{listed(NAMES).sha256}.txt"
FILES = ["README.txt", "SHA256SUMS", "calls.csv", "check.py", "devices.csv", "events.jsonl", LISTED, "plan.json"]


# --- to standard output --------------------------------------------------------------------------------------------


def test_every_digest_can_be_recomputed(auditor: Auditor) -> None:
    """Whoever has all lines can recompute every digest from the one before, without gaps."""
    found, previous = auditor.audit("export"), GENESIS
    rows = [json.loads(line) for line in found.out.splitlines()]
    for row in rows:
        assert row["digest"] == digest(previous, row)
        previous = row["digest"]

    assert (0, "") == (found.code, found.err)
    assert [*range(1, auditor.ledger.head() + 1)] == [row["id"] for row in rows]
    assert {tuple(COLUMNS)} == {tuple(row) for row in rows}


def test_as_csv(auditor: Auditor) -> None:
    """CSV has the same columns under their names, and the body as its canonical JSON."""
    lines = [json.loads(line) for line in auditor.audit("export", "--format", "jsonl").out.splitlines()]
    rows = list(csv.DictReader(StringIO(auditor.audit("export", "--format", "csv").out, newline="")))

    assert COLUMNS == list(rows[0])
    assert [line["body"] for line in lines] == [json.loads(row["body"]) for row in rows]
    assert [[str(line[name]) for name in COLUMNS if name != "body"] for line in lines] == [
        [row[name] for name in COLUMNS if name != "body"] for row in rows
    ]


def test_one_cancellation(auditor: Auditor) -> None:
    """With an ID it is that cancellation's events alone, in order."""
    rows = [json.loads(line) for line in auditor.audit("export", "#2").out.splitlines()]

    assert [*range(1, 22)] == [row["seq"] for row in rows]
    assert {2} == {row["cancellation"] for row in rows}
    assert Ended(code=1, out="", err="There is no cancellation #9 in the ledger.\n") == auditor.audit("export", "9")


def test_page_after_page(auditor: Auditor) -> None:
    """A ledger of several pages comes without gaps."""
    for _ in range(PAGE):
        auditor.ledger.append(requested())
    ids = [json.loads(line)["id"] for line in auditor.audit("export").out.splitlines()]

    assert [*range(1, auditor.ledger.head() + 1)] == ids
    assert PAGE < len(ids)


def test_what_somebody_changed(auditor: Auditor) -> None:
    """A body that is no JSON any more is exported as it is: its digest does not hold, and nothing else is lost."""
    tamper(auditor, "update events set body = '{\"v\":NaN' where id = 3")
    rows = [json.loads(line) for line in auditor.audit("export").out.splitlines()]

    assert '{"v":NaN' == rows[2]["body"]
    assert auditor.ledger.head() == len(rows)


def test_a_reader_that_stops(auditor: Auditor) -> None:
    """A pipe that is closed, as by `head`, ends it without a word."""
    command = "import sys; from bot.cli import main; sys.exit(main())"
    with subprocess.Popen(  # noqa: S603 - the words of tests
        [sys.executable, "-c", command, "audit", "export", *auditor.config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        said = process.stderr.read() if process.stderr else b""

    assert (0, b"") == (process.returncode, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_full_disk(auditor: Auditor) -> None:
    """Output that could not be written whole says so, and is an error."""
    command = "import sys; from bot.cli import main; sys.exit(main())"
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(  # noqa: S603 - the words of tests
            [sys.executable, "-c", command, "audit", "export", *auditor.config],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    said = b"The output could not be written: No space left on device. It is not whole.\n"
    assert (1, said) == (ran.returncode, ran.stderr)


def test_usage(auditor: Auditor) -> None:
    """A folder is for one cancellation and has one form."""
    folder = str(auditor.folder / "out")
    said = "--to FOLDER needs the ID of one cancellation, and takes no --format. Nothing was written.\n"

    assert Ended(code=2, out="", err=said) == auditor.audit("export", "--to", folder)
    assert Ended(code=2, out="", err=said) == auditor.audit("export", "2", "--to", folder, "--format", "csv")
    assert 2 == auditor.audit("export", "--format", "xml").code


# --- to a folder ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(auditor: Auditor) -> Path:
    """Return the folder of the large cancellation."""
    made = auditor.folder / "out"
    said = f"Wrote #2 to {made}, for its owner alone: it holds ids of people. Begin with README.txt.\n"
    assert Ended(code=0, out=said, err="") == auditor.audit("export", "2", "--to", str(made))
    return made


def test_the_files(folder: Path) -> None:
    """There are all files, for their owner alone."""
    made = sorted(path for path in folder.rglob("*") if path.is_file())

    assert FILES == [str(path.relative_to(folder)) for path in made]
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "lists")}


def test_each_event_can_be_checked(folder: Path, auditor: Auditor) -> None:
    """Each event carries the digest before it, so that its own can be recomputed without its neighbours."""
    rows = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]

    assert [event.digest for event in auditor.ledger.story(2)] == [digest(row["previous"], row) for row in rows]
    assert [event.digest for event in auditor.ledger.story(2)] == [row["digest"] for row in rows]


def test_plan_and_lists(folder: Path, auditor: Auditor) -> None:
    """The plan's file has the plan's digest, and a list's file the digest that it is called by."""
    state = auditor.ledger.rebuilt(2)

    assert state.digest == sha256((folder / "plan.json").read_bytes()).hexdigest()
    assert "\n".join(NAMES) == (folder / LISTED).read_text()


def test_calls_and_devices(folder: Path) -> None:
    """The sheets have every attempt, and every device once; no cell is a formula."""
    calls = list(csv.DictReader(StringIO((folder / "calls.csv").read_text(), newline="")))
    devices = list(csv.DictReader(StringIO((folder / "devices.csv").read_text(), newline="")))

    assert ["1", "1", "2", "3", "4", "5"] == [call["call"] for call in calls]
    assert ["failed", "done", "failed", "done", "done", "failed"] == [call["outcome"] for call in calls]
    assert "'=the task is gone" == calls[-1]["message"]
    assert [*NAMES] == [device["device"] for device in devices]


def test_the_summary(folder: Path, auditor: Auditor) -> None:
    """The summary tells the story as `show` does, names the files that are there, and how to check them."""
    words = " ".join((folder / "README.txt").read_text().split())
    shown = auditor.audit("show", "2").out.splitlines()

    assert [] == [line for line in shown if " ".join(line.split()) not in words]
    assert [] == [name for name in ("lists/", *FILES) if name not in {"README.txt", LISTED} and name not in words]
    assert max(map(len, (folder / "README.txt").read_text().splitlines())) <= 120


def test_the_words(folder: Path) -> None:
    """The summary explains each status, each field of the plan and of its steps, and what nothing in it shows."""
    text = (folder / "README.txt").read_text()
    plan = json.loads((folder / "plan.json").read_text())
    words = [line.split("  ")[0] for line in text.splitlines()]

    assert [] == [word for word in (*Status, *plan) if word not in words]
    assert [] == [word for word in plan["steps"][0] if word not in text]
    assert "nor that no\nevents are missing at its end" in text


def test_a_small_one(auditor: Auditor) -> None:
    """A cancellation by job has no lists and no devices, and its summary does not speak of them."""
    made = auditor.folder / "out"
    made.mkdir()
    auditor.audit("export", "1", "--to", str(made))

    assert [name for name in FILES if name not in {LISTED, "devices.csv"}] == sorted(
        str(path.relative_to(made)) for path in made.rglob("*")
    )
    assert "devices.csv" not in (made / "README.txt").read_text()
    assert 0 == folder_check.main(made)


def test_checked_without_the_bot(folder: Path) -> None:
    """What checks it is plain Python that finds all of it in order."""
    ran = check(folder)

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ["yes"] * 8 == [line.split()[0] for line in ran.stdout.splitlines()]


def test_words_with_line_ends_of_their_own(auditor: Auditor) -> None:
    """A message with line ends that only Unicode knows is checked like any other, and steers no terminal."""
    said = replace(FAILED, message="bad\u2028gateway\u0085x\u2029y\x1b[2Jz")
    odd = auditor.ledger.order(requested()).id
    decide(auditor.ledger, odd, *RUNNING, send(), record(said), verify(), finish())
    made = auditor.folder / "odd"
    auditor.audit("export", str(odd), "--to", str(made))

    text = (made / "README.txt").read_text()

    assert 0 == folder_check.main(made)
    assert "y�[2Jz" in " ".join(text.split())
    assert [] == [letter for letter in text if not letter.isprintable() and letter != "\n"]
    assert ["yes"] * 8 == [line.split()[0] for line in check(made).stdout.splitlines()]


def test_the_sums(folder: Path) -> None:
    """SHA256SUMS is as sha256sum reads it, and names every other file."""
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]

    assert [name for name in FILES if name != "SHA256SUMS"] == sorted(name for _, name in lines)
    assert [] == [name for digest_, name in lines if sha256((folder / name).read_bytes()).hexdigest() != digest_]


def change(old: str, new: str) -> Callable[[str], str]:
    """Return what somebody makes of a file, who can count bytes and not hashes."""
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "forge", "found"),
    [
        ("events.jsonl", change("U0LEA", "U0LEE"), "each event has its digest: not [13]"),
        ("events.jsonl", change('"attempt":2', '"attempt":3'), "each event has its digest: not [17]"),
        ("events.jsonl", change('"previous":"', '"previous":"0'), "each event has its digest: not [9]"),
        ("events.jsonl", lambda text: "".join(text.splitlines(keepends=True)[1:]), "no event is missing"),
        ("events.jsonl", change("{", "["), "every file is here and can be read"),
        ("plan.json", change("J1", "J2"), "plan.json is the plan that was shown: not"),
        (LISTED, change("pump-007", "pump-900"), "each list of devices is the one that its name says: not"),
        ("calls.csv", change("done", "fail"), "each file is the one of SHA256SUMS: not ['calls.csv']"),
        ("README.txt", change("450", "45"), "each file is the one of SHA256SUMS: not ['README.txt']"),
    ],
)
def test_a_changed_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, forge: Callable[[str], str], found: str
) -> None:
    """Whatever is changed in the folder is found and named."""
    file = folder / name
    file.write_text(forge(file.read_text()))
    capsys.readouterr()

    assert 1 == folder_check.main(folder)
    assert f"no   {found}" in capsys.readouterr().out


def test_a_changed_folder_as_a_process(folder: Path) -> None:
    """The check exits with 1 where a byte is another."""
    file = folder / LISTED
    file.write_bytes(file.read_bytes().replace(b"pump-007", b"pump-008"))

    assert 1 == check(folder).returncode


def check(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the folder's own check, with nothing of this environment."""
    return subprocess.run(
        [sys.executable, "-I", "check.py"], cwd=folder, env={}, capture_output=True, text=True, check=False
    )


def test_nothing_is_written_over(auditor: Auditor) -> None:
    """A folder with something in it is left as it is, and so is a file, and nothing is made without its parent."""
    full, file = auditor.folder / "full", auditor.folder / "file"
    full.mkdir()
    (full / "mine").touch()
    file.touch()
    nowhere = auditor.folder / "no" / "where"

    for folder in (full, file):
        said = f"{folder} is there already and is no empty folder. Nothing was written.\n"
        assert Ended(code=1, out="", err=said) == auditor.audit("export", "2", "--to", str(folder))
    said = f"{nowhere} could not be made: No such file or directory. Nothing was written.\n"
    assert Ended(code=1, out="", err=said) == auditor.audit("export", "2", "--to", str(nowhere))
    assert ["mine"] == [path.name for path in full.iterdir()]


def test_nothing_to_write(auditor: Auditor) -> None:
    """Of what is not there no folder is made, nor of a list that was changed."""
    made = auditor.folder / "out"
    missing = auditor.audit("export", "9", "--to", str(made))
    tamper(auditor, "update lists set names = replace(names, 'pump-007', 'pump-900')")
    changed = auditor.audit("export", "2", "--to", str(made))

    assert Ended(code=1, out="", err="There is no cancellation #9 in the ledger.\n") == missing
    assert 1 == changed.code
    assert changed.err.endswith("was changed in the ledger. Nothing was written.\n")
    assert not made.exists()


def tamper(auditor: Auditor, statement: str) -> None:
    """Do what only somebody with the file can do, with every guard out of the way."""
    with closing(connect(auditor.folder / "ledger.db")) as database, database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{name}"')
        database.execute(statement)
