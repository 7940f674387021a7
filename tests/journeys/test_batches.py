"""Hundreds of devices: in calls of the cloud's size, from files, with what is left listed and asked again."""

from collections.abc import Iterator

import pytest

from bot.playground.slack.values import View
from bot.playground.world import ANN, BEN, OPS
from tests.journeys.plant import CANCEL_DEVICES, Plant, names
from tests.journeys.stage import PATIENCE


@pytest.fixture
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Give all three clouds and the bot in this process."""
    with Plant(tmp_path_factory.mktemp("batches")) as plant, plant.hosted():
        yield plant


def form(plant: Plant, **wanted: str) -> View:
    """Wait for Ann's form, with these options chosen at first."""

    def there() -> View | None:
        views = plant.slack.views(ANN)
        if not views or "submit" not in views[-1].body:
            return None
        elements = [block["element"] for block in views[-1].blocks if block["type"] == "input"]
        chosen = {one["action_id"]: one.get("initial_option", {}).get("value") for one in elements}
        return views[-1] if wanted.items() <= chosen.items() else None

    found = plant.slack.wait_for(there, PATIENCE)
    assert found is not None
    return found


def uploaded(plant: Plant, devices: list[str], job: str, *, account: str) -> int:
    """Order the cancel of devices in a file through the form; return its number."""
    plant.order("")
    view = form(plant)
    if account != "pumps":
        plant.slack.press(ANN, view, "account", account)
        view = form(plant, account=account)
    plant.slack.press(ANN, view, "operation", "devices", values={"account": account})
    view = form(plant, account=account, operation="devices")
    file = plant.slack.upload("devices.csv", "\r\n".join(["DeviceName", *devices]).encode(), ANN)
    sent = plant.slack.submit_view(ANN, view, {"file": [file], "job": job, "reason": "they leak"})
    assert (None, "") == (sent.failure, sent.shown)
    number = len(plant.events("requested"))
    plant.card_in("Waiting for confirmation", number)
    return number


def test_450_devices_are_three_calls(plant: Plant) -> None:
    """450 devices from an uploaded file go to Alibaba in three calls of at most 200 distinct names, and no other."""
    plant.cloud.fleet.add_job("batch", counts={"QUEUED": 500}, device_prefix="pump")
    devices = plant.cloud.fleet.devices("batch", "QUEUED")[:450]

    card = plant.confirm(uploaded(plant, devices, "batch", account="pumps"))

    calls = plant.calls("pumps", "batch")
    assert [50, 200, 200] == sorted(len(set(names(call))) for call in calls)
    assert dict.fromkeys(devices, 1) == plant.cloud.fleet.canceled("batch")
    assert "asked 450 · accepted 450 · confirmed 450 · left 0" in plant.slack.plain(card)


def test_what_one_failed_call_leaves_is_asked_again(plant: Plant) -> None:
    """One of three calls fails: Partly done, its names in a file in the thread; Ask again orders exactly those."""
    plant.cloud.fleet.add_job("batch", counts={"QUEUED": 450}, device_prefix="pump")
    devices = plant.cloud.fleet.devices("batch", "QUEUED")
    number = uploaded(plant, devices, "batch", account="pumps")
    plant.cloud.faults.add("parameter_refused", CANCEL_DEVICES)

    partly = plant.confirm(number, "Partly done")
    rows = plant.sheet(partly, f"not-cancelled-{number}.csv")
    left = [row["device"] for row in rows]
    (failed,) = [call for call in plant.calls("pumps", "batch") if call.code]
    told = plant.slack.press(ANN, partly, "retry")
    again = plant.card_in("Waiting for confirmation", number + 1)
    asked = plant.slack.plain(again)
    done = plant.confirm(number + 1)

    assert sorted(names(failed)) == left
    assert {("batch", "failed", "iot.common.InvalidFormattedParameter")} == {
        (row["job"], row["why"], row["code"]) for row in rows
    }
    assert f"asked 450 · accepted {450 - len(left)} · confirmed {450 - len(left)} · left {len(left)}" in (
        plant.slack.plain(partly)
    )
    assert None is told.failure
    assert f"{len(left)} devices of job batch" in asked
    assert left == sorted(names(plant.calls("pumps", "batch")[-1]))
    assert dict.fromkeys(devices, 1) == plant.cloud.fleet.canceled("batch")
    assert f"This is for what #{number} left over." in asked
    assert f"confirmed {len(left)} · left 0" in plant.slack.plain(done)


def test_what_was_asked_again_is_not_asked_twice(plant: Plant) -> None:
    """A second press of Ask again, or `retry`, shows the one that was opened; somebody not listed opens none."""
    plant.enos.fleet.add_job("mills", counts={"init": 3}, device_prefix="mill")
    number = plant.ordered("job mills queued on wind")
    plant.enos.faults.add("permission_refused", "cancelTask")
    failed = plant.confirm(number, "Failed")

    plant.slack.press(BEN, failed, "retry")
    refused = plant.slack.wait_for(lambda: plant.slack.ephemerals(BEN), PATIENCE)[-1]
    first = plant.order(f"retry {number}").shown
    plant.card_in("Waiting for confirmation", number + 1)
    second = plant.order(f"retry {number}").shown
    plant.confirm(number + 1)

    assert "Refused: not among the requesters of account wind" in refused.text
    assert f"#{number + 1}: asking again for what #{number} left." in first
    assert f"What #{number} left was asked for again already: #{number + 1}." in second
    assert 2 == len(plant.events("requested"))
    assert {"mill-000001": 1, "mill-000002": 1, "mill-000003": 1} == plant.enos.fleet.canceled("mills")


@pytest.mark.parametrize(("account", "waiting"), [("lamps", "QUEUED"), ("wind", "init")])
def test_a_file_of_names_on_the_other_clouds(plant: Plant, account: str, waiting: str) -> None:
    """A file of 120 names goes to Tuya and to EnOS in three calls of at most 50; who has no task is listed."""
    fleet = plant.on(account).fleet
    fleet.add_job("batch", counts={waiting: 130}, device_prefix="d")
    devices = fleet.devices("batch", waiting)[:120]
    ghosts = [f"ghost-{number}" for number in range(12)]

    number = uploaded(plant, [*devices, *ghosts], "batch", account=account)
    card = plant.confirm(number)

    assert [20, 50, 50] == sorted(len(set(names(call))) for call in plant.calls(account, "batch"))
    assert dict.fromkeys(devices, 1) == fleet.canceled("batch")
    assert "asked 120 · accepted 120 · confirmed 120 · left 0" in plant.slack.plain(card)
    assert sorted(ghosts) == [row["device"] for row in plant.sheet(card, f"left-out-{number}.csv")]


def test_a_bad_file_is_told(plant: Plant) -> None:
    """A file with what is no name is refused with its line, to whoever sent it alone; nothing is read or sent."""
    plant.order("")
    plant.slack.press(ANN, form(plant), "operation", "devices", values={"account": "pumps"})
    view = form(plant, operation="devices")
    file = plant.slack.upload("bad.txt", b"pump-1\npump<2\n", ANN)
    before = len(plant.slack.ephemerals(ANN))
    plant.slack.submit_view(ANN, view, {"file": [file], "job": "batch"})
    told = plant.slack.wait_for(lambda: plant.slack.ephemerals(ANN)[before + 1 :], PATIENCE)

    assert "“pump&lt;2” in line 2" in told[-1].text or "“pump<2” in line 2" in plant.slack.plain(told[-1])
    assert ([], []) == (list(plant.slack.messages(OPS)), plant.cloud.arrivals)
