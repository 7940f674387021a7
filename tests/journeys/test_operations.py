"""Each operation on each cloud, from the typed words over the card to what arrives at the cloud."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bot.playground.world import ANN
from tests.journeys.plant import CANCEL_DEVICES, CANCEL_TASKS, Plant, flags, names

PRODUCT, FIRMWARE = "a1V4kdeABCD", "T0F5b5tpFnHQrgfk030100"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Give all three clouds and the bot in this process; each test has jobs of its own."""
    with Plant(tmp_path_factory.mktemp("operations")) as plant, plant.hosted():
        yield plant


class TestAlibaba:
    def test_job(self, plant: Plant) -> None:
        """By job one call says every flag outright, and hits what is in the statuses named."""
        plant.cloud.fleet.add_job("ali-job", counts={"CONFIRM": 3, "QUEUED": 4, "NOTIFIED": 2, "IN_PROGRESS": 1})

        shown = plant.slack.plain(plant.ran("job ali-job unconfirmed,notified because it leaks"))

        (call,) = plant.calls("pumps", "ali-job")
        assert ("CancelOTATaskByJob", "ali-job") == (call.action, call.params["JobId"])
        assert {
            "CancelScheduledTask": "false",
            "CancelUnconfirmedTask": "true",
            "CancelQueuedTask": "false",
            "CancelNotifiedTask": "true",
            "CancelInProgressTask": "false",
        } == flags(call)
        assert {"QUEUED": 4, "IN_PROGRESS": 1, "CANCELED": 5} == plant.cloud.fleet.counts("ali-job")
        assert "asked 5 · accepted 5 · confirmed 5 · left 0" in shown

    def test_devices_of_a_job(self, plant: Plant) -> None:
        """By device one call names those that have something to cancel, with product, firmware and job."""
        plant.cloud.fleet.add_job("ali-dev", counts={"QUEUED": 3, "SUCCEEDED": 1}, device_prefix="d")

        number = plant.ordered("devices d-000004,d-000002,d-000001,ghost job ali-dev because it leaks")
        asked = plant.slack.plain(plant.card(number))
        done = plant.confirm(number)

        (call,) = plant.calls("pumps", "ali-dev")
        assert (CANCEL_DEVICES, "ali-dev", PRODUCT, FIRMWARE) == (
            call.action,
            *(call.params[name] for name in ("JobId", "ProductKey", "FirmwareId")),
        )
        assert ["d-000001", "d-000002"] == names(call)
        assert {"d-000001": 1, "d-000002": 1} == plant.cloud.fleet.canceled("ali-dev")
        assert "@ann wants to cancel 4 devices of job ali-dev on pumps" in asked
        assert "Of the 4 named\nqueued 2, 1 ended otherwise, 1 not found" in asked
        assert "also hits what is in progress (mid-flash)" in asked
        assert "asked 2 · accepted 2 · confirmed 2 · left 0" in plant.slack.plain(done)
        assert "Left out, as there is nothing to cancel for them: `d-000004`, `ghost`." in plant.said_below(done)

    def test_devices_of_a_firmware(self, plant: Plant) -> None:
        """By firmware each of its unfinished jobs gets its own call with its JobId; a finished one gets none."""
        for job, status in (("fw-one", "IN_PROGRESS"), ("fw-two", "IN_PROGRESS"), ("fw-over", "COMPLETED")):
            plant.cloud.fleet.add_job(
                job, counts={"QUEUED": 2}, product_key="pk", firmware_id="fw", job_status=status, device_prefix=job
            )

        number = plant.ordered("devices fw-one-000001,fw-two-000002,fw-over-000001 product pk firmware fw")
        asked = plant.slack.plain(plant.card(number))
        done = plant.confirm(number)

        calls = {job: plant.calls("pumps", job) for job in ("fw-one", "fw-two", "fw-over")}
        assert [["fw-one-000001"], ["fw-two-000002"]] == [
            names(call) for job in ("fw-one", "fw-two") for call in calls[job]
        ]
        assert [] == calls["fw-over"]
        assert {"pk", "fw"} == {
            value
            for job in ("fw-one", "fw-two")
            for value in (calls[job][0].params["ProductKey"], calls[job][0].params["FirmwareId"])
        }
        assert "2 unfinished jobs of firmware fw: " in asked
        assert "asked 2 · accepted 2 · confirmed 2 · left 0" in plant.slack.plain(done)

    def test_strategy(self, plant: Plant) -> None:
        """A strategy alone is one call without flags: no device joins any more, and every task stays."""
        plant.cloud.fleet.add_job("ali-dyn", counts={"QUEUED": 4}, selection="DYNAMIC")

        number = plant.ordered("strategy ali-dyn")
        card = plant.card(number)
        shown = plant.slack.plain(plant.confirm(number))

        (call,) = plant.calls("pumps", "ali-dyn")
        assert ("CancelOTAStrategyByJob", "ali-dyn", {}) == (call.action, call.params["JobId"], flags(call))
        assert ("CANCELED", {"QUEUED": 4}) == (
            plant.cloud.fleet.job("ali-dyn").status,
            plant.cloud.fleet.counts("ali-dyn"),
        )
        assert "Stop this strategy" == card.buttons[0].label
        assert "none: it stops the batch from taking devices in, and touches no task" in plant.slack.plain(card)
        assert "The cloud says of this batch now: the batch is cancelled." in shown

    def test_strategy_and_tasks(self, plant: Plant) -> None:
        """With statuses the strategy goes first, then its waiting tasks, and each is a call of its own."""
        plant.cloud.fleet.add_job("ali-both", counts={"QUEUED": 4, "NOTIFIED": 2}, selection="DYNAMIC")

        shown = plant.slack.plain(plant.ran("strategy ali-both and queued"))

        strategy, tasks = plant.calls("pumps", "ali-both")
        assert ("CancelOTAStrategyByJob", "CancelOTATaskByJob") == (strategy.action, tasks.action)
        assert ["CancelQueuedTask"] == [name for name, value in flags(tasks).items() if value == "true"]
        assert {"NOTIFIED": 2, "CANCELED": 4} == plant.cloud.fleet.counts("ali-both")
        assert "asked 4 · accepted 4 · confirmed 4 · left 0" in shown

    def test_a_static_batch_has_no_strategy(self, plant: Plant) -> None:
        """The card warns that a static batch has no strategy to stop; the cloud's refusal is shown in its words."""
        plant.cloud.fleet.add_job("ali-static", counts={"QUEUED": 1})

        number = plant.ordered("strategy ali-static")
        asked = plant.slack.plain(plant.card(number))
        failed = plant.slack.plain(plant.confirm(number, "Failed"))

        assert "This is a static batch: the cloud stops the strategy of dynamic batches alone" in asked
        assert "iot.ota.JobNotDynamic" in failed
        assert "IN_PROGRESS" == plant.cloud.fleet.job("ali-static").status

    def test_devices_in_progress_need_somebody_else(self, plant: Plant) -> None:
        """A named device that is flashing makes it an order that nobody gives alone: once confirmed it waits."""
        plant.cloud.fleet.add_job("ali-hot", counts={"QUEUED": 1, "IN_PROGRESS": 1}, device_prefix="d")

        number = plant.ordered("devices d-000001,d-000002 job ali-hot")
        asked = plant.slack.plain(plant.card(number))
        waiting = plant.slack.plain(plant.confirm(number, "Waiting for approval"))

        assert "After you confirm it needs a second person's approval: “in-progress” always needs one." in asked
        assert "1 approval is missing" in waiting
        assert [] == plant.calls("pumps", "ali-hot")


