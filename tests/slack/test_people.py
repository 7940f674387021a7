"""Who people are, as Slack says; where it does not say, nobody is let through."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from slack_sdk import WebClient

from bot.domain.errors import DirectoryError
from bot.domain.policy import Person, Role, Sight, fault
from bot.playground.slack.local_slack import LocalSlack
from bot.slack.people import KEPT, SlackDirectory, foreign_team
from tests.builders import ACCOUNT, ANN, BOB, NOW

OPS, SIDE = "C0OPS", "C0SIDE"
ON_CALL: Final = replace(ACCOUNT, requesters=("S0ONCALL",), approvers=("S0LEADS", BOB), channels=(OPS, SIDE))
UNHURRIED: Final = 5.0


class Timer:
    """A monotonic clock that is turned by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.at


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def directory(slack: LocalSlack, client: WebClient, timer: Timer) -> Iterator[SlackDirectory]:
    slack.add_group("S0LEADS", "leads", [])
    found = SlackDirectory(client, now=lambda: NOW, timer=timer)
    found.identify(team="T0LOCAL", enterprise=None)
    yield found
    found.close()
    found._lookers.shutdown(wait=True)


def look(directory: SlackDirectory, actor: str = ANN, channel: str | None = OPS, within: float = UNHURRIED) -> Sight:
    return directory.look(actor, channel, ON_CALL, within=within)


def asked(slack: LocalSlack, method: str) -> int:
    return len([call for call in slack.calls if call.method == method])


# --- who it is -------------------------------------------------------------------------------------------------------


def test_a_member_is_seen_as_they_are(directory: SlackDirectory) -> None:
    """A full member is ours, has no flag, and is seen in their groups and in the channel."""
    sight = look(directory)

    assert Person(id=ANN, team="T0LOCAL") == sight.person
    assert frozenset({"S0ONCALL"}) == sight.groups
    assert sight.place is not None
    assert (OPS, False) == (sight.place.id, sight.place.external)
    assert {
        "person": ANN,
        "groups": ["S0ONCALL"],
        "team": "T0LOCAL",
        "flags": [],
        "at": "2026-01-02T03:04:05.000000Z",
    } == (sight.evidence)
    assert None is fault(sight, ON_CALL, Role.REQUEST)


@pytest.mark.parametrize(
    ("flags", "seen"),
    [
        ({"is_restricted": True}, {"guest": True}),
        ({"is_restricted": True, "is_ultra_restricted": True}, {"guest": True}),
        ({"is_ultra_restricted": True}, {"guest": True}),
        ({"is_bot": True}, {"bot": True}),
        ({"is_app_user": True}, {"bot": True}),
        ({"deleted": True}, {"deactivated": True}),
        ({"is_stranger": True}, {"stranger": True}),
        ({"team_id": "T0ELSE"}, {"team": "T0ELSE", "ours": False}),
        ({"team_id": ""}, {"team": "", "ours": False}),
    ],
    ids="+".join,
)
def test_flags_are_read(
    slack: LocalSlack, directory: SlackDirectory, flags: dict[str, Any], seen: dict[str, Any]
) -> None:
    """Guests of both kinds, bots, apps, the deactivated, strangers and other workspaces are seen, and may nothing."""
    slack.add_user("U0ODD", "odd", **flags)
    slack.add_group("S0ONCALL", "oncall", ["U0ODD"])

    sight = look(directory, "U0ODD")

    assert replace(Person(id="U0ODD", team="T0LOCAL"), **seen) == sight.person
    assert fault(sight, ON_CALL, Role.REQUEST)


def test_slackbot_is_a_bot(slack: LocalSlack, directory: SlackDirectory) -> None:
    """Slackbot says of itself that it is none; it is."""
    slack.add_user("USLACKBOT", "slackbot", is_bot=False)

    assert look(directory, "USLACKBOT").person.bot


@pytest.mark.parametrize(
    ("ours", "theirs", "let_in"),
    [("E0ONE", "E0ONE", True), ("E0ONE", "E0TWO", False), (None, "E0ONE", False), ("E0ONE", None, False)],
)
def test_the_same_organisation_is_ours(
    slack: LocalSlack, directory: SlackDirectory, ours: str | None, theirs: str | None, let_in: bool
) -> None:
    """On Enterprise Grid a member of another workspace of the same organisation is ours, and of another one is not."""
    directory.identify(team="T0LOCAL", enterprise=ours)
    grid = {"enterprise_id": theirs} if theirs else None
    slack.add_user("U0GRID", "grid", team_id="T0OTHER", enterprise_user=grid)

    assert let_in == look(directory, "U0GRID").person.ours


