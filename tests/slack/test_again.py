"""“Ask again”: what is left is ordered once more in the presser's name, once, and a late press finds the way there."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from bot.domain import decisions
from bot.playground.slack.values import Message
from bot.playground.world import ANN, BEN, LEA
from tests.builders import void
from tests.journeys.stage import PATIENCE, until
from tests.slack.test_form import Office

JOBS = count(1)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Office(tmp_path_factory.mktemp("again")) as office, office.hosted() as bot:
        office.bot = bot
        yield office


@pytest.fixture
def ended(office: Office) -> int:
    """Order a job of its own and end it before anybody confirms; its card offers to ask again."""
    job = f"again-{next(JOBS)}"
    office.cloud.fleet.add_job(job, counts={"QUEUED": 2})
    shown = office.order(f"job {job} queued because it bricks").shown
    number = int(re.findall(r"#(\d+)", shown)[0])
    office.card_in("Waiting for confirmation", number)
    office.bot._ledger.decide(number, void())
    office.slack.wait_for(lambda: "retry" in str(office.card_in("Voided", number).blocks), PATIENCE)
    return number


def newest(office: Office) -> int:
    """Return the number of the latest order."""
    return max(event.cancellation or 0 for event in office.events("requested"))


def pressed(office: Office, card: Message, user: str = ANN, *, force: bool = False) -> None:
    assert None is office.slack.press(user, card, "retry", force=force).failure


def test_a_press_opens_a_new_cancellation(office: Office, ended: int) -> None:
    """The new one is the presser's, over what was left, linked both ways, and is confirmed like any other."""
    pressed(office, office.card(ended))

    new = until(lambda: office.state(ended).retried_as)
    assert new is not None
    assert (ANN, ended, office.state(ended).order) == (
        office.state(new).requester,
        office.state(new).retry_of,
        office.state(new).order,
    )
    office.told(ANN, f"#{new}: asking again for what #{ended} left. What comes of it follows here.")
    assert "confirm" in str(office.card_in("Waiting for confirmation", new).blocks)
    office.slack.wait_for(lambda: "retry" not in str(office.card_in("Voided", ended).blocks[-1]), PATIENCE)


def test_a_second_press_shows_the_link(office: Office, ended: int) -> None:
    """Whoever presses later, on the card as it was, finds where it was asked for again; nothing new is opened."""
    card = office.card(ended)
    pressed(office, card)
    new = until(lambda: office.state(ended).retried_as)
    office.card_in("Waiting for confirmation", new or 0)
    until(lambda: (row := office.bot._ledger.outbox.card(new or 0)) is not None and row.ts is not None)

    pressed(office, card, force=True)

    told = office.told(ANN, f"What #{ended} left was asked for again already: #{new}.")
    assert re.search(r"<http[^|>]+\|Go to its card>", told.text)
    assert new == newest(office)


def test_a_press_delivered_again_opens_nothing(office: Office, ended: int) -> None:
    """The same press again gives the same order, also where that came to nothing meanwhile; so does a command."""
    sent = office.slack.press(ANN, office.card(ended), "retry")
    first = until(lambda: office.state(ended).retried_as) or 0
    came_to_nothing(office, ended, first)
    office.slack.redeliver(sent)
    office.told(ANN, f"What #{ended} left was asked for again already: #{first}.")
    opened = [newest(office)]

    typed = office.order(f"retry {ended}")
    second = newest(office)
    came_to_nothing(office, ended, second)
    again = office.slack.redeliver(typed)

    assert ([first], first + 1, second) == (opened, second, newest(office))
    assert f"What #{ended} left was asked for again already: #{second}." == again.shown


def came_to_nothing(office: Office, old: int, new: int) -> None:
    """Let what was left be asked for again, as after an order that never got a card."""
    office.card_in("Waiting for confirmation", new)
    office.bot._ledger.decide(new, void())
    office.bot._ledger.decide(old, lambda state, now: decisions.came_to_nothing(state, now, new=new))


def test_presses_at_once_open_one(office: Office, ended: int) -> None:
    """Six presses at the same moment are one new cancellation."""
    card, before = office.card(ended), newest(office)

    with ThreadPoolExecutor(6) as people:
        list(people.map(lambda _: pressed(office, card, force=True), range(6)))

    assert before + 1 == newest(office)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (BEN, "Refused: not among the requesters of account pumps. Nothing was changed."),
        (LEA, "Refused: not among the requesters of account pumps. Nothing was changed."),
    ],
)
def test_who_may_not_order_may_not_ask_again(office: Office, ended: int, user: str, said: str) -> None:
    """A press of somebody who may not order is refused, in private, and remembered."""
    before = newest(office)

    pressed(office, office.card(ended), user)

    office.told(user, said)
    assert before == newest(office)
    assert ("retry", user, ended) in [
        (event.body["what"], event.actor, event.cancellation) for event in office.events("refused")
    ]


def test_it_can_be_typed(office: Office, ended: int) -> None:
    """`retry` and the number do what the button does; a second time there is a link."""
    shown = office.order(f"retry {ended}").shown

    new = office.state(ended).retried_as
    assert f"#{new}: asking again for what #{ended} left. What comes of it follows here." == shown
    office.card_in("Waiting for confirmation", new or 0)
    assert f"What #{ended} left was asked for again already: #{new}." == office.order(f"retry {ended}").shown
    office.told(ANN, f"What #{ended} left was asked for again already: #{new}. Go to its card")


def test_what_is_open_is_not_asked_for_again(office: Office) -> None:
    """A cancellation that somebody can still answer is not ordered a second time."""
    job = f"again-{next(JOBS)}"
    office.cloud.fleet.add_job(job, counts={"QUEUED": 2})
    number = int(re.findall(r"#(\d+)", office.order(f"job {job} queued because it bricks").shown)[0])
    office.card_in("Waiting for confirmation", number)

    shown = office.order(f"retry {number}").shown

    assert f"#{number} is already “Waiting for confirmation”. Nothing was changed." == shown
