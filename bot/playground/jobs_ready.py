"""The jobs that are there to try things on, on each simulated cloud, and the words to try on them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bot.playground.cloud.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A job that is there to try things on; `counts` are tasks by the vendor's status.

    `again` is the id of the job that takes its place once it was cancelled, with room for a number.
    """

    job: str
    note: str
    name: str
    version: str
    counts: Mapping[str, int]
    firmware: str = "T0F5b5tpFnHQrgfk030100"
    product: str = "a1V4kdeABCD"
    selection: str = "STATIC"
    status: str = "IN_PROGRESS"
    device: str = "device"
    again: str = ""


PUMPS: Final = Ready(
    job="7glPHmaDYLAYMD1HHutT02",
    note="small",
    name="pumps to 1.4.2",
    version="1.4.2",
    counts={"CONFIRM": 7, "QUEUED": 40, "NOTIFIED": 12, "IN_PROGRESS": 5},
    again="aGn{:02d}Kq7TzRw4XbN9vHc0",
)
VALVES: Final = Ready(
    job="drNs4Vq0LmYtB7xWc2aE03",
    note="drains live",
    name="valves to 3.0.1",
    version="3.0.1",
    firmware="T0Fv3o1sVaLvEs8k030100",
    counts={"CONFIRM": 30, "QUEUED": 400, "NOTIFIED": 40, "IN_PROGRESS": 12, "SUCCEEDED": 118},
)
METERS: Final = Ready(
    job="Lg20kZr8TnQwHf5uSd9iM1",
    note="large",
    name="meters to 5.2.0",
    version="5.2.0",
    firmware="T0Fm5e2tMeTeRs4j030100",
    counts={"CONFIRM": 1200, "QUEUED": 15000, "NOTIFIED": 3000, "IN_PROGRESS": 800},
)
GATEWAYS: Final = Ready(
    job="dYn6Gp3XoJkUe1vRzA8bC4",
    note="dynamic batch",
    name="gateways to 2.7.0",
    version="2.7.0",
    firmware="T0Fg2a7tGaTeWy6h030100",
    counts={"QUEUED": 60, "NOTIFIED": 15, "SUCCEEDED": 240},
    selection="DYNAMIC",
)
ALIYUN: Final = (
    PUMPS,
    VALVES,
    METERS,
    GATEWAYS,
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
LAMPS: Final = Ready(
    job="tLm5Wd8QyRk2NsVj4ZpB61",
    note="small",
    name="lamps to 2.0.3",
    version="2.0.3",
    firmware="T0Fl2a0mLaMpS3b030100",
    product="p1lAmPsKeY0",
    counts={"CONFIRM": 4, "QUEUED": 22, "NOTIFIED": 9, "IN_PROGRESS": 3},
    device="lamp",
    again="tLm{:02d}Yh3CxGw9FqT6uSe2",
)
TUYA: Final = (LAMPS,)
TURBINES: Final = Ready(
    job="wTb3Jk9SvCq7MxPd1HgN58",
    note="small",
    name="turbines to 4.1.0",
    version="4.1.0",
    firmware="fw-4-1-0",
    product="wInDpRoD",
    selection="snapshot",
    status="started",
    counts={"init": 18, "published": 6, "upgrading": 2, "succeeded": 31},
    device="turbine",
    again="wTb{:02d}Rf5BzLn8DyKe0aWu",
)
ENOS: Final = (TURBINES,)


def put(fleet: Fleet, ready: Ready) -> None:
    """Put a job into a simulated cloud."""
    fleet.add_job(
        ready.job,
        name=ready.name,
        dest_version=ready.version,
        counts=ready.counts,
        product_key=ready.product,
        selection=ready.selection,
        job_status=ready.status,
        firmware_id=ready.firmware,
        device_prefix=ready.device,
    )


Words = Callable[[str, Fleet], str]
"""Makes the words to try on a job of a fleet."""


class Shelf:
    """A simulated cloud's jobs to try things on: the first is the small one, of which there may be more."""

    def __init__(self, fleet: Fleet, jobs: tuple[Ready, ...], words: Words) -> None:
        self._fleet = fleet
        self._jobs = jobs
        self._words = words
        self.notes = {ready.job: ready.note for ready in jobs}
        """What each job is there for."""

    def fill(self) -> None:
        """Put all jobs into the cloud."""
        for ready in self._jobs:
            put(self._fleet, ready)

    def another(self) -> None:
        """Put one more small job there, because what is cancelled stays cancelled."""
        small = self._jobs[0]
        number = 1 + list(self.notes.values()).count(small.note)
        again = replace(small, job=small.again.format(number), name=f"{small.name}, wave {number}")
        put(self._fleet, again)
        self.notes[again.job] = again.note

    def suggestion(self) -> str | None:
        """Return the words that cancel on the newest small job on which something waits, or None."""
        small = [job.job_id for job in self._fleet.jobs() if self.notes.get(job.job_id) == self._jobs[0].note]
        waiting = [job for job in small if self._fleet.devices(job, waits(self._fleet))]
        return self._words(waiting[-1], self._fleet) if waiting else None


def waits(fleet: Fleet) -> str:
    """Return the cloud's own word for tasks that wait to be pushed."""
    return next(status for status in fleet.live if status in {"QUEUED", "init"})


def pumps(job: str, _fleet: Fleet) -> str:
    """Cancel a job's waiting tasks on Alibaba Cloud."""
    return f"job {job} queued,notified because 1.4.2 bricks pumps"


def lamps(job: str, fleet: Fleet) -> str:
    """Cancel two devices' tasks on Tuya."""
    return f"devices {','.join(fleet.devices(job, waits(fleet))[:2])} job {job} on lamps because they flicker"


def turbines(job: str, _fleet: Fleet) -> str:
    """Cancel a job's waiting tasks on EnOS."""
    return f"job {job} queued,notified on wind because 4.1.0 stalls turbines"


def gateways(fleet: Fleet) -> str | None:
    """Stop the dynamic batch on Alibaba Cloud, while it runs."""
    running = any(job.job_id == GATEWAYS.job and job.status == fleet.running for job in fleet.jobs())
    return f"strategy {GATEWAYS.job} because no more gateways may join" if running else None