class TestTuya:
    def test_job(self, plant: Plant) -> None:
        """By job Tuya gets its three flags and nothing that only Alibaba knows; unconfirmed tasks are spared."""
        plant.tuya.fleet.add_job("tuya-job", counts={"CONFIRM": 3, "QUEUED": 4, "NOTIFIED": 2, "IN_PROGRESS": 1})

        shown = plant.slack.plain(plant.ran("job tuya-job queued,notified on lamps"))

        (call,) = plant.calls("lamps", "tuya-job")
        assert {"CancelUnconfirmedTask": "false", "CancelQueuedTask": "true", "CancelNotifiedTask": "true"} == flags(
            call
        )
        assert set() == {"RegionId", "IotInstanceId", "SecurityToken"} & call.params.keys()
        assert {"CONFIRM": 3, "IN_PROGRESS": 1, "CANCELED": 6} == plant.tuya.fleet.counts("tuya-job")
        assert "asked 6 · accepted 6 · confirmed 6 · left 0" in shown

    def test_devices(self, plant: Plant) -> None:
        """By device Tuya gets at most 50 names in a call; a device in progress is left out."""
        plant.tuya.fleet.add_job("tuya-dev", counts={"QUEUED": 55, "IN_PROGRESS": 1}, device_prefix="lamp")
        every = [f"lamp-{number:06d}" for number in range(1, 57)]

        done = plant.ran(f"devices {','.join(every)} job tuya-dev on lamps")

        calls = plant.calls("lamps", "tuya-dev")
        assert [5, 50] == sorted(len(names(call)) for call in calls)
        assert dict.fromkeys(every[:55], 1) == plant.tuya.fleet.canceled("tuya-dev")
        assert {(PRODUCT, FIRMWARE)} == {(call.params["ProductKey"], call.params["FirmwareId"]) for call in calls}
        assert "asked 55 · accepted 55 · confirmed 55 · left 0" in plant.slack.plain(done)
        assert "`lamp-000056`" in plant.said_below(done)


