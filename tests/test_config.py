"""The configuration file: what it may hold, and how its problems are told."""

import os
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path
from string import ascii_letters
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Mode, Need, Settings, SlackSettings, load, parse
from bot.config.schema import AccountTable, ApprovalTable, FileTable, QpsTable, SlackTable
from bot.domain.account import Account, Approval, Cloud, Qps
from bot.domain.errors import ConfigError
from bot.domain.secret import Secret

BOTH: Final = frozenset(Need)
NOTHING: Final[frozenset[Need]] = frozenset()
ENVIRON: Final = {
    "SLACK_BOT_TOKEN": "xoxb-1-bot",
    "SLACK_APP_TOKEN": "xapp-1-app",
    "SLACK_SIGNING_SECRET": "signing-5f2a",
    "ALIYUN_KEY_ID": "LTAI-aliyun-id",
    "ALIYUN_KEY_SECRET": "aliyun-secret",
    "ALIYUN_STS": "aliyun-sts",
    "ENOS_APP_KEY": "enos-key",
    "ENOS_APP_SECRET": "enos-secret",
}
EXAMPLE: Final = """
database = "ota-bot.db"
audit_channel = "C0AUDIT"

[slack]
mode = "socket"
api_url = "https://slack.com/api/"
listen = "127.0.0.1:8080"
bot_token = "env:SLACK_BOT_TOKEN"
app_token = "env:SLACK_APP_TOKEN"
signing_secret = "env:SLACK_SIGNING_SECRET"

[approval]
above = 100
always = ["in-progress"]
people = 1
expires = "30m"
run_within = "15m"
window = "1h"
break_glass = []

[accounts.prod-cn]
cloud = "aliyun"
region = "cn-shanghai"
instance = "iot_instc_abc"
key_id = "env:ALIYUN_KEY_ID"
key_secret = "env:ALIYUN_KEY_SECRET"
security_token = "env:ALIYUN_STS"
quota = "ali-main"
channels = ["C0OPS"]
requesters = ["S0ONCALL", "U0BOB", "cli:ann"]
approvers = ["S0LEADS"]
default = true
qps = { job = 5, devices = 10, strategy = 10, query = 10 }
names_per_call = 200
approval = { above = 50 }

[accounts.eu-wind]
cloud = "enos"
endpoint = "https://apim.example.com"
org = "o15abc"
key_id = "env:ENOS_APP_KEY"
key_secret = "env:ENOS_APP_SECRET"
"""
KEYS: Final = 'key_id = "env:ALIYUN_KEY_ID"\nkey_secret = "env:ALIYUN_KEY_SECRET"\n'
ALIYUN: Final = '[accounts.a]\ncloud = "aliyun"\nregion = "cn-shanghai"\n' + KEYS
TUYA: Final = '[accounts.t]\ncloud = "tuya"\nendpoint = "https://si-1.tuyacloud.com:8686"\n' + KEYS
ENOS: Final = (
    '[accounts.e]\ncloud = "enos"\nendpoint = "https://apim.example.com"\norg = "o15"\n'
    'key_id = "env:ENOS_APP_KEY"\nkey_secret = "env:ENOS_APP_SECRET"\n'
)
REFERENCE: Final = "expected env:NAME or file:PATH: a secret is never written in this file"
DURATION: Final = 'a duration such as "90s", "30m", "1h30m" or "2d"'


def read(text: str, folder: Path, *, environ: Mapping[str, str] = ENVIRON, needs: frozenset[Need] = BOTH) -> Settings:
    """Load `text` as a file in `folder`."""
    path = folder / "ota-bot.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ, needs=needs)


def refused(
    text: str, folder: Path, *, environ: Mapping[str, str] = ENVIRON, needs: frozenset[Need] = BOTH
) -> tuple[str, ...]:
    """Return the problems of `text`."""
    with pytest.raises(ConfigError) as caught:
        read(text, folder, environ=environ, needs=needs)
    return caught.value.problems


def test_contract_example(tmp_path: Path) -> None:
    """The contract's example loads, and every key arrives where it belongs."""
    settings = read(EXAMPLE, tmp_path)

    expected = Account(
        name="prod-cn",
        cloud=Cloud.ALIYUN,
        endpoint="https://iot.cn-shanghai.aliyuncs.com",
        region="cn-shanghai",
        instance="iot_instc_abc",
        key_id=Secret("LTAI-aliyun-id"),
        key_secret=Secret("aliyun-secret"),
        security_token=Secret("aliyun-sts"),
        quota="ali-main",
        channels=("C0OPS",),
        requesters=("S0ONCALL", "U0BOB", "cli:ann"),
        approvers=("S0LEADS",),
        default=True,
        qps=Qps(job=5, devices=10, strategy=10, query=10),
        names_per_call=200,
        approval=Approval(above=50),
    )
    assert expected == settings.accounts["prod-cn"]
    slack = SlackSettings(
        mode=Mode.SOCKET,
        api_url="https://slack.com/api/",
        listen=("127.0.0.1", 8080),
        bot_token=Secret("xoxb-1-bot"),
        app_token=Secret("xapp-1-app"),
        signing_secret=Secret("signing-5f2a"),
    )
    names = ["prod-cn", "eu-wind"]
    assert (slack, names) == (settings.slack, list(settings.accounts))
    assert (str(tmp_path / "ota-bot.db"), "C0AUDIT") == (settings.database, settings.audit_channel)


