"""How other systems have somebody approve something: the README's comparison, cell by cell, with what was read for it.

A capital letter was read in the sources that stand with it. A small one is inferred; no source that says so was read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

NOT_ESTABLISHED: Final = "·"
LETTERS: Final = frozenset({"Y", "P", "N", "y", "p", "n", "asked", NOT_ESTABLISHED})
REFERENCE: Final = re.compile(r"\[(\d+[a-z]?)\](?![(:])")
"""A source's number in a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One column."""

    short: str
    name: str
    """What exactly was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that was read."""

    of: str
    """Whose it is: a column, or a vendor of the prose."""
    title: str
    url: str
    also: str = ""
    """A second address that was read with it."""
    caveat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one system has of one feature."""

    letter: str
    note: str = ""
    """With the numbers of its sources."""
    tests: tuple[str, ...] = ()
    """The files that hold it, from the root of the repository; of this bot's cells alone."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The numbers of what was read for it."""
        return tuple(dict.fromkeys(REFERENCE.findall(self.note)))

    @property
    def says(self) -> str:
        """The note, empty where it is no more than the numbers of its sources."""
        return self.note if REFERENCE.sub("", self.note).strip() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One feature: what this bot has of it, and what the others have, by the keys of `SYSTEMS`."""

    feature: str
    ours: Cell
    others: Mapping[str, Cell]

    def other(self, system: str) -> Cell:
        """Return another system's cell; what was not established is left out above."""
        return self.others.get(system, Cell(letter=NOT_ESTABLISHED))


def _cell(text: str) -> Cell:
    letter, _, note = text.partition(" ")
    return Cell(letter=letter, note=note)


def _ours(letter: str, note: str, *tests: str) -> Cell:
    return Cell(letter=letter, note=note, tests=tests)


def _row(feature: str, ours: Cell, **others: str) -> Row:
    return Row(feature=feature, ours=ours, others={system: _cell(text) for system, text in others.items()})


DECISIONS: Final = "tests/domain/test_approval.py"
ENGINE: Final = "tests/engine/test_approval.py"
JOURNEYS: Final = "tests/journeys/test_approval.py"
LIFE: Final = "tests/domain/test_life.py"
WITNESS: Final = "tests/cli/test_audit_witness.py"
STOP: Final = "tests/engine/test_stop.py"
FORGERIES: Final = "tests/ledger/test_forgeries.py"

SYSTEMS: Final[Mapping[str, System]] = {
    "amazon_q": System(short="Amazon Q", name="Amazon Q Developer in chat, once AWS Chatbot"),
    "poshbot": System(short="PoshBot", name="PoshBot"),
    "elevator": System(short="Elevator", name="fivexl SSO Elevator"),
    "accessbot": System(short="AccessBot", name="strongDM AccessBot"),
    "teleport": System(short="Teleport", name="Teleport access requests with its Slack plugin"),
    "vault": System(short="Vault", name="control groups of HashiCorp Vault and OpenBao"),
    "ontap": System(short="ONTAP", name="NetApp ONTAP multi-admin verify"),
    "atlantis": System(short="Atlantis", name="Atlantis"),
    "github": System(short="GitHub", name="GitHub environments"),
    "sym": System(short="Sym", name="Sym"),
    "stackstorm": System(short="StackStorm", name="StackStorm ChatOps with inquiries (`core.ask`)"),
}

