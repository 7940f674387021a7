"""What the person at the terminal is shown of a cancellation: the plan before, and what came of it."""

from bot.domain.advice import advice
from bot.domain.cancellation import State
from bot.domain.leftover import Names, untaken
from bot.domain.order import CancelDevices, CancelStrategy
from bot.domain.wording import counts_line, job_line, named_line, now_at_most, number, seconds, target, warnings


class TerminalReporter:
    """Tells the person at this terminal."""

    def tell(self, state: State, text: str) -> None:
        """Print it."""
        say(f"#{state.id}: {text}")


def say(text: str) -> None:
    """Print what people and clouds wrote, without what would steer the terminal: it could hide what is asked."""
    print("".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text))


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
    calls = f"{state.plan.calls:,} calls, " if state.plan.calls > 1 else ""
    say(f"  operation      {state.plan.operation}, {calls}about {seconds(state.estimate or 1)}")
    say(f"  why            {state.order.reason or 'no reason given'}")
    say(f"  plan           {(state.digest or '')[:12]}")


def finished(state: State, names: Names) -> None:
    """Print how it ended; every device that was sent or was to be sent without success has a line of its own."""
    run = state.run
    say(f"#{state.id}: {state.phase.value}.{f' {state.why}' if state.why else ''}")
    if run is None:
        return
    for left in untaken(state, names):
        say(f"  not cancelled: {left.device} (call {left.call}, {left.why})")
    for call, attempt in sorted(run.attempts.items()):
        say(f"  call {call}: {attempt.code} {attempt.message} {advice(attempt.code)}".rstrip())
    confirmed = "not seen yet" if run.confirmed is None else number(run.confirmed)
    say(f"  asked {number(run.asked)}, accepted {number(run.accepted)}")
    say(f"  confirmed {confirmed}, left {number(run.left)}")
