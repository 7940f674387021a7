"""What holds over the whole chain, whatever each cancellation says of itself."""

from datetime import timedelta
from typing import Any

import pytest

from bot.domain.course import Course
from tests.builders import NOW


class Chain:
    """Tells a course one event after the other."""

    def __init__(self) -> None:
        self.course = Course()
        self.id = 0
        self.at = NOW

    def tell(self, kind: str, cancellation: int | None = None, actor: str = "bot", **body: Any) -> str | None:
        """Tell it of an event."""
        self.id += 1
        row = {"id": self.id, "cancellation": cancellation, "kind": kind, "actor": actor}
        return self.course.hear(row, {"v": 1, **body}, "ab" * 32, self.at)

    def order(self, number: int, *, most: int | None = 60, actor: str = "U0ANN", quota: str = "q") -> None:
        """Open a cancellation and show its plan."""
        assert self.tell("requested", number, actor, account=f"on {quota}", quota=quota, expires=1800) is None
        self.tell("previewed", number, plan={"at_most": most})

    def confirm(self, number: int, *, alone: int, needs: int = 0, window: int = 3600) -> str | None:
        """Confirm it."""
        return self.tell("confirmed", number, ran_alone=alone, needs=needs, policy={"window": window}, evidence={})


@pytest.fixture
def chain() -> Chain:
    """Return a chain with one cancellation of 60 devices that runs alone."""
    made = Chain()
    made.order(1)
    assert made.confirm(1, alone=0) is None
    made.tell("call_sent", 1)
    made.order(2)
    return made


def test_what_runs_alone_is_counted(chain: Chain) -> None:
    """A confirmation that says less than its requester had run alone is named, and one that says so is not."""
    assert "U0ANN had run 60 devices alone in the window, and it says 59" == chain.confirm(2, alone=59)
    assert chain.confirm(2, alone=60) is None


def test_what_ended_within_the_window_is_counted(chain: Chain) -> None:
    """It counts until the window after its end is over."""
    chain.tell("finished", 1)
    chain.at += timedelta(minutes=59)
    assert chain.confirm(2, alone=0) is not None
    chain.at += timedelta(minutes=1)
    assert chain.confirm(2, alone=0) is None


@pytest.mark.parametrize("kind", ["voided", "expired", "withdrawn", "rejected", "finished"])
def test_what_sent_nothing_is_given_back(kind: str) -> None:
    """What ended with nothing sent does not count any more."""
    made = Chain()
    made.order(1)
    made.confirm(1, alone=0)
    made.tell(kind, 1, evidence={})
    made.order(2)

    assert made.confirm(2, alone=0) is None


def test_others_do_not_count(chain: Chain) -> None:
    """Other people, and other quotas on other accounts, have windows of their own."""
    chain.order(3, actor="U0BOB")
    chain.order(4, quota="other")

    assert [None, None] == [chain.confirm(3, alone=0), chain.confirm(4, alone=0)]


def test_what_others_agreed_to_does_not_count() -> None:
    """What went on with approval was not run alone; what broke the glass was."""
    made = Chain()
    made.order(1)
    made.confirm(1, alone=0, needs=1)
    made.order(2)
    assert made.confirm(2, alone=0, needs=1) is None
    made.tell("broke_glass", 1, policy={"window": 3600}, evidence={})
    made.order(3)
    assert made.confirm(3, alone=0) is not None


def test_an_unknown_size_fills_the_window() -> None:
    """What the cloud could not count counts as more than any limit."""
    made = Chain()
    made.order(1, most=None)
    made.confirm(1, alone=0)
    made.order(2)

    assert made.confirm(2, alone=10**9 - 1) is not None
    assert made.confirm(2, alone=10**9) is None


def test_cancellations_are_numbered_in_order() -> None:
    """A cancellation whose number does not follow is named."""
    made = Chain()
    made.order(1)

    assert "#3 was opened, and the next one was #2" == made.tell("requested", 3, account="a", quota="q", expires=1800)


def test_numbers_go_on_from_the_ledger_before() -> None:
    """A ledger that goes on from another one numbers on, and only its first event may say so."""
    made = Chain()
    assert made.tell("continued", head="cd" * 32, events=9, cancellations=4) is None
    made.order(5)

    assert (9, "cd" * 32) == made.course.continues
    assert "only a ledger's first event may say what it goes on from" == made.tell(
        "continued", head="cd" * 32, events=9, cancellations=4
    )


