"""Draws the card: a cancellation's one message, in its present state. Pure.

The state word stands first, and no other state word stands on it. What a tired person needs comes first, too: what is
asked of them, or what came of it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.domain.advice import advice
from bot.domain.approval import TERMINAL
from bot.domain.call import Outcome
from bot.domain.cancellation import BEFORE_START, Phase, Run, State
from bot.domain.order import CancelDevices, CancelStrategy
from bot.domain.plan import Preview
from bot.domain.witness import DIGITS
from bot.domain.wording import (
    BATCH,
    approvals,
    counts_line,
    job_line,
    listing,
    named_line,
    number,
    seconds,
    size_line,
    target,
    warnings,
)
from bot.slack.buttons import buttons_of
from bot.slack.escape import code, mention, safe, trim
from bot.slack.message import TEXT, Message, mrkdwn, plain_text, section, when

MOST_FAILURES: Final = 5
"""Calls without success that the card shows."""
EARLIER: Final = "An earlier card of this may lie above; only this one counts."


def card(state: State, *, buttons: bool = True, reposted: bool = False) -> Message:
    """Draw the card of a cancellation in its present state.

    `reposted` says that an earlier card may lie above: its first post was tried and never heard of.
    """
    lines = [_headline(state), _approval(state), _broken_glass(state), _figures(state), _ending(state)]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": plain_text(f"{state.phase.value} · cancellation #{state.id}", 150)},
        *(section(line) for line in lines if line),
        {"type": "section", "fields": [mrkdwn(field) for field in _fields(state)]},
    ]
    notes = _notes(state) + ([EARLIER] if reposted else [])
    if notes:
        blocks.append({"type": "context", "elements": [mrkdwn(note) for note in notes[:10]]})
    pressed = buttons_of(state) if buttons else []
    if pressed:
        blocks.append({"type": "actions", "block_id": f"answer-{state.id}-{state.event}", "elements": pressed})
    return Message(text=trim(_sentence(state), TEXT), blocks=tuple(blocks))


def figures(run: Run) -> str:
    """Return what was asked, accepted and confirmed, apart; what was not looked at is said."""
    confirmed = "not read" if run.confirmed is None else number(run.confirmed)
    left = "not read" if run.left is None else number(run.left)
    moved = f" · *moved on before their call* {number(run.moved_on)}" if run.moved_on else ""
    asked, accepted = number(run.asked), number(run.accepted)
    return f"*asked* {asked} · *accepted* {accepted} · *confirmed* {confirmed} · *left* {left}{moved}"


def _headline(state: State) -> str:
    what = f"*{safe(target(state.order), 500)}* on *{safe(state.account, 100)}*"
    if state.phase in BEFORE_START - {Phase.APPROVED}:
        verb = "stop" if isinstance(state.order, CancelStrategy) else "cancel"
        return f"{mention(state.requester)} wants to {verb} {what}"
    return f"Cancel of {what}, asked for by {mention(state.requester)}"


def _approval(state: State) -> str:
    """Say whose consent is needed and why, and who has given it: that also afterwards, for ever."""
    why = safe("; ".join(state.reasons), 600)
    if state.phase is Phase.WAITING_CONFIRMATION and state.needs:
        return f"After you confirm it needs {approvals(state.needs)}: {why}."
    yes = f"Yes from {', '.join(mention(vote.actor) for vote in state.votes)}. " if state.votes else ""
    if state.phase is not Phase.WAITING_APPROVAL:
        return yes.rstrip()
    if state.via == TERMINAL:
        return f"It needs {approvals(state.needs)}, which nobody gives to what was ordered at a terminal: {why}."
    until = f" until {when(state.deadline)}" if state.deadline else ""
    it, is_ = ("it", "It is") if state.missing == 1 else ("them", "They are")
    return f"{yes}*{missing(state)}*; {able(state)} may give {it}{until}. {is_} needed because {why}."


def missing(state: State) -> str:
    """Say how many approvals are missing."""
    return "1 approval is missing" if state.missing == 1 else f"{state.missing} approvals are missing"


def able(state: State) -> str:
    """Name those who are listed and have not answered; whoever asked for it is none of them."""
    listed = (state.policy or {}).get("approvers") or ()
    answered = {state.requester, *(vote.actor for vote in state.votes)}
    return ", ".join(mention(name) for name in [one for one in listed if one not in answered][:10]) or "nobody"


def _rule(policy: Mapping[str, Any]) -> str:
    always = f", and {listing(policy['always'])} always" if policy["always"] else ""
    return f"The rule: more than {policy['above']:,} devices need {approvals(policy['people'])}{always}."


def _broken_glass(state: State) -> str:
    """Carry the mark that it went on without the approvers it needed, for ever."""
    mark = state.broke_glass
    if mark is None:
        return ""
    by = f"*Glass broken* by {mention(mark.actor)}, so it went on without the approval it needed"
    return f"{by}: {safe(mark.reason.rstrip('.'), 600)}."


def _figures(state: State) -> str:
    run = state.run
    if run is None:
        return ""
    return progress(state, run) if state.phase is Phase.RUNNING else figures(run)


def progress(state: State, run: Run) -> str:
    """Return how far a run is, and that it is being stopped."""
    taken = sum(high - low + 1 for low, high in run.done)
    out = len(run.out)
    stopping = f" {mention(state.stopped_by)} pressed Stop" if state.stopped_by else ""
    still = f"; stopping: {out} call{'' if out == 1 else 's'} still out." if state.stopped_by else ""
    return f"Calls taken: {taken} of {run.calls}.{stopping}{still}"


def _ending(state: State) -> str:
    """Say why and by whom it ended, and that nothing was cancelled where that is so."""
    if state.ended is None:
        return ""
    why = _named(safe(state.why.rstrip("."), 600), state)
    by = mention(state.ended_by or "")
    said = {
        Phase.EXPIRED: "Not everybody who was needed answered in time." if state.votes else "Nobody answered in time.",
        Phase.WITHDRAWN: f"Taken back by {by}.",
        Phase.REJECTED: f"By {by}: {why}.",
        Phase.STOPPED: f"Ended by {mention(state.stopped_by or '')}; what was not sent stays unsent.",
    }.get(state.phase, f"{why[:1].upper()}{why[1:]}." if why else "")
    nothing = "" if state.run is not None else "Nothing was cancelled."
    attempts = state.run.attempts if state.run else {}
    failures = [_failure(call, state) for call in sorted(attempts)[:MOST_FAILURES]]
    if len(attempts) > MOST_FAILURES:
        failures.append(f"… and {len(attempts) - MOST_FAILURES:,} more calls without success.")
    return "\n".join(filter(None, (" ".join(filter(None, (said, nothing))), *failures)))


def _named(why: str, state: State) -> str:
    """Mention whom a reason of the bot's own names by their ids: of a person's words nothing is made a mention."""
    if state.phase is not Phase.VOIDED:
        return why
    known = {state.requester, *(vote.actor for vote in state.votes)}
    return re.sub(r"\w+", lambda word: mention(word[0]) if word[0] in known else word[0], why)


def _failure(call: int, state: State) -> str:
    attempt = state.run.attempts[call] if state.run else None
    if attempt is None:
        return ""
    # Not the outcomes' own words: one of them is a state word, and only the present state stands on the card.
    outcome = "no usable answer" if attempt.outcome is Outcome.UNKNOWN else "not taken"
    said = safe(f"{attempt.code} {attempt.message}".strip(), 300)
    return f"Call {call}, attempt {attempt.number}, {outcome}: {said} {advice(attempt.code)}".rstrip()


def _fields(state: State) -> list[str]:
    plan, preview = state.plan, state.preview
    before = state.phase in BEFORE_START
    fields = [f"*Why*\n{safe(state.order.reason or 'no reason given', 600)}"]
    if preview is not None:
        fields.append(f"*Job*\n{safe(job_line(preview, status=False), 500)}")
        fields += _counted(state, preview, before=before)
    if plan is not None:
        devices = "*Devices*" if before else "*Devices at the preview*"
        calls = f"{plan.calls:,} calls, " if plan.calls > 1 else ""
        time = f"{calls}about {seconds(state.estimate or 1)} at the account's rate"
        fields.append(f"{devices}\n{size_line(state.size, plan)}")
        fields.append(f"*Operation*\n{code(plan.operation)} {', '.join(plan.statuses)}".rstrip())
        fields.append(f"*{'Time' if before else 'Time, as estimated'}*\n{time}")
        fields.append(f"*Plan*\n{code((state.digest or '')[:DIGITS])}")
    return fields


def _counted(state: State, preview: Preview, *, before: bool) -> list[str]:
    """Return the job's counts as they were at the preview, or as they were last read after the run."""
    seen, named = state.run.seen if state.run else None, preview.reading.named
    if seen is not None:
        now = replace(preview, reading=seen)
        # Not the cloud's own word for them: it is a state word, and only the present state stands on the card.
        ended = {word if word.upper() != "FAILED" else "unsuccessful": n for word, n in (seen.finished or {}).items()}
        fields = [f"*Its tasks when last read*\n{safe(counts_line(now, ended or None), 500)}"]
        if seen.named is not None:
            sent = sum(step.count for step in state.plan.steps) if state.plan else 0
            fields.append(f"*Of the {number(sent)} in the plan*\n{safe(named_line(seen.named), 500)}")
        named = None
    else:
        counted = "*Its tasks*" if before else "*Its tasks at the preview*"
        fields = [f"{counted}\n{safe(counts_line(preview), 500)}"]
    if named is not None:
        count = state.order.count if isinstance(state.order, CancelDevices) else None
        jobs = f", in {len(preview.jobs)} jobs" if preview.others else ""
        fields.append(f"*Of the {number(count)} named{jobs}*\n{safe(named_line(named), 500)}")
    return fields


