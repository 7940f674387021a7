"""A configured cloud account, and the approval rules that hold on it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256

from bot.domain.secret import Secret


class Cloud(StrEnum):
    """The clouds the bot can cancel on."""

    ALIYUN = "aliyun"
    TUYA = "tuya"
    ENOS = "enos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """When a second person is needed, and how long answers are waited for (contract: `[approval]`)."""

    above: int = 100
    """More devices than this need a second person; an unknown size counts as more."""
    always: tuple[str, ...] = ("in-progress",)
    """Status words, or "strategy", that always need one."""
    people: int = 1
    """How many distinct approvers besides the requester."""
    expires: timedelta = timedelta(minutes=30)
    """Unanswered for so long is denied."""
    run_within: timedelta = timedelta(minutes=15)
    """Approved and not started, or a run without progress, for so long is void."""
    window: timedelta = timedelta(hours=1)
    """What one person ran alone on one quota within this time is added up."""
    break_glass: tuple[str, ...] = ()
    """Actors who may go on without approvers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qps:
    """Calls a second that the cloud grants each operation; `query` is for each read operation by itself."""

    job: float
    devices: float
    strategy: float
    query: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One cloud account, as configured (contract: `[accounts.<name>]`)."""

    name: str
    cloud: Cloud
    endpoint: str
    """Scheme, host and port, without a trailing slash; made from `region` where that was given."""
    region: str | None = None
    instance: str | None = None
    org: str | None = None
    key_id: Secret
    key_secret: Secret
    security_token: Secret | None = None
    quota: str
    channels: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    default: bool = False
    qps: Qps
    names_per_call: int
    omit: tuple[str, ...] = ()
    """Common parameters that are not sent: what Tuya's documents leave open can be turned off."""
    approval: Approval

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Everything that must be hidden in what this account's cloud says."""
        given = (self.key_id, self.key_secret, self.security_token)
        return tuple(secret for secret in given if secret is not None)

    @property
    def key(self) -> str:
        """A fingerprint of the key id: binds a plan to the key without storing the key."""
        return sha256(self.key_id.reveal().encode()).hexdigest()[:16]