ROWS: Final = (
    _row(
        "approve by a button in Slack",
        _ours("Y", "", JOURNEYS),
        poshbot="N typed `!approve id` [31]",
        elevator="Y [17]",
        accessbot="N typed `approve`/`deny` with a case-sensitive id [25] [27]",
        teleport="Y opt-in, self-hosted only [7] [14]",
        vault="n",
        ontap="n",
        atlantis="n",
        github="n",
        sym="y",
    ),
    _row(
        "authority of the person, not of the channel",
        _ours("Y", "users and user groups of the account, asked of Slack at the press and again at the start", ENGINE),
        amazon_q="Y user roles and guardrails, both have to allow it [35]",
        poshbot="Y groups [31]",
        elevator="Y approver list per statement [17]",
        accessbot="P admins list, but a channel can elevate everyone in it [25]",
        teleport="Y Teleport user behind the Slack identity [7]",
        vault="Y identity groups [4]",
        ontap="Y approval groups [1]",
        atlantis="p via the version control",
        github="Y [88]",
        sym="Y safelist hook [84]",
        stackstorm="N asked since 2016, open [86]; `users` empty = everyone [87]",
    ),
    _row(
        "whoever asks cannot approve it",
        _ours("Y", "", DECISIONS),
        poshbot="Y when peer approval is on [30] [31]",
        elevator="Y unless `AllowSelfApproval` [17]",
        accessbot="P asked for in channel mode [28]",
        teleport="Y hard-coded [11] [12]",
        vault="N in Vault, if the requester is in the group [90]",
        ontap="Y count excludes the requester [2]",
        atlantis="p via the version control",
        github="Y option, off by default [88] [94]",
        sym="P option; samples ship `True` [84]",
    ),
    _row(
        "several distinct approvers",
        _ours("Y", "one number and one list for each account", LIFE),
        poshbot="N first approval sets Approved [31]",
        elevator="N one press grants (flow diagram) [17]",
        accessbot="n",
        teleport="Y thresholds, stays PENDING [13]",
        vault="Y per factor, several factors [4]",
        ontap="Y [1]",
        atlantis="p via the version control",
        github="N one of up to six is enough [91]; asked for SOC 2 [89]",
        stackstorm="n",
    ),
    _row(
        "refuses a quorum that cannot be met",
        _ours("Y", "at the preview and at the confirmation", ENGINE),
        elevator="P “no approver found”, with a bug [24]",
        ontap="Y error when approvers ≥ group size [2]",
    ),
    _row(
        "requests expire",
        _ours("Y", "30 min by default; no answer is a denial", DECISIONS),
        poshbot="Y bot config [30]",
        elevator="Y 8 h default, 0 = never [17]",
        accessbot="Y 30 s default [25]",
        teleport="y",
        vault="Y TTL + cap [4] [92]",
        ontap="Y `approval_expiry` [2]",
        github="Y 30 days [88]",
        sym="Y `request_expire` step [85]",
        stackstorm="P ttl is a no-op unless garbage collection is switched on [87]",
    ),
    _row(
        "second clock: approved, not run in time",
        _ours("Y", "15 min by default", LIFE),
        vault="p wrapping-token TTL",
        ontap="Y `execution_expiry` [1] [2]",
        atlantis="p",
    ),
    _row(
        "veto, deny, withdraw",
        _ours("Y", "any approver rejects and says why; whoever asked withdraws", JOURNEYS),
        poshbot="P deny by the group [32]",
        elevator="P deny renamed discard, open to all [19]",
        accessbot="Y deny [25]",
        teleport="Y deny [13]",
        ontap="Y `vetoed` state [1]",
        github="Y reject [88]",
        sym="Y deny by safelist or requester [84]",
    ),
    _row(
        "bound to the exact payload",
        _ours(
            "Y",
            "the plan's SHA-256 in each vote; by job that is the statuses and the most devices, not which",
            DECISIONS,
        ),
        poshbot="p parsed command object kept in memory [31]",
        teleport="y role/resource set",
        vault="Y copy of the original request runs at unwrap [5]",
        ontap="P operation + query [1]",
        atlantis="Y since mid-2026: plan hash + head/base [41]; bug before [40] [42]",
        github="y commit",
    ),
    _row(
        "the approver is shown what will run",
        _ours("Y", "counts by status, the most devices, the operation, the plan's digest", JOURNEYS),
        amazon_q="P alias text with variables [36]",
        poshbot="P id only; what-if asked for [33]",
        elevator="y",
        accessbot="y",
        teleport="y",
        vault="P OpenBao returned no request data until mid-2026 [6]",
        ontap="Y operation, query, comment [3]",
        atlantis="Y the plan [101]",
        github="p",
        sym="Y form fields [84]",
    ),
    _row(
        "a reason can be required",
        _ours("P", "always to reject and to break the glass; an order's own is optional", DECISIONS),
        elevator="P reason field in the form [17]",
        accessbot="Y `SDM_REQUIRED_FLAGS` [25]",
        teleport="y",
        ontap="P optional comment [3]",
        atlantis="p",
        github="P optional comment [88]",
        sym="Y `required = true` field [84]",
        stackstorm="P JSON schema on the answer [87]",
    ),
    _row(
        "asks again, or somebody else",
        _ours("Y", "after 5 min or a sixth of the time, then after pauses that double; nobody else", ENGINE),
        elevator="Y 15 min, back-off doubles it [17]",
        teleport="P other plugins (PagerDuty …) [7]",
        vault="N approvers get no notice [5]",
        ontap="P e-mail to the group [3]",
        sym="Y `request_forward` [85]",
    ),
    _row(
        "break-glass",
        _ours("Y", "for whoever is listed and says why; nobody is by default", JOURNEYS),
        elevator="asked [22]",
        accessbot="P auto-approve with a use cap per interval [25]",
        teleport="P users build bot approvers [11]",
        github="Y admin bypass, can be disabled [88] [94]",
    ),
    _row(
        "early stop or revocation",
        _ours("Y", "by any requester or approver; what the cloud took stays cancelled", STOP),
        elevator="asked [21]",
        teleport="y",
        sym="Y `deescalate` [85]",
    ),
    _row(
        "what waits survives a restart",
        _ours("Y", "", ENGINE),
        poshbot="p likely not: kept on the bot object [31]",
        elevator="y state is in Slack + Lambda",
        accessbot="N [26]",
        teleport="y",
        vault="y",
        ontap="y",
        atlantis="y",
        github="y",
        sym="y",
        stackstorm="y",
    ),
    _row(
        "the channel sees who approved",
        _ours("Y", "on the card, which keeps it, and in the audit channel", JOURNEYS),
        poshbot="P logged [30]",
        elevator="y",
        teleport="Y thread reply, after it was asked for [9] [10]",
        vault="n",
        ontap="n",
        github="n",
        sym="y",
    ),
    _row(
        "durable audit, export",
        _ours(
            "Y",
            "a chain of digests, replayed and held against a channel; JSON lines, CSV, a folder that checks itself; not"
            " write-once storage",
            FORGERIES,
            WITNESS,
        ),
        amazon_q="P CloudTrail of the service's calls [38]",
        poshbot="P log [30]",
        elevator="Y S3 + Athena; object lock is an option, off [17]",
        teleport="Y typed events, export, `submitted_by` ≠ `reviewer` [15] [95]",
        vault="y",
        ontap="y",
        github="y",
        stackstorm="y",
    ),
)

