"""Sentences that Slack and the terminal share. Plain text: whoever shows it escapes it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bot.domain.account import Cloud
from bot.domain.cancellation import State
from bot.domain.command import words
from bot.domain.offer import BY_JOB
from bot.domain.order import Cancel, CancelDevices, CancelJob, CancelStrategy
from bot.domain.plan import Plan, Preview
from bot.domain.policy import Allowed, Denied, NeedsApproval, Verdict
from bot.domain.reading import Counts, Named
from bot.domain.status import FLOW, Status

COMMAND: Final = "/ota-cancel"
BATCH: Final = {
    "PLANNED": "scheduled batch",
    "IN_PROGRESS": "the batch is under way",
    "COMPLETED": "the batch is completed",
    "COMPLETE": "the batch is completed",
    "CANCELED": "the batch is cancelled",
    "started": "the job is started",
    "stopped": "the job is not started",
}
"""A batch's JobStatus in words that cannot be taken for a cancellation's state."""
MOST_WRITTEN: Final = 50
"""Device names that are written out in a command line that is shown."""
_BREAKS: Final = re.compile(r"[ \t]*[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029][\s\u2028\u2029]*")
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
    shown += [f"{ENDED.get(word.upper(), word.lower())} {number(count)}" for word, count in (finished or {}).items()]
    told = {word.upper() for word in finished or {}} & {"CANCELED", "CANCELLED"}
    if not told and preview.reading.canceled is not None:
        shown.append(f"cancelled {number(preview.reading.canceled)}")
    return ", ".join(shown)


def target(order: Cancel) -> str:
    """Return what an order is about."""
    match order:
        case CancelDevices():
            named = "one device" if order.count == 1 else f"{number(order.count)} devices"
            where = f"job {order.job}" if order.job else f"firmware {order.firmware}"
            return f"{named if order.count else 'the devices in a file'} of {where}"
        case CancelStrategy(job=job, statuses=statuses) if statuses:
            return f"the strategy of batch {job} and its {listing(statuses)} tasks"
        case CancelStrategy(job=job):
            return f"the strategy of batch {job}"
        case CancelJob(job=job, statuses=statuses) if statuses:
            return f"the {listing(statuses)} tasks of job {job}"
        case CancelJob(job=job):
            return f"batch {job}"


def listing(words: Iterable[str]) -> str:
    """Write words one after another, as a person says them."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def named_line(named: Named) -> str:
    """Return what was seen of the named devices, in one sentence: what will be hit, and what will not."""
    shown = [f"{status.value} {number(named.counts[status])}" for status in FLOW if named.counts.get(status)]
    shown += [f"{number(count)} {words}" for count, words in _not_hit(named) if count]
    return ", ".join(shown) or "none of them has a task here"


def _not_hit(named: Named) -> tuple[tuple[int, str], ...]:
    return (
        (named.canceled, "cancelled"),
        (named.ended, "ended otherwise"),
        (named.absent, "not found"),
        (named.unlooked, "not looked at one by one"),
    )


def warnings(order: Cancel, preview: Preview, plan: Plan) -> tuple[str, ...]:
    """Return what somebody should know before they confirm, a sentence each."""
    found = [_strategy_warning(order, preview), *_job_warnings(order, preview, plan)]
    named = preview.reading.named
    if isinstance(order, CancelDevices) and Status.IN_PROGRESS in plan.statuses and named is not None:
        flashing = named.counts.get(Status.IN_PROGRESS, 0)
        also = f" {number(flashing)} of them {'is' if flashing == 1 else 'are'} in progress now." if flashing else ""
        found.append(f"A cancel by device also hits what is in progress (mid-flash).{also}")
    if any(job.revives for job in preview.jobs):
        found.append("This job retries what failed: the cloud may take cancelled tasks up again. I look again later.")
    if plan.cloud == "enos" and preview.job.status == "stopped":
        found.append("This job is not started; EnOS may refuse to cancel in it (24617).")
    return tuple(filter(None, found))


