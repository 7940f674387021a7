"""The page's server side: what it pushes to a browser, and what it takes from one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
import yaml

from bot.playground.cloud.aliyun_cloud import AliyunCloud
from bot.playground.cloud.enos_cloud import EnosCloud
from bot.playground.cloud.faults import FaultKind, Faults
from bot.playground.cloud.tuya_cloud import TuyaCloud
from bot.playground.page.clouds import DIALS, ENOS_DIALS, aliyun, enos, tuya
from bot.playground.page.page import Page
from bot.playground.page.panel import Panel
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.workspace import BOT_USER
from bot.playground.world import HOME, SHORTCUTS
from tests.house.tree import ROOT

ANN, LEA, OPS = "U0ANN", "U0LEA", "C0OPS"
JOB = "J1"


@pytest.fixture
def cloud() -> Iterator[AliyunCloud]:
    with AliyunCloud(keys={}) as cloud:
        cloud.fleet.add_job(JOB, name="pumps", counts={"QUEUED": 3})
        yield cloud


class Clock:
    """Seconds that are turned by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def panel(cloud: AliyunCloud, clock: Clock) -> Panel:
    return Panel(aliyun(cloud, notes={JOB: "small"}, draining=(JOB,)), clock=clock)


def the_cloud(panel: Panel) -> dict[str, Any]:
    """Return what the panel shows of its only cloud."""
    (shown,) = panel.snapshot()["clouds"]
    assert isinstance(shown, dict)
    return shown


@pytest.fixture
def slack(panel: Panel) -> Iterator[LocalSlack]:
    """Give a local Slack with the page, two people, and no bot."""
    page = Page(slack=lambda: running, panel=panel, cast={ANN: "on call", LEA: "leads"})
    with LocalSlack(extra_routes=page.routes) as running:
        running.add_user(ANN, "ann")
        running.add_user(LEA, "lea")
        running.add_channel(OPS, "ota-ops", [ANN, LEA])
        yield running
        page.close()


def pushed(slack: LocalSlack, user: str = "", kind: str = "slack") -> dict[str, Any]:
    """Return the first push of that kind."""
    with requests.get(f"{slack.url}/page/events", {"as": user}, stream=True, timeout=5) as answer:
        lines = answer.iter_lines(decode_unicode=True)
        while next(lines) != f"event: {kind}":
            pass
        found: dict[str, Any] = json.loads(next(lines).removeprefix("data: "))
        return found


def act(slack: LocalSlack, **what: Any) -> requests.Response:
    return requests.post(f"{slack.url}/page/act", json={"as": ANN, **what}, timeout=5)


def test_people_see_what_is_theirs(slack: LocalSlack) -> None:
    """A push holds the person's channels and messages, and nobody else's private answers."""
    slack.post(channel=OPS, user=BOT_USER, text="to all, <@U0LEA>")
    slack.post(channel=OPS, user=BOT_USER, text="to ann", only_for=ANN)
    slack.post(channel=slack.direct(LEA).id, user=BOT_USER, text="to lea")

    ann, lea = pushed(slack), pushed(slack, LEA)

    assert ["to all, <@U0LEA>", "to ann"] == [one["text"] for one in ann["messages"]]
    assert ["to all, <@U0LEA>", "to lea"] == [one["text"] for one in lea["messages"]]
    assert [OPS] == [place["id"] for place in ann["places"]]
    assert [0, 2] == [len(person["rings"]) for person in ann["people"]]


def test_nobody_else_can_be_acted_as(slack: LocalSlack) -> None:
    """Only the cast have an event stream."""
    assert 404 == requests.get(f"{slack.url}/page/events", {"as": BOT_USER}, timeout=5).status_code


def test_what_is_typed_is_escaped_as_slacks_client_does(slack: LocalSlack) -> None:
    """An ordinary message cannot mention a channel or carry markup."""
    act(slack, do="say", channel=OPS, text="<!channel> & <b>")

    assert "&lt;!channel&gt; &amp; &lt;b&gt;" == slack.messages(OPS)[-1].text


def test_what_cannot_be_done_is_told(slack: LocalSlack) -> None:
    """Acts that Slack's client would not do are named; a bot that is not there is a failure of the delivery."""
    said = [
        act(slack, do="say", channel=OPS, text="/giphy cat"),
        act(slack, do="press", action="confirm", channel=OPS, ts="1.000001"),
        act(slack, do="submit", view="V1", values={}),
        act(slack, do="dance"),
        act(slack, do="cloud", cloud="aliyun", dial="gravity"),
        act(slack, do="cloud", cloud="nimbus", dial="drop"),
    ]

    assert [{"problem"}] * 6 == [answer.json().keys() for answer in said]
    assert "/giphy is not a command here; the only one is /ota-cancel" == said[0].json()["problem"]
    assert {"failure": "dispatch_failed"} == act(slack, do="say", channel=OPS, text="/ota-cancel help").json()
    assert {"failure": "dispatch_failed"} == act(slack, do="shortcut", shortcut="cancel_form").json()


def test_other_pages_cannot_act(slack: LocalSlack) -> None:
    """A form that another site posts carries no JSON content type, and is turned away."""
    answer = requests.post(f"{slack.url}/page/act", data='{"do": "cloud", "reset": true}', timeout=5)

    assert 415 == answer.status_code


