"""Reads the configuration file into one frozen `Settings`, or names every problem of it at once.

The only room that looks at the environment, which it is handed: the secrets come from there or from files.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bot.config.schema import AccountTable, FileTable, Table
from bot.config.values import Mode, Need, Sources, kind_of, nearest, shown
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.errors import ConfigError
from bot.domain.secret import Secret

__all__ = ["Mode", "Need", "Settings", "SlackSettings", "load", "parse"]

_QPS: Final = {
    Cloud.ALIYUN: Qps(job=5, devices=10, strategy=10, query=10),
    Cloud.TUYA: Qps(job=5, devices=10, strategy=10, query=10),
    Cloud.ENOS: Qps(job=5, devices=5, strategy=5, query=5),
}
_NAMES: Final = {Cloud.ALIYUN: 200, Cloud.TUYA: 50, Cloud.ENOS: 50}
# A trailing full stop does not matter in a command, so no name may need one.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_QUOTED: Final = r"'(.*?)'"
_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}

_Table = TypeVar("_Table", bound=Table)
_At = tuple[str | int, ...]
"""The keys and places in lists that lead to a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSettings:
    """How the bot and Slack reach each other; a secret is None where it is neither needed nor to be found."""

    mode: Mode
    api_url: str
    """With a trailing slash."""
    listen: tuple[str, int]
    """Host and port."""
    bot_token: Secret | None
    app_token: Secret | None
    signing_secret: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is configured."""

    database: str = field(repr=False)  # a PostgreSQL address may hold a password
    """The path of a SQLite file, or a `postgresql://` address."""
    audit_channel: str | None
    slack: SlackSettings
    accounts: Mapping[str, Account]
    """By name, in the file's order; never empty."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret there is, to be hidden in whatever is stored, shown or logged."""
        slack = (self.slack.bot_token, self.slack.app_token, self.slack.signing_secret)
        clouds = (secret for account in self.accounts.values() for secret in account.secrets)
        found = (*slack, *clouds, *_passwords(self.database))
        return tuple(dict.fromkeys(secret for secret in found if secret is not None and secret.reveal()))


def load(path: Path, environ: Mapping[str, str], *, needs: frozenset[Need]) -> Settings:
    """Read the file at `path`; raise `ConfigError` with every problem.

    A secret that the command `needs` must be there; another may be missing, and is then None or empty.
    """
    return parse(_tables(path), folder=path.parent, environ=environ, needs=needs)


def parse(tables: Mapping[str, Any], *, folder: Path, environ: Mapping[str, str], needs: frozenset[Need]) -> Settings:
    """Make `Settings` of a file's tables; relative paths start at `folder`."""
    reading = _Reading(tables, Sources(environ=environ, folder=folder, needs=needs))
    file = reading.table(FileTable, {"slack": {}, "approval": {}, "accounts": {}, **tables}, ())
    drafts = _drafts(reading, tables.get("accounts", {}))
    _check_quotas(reading, drafts)
    _check_defaults(reading, drafts)
    if file is None or reading.problems:
        raise ConfigError(reading.told())
    approval = replace(Approval(), **file.approval.given())
    return Settings(
        database=file.database,
        audit_channel=file.audit_channel,
        slack=SlackSettings(**dict(file.slack)),
        accounts=MappingProxyType({name: _account(name, draft, approval) for name, draft in drafts.items()}),
    )


def _tables(path: Path) -> dict[str, Any]:
    where = shown(str(path))
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; expected a TOML file"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text, at byte {error.start}; expected a TOML file"
    except tomllib.TOMLDecodeError as error:
        problem = f"is no TOML: {error}"
    except RecursionError:
        problem = "is no TOML that can be read: nested too deeply"
    except ValueError:  # a NUL in the path; a number of thousands of digits
        problem = "cannot be read; expected a TOML file"
    raise ConfigError((f"{where}: {problem}",))


class _Reading:
    """One reading of the tables: collects every problem with the place it is at."""

    def __init__(self, tables: Mapping[str, Any], sources: Sources) -> None:
        self._tables = tables
        self._sources = sources
        self.problems: list[tuple[_At, str]] = []

    def problem(self, at: _At, sentence: str) -> None:
        """Keep one problem; the reading goes on."""
        self.problems.append((at, sentence))

    def table(self, kind: type[_Table], value: object, at: _At) -> _Table | None:
        """Validate one table; None when it has problems, which are kept."""
        try:
            return kind.model_validate(value, context=self._sources)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                self.problem((*at, *each["loc"]), _sentence(each, kind))
        return None

    def told(self) -> tuple[str, ...]:
        """Return one line a problem, in the file's order."""
        ordered = sorted(self.problems, key=lambda problem: _position(self._tables, problem[0]))
        return tuple(f"{_path(at)}: {sentence}" for at, sentence in ordered)