def _strategy_warning(order: Cancel, preview: Preview) -> str:
    if not isinstance(order, CancelStrategy):
        return ""
    if not preview.job.dynamic:
        return "This is a static batch: the cloud stops the strategy of dynamic batches alone, and will refuse it."
    stays = " Tasks that exist already stay: name statuses to cancel them, too." if not order.statuses else ""
    return f"No device joins this batch any more.{stays}"


def _job_warnings(order: Cancel, preview: Preview, plan: Plan) -> list[str]:
    if not isinstance(order, CancelJob):
        return []
    found = []
    if plan.by_name:
        still = " or ".join(plan.statuses)
        found.append(
            f"The plan lists these devices, and hits those still {still} when their call is sent;"
            " a device that becomes so later is not hit."
        )
    else:
        found.append("Hits whatever is in these statuses when it starts; the devices are not listed beforehand.")
    if preview.job.dynamic:
        found.append("This is a dynamic batch: devices keep joining it until its strategy is cancelled, too.")
    return found


def job_line(preview: Preview, *, status: bool = True) -> str:
    """Return what a person recognises a job by; with its batch's status, as of the preview."""
    job = preview.job
    if preview.others:
        shown = listing(each.id for each in preview.jobs)
        return f"{len(preview.jobs)} unfinished jobs of firmware {job.firmware}: {shown}"
    facts = [f"“{job.name}”" if job.name else "", f"to {job.version}" if job.version else ""]
    facts.append("dynamic batch" if job.dynamic else "")
    facts.append(BATCH.get(job.status, job.status and f"batch status {job.status}") if status else "")
    return " · ".join([job.id, *(fact for fact in facts if fact)])


def now_at_most(now: int | None, at_most: int | None) -> str:
    """Return the size of a cancel: what it would hit now, and what it may grow to."""
    if now is None or at_most is None:
        return "unknown: the cloud does not tell how many"
    # A list that is read after the totals may be shorter: no more than it names is hit.
    return f"{number(at_most)} now" if now >= at_most else f"{number(now)} now, at most {number(at_most)}"


def size_line(now: int | None, plan: Plan) -> str:
    """Return the size of what a plan hits, of which there are so many now."""
    if not plan.statuses:
        return "none: it stops the batch from taking devices in, and touches no task"
    return now_at_most(now, plan.at_most)


def idle(order: Cancel, preview: Preview, plan: Plan) -> bool:
    """Tell whether an order would change nothing."""
    if isinstance(order, CancelStrategy):
        over = preview.reading.batch in {"CANCELED", "COMPLETED", "COMPLETE"}
        return over and not preview.reading.size(frozenset(plan.statuses))
    return not plan.calls or preview.reading.size(frozenset(plan.statuses)) == 0


def nothing_to_hit(order: Cancel, preview: Preview, finished: Mapping[str, int | None]) -> str:
    """Say that nothing would be hit, with all counts."""
    named, counts = preview.reading.named, f"All its tasks: {counts_line(preview, finished)}."
    match order:
        case CancelStrategy():
            said = f"Nothing to stop: {job_line(preview)}."
        case CancelDevices():
            seen = f": {named_line(named)}" if named is not None else ""
            said = f"Nothing to cancel: none of these devices has a task that can be cancelled{seen}."
        case CancelJob(job=job, statuses=statuses):
            said = f"Nothing to cancel: job {job} has no task that is {', '.join(statuses)}."
    return f"{said} Nothing was changed.\n{job_line(preview)}\n{counts}"


