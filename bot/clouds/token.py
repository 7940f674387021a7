"""EnOS's access tokens: fetched once for all threads, renewed in time, fetched anew when they are refused.

Source: EnOS API reference, apim-token-service v2.0, `token/get` and `token/refresh`; vendors.md, 5.1.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from cachetools import TLRUCache

from bot.clouds.door import PIECE
from bot.clouds.enos_wire import compact, number, too_fast, words
from bot.clouds.http import Http, Reply, Request
from bot.clouds.shared import (
    CLIENT_ERROR,
    READ_ATTEMPTS,
    SERVER_ERROR,
    exchange,
    parsed,
    retry_after,
    unchanged,
)
from bot.clouds.throttle import StoppedError, Throttle
from bot.domain.account import Account
from bot.domain.advice import advice
from bot.domain.call import Answer, Outcome
from bot.domain.errors import CloudError
from bot.domain.secret import Secret, redact

OPERATION: Final = "token"
"""The throttle's name for the token service: its slots keep the stamps of all processes apart."""
LEAD: Final = 600.0
"""Seconds before its end at which a token is renewed, or at half its life where that is later."""
SHORTEST: Final = 60.0
"""Seconds that a token is kept of whose life the cloud says nothing."""
REST: Final = 30.0
"""Seconds until a renewal that failed is tried again, while the token still lives."""
REMEMBERED: Final = 7
"""Earlier tokens that are still hidden in what the cloud says."""
CHECK: Final = "Check the app key, the app secret and this machine's clock."
"""What to do after a refusal whose code says nothing."""
REPEATED: Final = 1001
INTERNAL: Final = 1005
AGAIN: Final = frozenset({REPEATED, INTERNAL})
RENEWAL_REFUSED: Final = frozenset({"1203", "1204"})
"""The token expired, or could not be refreshed: a new one must be got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token, when it is to be renewed, and when it ends (seconds since 1970)."""

    token: Secret
    renew: float
    ends: float


def encryption(key: Secret, stamp: int, secret: Secret) -> str:
    """Return what proves the key to the token service; the same one is taken only once (1001)."""
    return sha256(f"{key.reveal()}{stamp}{secret.reveal()}".encode()).hexdigest()


