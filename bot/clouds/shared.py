"""What the dialects of all clouds share: limits of looking, one exchange, and how a read that failed is told."""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from bot.clouds.http import Http, NoAnswerError, NotSentError, Reply, Request
from bot.clouds.throttle import MARGIN
from bot.domain.account import Account
from bot.domain.advice import advice
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError

REDIRECTS: Final = 300
CLIENT_ERROR: Final = 400
TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR: Final = 500
READ_ATTEMPTS: Final = 4
"""How often a read is sent in all; reads change nothing."""
NOT_SENT: Final = "NotSent"
"""The code of a call that never reached the cloud."""
MISSED: Final = Answer(
    outcome=Outcome.FAILED, code=NOT_SENT, message="its slot was missed, and nothing was sent", again=True
)
"""What became of a call that could not be sent in any slot in time: sent beside them it would break the limit."""
REDIRECTED: Final = "the answer points to somewhere else, and the bot follows no redirect"
NO_ANSWER: Final = "NoAnswer"
"""The code of a call after which nothing was heard."""
NO_JOB: Final = "otabot0check0no0such0job"
"""A well-formed id that no job has."""
LOOK: Final = 10.0
"""Seconds, of the query rate and by the clock, that one look may spend; what it does not come to is not looked at."""
MOST_JOBS: Final = 10
"""Running batches that are shown with their counts."""
SKEW: Final = 60
"""Seconds that this machine's clock may differ from the cloud's before `check` says so; Alibaba refuses 15 min."""
RETRY_AFTER: Final[Mapping[str, float]] = {"retry-after": 1.0}
"""The header in which an answer asks to wait, and its unit in seconds."""


def most_reads(account: Account) -> int:
    """Return how many reads of one operation a look may spend: LOOK at the account's rate, and at least one."""
    return max(1, int(account.qps.query * LOOK))


def reads_until(began: datetime, reads: int, account: Account) -> datetime:
    """Return when so many reads are over at the account's rate: on a slow way fewer are sent until then."""
    return began + timedelta(seconds=reads * MARGIN / account.qps.query)


def exchange(http: Http, request: Request) -> Reply | Answer:
    """Send a request once; return what came back, or what it means that nothing did, or nothing of the cloud's.

    Where a redirect points is not told: it may repeat the request, signature and all.
    """
    try:
        reply = http.send(request)
    except NotSentError as error:
        return Answer(outcome=Outcome.FAILED, code=NOT_SENT, message=str(error), again=True)
    except NoAnswerError as error:
        return Answer(outcome=Outcome.UNKNOWN, code=NO_ANSWER, message=str(error))
    if REDIRECTS <= reply.status < CLIENT_ERROR:
        return Answer(outcome=Outcome.FAILED, code=f"HTTP {reply.status}", message=REDIRECTED)
    return reply


def parsed(reply: Reply) -> dict[str, Any]:
    """Return the answer's JSON object; empty when it is anything else."""
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def retry_after(reply: Reply, headers: Mapping[str, float] = RETRY_AFTER) -> float | None:
    """Return the seconds that an answer asks to wait, by the first of `headers` that says so; else `None`.

    A number, or a date as RFC 9110 allows, which is taken by the clock of who sent it: by the answer's Date.
    """
    for name, unit in headers.items():
        said = reply.headers.get(name, "")
        try:
            seconds = float(said) * unit
        except ValueError:
            seconds = _between(reply.headers.get("date", ""), said)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _between(sooner: str, later: str) -> float:
    """Return the seconds between two dates of HTTP; not a number where one is none."""
    try:
        return (parsedate_to_datetime(later) - parsedate_to_datetime(sooner)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # a year of twenty digits is the last
        return math.nan


def unread(account: Account, action: str, answer: Answer) -> CloudError:
    """Say that a read failed, in the cloud's own words, and what to do."""
    refused = answer.outcome is Outcome.FAILED and answer.code != NOT_SENT
    said = answer.message if answer.code == NOT_SENT else f"{answer.code}: {answer.message}"
    return CloudError(
        f"The cloud of {account.name} {'refused' if refused else 'did not answer'} {action}: "
        f"{said.rstrip('.: ') or 'no usable answer'}.",
        code=answer.code,
        request_id=answer.request_id,
        advice=unchanged(answer.code),
        final=refused and not answer.again,
    )


def unchanged(code: str) -> str:
    """Return what to do after a code that a read ended with: a read changes nothing."""
    return f"{advice(code, read=True)} Nothing was changed.".strip()


def skew(reply: Reply, now: datetime) -> float | None:
    """Return the seconds that this machine's clock is ahead of the cloud's, by an answer's Date."""
    try:
        return (now - parsedate_to_datetime(reply.headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def clock_faults(skewed: float | None) -> tuple[str, ...]:
    """Say that this machine's clock is wrong, where it is."""
    if skewed is None or abs(skewed) <= SKEW:
        return ()
    return (f"this machine's clock is {skewed:+.0f} s off the cloud's; set it, or calls will be refused",)
