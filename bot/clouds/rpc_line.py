"""Signed RPC requests of one account, in the dialect of its cloud: sent once, or read again where that may help."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from bot.clouds.http import Http, Reply, Request
from bot.clouds.rpc import canonical, classify, field, pairs, signature, string_to_sign, throttling
from bot.clouds.shared import NO_JOB, READ_ATTEMPTS, clock_faults, exchange, parsed, skew, unread
from bot.clouds.throttle import Throttle
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.status import Status

VERSION: Final = "2018-01-20"
TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
CREDENTIALS: Final = re.compile(
    r"InvalidAccessKey|Signature|IncompleteSignature|InvalidTimeStamp|IllegalTimestamp|InvalidSecurityToken|Forbidden"
    r"|NoPermission|iot\.(system|sre)\.|iot\..*(Permission|Tenant|Instance)",
    re.IGNORECASE,
)
"""The codes that a job which does not exist cannot be the cause of (help.aliyun.com/document_detail/87387, /48054)."""
MOST_PAGES: Final = 100
"""Pages of one list; a cloud that names no Total, or a wrong one, must not be read for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a cloud's documents say of the shared protocol."""

    method: Literal["POST", "GET"]
    """With POST, business parameters go in a form; with GET, everything is in the query."""
    flags: Mapping[Status, str]
    """What CancelOTATaskByJob can be told. All are always sent, `true` or `false`."""
    optional: frozenset[str]
    """Those of RegionId, IotInstanceId and SecurityToken that the cloud knows, sent where they are configured."""
    omittable: frozenset[str] = frozenset()
    """Common parameters that an account may leave out (`Account.omit`)."""
    names_per_call: int
    """DeviceNames in one CancelOTATaskByDevice, where the account says nothing else."""
    names_listed: int = 50
    """DeviceNames in one ListOTATaskByJob."""
    tasks_listed: int = 100
    """The largest page of ListOTATaskByJob."""
    jobs_listed: int = 200
    """The largest page of ListOTAJobByFirmware."""
    firmwares_listed: int = 100
    """The largest page of ListOTAFirmware."""


