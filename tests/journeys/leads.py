"""A scene in which more than ten devices need a second person: Lea and Max may approve, and four people may not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bot.domain.events import Event
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, AUDIT, BEN, JOB, LEA, OPS
from tests.journeys.stage import PATIENCE, Scene

MAX, GUEST, STRANGER = "U0MAX", "U0GUEST", "U0STRANGER"
ABOVE: Final = "above = 10"
LARGE: Final = f"job {JOB} queued,notified because 1.4.2 bricks pumps"
WAITING: Final = "Waiting for approval"
RESUMED: Final = 40.0
"""Seconds for a lease to lapse and the rest to be done, while other worlds are played at the same time."""
READ: Final = "ListOTATaskByJob"
"""What the cloud is asked before a start: held back, the start waits."""


class Leads(Scene):
    """The scene with two approvers; a guest and a stranger are in their group, too. A context manager.

    `approval` is what the configuration says of approval beside `above`.
    """

    def __init__(self, folder: Path, approval: str = "") -> None:
        super().__init__(folder, approval=f"{ABOVE}\n{approval}")
        self.approve_by(LEA, MAX, GUEST, STRANGER)

    def approve_by(self, *users: str) -> None:
        """Let these people be the leads."""
        self._leads = users

    def __enter__(self) -> Self:
        super().__enter__()
        self.slack.add_user(MAX, "max")
        self.slack.add_user(GUEST, "guest", is_restricted=True)
        self.slack.add_user(STRANGER, "stranger", is_stranger=True)
        self.slack.add_group("S0LEADS", "leads", self._leads)
        everybody = [ANN, BEN, LEA, MAX, GUEST, STRANGER]
        self.slack.add_channel(OPS, "ota-ops", everybody)
        self.slack.add_channel(AUDIT, "ota-audit", everybody)
        return self

    def rule(self, approval: str) -> None:
        """Write another rule into the configuration, for the next start."""
        self._lines["approval"] = approval
        self.configure()

    # --- what people do ----------------------------------------------------------------------------------------

    def batch(self, job: str, devices: int = 20) -> str:
        """Put a job into the cloud, and return the words that cancel it."""
        self.cloud.fleet.add_job(job, counts={"QUEUED": devices}, device_prefix=job)
        return f"job {job} queued because {job} is bad"

    def ordered(self, words: str = LARGE) -> int:
        """Order, and return the number."""
        found = re.match(r"#(\d+):", self.order(words).shown)
        assert found is not None
        return int(found[1])

    def asked(self, words: str = LARGE) -> int:
        """Order and confirm, and return the number once the card waits for approval."""
        number = self.ordered(words)
        self.slack.press(ANN, self.card_in("Waiting for confirmation", number), "confirm")
        self.card_in(WAITING, number)
        return number

    def press(self, user: str, button: str, number: int = 1, *, force: bool = False) -> Delivery:
        """Press a button of the card."""
        return self.slack.press(user, self.card(number), button, force=force)

    def gives_reason(self, user: str, button: str, reason: str, number: int = 1) -> Delivery:
        """Press a button that asks why, and send the reason."""
        self.press(user, button, number)
        view = self.slack.wait_for(lambda: self.slack.views(user), PATIENCE)[-1]
        return self.slack.submit_view(user, view, {"reason": reason})

    # --- what they hear ----------------------------------------------------------------------------------------

    def told(self, user: str, after: int) -> str:
        """Wait for what this person alone sees after so many such messages, and return it."""
        return self.slack.wait_for(lambda: self.slack.ephemerals(user)[after:], PATIENCE)[0].text

    def answered(self, user: str, button: str, number: int = 1, *, force: bool = False) -> str:
        """Press a button, and return what this person alone is told for it."""
        before = len(self.slack.ephemerals(user))
        self.press(user, button, number, force=force)
        return self.told(user, before)

    def below(self, number: int, words: str, within: float = PATIENCE) -> Message:
        """Wait for the reply in a card's thread that says these words."""

        def there() -> list[Message]:
            replies = self.slack.thread(OPS, self.cards(number)[-1].ts) if self.cards(number) else ()
            return [reply for reply in replies if words in reply.text]

        return self.slack.wait_for(there, within)[0]

    def direct(self, user: str, words: str, within: float = PATIENCE) -> Message:
        """Wait for the direct message to a person that says these words."""
        return self.slack.wait_for(lambda: [one for one in self.slack.dms(user) if words in one.text], within)[0]

    def of(self, number: int, *kinds: str) -> list[tuple[str, str]]:
        """Return kind and actor of a cancellation's events, those of the kinds only where any are named."""
        return [(event.kind, event.actor) for event in self.events(*kinds) if event.cancellation == number]

    def runs(self, job: str = JOB) -> int:
        """Return how many calls cancelled on a job."""
        return len([call for call in self.sent if call.params["JobId"] == job])


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a world looked when all was over."""

    scene: Leads
    events: list[Event]
    card: Message
    shown: str
    runs: int
    thread: list[str]
    direct: Mapping[str, list[str]]
    """What each person was told directly."""
    answers: tuple[str, ...] = ()
    """What somebody alone was told."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of the first cancellation's events."""
        return [event.kind for event in self.events if event.cancellation == 1]


def over(scene: Leads, state: str, *answers: str, within: float = RESUMED, told: str = "") -> End:
    """Wait until the card is in a state, and `told` is said in its thread, and look at everything."""
    card = scene.card_in(state, within=within)
    if told:
        scene.below(1, told, within)
        scene.direct(ANN, told, within)
    return End(
        scene=scene,
        events=scene.events(),
        card=card,
        shown=scene.slack.plain(card),
        runs=len(scene.sent),
        thread=[reply.text for reply in scene.slack.thread(OPS, card.ts)],
        direct={user: [one.text for one in scene.slack.dms(user)] for user in (ANN, LEA, MAX)},
        answers=answers,
    )
