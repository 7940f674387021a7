"""One signed request to EnOS, and reads that are repeated where that may help."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from bot.clouds.enos_wire import classify, compact, expired, signed, too_fast
from bot.clouds.http import Http, Reply
from bot.clouds.shared import MISSED, NOT_SENT, READ_ATTEMPTS, exchange, parsed, skew, unread
from bot.clouds.throttle import Throttle
from bot.clouds.token import Tokens
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.offer import CANCEL_TASKS
from bot.domain.plan import Call
from bot.domain.secret import Secret

REFUSED_TOKENS: Final = 2
"""After so many refused tokens, one of them new, it is not the token's age."""
ANOTHER: Final = "A new access token was refused, too: check the app secret and this machine's clock."


class Gate:
    """The way to one account's OTA jobs. `now` gives UTC."""

    def __init__(self, account: Account, *, http: Http, throttle: Throttle, now: Callable[[], datetime]) -> None:
        self.account = account
        self.now = now
        self._http = http
        self._throttle = throttle
        self._tokens = Tokens(account, http=http, throttle=throttle, now=now, heard=self._hear)
        self._refused: set[tuple[str, int]] = set()
        """The calls, by job and number, whose latest attempt was refused for its token."""
        self.skew: float | None = None
        """Seconds that this machine's clock is ahead of the cloud's, by the latest answer's Date."""

    def prepare(self) -> None:
        """Have a token ready, so that what is sent next needs no other request; whoever sends says if there is none."""
        with suppress(CloudError):
            self._tokens.current()

    def wait(self, operation: str, qps: float, *, patient: bool = False) -> None:
        """Wait for the slot of an operation."""
        self._throttle.wait(self.account.quota, operation, qps, patient=patient)

    def early(self, operation: str, qps: float) -> None:
        """Wait until shortly before the slot of a call that is to be recorded; `cancel` waits for the rest."""
        self._throttle.early(self.account.quota, operation, qps)

    def cancel(self, call: Call, devices: tuple[str, ...], *, first: bool) -> Answer:
        """Cancel the devices' tasks in a job by exactly one request; it never raises for what the cloud does.

        No token is asked for here: the call is recorded as sent, and a process that leaves has no time for it. After
        its `first` attempt a call whose token is refused a second time is not sent again.
        """
        this = call.step.job, call.number
        if first:
            self._refused.discard(this)
        try:
            token = self._tokens.held()
        except CloudError as error:
            code, again = error.code or NOT_SENT, not error.final
            return Answer(outcome=Outcome.FAILED, code=code, message=error.message, again=again)
        if not self._throttle.on_time(self.account.quota, CANCEL_TASKS):
            return MISSED
        answer, reply = self._ask(CANCEL_TASKS, call.step.job, {"deviceKeys": list(devices)}, token)
        if reply is None or not expired(reply):
            return answer
        if this not in self._refused:
            self._refused.add(this)
            return answer
        self._refused.discard(this)
        return replace(answer, message=f"{answer.message} {ANOTHER}".strip(), again=False)

    def read(
        self, action: str, *, job: str | None = None, body: Mapping[str, Any] | None = None, patient: bool = False
    ) -> dict[str, Any]:
        """Read, again where that may help; raises CloudError with the cloud's own words."""
        answer, refusals = Answer(outcome=Outcome.UNKNOWN), 0
        for _ in range(READ_ATTEMPTS):
            token = self._tokens.current()
            self.wait(action, self.account.qps.query, patient=patient)
            answer, reply = self._ask(action, job, body, token)
            if answer.outcome is Outcome.DONE and reply is not None:
                return parsed(reply)
            refusals += reply is not None and expired(reply)
            if refusals == REFUSED_TOKENS or (answer.outcome is Outcome.FAILED and not answer.again):
                break
        error = unread(self.account, action, answer)
        if refusals == REFUSED_TOKENS:
            error.final, error.advice = True, f"{ANOTHER} Nothing was changed."
        raise error

    def _ask(
        self, action: str, job: str | None, body: Mapping[str, Any] | None, token: Secret
    ) -> tuple[Answer, Reply | None]:
        """Send one request with a signature of its own."""
        query = {"action": action, "orgId": self.account.org or "", **({"jobId": job} if job is not None else {})}
        request, sign = signed(
            self.account,
            token,
            method="GET" if body is None else "POST",
            query=query,
            body="" if body is None else compact(body),
            stamp=int(self.now().timestamp() * 1000),
        )
        reply = exchange(self._http, request)
        if isinstance(reply, Answer):
            return reply, None
        self._hear(reply)
        answer = classify(reply, secrets=(*self.account.secrets, *self._tokens.secrets, token, sign))
        if expired(reply):
            self._tokens.drop(token)
        if too_fast(reply):
            self._throttle.throttled(self.account.quota, action, answer.wait)
        return answer, reply

    def _hear(self, reply: Reply) -> None:
        skewed = skew(reply, self.now())
        self.skew = self.skew if skewed is None else skewed