class TestEnos:
    def test_job(self, plant: Plant) -> None:
        """By job the waiting tasks are listed, and then cancelled by at most 50 keys in a call."""
        plant.enos.fleet.add_job("enos-job", counts={"init": 55, "published": 4, "upgrading": 2}, device_prefix="mill")

        number = plant.ordered("job enos-job queued,notified on wind")
        asked = plant.slack.plain(plant.card(number))
        shown = plant.slack.plain(plant.confirm(number))

        calls = plant.calls("wind", "enos-job")
        assert [9, 50] == sorted(len(names(call)) for call in calls)
        assert ({CANCEL_TASKS}, {"enos-job"}) == (
            {call.action for call in calls},
            {call.params["jobId"] for call in calls},
        )
        assert dict.fromkeys([f"mill-{number:06d}" for number in range(1, 60)], 1) == plant.enos.fleet.canceled(
            "enos-job"
        )
        assert "59 now" in asked
        assert "`cancelTask` queued, notified" in asked
        assert "asked 59 · accepted 59 · confirmed 59 · left 0" in shown

    def test_devices(self, plant: Plant) -> None:
        """By device the keys go into one call within the job; who is upgrading or unknown is left out and named."""
        plant.enos.fleet.add_job("enos-dev", counts={"init": 3, "upgrading": 1}, device_prefix="mill")

        done = plant.ran("devices mill-000001,mill-000003,mill-000004,ghost job enos-dev on wind because it stalls")

        (call,) = plant.calls("wind", "enos-dev")
        assert ["mill-000001", "mill-000003"] == names(call)
        assert {"init": 1, "upgrading": 1, "failed": 2} == plant.enos.fleet.counts("enos-dev")
        assert "asked 2 · accepted 2 · confirmed 2 · left 0" in plant.slack.plain(done)
        assert "`ghost`, `mill-000004`" in plant.said_below(done)


