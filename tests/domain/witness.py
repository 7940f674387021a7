"""A witness of what may happen to a cancellation: it reads the events alone, and shares no rule with the bot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from bot.domain.account import Account
from bot.domain.events import Event

AFTER_THE_END: Final = frozenset({"verified", "retried", "refused"})
"""What may still be told of a cancellation that has ended."""
MOST_SENDINGS: Final = 5
SENT_WITHIN: Final = timedelta(minutes=5)
BOUNDLESS: Final = 10**9
"""What an unknown size is taken for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the bot was told of its surroundings when an event was recorded."""

    accounts: Mapping[str, Account]
    unfit: frozenset[str]
    """Who may do nothing at all: guests, and those who have left."""


@dataclass(slots=True)
class Sending:
    """What is known of one call."""

    first: datetime
    attempt: int = 1
    outcome: str | None = None


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the witness remembers of one cancellation."""

    requester: str
    account: str
    quota: str
    order: Mapping[str, Any]
    via: str
    until: datetime
    """When the present wait ends."""
    held: bool = False
    planned: World | None = None
    digest: str = ""
    most: int | None = None
    alone_before: int = 0
    """What the requester had run alone in the window when they confirmed."""
    confirmed: datetime | None = None
    alone: bool = False
    needs: int = 0
    words: frozenset[str] = frozenset()
    """For which of its words somebody else is always needed, as it was confirmed."""
    votes: list[str] = field(default_factory=list)
    broke_glass: datetime | None = None
    ready: bool = False
    started: bool = False
    stopped: bool = False
    ended: str = ""
    ended_at: datetime | None = None
    calls: dict[int, Sending] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)


