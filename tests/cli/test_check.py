"""`ota-bot check` against a local Slack and a simulated cloud: every problem at once, or none."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.playground.world import ANN, AUDIT, BEN, LEA, OPS
from tests.journeys.stage import COMMAND, PATIENCE, SECRETS, Scene

SIDE = "C0SIDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the command said and how it ended."""

    code: int
    out: list[str]
    problems: list[str]


def checked(scene: Scene, secrets: Mapping[str, str] = SECRETS) -> Checked:
    """Run the command as an operator does."""
    done = subprocess.run(  # noqa: S603 - the command under test
        [COMMAND, "check", "--config", scene.config],
        env={"PATH": os.environ.get("PATH", ""), **secrets},
        cwd=scene.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    problems = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    return Checked(code=done.returncode, out=done.stdout.splitlines(), problems=problems)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path) as scene:
        scene.slack.add_channel(SIDE, "side", [ANN])
        yield scene


def test_nothing_wrong_is_said(scene: Scene) -> None:
    """Without a problem it says so, who may run how much alone, and ends with 0; it makes no ledger."""
    found = checked(scene)

    assert 0 == found.code
    assert [] == found.problems
    assert (
        "pumps (aliyun, in C0OPS, C0SIDE): S0ONCALL may cancel up to 100 alone;"
        " in-progress and more needs 1 approval of S0LEADS"
    ) == found.out[0]
    assert "no problems" == found.out[-1]
    assert not scene.database.exists()


def test_every_problem_is_named_at_once(scene: Scene) -> None:
    """Scopes, groups, channels, quorum and credentials are all wrong: each has its line, with its key and its cure."""
    scene.slack.scopes -= {"chat:write"}
    scene.slack.groups.pop("S0ONCALL")
    scene.slack.add_group("S0LEADS", "leads", [LEA])
    scene.slack.add_channel(OPS, "ota-ops", [ANN], bot_member=False)
    scene.slack.add_channel(SIDE, "side", [ANN], is_ext_shared=True)
    scene.slack.add_channel(AUDIT, "audit", [ANN], bot_member=False, is_private=True)
    scene.config.write_text(scene.config.read_text().replace("[approval]", "[approval]\npeople = 2"))

    found = checked(scene, {**SECRETS, "ALIYUN_KEY_SECRET": "wrong"})

    said = "\n".join(found.problems)
    assert 1 == found.code
    for problem in (
        "slack: the bot lacks the scopes chat:write; install it with manifest.yml",
        "accounts.pumps.requesters: group S0ONCALL cannot be read (no_such_subteam)",
        "accounts.pumps.channels: channel C0OPS does not have the bot in it; type /invite @ota-cancel there",
        "accounts.pumps.channels: channel C0SIDE is shared with another organisation; every order in it is refused",
        "audit_channel: channel C0AUDIT cannot be read (channel_not_found); is the bot in it?",
        "accounts.pumps.approvers: 2 are needed besides the requester and there are 1",
        "SignatureDoesNotMatch",
    ):
        assert problem in said
    assert f"{len(found.problems)} problems" == found.out[-1]
    assert 7 == len(found.problems)
    assert [] == [name for name, value in SECRETS.items() if value in said]


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("SLACK_BOT_TOKEN", "slack.bot_token: Slack does not take the bot token (invalid_auth)"),
        ("SLACK_APP_TOKEN", "slack.app_token: Slack does not take the app token (invalid_auth)"),
    ],
)
def test_a_wrong_token_is_named(scene: Scene, token: str, sentence: str) -> None:
    """A token that Slack does not take is named by its key; without a bot token nothing else is asked of Slack."""
    found = checked(scene, {**SECRETS, token: f"{SECRETS[token][:5]}wrong"})

    assert 1 == found.code
    assert 1 == len(found.problems)
    assert found.problems[0].startswith(sentence)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"is_ext_shared": True}, "is shared with another organisation; {why}"),
        ({"is_ext_shared": True, "pending_shared": ["T0ELSE"]}, "is shared with another organisation; {why}"),
        ({"is_pending_ext_shared": True}, "is about to be shared with another organisation; {why}"),
        ({"pending_shared": ["T0ELSE"]}, "is about to be shared with another organisation; {why}"),
        ({"pending_connected_team_ids": ["T0ELSE"]}, "is about to be shared with another organisation; {why}"),
        ({"is_org_shared": True, "is_shared": True}, None),
    ],
)
def test_a_channel_with_outsiders_is_named(scene: Scene, flags: dict[str, Any], said: str | None) -> None:
    """A channel that is shared with another organisation, or will be, is a problem, to order in and to read."""
    info = scene.slack._methods["conversations.info"]
    scene.slack._methods["conversations.info"] = replace(
        info, run=lambda slack, args: {"channel": {**info.run(slack, args)["channel"], **flags}}
    )

    found = checked(scene)

    places = [
        ("accounts.pumps.channels: channel C0OPS", "every order in it is refused"),
        ("accounts.pumps.channels: channel C0SIDE", "every order in it is refused"),
        ("audit_channel: channel C0AUDIT", "they read every line of it"),
    ]
    assert [f"{place} {said.format(why=why)}" for place, why in places if said] == found.problems