def test_defaults(tmp_path: Path) -> None:
    """What is not written has the contract's defaults: one account is enough of a file."""
    settings = read(ENOS, tmp_path)

    expected = Account(
        name="e",
        cloud=Cloud.ENOS,
        endpoint="https://apim.example.com",
        org="o15",
        key_id=Secret("enos-key"),
        key_secret=Secret("enos-secret"),
        quota="e",
        qps=Qps(job=5, devices=5, strategy=5, query=5),
        names_per_call=50,
        approval=Approval(),
    )
    assert expected == settings.accounts["e"]
    assert read(EXAMPLE, tmp_path).slack == settings.slack
    assert (str(tmp_path / "ota-bot.db"), None) == (settings.database, settings.audit_channel)


def test_defaults_of_each_cloud(tmp_path: Path) -> None:
    """Alibaba's limits hold for Tuya too, with fewer names in a call."""
    accounts = read(ALIYUN + TUYA + 'quota = "a"\n', tmp_path).accounts

    assert Qps(job=5, devices=10, strategy=10, query=10) == accounts["a"].qps == accounts["t"].qps
    names_per_call = {"a": 200, "t": 50}
    assert names_per_call == {name: account.names_per_call for name, account in accounts.items()}


def test_frozen(tmp_path: Path) -> None:
    """Neither the settings nor their accounts can be changed."""
    settings = read(EXAMPLE, tmp_path)

    with pytest.raises(FrozenInstanceError):
        settings.audit_channel = "C0OTHER"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.accounts["more"] = settings.accounts["prod-cn"]  # type: ignore[index]


def test_approval_is_laid_over(tmp_path: Path) -> None:
    """An account overrides single keys of [approval], and [approval] those of the defaults."""
    text = ALIYUN + 'approval = { people = 2, always = ["strategy"] }\n[approval]\nabove = 7\npeople = 3\n' + ENOS
    accounts = read(text, tmp_path).accounts

    assert Approval(above=7, people=2, always=("strategy",)) == accounts["a"].approval
    assert Approval(above=7, people=3) == accounts["e"].approval


def test_approval_values(tmp_path: Path) -> None:
    """Status words, durations and people are read in every spelling that is allowed."""
    text = """
[approval]
above = 0
always = ["in_progress", "Queued", "scheduled", "unconfirmed", "notified", "strategy"]
expires = "1h30m"
run_within = "90s"
window = "7d"
break_glass = ["U0BOB", "W0EVE", "cli:ann"]
"""
    approval = read(text + ALIYUN, tmp_path).accounts["a"].approval

    expected = Approval(
        above=0,
        always=("in-progress", "queued", "scheduled", "unconfirmed", "notified", "strategy"),
        expires=timedelta(minutes=90),
        run_within=timedelta(seconds=90),
        window=timedelta(days=7),
        break_glass=("U0BOB", "W0EVE", "cli:ann"),
    )
    assert expected == approval


def test_qps_is_laid_over(tmp_path: Path) -> None:
    """A rate that is given replaces the cloud's default for its operation alone."""
    qps = read(ALIYUN + "qps = { job = 2.5 }\n", tmp_path).accounts["a"].qps

    assert Qps(job=2.5, devices=10, strategy=10, query=10) == qps


def test_endpoint_with_and_without_region(tmp_path: Path) -> None:
    """An endpoint may stand alone or beside a region, and then it is the host."""
    both = ALIYUN + 'endpoint = "http://127.0.0.1:9000/"\n'
    alone = both.replace('region = "cn-shanghai"\n', "")
    accounts = [read(text, tmp_path).accounts["a"] for text in (both, alone)]

    expected = [("http://127.0.0.1:9000", "cn-shanghai"), ("http://127.0.0.1:9000", None)]
    assert expected == [(account.endpoint, account.region) for account in accounts]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://apim.example.com/", "https://apim.example.com"),
        ("HTTPS://Apim.Example.com:8443", "https://apim.example.com:8443"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_endpoints(tmp_path: Path, written: str, expected: str) -> None:
    """An endpoint is a scheme, a host and a port, in one spelling; http is for loopback addresses."""
    account = read(ENOS.replace("https://apim.example.com", written), tmp_path).accounts["e"]

    assert expected == account.endpoint


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://slack.com/api", "https://slack.com/api/"),
        ("http://127.0.0.1:8999/api/", "http://127.0.0.1:8999/api/"),
        ("http://localhost:8999", "http://localhost:8999/"),
    ],
)
def test_api_url(tmp_path: Path, written: str, expected: str) -> None:
    """Slack's address ends with a slash, written or not."""
    assert expected == read(f'[slack]\napi_url = "{written}"\n{ALIYUN}', tmp_path).slack.api_url


