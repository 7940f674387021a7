"""What holds over the whole chain: numbers without gaps, what somebody ran alone, guards, checkpoints. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bot.domain.approval import BOUNDLESS
from bot.domain.events import BOT, KINDS, Kind

LEEWAY: Final = timedelta(seconds=2)
"""How near to a window's beginning an end may lie to count or not: it was summed a moment before its event's time."""
_ENDS: Final = frozenset({Kind.FINISHED, Kind.WITHDRAWN, Kind.REJECTED, Kind.EXPIRED, Kind.VOIDED})
_HEAD: Final = re.compile("[0-9a-f]{64}")
_OF_THE_LEDGER: Final = frozenset({Kind.REFUSED, Kind.GUARD_CHANGED, Kind.CHECKPOINT, Kind.CONTINUED})
"""Kinds that may belong to no cancellation."""
_GROUNDED: Final = frozenset({Kind.CONFIRMED, Kind.APPROVED, Kind.REJECTED, Kind.BROKE_GLASS, Kind.STARTED})
"""Kinds that say who somebody was, and what the rules were."""
Rules = dict[str, list[tuple[int, dict[str, Any]]]]
"""Of each account the different rules that its events name, each with the first event that does."""
_Hear = Callable[[Mapping[str, Any], Mapping[str, Any], datetime], str | None]


@dataclass(slots=True, kw_only=True)
class _Own:
    """What one cancellation adds to its requester's window."""

    requester: str
    account: str
    quota: str
    most: int = 0
    """The most devices it may hit."""
    alone: bool = False
    sent: bool = False
    ended: datetime | None = None

    def counts(self, other: "_Own", since: datetime) -> bool:
        """Tell whether this counts in the window of `other`, which begins at `since`."""
        there = self is not other and self.alone and (self.ended is None or self.ended > since)
        return there and (self.quota == other.quota or self.account == other.account)


