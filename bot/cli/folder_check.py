"""Checks an exported cancellation without the bot: run it with plain Python, as `python3 check.py`."""

import hashlib
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

COLUMNS = ("actor", "at", "body", "cancellation", "id", "kind", "seq")


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def canonical(value: Any) -> bytes:
    """Return the one way to write a JSON value that is hashed: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def lines(file: Path) -> list[str]:
    """Return a file's lines; line ends that only Unicode knows stand as they are within JSON's strings."""
    return [line for line in file.read_text("utf-8").split("\n") if line]


def holds(said: str, wrong: list[Any]) -> bool:
    """Print whether something holds, and where it does not."""
    print(f"{'no  ' if wrong else 'yes '} {said}{f': not {wrong}' if wrong else ''}")
    return not wrong


def check(folder: Path) -> bool:
    """Recompute everything, and print what holds."""
    events = [json.loads(line) for line in lines(folder / "events.jsonl")]
    sums = [line.split("  ", 1) for line in lines(folder / "SHA256SUMS")]
    lists = sorted((folder / "lists").glob("*.txt")) if (folder / "lists").is_dir() else []
    kinds = [event for event in events if isinstance(event["body"], dict)]
    chain = [each["previous"].encode() + b"\n" + canonical({name: each[name] for name in COLUMNS}) for each in events]
    follow = [(one, next_) for one, next_ in pairwise(events) if next_["id"] == one["id"] + 1]
    digest = next((event["body"]["digest"] for event in kinds if event["kind"] == "previewed"), None)
    plan = (folder / "plan.json").read_bytes() if digest else b"{}"
    named = {step.get("names") for step in json.loads(plan).get("steps", ())} - {None}
    signed = [event for event in kinds if "plan" in event["body"] and isinstance(event["body"]["plan"], str)]
    proofs = [
        ("each file is the one of SHA256SUMS", [f for s, f in sums if sha256((folder / f).read_bytes()) != s]),
        (
            "each event has its digest",
            [e["id"] for e, c in zip(events, chain, strict=True) if sha256(c) != e["digest"]],
        ),
        ("neighbours hang together", [after["id"] for one, after in follow if after["previous"] != one["digest"]]),
        ("no event is missing between two", [e["id"] for n, e in enumerate(events, start=1) if e["seq"] != n]),
        ("plan.json is the plan that was shown", [digest] if digest and sha256(plan) != digest else []),
        (
            "whatever was confirmed, approved and started is that plan",
            [e["id"] for e in signed if e["body"]["plan"] != digest],
        ),
        (
            "each list of devices is the one that its name says",
            [f.name for f in lists if sha256(f.read_bytes()) != f.stem],
        ),
        ("each list of the plan is here", sorted(named - {f.stem for f in lists})),
    ]
    return not [said for said, wrong in proofs if not holds(said, wrong)]


def main(folder: Path) -> int:
    """Check a folder; 1 where something does not hold, or cannot even be read."""
    try:
        return 0 if check(folder) else 1
    except (OSError, LookupError, TypeError, ValueError) as error:
        print(f"no   every file is here and can be read: {type(error).__name__} {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent))