@pytest.mark.parametrize(
    ("written", "expected"),
    [("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:8080", ("::1", 8080)), ("localhost:0", ("localhost", 0))],  # noqa: S104 - read, not bound
)
def test_listen(tmp_path: Path, written: str, expected: tuple[str, int]) -> None:
    """`listen` is a host and a port; an IPv6 address stands in brackets, and port 0 is any free one."""
    assert expected == read(f'[slack]\nlisten = "{written}"\n{ALIYUN}', tmp_path).slack.listen


# --- The database ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/var/lib/ota.db", "/var/lib/ota.db"),
        ("postgresql://bot@db/ota", "postgresql://bot@db/ota"),
        ("postgres://bot@db/ota", "postgresql://bot@db/ota"),
        ("env:DATABASE_URL", "postgresql://bot:pg-pass@db/ota"),
    ],
)
def test_database(tmp_path: Path, written: str, expected: str) -> None:
    """The database is a path, a PostgreSQL address, or a reference to either."""
    environ = {**ENVIRON, "DATABASE_URL": "postgresql://bot:pg-pass@db/ota"}

    assert expected == read(f'database = "{written}"\n{ALIYUN}', tmp_path, environ=environ).database


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """A relative path, written or referred to, starts at the configuration file's folder."""
    (tmp_path / "place").write_text("ledger/ota.db\n", encoding="utf-8")

    assert str(tmp_path / "ledger/ota.db") == read(f'database = "ledger/ota.db"\n{ALIYUN}', tmp_path).database
    assert str(tmp_path / "ledger/ota.db") == read(f'database = "file:place"\n{ALIYUN}', tmp_path).database


@pytest.mark.parametrize("written", ["", " ", ":memory:", "mysql://bot:my-pass@db/ota", "sqlite:///ota.db"])
def test_database_of_no_use(tmp_path: Path, written: str) -> None:
    """A ledger that would forget, or of another engine, is refused without repeating the address."""
    expected = ("database: is no place for a ledger; expected a file's path or postgresql://…",)

    assert expected == refused(f'database = "{written}"\n{ALIYUN}', tmp_path)


def test_database_broken_address(tmp_path: Path) -> None:
    """A PostgreSQL address that cannot be taken apart is refused without repeating it."""
    expected = ("database: is no usable address; expected postgresql://user@host/name",)

    assert expected == refused(f'database = "postgresql://bot:pg-pass@[db/ota"\n{ALIYUN}', tmp_path)


def test_database_reference_leads_nowhere(tmp_path: Path) -> None:
    """Every command needs the ledger, so its reference must resolve whatever else is needed."""
    text = f'database = "env:DATABASE_URL"\n{ALIYUN}'

    expected = ("database: the environment variable DATABASE_URL is not set or empty",)
    assert expected == refused(text, tmp_path, needs=NOTHING)
    expected = (f"database: is no reference; {REFERENCE}",)
    assert expected == refused(text.replace("env:DATABASE_URL", "env:"), tmp_path)


# --- Secrets ---------------------------------------------------------------------------------------------------------


def test_secret_from_a_file(tmp_path: Path) -> None:
    """A secret may lie in a file beside the configuration; its trailing newline is no part of it."""
    (tmp_path / "key").write_text("from-file\r\n", encoding="utf-8")
    account = read(ALIYUN.replace("env:ALIYUN_KEY_SECRET", "file:key"), tmp_path).accounts["a"]

    assert Secret("from-file") == account.key_secret


def test_secret_written_down(tmp_path: Path) -> None:
    """A secret in the file itself is refused and not repeated, whatever the command needs."""
    text = ALIYUN.replace("env:ALIYUN_KEY_SECRET", "wJalr-literal")

    for needs in (BOTH, NOTHING):
        assert (f"accounts.a.key_secret: is no reference; {REFERENCE}",) == refused(text, tmp_path, needs=needs)


def test_secret_of_a_wrong_type(tmp_path: Path) -> None:
    """A secret that is not even a string is refused and not repeated."""
    text = ALIYUN.replace('"env:ALIYUN_KEY_SECRET"', "4711")

    assert (f"accounts.a.key_secret: {REFERENCE}, got an integer",) == refused(text, tmp_path)