def _notes(state: State) -> list[str]:
    notes = []
    run, plan = state.run, state.plan
    if run is not None and plan is not None and plan.at_most is not None and (run.confirmed or 0) > plan.at_most:
        notes.append(
            "More tasks of this job were seen cancelled than this could hit: somebody else cancels on it, too."
        )
    if state.phase in BEFORE_START and state.preview is not None and plan is not None:
        notes += warnings(state.order, state.preview, plan)
    if state.phase in {Phase.FAILED, Phase.PARTLY_DONE, Phase.STOPPED} and state.retried_as is None:
        notes.append("Nothing more is sent by itself: “Ask again” orders what is left.")
    if run is not None and run.asked is not None and state.size is not None and run.asked < state.size:
        notes.append(f"{number(state.size - run.asked)} fewer than at the preview.")
    if state.via == TERMINAL and state.phase in {Phase.WAITING_CONFIRMATION, Phase.WAITING_APPROVAL}:
        notes.append("It is answered at the terminal where it was ordered.")
    if state.phase is Phase.CHECKING and state.listing is not None:
        many = number(state.listing or None)
        notes.append(f"Listing {many} tasks, page by page. What would be hit follows here; nothing is cancelled yet.")
    if state.retried_as is not None:
        notes.append(f"What was left is asked for again as #{state.retried_as}.")
    if state.retry_of is not None:
        notes.append(f"This is for what #{state.retry_of} left over.")
    if run is not None and run.seen is not None and isinstance(state.order, CancelStrategy) and run.seen.batch:
        notes.append(f"The cloud says of this batch now: {safe(BATCH.get(run.seen.batch, run.seen.batch), 60)}.")
    return notes + _deadlines(state)


