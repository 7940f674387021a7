"""A ledger with something in every view: a second person, a broken glass, refusals, a stop, an answer that was lost."""

from dataclasses import replace
from typing import Final

from bot.domain import approval as voting
from bot.domain import decisions
from bot.domain.account import Account, Approval
from bot.domain.decisions import Decision
from bot.domain.events import NewEvent
from bot.domain.guard import guard
from bot.domain.order import Cancel, CancelStrategy
from bot.ledger.ledger import Ledger
from tests import builders as made
from tests.cli.large import LARGE_ONE, decide

PUMPS: Final = made.account(name="pumps")
METERS: Final = made.account(name="meters-eu", quota="meters-eu")
RULES: Final = made.account(approval=replace(made.STRICT, break_glass=(made.BOB,)))
LOST: Final = replace(made.UNKNOWN, code="NoAnswer", message="no answer within 8 seconds")


def asks(reason: str, *, order: Cancel = made.ORDER, who: str = made.ANN, on: Account = PUMPS) -> NewEvent:
    """Return the event of somebody who asks."""
    return decisions.requested(who, replace(order, reason=reason), on, channel="C0OPS", via="slack")


LIVES: Final[tuple[tuple[NewEvent, tuple[Decision, ...]], ...]] = (
    (asks("1.4.2 bricks pumps in the cold"), (*made.TAKEN, made.verify(), made.finish())),
    (asks("5.2.0 drains batteries", order=made.DEVICES), LARGE_ONE),
    (
        asks("leaks into the plant", who=made.BOB, on=METERS),
        (
            *made.WAITING,
            made.confirm(made.BOB, approval=made.STRICT),
            made.break_glass(made.BOB, on=RULES, reason="water in the plant, no lead answers"),
            made.start(on=RULES),
            made.send(),
            made.record(),
            made.verify(),
            made.finish(),
        ),
    ),
    (asks("wrong batch?"), (*made.ASKING, made.reject(reason="1.4.2 is the good one"))),
    (
        asks("stop the night batch", order=CancelStrategy(job="J1"), on=METERS),
        (made.void("the job has no dynamic batch"),),
    ),
    (asks("2.1 fails its check"), (*made.RUNNING, made.send(), made.stop(), made.record(), made.finish())),
    (
        asks("2.1 fails its check, again"),
        (*made.RUNNING, made.send(), made.record(LOST), made.record(by="read"), made.verify(), made.finish()),
    ),
    (asks("recalled by the vendor"), (*made.RUNNING, made.send())),
    (asks("as the vendor says"), made.WAITING),
)


def fill(ledger: Ledger, clock: made.Clock) -> None:
    """Put a week of cancellations into a ledger, and what belongs to none."""
    ledger.keep_guards("bot", {"pumps": guard(PUMPS), "meters-eu": guard(METERS)})
    for opening, ways in LIVES:
        clock.turn(17 * 3600)
        number = ledger.order(opening, names=made.NAMES if ways is LARGE_ONE else ()).id
        for way in ways:
            clock.turn(301 if way is voting.remind else 9)
            decide(ledger, number, way)
    ledger.append(decisions.refused("U0EVE", "you are a guest of this workspace", what="order", evidence={}))
    ledger.append(decisions.refused(made.BOB, "you may not approve on pumps", what="approve", evidence={}))
    lax = guard(replace(PUMPS, approval=Approval(above=10_000)))
    ledger.keep_guards("cli:eve", {"pumps": lax, "meters-eu": guard(METERS)})
    ledger.checkpoint()
