"""Sentences that Slack and the terminal share. Plain text: whoever shows it escapes it."""

from collections.abc import Mapping
from typing import Final

from bot.domain.command import words
from bot.domain.order import Cancel, CancelDevices, CancelJob
from bot.domain.plan import Preview
from bot.domain.status import FLOW, Status

COMMAND: Final = "/ota-cancel"
BATCH: Final = {
    "PLANNED": "scheduled batch",
    "IN_PROGRESS": "the batch is under way",
    "COMPLETED": "the batch is completed",
    "COMPLETE": "the batch is completed",
    "CANCELED": "the batch is cancelled",
}
"""A batch's JobStatus in words that cannot be taken for a cancellation's state."""
ENDED: Final = {"CANCELED": "cancelled"}
"""The cloud's words for ended tasks where the bot spells them otherwise."""


def number(count: int | None) -> str:
    """Write a count with thousands apart; what is not known is said."""
    return "unknown" if count is None else f"{count:,}"


def tasks(count: int | None) -> str:
    """Write a count of tasks."""
    return "1 task" if count == 1 else f"{number(count)} tasks"


def seconds(count: int) -> str:
    """Write a duration as a person says it."""
    if count < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{count} s"
    minutes, rest = divmod(count, 60)
    return f"{minutes} min" + (f" {rest} s" if rest else "")


def counts_line(preview: Preview, finished: Mapping[str, int | None] | None = None) -> str:
    """Return all counts of a job on one line, in the order in which tasks flow."""
    counts = preview.reading.counts
    shown = [f"{status.value} {number(counts.get(status))}" for status in FLOW]
    if counts.get(Status.SCHEDULED):
        shown.insert(0, f"scheduled {number(counts[Status.SCHEDULED])}")
    shown += [f"{ENDED.get(word, word.lower())} {number(count)}" for word, count in (finished or {}).items()]
    if finished is None and preview.reading.canceled is not None:
        shown.append(f"cancelled {number(preview.reading.canceled)}")
    return ", ".join(shown)


def target(order: Cancel) -> str:
    """Return what an order is about."""
    match order:
        case CancelDevices(names=names):
            return f"{number(len(names))} devices"
        case CancelJob(job=job, statuses=statuses) if statuses:
            *others, last = statuses
            named = f"{', '.join(others)} and {last}" if others else last
            return f"the {named} tasks of job {job}"
        case _:
            return f"batch {order.job}"


def job_line(preview: Preview, *, status: bool = True) -> str:
    """Return what a person recognises a job by; with its batch's status, as of the preview."""
    job = preview.job
    facts = [f"“{job.name}”" if job.name else "", f"to {job.version}" if job.version else ""]
    facts.append("dynamic batch" if job.dynamic else "")
    facts.append(BATCH.get(job.status, job.status and f"batch status {job.status}") if status else "")
    return " · ".join([job.id, *(fact for fact in facts if fact)])


def now_at_most(now: int | None, at_most: int | None) -> str:
    """Return the size of a cancel: what it would hit now, and what it may grow to."""
    if now is None or at_most is None:
        return "unknown: the cloud does not tell how many"
    return f"{number(now)} now" if now == at_most else f"{number(now)} now, at most {number(at_most)}"


def nothing_to_hit(order: CancelJob, preview: Preview, finished: Mapping[str, int | None]) -> str:
    """Say that no task is in the named statuses, with all counts."""
    named = ", ".join(order.statuses)
    return (
        f"Nothing to cancel: job {order.job} has no task that is {named}. Nothing was changed.\n"
        f"{job_line(preview)}\nAll its tasks: {counts_line(preview, finished)}."
    )


def choices(order: CancelJob, preview: Preview) -> str:
    """Answer a job without statuses: its counts, and the complete command for each sensible choice."""
    counts = preview.reading.counts
    lines = [job_line(preview), f"Its tasks: {counts_line(preview)}.", "Say which of them; for example:"]
    for statuses in _sensible(counts):
        line = words(CancelJob(job=order.job, statuses=statuses, account=order.account, reason=order.reason))
        lines.append(f"{COMMAND} {line}   ({tasks(preview.reading.size(frozenset(statuses)))})")
    if len(lines) == 3:  # noqa: PLR2004 - no choice was added to the three lines above
        return f"Nothing to cancel: {job_line(preview)}\nAll its tasks: {counts_line(preview)}."
    return "\n".join(lines)


def _sensible(counts: Mapping[Status, int | None]) -> list[tuple[Status, ...]]:
    """Choose what is worth offering: a scheduled batch whole, else what waits, then all, by what there is."""
    if counts.get(Status.SCHEDULED):
        return [(Status.SCHEDULED,)]
    waiting = tuple(status for status in FLOW[:-1] if counts.get(status) != 0)
    pushed = tuple(status for status in (Status.QUEUED, Status.NOTIFIED) if status in waiting)
    everything = tuple(status for status in FLOW if counts.get(status) != 0)
    offered = [pushed, waiting, everything]
    return [choice for index, choice in enumerate(offered) if choice and choice not in offered[:index]]


def preview_lines(order: CancelJob, preview: Preview, *, at_most: int | None, digest: str, estimate: int) -> str:
    """Return the answer to `preview`: what would be hit, the plan's digest, and the line that orders it."""
    now = preview.reading.size(frozenset(order.statuses))
    return "\n".join(
        (
            f"Preview, nothing was changed. {job_line(preview)}",
            f"Would cancel: {', '.join(order.statuses)} ({now_at_most(now, at_most)}). All: {counts_line(preview)}.",
            f"About {seconds(estimate)} at the account's rate. Plan {digest[:12]}.",
            f"To order it: {COMMAND} {words(order)}",
        )
    )