SOURCES: Final[Mapping[str, Source]] = {
    "1": Source(
        of="ONTAP",
        title="security multi-admin-verify in its CLI",
        url="https://docs.netapp.com/us-en/ontap-cli//security-multi-admin-verify-request-show.html",
        also="https://docs.netapp.com/us-en/ontap-cli/security-multi-admin-verify-modify.html",
    ),
    "2": Source(
        of="ONTAP",
        title="errors 262312 and 262313 in its REST API 9.12.1",
        url="https://docs.netapp.com/us-en/ontap-restapi-9121/ontap/patch-security-multi-admin-verify.html",
    ),
    "3": Source(
        of="ONTAP",
        title="requests in its REST API 9.13.1",
        url="https://docs.netapp.com/us-en/ontap-restapi-9131/post-security-multi-admin-verify-requests.html",
    ),
    "4": Source(
        of="Vault",
        title="Vault's control groups",
        url="https://developer.hashicorp.com/vault/docs/enterprise/control-groups",
        also="https://developer.hashicorp.com/vault/docs/v1.6.x/enterprise/control-groups",
    ),
    "5": Source(
        of="Vault", title="OpenBao's control groups", url="https://openbao.org/docs/next/concepts/control-groups/"
    ),
    "6": Source(of="Vault", title="OpenBao's pull request 3601", url="https://github.com/openbao/openbao/pull/3601"),
    "7": Source(
        of="Teleport",
        title="Slack review in 19",
        url="https://goteleport.com/docs/ver/19.x/identity-governance/access-requests/plugins/slack-review/",
    ),
    "8": Source(of="Teleport", title="issue 52348", url="https://github.com/gravitational/teleport/issues/52348"),
    "9": Source(of="Teleport", title="issue 5141", url="https://github.com/gravitational/teleport/issues/5141"),
    "10": Source(
        of="Teleport",
        title="issue 153 of the plugins",
        url="https://github.com/gravitational/teleport-plugins/issues/153",
    ),
    "11": Source(of="Teleport", title="issue 13416", url="https://github.com/gravitational/teleport/issues/13416"),
    "12": Source(of="Teleport", title="issue 60049", url="https://github.com/gravitational/teleport/issues/60049"),
    "13": Source(
        of="Teleport",
        title="pull request 67821",
        url="https://github.com/gravitational/teleport/pull/67821",
        caveat="a thread; the reference page of roles was not read",
    ),
    "14": Source(of="Teleport", title="pull request 69386", url="https://github.com/gravitational/teleport/pull/69386"),
    "15": Source(of="Teleport", title="pull request 68221", url="https://github.com/gravitational/teleport/pull/68221"),
    "16": Source(of="Teleport", title="issue 68069", url="https://github.com/gravitational/teleport/issues/68069"),
    "17": Source(
        of="Elevator",
        title="README at 01a90a3",
        url="https://github.com/fivexl/terraform-aws-sso-elevator/blob/01a90a3/README.md",
        caveat="read in part: the first 16,000 characters, and from 48,000 on",
    ),
    "19": Source(of="Elevator", title="issue 26", url="https://github.com/fivexl/terraform-aws-sso-elevator/issues/26"),
    "21": Source(of="Elevator", title="issue 35", url="https://github.com/fivexl/terraform-aws-sso-elevator/issues/35"),
    "22": Source(
        of="Elevator", title="issue 114", url="https://github.com/fivexl/terraform-aws-sso-elevator/issues/114"
    ),
    "24": Source(
        of="Elevator", title="pull request 175", url="https://github.com/fivexl/terraform-aws-sso-elevator/pull/175"
    ),
    "25": Source(
        of="AccessBot",
        title="CONFIGURE_ACCESSBOT.md at 02da45f",
        url="https://github.com/strongdm/accessbot/blob/02da45f/docs/configure_accessbot/CONFIGURE_ACCESSBOT.md",
    ),
    "26": Source(of="AccessBot", title="issue 251", url="https://github.com/strongdm/accessbot/issues/251"),
    "27": Source(of="AccessBot", title="issue 223", url="https://github.com/strongdm/accessbot/issues/223"),
    "28": Source(of="AccessBot", title="issue 105", url="https://github.com/strongdm/accessbot/issues/105"),
    "30": Source(
        of="PoshBot", title="release notes of 0.8.0", url="https://powershellgallery.com/packages/PoshBot/0.8.0"
    ),
    "31": Source(
        of="PoshBot",
        title="Approve-PendingCommand.ps1 of 0.12.0",
        url="https://www.powershellgallery.com/packages/PoshBot/0.12.0/Content/Plugins%5CBuiltin%5CPublic%5CApprove-PendingCommand.ps1",
    ),
    "32": Source(
        of="PoshBot",
        title="Deny-PendingCommand.ps1 of 0.9.0",
        url="https://www.powershellgallery.com/packages/PoshBot/0.9.0/Content/Plugins%5CBuiltin%5CPublic%5CDeny-PendingCommand.ps1",
    ),
    "33": Source(of="PoshBot", title="issue 74", url="https://github.com/poshbotio/PoshBot/issues/74"),
    "35": Source(
        of="Amazon Q",
        title="permissions of AWS Chatbot",
        url="https://docs.aws.amazon.com/chatbot/latest/adminguide/understanding-permissions.html",
    ),
    "36": Source(
        of="Amazon Q",
        title="CustomActionDefinition of CloudFormation",
        url="https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-chatbot-customaction-customactiondefinition.html",
    ),
    "38": Source(
        of="Amazon Q",
        title="CloudTrail logs of AWS Chatbot",
        url="https://docs.aws.amazon.com/fr_fr/chatbot/latest/adminguide/logging-using-cloudtrail.html",
    ),
    "40": Source(of="Atlantis", title="issue 1508", url="https://github.com/runatlantis/atlantis/issues/1508"),
    "41": Source(of="Atlantis", title="pull request 6605", url="https://github.com/runatlantis/atlantis/pull/6605"),
    "42": Source(of="Atlantis", title="issue 2390", url="https://github.com/runatlantis/atlantis/issues/2390"),
    "50": Source(of="hawkBit", title="pull request 678", url="https://github.com/eclipse-hawkbit/hawkbit/pull/678"),
    "73a": Source(
        of="EnOS",
        title="Cancel OTA Task",
        url="https://support.enos-iot.com/docs/connection-api/en/2.2.0/cancel_ota_task",
        caveat="this one page",
    ),
    "84": Source(
        of="Sym",
        title="approval.tf and impl.py of its examples",
        url="https://github.com/symopsio/examples/blob/01a73a1b4fe3bd79334413a851351a1e65bb6fa7/basic/approvals/approval.tf",
        also="https://github.com/symopsio/examples/blob/0c84e60d486499fd8cd4cf3c526a3c9de692faea/advanced/multiple_environments/modules/sym/impl.py",
    ),
    "85": Source(
        of="Sym",
        title="sym/sdk/templates/approval.py of its SDK 0.61.0",
        url="https://pypi.org/project/sym-sdk/0.61.0/",
        caveat="the names of the steps, and no more",
    ),
    "86": Source(of="StackStorm", title="issue 2481", url="https://github.com/StackStorm/st2/issues/2481"),
    "87": Source(of="StackStorm", title="inquiries", url="https://docs.stackstorm.com/inquiries.html"),
    "88": Source(
        of="GitHub",
        title="reviewing deployments",
        url="https://docs.github.com/actions/managing-workflow-runs/reviewing-deployments",
    ),
    "89": Source(
        of="GitHub", title="community discussion 145791", url="https://github.com/orgs/community/discussions/145791"
    ),
    "90": Source(of="Vault", title="Vault's issue 19214", url="https://github.com/hashicorp/vault/issues/19214"),
    "91": Source(
        of="GitHub",
        title="EnvironmentProtectionRulesInnerAnyOf1 of openapi-github",
        url="https://docs.rs/crate/openapi-github/latest/source/docs/EnvironmentProtectionRulesInnerAnyOf1.md",
    ),
    "92": Source(
        of="Vault",
        title="config/control-group in Vault's API",
        url="https://developer.hashicorp.com/vault/api-docs/system/config-control-group",
    ),
    "94": Source(
        of="GitHub", title="community discussion 212677", url="https://github.com/orgs/community/discussions/212677"
    ),
    "95": Source(
        of="Teleport", title="audit events in 19", url="https://goteleport.com/docs/ver/19.x/reference/audit-events/"
    ),
    "101": Source(
        of="Atlantis",
        title="introduction",
        url="https://github.com/runatlantis/atlantis/blob/1d2f33a47f6deac341786f813434807fbd8bc2bc/runatlantis.io/guide/README.md",
    ),
}
"""By number; the numbers have gaps, as of what was read some was needed for other questions."""


