"""The outbox remembers what Slack was shown, and knows what it was not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.domain.cancellation import Phase
from bot.domain.events import NewEvent
from bot.ledger.ledger import Ledger
from bot.ledger.outbox import CardRow
from tests.builders import ANN, BOB, NOW, WAITING, confirm, refuse_order, requested, show_preview, void
from tests.ledger.conftest import Open


def carded(ledger: Ledger) -> int:
    """Open a cancellation that has a card."""
    identity = ledger.order(requested()).id
    ledger.decide(identity, WAITING[0])
    return identity


def shown(ledger: Ledger, identity: int, **changes: Any) -> CardRow:
    """Return the row of a card that shows everything."""
    row = CardRow(
        cancellation=identity, channel="C0OPS", ts="1.2", attempted=1, shown=ledger.head(), told=ledger.head()
    )
    return replace(row, **changes)


def test_a_card_that_was_never_posted(ledger: Ledger) -> None:
    """A cancellation with a plan and without a row is behind."""
    identity = carded(ledger)

    assert None is ledger.outbox.card(identity)
    assert [identity] == ledger.outbox.behind()


def test_a_card_comes_back_as_it_was_kept(ledger: Ledger) -> None:
    """What is kept of a card is read again, and the latest counts."""
    identity = carded(ledger)
    attempted = CardRow(cancellation=identity, channel="C0OPS", attempted=1)
    ledger.outbox.keep(attempted)
    first = ledger.outbox.card(identity)
    ledger.outbox.keep(shown(ledger, identity))

    assert (attempted, shown(ledger, identity)) == (first, ledger.outbox.card(identity))


def test_a_card_is_behind_until_shown_and_told(ledger: Ledger) -> None:
    """A card is behind while its picture or its thread is older than its state, and again after the next event."""
    identity = carded(ledger)
    seen = []
    for changes in ({"shown": 1}, {"told": 1}, {}):
        ledger.outbox.keep(shown(ledger, identity, **changes))
        seen.append(ledger.outbox.behind())
    ledger.decide(identity, confirm())
    seen.append(ledger.outbox.behind())

    assert [[identity], [identity], [], [identity]] == seen


def test_an_attempt_without_a_post_is_behind(ledger: Ledger) -> None:
    """A card whose first post was attempted and never landed stays behind."""
    identity = carded(ledger)
    ledger.outbox.keep(CardRow(cancellation=identity, channel="C0OPS", attempted=3))

    assert [identity] == ledger.outbox.behind()


def test_a_thread_is_told_by_itself(ledger: Ledger) -> None:
    """Telling the thread moves nothing else of the card."""
    identity = carded(ledger)
    ledger.outbox.keep(shown(ledger, identity, told=0))
    ledger.outbox.told(identity, 2)

    assert shown(ledger, identity) == ledger.outbox.card(identity)


def test_what_has_no_card_is_never_behind(ledger: Ledger) -> None:
    """Orders being checked, refused, void without a plan, or from a terminal have no card to show."""
    checking, refused, voided = (ledger.order(requested()).id for _ in range(3))
    ledger.decide(refused, refuse_order())
    ledger.decide(voided, void())
    opening = requested()
    terminal = ledger.order(NewEvent(kind=opening.kind, actor=ANN, body={**opening.body, "channel": None})).id
    state = ledger.decide(terminal, show_preview())

    assert getattr(state, "phase", None) is Phase.WAITING_CONFIRMATION
    assert [] == ledger.outbox.behind()
    assert 4 == checking + voided


def test_cards_are_behind_in_order(ledger: Ledger) -> None:
    """Of several cards behind the oldest comes first."""
    identities = [carded(ledger) for _ in range(3)]
    ledger.decide(identities[0], confirm())

    assert identities == ledger.outbox.behind()


def test_a_sink_has_a_cursor(ledger: Ledger) -> None:
    """A sink that never told anything has no cursor; each has its own, and it moves."""
    outbox = ledger.outbox
    cursors = [outbox.cursor("audit")]
    outbox.advance("audit", 5)
    outbox.advance("home", 1)
    cursors.append(outbox.cursor("audit"))
    outbox.advance("audit", 6)
    cursors += [outbox.cursor("audit"), outbox.cursor("home")]

    assert [None, 5, 6, 1] == cursors


def test_a_ledger_is_untold_until_a_sink_begins(ledger: Ledger) -> None:
    """No bot has run on a ledger as long as no sink has a cursor, whatever was decided there."""
    carded(ledger)
    untold = [ledger.outbox.untold()]
    ledger.outbox.advance("audit", 0)
    untold.append(ledger.outbox.untold())

    assert [True, False] == untold


def test_what_was_shown_outlives_a_restart(opened: Open) -> None:
    """Cards and cursors stand in the database."""
    ledger = opened()
    identity = carded(ledger)
    ledger.outbox.keep(shown(ledger, identity))
    ledger.outbox.advance("audit", 2)
    again = opened()

    assert ([], 2, "1.2") == (
        again.outbox.behind(),
        again.outbox.cursor("audit"),
        getattr(again.outbox.card(identity), "ts", None),
    )


def test_who_opened_their_home(opened: Open) -> None:
    """Who has opened their Home, and what it shows, outlives a restart, until it is forgotten."""
    box, hour = opened().outbox, timedelta(hours=1)
    box.open_home(ANN, NOW - hour)
    box.open_home(BOB, NOW)
    box.show_home(BOB, 7)
    again = opened().outbox

    assert ({ANN: 0, BOB: 7}, {BOB: 7}) == (again.homes(since=NOW - hour), again.homes(since=NOW - hour / 2))

    again.open_home(BOB, NOW)
    assert {ANN: 0, BOB: 0} == again.homes(since=NOW - hour)
    again.forget_home(BOB)
    again.show_home(BOB, 8)
    assert {ANN: 0} == again.homes(since=NOW - hour)