def test_an_unknown_person_is_a_stranger(directory: SlackDirectory) -> None:
    """Whom this workspace does not know at all is no failure of Slack's, but somebody from elsewhere."""
    person = look(directory, "U0NOBODY").person

    assert (True, False) == (person.stranger, person.ours)
    assert "people of other organisations (Slack Connect) may not cancel anything" == fault(
        look(directory, "U0NOBODY"), ON_CALL, Role.REQUEST
    )


def test_people_at_a_terminal_are_not_asked_of_slack(slack: LocalSlack, directory: SlackDirectory) -> None:
    """The operating system has said who they are; Slack is not asked, and they are in no group."""
    sight = look(directory, "cli:ann", None)

    assert (Person(id="cli:ann"), frozenset(), None) == (sight.person, sight.groups, sight.place)
    assert [] == slack.calls


def test_names_are_for_lines_that_mention_nobody(slack: LocalSlack, directory: SlackDirectory) -> None:
    """A person's real name stands for them; whoever Slack does not know stands for themselves."""
    assert ["Ann Arbor", "bot", "cli:ann", "U0NOBODY"] == [
        directory.name(actor) for actor in (ANN, "bot", "cli:ann", "U0NOBODY")
    ]
    assert 2 == asked(slack, "users.info")


# --- groups and channels ---------------------------------------------------------------------------------------------


def test_groups_of_both_lists_are_read(slack: LocalSlack, directory: SlackDirectory) -> None:
    """Membership in the requesters' and the approvers' groups is seen, in no other group's."""
    slack.add_group("S0LEADS", "leads", [ANN])
    slack.add_group("S0OTHER", "other", [ANN])

    assert frozenset({"S0ONCALL", "S0LEADS"}) == look(directory).groups
    assert frozenset() == look(directory, BOB).groups
    assert None is fault(look(directory, BOB), ON_CALL, Role.STOP)


@pytest.mark.parametrize(
    ("flags", "external"), [({"is_ext_shared": True}, True), ({"is_org_shared": True}, False), ({}, False)]
)
def test_a_channel_shared_with_another_company_is_seen(
    slack: LocalSlack, directory: SlackDirectory, flags: dict[str, bool], external: bool
) -> None:
    """A channel that another organisation is in is external; one shared within the organisation is not."""
    slack.add_channel(SIDE, "side", [ANN], **flags)

    sight = look(directory, ANN, SIDE)

    assert sight.place is not None
    assert external == sight.place.external
    assert external == (fault(sight, ON_CALL, Role.REQUEST) is not None)


@pytest.mark.parametrize(
    ("flags", "external"),
    [
        ({"is_pending_ext_shared": True}, True),
        ({"pending_shared": ["T0ELSE"]}, True),
        ({"pending_connected_team_ids": ["T0ELSE"]}, True),
        ({"is_pending_ext_shared": False, "pending_shared": [], "pending_connected_team_ids": []}, False),
    ],
)
def test_a_channel_that_another_company_is_invited_to_is_external(
    slack: LocalSlack, directory: SlackDirectory, flags: dict[str, Any], external: bool
) -> None:
    """From the invitation on nothing may be ordered: who accepts it reads along and may press."""
    method = slack._methods["conversations.info"]
    slack._methods["conversations.info"] = replace(method, run=lambda _slack, _args: {"channel": flags})
    try:
        assert (
            external,
            external,
        ) == (
            getattr(look(directory).place, "external", None),
            fault(look(directory), ON_CALL, Role.REQUEST) == "this channel is shared with another organisation",
        )
    finally:
        slack._methods["conversations.info"] = method


OWN: Final = {"team": "T0LOCAL", "enterprise": None}
GRID: Final = {"team": "T0LOCAL", "enterprise": "E0ONE"}


