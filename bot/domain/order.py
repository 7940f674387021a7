"""The orders that the typed words stand for: what somebody asks, before any cloud is looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from bot.domain.events import whole
from bot.domain.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelJob:
    """Cancel a job's tasks in the named statuses."""

    job: str
    statuses: tuple[Status, ...] = ()
    """In the order of `Status`, each once; empty means "show me the counts and the choices"."""
    account: str | None = None
    reason: str | None = None
    verb: Literal["job"] = "job"


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of names that lies in the ledger's table of lists: events and states carry this and not the names."""

    sha256: str
    count: int


def listed(names: Iterable[str]) -> Listed:
    """Return what stands for `names` (sorted, each once): SHA-256 of them, one a line."""
    lines = tuple(names)
    return Listed(sha256(whole("\n".join(lines)).encode()).hexdigest(), len(lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDevices:
    """Cancel the named devices' tasks, of one job or of one firmware; exactly one of the two is given."""

    names: tuple[str, ...] = ()
    """Sorted, each once; empty in the ledger, where `listed` stands for them."""
    listed: Listed | None = None
    file: str | None = None
    """The file in Slack that the names are still to be read from."""
    job: str | None = None
    product: str | None = None
    firmware: str | None = None
    account: str | None = None
    reason: str | None = None
    verb: Literal["devices"] = "devices"

    @property
    def count(self) -> int:
        """How many devices are named."""
        return self.listed.count if self.listed else len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelStrategy:
    """Stop a dynamic batch, and then its waiting tasks in the named statuses, where any are named."""

    job: str
    statuses: tuple[Status, ...] = ()
    """In the order of `Status`, each once."""
    account: str | None = None
    reason: str | None = None
    verb: Literal["strategy"] = "strategy"


Cancel = CancelJob | CancelDevices | CancelStrategy
"""The orders that lead to a cancellation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPreview:
    """Show what an order would hit, and change nothing."""

    order: Cancel
    verb: Literal["preview"] = "preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskJobs:
    """Show an account's running batches."""

    account: str | None = None
    verb: Literal["jobs"] = "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskList:
    """Show the latest cancellations."""

    verb: Literal["list"] = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPending:
    """Show the cancellations that wait for somebody."""

    verb: Literal["pending"] = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskShow:
    """Show one cancellation."""

    id: int
    verb: Literal["show"] = "show"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOne:
    """Stop one cancellation's run."""

    id: int
    verb: Literal["stop"] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOne:
    """Order again what one cancellation left over."""

    id: int
    verb: Literal["retry"] = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHelp:
    """Show the words."""

    verb: Literal["help"] = "help"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenForm:
    """Open the form: nothing was typed."""

    verb: Literal["form"] = "form"


Order = (
    CancelJob
    | CancelDevices
    | CancelStrategy
    | AskPreview
    | AskJobs
    | AskList
    | AskPending
    | AskShow
    | StopOne
    | RetryOne
    | AskHelp
    | OpenForm
)
"""Everything that can be typed; `verb` tells them apart."""