@pytest.mark.parametrize("environ", [{}, {**ENVIRON, "ALIYUN_KEY_SECRET": ""}])
def test_secret_variable_missing(tmp_path: Path, environ: Mapping[str, str]) -> None:
    """A variable that is unset or empty is named."""
    problem = "accounts.a.key_secret: the environment variable ALIYUN_KEY_SECRET is not set or empty"

    assert problem in refused(ALIYUN, tmp_path, environ=environ, needs=frozenset({Need.CLOUDS}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_secret_file_unusable(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """A file that is not there, empty or no text is named."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    text = ALIYUN.replace("env:ALIYUN_KEY_SECRET", "file:key")

    assert (f'accounts.a.key_secret: the file "{tmp_path}/key" {expected}',) == refused(text, tmp_path)


def test_secret_file_is_a_folder(tmp_path: Path) -> None:
    """A folder in a secret's place is told, not raised."""
    text = ALIYUN.replace("env:ALIYUN_KEY_SECRET", "file:.")

    expected = f'accounts.a.key_secret: the file "{tmp_path}" cannot be read: Is a directory'
    assert (expected,) == refused(text, tmp_path)


def test_secret_with_white_space(tmp_path: Path) -> None:
    """A secret with a line break in it would break a header, so it is refused and not repeated."""
    environ = {**ENVIRON, "ALIYUN_KEY_SECRET": "first\nsecond"}

    expected = (
        (
            'accounts.a.key_secret: what "env:ALIYUN_KEY_SECRET" leads to has white space or control characters in it,'
            " or letters that no key has"
        ),
    )
    assert expected == refused(ALIYUN, tmp_path, environ=environ)


def test_needs_nothing(tmp_path: Path) -> None:
    """A command that reads the ledger alone works without a single secret."""
    settings = read(EXAMPLE, tmp_path, environ={}, needs=NOTHING)

    slack, account = settings.slack, settings.accounts["prod-cn"]
    assert {None} == {slack.bot_token, slack.app_token, slack.signing_secret, account.security_token}
    assert {Secret("")} == {account.key_id, account.key_secret}
    assert not settings.secrets


def test_needs_clouds(tmp_path: Path) -> None:
    """A command that only cancels needs the accounts' keys, and no Slack."""
    keys = {name: value for name, value in ENVIRON.items() if not name.startswith("SLACK")}
    settings = read(EXAMPLE, tmp_path, environ=keys, needs=frozenset({Need.CLOUDS}))

    assert None is settings.slack.bot_token
    assert Secret("enos-secret") == settings.accounts["eu-wind"].key_secret


def test_not_needed_but_there(tmp_path: Path) -> None:
    """A secret that is not needed and can be had is loaded, so that it can be hidden."""
    settings = read(EXAMPLE, tmp_path, environ={**ENVIRON, "SLACK_BOT_TOKEN": "odd"}, needs=NOTHING)

    assert {Secret("odd"), Secret("signing-5f2a"), Secret("aliyun-sts")} <= set(settings.secrets)


@pytest.mark.parametrize(
    ("mode", "key", "variable"),
    [("socket", "app_token", "SLACK_APP_TOKEN"), ("http", "signing_secret", "SLACK_SIGNING_SECRET")],
)
def test_needs_slack(tmp_path: Path, mode: str, key: str, variable: str) -> None:
    """Socket mode needs the app token, HTTP mode the signing secret, and neither the other's."""
    text = f'[slack]\nmode = "{mode}"\n{ALIYUN}'

    expected = (
        "slack.bot_token: the environment variable SLACK_BOT_TOKEN is not set or empty",
        f"slack.{key}: the environment variable {variable} is not set or empty",
    )
    assert expected == refused(text, tmp_path, environ={}, needs=frozenset({Need.SLACK}))


def test_tokens_swapped(tmp_path: Path) -> None:
    """Swapped tokens are told apart by their first letters, and not repeated."""
    environ = {**ENVIRON, "SLACK_BOT_TOKEN": "xapp-1-app", "SLACK_APP_TOKEN": "xoxb-1-bot"}

    expected = (
        'slack.bot_token: what "env:SLACK_BOT_TOKEN" leads to is an app-level token; expected a bot token (xoxb-…)',
        'slack.app_token: what "env:SLACK_APP_TOKEN" leads to is a bot token; expected an app-level token (xapp-…)',
    )
    assert expected == refused(ALIYUN, tmp_path, environ=environ)


def test_token_of_another_kind(tmp_path: Path) -> None:
    """Anything that is no bot token is refused; one that rotates is accepted."""
    environ = {**ENVIRON, "SLACK_BOT_TOKEN": "hunter2"}

    expected = (
        'slack.bot_token: what "env:SLACK_BOT_TOKEN" leads to is something else; expected a bot token (xoxb-…)',
    )
    assert expected == refused(ALIYUN, tmp_path, environ=environ)
    rotating = {**ENVIRON, "SLACK_BOT_TOKEN": "xoxe.xoxb-1-bot"}
    assert Secret("xoxe.xoxb-1-bot") == read(ALIYUN, tmp_path, environ=rotating).slack.bot_token


def test_secrets_are_hidden(tmp_path: Path) -> None:
    """No secret, nor the database's password, shows when the settings are printed; all are listed for redaction."""
    environ = {**ENVIRON, "DATABASE_URL": "postgresql://bot:pg%2fpass@db/ota?password=pg-second"}
    settings = read(EXAMPLE.replace("ota-bot.db", "env:DATABASE_URL"), tmp_path, environ=environ)

    secrets = {*ENVIRON.values(), "pg%2fpass", "pg/pass", "pg-second"}
    assert secrets == {secret.reveal() for secret in settings.secrets}
    assert not [secret for secret in secrets if secret in f"{settings!r} {settings}"]


def test_problems_hide_secrets(tmp_path: Path) -> None:
    """A file full of problems repeats no secret, be it resolved, written down or in an address."""
    text = EXAMPLE.replace('"ota-bot.db"', '"mysql://bot:s3cret-my@db"').replace("env:ENOS_APP_SECRET", "s3cret-enos")
    text = text.replace("https://apim.", "https://bot:s3cret-url@apim.").replace(
        "https://slack", "http://s3cret-x@slack"
    )
    text = text.replace('"127.0.0.1:8080"', '"s3cret@127.0.0.1:8080"') + "\nsurprise = 1\n"
    problems = refused(text, tmp_path, environ={**ENVIRON, "SLACK_BOT_TOKEN": "s3cret-bot"})

    paths = ["database", "slack.api_url", "slack.listen", "slack.bot_token", "accounts.eu-wind.endpoint"]
    assert [*paths, "accounts.eu-wind.key_secret", "accounts.eu-wind.surprise"] == [
        problem.partition(":")[0] for problem in problems
    ]
    assert not [problem for problem in problems if "s3cret" in problem or "aliyun-" in problem]


# --- Problems --------------------------------------------------------------------------------------------------------


def test_every_problem_at_once(tmp_path: Path) -> None:
    """All problems of all tables come together, in the file's order, one line each with the key's path."""
    text = """
databse = "x.db"
audit_channel = "#audit"
[slack]
mode = "sockets"
[approval]
above = -1
alway = []
[accounts.prod-cn]
cloud = "aliyun"
reqesters = ["S0ONCALL"]
region = "cn-shangai"
key_id = "LTAI"
key_secret = "env:NOWHERE"
approvers = ["S0LEADS", "cli:ann"]
qps = { jobs = 5 }
approval = { people = 0 }
[accounts.eu]
cloud = "enos"
region = "cn-shanghai"
"""
    expected = (
        'databse: unknown key; did you mean "database"?',
        (
            'audit_channel: "#audit" is not right here; expected a channel\'s id (C… or G…); '
            "that is a channel's name: its id stands at the foot of the channel's details"
        ),
        'slack.mode: "sockets" is unknown; did you mean "socket"?',
        "approval.above: expected at least 0",
        'approval.alway: unknown key; did you mean "always"?',
        'accounts.prod-cn.reqesters: unknown key; did you mean "requesters"?',
        'accounts.prod-cn.region: "cn-shangai" is unknown; did you mean "cn-shanghai"?',
        f"accounts.prod-cn.key_id: is no reference; {REFERENCE}",
        "accounts.prod-cn.key_secret: the environment variable NOWHERE is not set or empty",
        (
            'accounts.prod-cn.approvers[1]: "cli:ann" is not right here; expected a user group\'s id (S…) or '
            "a user's id (U… or W…); nothing is ever approved from a terminal"
        ),
        'accounts.prod-cn.qps.jobs: unknown key; did you mean "job"?',
        "accounts.prod-cn.approval.people: expected at least 1",
        "accounts.eu.region: is not for enos; only aliyun accounts have it",
        "accounts.eu.endpoint: missing; expected https://host or https://host:port",
        "accounts.eu.org: missing; expected the organisation's id (o…)",
        f"accounts.eu.key_id: missing; {REFERENCE}",
        f"accounts.eu.key_secret: missing; {REFERENCE}",
    )
    assert expected == refused(text, tmp_path)


def test_message_is_the_problems(tmp_path: Path) -> None:
    """The error's text is its problems, one a line."""
    with pytest.raises(ConfigError) as caught:
        read("a = 1\nb = 2\n" + ALIYUN, tmp_path)

    assert "\n".join(caught.value.problems) == str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reqesters = []", 'reqesters: unknown key; did you mean "requesters"?'),
        ('channels = ["#ops"]', 'channels[0]: "#ops" is not right here; expected a channel\'s id'),
        ('channels = ["D0ANN"]', 'channels[0]: "D0ANN" is not right here; expected a channel\'s id (C… or G…)'),
        ('channels = "C0OPS"', "channels: expected a list, got a string"),
        ("channels = [1]", "channels[0]: expected a string, got an integer"),
        (
            'requesters = ["@ann"]',
            'requesters[0]: "@ann" is not right here; expected a user group\'s id (S…) or a user',
        ),
        ('requesters = ["cli:"]', 'requesters[0]: "cli:" is not right here; expected'),
        ('requesters = ["s0oncall"]', 'requesters[0]: "s0oncall" is not right here; expected'),
        ('approvers = ["C0OPS"]', 'approvers[0]: "C0OPS" is not right here; expected'),
        ('default = "yes"', "default: expected a boolean, got a string"),
        ("default = 1", "default: expected a boolean, got an integer"),
        ('qps = { job = "5" }', "qps.job: expected a number, got a string"),
        ("qps = { job = true }", "qps.job: expected a number, got a boolean"),
        ("qps = { job = 0 }", "qps.job: expected at least 0.01"),
        ("qps = { job = nan }", "qps.job: expected a finite number"),
        ("qps = { job = inf }", "qps.job: expected a finite number"),
        ("qps = 5", "qps: expected a table, got an integer"),
        ("qps = { reads = 5 }", "qps.reads: unknown key; expected one of job, devices, strategy, query"),
        ("names_per_call = 0", "names_per_call: expected at least 1"),
        ("names_per_call = 201", "names_per_call: expected at most 200"),
        ("names_per_call = 2.0", "names_per_call: expected an integer, got a float"),
        ('org = "o15"', "org: is not for aliyun; only enos accounts have it"),
        ('instance = ""', "instance: is empty or has white space in it; expected a name or id"),
        ('quota = "ali main"', "quota: is empty or has white space in it; expected a name or id"),
        ('quota = "Slack"', 'quota: "slack" is kept for the pace of Slack itself; expected another name'),
        ('cloud_ = "aliyun"', 'cloud_: unknown key; did you mean "cloud"?'),
        ("approval = 3", "approval: expected a table, got an integer"),
        ("approval = { people = true }", "approval.people: expected an integer, got a boolean"),
        ("approval = { peple = 1 }", 'approval.peple: unknown key; did you mean "people"?'),
        ('approval = { always = ["in-progres"] }', 'approval.always[0]: "in-progres" is unknown; did you mean "in-p'),
        ('approval = { always = ["x"] }', 'approval.always[0]: "x" is unknown; expected one of scheduled, unconfirmed'),
        (
            'approval = { break_glass = ["S0ONCALL"] }',
            'approval.break_glass[0]: "S0ONCALL" is not right here; expected',
        ),
        ('approval = { window = "30" }', f'approval.window: "30" is no duration; expected {DURATION}'),
        ('approval = { window = "" }', f'approval.window: "" is no duration; expected {DURATION}'),
        ('approval = { window = "1m1h" }', f'approval.window: "1m1h" is no duration; expected {DURATION}'),
        ('approval = { window = "-1h" }', f'approval.window: "-1h" is no duration; expected {DURATION}'),
        ("approval = { window = 30 }", f"approval.window: expected {DURATION}, got an integer"),
        ("approval = { window = 10:00:00 }", f"approval.window: expected {DURATION}, got a date or time"),
        ('approval = { window = "0s" }', 'approval.window: "0s" is out of range; expected more than nothing and at'),
        (
            'approval = { window = "7d1s" }',
            'approval.window: "7d1s" is out of range; expected more than nothing and at',
        ),
    ],
)
def test_rules_of_an_account(tmp_path: Path, line: str, expected: str) -> None:
    """Each key of an account says what is wrong with it and what is expected."""
    (problem,) = refused(ALIYUN + line + "\n", tmp_path)

    assert f"accounts.a.{expected}" == problem[: len(f"accounts.a.{expected}")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('cloud = "aliyun"', "endpoint: missing; expected it, or a region"),
        (
            'cloud = "aliyun"\nregion = "mars-1x"',
            'region: "mars-1x" is unknown; expected one of cn-shanghai, cn-beijing',
        ),
        ('cloud = "tuya"', "endpoint: missing; expected https://host or https://host:port"),
        ('cloud = "enos"\nendpoint = "https://h"', "org: missing; expected the organisation's id (o…)"),
        ("", "cloud: missing; expected aliyun, tuya or enos"),
        ('cloud = "aliyn"', 'cloud: "aliyn" is unknown; did you mean "aliyun"?'),
        ("cloud = 3", "cloud: expected 'aliyun', 'tuya' or 'enos'"),
    ],
)
def test_what_an_account_must_have(tmp_path: Path, lines: str, expected: str) -> None:
    """Each cloud says what it cannot do without."""
    (problem,) = refused(f"[accounts.a]\n{KEYS}{lines}\n", tmp_path)

    assert f"accounts.a.{expected}" == problem[: len(f"accounts.a.{expected}")]


