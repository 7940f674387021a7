"""The tables of the configuration file, with the rule of each key standing at the key.

One reading finds every problem.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, field_validator

from bot.config.values import (
    APPROVER,
    GROUP,
    KEPT_OUT,
    LAX,
    ORIGIN,
    TERMINAL,
    USER,
    Channel,
    CloudSecret,
    Duration,
    Mode,
    Rate,
    SlackSecret,
    Word,
    id_of,
    read_always,
    read_api_url,
    read_database,
    read_endpoint,
    read_listen,
    read_region,
)
from bot.domain.account import Cloud

_OWNERS: Final = {
    "region": Cloud.ALIYUN,
    "instance": Cloud.ALIYUN,
    "security_token": Cloud.ALIYUN,
    "org": Cloud.ENOS,
    "omit": Cloud.TUYA,
}
"""Keys that mean something to one cloud alone; elsewhere they would be ignored in silence."""
_REQUIRED: Final = {
    Cloud.ALIYUN: {"endpoint": "it, or a region"},
    Cloud.TUYA: {"endpoint": ORIGIN},
    Cloud.ENOS: {"endpoint": ORIGIN, "org": "the organisation's id (o…)"},
}


class Table(BaseModel):
    """A table whose unknown keys and loose types are problems."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """Return only what was written, to be laid over defaults."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class SlackTable(Table):
    """`[slack]`."""

    mode: Annotated[Mode, LAX] = Mode.SOCKET
    api_url: Annotated[str, AfterValidator(read_api_url)] = "https://slack.com/api/"
    listen: Annotated[tuple[str, int], PlainValidator(read_listen)] = ("127.0.0.1", 8080)
    bot_token: SlackSecret = Field("env:SLACK_BOT_TOKEN", validate_default=True)
    app_token: SlackSecret = Field("env:SLACK_APP_TOKEN", validate_default=True)
    signing_secret: SlackSecret = Field("env:SLACK_SIGNING_SECRET", validate_default=True)


class ApprovalTable(Table):
    """`[approval]`, or what an account overrides of it; the defaults are the domain's."""

    above: Annotated[int, Field(ge=0)] | None = None
    always: Annotated[tuple[Annotated[str, AfterValidator(read_always)], ...], LAX] | None = None
    people: Annotated[int, Field(ge=1)] | None = None
    expires: Duration | None = None
    run_within: Duration | None = None
    window: Duration | None = None
    break_glass: Annotated[tuple[Annotated[str, id_of(USER, TERMINAL)], ...], LAX] | None = None


class QpsTable(Table):
    """An account's `qps`; what is not given is the cloud's default."""

    job: Rate | None = None
    devices: Rate | None = None
    strategy: Rate | None = None
    query: Rate | None = None


class AccountTable(Table):
    """`[accounts.<name>]`; `cloud` and `region` stand first, because the rules of later keys look at them."""

    cloud: Annotated[Cloud, LAX] = Field(description="aliyun, tuya or enos")
    region: Annotated[str, AfterValidator(read_region)] | None = None
    endpoint: Annotated[str, AfterValidator(read_endpoint)] | None = Field(None, validate_default=True)
    instance: Word | None = None
    org: Word | None = Field(None, validate_default=True)
    key_id: CloudSecret = Field(description=KEPT_OUT)
    key_secret: CloudSecret = Field(description=KEPT_OUT)
    security_token: CloudSecret = None
    quota: Word | None = None
    channels: Annotated[tuple[Channel, ...], LAX] = ()
    requesters: Annotated[tuple[Annotated[str, id_of(GROUP, USER, TERMINAL)], ...], LAX] = ()
    approvers: Annotated[tuple[Annotated[str, id_of(GROUP, APPROVER)], ...], LAX] = ()
    default: bool = False
    qps: QpsTable = QpsTable()
    names_per_call: Annotated[int, Field(ge=1, le=200)] | None = None
    omit: Annotated[tuple[Literal["Version", "Format", "SignatureVersion"], ...], LAX] = ()
    approval: ApprovalTable = ApprovalTable()

    @field_validator(*_OWNERS, mode="before")
    @classmethod
    def _belongs(cls, value: object, info: ValidationInfo) -> object:
        cloud, owner = info.data.get("cloud"), _OWNERS[str(info.field_name)]
        if value is None or cloud in {None, owner}:
            return value
        raise ValueError(f"is not for {cloud}; only {owner} accounts have it")

    @field_validator("endpoint", "org")
    @classmethod
    def _present(cls, value: str | None, info: ValidationInfo) -> str | None:
        name, cloud = str(info.field_name), info.data.get("cloud")
        # A region that is there and wrong is absent from `info.data`, and has its own problem.
        found = value is not None or (cloud is Cloud.ALIYUN and info.data.get("region", "wrong") is not None)
        if cloud is None or found or name not in _REQUIRED[cloud]:
            return value
        raise ValueError(f"missing; expected {_REQUIRED[cloud][name]}")


class FileTable(Table):
    """The whole file; the accounts are read one by one, so that each one's problems are found."""

    database: Annotated[str, AfterValidator(read_database)] = Field("ota-bot.db", validate_default=True, repr=False)
    audit_channel: Channel | None = None
    slack: SlackTable
    approval: ApprovalTable
    accounts: dict[str, Any]
