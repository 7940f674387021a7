"""Who may do what where, and when one person is not enough."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.account import Account, Approval
from bot.domain.errors import UsageError
from bot.domain.policy import (
    Allowed,
    Denied,
    NeedsApproval,
    Person,
    Place,
    Role,
    Sight,
    alone,
    choose_account,
    fault,
    judge,
    policy_in_force,
)
from bot.domain.status import Status
from tests.builders import ACCOUNT, ANN, BOB, NOW, account

Q, N, P = Status.QUEUED, Status.NOTIFIED, Status.IN_PROGRESS
OPS = Place(id="C0OPS")
NOBODY = account(requesters=(), approvers=())


def sight(person: Person | None = None, *, groups: tuple[str, ...] = (), place: Place | None = OPS) -> Sight:
    """Return what was seen of somebody, ann in the ops channel unless told."""
    return Sight(person=person or Person(id=ANN, team="T1"), groups=frozenset(groups), place=place, at=NOW)


CAROL = Person(id="U0CAROL")
FAULTS: list[tuple[Sight, Account, Role, str | None]] = [
    (sight(), ACCOUNT, Role.REQUEST, None),
    (sight(), ACCOUNT, Role.STOP, None),
    (sight(CAROL, groups=("S0ONCALL",)), ACCOUNT, Role.REQUEST, None),
    (sight(CAROL, groups=("S0OTHER",)), ACCOUNT, Role.REQUEST, "not among the requesters of account prod"),
    (sight(CAROL), ACCOUNT, Role.STOP, "not among the requesters or approvers of account prod"),
    (sight(Person(id=BOB)), ACCOUNT, Role.REQUEST, "not among the requesters of account prod"),
    (sight(Person(id=BOB)), ACCOUNT, Role.STOP, None),
    (sight(), NOBODY, Role.REQUEST, "not among the requesters of account prod"),
    (sight(), NOBODY, Role.STOP, "not among the requesters or approvers of account prod"),
    (sight(Person(id=ANN, guest=True)), ACCOUNT, Role.REQUEST, "guests of this workspace may not cancel anything"),
    (sight(Person(id=ANN, bot=True)), ACCOUNT, Role.REQUEST, "bots may not cancel anything"),
    (sight(Person(id=ANN, deactivated=True)), ACCOUNT, Role.REQUEST, "deactivated accounts may not cancel anything"),
    (
        sight(Person(id=ANN, stranger=True)),
        ACCOUNT,
        Role.REQUEST,
        "people of other organisations (Slack Connect) may not cancel anything",
    ),
    (
        sight(Person(id=ANN, ours=False)),
        ACCOUNT,
        Role.STOP,
        "people of other organisations (Slack Connect) may not cancel anything",
    ),
    (sight(place=Place(id="C0X")), ACCOUNT, Role.REQUEST, "account prod may not be used in this channel"),
    (sight(), account(channels=()), Role.REQUEST, "account prod may not be used in this channel"),
    (
        sight(place=Place(id="C0OPS", external=True)),
        ACCOUNT,
        Role.REQUEST,
        "this channel is shared with another organisation",
    ),
    (sight(place=None), ACCOUNT, Role.REQUEST, None),
    (
        sight(Person(id="cli:eve"), place=None),
        ACCOUNT,
        Role.REQUEST,
        "not among the requesters of account prod",
    ),
    (sight(Person(id="cli:ann"), place=None), account(requesters=("cli:ann",)), Role.REQUEST, None),
]


@pytest.mark.parametrize(("seen", "where", "role", "expected"), FAULTS)
def test_who_may_do_what_where(seen: Sight, where: Account, role: Role, expected: str | None) -> None:
    """Only listed full members of the bot's own workspace may, in a listed channel that is not shared."""
    assert expected == fault(seen, where, role)


def test_a_stranger_learns_nothing_of_the_account() -> None:
    """Somebody from elsewhere is told so, and not which channels or groups an account has."""
    seen = sight(Person(id="U0X", stranger=True), place=Place(id="C0X", external=True))

    assert "people of other organisations (Slack Connect) may not cancel anything" == fault(seen, NOBODY, Role.REQUEST)


def test_the_evidence_is_what_was_seen() -> None:
    """The ledger keeps the groups, the team, the flags and when they were read."""
    seen = sight(Person(id=ANN, team="T1", guest=True, stranger=True), groups=("S2", "S1"))
    expected = {
        "person": ANN,
        "groups": ["S1", "S2"],
        "team": "T1",
        "flags": ["guest", "stranger"],
        "at": "2026-01-02T03:04:05.000000Z",
    }

    assert expected == seen.evidence


# --- which account -------------------------------------------------------------------------------------------------

CN = account(name="prod-cn", channels=("C1",))
EU = account(name="prod-eu", channels=("C1", "C2"), default=True)
US = account(name="prod-us", channels=("C3",))
ALL = {each.name: each for each in (CN, EU, US)}
CASES = {name: account(name=name, channels=()) for name in ("Prod", "prod")}