@pytest.mark.parametrize("line", ['instance = "i"', 'region = "cn-shanghai"', 'security_token = "env:ALIYUN_STS"'])
def test_keys_of_alibaba_alone(tmp_path: Path, line: str) -> None:
    """Keys that another cloud would ignore in silence are refused there."""
    key = line.partition(" ")[0]

    for name, text in (("t", TUYA), ("e", ENOS)):
        cloud = {"t": "tuya", "e": "enos"}[name]
        expected = (f"accounts.{name}.{key}: is not for {cloud}; only aliyun accounts have it",)
        assert expected == refused(f"{text}{line}\n", tmp_path)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://apim.example.com", "http:// is accepted for loopback addresses alone; expected"),
        ("http://127.0.0.1.example.com", "http:// is accepted for loopback addresses alone; expected"),
        ("http://10.0.0.1", "http:// is accepted for loopback addresses alone; expected"),
        ("https://apim.example.com/v1", "has a path in it; expected only https://host or https://host:port"),
        ("https://apim.example.com?x=1", "has a user, a query or a fragment in it; expected"),
        ("https://apim.example.com#x", "has a user, a query or a fragment in it; expected"),
        ("https://u:p@apim.example.com", "has a user, a query or a fragment in it; expected"),
        ("https://u:p#x@apim.example.com", "is no usable address; expected"),
        ("apim.example.com", "is no usable address; expected"),
        ("ftp://apim.example.com", "is no usable address; expected"),
        ("https://", "is no usable address; expected"),
        ("https://h:99999", "is no usable address; expected"),
        ("https://[::1", "is no usable address; expected"),
        ("https://a b", "is no usable address; expected"),
        ("https://a\\nb", "is no usable address; expected"),
    ],
)
def test_endpoints_refused(tmp_path: Path, written: str, expected: str) -> None:
    """An endpoint is refused when it is unencrypted, carries more than a host, or is none; it is not repeated."""
    (problem,) = refused(ENOS.replace("https://apim.example.com", written), tmp_path)

    assert f"accounts.e.endpoint: {expected}" == problem[: len(f"accounts.e.endpoint: {expected}")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('mode = "htttp"', 'slack.mode: "htttp" is unknown; did you mean "http"?'),
        ('api_url = "http://slack.com/api/"', "slack.api_url: http:// is accepted for loopback addresses alone; exp"),
        ('api_url = "https://slack.com/api/?a=b"', "slack.api_url: has a user, a query or a fragment in it; expected"),
        ("api_url = 1", "slack.api_url: expected a string, got an integer"),
        ('listen = "8080"', 'slack.listen: is no address to listen on; expected host:port such as "127.0.0.1:8080"'),
        ('listen = ":8080"', "slack.listen: is no address to listen on; expected"),
        ('listen = "127.0.0.1:99999"', "slack.listen: is no address to listen on; expected"),
        ('listen = "::1:8080"', "slack.listen: is no address to listen on; expected"),
        ('listen = "127.0.0.1:80/x"', "slack.listen: is no address to listen on; expected"),
        ("listen = 8080", 'slack.listen: expected host:port such as "127.0.0.1:8080", got an integer'),
        ("bot_tokn = 1", 'slack.bot_tokn: unknown key; did you mean "bot_token"?'),
        ('bot_token = "xoxb-written-down"', f"slack.bot_token: is no reference; {REFERENCE}"),
    ],
)
def test_rules_of_slack(tmp_path: Path, line: str, expected: str) -> None:
    """Each key of [slack] says what is wrong with it and what is expected."""
    (problem,) = refused(f"[slack]\n{line}\n{ALIYUN}", tmp_path)

    assert expected == problem[: len(expected)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("accounts: there is none; expected at least one table [accounts.NAME]",)),
        ("accounts = {}", ("accounts: there is none; expected at least one table [accounts.NAME]",)),
        ("accounts = 3", ("accounts: expected a table, got an integer",)),
        ("accounts.a = 3", ("accounts.a: expected a table, got an integer",)),
        ("slack = 3\n" + ALIYUN, ("slack: expected a table, got an integer",)),
        ("approval = []\n" + ALIYUN, ("approval: expected a table, got a list",)),
        ("acounts = 3\n" + ALIYUN, ('acounts: unknown key; did you mean "accounts"?',)),
        (
            '"a\\nb" = 3\n' + ALIYUN,
            ('"a\\nb": unknown key; expected one of database, audit_channel, slack, approval,',),
        ),
    ],
)
def test_rules_of_the_file(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    """The outermost tables are held to their types and names, and there is at least one account."""
    problems = refused(text, tmp_path)

    assert expected == tuple(problem[: len(start)] for problem, start in zip(problems, expected, strict=True))


@pytest.mark.parametrize("name", ["", "prod.", ".prod", "prod cn", "prod/cn", "prod\\ncn", "生产"])
def test_account_names_refused(tmp_path: Path, name: str) -> None:
    """An account's name can be typed in a command: no spaces, and no full stop that would be dropped."""
    (problem,) = refused(ALIYUN.replace("accounts.a", f'accounts."{name}"'), tmp_path)

    expected = "is no account's name; expected letters, digits, - _ and . between letters or digits"
    assert f'accounts."{name}": {expected}' == problem


@pytest.mark.parametrize("name", ["a", "prod-cn", "eu_1.wind", "7"])
def test_account_names(tmp_path: Path, name: str) -> None:
    """Letters, digits, hyphens, underscores and full stops make a name."""
    assert [name] == list(read(ALIYUN.replace("accounts.a", f'accounts."{name}"'), tmp_path).accounts)


# --- Accounts side by side -------------------------------------------------------------------------------------------


def test_one_key_on_two_quotas(tmp_path: Path) -> None:
    """Accounts with one key share the cloud's limits, so they must share a quota."""
    second = ALIYUN.replace("accounts.a", 'accounts."b.2"')

    expected = ('accounts."b.2".quota: is "b.2", but accounts.a has the same key id and "a"; expected the same quota',)
    assert expected == refused(ALIYUN + second, tmp_path)
    shared = read(ALIYUN + second + 'quota = "a"\n', tmp_path).accounts
    assert shared["a"].quota == shared["b.2"].quota


def test_one_key_on_two_clouds(tmp_path: Path) -> None:
    """The same key id at different clouds says nothing."""
    accounts = read(ALIYUN + TUYA, tmp_path).accounts

    assert {"a", "t"} == {account.quota for account in accounts.values()}


def test_key_that_is_not_there(tmp_path: Path) -> None:
    """Where keys are not needed and not there, the accounts are not taken to share one."""
    second = ALIYUN.replace("accounts.a", "accounts.b")

    assert {"a", "b"} == set(read(ALIYUN + second, tmp_path, environ={}, needs=NOTHING).accounts)


def test_two_defaults_in_a_channel(tmp_path: Path) -> None:
    """Two default accounts in one channel are both named; in different channels they may be."""
    first = ALIYUN + 'default = true\nchannels = ["C0OPS", "C0ALL"]\n'
    second = ENOS + 'default = true\nchannels = ["C0WIND", "C0ALL"]\n'

    expected = ("accounts.e.default: accounts.a is the default in C0ALL too; expected one default per channel at most",)
    assert expected == refused(first + second, tmp_path)
    assert {"a", "e"} == set(read(first + second.replace(', "C0ALL"', ""), tmp_path).accounts)


# --- Files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a = 1\nb = \n", "is no TOML: Invalid value (at line 2, column 5)"),
        (b"a = 1\na = 2\n", "is no TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = '\xff'", "is not UTF-8 text, at byte 5; expected a TOML file"),
        (b"a = " + b"9" * 5000, "cannot be read; expected a TOML file"),
        (b"a = " + b"[" * 5000, "is no TOML that can be read: nested too deeply"),
    ],
)
def test_no_toml(tmp_path: Path, content: bytes, expected: str) -> None:
    """A file that is no TOML is told with the line where it stops being some."""
    path = tmp_path / "ota-bot.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRON, needs=BOTH)

    assert (f'"{path}": {expected}',) == caught.value.problems


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.toml", "cannot be read: No such file or directory; expected a TOML file"),
        ("", "cannot be read: Is a directory; expected a TOML file"),
        ("nul\0", "cannot be read; expected a TOML file"),
    ],
)
def test_no_file(tmp_path: Path, name: str, expected: str) -> None:
    """A file that cannot be read is named."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, ENVIRON, needs=BOTH)

    (problem,) = caught.value.problems
    assert f": {expected}" == problem[-len(f": {expected}") :]


def test_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, as some editors write it, does no harm."""
    (tmp_path / "ota-bot.toml").write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())

    assert {"prod-cn", "eu-wind"} == set(load(tmp_path / "ota-bot.toml", ENVIRON, needs=BOTH).accounts)


