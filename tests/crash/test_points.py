"""A bot that is ended before or after any decision, any write to Slack and any call of a life: the next one ends right.

Printed with `-s`: the table of the points and what came of each.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from bot.domain.cancellation import Phase
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.workspace import BOT_USER
from tests.crash.house import AUDIT, NAMES, House
from tests.crash.seams import CLOUD, DECISION, SLACK, Point, points
from tests.engine.scene import ANN, LEA, OPS, figures

FIGURES: Final = "asked 7 · accepted 7 · confirmed 7 · left 0"
NOTE: Final = "An earlier card of this may lie above"
Houses = Callable[[], House]


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """Give one local Slack to all houses; only files go to it over a socket."""
    with LocalSlack() as running:
        yield running


@pytest.fixture
def houses(tmp_path: Path, slack: LocalSlack) -> Iterator[Houses]:
    """Build houses, each with an empty Slack beside it, and close them afterwards."""
    built: list[House] = []

    def build() -> House:
        for kept in (slack.people, slack.groups, slack.channels, slack.calls, slack.rings, slack._messages):
            kept.clear()
        slack.add_user(BOT_USER, "ota-cancel", is_bot=True)
        slack.add_user(ANN, "ann")
        slack.add_user(LEA, "lea")
        slack.add_channel(OPS, "ops", [ANN, LEA])
        slack.add_channel(AUDIT, "audit", [ANN, LEA])
        folder = tmp_path / f"house-{len(built)}"
        folder.mkdir()
        built.append(House(folder, slack))
        return built[-1]

    yield build
    for house in built:
        house.close()


def wrong(house: House) -> list[str]:
    """Say what is not as it has to be once a life is over."""
    state, yard = house.yard.state(1), house.yard
    hit = Counter(name for sent in yard.fleet.done for name in sent.names)
    done = Counter(body["call"] for body in yard.bodies("call_finished") if body["outcome"] == "done")
    last, earlier = house.cards[-1], house.cards[:-1]
    notes = [NOTE in str(card.versions[0].blocks) for card in house.cards[1:]]
    facts = {
        "it is not done": state.phase is Phase.DONE and figures(state) == (7, 7, 7, 0),
        "other devices were hit, or some twice": hit == Counter(NAMES),
        "a call is not done once": set(done) == {1, 2, 3} and set(done.values()) == {1},
        "a call was sent after it was finished": not _sent_again(house),
        "it was confirmed, approved, started or finished more or less than once": all(
            yard.kinds().count(kind) == 1 for kind in ("confirmed", "approved", "started", "finished")
        ),
        "the card is wrong": last.text.startswith("Done:") and FIGURES in house.slack.plain(last),
        "there are dead buttons": last.buttons == (),
        "the card is not the one that counts": house.ledger.outbox.card(1).ts == last.ts,  # type: ignore[union-attr]
        "there are too many cards, or one does not say so": len(earlier) <= 1 and all(notes),
        "the thread does not tell the end": any("Done: " in text for text in house.thread),
        "an audit line is missing": {"confirmed", "approved", "done"} <= _lines(house),
    }
    return [fault for fault, holds in facts.items() if not holds]


def _sent_again(house: House) -> bool:
    finished: set[int] = set()
    for event in house.ledger.story(1):
        if event.kind == "call_sent" and event.body["call"] in finished:
            return True
        if event.kind == "call_finished" and event.body["outcome"] == "done":
            finished.add(event.body["call"])
    return False


def _lines(house: House) -> set[str]:
    said = " ".join(line.text.lower() for line in house.slack.messages(AUDIT))
    return {word for word in ("confirmed", "approved", "done") if word in said}


def outcome(house: House) -> str:
    """Say in a few words what came of a point."""
    sent, twice = len(house.yard.fleet.sent), [text for text, n in Counter(house.thread).items() if n > 1]
    said = [f"{len(house.yard.fleet.done)} calls did their work"]
    said += [f"{sent} sent"] if sent != 3 else []
    said += [f"{house.yard.outcomes().count('done by read')} settled by a read"] * (
        "done by read" in house.yard.outcomes()
    )
    said += ["typed again"] if house.typed > 1 else []
    said += ["a second card, which says so"] if len(house.cards) > 1 else []
    said += ["a reply twice"] if twice else []
    direct = Counter(one.text for user in (ANN, LEA) for one in house.slack.dms(user))
    said += ["a direct message twice"] if max(direct.values(), default=0) > 1 else []
    return ", ".join(said)


def test_every_point(houses: Houses) -> None:
    """Ended anywhere in a life, the next process does what is left, nothing twice, and the card is right."""
    undisturbed = houses()
    life = points(undisturbed.killed(None))
    assert [] == wrong(undisturbed)

    table = {}
    for at, what in life:
        house = houses()
        house.killed(at)
        house.resumed()
        faults = wrong(house)
        table[at] = faults
        said = f"WRONG: {'; '.join(faults)}" if faults else outcome(house)
        print(f"{at.side:6} {at.kind:8} {at.at:2} {what:16} {said}")

    assert {} == {str(at): faults for at, faults in table.items() if faults}


def test_points_are_all(houses: Houses) -> None:
    """An undisturbed life has these seams, so that the points leave none out."""
    seen = Counter(line.split(" ")[0] for line in houses().killed(None))

    assert (13, 3) == (seen[DECISION], seen[CLOUD])
    assert seen[SLACK] > 10


@pytest.mark.parametrize("times", [2, 3])
def test_again_and_again(houses: Houses, times: int) -> None:
    """Ended again and again while its call is out, the life still comes to its right end."""
    house = houses()
    for _ in range(times):
        house.killed(Point(CLOUD, 1, "before"))
    house.resumed()

    assert [] == wrong(house)
