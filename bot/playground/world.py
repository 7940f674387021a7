"""A small company to try the bot in: people, channels, a cloud with pumps, and the bot configured for them."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.config import Need, Settings, load
from bot.engine.keeper import Halt
from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.page.page import Page
from bot.playground.page.panel import Panel, aliyun
from bot.playground.slack.local_slack import LocalSlack
from bot.wiring import Bot

JOB: Final = "7glPHmaDYLAYMD1HHutT02"
"""The job with a bad image that everything here is about."""
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
HOME: Final = False
"""Whether the app has a Home tab, as manifest.yml says; a test holds it."""
SHORTCUTS: Final[Mapping[str, str]] = {}
"""The app's global shortcuts, names by callback_id, as manifest.yml says; a test holds it."""
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

[approval]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A job that is there to try things on; `counts` are tasks by Alibaba's status."""

    job: str
    note: str
    name: str
    version: str
    counts: Mapping[str, int]
    firmware: str = "T0F5b5tpFnHQrgfk030100"
    selection: str = "STATIC"
    status: str = "IN_PROGRESS"


SMALL: Final = Ready(
    job=JOB,
    note="small",
    name="pumps to 1.4.2",
    version="1.4.2",
    counts={"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5},
)
DRAINING: Final = Ready(
    job="drNs4Vq0LmYtB7xWc2aE03",
    note="drains live",
    name="valves to 3.0.1",
    version="3.0.1",
    firmware="T0Fv3o1sVaLvEs8k030100",
    counts={"CONFIRM": 30, "QUEUED": 400, "NOTIFIED": 40, "IN_PROGRESS": 12, "SUCCEEDED": 118},
)
JOBS: Final = (
    DRAINING,
    Ready(
        job="Lg20kZr8TnQwHf5uSd9iM1",
        note="large",
        name="meters to 5.2.0",
        version="5.2.0",
        firmware="T0Fm5e2tMeTeRs4j030100",
        counts={"CONFIRM": 1200, "QUEUED": 15000, "NOTIFIED": 3000, "IN_PROGRESS": 800},
    ),
    Ready(
        job="dYn6Gp3XoJkUe1vRzA8bC4",
        note="dynamic batch",
        name="gateways to 2.7.0",
        version="2.7.0",
        firmware="T0Fg2a7tGaTeWy6h030100",
        counts={"QUEUED": 60, "NOTIFIED": 15, "SUCCEEDED": 240},
        selection="DYNAMIC",
    ),
    Ready(
        job="fIn9Hs5WyDiPl0gKt2mN77",
        note="already finished",
        name="sensors to 1.1.0",
        version="1.1.0",
        firmware="T0Fs1e1nSeNsOr2d030100",
        counts={"SUCCEEDED": 236, "FAILED": 4},
        status="COMPLETED",
    ),
)
"""What the page offers beside the small job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A local Slack and a simulated cloud, running, with people and jobs in them."""

    slack: LocalSlack
    cloud: AliyunCloud

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
        self.add(SMALL)

    def add(self, ready: Ready) -> None:
        """Put a job into the cloud."""
        self.cloud.fleet.add_job(
            ready.job,
            name=ready.name,
            dest_version=ready.version,
            counts=ready.counts,
            selection=ready.selection,
            job_status=ready.status,
            firmware_id=ready.firmware,
        )

    def settings(self, folder: Path) -> Settings:
        """Write the configuration into `folder` and load it, as `ota-bot run` would."""
        config = folder / "ota-bot.toml"
        config.write_text(CONFIG.format(slack=self.slack.api_url, cloud=self.cloud.url))
        return load(config, SECRETS, needs=frozenset({Need.SLACK, Need.CLOUDS}))


class World:
    """The stage with the real bot connected to it over real sockets; a context manager. `ready` is the bot's line."""

    def __init__(self, *, port: int = 0) -> None:
        cloud = AliyunCloud(keys={SECRETS["ALIYUN_KEY_ID"]: SECRETS["ALIYUN_KEY_SECRET"]})
        self._notes = {ready.job: ready.note for ready in (SMALL, *JOBS)}
        # Further clouds stand beside this one, each with its own jobs, calls and dials.
        clouds = (aliyun(cloud, notes=self._notes, draining=(DRAINING.job,), another=self.another),)
        panel = Panel(*clouds, suggestion=self.suggestion)
        self._page = Page(slack=lambda: self.stage.slack, panel=panel, cast=CAST, has_home=HOME, shortcuts=SHORTCUTS)
        slack = LocalSlack(
            port=port,
            bot_token=SECRETS["SLACK_BOT_TOKEN"],
            app_token=SECRETS["SLACK_APP_TOKEN"],
            extra_routes=self._page.routes,
        )
        self.stage = Stage(slack=slack, cloud=cloud)
        self._folder = tempfile.TemporaryDirectory(prefix="ota-bot-demo-")
        self._open = ExitStack()
        self.ready = ""

    @property
    def folder(self) -> Path:
        """Where the configuration and the ledger lie."""
        return Path(self._folder.name)

    def another(self) -> None:
        """Put one more small job into the cloud, because what is cancelled stays cancelled."""
        number = 1 + list(self._notes.values()).count(SMALL.note)
        again = replace(SMALL, job=f"aGn{number:02d}Kq7TzRw4XbN9vHc0", name=f"{SMALL.name}, wave {number}")
        self.stage.add(again)
        self._notes[again.job] = again.note

    def suggestion(self) -> str | None:
        """Return the words that cancel the newest small job of which something waits, or None."""
        fleet = self.stage.cloud.fleet
        small = [job.job_id for job in fleet.jobs() if self._notes.get(job.job_id) == SMALL.note]
        waiting = [job for job in small if fleet.counts(job)["QUEUED"]]
        return f"job {waiting[-1]} queued,notified because 1.4.2 bricks pumps" if waiting else None

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.callback(self._folder.cleanup)
            opening.enter_context(self.stage.slack)
            opening.enter_context(self.stage.cloud)
            opening.callback(self._page.close)
            self.stage.populate()
            for ready in JOBS:
                self.stage.add(ready)
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
