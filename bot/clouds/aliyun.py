"""Alibaba Cloud IoT Platform, version 2018-01-20: signed RPC calls, previews, cancels by job.

Sources: the documents of CancelOTATaskByJob, QueryOTAJob and ListOTATaskByJob; the protocol is in rpc.py.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from bot.clouds.http import Http, NoAnswerError, NotSentError, Reply, Request
from bot.clouds.rpc import canonical_query, classify, field, parsed, signature, string_to_sign, text, throttling
from bot.clouds.throttle import MARGIN, Throttle
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.plan import CANCEL_JOB, Job, Plan, Preview, Reading
from bot.domain.status import FLOW, Status

VERSION: Final = "2018-01-20"
TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
READ_ATTEMPTS: Final = 4
"""How often a read is sent in all; reads change nothing."""
NO_JOB: Final = "otabot0check0no0such0job"
"""A well-formed id that no job has."""
CREDENTIALS: Final = re.compile(
    r"InvalidAccessKey|Signature|IncompleteSignature|InvalidTimeStamp|IllegalTimestamp|InvalidSecurityToken|Forbidden"
    r"|NoPermission|iot\.(system|sre)\.|iot\..*(Permission|Tenant|Instance)",
    re.IGNORECASE,
)
"""The codes that a job which does not exist cannot be the cause of (help.aliyun.com/document_detail/87387, /48054)."""
NOT_SENT: Final = "NotSent"
"""The code of a call that never reached the cloud."""
SKEW: Final = 60
"""Seconds that this machine's clock may differ from the cloud's before `check` says so; the cloud refuses 15 min."""

WORDS: Final[Mapping[Status, str]] = {
    Status.UNCONFIRMED: "CONFIRM",
    Status.QUEUED: "QUEUED",
    Status.NOTIFIED: "NOTIFIED",
    Status.IN_PROGRESS: "IN_PROGRESS",
}
"""The cloud's TaskStatus of each unfinished task."""
FLAGS: Final[Mapping[Status, str]] = {
    Status.SCHEDULED: "CancelScheduledTask",
    Status.UNCONFIRMED: "CancelUnconfirmedTask",
    Status.QUEUED: "CancelQueuedTask",
    Status.NOTIFIED: "CancelNotifiedTask",
    Status.IN_PROGRESS: "CancelInProgressTask",
}
"""All are always sent: an absent CancelUnconfirmedTask beside CancelQueuedTask=true would cancel CONFIRM tasks, too."""