# --- Anything at all -------------------------------------------------------------------------------------------------

TABLES: Final = (FileTable, SlackTable, ApprovalTable, AccountTable, QpsTable)
KNOWN: Final = ["a", *(key for table in TABLES for key in table.model_fields)]
STRINGS: Final = st.text(max_size=12) | st.sampled_from(
    ["aliyun", "enos", "env:SLACK_BOT_TOKEN", "file:x", "file:\0", "https://[", "postgresql://[", "1h", "C0OPS", "a:1"]
)
LEAVES: Final[st.SearchStrategy[Any]] = st.one_of(
    STRINGS, st.integers(), st.floats(), st.booleans(), st.datetimes(), st.dates(), st.times()
)
NAMES: Final = st.sampled_from(KNOWN) | st.text(max_size=8)
VALUES: Final = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=30
)


def problems_of(tables: Mapping[str, Any], needs: frozenset[Need]) -> tuple[str, ...]:
    """Return the problems of a file's tables, or none."""
    try:
        parse(tables, folder=Path(os.devnull), environ=ENVIRON, needs=needs)
    except ConfigError as error:
        return error.problems
    return ()


@given(tables=st.dictionaries(NAMES, VALUES, max_size=8), needs=st.sampled_from([BOTH, NOTHING]))
def test_any_tables(tables: dict[str, Any], needs: frozenset[Need]) -> None:
    """Whatever a TOML file may hold, there are settings or problems, each on one line."""
    assert not [problem for problem in problems_of(tables, needs) if len(problem.splitlines()) != 1]


@given(account=st.dictionaries(st.sampled_from(KNOWN), VALUES, max_size=8), value=VALUES, key=st.sampled_from(KNOWN))
def test_any_account(account: dict[str, Any], value: Any, key: str) -> None:
    """Whatever an account, [slack] or [approval] holds, there are settings or problems, each on one line."""
    tables = {"accounts": {"a": account, "b": {**account, key: value}}, "slack": {key: value}, "approval": account}

    assert not [problem for problem in problems_of(tables, BOTH) if len(problem.splitlines()) != 1]


@given(content=st.binary() | st.text(alphabet=ascii_letters + "[]{}=\"'.,# \n\\u1_-:", max_size=60).map(str.encode))
def test_any_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever bytes the file holds, there are settings or problems."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path, ENVIRON, needs=BOTH)
