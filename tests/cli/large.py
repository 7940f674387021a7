"""A ledger with the cancellations that an auditor reads: a large one with a second person, and small ones beside it."""

from dataclasses import replace
from typing import Any, Final

from bot.domain import approval as voting
from bot.domain import running
from bot.domain.account import Account, Approval
from bot.domain.call import Answer, Outcome
from bot.domain.decisions import Decision, Refusal
from bot.ledger.ledger import Ledger
from bot.slack.audit_views import AUDITED, audit_line
from tests.builders import (
    ANN,
    BOB,
    DEVICES,
    MOVED,
    NAMES,
    STRICT,
    TAKEN,
    THROTTLED,
    WAITING,
    Clock,
    account,
    answered,
    break_glass,
    confirm,
    finish,
    named,
    requested,
    send_rest,
    show_names,
    split,
    verify,
)

LEA: Final = "U0LEA"
GUARDED: Final[Account] = account(approval=Approval(above=100), approvers=("S0LEADS",))
"""An account on which 450 devices need a second person."""
WHY: Final = "bad 2.1 image, see <http://wiki/[red]INC-7|INC-7>"
TAKES: Final = Answer(outcome=Outcome.DONE, request_id="5A1F0C64-3B7E-4E51-9E0D-9C1D2A7E0B11")


def seen_in(*groups: str, person: str = ANN) -> dict[str, Any]:
    """Return what the directory saw of somebody."""
    return {"person": person, "groups": list(groups), "team": "T1", "flags": [], "at": "2026-01-02T03:04:05.000000Z"}


def confirmed() -> Decision:
    """Confirm as somebody on call."""
    return lambda state, now: voting.confirm(
        state, now, actor=ANN, account=GUARDED, ran_alone=0, evidence=seen_in("S0ONCALL")
    )


def approved() -> Decision:
    """Approve as one of the leads."""
    return lambda state, now: voting.approve(
        state, now, actor=LEA, account=GUARDED, evidence=seen_in("S0LEADS", person=LEA)
    )


def begun() -> Decision:
    """Start, with everybody looked up once more."""
    evidence = {**seen_in("S0ONCALL"), "approvers": {LEA: seen_in("S0LEADS", person=LEA)}}
    return lambda state, now: running.start(state, now, reading=named(at=now), account=GUARDED, evidence=evidence)


LARGE_ONE: Final[tuple[Decision, ...]] = (
    show_names(on=GUARDED),
    confirmed(),
    voting.remind,
    approved(),
    begun(),
    send_rest(1),
    answered(1, THROTTLED),
    send_rest(1),
    answered(1, TAKES),
    send_rest(2),
    answered(2, MOVED),
    split(2, moved=198),
    send_rest(3),
    answered(3, TAKES),
    send_rest(4),
    answered(4, TAKES),
    send_rest(5),
    answered(5, replace(MOVED, code="iot.ota.TaskNotExist", message="=the task is gone", request_id="R5")),
    lambda state, now: running.verify(state, now, reading=named(1, canceled=251, at=now)),
    finish(),
)
"""450 devices in three calls: one throttled and sent again, one refused and split, the last device of it refused."""


def fill(ledger: Ledger, clock: Clock, *, why: str = WHY) -> None:
    """Put three cancellations into a ledger: by job, by 450 devices, and one that broke the glass."""
    small = ledger.order(requested(reason="night window")).id
    decide(ledger, small, *TAKEN, verify(), finish())
    clock.turn(3600)
    large = ledger.order(requested(order=replace(DEVICES, reason=why)), names=NAMES).id
    for decision in LARGE_ONE:
        clock.turn(301 if decision is voting.remind else 7)
        decide(ledger, large, decision)
    clock.turn(24 * 3600)
    glass = ledger.order(requested(actor=BOB, reason="pumps\n#3 Done")).id
    rules = account(approval=replace(STRICT, break_glass=(BOB,)))
    decide(ledger, glass, *WAITING, confirm(BOB, approval=STRICT), break_glass(BOB, on=rules, reason="they\nburn"))


def channel(ledger: Ledger) -> list[dict[str, Any]]:
    """Return what the audit channel was told of a ledger, as an export has it, after somebody's talk."""
    told: list[dict[str, Any]] = [{"type": "message", "user": "U0EVE", "text": "event 1 000000000000", "ts": "1.0"}]
    for event in ledger.events(after=0):
        state = ledger.state(event.cancellation) if event.cancellation else None
        text = audit_line(event, state, event.actor) if event.kind in AUDITED else None
        if text is not None:
            told.append({"type": "message", "bot_id": "B1", "text": text, "ts": f"{event.at.timestamp() + 1:.6f}"})
    return told


def decide(ledger: Ledger, cancellation: int, *decisions: Decision) -> None:
    """Make decisions that must not be refused."""
    for decision in decisions:
        made = ledger.decide(cancellation, decision)
        if isinstance(made, Refusal):
            raise AssertionError(made.reason)  # noqa: TRY004 - the test went wrong, not a type
