"""The Home tab over real sockets: what waits for somebody comes and goes, and a stranger sees nothing."""

from collections.abc import Iterator

import pytest

from bot.playground.world import ANN, BEN, LEA
from bot.slack.home_views import NOBODY
from tests.journeys.leads import WAITING, Leads
from tests.journeys.stage import PATIENCE


@pytest.fixture
def leads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leads]:
    """Give a world with two approvers."""
    with Leads(tmp_path_factory.mktemp("home")) as scene, scene.hosted():
        yield scene


def shows(leads: Leads, user: str, words: str) -> str:
    """Wait until somebody's Home says these words, and return all that it says."""

    def there() -> str:
        view = leads.slack.home(user)
        text = leads.slack.plain(view) if view is not None else ""
        return text if words in text else ""

    return leads.slack.wait_for(there, PATIENCE)


def test_an_approval_comes_and_goes(leads: Leads) -> None:
    """Lea's Home shows Ann's order when it waits for her, with the way to its card, and no more once she answered."""
    opened = leads.slack.open_home(LEA)
    before = shows(leads, LEA, "Nothing waits for you.")
    leads.slack.open_home(BEN)
    leads.asked()

    asked = shows(leads, LEA, f"#1 {WAITING}")
    assert opened.acked_in is not None
    assert "Cloud: not asked yet since my start." in before
    assert "1 approval is missing; @leads may give it" in asked
    assert "Go to its card" in asked

    leads.press(LEA, "approve")
    leads.card_in("Done")
    leads.slack.open_home(LEA)

    after = shows(leads, LEA, "Nothing waits for you.")
    assert "Cloud: answered last 20" in after
    leads.slack.open_home(ANN)
    assert "#1 Done" in shows(leads, ANN, "Your latest")
    assert NOBODY == shows(leads, BEN, "Hello!").strip()