def cells() -> Iterator[Cell]:
    """Yield every cell of the others."""
    for row in ROWS:
        yield from (row.other(system) for system in SYSTEMS)


def legend() -> str:
    """Return the columns' names with what they stand for, as one sentence."""
    return "; ".join(f"*{one.short}*: {one.name}" for one in SYSTEMS.values() if one.short != one.name)


def _tabled(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in [titles, *rows]]
    return "\n".join([lines[0], "|---" * len(titles) + "|", *lines[1:], ""])


def table() -> str:
    """Return the table of letters: the others' with the numbers of their sources, ours with the tests."""

    def ours(cell: Cell) -> str:
        named = (f"[{test.removeprefix('tests/').removesuffix('.py')}]({test})" for test in cell.tests)
        return " ".join([cell.letter, *named])

    def other(cell: Cell) -> str:
        return " ".join([cell.letter, *(f"[{source}]" for source in cell.sources)])

    return _tabled(
        ["", "ota-bot", *(system.short for system in SYSTEMS.values())],
        [[row.feature, ours(row.ours), *(other(row.other(system)) for system in SYSTEMS)] for row in ROWS],
    )


def notes() -> str:
    """Return the table of what the letters stand for, where there is more to say than the letter."""

    def said(row: Row) -> str:
        every = chain([("ota-bot", row.ours)], ((one.short, row.other(key)) for key, one in SYSTEMS.items()))
        return ". ".join(f"*{name}* **{cell.letter}** {cell.says}" for name, cell in every if cell.says)

    return _tabled(["", "what the letters stand for"], [[row.feature, f"{said(row)}."] for row in ROWS])


def sources() -> str:
    """Return the table of what was read, one line for each system."""

    def read(number: str, source: Source) -> str:
        also = f" and [this]({source.also})" if source.also else ""
        return f"[{number}] {source.title}{also}{f' ({source.caveat})' if source.caveat else ''}"

    def all_of(system: str) -> str:
        return "; ".join(read(number, source) for number, source in SOURCES.items() if source.of == system)

    columns = [one.short for one in SYSTEMS.values()]
    every = dict.fromkeys([*columns, *(source.of for source in SOURCES.values())])
    return _tabled(["", "what was read"], [[system, all_of(system)] for system in every])


def links() -> str:
    """Return the addresses that the numbers lead to, wherever they stand in the README."""
    return "".join(f"[{number}]: {source.url}\n" for number, source in SOURCES.items())


def comparison() -> Mapping[str, str]:
    """Return what must stand under each of the comparison's markers."""
    return {
        "comparison": table(),
        "comparison: notes": notes(),
        "comparison: sources": sources(),
        "comparison: links": links(),
    }
