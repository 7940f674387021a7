"""The orders that the typed words stand for: what somebody asks, before any cloud is looked at."""

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDevices:
    """Cancel the named devices' tasks, of one job or of one firmware; exactly one of the two is given."""

    names: tuple[str, ...]
    """Sorted, each once."""
    job: str | None = None
    product: str | None = None
    firmware: str | None = None
    account: str | None = None
    reason: str | None = None
    verb: Literal["devices"] = "devices"


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
