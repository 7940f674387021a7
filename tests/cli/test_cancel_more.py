"""`ota-bot cancel` with devices, also from a file, with strategies, and on the other clouds."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bot.cli.shown import FEW
from bot.domain.cancellation import Phase, State
from bot.ledger.ledger import Ledger
from bot.playground.cloud.enos_cloud import EnosCloud
from bot.playground.cloud.tuya_cloud import TuyaCloud
from tests.cli.stage import JOB, KEY_ID, KEY_SECRET, ME, Terminal, lines

BATCH = "batch450"
MORE = "approval = { above = 1000 }\nqps = { query = 200 }\n"
ELSEWHERE = """
[accounts.{name}]
cloud = "{cloud}"
endpoint = "{url}"
key_id = "env:KEY_ID"
key_secret = "env:KEY_SECRET"
requesters = ["{me}"]
approvers = ["S0LEADS"]
channels = ["C0OPS"]
"""


def state(terminal: Terminal) -> State:
    """Return the one cancellation there is; its chain must hold."""
    opened = Ledger.open(terminal.ledger, now=lambda: datetime.now(UTC))
    try:
        opened.verify()
        found = opened.state(1)
        assert found is not None
        assert opened.state(2) is None
        return found
    finally:
        opened.close()


def sent(terminal: Terminal) -> list[list[str]]:
    """Return the device names of each call that cancels by device, in the order they came in."""
    calls = [arrival for arrival in terminal.cloud.arrivals if arrival.action == "CancelOTATaskByDevice"]
    return [[value for name, value in call.params.items() if name.startswith("DeviceName.")] for call in calls]


def file_of(terminal: Terminal, names: list[str], *, heading: str = "DeviceName\n") -> None:
    """Put names into a file, one a line, as a spreadsheet exports them."""
    (terminal.folder / "pumps.csv").write_text(heading + "\r\n".join(names), encoding="utf-8-sig")


@pytest.fixture
def batch(terminal: Terminal) -> Terminal:
    """Give a terminal with a job of 460 devices, 450 of which stand in a file and may be cancelled alone."""
    terminal.configure(more=MORE)
    terminal.cloud.fleet.add_job(BATCH, counts={"QUEUED": 440, "NOTIFIED": 20}, device_prefix="pump")
    file_of(
        terminal, terminal.cloud.fleet.devices(BATCH, "QUEUED") + terminal.cloud.fleet.devices(BATCH, "NOTIFIED")[:10]
    )
    return terminal


ORDER = f"devices @pumps.csv job {BATCH} because they leak"


class TestFile:
    def test_done(self, batch: Terminal) -> None:
        """450 names from a file are cancelled by three calls of at most 200, and nothing else is."""
        found = batch.cancel(ORDER, typed=f"{BATCH}\n")
        names = [name for call in sent(batch) for name in call]

        assert (0, Phase.DONE) == (found.code, state(batch).phase), found
        assert [50, 200, 200] == sorted(map(len, sent(batch)))
        assert (450, 450) == (len(names), len(set(names)))
        assert {"NOTIFIED": 10, "CANCELED": 450} == dict(batch.cloud.fleet.counts(BATCH))
        assert [] == [
            text
            for text in (
                "unconfirmed, queued, notified, in-progress: 450 now",
                "those named    queued 440, notified 10",
                "CancelOTATaskByDevice, 3 calls, about 1 s",
                "asked 450, accepted 450",
                "confirmed 450, left 0",
            )
            if text not in found.out
        ]

    def test_one_call_fails(self, batch: Terminal) -> None:
        """When one of three calls is refused it is Partly done and exits with 1, and its devices are told."""
        batch.cloud.faults.add("parameter_refused", "CancelOTATaskByDevice")
        found = batch.cancel(ORDER, typed=f"{BATCH}\n")
        said = [line.split()[2] for line in lines(found.out) if line.startswith("not cancelled: ")]

        canceled = batch.cloud.fleet.canceled(BATCH)
        listed = (batch.folder / "pumps.csv").read_text(encoding="utf-8-sig").split()[1:]
        assert (1, Phase.PARTLY_DONE) == (found.code, state(batch).phase), found
        left = sorted(set(listed) - canceled.keys())
        assert [*left[:FEW], str(len(left) - FEW)] == said
        assert len(left) in {50, 200}
        assert f"asked 450, accepted {450 - len(left)}" in found.out
        assert "iot.common.InvalidFormattedParameter" in found.out

    def test_too_many_for_one_person(self, batch: Terminal) -> None:
        """More devices than the limit are refused at once: nobody approves at a terminal."""
        batch.configure(more="qps = { query = 200 }\n")
        found = batch.cancel(ORDER, typed=f"{BATCH}\n")

        assert (1, Phase.VOIDED) == (found.code, state(batch).phase)
        assert "up to 450 devices are more than 100" in found.out
        assert "Type the" not in found.out
        assert [] == sent(batch)

    def test_preview(self, batch: Terminal) -> None:
        """A preview of a file's names shows what would be hit, and the command that orders it here."""
        found = batch.cancel(f"preview {ORDER}")

        assert 0 == found.code, found
        assert "The devices named: queued 440, notified 10." in found.out
        assert f"To order it: ota-bot cancel devices @pumps.csv job {BATCH} because they leak" in lines(found.out)
        assert not batch.ledger.exists() or [] == sent(batch)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"pump-1\npump<2\npump-3\n'', pump\\4\n", ("“pump<2” in line 2", "“pump\\4” in line 4")),
            (b"\n \n", ("There is no device name in it",)),
            (b"pump-\xff\n", ("The file is not text in UTF-8", "Nothing was changed.")),
            (b"x" * (8 * 1024 * 1024 + 1), ("more than 8,388,608 bytes", "Nothing was changed.")),
        ],
    )
    def test_bad_file(self, terminal: Terminal, content: bytes, said: tuple[str, ...]) -> None:
        """A file that is none of names is named with what is wrong and where, exits with 2, and nothing is asked."""
        (terminal.folder / "pumps.csv").write_bytes(content)
        found = terminal.cancel(ORDER, typed=f"{BATCH}\n")

        assert (2, "") == (found.code, found.out)
        assert ["pumps.csv: ", *said] == [text for text in ("pumps.csv: ", *said) if text in found.err]
        assert (False, []) == (terminal.ledger.exists(), terminal.cloud.arrivals)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("devices @missing.csv job J", "missing.csv: it cannot be read: No such file or directory"),
            ("devices @ job J", "Name a file after the @"),
            ("devices @pumps.csv , pump-1 job J", "Names stand in @pumps.csv or are typed, not both."),
            ("devices @pumps.csv jbo J", "Try: ota-bot cancel devices @pumps.csv job J"),
            ("job @pumps.csv queued", "“@pumps.csv” does not fit there"),
        ],
    )
    def test_bad_words(self, batch: Terminal, words: str, said: str) -> None:
        """Wrong words about a file exit with 2; the nearest command still names the file."""
        found = batch.cancel(words)

        assert (2, "") == (found.code, found.out)
        assert said in found.err

    def test_reason_with_a_person(self, terminal: Terminal) -> None:
        """An @ in the reason is a person and not a file; the words may also come as one."""
        found = terminal.run(
            "cancel", f"devices {terminal.cloud.fleet.devices(JOB, 'QUEUED')[0]} job {JOB} because ask @bob",
            "--config", str(terminal.config), typed=f"{JOB}\n",
        )  # fmt: skip

        assert (0, "ask @bob") == (found.code, state(terminal).order.reason), found


