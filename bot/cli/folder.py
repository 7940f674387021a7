"""One cancellation as a folder that is read and checked without the bot."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from bot.cli import folder_check
from bot.cli.shown import printable
from bot.cli.tables import facts, plain_facts, plain_line
from bot.domain.cancellation import State
from bot.domain.errors import Error
from bot.domain.events import Event, Kind, canonical
from bot.domain.fates import ATTEMPTS, DEVICES, attempts, fates
from bot.domain.leftover import Names
from bot.domain.sought import lists
from bot.domain.spreadsheet import line
from bot.domain.story import told

WIDTH: Final = 100
"""Columns of the summary."""
_FILES: Final = {
    "events.jsonl": "every event, one a line, with its digest and `previous`, that of the ledger's event before it",
    "plan.json": "the plan that was shown to be confirmed; its SHA-256 is the plan's digest",
    "lists/": "lists of devices; each file's name is its SHA-256",
    "calls.csv": "every attempt at every call to the cloud, with the cloud's answer and request id, in the"
    "\n              order in which they were answered; last those of which no answer is recorded",
    "devices.csv": "every device that was named, and what became of it",
    "check.py": "recomputes what can be recomputed",
    "SHA256SUMS": "of all other files",
}
_README: Final = """\
{title}
{line}

ota-bot cancels over-the-air firmware tasks: somebody orders it, sees what would be hit, and
confirms exactly that plan; above a limit other people have to approve it. Everything that was
decided, and everything that the cloud answered, is an event in a ledger in which each event
carries the digest of the one before. This folder holds all events of one cancellation up to
event {last}. All times are UTC.

{facts}

The story
---------

{story}

Event numbers that are missing here are those of sendings, which are told with their answers, and
of events that are not about this cancellation.

The words
---------

U0…, W0…      people, as Slack numbers them; S0… are groups of people, C0… channels
cli:…         somebody at a terminal of the bot's machine, by their user name there
bot           ota-bot itself
task          the update of one device in one job
scheduled     the task waits for the start time of its batch
unconfirmed   it waits for the device's owner to confirm it
queued        it waits to be pushed to the device
notified      it was pushed; the device has not begun
in-progress   the device is installing it
at most       tasks reach those statuses by themselves while people decide: no more than this can
seen in S0…   of the groups that the rules name, those that Slack said the person was in at that time
broke glass   went on without the approval that the rules ask for: a few listed people may, and say why
call          one request to the cloud; a long list of devices takes several
attempt       one sending of a call; what failed in passing may be sent again
done          the cloud took the call. failed: it did not. unknown: nobody heard, so it was looked at
moved on      the devices were no longer in those statuses just before their call, and left out of it
asked         tasks to cancel, as the cloud counted them when it started
accepted      devices in calls that the cloud took
confirmed     seen cancelled when the cloud was read again
left          still there to cancel then

The files
---------

{files}

The fields of plan.json
-----------------------

v             the form of the plan
cloud         aliyun (Alibaba Cloud), tuya or enos (EnOS)
endpoint      where the calls go
region        the cloud's region, where it has any
instance      the account's instance at Alibaba Cloud, where it has any
org           the organisation at EnOS
key           the first 16 digits of the SHA-256 of the access key's id, which is no secret
verb          what is cancelled: job (tasks by status), devices (by name) or strategy (what adds tasks)
job           the job, or a firmware's first
statuses      the statuses whose tasks are cancelled
at_most       the most tasks that it may hit when it starts; null where the cloud cannot tell
per_call      names of devices in one call
steps         in order: action (the cloud's operation), job, product, firmware, names (the list, by its
              SHA-256), count (of names) and calls (how many)

How to check it without the bot
-------------------------------

    sha256sum -c SHA256SUMS
    python3 check.py

check.py needs Python 3.10 or newer and nothing else; read it, it is short. An event's digest is
the SHA-256, in hex, of `previous`, a line feed, and the JSON object of actor, at, body,
cancellation, id, kind and seq with sorted keys and without spaces, in UTF-8.

check.py recomputes the digests of events, plan and lists, and looks that no event is missing
between two and that every decision names this plan. The .csv files and this text are made from
those and not made again: only SHA256SUMS holds them, and it is in the folder itself.

All this shows that the folder agrees with itself, and not that it is what happened, nor that no
events are missing at its end. The audit channel does: its lines name events with the first 12
digits of their digests. So does the ledger, which `ota-bot audit verify` checks as a whole.

These files hold ids of people, what they wrote, and names of devices: keep them as you keep the
ledger.
"""


def files(state: State, rows: Sequence[Mapping[str, Any]], story: Sequence[Event], names: Names) -> dict[str, bytes]:
    """Return what the folder holds, by path; `rows` is the story as export writes it, `names` reads a list."""
    made = {"events.jsonl": "".join(f"{canonical(row)}\n" for row in rows)}
    plan = next((event.body["plan"] for event in story if event.kind == Kind.PREVIEWED), None)
    if plan is not None:
        made["plan.json"] = canonical(plan)
    made |= {f"lists/{key}.txt": "\n".join(names(key)) for key in sorted(lists(state))}
    made["calls.csv"] = "".join(map(line, (ATTEMPTS, *attempts(state, story))))
    if state.plan is not None and state.plan.by_name:
        made["devices.csv"] = "".join(map(line, (DEVICES, *_devices(state, names, story))))
    made["check.py"] = Path(folder_check.__file__).read_text("utf-8")
    made["README.txt"] = _readme(state, story, made)
    held = {path: text.encode("utf-8", "replace") for path, text in made.items()}
    sums = "".join(f"{sha256(content).hexdigest()}  {path}\n" for path, content in held.items())
    return {**held, "SHA256SUMS": sums.encode()}


def _devices(state: State, names: Names, story: Iterable[Event]) -> Iterator[tuple[object, ...]]:
    for fate in fates(state, names, story):
        yield fate.device, fate.job, fate.call, fate.why, fate.code, fate.message


def _readme(state: State, story: Iterable[Event], made: Iterable[str]) -> str:
    title = f"Cancellation #{state.id}, as the ledger of ota-bot has it"
    there = {*(path[: path.find("/") + 1] or path for path in made), "SHA256SUMS"}
    return _README.format(
        title=title,
        line="=" * len(title),
        last=state.event,
        facts=_wrapped(plain_facts(facts(state)), " " * 14),
        story=_wrapped(map(plain_line, told(story)), "    "),
        files="\n".join(f"{name:<13} {what}" for name, what in _FILES.items() if name in there),
    )


def _wrapped(lines: Iterable[str], indent: str) -> str:
    wrap = partial(fill, width=WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrap(printable(each)) for each in lines)


# --- on the disk ---------------------------------------------------------------------------------------------------


def make(folder: Path) -> None:
    """Make the folder, for its owner alone; raises Error where it has something in it, or cannot be made."""
    try:
        if folder.is_dir() and not any(folder.iterdir()):
            return
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise Error(f"{folder} is there already and is no empty folder.", advice="Nothing was written.") from error
    except OSError as error:
        raise Error(f"{folder} could not be made: {error.strerror}.", advice="Nothing was written.") from error


def write(folder: Path, held: Mapping[str, bytes]) -> None:
    """Write the files, for their owner alone: they hold ids of people. Raises Error where that fails midway."""
    try:
        for path, content in held.items():
            whole = folder / path
            whole.parent.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(whole, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(content)
    except OSError as error:
        raise Error(f"{folder} could not be written: {error}.", advice="It is not whole: remove it.") from error