def _sentence(error: ErrorDetails, table: type[Table]) -> str:
    """Say what is wrong and what is expected, without the value."""
    kind, last = error["type"], str(error["loc"][-1]) if error["loc"] else ""
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(last, _owner(table, error['loc']).model_fields)}"
    if kind == "enum" and isinstance(value := error["input"], str):
        return f"{shown(value)} is unknown; {nearest(value, re.findall(_QUOTED, error['ctx']['expected']))}"
    if kind == "missing":
        return f"missing; expected {_owner(table, error['loc']).model_fields[last].description}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {kind_of(error['input'])}"
    bound = error["msg"].removeprefix("Input should be ").replace("greater than or equal to", "at least")
    return f"expected {bound.replace('less than or equal to', 'at most')}"


def _owner(table: type[Table], loc: _At) -> type[Table]:
    """Return the table that holds the key at the end of `loc`."""
    for step in loc[:-1]:
        inner = table.model_fields[str(step)].annotation
        table = inner if isinstance(inner, type) and issubclass(inner, Table) else table
    return table


def _path(at: _At) -> str:
    """Write a place as TOML does: `accounts.prod-cn.requesters[0]`."""
    path = ""
    for step in at:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += "." * bool(path) + (step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else shown(step))
    return path


def _position(value: Any, at: _At) -> tuple[int, ...]:
    """Return where in the file a place is; a key that is missing comes after those that are there."""
    position = []
    for step in at:
        inner = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, Mapping) else {}
        keys = list(inner)
        position.append(keys.index(step) if step in inner else len(keys))
        value = inner.get(step)
    return tuple(position)


def _drafts(reading: _Reading, accounts: object) -> dict[str, AccountTable]:
    """Read the accounts one by one, so that one with problems does not hide those of another."""
    if not isinstance(accounts, Mapping):
        return {}  # the file's table has said so
    if not accounts:
        reading.problem(("accounts",), "there is none; expected at least one table [accounts.NAME]")
    for name in accounts:
        if not _NAME.fullmatch(name):
            problem = "is no account's name; expected letters, digits, - _ and . between letters or digits"
            reading.problem(("accounts", name), problem)
    read = {name: reading.table(AccountTable, table, ("accounts", name)) for name, table in accounts.items()}
    return {name: draft for name, draft in read.items() if draft is not None}


def _check_quotas(reading: _Reading, drafts: Mapping[str, AccountTable]) -> None:
    """Refuse one key on two quotas: the cloud counts the key's calls together, whatever the accounts are called."""
    seen: dict[tuple[Cloud, Secret], str] = {}
    for name, draft in drafts.items():
        at, quota = ("accounts", name, "quota"), draft.quota or name
        if quota.lower() == "slack":
            reading.problem(at, '"slack" is kept for the pace of Slack itself; expected another name')
        if draft.key_id is None:
            continue
        first = seen.setdefault((draft.cloud, draft.key_id), name)
        other = drafts[first].quota or first
        if quota != other:
            problem = f"is {shown(quota)}, but {_path(('accounts', first))} has the same key id and {shown(other)}"
            reading.problem(at, f"{problem}; expected the same quota")


def _check_defaults(reading: _Reading, drafts: Mapping[str, AccountTable]) -> None:
    """Refuse two defaults in one channel: a command there would not know which is meant."""
    defaults = {name: draft for name, draft in drafts.items() if draft.default}
    for (first, one), (second, other) in combinations(defaults.items(), 2):
        shared = [channel for channel in one.channels if channel in other.channels]
        if shared:
            problem = f"{_path(('accounts', first))} is the default in {', '.join(dict.fromkeys(shared))} too"
            reading.problem(("accounts", second, "default"), f"{problem}; expected one default per channel at most")


def _account(name: str, draft: AccountTable, approval: Approval) -> Account:
    return Account(
        name=name,
        cloud=draft.cloud,
        endpoint=draft.endpoint or f"https://iot.{draft.region}.aliyuncs.com",
        region=draft.region,
        instance=draft.instance,
        org=draft.org,
        key_id=draft.key_id or Secret(""),
        key_secret=draft.key_secret or Secret(""),
        security_token=draft.security_token,
        quota=draft.quota or name,
        channels=draft.channels,
        requesters=draft.requesters,
        approvers=draft.approvers,
        default=draft.default,
        qps=replace(_QPS[draft.cloud], **draft.qps.given()),
        names_per_call=draft.names_per_call or _NAMES[draft.cloud],
        omit=draft.omit,
        approval=replace(approval, **draft.approval.given()),
    )


def _passwords(database: str) -> tuple[Secret, ...]:
    """Return what a PostgreSQL address keeps secret, as it is written and as it is meant."""
    if not database.startswith("postgresql://"):
        return ()
    parts = urlsplit(database)
    written = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    return tuple(Secret(form) for each in written for form in (each, unquote(each)))