REFUSED = (
    ("job J scheduled on lamps", "Not on lamps: scheduled: Tuya's CancelOTATaskByJob does not offer"),
    ("job J in-progress on lamps", "Not on lamps: in-progress: Tuya's CancelOTATaskByJob does not offer"),
    ("strategy J on lamps", "Not on lamps: Tuya does not offer CancelOTAStrategyByJob"),
    ("job J scheduled on wind", "Not on wind: scheduled: EnOS cancels only init (queued) and published (notified)"),
    ("job J unconfirmed on wind", "Not on wind: unconfirmed: EnOS cancels only init"),
    ("job J in_progress on wind", "Not on wind: in-progress: EnOS cancels only init"),
    ("strategy J on wind", "Not on wind: EnOS does not offer CancelOTAStrategyByJob"),
    ("devices d product p firmware f on wind", "Not on wind: EnOS cancels within a job: name it"),
)


@pytest.mark.parametrize(("words", "reason"), REFUSED)
@pytest.mark.parametrize("verb", ["", "preview "])
def test_what_a_cloud_cannot_do(plant: Plant, verb: str, words: str, reason: str) -> None:
    """What a cloud does not offer is refused at once with its own reason; nothing is read, stored or sent."""
    before = (len(plant.tuya.arrivals), len(plant.enos.arrivals), len(plant.events()))

    told = plant.order(verb + words)

    assert told.shown.startswith(reason), told.shown
    assert before == (len(plant.tuya.arrivals), len(plant.enos.arrivals), len(plant.events()))


@pytest.mark.parametrize(
    ("account", "statuses", "counts"),
    [
        ("pumps", "unconfirmed,queued,in-progress", {"CONFIRM": 1, "QUEUED": 2, "IN_PROGRESS": 3}),
        ("lamps", "unconfirmed,queued", {"CONFIRM": 1, "QUEUED": 2, "IN_PROGRESS": 3}),
        ("wind", "queued", {"init": 2, "upgrading": 3}),
    ],
)
def test_a_job_without_statuses(plant: Plant, account: str, statuses: str, counts: dict[str, int]) -> None:
    """A job alone is answered with its counts and the choices that its cloud can carry out, ready to be typed."""
    plant.on(account).fleet.add_job(f"ask-{account}", counts=counts)

    told = plant.answered(f"job ask-{account} on {account}")

    assert "queued 2, notified 0, in-progress 3" in told
    assert f"/ota-cancel job ask-{account} {statuses} on {account}" in told
    assert [] == plant.calls(account, f"ask-{account}")


def test_a_preview_of_devices(plant: Plant) -> None:
    """A preview of devices shows what was seen of each, the plan's digest and the line that orders it."""
    plant.enos.fleet.add_job("enos-look", counts={"init": 2, "upgrading": 1}, device_prefix="mill")

    told = plant.answered("preview devices mill-000001,mill-000003 job enos-look on wind")

    assert "The devices named: queued 1, in-progress 1." in told
    assert "To order it: /ota-cancel devices mill-000001,mill-000003 job enos-look on wind" in told
    assert [] == plant.calls("wind", "enos-look")


@pytest.mark.parametrize(
    ("account", "batch"), [("pumps", "IN_PROGRESS"), ("lamps", "IN_PROGRESS"), ("wind", "started")]
)
def test_jobs(plant: Plant, account: str, batch: str) -> None:
    """`jobs` lists an account's running batches with their counts, the newest first, and not those that are over."""
    fleet = plant.on(account).fleet
    for hours, (age, status) in enumerate((("old", batch), ("new", batch), ("over", "COMPLETED")), 1):
        created = datetime.now(UTC) + timedelta(hours=hours)  # newer than what the other tests left there
        fleet.add_job(f"{age}-{account}", counts={fleet.live[1]: 7}, job_status=status, created=created)

    told = plant.answered(f"jobs on {account}")

    assert told.find(f"new-{account}") < told.find(f"old-{account}")
    assert (True, True, False) == tuple(f"{age}-{account}" in told for age in ("new", "old", "over"))
    assert ANN not in told