class Witness:
    """Hears each event once, in order, with the world of that moment; raises AssertionError at what must not be."""

    def __init__(self) -> None:
        self.lives: dict[int, Heard] = {}
        self.last = 0
        self._at: datetime | None = None

    def hear(self, event: Event, world: World) -> None:
        """Take an event."""
        assert self.last + 1 == event.id
        assert self._at is None or self._at <= event.at
        self.last, self._at = event.id, event.at
        if event.cancellation is None:
            return
        if event.kind == "requested":
            assert event.cancellation not in self.lives
            self.lives[event.cancellation] = _opened(event)
            return
        life = self.lives[event.cancellation]
        assert not life.ended or event.kind in AFTER_THE_END, f"{event.kind} after {life.ended}"
        hears = getattr(self, f"_{event.kind}", None)
        if hears is not None:
            hears(life, event, world)
        if life.ended and life.ended_at is None:
            life.ended_at = event.at

    # --- up to the start -------------------------------------------------------------------------------------------

    def _held(self, life: Heard, _event: Event, _world: World) -> None:
        life.held = True

    def _ordered_anyway(self, life: Heard, event: Event, _world: World) -> None:
        assert life.requester == event.actor
        assert event.at < life.until
        life.held = False

    def _previewed(self, life: Heard, event: Event, world: World) -> None:
        body, rules = event.body, world.accounts[life.account].approval
        assert (None, False) == (life.planned, life.held)
        text = json.dumps(body["plan"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(text.encode()).hexdigest() == body["digest"]
        life.planned, life.digest = world, body["digest"]
        life.most = 0 if _bare_strategy(life) else _size(body["preview"]["reading"])
        assert life.most == body["plan"]["at_most"]
        life.until = event.at + rules.expires

    def _confirmed(self, life: Heard, event: Event, world: World) -> None:
        rules = world.accounts[life.account].approval
        assert life.confirmed is None
        assert (life.requester, life.digest) == (event.actor, event.body["plan"])
        assert event.at < life.until
        assert _may(life.requester, world, world.accounts[life.account].requesters)
        assert _in_its_place(life, world)
        life.words = _words(life, world)
        life.alone_before = self._ran_alone(life, since=event.at - rules.window)
        life.confirmed, life.needs = event.at, _needs(life, world)
        assert (life.alone_before, life.needs) == (event.body["ran_alone"], event.body["needs"])
        life.alone, life.until = life.needs == 0, event.at + rules.expires
        if life.alone:
            _get_ready(life, event, world)

    def _approved(self, life: Heard, event: Event, world: World) -> None:
        _must_be_asked(life, event, world)
        assert event.actor not in {life.requester, *life.votes}
        assert "slack" == life.via
        assert _may(event.actor, world, world.accounts[life.account].approvers)
        life.votes.append(event.actor)
        life.needs = max(life.needs, _needs(life, world))
        if len(life.votes) >= life.needs:
            _get_ready(life, event, world)

    def _broke_glass(self, life: Heard, event: Event, world: World) -> None:
        _must_be_asked(life, event, world)
        assert life.requester == event.actor
        assert event.actor in world.accounts[life.account].approval.break_glass
        assert _may(event.actor, world, world.accounts[life.account].requesters)
        assert event.body["reason"]
        life.broke_glass = event.at
        _get_ready(life, event, world)

    def _started(self, life: Heard, event: Event, world: World) -> None:
        account = world.accounts[life.account]
        assert (True, False) == (life.ready, life.started)
        assert life.digest == event.body["plan"]
        assert event.at < life.until
        assert _in_its_place(life, world)
        assert _words(life, world) <= life.words
        assert _may(life.requester, world, account.requesters)
        assert all(_may(vote, world, account.approvers) for vote in life.votes)
        if life.broke_glass is not None:
            assert life.requester in account.approval.break_glass
        else:
            assert len(life.votes) >= max(life.needs, _needs(life, world))
        asked = 0 if _bare_strategy(life) else _size(event.body["reading"])
        assert life.most is None or (asked is not None and asked <= life.most)
        life.started = True

    def _ran_alone(self, of: Heard, *, since: datetime) -> int:
        """Sum what a requester runs alone on a quota, or ran until after `since`; not what ended with nothing sent."""
        return sum(_alone(life, since=since) for life in self.lives.values() if life is not of and _same(life, of))

    # --- the run ---------------------------------------------------------------------------------------------------

    def _stopped(self, life: Heard, event: Event, world: World) -> None:
        account = world.accounts[life.account]
        assert life.ready
        assert not life.stopped
        assert _may(event.actor, world, account.requesters + account.approvers)
        life.stopped = True

    def _call_sent(self, life: Heard, event: Event, _world: World) -> None:
        assert (True, False) == (life.started, life.stopped)
        call, attempt = event.body["call"], event.body["attempt"]
        before = life.calls.get(call)
        if before is None:
            assert 1 == attempt
            life.calls[call] = Sending(first=event.at)
            return
        assert before.outcome in {"failed", "unknown"}
        assert before.attempt + 1 == attempt <= MOST_SENDINGS
        assert event.at - before.first < SENT_WITHIN
        before.attempt, before.outcome = attempt, None

    def _call_finished(self, life: Heard, event: Event, _world: World) -> None:
        sent = life.calls[event.body["call"]]
        assert sent.attempt == event.body["attempt"]
        assert "done" != sent.outcome
        assert sent.outcome is None or "read" == event.body["by"]
        sent.outcome = event.body["outcome"]

    def _finished(self, life: Heard, event: Event, _world: World) -> None:
        assert life.started or life.stopped
        assert [] == [call for call, sent in life.calls.items() if sent.outcome is None]
        life.ended = event.kind

    # --- the other ends --------------------------------------------------------------------------------------------

    def _rejected(self, life: Heard, event: Event, world: World) -> None:
        _must_be_asked(life, event, world)
        assert life.requester != event.actor
        assert event.body["reason"]
        assert _may(event.actor, world, world.accounts[life.account].approvers)
        life.ended = event.kind

    def _withdrawn(self, life: Heard, event: Event, _world: World) -> None:
        assert (life.requester, False) == (event.actor, life.ready)
        assert event.at < life.until
        life.ended = event.kind

    def _expired(self, life: Heard, event: Event, _world: World) -> None:
        assert not life.ready
        assert event.at >= life.until
        life.ended = event.kind

    def _voided(self, life: Heard, event: Event, _world: World) -> None:
        assert not life.started
        life.ended = event.kind

    def _refused(self, life: Heard, event: Event, _world: World) -> None:
        if event.body["what"] == "order":
            assert life.planned is None
            life.ended = event.kind


def _opened(event: Event) -> Heard:
    body = event.body
    return Heard(
        requester=event.actor,
        account=body["account"],
        quota=body["quota"],
        order=body["order"],
        via=body["via"],
        until=event.at + timedelta(seconds=body["expires"]),
    )


def _may(who: str, world: World, listed: tuple[str, ...]) -> bool:
    return who in listed and who not in world.unfit


def _must_be_asked(life: Heard, event: Event, world: World) -> None:
    """Hold that somebody else's word is asked for, in time, and given to exactly what was confirmed."""
    assert life.confirmed is not None
    assert not life.ready
    assert event.at < life.until
    assert life.digest == event.body["plan"]
    if event.kind != "rejected":
        assert _in_its_place(life, world)


def _in_its_place(life: Heard, world: World) -> bool:
    """Tell whether the account is still the endpoint and key that were planned for."""
    if life.planned is None:
        return False
    then, now = life.planned.accounts[life.account], world.accounts[life.account]
    return (then.endpoint, then.key_id.reveal()) == (now.endpoint, now.key_id.reveal())


def _get_ready(life: Heard, event: Event, world: World) -> None:
    life.ready = True
    life.until = event.at + world.accounts[life.account].approval.run_within


def _needs(life: Heard, world: World) -> int:
    """Return how many other people have to agree by the rules of the moment."""
    rules = world.accounts[life.account].approval
    large = life.most is None or life.most > rules.above or life.most + life.alone_before > rules.above
    return rules.people if large or _words(life, world) else 0


def _words(life: Heard, world: World) -> frozenset[str]:
    """Return the words for which somebody else is always needed; devices are all seen to be `queued`."""
    if life.order["verb"] == "devices":
        words = {"queued"}
    else:
        words = {*life.order["statuses"], *(["strategy"] if life.order["verb"] == "strategy" else [])}
    return frozenset(words & {*world.accounts[life.account].approval.always})


def _same(one: Heard, other: Heard) -> bool:
    return one.requester == other.requester and (one.quota == other.quota or one.account == other.account)


def _alone(life: Heard, *, since: datetime) -> int:
    alone = life.broke_glass is not None or (life.confirmed is not None and life.alone)
    over = life.ended_at is not None and (life.ended_at <= since or not life.calls)
    if not alone or over:
        return 0
    return BOUNDLESS if life.most is None else life.most


def _bare_strategy(life: Heard) -> bool:
    return life.order["verb"] == "strategy" and not life.order["statuses"]


def _size(reading: Mapping[str, Any]) -> int | None:
    """Return the tasks that a reading shows: in this model all of them are `queued`."""
    counts: Mapping[str, int | None] = (reading["named"] or reading)["counts"]
    return counts["queued"]
