"""Draws cancellations line by line, for `list`, `pending`, `show` and the Home tab. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.approval import TERMINAL
from bot.domain.cancellation import WAITING, Phase, State
from bot.domain.plan import Preview
from bot.domain.story import Line
from bot.domain.wording import COMMAND, counts_line, job_line, number, one_line, target, tasks
from bot.slack.card import able, missing, progress
from bot.slack.escape import code, mention, quoted, safe, trim
from bot.slack.message import TEXT, Message, dated, lines, section, when

STORY: Final = 20
"""Lines shown of a cancellation's story."""
LINE: Final = 500
"""Characters of one of them."""
TOGETHER: Final = 4
"""So many of them in a block, which holds 3,000 characters."""


def line(state: State) -> str:
    """Return a cancellation on one line of a list."""
    what = f"{safe(target(state.order), 200)} on {safe(state.account, 100)}{_sized(state)}"
    glass = " · *glass broken*" if state.broke_glass is not None else ""
    return f"*#{state.id}* {state.phase.value} · {what} · {mention(state.requester)} · {dated(state.at)}{glass}"


def _sized(state: State) -> str:
    return f" · {tasks(state.size)}" if state.plan is not None and state.plan.statuses else ""


def waits(state: State) -> str:  # noqa: PLR0911 - one line for each phase
    """Say what an open cancellation waits for, and until when, or how far it is; empty for one that is over."""
    until = f" until {when(state.deadline)}" if state.deadline else ""
    match state.phase:
        case Phase.CHECKING:
            return "Being checked; what it would hit follows on its card."
        case Phase.WAITING_CONFIRMATION:
            return f"Waits for {mention(state.requester)} to confirm it{until}."
        case Phase.WAITING_APPROVAL if state.via == TERMINAL:
            return f"{missing(state)}; it is answered at the terminal where it was ordered{until}."
        case Phase.WAITING_APPROVAL:
            return f"{missing(state)}; {able(state)} may give {'it' if state.missing == 1 else 'them'}{until}."
        case Phase.APPROVED:
            return f"About to start; not after {when(state.deadline)}." if state.deadline else "About to start."
        case Phase.RUNNING if state.run is not None:
            return f"{progress(state, state.run).rstrip('.')} · accepted so far {number(state.run.accepted)}."
    return ""


def entry(state: State, link: str = "") -> str:
    """Return a cancellation on two lines of a list: what it is, and what it waits for, with the way to its card."""
    below = " ".join(filter(None, (waits(state), link)))
    return "\n".join(filter(None, (line(state), _about(state), below)))


def _about(state: State) -> str:
    """Say what somebody has to know who is to answer: what a waiting order's job is, and why it was ordered."""
    if state.phase not in WAITING or state.preview is None:
        return ""
    why = quoted(state.order.reason, 300) if state.order.reason else "no reason was given"
    return f"{safe(job_line(state.preview, status=False), 300)} · because {why}"


def listing(title: str, states: list[State]) -> Message:
    """Return a list of cancellations for an ephemeral answer."""
    if not states:
        return Message(text=f"{title}: none.")
    return lines([f"{title}:", *map(line, states)], [f"{title}:", *map(one_line, states)])


def pending(title: str, states: list[State], link: Callable[[int], str]) -> Message:
    """Return a list of open cancellations, each with what it waits for and the way to its card."""
    if not states:
        return Message(text=f"{title}: none.")
    entries = [entry(state, link(state.id)) for state in states]
    return Message(
        text=trim("\n".join([f"{title}:", *entries]), TEXT), blocks=(section(f"*{title}*"), *map(section, entries))
    )


def batches(account: Account, found: Sequence[Preview], more: int, unlooked: int = 0) -> Message:
    """Return an account's running batches, newest first, with their counts and the line that asks for each."""
    beyond = (
        f"Not looked at, so as not to spend the account's rate: {number(unlooked)} older"
        f" firmware{'' if unlooked == 1 else 's'}, whose batches are not in this list."
    )
    if not found:
        none = f"No batch is under way on {safe(account.name)}."
        return Message(text=f"{none} {beyond}" if unlooked else none)
    example = f"{COMMAND} job {found[0].job.id} on {account.name}"
    older = f"… and {number(more)} older, not counted here so as not to spend the account's rate."
    rest = [*([older] if more else []), *([beyond] if unlooked else [])]
    shown = [
        f"Running batches on *{safe(account.name)}*, newest first. To choose what to cancel: {code(example)}",
        *(f"• {safe(job_line(preview), 300)}\n    {safe(counts_line(preview), 300)}" for preview in found),
        *rest,
    ]
    entire = [
        f"Running batches on {account.name}, newest first. To choose what to cancel: {example}",
        *(f"{job_line(preview)}\n    {counts_line(preview)}" for preview in found),
        *rest,
    ]
    return lines(shown, entire)


def story(told: Iterable[Line], cancellation: int) -> list[dict[str, Any]]:
    """Return the latest lines of a cancellation's story as blocks, oldest first: when, who, what."""
    every = list(told)
    shown = [_told(one) for one in every[-STORY:]]
    left_out = f"… {number(len(every) - STORY)} earlier lines are left out." if len(every) > STORY else ""
    read = f"All of it: {code(f'ota-bot audit show {cancellation}')} where the bot runs."
    return [
        section("*What happened*"),
        *(section("\n".join(shown[at : at + TOGETHER])) for at in range(0, len(shown), TOGETHER)),
        {"type": "context", "elements": [section(f"{left_out} {read}".strip())["text"]]},
    ]


def _told(one: Line) -> str:
    # The actor is the line's subject.
    return f"{dated(one.event.at)} {mention(one.event.actor)} {safe(one.text, LINE)}"
