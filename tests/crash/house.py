"""A whole bot in this thread: the engine on a fleet in memory, and a publisher in front of a local Slack.

Its rounds come after each commit and whenever they are asked for, on a clock that is turned by hand.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from slack_sdk import WebClient
from slack_sdk.web.slack_response import SlackResponse

from bot.domain.account import Approval, Qps
from bot.domain.cancellation import OPEN, Phase
from bot.domain.order import CancelDevices
from bot.ledger.leases import LENGTH
from bot.ledger.ledger import Ledger
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Message
from bot.slack.answers import Answers
from bot.slack.people import SlackDirectory
from bot.slack.publisher import Publisher
from tests.crash.seams import Point, Seams
from tests.engine.deadly import Unreleased
from tests.engine.scene import ANN, LEA, OPS, Process
from tests.engine.yard import ALIYUN, OneByOne, Sent, Yard

AUDIT: Final = "C0AUDIT"
NAMES: Final = tuple(f"pump-{number}" for number in range(1, 8))
ORDER: Final = CancelDevices(names=NAMES, job="J1", reason="bad image")
CALL: Final = 2.0
"""Seconds that the cloud takes for a call, so that the card is edited while a run lasts."""
TURN: Final = 0.5
TURNS: Final = 400


class KilledError(BaseException):
    """The process has been killed: no `except` of the bot's may catch it."""


def die() -> NoReturn:
    """Leave the process's work, whatever it is at."""
    raise KilledError


class Direct(WebClient):
    """A client that asks the local Slack without a socket between them: thousands of calls in a few seconds."""

    def __init__(self, slack: LocalSlack) -> None:
        super().__init__(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])
        self._slack = slack

    def api_call(self, api_method: str, **named: Any) -> SlackResponse:
        """Call a method of the Web API."""
        given: Mapping[str, Any] = named.get("json") or named.get("params") or named.get("data") or {}
        args = {key: value for key, value in given.items() if value is not None}
        body = self._slack._logged(api_method, args, lambda: self._slack._call(api_method, args, self.token or ""))
        made = SlackResponse(
            client=self, http_verb="POST", api_url=api_method, req_args={}, data=body, headers={}, status_code=200
        )
        made.validate()  # type: ignore[no-untyped-call]
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """One process: its engine, its publisher, and what has to be closed after it."""

    process: Process
    publisher: Publisher
    directory: SlackDirectory
    ledger: Ledger


class House:
    """One ledger file with a fleet and a local Slack beside it; the bot on it is killed and started again."""

    def __init__(self, folder: Path, slack: LocalSlack) -> None:
        self.slack = slack
        slow = Qps(job=1, devices=0.1, strategy=1, query=1)  # one call at a time
        account = replace(ALIYUN, approval=Approval(above=5), names_per_call=3, qps=slow)
        self.yard = Yard(folder, OneByOne(), account)
        self.yard.fleet.add("J1", NAMES)
        self.yard.fleet.add("J1", ["other-1", "other-2"])
        self.yard.fleet.play = self._takes_time
        self.ledger = self.yard.ledger
        self.typed = 0
        """How often somebody typed the order."""
        self._starts = 0

    def close(self) -> None:
        """Close everything."""
        self.yard.close()

    def _takes_time(self, _sent: Sent) -> None:
        self.yard.clock.turn(CALL)

    # --- the bot -----------------------------------------------------------------------------------------------

    def start(self, seams: Seams | None = None) -> Bot:
        """Start the bot on the file, to be ended by `seams`."""
        self._starts += 1
        owner, clock = f"process-{self._starts}", self.yard.clock
        ledger = self.yard.open()
        client = Direct(self.slack)
        process = self.yard.process(owner, ledger)
        if seams is not None:
            seams.hook(ledger=ledger, client=client, cloud=process.cloud._cloud)
        directory = SlackDirectory(client, now=clock.now, timer=clock.seconds)
        directory.identify(team="T0LOCAL", enterprise=None)
        answers = Answers(client, timer=clock.seconds, sleep=lambda _seconds: None)
        publisher = Publisher(ledger, client, directory, answers, audit_channel=AUDIT, owner=owner, now=clock.now)
        publisher._thread = threading.Thread(target=lambda: None)
        publisher.start()
        publisher._thread.join()
        ledger.listen(publisher._round)
        return Bot(process=process, publisher=publisher, directory=directory, ledger=ledger)

    def killed(self, at: Point | None) -> list[str]:
        """Lead the whole life in a process that is killed at a point, if any; return what it did, `kind what` each."""
        seen: list[str] = []
        seams = Seams(die, at, lambda kind, what: seen.append(f"{kind} {what}"))
        bot = self.start(seams)
        with suppress(KilledError):
            self.lead(bot)
        if at is not None:
            assert seams.dead, f"the life never came to {at}"
            bot.ledger.leases = Unreleased(bot.ledger._store, now=self.yard.clock.now)
        bot.directory.close()
        self.yard.dies(bot.process)
        self.yard.clock.turn(LENGTH + 1)
        return seen

    def resumed(self) -> None:
        """Start another process and lead the life to its end."""
        bot = self.start()
        self.lead(bot)
        bot.directory.close()

    # --- a life ------------------------------------------------------------------------------------------------

    def lead(self, bot: Bot) -> None:
        """Lead an order from where it stands to its end, as its people and the keeper would."""
        self.settle(bot)
        while (step := self._step(bot)) is not None:
            step()
            self.settle(bot)

    def _step(self, bot: Bot) -> Any:
        state = bot.ledger.state(1)
        process = bot.process
        if state is None:
            return lambda: self._type(process)
        match state.phase:
            case Phase.CHECKING:
                return lambda: process.intake.check(1)
            case Phase.WAITING_CONFIRMATION:
                return lambda: self._press(bot, "confirm", ANN)
            case Phase.WAITING_APPROVAL:
                return lambda: self._press(bot, "approve", LEA)
            case _ if state.phase in OPEN:
                return lambda: process.executor.run(1)
            case _:
                return None

    def _type(self, process: Process) -> None:
        """Type the order; who got no acknowledgement types it again, which is another delivery."""
        self.typed += 1
        process.intake.order(ANN, ORDER, self.yard.account, channel=OPS, via="slack", delivery=f"delivery-{self.typed}")

    def _press(self, bot: Bot, button: str, actor: str) -> None:
        """Press a button that has to be on the card."""
        row = bot.ledger.outbox.card(1)
        card = self.slack.message(OPS, row.ts or "") if row else None
        if card is None or button not in [one.action_id for one in card.buttons]:
            raise AssertionError(f"there is no {button} to press")
        bot.process.presses.press(button, 1, actor, OPS, in_time=lambda: True)

    def settle(self, bot: Bot) -> None:
        """Let the publisher tell all there is to tell."""
        for _ in range(TURNS):
            bot.publisher._round()
            told = bot.ledger.outbox.cursor(f"audit:{AUDIT}") == bot.ledger.head()
            if told and not bot.ledger.outbox.behind():
                return
            self.yard.clock.turn(TURN)
            self.yard.clock.turned()
        raise TimeoutError("the publisher does not come to rest")

    # --- what came of it ---------------------------------------------------------------------------------------

    @property
    def cards(self) -> list[Message]:
        """Every card in the channel."""
        return [one for one in self.slack.messages(OPS) if "cancellation #1 of" in one.text and not one.thread_ts]

    @property
    def thread(self) -> list[str]:
        """What the threads say."""
        return [one.text for card in self.cards for one in self.slack.thread(OPS, card.ts)]