@pytest.mark.parametrize(
    ("accounts", "name", "channel", "expected"),
    [
        (ALL, "prod-cn", None, CN),
        (ALL, "PROD-CN", "C3", CN),
        (ALL, None, "C1", EU),
        (ALL, None, "C2", EU),
        (ALL, None, "C3", US),
        (ALL, None, "C9", EU),
        ({CN.name: CN}, None, "C9", CN),
        (CASES, "prod", None, CASES["prod"]),
        (CASES, "Prod", None, CASES["Prod"]),
    ],
)
def test_the_account_that_is_meant(
    accounts: dict[str, Account], name: str | None, channel: str | None, expected: Account
) -> None:
    """A name decides, letter by letter where two differ in case alone; else this channel's default or only account."""
    assert expected is choose_account(accounts, name, channel)


@pytest.mark.parametrize(
    ("accounts", "name", "channel", "said"),
    [
        (ALL, "prod-cm", "C1", "the nearest is prod-cn"),
        (ALL, "", "C1", "There is no account “”"),
        (CASES, "PROD", None, "There is no account “PROD”"),
        ({CN.name: CN, US.name: US}, None, "C9", "Say which account, with “on” and its name: prod-cn, prod-us."),
        ({}, None, "C9", "Say which account"),
    ],
)
def test_an_account_is_never_guessed(
    accounts: dict[str, Account], name: str | None, channel: str | None, said: str
) -> None:
    """A name that is none, or several possible accounts, is an error that says what there is."""
    with pytest.raises(UsageError) as raised:
        choose_account(accounts, name, channel)

    assert said in raised.value.message


# --- how many alone ------------------------------------------------------------------------------------------------

HUNDRED = Approval(above=100)
VERDICTS = [
    (HUNDRED, (Q,), 100, 0, Allowed()),
    (HUNDRED, (Q,), 0, 0, Allowed()),
    (HUNDRED, (Q,), 101, 0, NeedsApproval(1, ("up to 101 devices are more than 100",))),
    (HUNDRED, (Q,), 60, 40, Allowed()),
    (
        HUNDRED,
        (Q,),
        60,
        41,
        NeedsApproval(1, ("up to 60 devices and the 41 run alone lately are more than 100",)),
    ),
    (HUNDRED, (Q,), None, 0, NeedsApproval(1, ("the cloud does not tell how many devices it is",))),
    (HUNDRED, (Q, P), 1, 0, NeedsApproval(1, ("“in-progress” always needs one",))),
    (
        Approval(above=0, always=("queued", "notified"), people=2),
        (Q, N),
        1_000_000,
        0,
        NeedsApproval(
            2,
            (
                "“queued” always needs one",
                "“notified” always needs one",
                "up to 1,000,000 devices are more than 0",
            ),
        ),
    ),
    (Approval(always=()), (P,), 100, 0, Allowed()),
    (HUNDRED, (), 1, 0, Denied("no status was named, so nothing can be cancelled")),
    (HUNDRED, (), None, 0, Denied("no status was named, so nothing can be cancelled")),
]


@pytest.mark.parametrize(("approval", "statuses", "at_most", "ran_alone", "expected"), VERDICTS)
def test_the_verdict(
    approval: Approval, statuses: tuple[Status, ...], at_most: int | None, ran_alone: int, expected: object
) -> None:
    """More devices than `above`, an unknown number, or a status on `always` needs others; nothing named is denied."""
    assert expected == judge(approval, stakes=statuses, at_most=at_most, ran_alone=ran_alone)


@given(
    st.sets(st.sampled_from(Status), min_size=1).map(sorted).map(tuple),
    st.none() | st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=300),
)
@settings(deadline=None, max_examples=300, derandomize=True)
def test_alone_is_the_exception(statuses: tuple[Status, ...], at_most: int | None, ran_alone: int, above: int) -> None:
    """One person goes on alone only if nothing always needs another and all they ran stays within the limit."""
    verdict = judge(Approval(above=above), stakes=statuses, at_most=at_most, ran_alone=ran_alone)
    within = at_most is not None and at_most + ran_alone <= above and P not in statuses

    assert within == isinstance(verdict, Allowed)


def test_the_policy_is_stored_as_whole_numbers() -> None:
    """The rules beside a vote are JSON without fractions: durations are whole seconds."""
    expected = {
        "above": 7,
        "always": ["strategy"],
        "people": 2,
        "expires": 90,
        "run_within": 60,
        "window": 3600,
        "requesters": [ANN, "S0ONCALL"],
        "approvers": [BOB],
        "break_glass": [ANN],
    }

    assert expected == policy_in_force(
        account(
            approval=Approval(
                above=7,
                always=("strategy",),
                people=2,
                expires=timedelta(seconds=90),
                run_within=timedelta(minutes=1),
                break_glass=(ANN,),
            )
        )
    )


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (
            ACCOUNT,
            (
                "prod (aliyun, in C0OPS): U0ANN, S0ONCALL may cancel up to 100 alone;"
                " in-progress and more needs 1 approval of U0BOB"
            ),
        ),
        (
            account(requesters=(), channels=(), approvers=(), approval=Approval(above=2000, always=(), people=2)),
            "prod (aliyun, in no channel): nobody may cancel up to 2,000 alone; more needs 2 approvals of nobody",
        ),
    ],
)
def test_who_can_run_how_much_alone(of: Account, line: str) -> None:
    """Each account says on one line who can run how much alone, and where."""
    assert line == alone(of)
