"""Breaks a simulated cloud's answers on demand, the ways real clouds break."""

import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, cast

from starlette.types import Send


class FaultKind(StrEnum):
    """What goes wrong; the first three are conditions and combine with one of the others."""

    LATENCY = "latency"  # waits, then executes and answers
    UNFILTERED = "unfiltered"  # lists ignore their status filter
    DELAYED_EFFECT = "delayed_effect"  # a cancel shows only later
    HANG = "hang"  # not executed, never answered
    HANG_AFTER = "hang_after"  # executed, never answered
    DROP_BEFORE = "drop_before"  # not executed, connection closed without an answer
    DROP_AFTER = "drop_after"  # executed, connection closed without an answer
    THROTTLE = "throttle"  # refused for its rate
    HTTP_401 = "http_401"  # not executed, the gateway does not know the caller
    HTTP_403 = "http_403"  # not executed, the gateway lets nobody in from there
    HTTP_413 = "http_413"  # not executed, too large for the gateway
    HTTP_500 = "http_500"  # not executed, the gateway's own error
    HTTP_503 = "http_503"  # not executed, the service is away
    HTTP_502_HTML = "http_502_html"  # not executed, a proxy's page
    SYSTEM_EXCEPTION = "system_exception"  # not executed, says it failed
    SYSTEM_EXCEPTION_AFTER = "system_exception_after"  # executed, says it failed
    SERVICE_ERROR = "service_error"  # not executed, the upgrade service's own error
    SERVICE_ERROR_AFTER = "service_error_after"  # executed, the upgrade service says it failed
    PARAMETER_REFUSED = "parameter_refused"  # not executed, good parameters are refused
    PERMISSION_REFUSED = "permission_refused"  # not executed, the caller may not do this
    SIGNATURE_REFUSED = "signature_refused"  # a good signature is refused
    NONCE_USED = "nonce_used"  # not executed, a fresh nonce is called used
    NONCE_USED_AFTER = "nonce_used_after"  # executed; something on the way sent it twice, and this answers the second
    TRUNCATED = "truncated"  # executed, JSON cut in half
    WRONG_TYPE = "wrong_type"  # executed, a JSON list instead of an object
    NUMBER_STRINGS = "number_strings"  # executed, numbers written as strings
    HUGE = "huge"  # executed, several megabytes


#: The words of which an action must have one to meet a condition.
_WORDS = {FaultKind.LATENCY: "", FaultKind.UNFILTERED: "list|search", FaultKind.DELAYED_EFFECT: "cancel"}
#: Conditions and spoiled answers are the same for every vendor; which others there are is the vendor's.
CONDITIONS = frozenset(_WORDS)
SPOILERS = frozenset({FaultKind.TRUNCATED, FaultKind.WRONG_TYPE, FaultKind.NUMBER_STRINGS, FaultKind.HUGE})
_SECONDS = {FaultKind.LATENCY: 0.5, FaultKind.DELAYED_EFFECT: 2.0, FaultKind.HANG: 60.0, FaultKind.HANG_AFTER: 60.0}
_PADDING = "x" * 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; `action` None means any, and `*` in it any rest.

    `header` is what tells a throttled caller when.
    """

    kind: FaultKind
    action: str | None
    seconds: float
    header: str | None

    def concerns(self, action: str) -> bool:
        """Tell whether a call of `action` can meet this fault."""
        words = _WORDS.get(self.kind, "").split("|")
        named = self.action is None or fnmatchcase(action, self.action)
        return named and any(word in action.lower() for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What one call meets: seconds of `latency` and `delay`, filters ignored, and at most one `mishap`."""

    latency: float = 0.0
    delay: float = 0.0
    unfiltered: bool = False
    mishap: Fault | None = None

    @property
    def kind(self) -> FaultKind | None:
        """Name the mishap, if there is one."""
        return self.mishap.kind if self.mishap else None


@dataclass(slots=True, kw_only=True)
class _Waiting:
    fault: Fault
    times: int | None