@pytest.mark.parametrize(
    ("body", "own", "foreign"),
    [
        ({"team_id": "T0LOCAL"}, OWN, None),
        ({"team": {"id": "T0LOCAL"}, "user": {"team_id": "T0LOCAL"}}, OWN, None),
        ({"team": None, "user": {"team_id": "T0LOCAL"}}, OWN, None),
        ({"team_id": "T0ELSE"}, OWN, "T0ELSE"),
        ({"team": {"id": "T0LOCAL"}, "user": {"team_id": "T0ELSE"}}, OWN, "T0ELSE"),
        ({"team": {"id": "T0ELSE"}, "user": {"team_id": "T0LOCAL"}}, OWN, "T0ELSE"),
        ({"team": None, "enterprise": {"id": "E0ONE"}, "user": {"team_id": "T0ELSE"}}, OWN, "T0ELSE"),
        ({"team": None, "enterprise": {"id": "E0ONE"}, "user": {"team_id": "T0ELSE"}}, GRID, None),
        ({"team_id": "T0ELSE", "enterprise_id": "E0ONE"}, GRID, None),
        ({"team_id": "T0ELSE", "enterprise_id": "E0TWO"}, GRID, "T0ELSE"),
        ({"team_id": "T0ELSE"}, GRID, "T0ELSE"),
        ({"team_id": "T0LOCAL"}, {"team": None, "enterprise": None}, "T0LOCAL"),
        ({}, OWN, ""),
        ({"team_id": 7, "team": "T0LOCAL", "user": None}, OWN, ""),
    ],
)
def test_a_payload_from_elsewhere_is_seen(
    body: dict[str, Any], own: dict[str, str | None], foreign: str | None
) -> None:
    """Every workspace that a payload names is the bot's own, or one of its organisation; one that names none is not."""
    assert foreign == foreign_team(body, **own)


@pytest.mark.parametrize("channel", ["C0ELSE", "C0CELLAR", "D0ANN", "G0NONE"])
def test_a_place_that_is_not_listed_is_not_asked_for(
    slack: LocalSlack, directory: SlackDirectory, channel: str
) -> None:
    """Where the account may not be used Slack need not be asked, and could not answer about a private place."""
    slack.add_channel("C0ELSE", "else", [ANN])
    slack.add_channel("C0CELLAR", "cellar", [ANN], bot_member=False, is_private=True)

    sight = look(directory, ANN, channel)

    assert "account prod may not be used in this channel" == fault(sight, ON_CALL, Role.REQUEST)
    assert 0 == asked(slack, "conversations.info")


# --- fail closed -----------------------------------------------------------------------------------------------------

METHODS: Final = ("users.info", "usergroups.users.list", "conversations.info")
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "an error": {"error": "internal_error"},
    "a lost scope": {"error": "missing_scope"},
    "a revoked token": {"error": "token_revoked"},
    "too many": {"retry_after": 30},
    "a 500": {"status": 500},
    "a broken connection": {"drop": True},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("broken", FAULTS)
def test_whatever_goes_wrong_nobody_is_let_through(
    slack: LocalSlack, directory: SlackDirectory, method: str, broken: str
) -> None:
    """If Slack fails to answer one of the questions, nothing is said of the person; asked again, it may answer."""
    slack.faults.add(method, **FAULTS[broken])

    with pytest.raises(DirectoryError, match="Slack did not tell me who you are"):
        look(directory)

    assert ANN == look(directory).person.id


def test_a_group_that_is_gone_fails_closed(slack: LocalSlack, directory: SlackDirectory) -> None:
    """A user group that was switched off tells nothing about its members, so nobody is let through."""
    slack.add_group("S0LEADS", "leads", [], deleted=True)

    with pytest.raises(DirectoryError, match="no_such_subteam"):
        look(directory)


@pytest.mark.parametrize("method", METHODS)
def test_a_slow_slack_is_not_waited_for(slack: LocalSlack, directory: SlackDirectory, method: str) -> None:
    """What is not known within the time is not known; the look takes that time and no more."""
    slack.faults.add(method, delay=0.7)
    began = time.monotonic()

    with pytest.raises(DirectoryError, match="in time"):
        look(directory, within=0.2)

    assert time.monotonic() - began < 0.6


def test_questions_are_asked_at_the_same_time(slack: LocalSlack, directory: SlackDirectory) -> None:
    """Person, groups and channel are asked for in parallel: together they take as long as the slowest."""
    for method in METHODS:
        slack.faults.add(method, delay=0.4)
    began = time.monotonic()

    look(directory)

    assert time.monotonic() - began < 0.9


def test_an_answer_that_came_late_is_there_for_the_next_press(slack: LocalSlack, directory: SlackDirectory) -> None:
    """The question goes on after its time, so that pressing again helps."""
    slack.faults.add("users.info", delay=0.4)
    with pytest.raises(DirectoryError):
        look(directory, within=0.1)

    assert ANN == look(directory).person.id
    assert 1 == asked(slack, "users.info")