class AliyunCloud:
    """One Alibaba Cloud account. `now` gives UTC, `nonce` a string that never repeats."""

    def __init__(
        self,
        account: Account,
        *,
        http: Http,
        throttle: Throttle,
        now: Callable[[], datetime],
        nonce: Callable[[], str],
        ahead: Callable[[str, str], float],
    ) -> None:
        self._account = account
        self._http = http
        self._throttle = throttle
        self._now = now
        self._nonce = nonce
        self._ahead = ahead

    # --- what the engine asks (clouds/base.py) -----------------------------------------------------------------

    def preview(self, job: str) -> Preview:
        """Read a job and its tasks by status."""
        facts = self._job(job)
        return Preview(job=facts, reading=self._reading(job, planned=facts.status == "PLANNED", patient=False))

    def read(self, job: str, statuses: tuple[Status, ...], *, patient: bool = False) -> Reading:
        """Read a job's tasks by status again."""
        planned = Status.SCHEDULED in statuses and self._job(job, patient=patient).status == "PLANNED"
        return self._reading(job, planned=planned, patient=patient)

    def finished(self, job: str) -> Mapping[str, int | None]:
        """Read how many tasks have succeeded, failed or been cancelled."""
        return {word: self._total(job, word, patient=False)[0] for word in ("SUCCEEDED", "FAILED", "CANCELED")}

    def action(self, plan: Plan) -> str:
        """Name the operation."""
        return plan.operation

    def estimate(self, plan: Plan, calls: int) -> int:
        """Return whole seconds, at least one."""
        waiting = self._ahead(self._account.quota, plan.operation)
        return max(1, round(waiting + calls * MARGIN / self._account.qps.job))

    def wait(self, plan: Plan) -> None:
        """Wait for the next slot of the cancelling operation."""
        self._throttle.wait(self._account.quota, plan.operation, self._account.qps.job)

    def send(self, plan: Plan, call: int, attempt: int) -> Answer:
        """Send one call once, with every flag said outright."""
        del call  # a plan by job is one call
        flags = {flag: "true" if status in plan.statuses else "false" for status, flag in FLAGS.items()}
        answer, _ = self._ask(CANCEL_JOB, {"JobId": plan.job, **flags}, resent=attempt > 1)
        return answer

    def probe(self) -> tuple[str, ...]:
        """Query a job that cannot exist: the cloud's refusal shows whether it took the signature and the instance."""
        answer, reply = self._ask("QueryOTAJob", {"JobId": NO_JOB}, resent=False)
        problems = []
        if reply is None or answer.outcome is Outcome.UNKNOWN:
            problems.append(f"{self._account.endpoint} gave no usable answer: {answer.message or answer.code}")
        elif answer.outcome is Outcome.FAILED and CREDENTIALS.match(answer.code):
            problems.append(f"{self._account.endpoint} refuses the key or the instance: {answer.code} {answer.message}")
        skew = self._skew(reply)
        if skew is not None and abs(skew) > SKEW:
            problems.append(f"this machine's clock is {skew:+.0f} s off the cloud's; set it, or calls will be refused")
        return tuple(problems)

    # --- reading -----------------------------------------------------------------------------------------------

    def _job(self, job: str, *, patient: bool = False) -> Job:
        found = field(self._fetch("QueryOTAJob", {"JobId": job}, patient=patient), "Data")
        if not isinstance(found, dict):
            raise CloudError(f"The cloud's answer about job {job} has no Data.", advice="Nothing was changed.")
        return Job(
            id=job,
            name=text(found, "Name"),
            status=text(found, "JobStatus"),
            dynamic=text(found, "SelectionType") == "DYNAMIC",
            product=text(found, "ProductKey"),
            firmware=text(found, "FirmwareId"),
            version=text(found, "DestVersion"),
        )

    def _reading(self, job: str, *, planned: bool, patient: bool) -> Reading:
        began = self._now()
        asked = [*WORDS.values(), "CANCELED"]
        totals = {word: self._total(job, word, patient=patient) for word in asked}
        counts: dict[Status, int | None] = {status: totals[word][0] for status, word in WORDS.items()}
        canceled: int | None = totals["CANCELED"][0]
        if not _filtered(totals):
            counts, canceled = dict.fromkeys(counts), None
        known = [count for count in counts.values() if count is not None]
        unfinished = sum(known) if len(known) == len(FLOW) else None
        counts[Status.SCHEDULED] = unfinished if planned else 0
        return Reading(at=began, counts=counts, canceled=canceled)

    def _total(self, job: str, word: str, *, patient: bool) -> tuple[int, bool]:
        """Return the Total of a job's tasks in one status, and whether no row says that it has another."""
        asked = {"JobId": job, "TaskStatus": word, "CurrentPage": "1", "PageSize": "1"}
        found = self._fetch("ListOTATaskByJob", asked, patient=patient)
        others = {text(row, "TaskStatus") for row in _rows(found)} - {word, ""}
        return _count(field(found, "Total")), not others

    def _fetch(self, action: str, parameters: Mapping[str, str], *, patient: bool) -> dict[str, Any]:
        """Read, again where that may help; raises CloudError with the cloud's own words."""
        answer = Answer(outcome=Outcome.UNKNOWN)
        for attempt in range(1, READ_ATTEMPTS + 1):
            self._throttle.wait(self._account.quota, action, self._account.qps.query, patient=patient)
            answer, reply = self._ask(action, parameters, resent=attempt > 1)
            if answer.outcome is Outcome.DONE and reply is not None:
                return parsed(reply) or {}
            if answer.outcome is Outcome.FAILED and not answer.again:
                break
        verb = "refused" if answer.outcome is Outcome.FAILED and answer.code != NOT_SENT else "did not answer"
        said = answer.message if answer.code == NOT_SENT else f"{answer.code}: {answer.message}"
        raise CloudError(
            f"The cloud of {self._account.name} {verb} {action}: {said.rstrip('.') or 'no usable answer'}.",
            code=answer.code,
            request_id=answer.request_id,
            advice="Nothing was changed.",
        )

    # --- one signed request ------------------------------------------------------------------------------------

    def _ask(self, action: str, parameters: Mapping[str, str], *, resent: bool) -> tuple[Answer, Reply | None]:
        try:
            reply = self._http.send(self._signed(action, parameters))
        except NotSentError as error:
            return Answer(outcome=Outcome.FAILED, code=NOT_SENT, message=str(error), again=True), None
        except NoAnswerError as error:
            return Answer(outcome=Outcome.UNKNOWN, code="NoAnswer", message=str(error)), None
        answer = classify(reply, secrets=self._account.secrets, resent=resent)
        if throttling(answer.code, reply.status):
            self._throttle.throttled(self._account.quota, action, answer.wait)
        return answer, reply

    def _signed(self, action: str, parameters: Mapping[str, str]) -> Request:
        """Sign one attempt: a nonce and a timestamp of its own, business parameters in the form body."""
        account = self._account
        business = {**parameters, **({"IotInstanceId": account.instance} if account.instance else {})}
        common = {
            "Action": action,
            "Version": VERSION,
            "Format": "JSON",
            "AccessKeyId": account.key_id.reveal(),
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": self._nonce(),
            "Timestamp": self._now().strftime(TIMESTAMP),
            **({"RegionId": account.region} if account.region else {}),
            **({"SecurityToken": account.security_token.reveal()} if account.security_token else {}),
        }
        to_sign = string_to_sign("POST", canonical_query({**common, **business}))
        signed = {**common, "Signature": signature(to_sign, account.key_secret)}
        return Request(
            method="POST", url=f"{account.endpoint}/", query=canonical_query(signed), form=canonical_query(business)
        )

    def _skew(self, reply: Reply | None) -> float | None:
        try:
            there = parsedate_to_datetime(reply.headers["date"]) if reply else None
        except (KeyError, ValueError, TypeError):
            return None
        return (self._now() - there).total_seconds() if there else None


def _rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    container = field(found, "Data")
    rows = field(container, "SimpleOTATaskInfo") if isinstance(container, dict) else container
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"\d{1,18}", str(value)):
        raise CloudError("The cloud's list of tasks has no usable Total.", advice="Nothing was changed.")
    return int(value)


def _filtered(totals: Mapping[str, tuple[int, bool]]) -> bool:
    """Tell whether the cloud looked at the status: not if a row has another one, or if all totals are the same."""
    same = len({total for total, _ in totals.values()}) == 1
    some = any(total for total, _ in totals.values())
    return all(right for _, right in totals.values()) and not (same and some)
