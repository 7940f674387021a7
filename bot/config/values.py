"""How the values of the configuration file are read: references to secrets, ids, durations, addresses.

No sentence here repeats a value that may be a secret.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from json import dumps
from pathlib import Path
from typing import Annotated, Final, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from bot.domain.secret import Secret
from bot.domain.status import Status

REGIONS: Final = (
    "cn-shanghai",
    "cn-beijing",
    "cn-shenzhen",
    "ap-southeast-1",
    "ap-northeast-1",
    "us-west-1",
    "us-east-1",
    "eu-central-1",
)
"""Where the IoT Platform is: https://help.aliyun.com/en/iot/support/faq-about-iot-platform-instances."""
_LONGEST: Final = timedelta(days=7)
_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
_DURATION: Final = re.compile(r"(?:([0-9]{1,7})d)?(?:([0-9]{1,7})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?")
ORIGIN: Final = "https://host or https://host:port"
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


class Need(Enum):
    """Which secrets a command cannot do without."""

    SLACK = "slack"
    """The tokens that the configured mode uses."""
    CLOUDS = "clouds"
    """The keys of every account."""


class Mode(StrEnum):
    """How Slack reaches the bot."""

    SOCKET = "socket"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where references lead to, and which secrets must be there."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    """The configuration file's; relative paths start here."""
    needs: frozenset[Need]

    def read(self, reference: str) -> str:
        """Return what `env:NAME` or `file:PATH` leads to."""
        kind, _, place = reference.partition(":")
        if kind == "env":
            found, where = self.environ.get(place, ""), f"the environment variable {place}"
        else:
            found, where = _file(self.folder / place), f"the file {shown(str(self.folder / place))}"
        if found:
            return found
        raise ValueError(f"{where} is {'not set or ' * (kind == 'env')}empty")


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # no UTF-8, or a NUL in the path
        problem = "cannot be read as text"
    raise ValueError(f"the file {shown(str(path))} {problem}")


def shown(text: str) -> str:
    """Quote `text` so that it stays on one line and is not endless."""
    return dumps(text[:200], ensure_ascii=not text.isprintable())


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word that `word` resembles most, or all of them."""
    words = [str(each) for each in known]
    found = get_close_matches(word[:80], words, n=1)
    return f"did you mean {shown(found[0])}?" if found else f"expected one of {', '.join(words)}"


def kind_of(value: object) -> str:
    """Name a TOML value's type, never the value."""
    words = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "a list", dict: "a table"}
    return words.get(type(value), "a date or time")


def _text(value: object, expected: str) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"expected {expected}, got {kind_of(value)}")


def _choice(word: str, known: Iterable[str]) -> str:
    words = [str(each) for each in known]
    if word not in words:
        raise ValueError(f"{shown(word)} is unknown; {nearest(word, words)}")
    return word


def read_region(value: str) -> str:
    """Read a region of the IoT Platform."""
    return _choice(value, REGIONS)


def read_always(value: str) -> str:
    """Read a status word, or `strategy`."""
    return _choice(value.lower().replace("_", "-"), (*Status, "strategy"))


def _word(value: str) -> str:
    if not value.isprintable() or not value or " " in value:
        raise ValueError("is empty or has white space in it; expected a name or id")
    return value


