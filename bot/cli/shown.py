"""What the person at the terminal is shown of a cancellation: the plan before, and what came of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from bot.domain.advice import advice
from bot.domain.cancellation import State
from bot.domain.events import Event
from bot.domain.leftover import Leftover, Names, leftovers
from bot.domain.order import CancelDevices, CancelStrategy
from bot.domain.wording import (
    approvals,
    counts_line,
    job_line,
    named_line,
    now_at_most,
    number,
    on_one_line,
    seconds,
    target,
    warnings,
)

FEW: Final = 20
"""Devices that are named for each reason; of more of them the number is told."""


class TerminalReporter:
    """Tells the person at this terminal."""

    def tell(self, state: State, text: str) -> None:
        """Print it."""
        say(f"#{state.id}: {text}")

    def ask_anyway(self, state: State, like: State) -> None:
        """Print it; whoever runs the command asks."""
        what = f"{target(like.order)} on {like.account}, {like.phase}"
        say(f"#{state.id}: already #{like.id} by {like.requester}: {what}.")


def say(text: str) -> None:
    """Print what people and clouds wrote, without what would steer the terminal: it could hide what is asked."""
    print(printable(text))


def printable(text: str) -> str:
    """Return `text` with everything that would steer a terminal replaced."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def what_to_type(state: State) -> tuple[str, str]:
    """Return what is typed to confirm, and its name: the job's id, or the firmware's where it is about several jobs."""
    order = state.order
    several = state.preview is not None and bool(state.preview.others)
    if several and isinstance(order, CancelDevices) and order.firmware:
        return order.firmware, "firmware's"
    return (state.plan.job if state.plan else ""), "job's"


def show(state: State) -> None:
    """Print what would be cancelled, as the card has it."""
    if state.preview is None or state.plan is None:
        return
    say(f"#{state.id} on {state.account}: {job_line(state.preview)}")
    hit = f"{', '.join(state.plan.statuses)}: {now_at_most(state.size, state.plan.at_most)}"
    also = f" ({hit})" if state.plan.statuses else ""
    say(f"  would cancel   {target(state.order) + also if isinstance(state.order, CancelStrategy) else hit}")
    say(f"  all its tasks  {counts_line(state.preview)}")
    if state.preview.reading.named is not None:
        say(f"  those named    {named_line(state.preview.reading.named)}")
    for warning in warnings(state.order, state.preview, state.plan):
        say(f"  mind           {warning}")
    if state.needs:
        say(f"  approval       needs {approvals(state.needs)}: {'; '.join(state.reasons)}")
    calls = f"{state.plan.calls:,} calls, " if state.plan.calls > 1 else ""
    say(f"  operation      {state.plan.operation}, {calls}about {seconds(state.estimate or 1)}")
    say(f"  why            {on_one_line(state.order.reason or 'no reason given')}")
    say(f"  plan           {(state.digest or '')[:12]}")


def finished(state: State, names: Names, story: Iterable[Event]) -> None:
    """Print how it ended, with the devices that were not cancelled and why; `story` is the events of `state`."""
    run = state.run
    say(f"#{state.id}: {state.phase.value}.{f' {on_one_line(state.why)}' if state.why else ''}")
    if run is None:
        return
    for line in _not_cancelled(leftovers(state, names, story)):
        say(f"  {line}")
    for call, attempt in sorted(run.attempts.items()):
        say(f"  call {call}: {attempt.code} {on_one_line(attempt.message)} {advice(attempt.code)}".rstrip())
    confirmed = "not seen yet" if run.confirmed is None else number(run.confirmed)
    moved = f", moved on before their call {number(run.moved_on)}" if run.moved_on else ""
    say(f"  asked {number(run.asked)}, accepted {number(run.accepted)}")
    say(f"  confirmed {confirmed}, left {number(run.left)}{moved}")


def _not_cancelled(rows: Iterable[Leftover]) -> list[str]:
    """Return a line for each device, for the first FEW of each reason, and how many more there are for it."""
    told, lines = Counter[str](), list[str]()
    for row in rows:
        told[row.why] += 1
        if told[row.why] <= FEW:
            call = f"call {row.call}, " if row.call is not None else ""
            lines.append(f"not cancelled: {row.device} ({call}{row.why})")
    more = [f"not cancelled: {number(count - FEW)} more ({why})" for why, count in told.items() if count > FEW]
    return lines + more
