"""What goes over the wire to EnOS and comes back: how calls are signed, and how an answer reads.

Sources: EnOS API reference, "Getting access tokens" and "API authentication" (apim-token-service v2.0), connect-service
v2.1 "Cancel OTA Task" with its error codes, and the gateway's HTTP statuses; vendors.md, 5.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from bot.clouds.http import Reply, Request
from bot.clouds.shared import CLIENT_ERROR, SERVER_ERROR, TOO_MANY_REQUESTS, parsed, retry_after
from bot.domain.account import Account
from bot.domain.call import Answer, Outcome
from bot.domain.events import whole
from bot.domain.secret import Secret, redact

OTA_JOBS: Final = "/connect-service/v2.1/ota-jobs"
UNAUTHORIZED: Final = 401
TIMED_OUT: Final = 408
UNAVAILABLE: Final = 503
UNSURE: Final = frozenset({24500, 99500})
"""Internal errors of the OTA service and of the platform: the work may have been done."""
APIM_EXPIRED: Final = frozenset({4011, 4012})
"""`apim_status` of a gateway that says "expired" in a body of HTTP 200, as its own clients look for it."""


def compact(body: Mapping[str, Any]) -> str:
    """Return JSON in ASCII without spaces: what is signed is what is sent, whatever the other side's charset."""
    return json.dumps(body, separators=(",", ":"))


def signature(token: Secret, query: Mapping[str, str], body: str, stamp: str, secret: Secret) -> str:
    """Return apim-signature: SHA-256 of token, sorted parameters (decoded, run together), raw body, stamp, secret."""
    parameters = "".join(f"{name}{query[name]}" for name in sorted(query))
    return sha256(f"{token.reveal()}{parameters}{body}{stamp}{secret.reveal()}".encode()).hexdigest()


def signed(
    account: Account, token: Secret, *, method: str, query: Mapping[str, str], body: str, stamp: int
) -> tuple[Request, Secret]:
    """Sign one request for the OTA jobs; return it, and its signature to be hidden in what comes back."""
    sign = signature(token, query, body, str(stamp), account.key_secret)
    headers = {"apim-accesstoken": token.reveal(), "apim-signature": sign, "apim-timestamp": str(stamp)}
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    url = f"{account.endpoint}{OTA_JOBS}"
    return Request(method=method, url=url, query=encoded, json=body, headers=headers), Secret(sign)


def classify(reply: Reply, *, secrets: Iterable[Secret]) -> Answer:
    """Tell from an answer how a call ended: by the code of the cloud's JSON, and by the gateway's HTTP status."""
    known, found = tuple(secrets), parsed(reply)
    code = number(found.get("code"))
    outcome, again = _ended(reply, found, code)
    said = words(found, "msg") or words(found, "message")
    return Answer(
        outcome=outcome,
        code=f"HTTP {reply.status}" if code is None else str(code),
        message=redact(said, known) if found else "the answer is not the cloud's JSON",
        request_id=redact(words(found, "requestId"), known)[:100],
        again=again,
        wait=retry_after(reply),
    )


def _ended(reply: Reply, found: Mapping[str, Any], code: int | None) -> tuple[Outcome, bool]:
    """Return the outcome, and whether the call may be sent again at once."""
    if expired(reply) or reply.status == TOO_MANY_REQUESTS:
        return Outcome.FAILED, True
    if reply.status >= SERVER_ERROR or reply.status == TIMED_OUT or code in UNSURE:
        return Outcome.UNKNOWN, False
    if reply.status >= CLIENT_ERROR:
        return (Outcome.UNKNOWN if code == 0 else Outcome.FAILED), False
    if code == 0 and "code" in found:
        return Outcome.DONE, False
    return (Outcome.UNKNOWN if code is None else Outcome.FAILED), False


def expired(reply: Reply) -> bool:
    """Tell whether the gateway no longer takes the token, or never took what was made from it."""
    return reply.status == UNAUTHORIZED or number(parsed(reply).get("apim_status")) in APIM_EXPIRED


def too_fast(reply: Reply) -> bool:
    """Tell whether the gateway wants to be called more slowly: 429, or a 503 that says for how long."""
    asked = reply.status == UNAVAILABLE and retry_after(reply) is not None
    return reply.status == TOO_MANY_REQUESTS or asked


def number(value: Any) -> int | None:
    """Return a whole number, written as one or as text; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 18 else None  # noqa: PLR2004


def words(found: Mapping[str, Any], name: str) -> str:
    """Return a field that is text, or EnOS's StringI18n, as it can be sent again; empty when it is anything else."""
    value = found.get(name)
    if isinstance(value, dict):
        value = value.get("defaultValue")
    return whole(value) if isinstance(value, str) else ""
