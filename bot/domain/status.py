"""The five status words of an unfinished task, and how tasks flow from one to the next."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """What an unfinished task is doing, in the words people type (contract: "The words")."""

    SCHEDULED = "scheduled"
    """Waits for the start time of a scheduled batch."""
    UNCONFIRMED = "unconfirmed"
    """Waits for the device's owner to confirm it."""
    QUEUED = "queued"
    """Waits to be pushed."""
    NOTIFIED = "notified"
    """Pushed; the device has not begun."""
    IN_PROGRESS = "in-progress"
    """The device is flashing it."""


FLOW: Final = (Status.UNCONFIRMED, Status.QUEUED, Status.NOTIFIED, Status.IN_PROGRESS)
"""The order in which a task passes through the statuses while nobody touches it."""


def flows_into(named: frozenset[Status]) -> frozenset[Status]:
    """Return `named` and every status whose tasks will reach one of them by themselves.

    A live job drains while people decide, so the number of devices hit by a cancel may grow up to the tasks of all
    these statuses, and not beyond. Nothing flows into `scheduled`: it is a whole batch before its start.
    """
    last = max((FLOW.index(status) for status in named if status in FLOW), default=-1)
    return named | frozenset(FLOW[: last + 1])
