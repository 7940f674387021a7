"""Gives out and checks EnOS's access tokens, and the signatures made with them, as the API gateway does."""

import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.playground.cloud.calls import RefusedError

TOKEN_SERVICE = "/apim-token-service/v2.0/"
_UNAUTHORIZED = "Invalid authentication credentials"


def encryption(app_key: str, timestamp: str, app_secret: str) -> str:
    """Return what proves to the token service that one has the secret."""
    return hashlib.sha256(f"{app_key}{timestamp}{app_secret}".encode()).hexdigest()


def signature(*, token: str, params: Mapping[str, str], body: bytes, timestamp: str, app_secret: str) -> str:
    """Return the signature of a call: of its URL's decoded parameters, sorted, and its body, byte for byte."""
    pairs = "".join(f"{name}{params[name]}" for name in sorted(params))
    return hashlib.sha256(f"{token}{pairs}".encode() + body + f"{timestamp}{app_secret}".encode()).hexdigest()


@dataclass(slots=True, kw_only=True)
class Token:
    """An access token of an application, good until `until` (clock seconds)."""

    value: str
    app_key: str
    until: float


@dataclass(slots=True, kw_only=True)
class Tokens:
    """The tokens of the applications in `keys` (key to secret); each is good for `seconds`.

    With `refresh_ends` a refresh makes an end of the token it refreshes: the documents do not say.
    """

    keys: Mapping[str, str]
    seconds: int
    clock: Callable[[], float]
    refresh_ends: bool = False
    _known: dict[str, Token] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def serve(self, action: str, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
        """Answer `token/get` or `token/refresh`; raises `RefusedError`."""
        key = self._proven(wanted or {}, needs=("accessToken",) if action == "token/refresh" else ())
        token = self._refreshed(key, (wanted or {})["accessToken"]) if action == "token/refresh" else self._current(key)
        return {"accessToken": token.value, "expire": round(token.until - self.clock())}

    def expire(self) -> None:
        """Make an end of all tokens now."""
        for token in self._known.values():
            token.until = min(token.until, self.clock())

    def check(self, *, token: str, params: Mapping[str, str], body: bytes, timestamp: str, signed: str) -> str:
        """Return the key of the application that made a call; raises `RefusedError` unless it proves that."""
        known = self._known.get(token)
        if known is None or known.until <= self.clock() or not (timestamp.isascii() and timestamp.isdigit()):
            raise RefusedError(401, "401", _UNAUTHORIZED)
        secret = self.keys[known.app_key]
        right = signature(token=token, params=params, body=body, timestamp=timestamp, app_secret=secret)
        if not hmac.compare_digest(right.encode(), signed.encode()):
            raise RefusedError(401, "401", _UNAUTHORIZED)
        return known.app_key

    def _proven(self, wanted: Mapping[str, Any], *, needs: tuple[str, ...]) -> str:
        for name in ("appKey", "encryption", "timestamp", *needs):
            if not wanted.get(name):
                raise RefusedError(200, "1202", f"The parameter {name} is empty.")
        app_key, proof, stamp = (wanted[name] for name in ("appKey", "encryption", "timestamp"))
        # A number is documented, and Envision's own Java client sends its digits as a text.
        if not (isinstance(app_key, str) and isinstance(proof, str) and str(stamp).isdigit()):
            raise RefusedError(200, "1004", "Invalid parameter.")
        if app_key not in self.keys:
            raise RefusedError(200, "1002", "The appKey does not exist.")
        if not hmac.compare_digest(
            encryption(app_key, str(stamp), self.keys[app_key]).encode(), proof.encode(errors="replace")
        ):
            raise RefusedError(200, "1003", "The encryption is not valid.")
        if proof in self._seen:
            raise RefusedError(200, "1001", "Repeated requests with duplicated encryption.")
        self._seen.add(proof)
        return app_key

    def _current(self, app_key: str) -> Token:
        good = [one for one in self._known.values() if one.app_key == app_key and one.until > self.clock()]
        return good[-1] if good else self._new(app_key)

    def _refreshed(self, app_key: str, value: Any) -> Token:
        token = self._known.get(value) if isinstance(value, str) else None
        if token is None or token.app_key != app_key:
            raise RefusedError(200, "1204", "Failed to refresh access token.")
        if token.until <= self.clock():
            raise RefusedError(200, "1203", "The access token has expired.")
        if self.refresh_ends:
            token.until = self.clock()
        return self._new(app_key)

    def _new(self, app_key: str) -> Token:
        token = Token(value=uuid.uuid4().hex, app_key=app_key, until=self.clock() + self.seconds)
        self._known[token.value] = token
        return token