class Course:
    """Hears every event of a ledger once, in order, and says what cannot be.

    It remembers what is open, and what ended within the longest window: its memory does not grow with the ledger.
    """

    def __init__(self) -> None:
        self.continues: tuple[int, str] | None = None
        """The last event and the head of the ledger that this one goes on from."""
        self.unknown = 0
        """Events of kinds that this version does not know."""
        self._last = 0
        self._named = False
        """Whether decisions have begun to say of whom their evidence is."""
        self._following: tuple[str, int, str, int] | None = None
        """What the next event has to be: the order that was announced, by whom, and for the rest of which."""
        self.rules: Rules = {}
        self._own: dict[int, _Own] = {}
        self._by_requester: dict[str, list[_Own]] = {}
        self._longest = timedelta()
        self._guards: dict[str, Any] = {}
        self._hears: Final[Mapping[str, _Hear]] = {
            Kind.REQUESTED: self._requested,
            Kind.REFUSED: self._refused,
            Kind.PREVIEWED: self._previewed,
            Kind.CONFIRMED: self._confirmed,
            Kind.BROKE_GLASS: self._broke_glass,
            Kind.APPROVED: self._ruled,
            Kind.REJECTED: self._ruled,
            Kind.STARTED: self._ruled,
            Kind.RETRIED: self._retried,
            Kind.HELD: self._held,
            Kind.GUARD_CHANGED: self._guard_changed,
            **dict.fromkeys(_ENDS, self._ended),
        }

    def hear(self, row: Mapping[str, Any], body: Mapping[str, Any], previous: str, at: datetime) -> str | None:
        """Return what cannot be about an event, or `None`; `previous` is the digest of the event before it.

        What is not in the order in which things happen to one cancellation is left to its replay.
        """
        kind = row["kind"]
        if wrong := self._out_of_place(row, body):
            return wrong
        if kind == Kind.CALL_SENT:
            if own := self._own.get(row["cancellation"]):
                own.sent = True
        elif kind == Kind.CHECKPOINT:
            told = (row["actor"], body["events"], body["head"])
            return None if told == (BOT, row["id"] - 1, previous) else "it does not say where the chain stood before it"
        elif kind == Kind.CONTINUED:
            return self._continued(row, body)
        elif kind in self._hears:
            return self._hears[kind](row, body, at)
        elif kind not in KINDS:
            self.unknown += 1
        return None

    def _out_of_place(self, row: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
        """Say why an event of any kind cannot stand here, or nothing."""
        kind, number, following = row["kind"], row["cancellation"], self._following
        self._following = None
        if "v" not in body:
            return "its body does not say of which version it is"
        if number is None and kind in KINDS and kind not in _OF_THE_LEDGER:
            return f"{kind} belongs to no cancellation"
        if following is not None and following != (kind, number, row["actor"], body.get("retry_of")):
            return f"#{following[1]} was to be opened here, as what #{following[3]} left over"
        if kind == Kind.REQUESTED and following is None and body.get("retry_of") is not None:
            return f"it was opened for what #{body['retry_of']} left over, which does not say so"
        return self._ungrounded(kind, body) if kind in _GROUNDED else None

    def _ungrounded(self, kind: str, body: Mapping[str, Any]) -> str | None:
        """Say what a decision lacks that those before it have; older versions never wrote it."""
        named = "person" in body["evidence"] and "requesters" in body.get("policy", {})
        if self._named and not named:
            return f"{kind} does not say of whom its evidence is, or what the rules were"
        self._named = named
        return None

    def _continued(self, row: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
        if row["id"] != 1:
            return "only a ledger's first event may say what it goes on from"
        if _HEAD.fullmatch(body["head"]) is None:
            return "it names no digest"
        self.continues, self._last = (int(body["events"]), body["head"]), int(body["cancellations"])
        return None

    def _requested(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        number = row["cancellation"]
        if number != self._last + 1:
            return f"#{number} was opened, and the next one was #{self._last + 1}"
        self._last = number
        self._own[number] = _Own(requester=row["actor"], account=body["account"], quota=body["quota"])
        self._rule(row["id"], body["account"], {"quota": body["quota"], "expires": body["expires"]})
        return None

    def _retried(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        if body["as"] is None:
            return None if row["actor"] == BOT else "only the bot says that an order came to nothing"
        self._following = (Kind.REQUESTED.value, body["as"], row["actor"], row["cancellation"])
        return None

    def _held(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        earlier = 1 <= body["like"] < row["cancellation"]
        return None if earlier else f"it was held as a repeat of #{body['like']}, which was not ordered before it"

    def _ruled(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        if (own := self._own.get(row["cancellation"])) and "policy" in body:
            self._rule(row["id"], own.account, body["policy"])
        return None

    def _rule(self, event: int, account: str, rule: dict[str, Any]) -> None:
        known = self.rules.setdefault(account, [])
        # What older versions wrote is older than the guards that are kept.
        if self._named and all(rule != one for _, one in known):
            known.append((event, rule))

    def _refused(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        if body.get("what") == "order":
            self._own.pop(row["cancellation"], None)
        return None

    def _previewed(self, row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        if own := self._own.get(row["cancellation"]):
            most = body["plan"]["at_most"]
            own.most = BOUNDLESS if most is None else most
        return None

    def _confirmed(self, row: Mapping[str, Any], body: Mapping[str, Any], at: datetime) -> str | None:
        own, window = self._own.get(row["cancellation"]), timedelta(seconds=body["policy"]["window"])
        if own is None:
            return None
        self._rule(row["id"], own.account, body["policy"])
        self._longest = max(self._longest, window)
        others = self._lately(own.requester, at)
        since = at - window + LEEWAY
        before, told = sum(other.most for other in others if other.counts(own, since)), body.get("ran_alone", 0)
        if told < before:
            return f"{own.requester} had run {before} devices alone in the window, and it says {told}"
        if not body.get("needs"):
            self._run_alone(own)
        return None

    def _broke_glass(self, row: Mapping[str, Any], body: Mapping[str, Any], at: datetime) -> str | None:
        if own := self._own.get(row["cancellation"]):
            self._run_alone(own)
        return self._ruled(row, body, at)

    def _run_alone(self, own: _Own) -> None:
        own.alone = True
        self._by_requester.setdefault(own.requester, []).append(own)

    def _lately(self, requester: str, at: datetime) -> list[_Own]:
        """Return what the requester ran alone and may still count, and forget the rest."""
        oldest = at - self._longest
        kept = [own for own in self._by_requester.get(requester, ()) if own.ended is None or own.ended > oldest]
        if kept:
            self._by_requester[requester] = kept
        else:
            self._by_requester.pop(requester, None)
        return kept

    def _ended(self, row: Mapping[str, Any], _body: Mapping[str, Any], at: datetime) -> str | None:
        if own := self._own.pop(row["cancellation"], None):
            own.ended = at
            # What ended with nothing sent is given back.
            own.alone = own.alone and own.sent
        return None

    def _guard_changed(self, _row: Mapping[str, Any], body: Mapping[str, Any], _at: datetime) -> str | None:
        account = body["account"]
        if account in self._guards and self._guards[account] != body["before"]:
            return f"the guard of {account} was another one before it"
        self._guards[account] = body["after"]
        return None
