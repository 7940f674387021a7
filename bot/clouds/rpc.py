"""The RPC protocol of Alibaba Cloud and of what is compatible with it: signature 1.0, and how an answer reads.

Sources: "Request signatures" and "Common parameters" (help.aliyun.com/document_detail/30563, /30561, /135196),
"Error codes" (/87387, /48054).
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from hashlib import sha1
from typing import Any, Final
from urllib.parse import quote

from bot.clouds.http import Reply
from bot.clouds.shared import CLIENT_ERROR, SERVER_ERROR, TOO_MANY_REQUESTS, parsed, retry_after
from bot.domain.call import Answer, Outcome
from bot.domain.events import whole
from bot.domain.secret import Secret, redact

WAITS: Final[Mapping[str, float]] = {"x-acs-retry-after": 0.001, "retry-after": 1.0}
"""The headers in which an answer asks to wait, and their units in seconds."""
UNSURE: Final = frozenset(
    {
        "iot.system.systemexception",
        "serviceunavailable",
        "serviceunavailabletemporary",
        "internalerror",
        "internalfailure",
        "unknownerror",
    }
)
"""Codes, in small letters, after which the work may have been done; they come with different statuses."""
REFUSED: Final = re.compile(
    r"signaturedoesnotmatch|incompletesignature|illegaltimestamp|invalidtimestamp|invalidaccesskeyid"
    r"|invalidsecuritytoken|forbidden|missing|invalidparameter|invalidprotocol|invalidapi",
    re.IGNORECASE,
)
"""The gateway's codes before any work is done, whatever status they come with: products document different ones."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*")

Pair = tuple[str, str]
"""A parameter's name, to sort by, and the parameter as it is sent: `name=value`, both percent-encoded."""


def encode(text: str) -> str:
    """Percent-encode by RFC 3986: letters, digits and `-_.~` stay."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="-_.~")


def pairs(parameters: Mapping[str, str]) -> list[Pair]:
    """Encode each parameter, once for what is signed and for what is sent: a call may carry 200 names."""
    return [(name, f"{encode(name)}={encode(value)}") for name, value in parameters.items()]


def canonical(encoded: Iterable[Pair]) -> str:
    """Step 1: every parameter but Signature, encoded, sorted by name in code-point order, and joined."""
    return "&".join(pair for _, pair in sorted(encoded))


def string_to_sign(method: str, query: str) -> str:
    """Step 2: the method, the encoded path `/` and the canonical query, encoded once more.

    An encoded query holds three characters that encoding changes; replacing them is much faster than encoding all.
    """
    again = query.replace("%", "%25").replace("=", "%3D").replace("&", "%26")
    return f"{method}&%2F&{again}"


def signature(text: str, secret: Secret) -> str:
    """Step 3: Base64 of HMAC-SHA1, keyed with the AccessKey secret and a `&`."""
    key = f"{secret.reveal()}&".encode()
    return base64.b64encode(hmac.new(key, text.encode(), sha1).digest()).decode()


def classify(reply: Reply, *, secrets: tuple[Secret, ...], resent: bool) -> Answer:
    """Tell from an answer how a call ended, by its code and shape rather than its HTTP status.

    Gateway failures are HTTP 4xx/5xx with Code and Message; business failures are HTTP 200 with Success=false, Code
    and ErrorMessage; a success is Success=true and nothing less.
    """
    found = parsed(reply)
    if not found:
        outcome, again = _failure("", reply.status, "", resent=resent)
        said = "the answer is not the cloud's JSON"
        wait = retry_after(reply, WAITS)
        return Answer(outcome=outcome, code=f"HTTP {reply.status}", message=said, again=again, wait=wait)
    code = text(found, "Code")
    message = redact(text(found, "ErrorMessage") or text(found, "Message"), secrets)
    request_id = redact(text(found, "RequestId"), secrets)[:100]
    success = str(field(found, "Success")).lower()
    if reply.status < CLIENT_ERROR and success == "true":
        return Answer(outcome=Outcome.DONE, code=redact(code, secrets)[:100], message=message, request_id=request_id)
    outcome, again = _failure(code, reply.status, success, resent=resent)
    return Answer(
        outcome=outcome,
        code=redact(code or f"HTTP {reply.status}", secrets)[:100],
        message=message,
        request_id=request_id,
        again=again,
        wait=retry_after(reply, WAITS),
    )


def _failure(code: str, status: int, success: str, *, resent: bool) -> tuple[Outcome, bool]:
    """Return the outcome of an answer that is no success, and whether the call may be sent again at once."""
    lower = code.lower()
    if throttling(code, status):
        return Outcome.FAILED, True
    if lower == "signaturenonceused":
        # On a resend the cloud has seen the first attempt: whether it did the work only a read can tell.
        return (Outcome.UNKNOWN, False) if resent else (Outcome.FAILED, True)
    if REFUSED.match(code):
        return Outcome.FAILED, False
    if lower in UNSURE or status >= SERVER_ERROR:
        return Outcome.UNKNOWN, False
    if success == "false" or status >= CLIENT_ERROR:
        return Outcome.FAILED, False
    return Outcome.UNKNOWN, False


def throttling(code: str, status: int) -> bool:
    """Tell whether the cloud says that it is called too fast."""
    return code.lower().startswith("throttling") or status == TOO_MANY_REQUESTS


def field(found: Mapping[str, Any], name: str) -> Any:
    """Return a field in either spelling: documents and examples differ in the case of the first letter."""
    return found.get(name, found.get(name[0].lower() + name[1:]))


def text(found: Mapping[str, Any], name: str) -> str:
    """Return a text field in either spelling, as it can be sent again; empty when it is missing or no text."""
    value = field(found, name)
    return whole(value) if isinstance(value, str) else ""