def _deadlines(state: State) -> list[str]:
    notes = []
    if state.phase is Phase.WAITING_APPROVAL and state.policy is not None:
        within = seconds(int(state.policy["run_within"]))
        notes.append(f"{_rule(state.policy)} With the last approval it starts at once, or not at all after {within}.")
    if state.deadline is not None and state.phase is Phase.APPROVED:
        notes.append(f"If it has not started by {when(state.deadline)}, nothing is cancelled.")
    elif state.deadline is not None and state.phase in BEFORE_START:
        notes.append(f"Without an answer by {when(state.deadline)} nothing is cancelled.")
    return notes


def _sentence(state: State) -> str:
    """Say the whole card in words: screen readers read this and not the blocks. It mentions nobody."""
    parts = [f"{state.phase.value}: cancellation #{state.id} of {target(state.order)} on {state.account}"]
    if state.plan is not None and state.phase in BEFORE_START:
        parts.append(size_line(state.size, state.plan))
    if state.run is not None and state.ended is not None:
        parts.append(figures(state.run).replace("*", "").replace(" ·", ","))
    if state.phase is Phase.WAITING_APPROVAL:
        parts.append(missing(state))
    if state.broke_glass is not None:
        parts.append(f"It went on without the approval it needed: {state.broke_glass.reason}")
    if state.why:
        parts.append(state.why[:1].upper() + state.why[1:])
    if state.ended is not None and state.run is None:
        parts.append("Nothing was cancelled")
    parts.append(f"Why: {state.order.reason}" if state.order.reason else "No reason was given")
    return ". ".join(safe(part, 800).rstrip(".") for part in parts) + "."
