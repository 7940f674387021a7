"""The tree of errors that a person may meet.

Error
├── UsageError     the words were wrong; nothing was stored
├── ConfigError    the configuration is wrong; nothing was started
├── CloudError     a cloud could not be read
├── DirectoryError Slack could not say who somebody is
├── LedgerError    the ledger could not be read or written
└── TamperedError     the ledger's chain does not hold
"""

from collections.abc import Callable
from functools import partial
from typing import Final


class Error(Exception):
    """A sentence for a person: what happened, what was changed, what to do next."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class ConfigError(Error):
    """Every problem of a configuration at once."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CloudError(Error):
    """A cloud refused a read, or gave no usable answer to it."""

    def __init__(
        self, message: str, *, code: str = "", request_id: str = "", advice: str = "", final: bool = False
    ) -> None:
        super().__init__(message, advice=advice)
        self.code = code
        self.request_id = request_id
        self.final = final
        """Whether the cloud said no: asking again as it is would be no use."""


class DirectoryError(Error):
    """It could not be learnt who a person is or what they belong to."""


class LedgerError(Error):
    """The ledger could not be opened, read or written."""


STRANGE: Final = "it holds what the ledger never writes"
"""What is said of an event whose columns or body are not of its kind's form."""


class TamperedError(Error):
    """The chain does not hold at one event."""

    def __init__(self, message: str, *, event: int | None) -> None:
        super().__init__(message)
        self.event = event

    def __reduce__(self) -> tuple[Callable[..., "TamperedError"], tuple[()]]:
        """Let it pass from a process to another one."""
        return partial(TamperedError, self.message, event=self.event), ()


class UsageError(Error):
    """The typed words do not make an order."""

    def __init__(self, message: str, *, word: str = "", nearest: str = "") -> None:
        super().__init__(message)
        self.word = word
        self.nearest = nearest
