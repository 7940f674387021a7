"""A world for a bot in a process of its own that is ended by SIGKILL, and the people who live on in it."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from bot.domain.cancellation import OPEN, Phase, State
from bot.domain.errors import LedgerError
from bot.playground.slack.forms import CannotAct
from bot.playground.slack.values import Message
from bot.playground.world import ANN, AUDIT, JOB, LEA, OPS
from tests.crash.seams import Point
from tests.journeys.leads import Leads
from tests.journeys.stage import SECRETS, Process, Scene

HERE: Final = Path(__file__).parents[2]
NOTE: Final = "An earlier card of this may lie above"
REST: Final = 90.0
"""Seconds in which a life comes to its end: a dead process's leases last ten of them."""
LOOK: Final = 0.05


class Launched(Process):
    """`ota-bot run` under the launcher, which ends it at a point."""

    def __init__(self, scene: Scene, at: Point | None) -> None:
        self._scene = scene
        self.notes = scene.folder / "notes"
        self.notes.touch()
        self._out, self._err = scene.folder / "launched.out", scene.folder / "launched.err"
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(HERE), **SECRETS}
        given = (str(scene.config), str(self.notes), str(at or ""))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603 - the command under test
                [sys.executable, "-m", "tests.crash.launcher", *given],
                stdout=out,
                stderr=err,
                env=environment,
                cwd=scene.folder,
            )

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self._process.poll() == -signal.SIGKILL

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None


class Mortal(Leads):
    """The scene with two approvers and a job of 52 devices, of which calls take a few each; a context manager."""

    def __init__(self, folder: Path, *, devices: int, per_call: int) -> None:
        super().__init__(folder)
        self._lines["account"] = f"names_per_call = {per_call}"
        self._devices = devices

    def __enter__(self) -> Self:
        super().__enter__()
        waiting = [*self.cloud.fleet.devices(JOB, "QUEUED"), *self.cloud.fleet.devices(JOB, "NOTIFIED")]
        self.names = waiting[: self._devices]
        return self

    # --- a life ------------------------------------------------------------------------------------------------

    def latest(self) -> State | None:
        """Return the state of the one cancellation, as far as there is one."""
        with suppress(LedgerError), self.ledger() as ledger:
            return ledger.state(1)
        return None

    def lead(self, gone: Callable[[], bool], until: Callable[[State], bool] = lambda _state: False) -> None:
        """Do what people do, until the bot is gone, the life is over, or it has come as far as `until` says.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + REST
        while not gone():
            state = self.latest()
            if state is not None and (until(state) or (state.phase not in OPEN and self.all_told())):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"it came no further than {state.phase if state else 'nothing'}")
            with suppress(CannotAct):
                self._act(state)
            time.sleep(LOOK)

    def _act(self, state: State | None) -> None:
        if state is None:
            self.slack.command(ANN, OPS, f"devices {','.join(self.names)} job {JOB} because 1.4.2 bricks pumps")
        elif state.phase is Phase.WAITING_CONFIRMATION and self.stored():
            self.slack.press(ANN, self.the_card, "confirm")
        elif state.phase is Phase.WAITING_APPROVAL and self.stored():
            self.slack.press(LEA, self.the_card, "approve")

    @property
    def the_card(self) -> Message:
        """The card that the ledger knows."""
        found = self.slack.message(OPS, self.stored() or "")
        if found is None:
            raise CannotAct("there is no card")
        return found

    def all_told(self) -> bool:
        """Tell whether Slack has been told all."""
        with self.ledger() as ledger:
            return not ledger.outbox.behind() and ledger.outbox.cursor(f"audit:{AUDIT}") == ledger.head()

    # --- what came of it ---------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """Say what is not as it has to be once the life is over."""
        state, kinds, many = self.state(), self.kinds(), len(self.names)
        chain = self.verified().events
        calls = state.plan.calls if state.plan else 0
        done = Counter(event.body["call"] for event in self.events("call_finished") if event.body["outcome"] == "done")
        cards = self.cards()
        figures = f"asked {many} · accepted {many} · confirmed {many} · left 0"
        facts = {
            f"it is {state.phase}, not Done": state.phase is Phase.DONE,
            "other devices were hit, or some twice": self.canceled == dict.fromkeys(self.names, 1),
            "a call is not done once": done == Counter(range(1, calls + 1)),
            "a call was sent after it was finished": not self._sent_again(),
            "more calls came in than were recorded as sent": len(self.sent) <= kinds.count("call_sent"),
            "it was confirmed, approved, started or finished more or less than once": all(
                kinds.count(kind) == 1 for kind in ("requested", "confirmed", "approved", "started", "finished")
            ),
            "the card is wrong": cards[-1].text.startswith("Done:") and figures in self.slack.plain(cards[-1]),
            "there are dead buttons": cards[-1].buttons == (),
            "the card is not the one that counts": self.stored() == cards[-1].ts,
            "there are too many cards, or one does not say so": len(cards) <= 2
            and all(NOTE in str(card.versions[0].blocks) for card in cards[1:]),
            "the thread does not tell the end": any(
                "Done: " in one.text for one in self.slack.thread(OPS, cards[-1].ts)
            ),
            "the chain has a gap": len(kinds) == chain,
        }
        return [fault for fault, holds in facts.items() if not holds]

    def _sent_again(self) -> bool:
        finished = set[int]()
        for event in self.events("call_sent", "call_finished"):
            if event.kind == "call_sent" and event.body["call"] in finished:
                return True
            if event.kind == "call_finished" and event.body["outcome"] == "done":
                finished.add(event.body["call"])
        return False

    def outcome(self) -> str:
        """Say in a few words what came of it."""
        sent, read = len(self.sent), sum(event.body.get("by") == "read" for event in self.events("call_finished"))
        thread = [one.text for card in self.cards() for one in self.slack.thread(OPS, card.ts)]
        direct = [one.text for user in (ANN, LEA) for one in self.slack.dms(user)]
        said = [f"{sent} calls came in, {len(self.events('call_sent'))} recorded as sent"]
        said += [f"{read} settled by a read"] if read else []
        said += ["a second card, which says so"] if len(self.cards()) > 1 else []
        said += ["a reply twice"] if any(n > 1 for n in Counter(thread).values()) else []
        said += ["a direct message twice"] if any(n > 1 for n in Counter(direct).values()) else []
        return ", ".join(said)