def _duration(value: object) -> timedelta:
    expected = 'a duration such as "90s", "30m", "1h30m" or "2d"'
    match = _DURATION.fullmatch(text := _text(value, expected))
    if match is None or not text:
        raise ValueError(f"{shown(text)} is no duration; expected {expected}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta() < length <= _LONGEST:
        raise ValueError(f"{shown(text)} is out of range; expected more than nothing and at most 7 days")
    return length


GROUP: Final = (r"S[A-Z0-9]+", "a user group's id (S…)")
USER: Final = (r"[UW][A-Z0-9]+", "a user's id (U… or W…)")
APPROVER: Final = (USER[0], f"{USER[1]}; nothing is ever approved from a terminal")
TERMINAL: Final = (r"cli:[^\s\x00-\x1f]+", "a terminal user (cli:name)")
_CHANNEL: Final = (r"[CG][A-Z0-9]+", "a channel's id (C… or G…)")
_HINTS: Final = {
    "#": "; that is a channel's name: its id stands at the foot of the channel's details",
    "@": "; that is a name: the id is in the profile's menu, or in a user group's link",
}


def id_of(*kinds: tuple[str, str]) -> AfterValidator:
    """Accept ids of these kinds; a usual mistake is told what it is."""

    def check(value: str) -> str:
        if any(re.fullmatch(pattern, value) for pattern, _ in kinds):
            return value
        hint = _HINTS.get(value[:1], "")
        raise ValueError(f"{shown(value)} is not right here; expected {' or '.join(w for _, w in kinds)}{hint}")

    return AfterValidator(check)


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    return ip.is_loopback if (ip := _ip(host)) else host == "localhost"


def _split(text: str) -> SplitResult | None:
    # urlsplit drops line breaks silently, and its errors repeat parts of the text, which may hold a password.
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port  # a wrong port is told when it is asked for
    except ValueError:
        return None
    usable = _HOST.fullmatch(host) if "[" not in parts.netloc else _ip(host) and "%" not in host
    return parts if usable and re.fullmatch(r"[!-~]+", text) else None


def _address(text: str, expected: str) -> SplitResult:
    """Take an address apart; what could carry a secret or lead elsewhere is refused, and never repeated."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise ValueError(f"is no usable address; expected {expected}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"has a user, a query or a fragment in it; expected {expected}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"http:// is accepted for loopback addresses alone; expected {expected}")
    return parts


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.lower().rstrip(':')}"


def read_endpoint(value: str) -> str:
    """Read the address of a cloud: scheme, host and port."""
    parts = _address(value, ORIGIN)
    if parts.path not in {"", "/"}:
        raise ValueError(f"has a path in it; expected only {ORIGIN}")
    return _origin(parts)


def read_api_url(value: str) -> str:
    """Read the address of Slack's Web API."""
    parts = _address(value, "an address such as https://slack.com/api/")
    return f"{_origin(parts)}{parts.path.rstrip('/')}/"


def read_listen(value: object) -> tuple[str, int]:
    """Read a host and a port."""
    expected = 'host:port such as "127.0.0.1:8080"'
    parts = _split(f"//{_text(value, expected)}")
    if parts is None or parts.port is None or parts.netloc != value or "@" in parts.netloc:
        raise ValueError(f"is no address to listen on; expected {expected}")
    return parts.hostname or "", parts.port


KEPT_OUT: Final = "env:NAME or file:PATH: a secret is never written in this file"
_MODES: Final = {"app_token": Mode.SOCKET, "signing_secret": Mode.HTTP}
_STARTS: Final = {"bot_token": ("xoxb-", "xoxe.xoxb-"), "app_token": ("xapp-",)}
_TOKENS: Final = {"xoxb-": "a bot token", "xoxe.xoxb-": "a bot token", "xapp-": "an app-level token"}


def _reference(value: str) -> str:
    if _REFERENCE.fullmatch(value):
        return value
    raise ValueError(f"is no reference; expected {KEPT_OUT}")


def _usable(found: str, reference: str) -> str:
    if found.isascii() and found.isprintable() and " " not in found:
        return found
    told = "white space or control characters in it, or letters that no key has"
    raise ValueError(f"what {shown(reference)} leads to has {told}")


def _secret(value: object, sources: Sources, *, needed: bool) -> Secret | None:
    """Resolve a reference; one that leads nowhere matters only where the secret is `needed`."""
    reference = _reference(_text(value, KEPT_OUT))
    try:
        return Secret(_usable(sources.read(reference), reference))
    except ValueError:
        if needed:
            raise
        return None


def _slack_secret(value: object, info: ValidationInfo) -> Secret | None:
    sources = cast("Sources", info.context)
    name = str(info.field_name)
    needed = Need.SLACK in sources.needs and _MODES.get(name) in {None, info.data.get("mode")}
    secret = _secret(value, sources, needed=needed)
    starts = _STARTS.get(name, ("",))
    if needed and secret is not None and not secret.reveal().startswith(starts):
        kind = next((words for start, words in _TOKENS.items() if secret.reveal().startswith(start)), "something else")
        raise ValueError(f"what {shown(str(value))} leads to is {kind}; expected {_TOKENS[starts[0]]} ({starts[0]}…)")
    return secret


def _cloud_secret(value: object, info: ValidationInfo) -> Secret | None:
    sources = cast("Sources", info.context)
    return _secret(value, sources, needed=Need.CLOUDS in sources.needs)


SlackSecret = Annotated[Secret | None, PlainValidator(_slack_secret)]
CloudSecret = Annotated[Secret | None, PlainValidator(_cloud_secret)]


def read_database(value: str, info: ValidationInfo) -> str:
    """Read where the ledger is: a file's path, or a `postgresql://` address."""
    sources = cast("Sources", info.context)
    place = sources.read(_reference(value)) if value.startswith(("env:", "file:")) else value
    if re.match(r"postgres(ql)?://", place):
        return _postgresql(place)
    if not place.strip() or "\0" in place or "://" in place or place == ":memory:":
        raise ValueError("is no place for a ledger; expected a file's path or postgresql://…")
    return str(sources.folder / place)


def _postgresql(url: str) -> str:
    try:
        urlsplit(url)
    except ValueError:
        raise ValueError("is no usable address; expected postgresql://user@host/name") from None
    return "postgresql://" + url.partition("://")[2]


Word = Annotated[str, AfterValidator(_word)]
Duration = Annotated[timedelta, PlainValidator(_duration)]
Rate = Annotated[float, Field(ge=0.01, allow_inf_nan=False)]
Channel = Annotated[str, id_of(_CHANNEL)]
LAX: Final = Field(strict=False)  # what TOML has no type of its own for: tuples of its arrays, members of its strings