def test_firmware(terminal: Terminal) -> None:
    """Of a firmware's two unfinished jobs each gets its own call, and the firmware's id is what confirms."""
    for job in ("first", "second"):
        terminal.cloud.fleet.add_job(job, counts={"QUEUED": 3}, product_key="pk", firmware_id="fw", device_prefix=job)
    names = ",".join(f"{job}-000001" for job in ("first", "second"))
    found = terminal.cancel(f"devices {names} product pk firmware fw", typed="fw\n")

    assert (0, Phase.DONE) == (found.code, state(terminal).phase), found
    assert "Type the firmware's id (fw)" in found.out
    assert [["first-000001"], ["second-000001"]] == sorted(sent(terminal))
    assert {"first", "second"} == {
        arrival.params["JobId"] for arrival in terminal.cloud.arrivals if arrival.action == "CancelOTATaskByDevice"
    }


@pytest.mark.parametrize(
    ("words", "hit", "counts"),
    [
        ("strategy dyn", "the strategy of batch dyn", {"QUEUED": 4, "NOTIFIED": 2}),
        (
            "strategy dyn and queued",
            "the strategy of batch dyn and its queued tasks (queued: 4 now)",
            {"CANCELED": 4, "NOTIFIED": 2},
        ),
    ],
)
def test_strategy(terminal: Terminal, words: str, hit: str, counts: dict[str, int]) -> None:
    """A dynamic batch's strategy is stopped, and then the tasks whose statuses were named."""
    terminal.cloud.fleet.add_job("dyn", counts={"QUEUED": 4, "NOTIFIED": 2}, selection="DYNAMIC")
    found = terminal.cancel(words, typed="dyn\n")

    assert (0, Phase.DONE) == (found.code, state(terminal).phase), found
    assert f"would cancel   {hit}" in lines(found.out)
    assert "CANCELED" == terminal.cloud.fleet.job("dyn").status
    assert counts == dict(terminal.cloud.fleet.counts("dyn"))


