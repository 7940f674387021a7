"""The values of a fleet: firmwares, upgrade jobs, and the tasks of devices."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class UnknownJobError(LookupError):
    """No job has this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """An image that jobs bring to devices."""

    firmware_id: str
    name: str
    product_key: str
    version: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An upgrade batch as it is now; its tasks are the fleet's.

    Into a dynamic job that runs, `joining` devices come each second. With `retry`, what failed is tried again.
    """

    job_id: str
    name: str
    product_key: str
    firmware_id: str
    dest_version: str
    selection: str
    status: str
    created: datetime
    joining: float = 0.0
    retry: bool = False


class Group(NamedTuple):
    """Tasks that are alike but for their device; `canceled` are those that a person cancelled."""

    status: str
    canceled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One device's task, as a list operation shows it."""

    job: Job
    device: str
    group: Group
    changed: datetime

    @property
    def status(self) -> str:
        """Return the vendor's status."""
        return self.group.status