def test_nobody_is_known_before_slack_has_said_whose_bot_it_is(client: WebClient, timer: Timer) -> None:
    """Without the bot's own workspace nobody can be told from a stranger."""
    directory = SlackDirectory(client, now=lambda: NOW, timer=timer)

    with pytest.raises(DirectoryError, match="not connected to Slack yet"):
        look(directory)
    directory.close()


@pytest.mark.parametrize("answer", [{}, {"user": None}, {"user": {"id": "U0OTHER"}}])
def test_an_answer_without_the_person_is_none(
    slack: LocalSlack, directory: SlackDirectory, answer: dict[str, Any]
) -> None:
    """An answer that is not about the person who was asked for counts for nothing."""
    method = slack._methods["users.info"]
    slack._methods["users.info"] = replace(method, run=lambda _slack, _args: answer)
    try:
        with pytest.raises(DirectoryError, match="no usable answer"):
            look(directory)
    finally:
        slack._methods["users.info"] = method


# --- for a minute, and once ------------------------------------------------------------------------------------------


def test_answers_are_believed_for_a_minute(slack: LocalSlack, directory: SlackDirectory, timer: Timer) -> None:
    """Within a minute Slack is asked once; after it, somebody who was taken off the list is off it."""
    look(directory)
    slack.add_group("S0ONCALL", "oncall", [])
    slack.add_user(ANN, "ann", deleted=True)

    timer.at += KEPT - 0.1
    believed = look(directory)
    timer.at += 0.2
    asked_again = look(directory)

    assert KEPT <= 60
    assert (frozenset({"S0ONCALL"}), False) == (believed.groups, believed.person.deactivated)
    assert (frozenset(), True) == (asked_again.groups, asked_again.person.deactivated)
    assert 2 == asked(slack, "users.info")


def test_an_answer_grows_no_younger_by_being_used(slack: LocalSlack, directory: SlackDirectory, timer: Timer) -> None:
    """The minute runs from the question, however often its answer is used."""
    for _ in range(5):
        look(directory)
        timer.at += KEPT / 4

    assert 2 == asked(slack, "users.info")


def test_errors_are_not_kept(slack: LocalSlack, directory: SlackDirectory) -> None:
    """A failure is not believed for a minute: the next press asks again."""
    slack.faults.add("users.info", error="internal_error")
    with pytest.raises(DirectoryError):
        look(directory)

    assert ANN == look(directory).person.id


def test_the_same_question_is_asked_once(slack: LocalSlack, directory: SlackDirectory) -> None:
    """Twenty presses at the same moment ask Slack once for each fact."""
    slack.faults.add("users.info", delay=0.2)
    with ThreadPoolExecutor(20) as pool:
        sights = list(pool.map(lambda _: look(directory), range(20)))

    assert {ANN} == {sight.person.id for sight in sights}
    assert (1, 2, 1) == tuple(asked(slack, method) for method in METHODS)


# --- a start, which looks again ---------------------------------------------------------------------------------------


def test_a_start_asks_anew(slack: LocalSlack, directory: SlackDirectory) -> None:
    """What was learnt before the time that is given does not count: who has left since is seen to have left."""
    look(directory)
    slack.add_user(ANN, "ann", deleted=True)
    believed = look(directory).person.deactivated
    anew = directory.look(ANN, OPS, ON_CALL, within=UNHURRIED, since=NOW + timedelta(seconds=1))

    assert (False, True) == (believed, anew.person.deactivated)


def test_what_is_young_enough_is_not_asked_again(slack: LocalSlack, directory: SlackDirectory) -> None:
    """What was learnt since then is taken for the present."""
    look(directory)
    before = len(slack.calls)
    directory.look(ANN, OPS, ON_CALL, within=UNHURRIED, since=NOW)

    assert before == len(slack.calls)


# --- who may approve --------------------------------------------------------------------------------------------------


def test_one_approver_whom_slack_stumbles_over_is_passed_over(slack: LocalSlack, directory: SlackDirectory) -> None:
    """As long as enough others are found, nobody waits for one of whom Slack does not tell."""
    slack.add_user("U0KIM", "kim")
    slack.add_group("S0LEADS", "leads", ["U0KIM", "U0NOBODYKNOWS"])
    found = directory.approvers(ON_CALL, besides=ANN, enough=2, within=UNHURRIED)

    assert {BOB, "U0KIM"} >= set(found)
    assert found
