"""What goes wrong between the bot and each cloud: the right devices are cancelled, once, and the card says it right."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bot.playground.cloud.fleet import Fleet
from tests.journeys.plant import CANCEL_DEVICES, CANCEL_TASKS, Plant, names
from tests.journeys.stage import until

BY_JOB: Final = "CancelOTATaskByJob"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Give all three clouds and the bot in this process; each test has a job of its own."""
    with Plant(tmp_path_factory.mktemp("mishaps")) as plant, plant.hosted():
        yield plant


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of six devices that wait, on an account; `action` is what cancels there."""

    account: str
    words: str
    action: str

    def prepare(self, fleet: Fleet, job: str) -> list[str]:
        """Put a job there and return its devices that the order is for: six wait, and two are at work."""
        waiting, working = ("init", "upgrading") if self.account == "wind" else ("QUEUED", "IN_PROGRESS")
        fleet.add_job(job, counts={waiting: 6, working: 2}, device_prefix="d")
        return fleet.devices(job, waiting)

    def typed(self, job: str, devices: list[str]) -> str:
        """Return the words for that job."""
        return f"{self.words.format(job=job, devices=','.join(devices))} on {self.account} because it bricks"


ORDERS: Final = {
    "aliyun-job": Order(account="pumps", words="job {job} queued", action=BY_JOB),
    "aliyun-devices": Order(account="pumps", words="devices {devices} job {job}", action=CANCEL_DEVICES),
    "tuya-job": Order(account="lamps", words="job {job} queued", action=BY_JOB),
    "tuya-devices": Order(account="lamps", words="devices {devices} job {job}", action=CANCEL_DEVICES),
    "enos-job": Order(account="wind", words="job {job} queued", action=CANCEL_TASKS),
    "enos-devices": Order(account="wind", words="devices {devices} job {job}", action=CANCEL_TASKS),
}
RPC: Final = tuple(name for name in ORDERS if not name.startswith("enos"))
ENOS: Final = tuple(name for name in ORDERS if name.startswith("enos"))
LOST: Final = "attempt 1: unknown. NoAnswer"
MISHAPS: Final = (
    # Each: where, the faults that the calls meet one after another, and what the thread says of the first.
    (tuple(ORDERS), ("drop_before",), LOST),
    (tuple(ORDERS), ("drop_after",), LOST),
    (tuple(ORDERS), ("http_502_html",), "attempt 1: unknown. HTTP 502"),
    (tuple(ORDERS), ("http_503",), "attempt 1: unknown."),
    (RPC, ("throttle",), "attempt 1: failed. Throttling.User"),
    (RPC, ("system_exception",), "attempt 1: unknown. iot.system.SystemException"),
    (RPC, ("system_exception_after",), "attempt 1: unknown. iot.system.SystemException"),
    (RPC, ("drop_before", "nonce_used_after"), "attempt 2: unknown. SignatureNonceUsed"),
    (RPC, ("drop_before", "nonce_used"), "attempt 2: unknown. SignatureNonceUsed"),
    (ENOS, ("throttle",), "attempt 1: failed. HTTP 429"),
    (ENOS, ("http_401",), "attempt 1: failed. HTTP 401"),
    (ENOS, ("system_exception_after",), "attempt 1: unknown. 99500"),
    (ENOS, ("service_error",), "attempt 1: unknown. 24500"),
)


PLAYED: Final = tuple((which, faults, told) for orders, faults, told in MISHAPS for which in orders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an order that met a mishap ended."""

    devices: list[str]
    canceled: dict[str, int]
    shown: str
    told: str
    buttons: int


Ends = Callable[[str, tuple[str, ...]], Ended]
"""Returns how an order of a kind ended that met some faults."""


def play(plant: Plant, which: str, faults: tuple[str, ...]) -> Ended:
    """Order, let the calls meet the faults, and wait for the end."""
    order, job = ORDERS[which], f"{which}-{'-'.join(faults)}".replace("_", "-")
    cloud = plant.on(order.account)
    devices = order.prepare(cloud.fleet, job)
    number = plant.ordered(order.typed(job, devices))
    for kind in faults:
        cloud.faults.add(kind, order.action)
    card = plant.confirm(number)
    return Ended(
        devices=devices,
        canceled=dict(cloud.fleet.canceled(job)),
        shown=plant.slack.plain(card),
        told=plant.said_below(card),
        buttons=len(card.buttons),
    )


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    """Play everything: each kind of order in a world of its own, because a fault meets whichever call comes next.

    A play takes seconds, for the pauses between attempts and Slack's pace of a message a second; a test waits for its
    own alone.
    """
    folder = tmp_path_factory.mktemp("each")
    plays: dict[tuple[str, tuple[str, ...]], Future[Ended]] = {(which, faults): Future() for which, faults, _ in PLAYED}
    with ThreadPoolExecutor(len(ORDERS), thread_name_prefix="world") as pool:
        worlds = []
        for which in ORDERS:
            mine = {faults: play for (one, faults), play in plays.items() if one == which}
            worlds.append(pool.submit(_world, folder / which, which, mine))
        yield lambda which, faults: plays[which, faults].result()
        for world in worlds:
            world.result()


