"""A scene with all three clouds: pumps on Alibaba Cloud, lamps on Tuya, wind on EnOS; Ann may order on each."""

import csv
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.playground.cloud.calls import Arrival
from bot.playground.cloud.cloud_server import CloudServer
from bot.playground.cloud.enos_cloud import EnosCloud
from bot.playground.cloud.tuya_cloud import TuyaCloud
from bot.playground.slack.values import Message
from bot.playground.world import ANN, OPS, ORG
from tests.journeys.stage import PATIENCE, SECRETS, Scene

ACCOUNTS: Final = """
[accounts.lamps]
cloud = "tuya"
endpoint = "{tuya}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
qps = {{ job = 5, devices = 10, query = 200 }}

[accounts.wind]
cloud = "enos"
endpoint = "{enos}"
org = "{org}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
qps = {{ job = 5, devices = 10, query = 200 }}
"""
TOLD: Final = 2 * PATIENCE
"""Seconds for the end of a story: all cards and replies of a channel share one message a second."""
CANCEL_DEVICES: Final = "CancelOTATaskByDevice"
CANCEL_TASKS: Final = "cancelTask"


class Plant(Scene):
    """The scene with two more clouds; a context manager."""

    def __init__(self, folder: Path, *, above: int = 1000) -> None:
        super().__init__(folder, approval=f"above = {above}")
        keys = {SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]}
        self.tuya = TuyaCloud(keys=keys, limits={})
        self.enos = EnosCloud(keys=keys, org_id=ORG)

    def __enter__(self) -> Self:
        self.tuya.start()
        self.enos.start()
        self._lines["account"] = ACCOUNTS.format(tuya=self.tuya.url, enos=self.enos.url, org=ORG)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.enos.stop()
        self.tuya.stop()

    def on(self, account: str) -> CloudServer:  # type: ignore[type-arg]
        """Return the cloud behind an account."""
        clouds: Mapping[str, CloudServer] = {  # type: ignore[type-arg]
            "pumps": self.cloud,
            "lamps": self.tuya,
            "wind": self.enos,
        }
        return clouds[account]

    def calls(self, account: str, job: str) -> list[Arrival]:
        """Return the calls that came in to cancel on a job, in order."""
        arrivals = [one for one in self.on(account).arrivals if one.action.lower().startswith("cancel")]
        return [one for one in arrivals if job in {one.params.get("JobId"), one.params.get("jobId")}]

    def ordered(self, words: str) -> int:
        """Order, and return the number once its card asks to be confirmed."""
        number = self.number_of(self.order(words).shown)
        self.card_in("Waiting for confirmation", number)
        return number

    def number_of(self, said: str) -> int:
        """Return the number of the order that was acknowledged with these words."""
        found = re.match(r"#(\d+):", said)
        assert found is not None, said
        return int(found[1])

    def confirm(self, number: int, state: str = "Done") -> Message:
        """Confirm, and return the card in the state that it comes to."""
        self.slack.press(ANN, self.card(number), "confirm")
        return self.card_in(state, number)

    def ran(self, words: str, state: str = "Done") -> Message:
        """Order and confirm, and return the card in the state that it comes to."""
        return self.confirm(self.ordered(words), state)

    def answered(self, words: str) -> str:
        """Type words, and return what the asker alone is told beside the acknowledgement."""
        before = len(self.slack.ephemerals(ANN))
        self.order(words)
        told = self.slack.wait_for(lambda: self.slack.ephemerals(ANN)[before + 1 :], PATIENCE)
        return self.slack.plain(told[0])

    def said_below(self, card: Message) -> str:
        """Return what the thread says, once it has told the end."""

        def there() -> list[Message]:
            replies = list(self.slack.thread(OPS, card.ts))
            return replies if any(reply.text.startswith(f"<@{ANN}>") for reply in replies) else []

        return "\n".join(reply.text for reply in self.slack.wait_for(there, TOLD))

    def sheet(self, card: Message, name: str) -> list[dict[str, str]]:
        """Wait for the file of that name in a card's thread, and return its rows."""

        def there() -> list[bytes]:
            return [one.content for reply in self.slack.thread(OPS, card.ts) for one in reply.files if one.name == name]

        (content,) = self.slack.wait_for(there, TOLD)
        return list(csv.DictReader(StringIO(content.decode())))


def names(call: Arrival) -> list[str]:
    """Return the devices that a call named, in the order in which it did."""
    return [value for name, value in call.params.items() if name.startswith(("DeviceName.", "deviceKeys."))]


def flags(call: Arrival) -> dict[str, str]:
    """Return what a cancel by job said of the statuses."""
    return {name: value for name, value in call.params.items() if name.startswith("Cancel")}
