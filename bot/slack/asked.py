"""Whom a card's events ask or tell, in its thread and directly: approvers, and whoever asked for it. Pure.

Edits ring no phone, so that each change that needs or informs somebody is a new message that mentions exactly them.
Who did it is mentioned directly alone, where that rings nobody; the thread names them without ringing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot.domain.approval import TERMINAL
from bot.domain.cancellation import Phase, State
from bot.domain.events import Event, Kind
from bot.domain.wording import size_line, target
from bot.slack.escape import mention, safe
from bot.slack.message import Message, when

MOST_MENTIONED: Final = 20
"""People who are mentioned one by one; of more, their groups are."""
MOST_DIRECT: Final = 50
"""People who are written to directly."""
ASKING: Final = frozenset({Kind.CONFIRMED, Kind.REMINDED, Kind.BROKE_GLASS})
"""The kinds of events that approvers hear of."""

TELLING: Final = frozenset({Kind.APPROVED, Kind.REJECTED, Kind.EXPIRED, Kind.VOIDED})
"""The kinds of events that whoever asked for it hears of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """Who may approve, as Slack says now: single people, and the names in the configuration that stand for them."""

    people: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    all: bool = True
    """Whether these are all people; where Slack does not tell, those are missing who are listed by their group."""

    def besides(self, state: State) -> tuple[str, ...]:
        """Return those whose answer is missing."""
        return _unanswered(self.people, state)

    def mentioned(self, state: State) -> str:
        """Mention those whose answer is missing; where they are too many, or not known, as they are listed."""
        people = self.besides(state)
        few = (
            people if self.all and 0 < len(people) <= MOST_MENTIONED else _groups_first(_unanswered(self.listed, state))
        )
        return " ".join(mention(name) for name in few[:MOST_MENTIONED])


def _unanswered(names: tuple[str, ...], state: State) -> tuple[str, ...]:
    answered = {state.requester, *(vote.actor for vote in state.votes)}
    return tuple(name for name in names if name not in answered)


def _groups_first(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: not name.startswith("S")))


def asks(event: Event, state: State) -> bool:
    """Tell whether an event is for approvers to hear of, so that it has to be known who they are."""
    return event.kind in ASKING and bool(state.needs) and not _needless(event, state)


def calls(event: Event, state: State) -> bool:
    """Tell whether an event has anybody written to directly."""
    return asks(event, state) or (bool(state.needs) and event.kind in TELLING)


def thread_reply(event: Event, state: State, approvers: Approvers, by: str | None = None) -> Message | None:
    """Return what an event of the approval adds to the card's thread, or `None`; `by` is what its actor is called."""
    maker = _REPLIES.get(event.kind)
    return maker(event, state, approvers, safe(by or event.actor, 100)) if maker and state.needs else None


def direct(event: Event, state: State, approvers: Approvers, link: str) -> tuple[tuple[str, Message | None], ...]:
    """Return the direct messages that an event brings: to whom, and what. `link` leads to the card.

    An approver who has answered by now keeps their place with nothing: what is told part by part must not shift.
    """
    if not state.needs:
        return ()
    if event.kind in ASKING:
        if _needless(event, state):
            return ()
        asked_for = "" if event.kind == Kind.BROKE_GLASS else f", asked for by {mention(state.requester)}"
        text = f"{_asked(event, state, mention(state.requester), asked_for)} {link}".rstrip()
        others, missing = [one for one in approvers.people if one != state.requester], approvers.besides(state)
        return tuple((one, Message(text=text) if one in missing else None) for one in others[:MOST_DIRECT])
    told = _told(event, state, by=mention(event.actor))
    if told is None or not state.requester.startswith(("U", "W")):
        return ()
    return ((state.requester, Message(text=f"{told} {link}".rstrip())),)


def _asked(event: Event, state: State, by: str, whose: str) -> str:
    """Say to approvers what they are asked, and `whose` order it is; or that it went on without them, and `by` whom."""
    size = f" ({size_line(state.size, state.plan)})" if state.plan else ""
    what = f"{_what(state)}{size}"
    if event.kind == Kind.BROKE_GLASS:
        why = safe(str(event.body["reason"]).rstrip("."), 600)
        return f"{by} broke the glass on #{state.id} and went on without you: {what}. Why: {why}."
    waits = "still waits" if event.kind == Kind.REMINDED else "waits"
    until = f" until {when(state.deadline)}" if state.deadline else ""
    why = safe((state.order.reason or "no reason was given").rstrip("."), 600)
    return f"#{state.id} {waits} for your approval{until}: {what}{whose}. Why: {why}."


def _told(event: Event, state: State, *, by: str) -> str | None:
    """Say what was decided to whoever asked for it, and `by` whom, or `None`."""
    if event.kind == Kind.APPROVED:
        voted = next((place for place, vote in enumerate(state.votes, 1) if vote.actor == event.actor), state.needs)
        missing = state.needs - voted
        more = "1 more approval" if missing == 1 else f"{missing} more approvals"
        comes = f"it still needs {more}" if missing > 0 else "it starts now"
        return f"#{state.id} is approved by {by}; {comes}: {_what(state)}."
    ends = {
        Kind.REJECTED: f"#{state.id} is rejected by {by}",
        Kind.EXPIRED: f"#{state.id} has expired",
        Kind.VOIDED: f"#{state.id} is void",
    }
    if event.kind not in ends:
        return None
    why = safe(str(event.body.get("reason") or "nobody answered in time").rstrip("."), 600)
    return f"{ends[Kind(event.kind)]}: {why}. Nothing was cancelled of {_what(state)}."


def _what(state: State) -> str:
    return f"{safe(target(state.order), 300)} on {safe(state.account, 100)}"


def _needless(event: Event, state: State) -> bool:
    """Tell whether nobody has to be called: what is asked has its answer, or is answered at a terminal alone."""
    if event.kind == Kind.BROKE_GLASS:
        return False
    return state.phase is not Phase.WAITING_APPROVAL or state.via == TERMINAL


def _asking(event: Event, state: State, approvers: Approvers, by: str) -> Message | None:
    if _needless(event, state):
        return None
    confirmed = f", confirmed by {by}" if event.kind == Kind.CONFIRMED else ""
    return Message(text=f"{approvers.mentioned(state)} {_asked(event, state, by, confirmed)}".lstrip())


def _telling(event: Event, state: State, _approvers: Approvers, by: str) -> Message | None:
    told = _told(event, state, by=by)
    return Message(text=f"{mention(state.requester)} {told}") if told else None


_REPLIES: Final[dict[str, Callable[[Event, State, Approvers, str], Message | None]]] = {
    Kind.CONFIRMED: _asking,
    Kind.REMINDED: _asking,
    Kind.BROKE_GLASS: _asking,
    Kind.APPROVED: _telling,
    Kind.REJECTED: _telling,
}
"""The ends by time and by drift have replies of their own, as they come without approval, too."""
