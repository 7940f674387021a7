"""A small company to try the bot in: people, channels, a cloud of each kind, and the bot configured for them."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.config import Need, Settings, load
from bot.engine.keeper import Halt
from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.cloud.enos_cloud import EnosCloud
from bot.playground.cloud.tuya_cloud import TuyaCloud
from bot.playground.jobs_ready import (
    ALIYUN,
    ENOS,
    PUMPS,
    TUYA,
    VALVES,
    Shelf,
    gateways,
    lamps,
    pumps,
    put,
    turbines,
)
from bot.playground.page.clouds import aliyun, enos, tuya
from bot.playground.page.page import Page
from bot.playground.page.panel import Panel
from bot.playground.slack.local_slack import LocalSlack
from bot.wiring.bot import Bot

JOB: Final = PUMPS.job
"""The job with a bad image that everything here begins with."""
ANN: Final = "U0ANN"
BEN: Final = "U0BEN"
GUS: Final = "U0GUS"
LEA: Final = "U0LEA"
OPS: Final = "C0OPS"
AUDIT: Final = "C0AUDIT"
CAST: Final[Mapping[str, str]] = {
    ANN: "on call: may order",
    LEA: "leads: may approve",
    BEN: "in the channel only",
    GUS: "guest",
}
"""Whom one may act as on the page, and what they may do."""
HOME: Final = True
"""Whether the app has a Home tab, as manifest.yml says; a test holds it."""
SHORTCUTS: Final[Mapping[str, str]] = {"cancel_form": "Cancel OTA tasks"}
"""The app's global shortcuts, names by callback_id, as manifest.yml says; a test holds it."""
SECRETS: Final[Mapping[str, str]] = {
    "SLACK_BOT_TOKEN": "xoxb-local",
    "SLACK_APP_TOKEN": "xapp-local",
    "ALIYUN_KEY_ID": "LTAIplayground",
    "ALIYUN_KEY_SECRET": "playground-key-secret",
    "TUYA_KEY_ID": "playgroundtuya",
    "TUYA_KEY_SECRET": "playground-tuya-secret",
    "ENOS_APP_KEY": "playground-app-key",
    "ENOS_APP_SECRET": "playground-app-secret",
}
ORG: Final = "o15playground"
"""The organization on EnOS."""

CONFIG: Final = """\
database = "ota-bot.db"
audit_channel = "C0AUDIT"

[slack]
api_url = "{slack}"

[approval]
break_glass = ["U0ANN"]
window = "1s"  # what one person ran alone is soon forgotten here, so that one can go on trying

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
CONFIG_TUYA: Final = """
[accounts.lamps]
cloud = "tuya"
endpoint = "{cloud}"
key_id = "env:TUYA_KEY_ID"
key_secret = "env:TUYA_KEY_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
"""
CONFIG_ENOS: Final = """
[accounts.wind]
cloud = "enos"
endpoint = "{cloud}"
org = "{org}"
key_id = "env:ENOS_APP_KEY"
key_secret = "env:ENOS_APP_SECRET"
channels = ["C0OPS"]
requesters = ["S0ONCALL"]
approvers = ["S0LEADS"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A local Slack and simulated clouds, running, with people and jobs in them; `cloud` is Alibaba's."""

    slack: LocalSlack
    cloud: AliyunCloud
    tuya: TuyaCloud | None = None
    enos: EnosCloud | None = None

    def populate(self) -> None:
        """Put the people, the channels and one job with a bad image into it, and let Slack keep to its rates."""
        self.slack.enforce_rates = True
        for user, name, guest in ((ANN, "ann", False), (BEN, "ben", False), (LEA, "lea", False), (GUS, "gus", True)):
            self.slack.add_user(user, name, is_restricted=guest)
        self.slack.add_group("S0ONCALL", "oncall", [ANN])
        self.slack.add_group("S0LEADS", "leads", [LEA])
        everyone = [ANN, BEN, GUS, LEA]
        self.slack.add_channel(OPS, "ota-ops", everyone)
        self.slack.add_channel(AUDIT, "ota-audit", everyone)
        put(self.cloud.fleet, PUMPS)

    def settings(self, folder: Path) -> Settings:
        """Write the configuration into `folder` and load it, as `ota-bot run` would."""
        config = folder / "ota-bot.toml"
        written = CONFIG.format(slack=self.slack.api_url, cloud=self.cloud.url)
        if self.tuya is not None:
            written += CONFIG_TUYA.format(cloud=self.tuya.url)
        if self.enos is not None:
            written += CONFIG_ENOS.format(cloud=self.enos.url, org=ORG)
        config.write_text(written)
        return load(config, SECRETS, needs=frozenset({Need.SLACK, Need.CLOUDS}))


class World:
    """The stage with the real bot connected to it over real sockets; a context manager. `ready` is the bot's line."""

    def __init__(self, *, port: int = 0) -> None:
        self.aliyun = AliyunCloud(keys={SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]})
        self.tuya = TuyaCloud(keys={SECRETS["TUYA_KEY_ID"]: SECRETS["TUYA_KEY_SECRET"]})
        self.enos = EnosCloud(keys={SECRETS["ENOS_APP_KEY"]: SECRETS["ENOS_APP_SECRET"]}, org_id=ORG)
        shelves = (
            Shelf(self.aliyun.fleet, ALIYUN, pumps),
            Shelf(self.tuya.fleet, TUYA, lamps),
            Shelf(self.enos.fleet, ENOS, turbines),
        )
        self._shelves = shelves
        panel = Panel(
            aliyun(self.aliyun, notes=shelves[0].notes, draining=(VALVES.job,), another=shelves[0].another),
            tuya(self.tuya, notes=shelves[1].notes, another=shelves[1].another),
            enos(self.enos, notes=shelves[2].notes, another=shelves[2].another),
            suggestions=self.suggestions,
        )
        self._page = Page(slack=lambda: self.stage.slack, panel=panel, cast=CAST, has_home=HOME, shortcuts=SHORTCUTS)
        slack = LocalSlack(
            port=port,
            bot_token=SECRETS["SLACK_BOT_TOKEN"],
            app_token=SECRETS["SLACK_APP_TOKEN"],
            extra_routes=self._page.routes,
        )
        self.stage = Stage(slack=slack, cloud=self.aliyun, tuya=self.tuya, enos=self.enos)
        self._folder = tempfile.TemporaryDirectory(prefix="ota-bot-demo-")
        self._open = ExitStack()
        self.ready = ""

    @property
    def folder(self) -> Path:
        """Where the configuration and the ledger lie."""
        return Path(self._folder.name)

    def another(self) -> None:
        """Put one more small job into each cloud, because what is cancelled stays cancelled."""
        for shelf in self._shelves:
            shelf.another()

    def suggestions(self) -> list[str]:
        """Return words to try: one order of each cloud, while something waits there, and one that stops a batch."""
        found = [*(shelf.suggestion() for shelf in self._shelves), gateways(self.aliyun.fleet)]
        return [words for words in found if words is not None]

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.callback(self._folder.cleanup)
            opening.enter_context(self.stage.slack)
            for cloud in (self.aliyun, self.tuya, self.enos):
                opening.enter_context(cloud)
            opening.callback(self._page.close)
            self.stage.populate()
            for shelf in self._shelves:
                shelf.fill()
            for user in CAST:
                self.stage.slack.direct(user)
            halt = Halt()
            bot = Bot(self.stage.settings(self.folder), halt=halt)
            opening.callback(bot.stop)
            opening.callback(halt.ask)
            self.ready = bot.start()
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