def choices(order: CancelJob, preview: Preview, cloud: Cloud) -> str:
    """Answer a job without statuses: its counts, and the complete command for each sensible choice."""
    counts = {status: preview.reading.counts.get(status, 0) for status in BY_JOB[cloud]}
    lines = [job_line(preview), f"Its tasks: {counts_line(preview)}.", "Say which of them; for example:"]
    for statuses in _sensible(counts):
        line = words(CancelJob(job=order.job, statuses=statuses, account=order.account, reason=order.reason))
        lines.append(f"{COMMAND} {line}   ({tasks(preview.reading.size(frozenset(statuses)))})")
    if len(lines) == 3:  # noqa: PLR2004 - no choice was added to the three lines above
        return f"Nothing to cancel: {job_line(preview)}\nAll its tasks: {counts_line(preview)}."
    return "\n".join(lines)


def _sensible(counts: Counts) -> list[tuple[Status, ...]]:
    """Choose what is worth offering: a scheduled batch whole, else what waits, then all, by what there is."""
    if counts.get(Status.SCHEDULED):
        return [(Status.SCHEDULED,)]
    offered_here = [status for status in FLOW if status in counts]
    waiting = tuple(status for status in offered_here if status is not Status.IN_PROGRESS and counts[status] != 0)
    pushed = tuple(status for status in (Status.QUEUED, Status.NOTIFIED) if status in waiting)
    everything = tuple(status for status in offered_here if counts[status] != 0)
    offered = [pushed, waiting, everything]
    return [choice for index, choice in enumerate(offered) if choice and choice not in offered[:index]]


def preview_lines(order: Cancel, preview: Preview, plan: Plan, *, estimate: int, verdict: Verdict) -> str:
    """Return the answer to `preview`: what would be hit, the plan's digest, and the line that orders it."""
    now = preview.reading.size(frozenset(plan.statuses))
    named = preview.reading.named
    hit = f"{', '.join(plan.statuses)} ({now_at_most(now, plan.at_most)})" if plan.statuses else target(order)
    calls = f"{plan.calls} calls, about" if plan.calls > 1 else "About"
    return "\n".join(
        (
            f"Preview, nothing was changed. {job_line(preview)}",
            f"Would cancel: {hit}. All: {counts_line(preview)}.",
            *((f"The devices named: {named_line(named)}.",) if named is not None else ()),
            *warnings(order, preview, plan),
            *(() if isinstance(verdict, Allowed) else (verdict_line(verdict),)),
            f"{calls} {seconds(estimate)} at the account's rate. Plan {plan.digest[:12]}.",
            f"To order it: {COMMAND} {_order_line(order)}",
        )
    )


def verdict_line(verdict: NeedsApproval | Denied) -> str:
    """Say why whoever asks may not go on alone."""
    if isinstance(verdict, Denied):
        return f"Nobody may do this: {verdict.reason}."
    return f"Needs {approvals(verdict.people)} before it runs: {'; '.join(verdict.reasons)}."


def approvals(people: int) -> str:
    """Write how many people have to approve."""
    return "a second person's approval" if people == 1 else f"the approval of {people} other people"


def _order_line(order: Cancel) -> str:
    if isinstance(order, CancelDevices) and len(order.names) > MOST_WRITTEN:
        return f"{words(replace(order, names=order.names[:1]))}   (with all {number(order.count)} names)"
    return words(order)


def ordered_again(new: int | None) -> str:
    """Say as what the rest of a cancellation was ordered again; `None`: the order for it came to nothing."""
    return f"ordered again as #{new}" if new else "may be ordered again, as the order for its rest came to nothing"


def on_one_line(text: str) -> str:
    """Fold the line breaks in what somebody wrote.

    With them words could look like a message's next line, or like a line of their own in a list or an audit trail.
    """
    return _BREAKS.sub(" ", text)


def one_line(state: State) -> str:
    """Return a cancellation on one line of a list, as plain text."""
    size = f" · {tasks(state.size)}" if state.plan is not None and state.plan.statuses else ""
    what = f"{target(state.order)} on {state.account}{size}"
    glass = " · glass broken" if state.broke_glass is not None else ""
    return f"#{state.id} {state.phase.value} · {what} · {state.requester} · {state.at:%Y-%m-%d %H:%M} UTC{glass}"
