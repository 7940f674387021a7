"""Prove the ledger: recompute every digest, replay every decision, and hold it against the audit channel's export."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bot.cli.reads import opened
from bot.cli.shown import printable
from bot.cli.tables import printing
from bot.domain.errors import Error, TamperedError
from bot.domain.witness import Claim, every
from bot.domain.wording import number
from bot.ledger.proof import Tell, Verified
from bot.ledger.witnessed import Witnessed


def verify(given: argparse.Namespace) -> int:
    """Prove the ledger; 1 at the first thing that does not hold, which is named."""
    told = _claims(given.witness) if given.witness else None
    with closing(opened(given)) as ledger, _progress() as tell:
        try:
            found = ledger.verify(tell)
            witnessed = ledger.held_against(told) if told is not None else None
        except TamperedError as error:
            print(f"TAMPERED: {printable(error.message)}.", file=sys.stderr)
            return 1
    counts = f"{_many(found.events, 'event')}, {_many(found.cancellations, 'cancellation')}"
    with printing():
        print(f"The chain holds: {counts}, head {found.head}.")
        print("\n".join((*_continued(found), *_proved(found), *_witnessed(found, witnessed), *_not_proved(witnessed))))
    return 0


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show on a terminal how far it is; a small ledger is done before anybody could see it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("Verifying")
        yield lambda done, parts: shown.update(task, completed=done, total=parts)


def _claims(paths: Iterable[Path]) -> tuple[Claim, ...]:
    """Read exports of the audit channel, each a file or a folder with one for each day."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    told = every(map(_export, files))
    if not told:
        raise Error(
            f"There is no line of this bot in {', '.join(map(str, files)) or 'that folder'}.",
            advice="Give the export (JSON) of the channel that `audit_channel` names. Nothing was proved.",
        )
    return told


def _export(path: Path) -> list[Any] | dict[str, Any]:
    try:
        export = json.loads(path.read_text(encoding="utf-8-sig"))
        every([export])
    except OSError as error:
        raise Error(f"{path} could not be read: {error.strerror}.", advice="Nothing was proved.") from error
    except (ValueError, RecursionError) as error:
        raise Error(
            f"{path} is not an export of a Slack channel: {error}.",
            advice="It has to be JSON, a list of messages. Nothing was proved.",
        ) from error
    if isinstance(export, dict) and export.get("has_more"):
        print(f"{path} is one page of several: give the others, too.", file=sys.stderr)
    return export  # type: ignore[no-any-return]


def _continued(found: Verified) -> Iterable[str]:
    if found.chain.continues is not None:
        last, head = found.chain.continues
        yield f"It goes on from a ledger that ended with event {last:,}, whose head is"
        yield f"{head}: keep that one, and verify it, too."


def _proved(found: Verified) -> Iterable[str]:
    yield "Proved:"
    yield "- No event was changed, inserted, moved, or removed from the middle."
    yield "- Every cancellation went only where the rules let it at that moment. What was confirmed, approved and"
    yield "  started is the plan that was shown, by its SHA-256; what had been run alone in the window was counted."
    approvals = number(found.replayed.approvals)
    yield f"- Approvals: {approvals}. Each came in time, from somebody else than whoever asked, from nobody twice, and"
    yield "  from one whom Slack's answer, as it was recorded, had among the approvers."
    out = f", but for {number(found.replayed.out)} under way" if found.replayed.out else ""
    sent = number(found.replayed.sendings)
    yield f"- Calls sent: {sent}. Each is in its plan and has its result{out}; none was sent after a stop."
    yield f"- Lists of devices: {number(found.lists)}. Each has the SHA-256 and the length by which the events name it."
    if found.older:
        yield "Not looked at: the state rows, which are from before the bot was upgraded. It folds them anew from the"
        yield "events at its next start."
    else:
        yield "- The state rows that the bot works by are what the events say; guards are those of their last change."
    yield "- The rules that events name are rules that their account had, as far as guards are kept."
    if found.chain.unknown:
        yield f"Not replayed: {_many(found.chain.unknown, 'event')} of kinds that this version does not know."


def _many(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def _witnessed(found: Verified, witnessed: Witnessed | None) -> Iterable[str]:
    if witnessed is None:
        return
    if witnessed.before:
        lines = _many(witnessed.before, "line")
        yield f"The channel has {lines} from before this ledger, of the one that it goes on from."
    if not witnessed.lines:
        yield "The channel has no line of this ledger yet."
        return
    at = f", posted {witnessed.at:%Y-%m-%d %H:%M} UTC" if witnessed.at else ""
    lines = f"{_many(witnessed.lines, 'line')}, {number(witnessed.whole)} of them with the whole digest"
    yield f"The channel agrees: {lines}, from event {witnessed.first:,} to event {witnessed.last:,}{at}."
    yield f"- So no event up to {witnessed.last:,} was cut off or written anew."
    after = max(0, found.events - witnessed.last)
    if after:
        yield f"- No line speaks of the {_many(after, 'event')} after it."


def _not_proved(witnessed: Witnessed | None) -> Iterable[str]:
    yield "Not proved:"
    if witnessed is not None and witnessed.before:
        yield "- That the lines from before this ledger are right: verify that one with the same channel, too."
    if witnessed is None:
        yield "- That no events were cut off at the end, nor the chain written anew from some event on: whoever can"
        yield "  write the file can do both. Hold it against an export of the audit channel, with --witness FILE."
    elif not witnessed.lines:
        yield "- That no events were cut off at the end, nor the chain written anew: no line speaks of this ledger yet."
    else:
        yield "- That nothing was cut off after the last line, and that the export is Slack's."
    yield "- That the guards of an account that never changed are the configured ones: those are in no event."
    yield "- That Slack and the clouds told the bot the truth."