@dataclass(slots=True)
class Faults:
    """Holds the faults to come, of the `kinds` that a cloud has; safe to use from several threads."""

    kinds: frozenset[FaultKind] = frozenset(FaultKind)
    _waiting: list[_Waiting] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        kind: str,
        action: str | None = None,
        *,
        times: int | None = 1,
        seconds: float | None = None,
        header: str | None = None,
    ) -> Fault:
        """Break the next `times` calls of `action` (None: all calls, any action; `Cancel*`: all that begin so).

        `header` is "Retry-After" or "x-acs-retry-after", for a throttle, and tells `seconds`.
        Raises ValueError for a kind that does not exist or that this cloud does not have.
        """
        kind = FaultKind(kind)
        if kind not in self.kinds:
            raise ValueError(f"This cloud has no fault {kind.value!r}.")
        seconds = _SECONDS.get(kind, 1.0) if seconds is None else seconds
        fault = Fault(kind=kind, action=action, seconds=seconds, header=header)
        with self._lock:
            self._waiting.append(_Waiting(fault=fault, times=times))
        return fault

    def clear(self, kind: str | None = None) -> None:
        """Let everything work again, or only what `kind` breaks."""
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if kind not in {None, waiting.fault.kind}]

    def waiting(self) -> list[tuple[Fault, int | None]]:
        """Return the faults to come, each with how many calls it will still break (`None`: all)."""
        with self._lock:
            return [(waiting.fault, waiting.times) for waiting in self._waiting]

    def take(self, action: str) -> Trouble:
        """Return what a call of `action` meets, and use it up: all conditions, and the mishap added first."""
        with self._lock:
            met = [waiting for waiting in self._waiting if waiting.fault.concerns(action)]
            conditions = [waiting for waiting in met if waiting.fault.kind in CONDITIONS]
            mishaps = [waiting for waiting in met if waiting.fault.kind not in CONDITIONS][:1]
            for waiting in conditions + mishaps:
                waiting.times = None if waiting.times is None else waiting.times - 1
            self._waiting = [waiting for waiting in self._waiting if waiting.times != 0]
        faults = [waiting.fault for waiting in conditions]
        return Trouble(
            latency=sum(fault.seconds for fault in faults if fault.kind is FaultKind.LATENCY),
            delay=sum(fault.seconds for fault in faults if fault.kind is FaultKind.DELAYED_EFFECT),
            unfiltered=any(fault.kind is FaultKind.UNFILTERED for fault in faults),
            mishap=mishaps[0].fault if mishaps else None,
        )


def retry_header(fault: Fault | None) -> dict[str, str]:
    """Return the header that says when to come back: Alibaba's in milliseconds, HTTP's in seconds."""
    if fault is None or fault.header is None:
        return {}
    scale = 1000 if fault.header.lower() == "x-acs-retry-after" else 1
    return {fault.header: str(round(fault.seconds * scale))}


def encoded(payload: dict[str, Any], kind: FaultKind | None) -> bytes:
    """Write `payload` as JSON, spoiled if `kind` is one that spoils."""
    match kind:
        case FaultKind.WRONG_TYPE:
            return json.dumps([payload]).encode()
        case FaultKind.NUMBER_STRINGS:
            return json.dumps(_number_strings(payload)).encode()
        case FaultKind.HUGE:
            return json.dumps(payload | {"Padding": _PADDING}).encode()
        case FaultKind.TRUNCATED:
            text = json.dumps(payload).encode()
            return text[: len(text) // 2]
        case _:
            return json.dumps(payload, ensure_ascii=False).encode()


def _number_strings(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _number_strings(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_number_strings(inner) for inner in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def abort(send: Send) -> None:
    """Close the connection without an answer.

    ASGI has no message for this, so it reaches for uvicorn's transport: `send` must be the server's own, unwrapped.
    """
    cast("Any", send).__self__.transport.abort()