class RpcLine:
    """The way to one account's cloud. `now` gives UTC, `nonce` a string that never repeats."""

    def __init__(
        self,
        account: Account,
        dialect: Dialect,
        *,
        http: Http,
        throttle: Throttle,
        now: Callable[[], datetime],
        nonce: Callable[[], str],
    ) -> None:
        self.account = account
        self.dialect = dialect
        self.now = now
        self._http = http
        self._throttle = throttle
        self._nonce = nonce

    def wait(self, action: str, qps: float, *, patient: bool = False) -> None:
        """Wait for the slot of the next call of an operation."""
        self._throttle.wait(self.account.quota, action, qps, patient=patient)

    def early(self, action: str, qps: float) -> None:
        """Wait until shortly before the slot of a call that is to be recorded; `on_time` waits for the rest."""
        self._throttle.early(self.account.quota, action, qps)

    def on_time(self, action: str) -> bool:
        """Wait for the rest of what `early` left, in the same thread; return whether the call may be sent now."""
        return self._throttle.on_time(self.account.quota, action)

    def ask(self, action: str, parameters: Mapping[str, str], *, resent: bool) -> tuple[Answer, Reply | None]:
        """Send one signed request exactly once; raises nothing for what the cloud does."""
        reply = exchange(self._http, self._signed(action, parameters))
        if isinstance(reply, Answer):
            return reply, None
        answer = classify(reply, secrets=self.account.secrets, resent=resent)
        if throttling(answer.code, reply.status):
            self._throttle.throttled(self.account.quota, action, answer.wait)
        return answer, reply

    def fetch(self, action: str, parameters: Mapping[str, str], *, patient: bool = False) -> dict[str, Any]:
        """Read, again where that may help; raises CloudError with the cloud's own words."""
        answer = Answer(outcome=Outcome.UNKNOWN)
        for attempt in range(1, READ_ATTEMPTS + 1):
            self.wait(action, self.account.qps.query, patient=patient)
            answer, reply = self.ask(action, parameters, resent=attempt > 1)
            if answer.outcome is Outcome.DONE and reply is not None:
                return parsed(reply)
            if answer.outcome is Outcome.FAILED and not answer.again:
                break
        raise unread(self.account, action, answer)

    def pages(self, action: str, parameters: Mapping[str, str], *, size: int, row: str) -> list[dict[str, Any]]:
        """Read a list to its end; `row` names what it is a list of."""
        found: list[dict[str, Any]] = []
        for page in range(1, MOST_PAGES + 1):
            asked = {**parameters, "CurrentPage": str(page), "PageSize": str(size)}
            answer = self.fetch(action, asked)
            shown = rows(answer, row)
            found += shown
            total = field(answer, "Total")
            if not shown or (total is not None and len(found) >= whole_number(total)):
                break
        return found

    def probe(self) -> tuple[str, ...]:
        """Query a job that cannot exist: the cloud's refusal shows whether it took the signature and the instance."""
        answer, reply = self.ask("QueryOTAJob", {"JobId": NO_JOB}, resent=False)
        endpoint, problems = self.account.endpoint, []
        if reply is None or answer.outcome is Outcome.UNKNOWN:
            problems.append(f"{endpoint} gave no usable answer: {answer.message or answer.code}")
        elif answer.outcome is Outcome.FAILED and CREDENTIALS.match(answer.code):
            problems.append(f"{endpoint} refuses the key or the instance: {answer.code} {answer.message}")
        return (*problems, *clock_faults(skew(reply, self.now()) if reply else None))

    def _signed(self, action: str, parameters: Mapping[str, str]) -> Request:
        """Sign one attempt: a nonce and a timestamp of its own."""
        common, business = pairs(self._common(action)), pairs({**parameters, **self._instance()})
        method, secret = self.dialect.method, self.account.key_secret
        signed = signature(string_to_sign(method, canonical([*common, *business])), secret)
        common += pairs({"Signature": signed})
        url = f"{self.account.endpoint}/"
        if method == "GET":
            return Request(method=method, url=url, query=canonical([*common, *business]))
        return Request(method=method, url=url, query=canonical(common), form=canonical(business))

    def _common(self, action: str) -> dict[str, str]:
        account = self.account
        token = account.security_token.reveal() if account.security_token else ""
        common = {
            "Action": action,
            "Version": VERSION,
            "Format": "JSON",
            "AccessKeyId": account.key_id.reveal(),
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": self._nonce(),
            "Timestamp": self.now().strftime(TIMESTAMP),
            **self._known({"RegionId": account.region or "", "SecurityToken": token}),
        }
        left_out = self.dialect.omittable.intersection(account.omit)
        return {name: value for name, value in common.items() if name not in left_out}

    def _instance(self) -> dict[str, str]:
        return self._known({"IotInstanceId": self.account.instance or ""})

    def _known(self, configured: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in configured.items() if value and name in self.dialect.optional}


def rows(found: Mapping[str, Any], row: str) -> list[dict[str, Any]]:
    """Return the rows of a list: they lie in the container `row` within Data (firmwares: within FirmwareInfo).

    Raises CloudError where there is neither a list of rows nor a Total to hold it against: nothing is known then, and
    taken for an empty list it would mean that nothing is left to cancel.
    """
    outer = field(found, "FirmwareInfo" if row == "SimpleFirmwareInfo" else "Data")
    listed = field(outer, row) if isinstance(outer, dict) else outer
    if listed is None and isinstance(outer, dict):
        return []
    shown = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if field(found, "Total") is None and shown != listed:
        raise CloudError("The cloud's answer has no usable list.", advice="Nothing was changed.")
    return shown


def whole_number(value: Any) -> int:
    """Return a Total, which may be written as text; raises CloudError where it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"[0-9]{1,18}", str(value)):
        raise CloudError("The cloud's list has no usable Total.", advice="Nothing was changed.")
    return int(value)
