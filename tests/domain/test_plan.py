"""The plan: what it may hit, and the digest that binds people to exactly this."""

import json
from dataclasses import fields, replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bot.domain.account import Account, Cloud
from bot.domain.order import CancelJob
from bot.domain.plan import Plan, Step, freeze
from bot.domain.reading import Counts, Reading
from bot.domain.secret import Secret
from bot.domain.status import FLOW, Status, flows_into
from tests.builders import ACCOUNT, COUNTS, DRAINED, NOW, ORDER, account, plan, preview, reading

S, U, Q, N, P = Status
GOLDEN_JSON = (
    '{"at_most":59,"cloud":"aliyun","endpoint":"https://iot.cn-shanghai.aliyuncs.com","instance":"iot-1","job":"J1",'
    '"key":"4dabdccb661a6f19","org":null,"per_call":200,"region":"cn-shanghai","statuses":["queued","notified"],'
    '"steps":[{"action":"CancelOTATaskByJob","calls":1,"count":0,"firmware":null,"job":"J1","names":null,"product":null}],'
    '"v":2,"verb":"job"}'
)
GOLDEN = "8b23057edd9ae1618b9a3928ec95a96fc1d0115bad1a59ef61d4cc523eea5ac5"
PLANNED: Counts = {S: 64, U: 7, Q: 40, N: 12, P: 5}
counts = st.fixed_dictionaries({status: st.none() | st.integers(min_value=0, max_value=100) for status in Status})
named = st.sets(st.sampled_from(Status), min_size=1).map(frozenset)


@pytest.mark.parametrize(
    ("seen", "statuses", "now", "at_most"),
    [
        (COUNTS, (Q, N), 52, 59),
        (COUNTS, (U,), 7, 7),
        (COUNTS, (Q,), 40, 47),
        (COUNTS, (N,), 12, 59),
        (COUNTS, (P,), 5, 64),
        (COUNTS, (U, Q, N, P), 64, 64),
        (COUNTS, (S,), 0, 0),
        (DRAINED, (Q, N), 0, 0),
        (PLANNED, (S,), 64, 64),
        (PLANNED, (S, Q), 64, 64),
        (PLANNED, (S, U, Q, N, P), 64, 64),
        ({**COUNTS, S: None}, (Q, N), 52, 59),
        ({**COUNTS, P: None}, (Q, N), 52, 59),
        ({**COUNTS, U: None}, (Q, N), 52, None),
        ({**COUNTS, N: None}, (Q, N), None, None),
        ({**PLANNED, S: None}, (S,), None, None),
    ],
)
def test_what_a_cancel_hits(seen: Counts, statuses: tuple[Status, ...], now: int | None, at_most: int | None) -> None:
    """Now it hits the named, at most also what flows into them; a scheduled batch counts once, unknown stays so."""
    order = CancelJob(job="J1", statuses=statuses)

    assert now == reading(seen).size(frozenset(statuses))
    assert at_most == freeze(order, preview(seen), ACCOUNT).at_most


@given(counts, named)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_at_most_is_never_less_than_now(seen: dict[Status, int | None], statuses: frozenset[Status]) -> None:
    """What it may grow to is unknown where a part is, and never below what it hits now."""
    found = Reading(at=NOW, counts=seen, canceled=None)
    now, at_most = found.size(statuses), found.size(flows_into(statuses))

    assert (at_most is None) == any(seen[status] is None for status in flows_into(statuses))
    assert at_most is None or (now is not None and now <= at_most)


@given(st.fixed_dictionaries({status: st.integers(min_value=0, max_value=100) for status in Status}), named)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_a_batch_that_drains_stays_within_at_most(seen: dict[Status, Any], statuses: frozenset[Status]) -> None:
    """Tasks that move on along the flow never bring the named statuses above `at_most`."""
    at_most = Reading(at=NOW, counts=seen, canceled=None).size(flows_into(statuses))
    moved = dict(seen)
    assert at_most is not None

    sizes = []
    for before, after in pairwise(FLOW):
        moved[after], moved[before] = moved[after] + moved[before], 0
        sizes.append(Reading(at=NOW, counts=moved, canceled=None).size(statuses))

    assert all(size is not None and size <= at_most for size in sizes)


def test_the_digest_is_what_it_always_was() -> None:
    """The same intent has the same digest for ever: the SHA-256 of this canonical JSON."""
    assert sha256(GOLDEN_JSON.encode()).hexdigest() == plan().digest
    assert GOLDEN == plan().digest


OTHER: dict[str, Any] = {
    "v": 3,
    "cloud": "tuya",
    "endpoint": "https://iot.ap-southeast-1.aliyuncs.com",
    "region": None,
    "instance": None,
    "org": "o1",
    "key": "0000000000000000",
    "verb": "strategy",
    "job": "j1",
    "statuses": (Q,),
    "at_most": None,
    "per_call": 50,
    "steps": (Step(action="CancelOTAStrategyByJob", job="J1"),),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Plan)])
def test_every_field_counts(name: str) -> None:
    """A plan that differs in any one field has another digest."""
    assert plan().digest != replace(plan(), **{name: OTHER[name]}).digest


STEP = Step(action="CancelOTATaskByDevice", job="J1", product="P", firmware="F", names="ab" * 32, count=3, calls=1)
OTHER_STEP: dict[str, Any] = {
    "action": "cancelTask",
    "job": "J2",
    "product": "P2",
    "firmware": None,
    "names": "cd" * 32,
    "count": 4,
    "calls": 2,
}


@pytest.mark.parametrize("name", [field.name for field in fields(Step)])
def test_every_field_of_a_step_counts(name: str) -> None:
    """So it is with each operation, job, product, firmware and list of names in it."""
    plans = [replace(plan(), steps=(step,)) for step in (STEP, replace(STEP, **{name: OTHER_STEP[name]}))]

    assert plans[0].digest != plans[1].digest


def test_the_order_of_statuses_counts() -> None:
    """Statuses are compared as they are written: people confirm what they read."""
    assert plan().digest != replace(plan(), statuses=(N, Q)).digest


def test_the_key_itself_is_not_in_the_plan() -> None:
    """The plan holds a fingerprint of the key id, not the key id and no secret."""
    text = json.dumps(plan().body)

    assert [] == [secret for secret in ACCOUNT.secrets if secret.reveal() in text]
    assert sha256(b"LTAI-key").hexdigest()[:16] == plan().key


def test_a_plan_survives_being_stored() -> None:
    """A plan that was stored and read again is equal and has the same digest."""
    back = TypeAdapter(Plan).validate_python(json.loads(json.dumps(plan().body)))

    assert (plan(), plan().digest) == (back, back.digest)


@pytest.mark.parametrize(
    ("now", "fits"),
    [
        (ACCOUNT, True),
        (account(key_secret=Secret("rotated"), name="renamed", quota="other"), True),
        (account(cloud=Cloud.TUYA), False),
        (account(endpoint="https://iot.cn-shanghai.aliyuncs.com.example"), False),
        (account(region=None), False),
        (account(instance="iot-2"), False),
        (account(org="o1"), False),
        (account(key_id=Secret("LTAI-key2")), False),
    ],
)
def test_a_plan_fits_where_it_was_made(now: Account, fits: bool) -> None:
    """A plan fits the account with the same cloud, place, instance, organisation and key id, and no other."""
    assert fits == freeze(ORDER, preview(), ACCOUNT).fits(now)
