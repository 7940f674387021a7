"""A small company to try the bot in: people, channels, a cloud with pumps, and the bot configured for them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.config import Need, Settings, load
from bot.engine.keeper import Halt
from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.slack.local_slack import LocalSlack
from bot.wiring import Bot

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
ANN: Final = "U0ANN"
BEN: Final = "U0BEN"
GUS: Final = "U0GUS"
LEA: Final = "U0LEA"
OPS: Final = "C0OPS"
AUDIT: Final = "C0AUDIT"
SECRETS: Final[Mapping[str, str]] = {
    "SLACK_BOT_TOKEN": "xoxb-local",
    "SLACK_APP_TOKEN": "xapp-local",
    "ALIYUN_KEY_ID": "LTAIplayground",
    "ALIYUN_KEY_SECRET": "playground-key-secret",
}

CONFIG: Final = """\
database = "ota-bot.db"
audit_channel = "C0AUDIT"

[slack]
api_url = "{slack}"

[accounts.pumps]
cloud = "aliyun"
endpoint = "{cloud}"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
default = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A local Slack and a simulated cloud, running, with people and jobs in them."""

    slack: LocalSlack
    cloud: AliyunCloud

    def populate(self) -> None:
        """Put the people, the channels and one job with a bad image into it."""
        for user, name, guest in ((ANN, "ann", False), (BEN, "ben", False), (LEA, "lea", False), (GUS, "gus", True)):
            self.slack.add_user(user, name, is_restricted=guest)
        self.slack.add_group("S0ONCALL", "oncall", [ANN])
        self.slack.add_group("S0LEADS", "leads", [LEA])
        everyone = [ANN, BEN, GUS, LEA]
        self.slack.add_channel(OPS, "ota-ops", everyone)
        self.slack.add_channel(AUDIT, "ota-audit", everyone)
        self.cloud.fleet.add_job(
            JOB,
            name="pumps to 1.4.2",
            dest_version="1.4.2",
            counts={"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5},
        )

    def settings(self, folder: Path) -> Settings:
        """Write the configuration into `folder` and load it, as `ota-bot run` would."""
        config = folder / "ota-bot.toml"
        config.write_text(CONFIG.format(slack=self.slack.api_url, cloud=self.cloud.url))
        return load(config, SECRETS, needs=frozenset({Need.SLACK, Need.CLOUDS}))


class World:
    """The stage with the real bot connected to it over real sockets; a context manager. `ready` is the bot's line."""

    def __init__(self, *, port: int = 0) -> None:
        self.stage = Stage(
            slack=LocalSlack(port=port, bot_token=SECRETS["SLACK_BOT_TOKEN"], app_token=SECRETS["SLACK_APP_TOKEN"]),
            cloud=AliyunCloud(keys={SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]}),
        )
        self._folder = tempfile.TemporaryDirectory(prefix="ota-bot-demo-")
        self._halt = Halt()
        self._bot: Bot | None = None
        self.ready = ""

    @property
    def folder(self) -> Path:
        """Where the configuration and the ledger lie."""
        return Path(self._folder.name)

    def __enter__(self) -> Self:
        self.stage.slack.start()
        self.stage.cloud.start()
        self.stage.populate()
        self._bot = Bot(self.stage.settings(self.folder), halt=self._halt)
        self.ready = self._bot.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halt.ask()
        if self._bot is not None:
            self._bot.stop()
        self.stage.cloud.stop()
        self.stage.slack.stop()
        self._folder.cleanup()
