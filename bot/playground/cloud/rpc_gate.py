"""Checks calls as Alibaba's RPC gateway does: parameters, key, clock, signature, nonce, token, rate."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from bot.playground.cloud.calls import Call, Rates, RefusedError

#: How far a Timestamp may be off, and how long a nonce is remembered.
WINDOW = timedelta(minutes=15)
#: The parameters that every call needs; what Tuya's document lists and its examples leave out is beside them.
COMMON = (
    "Action",
    "AccessKeyId",
    "SignatureMethod",
    "SignatureNonce",
    "Timestamp",
    "Signature",
)
VERSIONS = ("Version", "SignatureVersion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key of `account`; one with a `token` is a temporary one and must come with it until `expires`."""

    secret: str
    account: str = "main"
    token: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a vendor's gateway wants: parameters that must be there, and what some must be if they are there.

    `foreign` are parameters that this vendor does not have and another has.
    """

    required: tuple[str, ...]
    allowed: Mapping[str, frozenset[str]]
    foreign: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcCall(Call):
    """A call as it came in: the union of query and form."""

    method: str
    host: str
    params: Mapping[str, str]

    def need(self, name: str) -> str:
        """Return a parameter that must be there and not be empty."""
        value = self.params.get(name)
        if not value:
            text = f'The input parameter "{name}" that is mandatory for processing this request is not supplied.'
            raise RefusedError(400, "MissingParameter", text)
        return value

    def flag(self, name: str) -> bool | None:
        """Return a Boolean in any case, or None when it was not sent or empty."""
        value = self.params.get(name, "").lower()
        if value not in {"true", "false", ""}:
            raise RefusedError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")
        return {"true": True, "false": False, "": None}[value]

    def number(self, name: str, *, default: int, most: int) -> int:
        """Return a whole number from 1 to `most`."""
        value = self.params.get(name) or str(default)
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= most):
            raise RefusedError(200, "iot.common.InvalidPageParams", f"{name} is not valid.")
        return int(value)

    def names(self, name: str, *, most: int) -> list[str]:
        """Return the repeated parameter `name`.1, `name`.2 …; each value once, at most `most`."""
        found = [value for key, value in self.params.items() if key.startswith(f"{name}.")]
        if len(found) > most or len(set(found)) != len(found):
            text = f"{name} takes at most {most} values, each of them once."
            raise RefusedError(200, "iot.common.InvalidFormattedParameter", text)
        return found


def string_to_sign(method: str, params: Mapping[str, str]) -> str:
    """Return what RPC signature 1.0 signs (help.aliyun.com, document_detail/30563)."""
    pairs = sorted((name, value) for name, value in params.items() if name != "Signature")
    query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)
    return f"{method}&{_encoded('/')}&{_encoded(query)}"


def signature(secret: str, text: str) -> str:
    """Return the base64 HMAC-SHA1 of `text`; the key is the secret with an ampersand behind."""
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


class RpcGate:
    """Lets a call pass or raises `RefusedError`."""

    def __init__(
        self,
        *,
        keys: Mapping[str, str | Key],
        rules: Rules,
        rates: Rates,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.keys = {name: Key(secret=key) if isinstance(key, str) else key for name, key in keys.items()}
        self.limits = rates.limits
        self._rules = rules
        self._rates = rates
        self._now = now
        self._nonces: dict[tuple[str, str], datetime] = {}

    def admit(self, call: RpcCall) -> None:
        """Make every check in the gateway's order."""
        for name in self._rules.required:
            call.need(name)
        key = self._key(call)
        self._check_values(call)
        self._check_timestamp(call)
        self._check_signature(call, key)
        self._check_nonce(call)
        self._check_token(call, key)
        self._check_rate(call, key)

    def _key(self, call: RpcCall) -> Key:
        key = self.keys.get(call.params["AccessKeyId"])
        if key is None:
            raise RefusedError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        return key

    def _check_values(self, call: RpcCall) -> None:
        wrong = [name for name, values in self._rules.allowed.items() if call.params.get(name) not in {None, *values}]
        for name in (*wrong, *self._rules.foreign & call.params.keys()):
            raise RefusedError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")

    def _check_timestamp(self, call: RpcCall) -> None:
        try:
            sent = datetime.strptime(call.params["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            text = "Specified time stamp or date value is not well formatted."
            raise RefusedError(400, "InvalidTimeStamp.Format", text) from error
        if abs(self._now() - sent) > WINDOW:
            raise RefusedError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_signature(self, call: RpcCall, key: Key) -> None:
        text = string_to_sign(call.method, call.params)
        if not hmac.compare_digest(signature(key.secret, text).encode(), call.params["Signature"].encode()):
            raise signature_refused(call)

    def _check_nonce(self, call: RpcCall) -> None:
        now = self._now()
        nonce = (call.params["AccessKeyId"], call.params["SignatureNonce"])
        if now - self._nonces.get(nonce, now - 2 * WINDOW) <= WINDOW:
            raise RefusedError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[nonce] = now

    def _check_token(self, call: RpcCall, key: Key) -> None:
        if key.expires is not None and key.expires <= self._now():
            raise RefusedError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        if (call.params.get("SecurityToken") or None) != key.token:
            text = "Specified SecurityToken mismatch with the AccessKey."
            raise RefusedError(400, "InvalidSecurityToken.MismatchWithAccessKey", text)

    def _check_rate(self, call: RpcCall, key: Key) -> None:
        if not self._rates.passes(key.account, call.action):
            raise RefusedError(400, "Throttling.User", "Request was denied due to user flow control.")


def signature_refused(call: RpcCall) -> RefusedError:
    """Return the refusal of a signature; it echoes what was signed, as Alibaba's does."""
    text = "Specified signature is not matched with our calculation. server string to sign is:"
    return RefusedError(400, "SignatureDoesNotMatch", text + string_to_sign(call.method, call.params))