class Tokens:
    """The access token of one account. `now` gives UTC; `heard` is given every answer. Safe for many threads."""

    def __init__(
        self,
        account: Account,
        *,
        http: Http,
        throttle: Throttle,
        now: Callable[[], datetime],
        heard: Callable[[Reply], None],
    ) -> None:
        self._account = account
        self._http = http
        self._throttle = throttle
        self._now = now
        self._heard = heard
        self._lock = threading.Lock()
        self._kept: TLRUCache[str, Held] = TLRUCache(1, ttu=lambda _key, held, _now: held.ends, timer=self._seconds)
        self._flight: Future[Secret] | None = None
        self._why_none: CloudError | None = None
        self._refused: Secret | None = None
        self._seen: tuple[Secret, ...] = ()
        self._stamp = 0

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The latest tokens, to be hidden in what the cloud says."""
        return self._seen

    def held(self) -> Secret:
        """Return the token at hand, while it lives, and ask for none; raises CloudError saying why there is none."""
        with self._lock:
            held, failure = self._kept.get(self._account.name), self._why_none
        if held is None:
            raise failure or self._error("has given no token that still lives")
        return held.token

    def current(self) -> Secret:
        """Return a token that lives; raises CloudError when none can be had.

        Threads that ask while one is being fetched wait for that one, and share its failure.
        """
        with self._lock:
            held = self._kept.get(self._account.name)
            if held is not None and self._seconds() < held.renew:
                return held.token
            mine, flight = self._flight is None, self._flight or Future()
            self._flight = flight
        if not mine:
            return self._theirs(flight)
        try:
            token = self._land(held)
        except BaseException as error:
            with self._lock:
                self._flight, self._why_none = None, error if isinstance(error, CloudError) else None
            flight.set_exception(error)
            raise
        with self._lock:
            self._flight = self._why_none = None
        flight.set_result(token)
        return token

    def _theirs(self, flight: Future[Secret]) -> Secret:
        """Wait for the token that another thread fetches, which may be stopped, as this one may."""
        while True:
            try:
                return flight.result(timeout=PIECE)
            except StoppedError:
                return self.current()
            except TimeoutError:
                self._throttle.tire()

    def drop(self, token: Secret) -> None:
        """Forget a token that was refused, unless it has been replaced already."""
        with self._lock:
            held = self._kept.get(self._account.name)
            if held is not None and held.token == token:
                self._refused = token
                self._kept.pop(self._account.name, None)

    # --- fetching ----------------------------------------------------------------------------------------------

    def _land(self, held: Held | None) -> Secret:
        new = self._renewed(held) if held is not None else self._new()
        with self._lock:
            self._kept[self._account.name] = new
        return new.token

    def _renewed(self, held: Held) -> Held:
        """Renew a token that still lives; it is used on where the token service fails."""
        try:
            return self._refreshed(held.token)
        except CloudError as error:
            if error.code in RENEWAL_REFUSED:
                return self._ask("get", {})
            if self._seconds() >= held.ends:
                raise
            return Held(token=held.token, renew=self._seconds() + REST, ends=held.ends)

    def _new(self) -> Held:
        """Get a token; `get` gives the same one until its end, so that one which was refused is refreshed."""
        new = self._ask("get", {})
        if new.token != self._refused:
            return new
        self._refused = None
        try:
            return self._refreshed(new.token)
        except CloudError:
            return new

    def _refreshed(self, token: Secret) -> Held:
        return self._ask("refresh", {"accessToken": token.reveal()})

    def _ask(self, verb: str, more: dict[str, str]) -> Held:
        """Ask the token service, again where that may help; raises CloudError with its own words."""
        failure = self._error("did not answer")
        for _ in range(READ_ATTEMPTS):
            self._throttle.wait(self._account.quota, OPERATION, self._account.qps.query)
            request, proof = self._request(verb, more)
            asked = self._seconds()
            reply = exchange(self._http, request)
            if isinstance(reply, Answer):
                final = reply.outcome is Outcome.FAILED and not reply.again
                failure = self._error(f"did not answer: {reply.message}", reply.code, final=final)
                if final:
                    break
                continue
            self._heard(reply)
            if too_fast(reply):
                self._throttle.throttled(self._account.quota, OPERATION, retry_after(reply))
            held = self._read(reply, asked)
            if held is not None:
                return held
            failure = self._failure(reply, proof)
            if failure.final:
                break
        raise failure

    def _request(self, verb: str, more: dict[str, str]) -> tuple[Request, Secret]:
        """Make a request with a stamp (milliseconds since 1970) of its own."""
        with self._lock:
            stamp = self._stamp = max(int(self._seconds() * 1000), self._stamp + 1)
        proof = encryption(self._account.key_id, stamp, self._account.key_secret)
        body = {"appKey": self._account.key_id.reveal(), "encryption": proof, "timestamp": stamp, **more}
        url = f"{self._account.endpoint}/apim-token-service/v2.0/token/{verb}"
        return Request(method="POST", url=url, json=compact(body)), Secret(proof)

    def _read(self, reply: Reply, asked: float) -> Held | None:
        found = parsed(reply)
        inner = found.get("data")
        if reply.status >= CLIENT_ERROR or _status(found) != 0 or not isinstance(inner, dict):
            return None
        token, life = words(inner, "accessToken"), float(number(inner.get("expire")) or SHORTEST)
        if not token or not token.isascii() or not token.isprintable():
            return None  # what no header can carry is no token
        self._seen = (*self._seen[-REMEMBERED:], Secret(token))
        life = max(life, 1.0)
        return Held(token=Secret(token), renew=asked + life - min(LEAD, life / 2), ends=asked + life)

    def _failure(self, reply: Reply, proof: Secret) -> CloudError:
        found = parsed(reply)
        status = _status(found)
        said = redact(words(found, "msg") or words(found, "message"), (*self._account.secrets, *self._seen, proof))
        code = f"HTTP {reply.status}" if status is None or status == 0 else str(status)
        said_no = reply.status >= CLIENT_ERROR or (status is not None and status not in {0, *AGAIN})
        final = said_no and reply.status < SERVER_ERROR and not too_fast(reply) and status not in AGAIN
        verb = "refused" if final else "gave no usable answer"
        return self._error(f"{verb}: {code} {said}".strip(), code, final=final)

    def _error(self, what: str, code: str = "", *, final: bool = False) -> CloudError:
        """Say that there is no token; `what` follows the token service's name.

        A code of doubt is told and not kept: what the token service may have done, no call has.
        """
        sentence = f"The token service of {self._account.name} {what.rstrip('.')}."
        kept = code if advice(code) == advice(code, read=True) else ""
        todo = unchanged(code) if advice(code) or not final else f"{CHECK} Nothing was changed."
        return CloudError(sentence, code=kept, advice=todo, final=final)

    def _seconds(self) -> float:
        return self._now().timestamp()


def _status(found: dict[str, object]) -> int | None:
    """Return the token service's code; its document's sample spells the name wrong."""
    return number(found.get("status", found.get("stauts")))