def _world(folder: Path, which: str, plays: Mapping[tuple[str, ...], Future[Ended]]) -> None:
    """Play what an order of one kind may meet, one after another; what goes wrong is for the test to raise."""
    folder.mkdir()
    try:
        with Plant(folder) as plant, plant.hosted():
            for faults, found in plays.items():
                try:
                    found.set_result(play(plant, which, faults))
                except Exception as error:  # noqa: BLE001 - the test of this one raises it
                    found.set_exception(error)
                    plant.on(ORDERS[which].account).faults.clear()
    except Exception as error:
        for found in plays.values():
            if not found.done():
                found.set_exception(error)
        raise


@pytest.mark.parametrize(
    ("which", "faults", "told"), [pytest.param(*one, id=f"{one[0]}-{'-'.join(one[1])}") for one in PLAYED]
)
def test_what_can_be_mended_is(ends: Ends, which: str, faults: tuple[str, ...], told: str) -> None:
    """Whatever a call meets on its way, exactly the devices named are cancelled, each once, and the card says so."""
    ended = ends(which, faults)

    assert dict.fromkeys(ended.devices, 1) == ended.canceled
    assert "asked 6 · accepted 6 · confirmed 6 · left 0" in ended.shown
    assert told in ended.told
    assert 0 == ended.buttons


def test_a_token_runs_out_in_the_middle(plant: Plant) -> None:
    """When EnOS's tokens end between two calls of a batch, a new one is fetched and every device is cancelled once."""
    fleet = plant.enos.fleet
    fleet.add_job("enos-token", counts={"init": 700}, device_prefix="mill")
    number = plant.ordered("job enos-token queued on wind")
    plant.slack.press("U0ANN", plant.card(number), "confirm")
    until(lambda: plant.calls("wind", "enos-token"))
    plant.enos.expire_tokens()

    card = plant.card_in("Done", number)

    calls = plant.calls("wind", "enos-token")
    assert {f"mill-{number:06d}": 1 for number in range(1, 701)} == fleet.canceled("enos-token")
    assert "asked 700 · accepted 700 · confirmed 700 · left 0" in plant.slack.plain(card)
    assert "401" in {arrival.code for arrival in plant.enos.arrivals}
    assert 14 == len([call for call in calls if not call.code])


def test_devices_that_moved_on_are_left_out(plant: Plant) -> None:
    """EnOS refuses a call with one device that is at work: the others are sent, and the card tells of that one."""
    fleet = plant.enos.fleet
    fleet.add_job("enos-moved", counts={"init": 1, "published": 6}, device_prefix="mill")
    number = plant.ordered("job enos-moved queued,notified on wind")
    fleet.drain("enos-moved", 1)

    card = plant.confirm(number)

    assert {"upgrading": 1, "failed": 6} == fleet.counts("enos-moved")
    assert [6] == [len(names(call)) for call in plant.calls("wind", "enos-moved")]
    assert "accepted 6 · confirmed 6" in plant.slack.plain(card)
    assert "moved on before their call 1" in plant.slack.plain(card)


@pytest.mark.parametrize(
    ("account", "words", "fault", "code"),
    [
        ("pumps", "job {} queued", "signature_refused", "SignatureDoesNotMatch"),
        ("pumps", "strategy {}", "permission_refused", "Forbidden.RAM"),
        ("lamps", "devices d-000001 job {} on lamps", "signature_refused", "SignatureDoesNotMatch"),
        ("wind", "job {} queued on wind", "permission_refused", "99403"),
        ("wind", "job {} queued on wind", "http_403", "HTTP 403"),
    ],
)
def test_what_is_refused_fails(plant: Plant, account: str, words: str, fault: str, code: str) -> None:
    """A call that the cloud refuses for good is not sent again: the card says Failed, why, and what to do."""
    cloud, job = plant.on(account), f"refused-{len(plant.on(account).fleet.jobs())}"
    waiting = "init" if account == "wind" else "QUEUED"
    cloud.fleet.add_job(job, counts={waiting: 2}, selection="DYNAMIC", device_prefix="d")
    number = plant.ordered(words.format(job))
    cloud.faults.add(fault, "[Cc]ancel*")

    card = plant.confirm(number, "Failed")

    shown = plant.slack.plain(card)
    assert (1, {waiting: 2}) == (len(plant.calls(account, job)), cloud.fleet.counts(job))
    assert f"Call 1, attempt 1, not taken: {code}" in shown
    assert "AccessKeyId" not in shown
    assert ["retry"] == [button.action_id for button in card.buttons]
    assert "AccessKeyId" not in plant.said_below(card)