def test_each_fault_of_a_channel_is_named(scene: Scene) -> None:
    """A channel with two faults has two lines."""
    scene.slack.add_channel(SIDE, "side", [ANN], bot_member=False, is_archived=True)

    assert [
        "accounts.pumps.channels: channel C0SIDE is archived",
        "accounts.pumps.channels: channel C0SIDE does not have the bot in it; type /invite @ota-cancel there",
    ] == checked(scene).problems


def test_both_tokens_may_be_wrong(scene: Scene) -> None:
    """With the bot token refused the app token is tried all the same."""
    wrong = {name: f"{SECRETS[name][:5]}wrong" for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")}

    said = [problem.split(":")[0] for problem in checked(scene, {**SECRETS, **wrong}).problems]

    assert ["slack.bot_token", "slack.app_token"] == said


def test_a_missing_secret_is_named(scene: Scene) -> None:
    """Every secret that is not there is named with its key and variable, in one go."""
    found = checked(scene, {})

    said = "\n".join(found.problems)
    assert 1 == found.code
    assert [] == [name for name in SECRETS if name not in said]


def test_an_empty_group_is_named(scene: Scene) -> None:
    """A group in which nobody is can neither order nor approve."""
    scene.slack.add_group("S0LEADS", "leads", [])

    found = checked(scene)

    assert 1 == found.code
    assert [
        "accounts.pumps.approvers: group S0LEADS is empty",
        (
            "accounts.pumps.approvers: 1 are needed besides the requester and there are 0,"
            " so nothing above 100 devices can be approved"
        ),
    ] == found.problems


def test_a_requester_is_not_their_own_approver(scene: Scene) -> None:
    """Where the only approver is the only requester, nothing that needs a second person can ever be approved."""
    scene.slack.add_group("S0LEADS", "leads", [ANN])

    found = checked(scene)

    assert 1 == found.code
    assert [
        (
            "accounts.pumps.approvers: 1 are needed besides the requester and there are 0,"
            " so nothing above 100 devices can be approved"
        )
    ] == found.problems


def test_one_of_two_may_be_the_others_approver(scene: Scene) -> None:
    """An approver who may order, too, is one for everybody else; that nobody is one for them is warned of."""
    scene.slack.add_group("S0ONCALL", "oncall", [ANN, BEN])
    scene.slack.add_group("S0LEADS", "leads", [ANN])

    found = checked(scene)

    assert 0 == found.code
    assert (
        f"warning: accounts.pumps.approvers: 1 are needed besides the requester and for {ANN} there are 0,"
        " so nothing above 100 devices of theirs can be approved"
    ) in found.out


def test_a_terminal_is_nobody_to_approve_for(scene: Scene) -> None:
    """What is ordered at a terminal is never approved: its people do not hide that the others lack an approver."""
    scene.slack.add_group("S0LEADS", "leads", [ANN])
    listed = scene.config.read_text().replace('requesters = ["S0ONCALL"]', f'requesters = ["{ANN}", "cli:ann"]')
    scene.config.write_text(listed)

    assert [
        (
            "accounts.pumps.approvers: 1 are needed besides the requester and there are 0,"
            " so nothing above 100 devices can be approved"
        )
    ] == checked(scene).problems


@pytest.mark.parametrize(
    ("flags", "able"),
    [
        ({}, True),
        ({"deleted": True}, False),
        ({"is_bot": True}, False),
        ({"is_app_user": True}, False),
        ({"is_restricted": True}, False),
        ({"is_ultra_restricted": True}, False),
        ({"is_stranger": True}, False),
        ({"team_id": "T0ELSE"}, False),
    ],
)
def test_who_may_do_nothing_approves_nothing(scene: Scene, flags: dict[str, Any], able: bool) -> None:
    """Guests, bots, apps, the deactivated and people of another workspace are no approvers."""
    scene.slack.add_user(LEA, "lea", **flags)
    scene.slack.add_group("S0LEADS", "leads", [LEA])

    said = [problem for problem in checked(scene).problems if "besides the requester and there are 0" in problem]

    assert able == (said == [])


def test_slackbot_approves_nothing(scene: Scene) -> None:
    """Slackbot, which says that it is no bot, is no approver."""
    scene.slack.add_user("USLACKBOT", "slackbot")
    scene.slack.add_group("S0LEADS", "leads", ["USLACKBOT"])

    assert 1 == len([problem for problem in checked(scene).problems if "there are 0" in problem])


def test_a_silent_cloud_is_named(scene: Scene) -> None:
    """A cloud that gives no usable answer is named with its account and its endpoint."""
    scene.cloud.faults.add("http_502_html", None, times=5)

    found = checked(scene)

    assert 1 == found.code
    assert found.problems[0].startswith(f"accounts.pumps: {scene.cloud.url} gave no usable answer")


def test_nobody_to_break_the_glass_is_a_warning(scene: Scene) -> None:
    """That nobody may go on without approvers is said, and is no problem."""
    found = checked(scene)

    assert "warning: accounts.pumps: nobody may break glass when no approver answers" in found.out
    assert (0, "no problems") == (found.code, found.out[-1])


@pytest.mark.parametrize(
    ("listed", "flags", "fault"),
    [
        ([BEN], {}, f"{BEN} is no requester"),
        ([ANN], {"deleted": True}, f"{ANN} may do nothing here"),
        ([ANN], {"is_restricted": True}, f"{ANN} may do nothing here"),
        ([ANN, "cli:ben"], {"team_id": "T0ELSE"}, f"{ANN} may do nothing here, cli:ben is no requester"),
    ],
)
def test_listed_and_unable_is_a_warning(
    scene: Scene, listed: list[str], flags: dict[str, Any], fault: str | None
) -> None:
    """Where nobody of those listed may order, nobody may break glass either: that is said, with each one's fault."""
    scene.slack.add_group("S0ONCALL", "oncall", [ANN])
    scene.slack.add_user(ANN, "ann", **flags)
    names = ", ".join(f'"{one}"' for one in listed)
    scene.config.write_text(scene.config.read_text().replace("[approval]", f"[approval]\nbreak_glass = [{names}]"))

    warned = [line for line in checked(scene).out if line.startswith("warning:")]

    said = f"warning: accounts.pumps: nobody may break glass when no approver answers: {fault}"
    assert ([said] if fault else []) == warned


def test_one_of_several_who_cannot_break_the_glass_is_named(scene: Scene) -> None:
    """One who may does not hide the others who are listed and may not."""
    scene.config.write_text(
        scene.config.read_text().replace("[approval]", f'[approval]\nbreak_glass = ["{ANN}", "{BEN}", "U0NOPE"]')
    )

    warned = [line for line in checked(scene).out if line.startswith("warning:")]

    faults = f"{BEN} is no requester, U0NOPE is no requester"
    assert [f"warning: accounts.pumps: not all who are listed may break glass: {faults}"] == warned


def test_who_is_listed_in_vain_is_named(scene: Scene) -> None:
    """Somebody listed by their id whom Slack does not know, or who is a guest, is warned of, key by key."""
    scene.slack.add_user("U0GUS", "gus", is_restricted=True)
    listed = scene.config.read_text()
    for key, group in (("requesters", "S0ONCALL"), ("approvers", "S0LEADS")):
        listed = listed.replace(f'{key} = ["{group}"]', f'{key} = ["{group}", "U0GUS", "U0NOPE", "{BEN}"]')
    scene.config.write_text(listed)

    warned = [line for line in checked(scene).out if "may do nothing here" in line]

    assert [
        f"warning: accounts.pumps.{key}: {one} may do nothing here (unknown, a guest, a bot or deactivated)"
        for key in ("requesters", "approvers")
        for one in ("U0GUS", "U0NOPE")
    ] == warned


def test_a_slack_that_was_asked_too_often_is_not_misread(scene: Scene) -> None:
    """A token that was not looked at is not called wrong, and of a group that was not read no quorum is missed."""
    for method in ("apps.connections.open", "usergroups.users.list"):
        scene.slack.faults.add(method, retry_after=30, times=9)

    problems = checked(scene).problems

    assert "slack.app_token: Slack was asked too often to look at it; check again in a minute" in problems
    assert "accounts.pumps.approvers: group S0LEADS cannot be read (ratelimited)" in problems
    assert [] == [problem for problem in problems if "besides the requester" in problem or "xapp-" in problem]


def test_somebody_to_break_the_glass_is_no_warning(scene: Scene) -> None:
    """Where somebody may, nothing is warned of."""
    scene.config.write_text(scene.config.read_text().replace("[approval]", f'[approval]\nbreak_glass = ["{ANN}"]'))

    found = checked(scene)

    assert [] == [line for line in found.out if line.startswith("warning:")]
    assert 0 == found.code