def test_what_a_cloud_writes_steers_no_terminal(terminal: Terminal) -> None:
    """A job's name cannot clear the screen or turn the writing round: what is asked stays what it is."""
    terminal.cloud.fleet.add_job("odd", name="\x1b[2J\u202enice", counts={"QUEUED": 1})
    found = terminal.cancel("job odd queued", typed="odd\n")

    assert 0 == found.code, found
    assert ("\x1b" in found.out, "\u202e" in found.out) == (False, False)


@pytest.fixture
def tuya(terminal: Terminal) -> Iterator[TuyaCloud]:
    """Give a Tuya account beside the Alibaba one."""
    with TuyaCloud(keys={KEY_ID: KEY_SECRET}) as cloud:
        cloud.fleet.add_job("tj", counts={"CONFIRM": 1, "QUEUED": 60, "IN_PROGRESS": 2}, device_prefix="lamp")
        terminal.configure(more=ELSEWHERE.format(name="lamps", cloud="tuya", url=cloud.url, me=ME))
        yield cloud


@pytest.fixture
def enos(terminal: Terminal) -> Iterator[EnosCloud]:
    """Give an EnOS account beside the Alibaba one."""
    with EnosCloud(keys={KEY_ID: KEY_SECRET}, org_id="o15") as cloud:
        cloud.fleet.add_job("ej", counts={"init": 55, "published": 5, "upgrading": 2}, device_prefix="mill")
        account = ELSEWHERE.format(name="wind", cloud="enos", url=cloud.url, me=ME)
        terminal.configure(more=f'{account}org = "o15"\nqps = {{ query = 100 }}\n')
        yield cloud


def test_tuya(terminal: Terminal, tuya: TuyaCloud) -> None:
    """On Tuya devices of a file go in calls of at most 50 names."""
    file_of(terminal, tuya.fleet.devices("tj", "QUEUED"))
    found = terminal.cancel("devices @pumps.csv job tj on lamps", typed="tj\n")

    assert (0, Phase.DONE) == (found.code, state(terminal).phase), found
    assert {"CONFIRM": 1, "IN_PROGRESS": 2, "CANCELED": 60} == dict(tuya.fleet.counts("tj"))
    assert "CancelOTATaskByDevice, 2 calls" in found.out


def test_enos(terminal: Terminal, enos: EnosCloud) -> None:
    """On EnOS the job's waiting tasks are cancelled by their keys, those in progress are not."""
    found = terminal.cancel("job ej queued,notified on wind", typed="ej\n")

    assert (0, Phase.DONE) == (found.code, state(terminal).phase), found
    assert {"upgrading": 2, "failed": 60} == dict(enos.fleet.counts("ej"))
    assert "cancelTask, 2 calls" in found.out
    assert "confirmed 60, left 0" in found.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("job tj scheduled on lamps", "Tuya's CancelOTATaskByJob does not offer CancelScheduledTask"),
        ("job tj in-progress on lamps", "Tuya's CancelOTATaskByJob does not offer CancelInProgressTask"),
        ("strategy tj on lamps", "Tuya does not offer CancelOTAStrategyByJob"),
    ],
)
def test_not_on_tuya(terminal: Terminal, tuya: TuyaCloud, words: str, reason: str) -> None:
    """What Tuya does not offer is refused with its own reason, before anything is read or stored."""
    found = terminal.cancel(words, typed="tj\n")

    assert (2, "", []) == (found.code, found.out, tuya.arrivals)
    assert f"Not on lamps: {reason}" in found.err.replace("scheduled: ", "").replace("in-progress: ", "")
