"""Puts the engine together: the ledger, the clouds and the directory, as the bot and the commands use them."""

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bot.clouds.aliyun import AliyunCloud
from bot.clouds.base import Cloud
from bot.clouds.enos import EnosCloud
from bot.clouds.health import AccountHttp, Health
from bot.clouds.http import Http
from bot.clouds.throttle import Throttle
from bot.clouds.tuya import TuyaCloud
from bot.config import Settings
from bot.domain.account import Account
from bot.domain.account import Cloud as CloudName
from bot.domain.errors import ConfigError
from bot.domain.guard import guard
from bot.engine.directory import Directory
from bot.engine.keeper import Halt
from bot.engine.rooms import Rooms
from bot.ledger.ledger import Ledger


def now() -> datetime:
    """Return the time: UTC, aware."""
    return datetime.now(UTC)


def open_ledger(settings: Settings, *, readonly: bool = False) -> Ledger:
    """Open the configured ledger."""
    if settings.database.startswith("postgresql://"):
        raise ConfigError(("database: this version keeps its ledger in SQLite; give the path of a file",))
    return Ledger.open(Path(settings.database), now=now, readonly=readonly)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The verbs, ready to use, and what has to be closed after them."""

    rooms: Rooms
    https: tuple[Http, ...]
    halt: Halt
    health: Health

    def close(self) -> None:
        """Close the connections to the clouds and the ledger."""
        for http in self.https:
            http.close()
        self.rooms.ledger.close()


def build_engine(settings: Settings, ledger: Ledger, directory: Directory, halt: Halt) -> Engine:
    """Put the clouds, the ledger and the directory together."""
    health = Health(now=now)
    throttle = Throttle(
        reserve=ledger.slots.reserve,
        push=ledger.slots.push,
        now=lambda: now().timestamp(),
        sleep=halt.sleep,
        nap=time.sleep,
        ahead=ledger.slots.ahead,
    )
    https = {name: AccountHttp(clock=time.monotonic, hear=partial(health.hear, name)) for name in settings.accounts}
    clouds = {
        name: _cloud(account, https[name], throttle, ledger.slots.ahead) for name, account in settings.accounts.items()
    }
    rooms = Rooms(
        ledger=ledger,
        accounts=settings.accounts,
        clouds=clouds,
        directory=directory,
        now=now,
        sleep=halt.sleep,
        owner=f"{os.getpid()}-{uuid.uuid4().hex[:12]}",
    )
    return Engine(rooms=rooms, https=tuple(https.values()), halt=halt, health=health)


def _cloud(account: Account, http: Http, throttle: Throttle, ahead: Callable[[str, str], float]) -> Cloud:
    if account.cloud is CloudName.ENOS:
        return EnosCloud(account, http=http, throttle=throttle, now=now, ahead=ahead)
    rpc = {CloudName.ALIYUN: AliyunCloud, CloudName.TUYA: TuyaCloud}[account.cloud]
    return rpc(account, http=http, throttle=throttle, now=now, nonce=lambda: str(uuid.uuid4()), ahead=ahead)


def keep_guards(ledger: Ledger, actor: str, settings: Settings) -> None:
    """Let the ledger see what guards the accounts now: a change since the last start is an event."""
    ledger.keep_guards(actor, {name: guard(account) for name, account in settings.accounts.items()})