@pytest.mark.parametrize(("events", "head", "holds"), [(0, "ab" * 32, True), (1, "ab" * 32, False), (0, "", False)])
def test_a_checkpoint_says_where_the_chain_stood(events: int, head: str, holds: bool) -> None:
    """A checkpoint names the event before it and that one's digest."""
    assert holds == (Chain().tell("checkpoint", events=events, head=head) is None)


def test_guards_change_from_what_they_were() -> None:
    """A change of a guard begins where the last one ended."""
    made = Chain()
    made.tell("guard_changed", account="a", before={"above": 10}, after={"above": 20})

    assert "the guard of a was another one before it" == made.tell(
        "guard_changed", account="a", before={"above": 10}, after={"above": 30}
    )
    assert made.tell("guard_changed", account="a", before={"above": 20}, after=None) is None
    assert made.tell("guard_changed", account="a", before=None, after={"above": 30}) is None


def test_kinds_of_newer_versions_are_counted() -> None:
    """What this version does not know it cannot judge, and says how much of it there is."""
    made = Chain()
    made.tell("teleported", 1)

    assert 1 == made.course.unknown


def test_what_belongs_to_a_cancellation_has_one() -> None:
    """A call, or a vote, of no cancellation is named; what a newer version writes may stand alone."""
    made = Chain()

    assert "call_sent belongs to no cancellation" == made.tell("call_sent", call=1)
    assert "approved belongs to no cancellation" == made.tell("approved", evidence={})
    assert made.tell("teleported") is None


def test_a_body_has_its_version() -> None:
    """Every body says of which version it is."""
    course = Course()
    row = {"id": 1, "cancellation": None, "kind": "refused", "actor": "U0EVE"}

    assert "its body does not say of which version it is" == course.hear(row, {"what": "order"}, "ab" * 32, NOW)


def test_an_order_for_the_rest_follows_at_once() -> None:
    """What was ordered again is the next event, by the same person, and says of what it is the rest."""
    made = Chain()
    made.order(1)
    rest: dict[str, Any] = {"account": "a", "quota": "q", "expires": 1800}
    assert made.tell("retried", 1, "U0ANN", **{"as": 2}) is None
    assert made.tell("requested", 2, "U0ANN", retry_of=1, **rest) is None

    assert "only the bot says that an order came to nothing" == made.tell("retried", 1, "U0ANN", **{"as": None})
    assert "it was opened for what #1 left over, which does not say so" == made.tell(
        "requested", 3, "U0ANN", retry_of=1, **rest
    )


@pytest.mark.parametrize("following", [("requested", 9, "U0ANN"), ("requested", 2, "U0EVE"), ("finished", 1, "bot")])
def test_an_order_for_the_rest_that_does_not_follow(following: tuple[str, int, str]) -> None:
    """An announced order that is not the next event is named."""
    made = Chain()
    made.order(1)
    made.tell("retried", 1, "U0ANN", **{"as": 2})

    assert "#2 was to be opened here, as what #1 left over" == made.tell(*following, retry_of=1)


@pytest.mark.parametrize(("like", "holds"), [(1, True), (0, False), (2, False), (77, False)])
def test_an_order_is_held_as_a_repeat_of_an_earlier_one(like: int, holds: bool) -> None:
    """What an order is like was ordered before it."""
    made = Chain()
    made.order(1)
    assert made.tell("requested", 2, "U0ANN", account="a", quota="q", expires=1) is None

    assert holds == (made.tell("held", 2, like=like) is None)


def test_what_decisions_have_begun_to_say_they_go_on_saying() -> None:
    """Older versions did not write of whom evidence is; after the first that has it, none may lack it."""
    made = Chain()
    made.order(1)
    whole = {"window": 1, "requesters": ["U0ANN"]}
    assert made.tell("confirmed", 1, policy={"window": 1}, evidence={}) is None
    assert made.tell("approved", 1, policy=whole, evidence={"person": "U0BOB"}) is None

    said = "approved does not say of whom its evidence is, or what the rules were"
    assert said == made.tell("approved", 1, policy=whole, evidence={})
    assert {"on q": [(4, whole)]} == made.course.rules


def test_memory_does_not_grow() -> None:
    """Of what is over nothing is kept, but for what still counts in a window."""
    made = Chain()
    for number in range(1, 1001):
        made.order(number)
        assert made.confirm(number, alone=0) is None
        made.tell("call_sent", number)
        made.tell("finished", number)
        made.at += timedelta(hours=2)

    assert 0 == len(made.course._own)
    assert 1 == sum(map(len, made.course._by_requester.values()))
