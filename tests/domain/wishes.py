"""What may come in the life of a cancellation: orders, presses, rules, sizes, and how a day ends."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from bot.domain.account import Approval
from bot.domain.cancellation import WAITING, Phase
from bot.domain.order import Cancel
from bot.domain.secret import Secret
from tests.builders import RAN
from tests.domain.town import ANN, ANSWERS, BOB, FINE, GUS, KIM, LEA, PEOPLE, PROD, UNREAD, an_order

AT: Final[dict[str, frozenset[Phase]]] = {
    "order_anyway": frozenset({Phase.CHECKING}),
    "confirm": frozenset({Phase.WAITING_CONFIRMATION}),
    "approve": frozenset({Phase.WAITING_APPROVAL}),
    "reject": frozenset({Phase.WAITING_APPROVAL}),
    "break_glass": frozenset({Phase.WAITING_APPROVAL}),
    "withdraw": WAITING,
    "stop": frozenset({Phase.APPROVED, Phase.RUNNING}),
}
"""Where each button is most often pressed; it is pressed elsewhere too."""
AT_WORK: Final = frozenset({Phase.CHECKING, Phase.APPROVED, Phase.RUNNING})
STARTED: Final = RAN | {Phase.RUNNING}
MOST: Final = 6
"""Cancellations in one ledger, but for those that are asked for again."""

WHICH: Final = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4))
SIZES: Final = st.sampled_from((40, 60, 3, 40, 60, 3, 100, 101, 5000, None, None, 0))
JOBS: Final = st.sampled_from(("J1", "J2", "J3", "J4"))
SORTS: Final = ("queued", "queued", "queued", "devices", "in progress", "strategy", "strategy and queued")
SCRIPTS: Final = st.lists(st.sampled_from((FINE, *ANSWERS, UNREAD, "15 s", "16 min", "stop", "killed")), max_size=5)
PRESSES: Final = st.tuples(
    st.sampled_from((*["confirm"] * 5, *["approve"] * 6, *["break_glass"] * 2, *AT)),
    WHICH,
    st.sampled_from((*[None] * 8, *PEOPLE, ANN, BOB)),
)
"""A button, a cancellation, and who presses: most often (`None`) whoever should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody orders, and how far it goes at once."""

    order: Cancel
    on: str
    who: str
    size: int | None
    terminal: bool
    steps: int


WISHES: Final = st.builds(
    Wish,
    order=st.builds(an_order, st.sampled_from(SORTS), JOBS),
    on=st.sampled_from(("prod", "prod", "cold", "test")),
    who=st.sampled_from((ANN, ANN, ANN, ANN, BOB, BOB, GUS)),
    size=SIZES,
    terminal=st.sampled_from((*[False] * 7, True)),
    steps=st.sampled_from((0, 1, 1, 1, 2, 2, 3, 4, 5)),
)
RULES: Final = st.builds(
    Approval,
    above=st.sampled_from((100, 50, 0)),
    always=st.sampled_from(((), ("in-progress",), ("strategy", "in-progress"))),
    people=st.sampled_from((1, 1, 1, 1, 2, 2, 3)),
    expires=st.sampled_from((timedelta(minutes=30), timedelta(minutes=10))),
    run_within=st.sampled_from((timedelta(minutes=15), timedelta(minutes=5))),
    break_glass=st.sampled_from(((ANN,), (), (ANN, BOB))),
)
APPROVERS: Final = st.sampled_from((PROD.approvers, PROD.approvers, (LEA, KIM), (ANN, BOB, LEA)))
NEXT: Final = 0
"""Stands for the call that is to be sent next."""
CALLS: Final = st.sampled_from((NEXT, NEXT, 1, 2, 3, 4))
SAID: Final = (None, *(answer for answer, _ in ANSWERS.values()))
"""What may be heard of a call: nothing, or an answer."""
PLACES: Final[tuple[dict[str, Any], ...]] = ({"endpoint": "https://elsewhere"}, {"key_id": Secret("other")}, {}, {}, {})
"""Where the account `prod` is: somewhere else, or where it was at first."""
CHANGES: Final = st.one_of(
    st.tuples(st.just("nothing"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from((1, 11, 60, 299, 300, 301, 599, 900, 1799, 3601))),
    st.tuples(st.just("wait until"), st.sampled_from((-1, 0, 1))),
    st.tuples(st.just("size"), st.sampled_from((None, 5000, 40, 3, 0))),
    st.tuples(st.just("rules"), st.tuples(RULES, APPROVERS)),
    st.tuples(st.just("place"), st.sampled_from(PLACES)),
    st.tuples(st.just("leave"), st.sampled_from((None, None, "requester", "approver", LEA, KIM))),
)
UNKNOWN: Final = "nobody is known"
DUSKS: Final = st.sampled_from((*ANSWERS, UNREAD, UNKNOWN))
Change = tuple[str, Any]
Press = tuple[str, int, str | None]