def test_the_page_runs_no_script_but_its_own(slack: LocalSlack) -> None:
    """The page forbids inline and foreign scripts, and a file that the bot uploads opens as plain text."""
    stored = slack.upload("left.txt", b"<script>alert(1)</script>")

    page = requests.get(slack.url, timeout=5)
    file = requests.get(f"{slack.url}/page/files/{stored['id']}", timeout=5)

    assert "default-src 'none'; script-src 'self';" in page.headers["content-security-policy"]
    assert "text/plain; charset=utf-8" == file.headers["content-type"]
    assert "nosniff" == file.headers["x-content-type-options"]
    assert {200} == {requests.get(f"{slack.url}/page/page.{kind}", timeout=5).status_code for kind in ("js", "css")}


def test_a_permalink_leads_to_its_thread(slack: LocalSlack) -> None:
    """The address that chat.getPermalink gives opens the page at that message."""
    answer = requests.get(f"{slack.url}/archives/{OPS}/p1700000000000123", timeout=5, allow_redirects=False)

    assert f"/#/{OPS}/1700000000.000123" == answer.headers["location"]


def on(slack: LocalSlack) -> dict[str, Any]:
    """Return the dials that are turned."""
    (cloud,) = pushed(slack, kind="cloud")["clouds"]
    return {dial["name"]: dial["on"] for dial in cloud["dials"] if dial["on"]}


@pytest.mark.parametrize("name", DIALS)
def test_a_dial_breaks_and_a_reset_mends(slack: LocalSlack, cloud: AliyunCloud, name: str) -> None:
    """Each dial puts one kind of fault there, once however often it is turned; a reset takes it away."""
    for _ in range(2):
        act(slack, do="cloud", cloud="aliyun", dial=name, seconds=2)

    assert {name: [2, DIALS[name].times]} == on(slack)
    act(slack, do="cloud", cloud="aliyun", reset=True)
    assert {} == on(slack)
    assert [] == cloud.faults.waiting()


def test_latency_is_turned_off_alone(panel: Panel, cloud: AliyunCloud) -> None:
    """Latency at 0 is no latency, and other dials stay."""
    for turned in ({"dial": "drop"}, {"dial": "latency", "seconds": 3}, {"dial": "latency", "seconds": 0}):
        panel.turn({"cloud": "aliyun", **turned})

    assert [FaultKind.DROP_AFTER] == [fault.kind for fault, _ in cloud.faults.waiting()]


def test_a_job_drains_while_somebody_looks(panel: Panel, clock: Clock) -> None:
    """Tasks move on with the looks at them, however many look, and not without."""
    before = the_cloud(panel)["jobs"][0]["counts"]
    clock.at += 60
    after = [the_cloud(panel)["jobs"][0]["counts"] for _ in range(3)]

    assert [["queued", 3]] == before
    assert [[["queued", 1], ["notified", 2]]] * 3 == after


def test_each_cloud_is_shown_and_turned_by_itself(cloud: AliyunCloud) -> None:
    """Of several clouds each has its own jobs, words, calls and dials; a status without a word keeps its name."""
    with AliyunCloud(keys={}) as other:
        other.fleet.add_job("J2", counts={"init": 2, "odd": 1})
        second = replace(aliyun(other), name="enos", title="EnOS", words={"init": "queued"}, limits={"cancel": 5})
        panel = Panel(aliyun(cloud), second, suggestions=lambda: ["job J1 queued"])

        panel.turn({"cloud": "enos", "dial": "drop"})
        shown = panel.snapshot()

        assert ["job J1 queued"] == shown["try"]
        assert [["J1"], ["J2"]] == [[job["id"] for job in one["jobs"]] for one in shown["clouds"]]
        assert [["queued", 2], ["odd", 1]] == shown["clouds"][1]["jobs"][0]["counts"]
        assert ([], 1) == (cloud.faults.waiting(), len(other.faults.waiting()))


def test_calls_are_shown_beside_their_limit(panel: Panel, cloud: AliyunCloud, clock: Clock) -> None:
    """Calls of the last seconds are told by operation: how long ago, and how they were answered."""
    requests.get(cloud.url, {"Action": "QueryOTAJob"}, timeout=5)
    clock.at = cloud.arrivals[0].at + 4

    (call,) = the_cloud(panel)["calls"]
    clock.at += 60

    assert {"action": "QueryOTAJob", "limit": 10, "at": [(4.0, "refused")]} == call
    assert [] == the_cloud(panel)["calls"]


def test_the_page_offers_what_the_manifest_says() -> None:
    """The Home tab and the shortcuts of the demo are those of the app's manifest."""
    features = yaml.safe_load((ROOT / "manifest.yml").read_text())["features"]

    assert HOME == features["app_home"]["home_tab_enabled"]
    assert SHORTCUTS == {
        one["callback_id"]: one["name"] for one in features.get("shortcuts", []) if one["type"] == "global"
    }


def test_every_dial_breaks_its_cloud() -> None:
    """Each cloud has the faults that its dials turn, and a dial for cancels meets each of its cancelling operations."""
    with AliyunCloud(keys={}) as first, TuyaCloud(keys={}) as second, EnosCloud(keys={}) as third:
        panel = Panel(aliyun(first), tuya(second), enos(third))
        for cloud, dials in (("aliyun", DIALS), ("tuya", DIALS), ("enos", ENOS_DIALS)):
            for name in dials:
                panel.turn({"cloud": cloud, "dial": name, "seconds": 1})

        assert [len(DIALS), len(DIALS), len(ENOS_DIALS)] == [
            sum(dial["on"] is not None for dial in shown["dials"]) for shown in panel.snapshot()["clouds"]
        ]
    drop = Faults()
    for action in ("CancelOTATaskByJob", "CancelOTATaskByDevice", "CancelOTAStrategyByJob", "ListOTATaskByJob"):
        drop.add(DIALS["drop"].kind, DIALS["drop"].action)
        assert action.startswith("Cancel") == (drop.take(action).kind is FaultKind.DROP_AFTER)
