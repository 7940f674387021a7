"""Who may order, and whether a second person is needed. No rule matched is a denial."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from bot.domain.account import Account, Approval
from bot.domain.errors import UsageError
from bot.domain.events import stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who an actor is, as the directory says; the defaults are those of a full member of the bot's own workspace."""

    id: str
    team: str = ""
    ours: bool = True
    """Belongs to the bot's workspace or organisation."""
    guest: bool = False
    bot: bool = False
    deactivated: bool = False
    stranger: bool = False
    """A Slack Connect user from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an order was typed, as the directory says."""

    id: str
    external: bool = False
    """Shared with another organisation (Slack's `is_ext_shared`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the directory saw of an actor at one moment."""

    person: Person
    groups: frozenset[str] = frozenset()
    """Of the groups that the account names, those the person is in."""
    place: Place | None = None
    """The channel of the order; `None` for one from a terminal."""
    at: datetime

    @property
    def evidence(self) -> dict[str, Any]:
        """Return what a decision rests on, for the ledger."""
        person = self.person
        flags = [name for name in ("guest", "bot", "deactivated", "stranger") if getattr(person, name)]
        groups = sorted(self.groups)
        return {"person": person.id, "groups": groups, "team": person.team, "flags": flags, "at": stamp(self.at)}


class Role(StrEnum):
    """What somebody is about to do, and so which list must name them."""

    REQUEST = "request"
    APPROVE = "approve"
    STOP = "stop"
    """Any requester or approver of the account may stop a run."""


def fault(sight: Sight, account: Account, role: Role) -> str | None:
    """Return why this person may not do this here, or `None`. The person comes first: strangers learn nothing else."""
    return personal_fault(sight.person) or _place_fault(sight.place, account) or _listing_fault(sight, account, role)


def personal_fault(person: Person) -> str | None:
    """Return why this person may do nothing at all here, or `None`."""
    faults = (
        (person.deactivated, "deactivated accounts may not cancel anything"),
        (person.bot, "bots may not cancel anything"),
        (person.stranger or not person.ours, "people of other organisations (Slack Connect) may not cancel anything"),
        (person.guest, "guests of this workspace may not cancel anything"),
    )
    return next((reason for at_fault, reason in faults if at_fault), None)


def _place_fault(place: Place | None, account: Account) -> str | None:
    if place is None:
        return None
    if place.id not in account.channels:
        return f"account {account.name} may not be used in this channel"
    if place.external:
        return "this channel is shared with another organisation"
    return None


def _listing_fault(sight: Sight, account: Account, role: Role) -> str | None:
    who, listed = {
        Role.REQUEST: ("requesters", account.requesters),
        Role.APPROVE: ("approvers", account.approvers),
        Role.STOP: ("requesters or approvers", account.requesters + account.approvers),
    }[role]
    if sight.person.id in listed or sight.groups & {*listed}:
        return None
    return f"not among the {who} of account {account.name}"


def choose_account(accounts: Mapping[str, Account], name: str | None, channel: str | None) -> Account:
    """Choose the account an order is for: the named one, else this channel's default, else the only possible one.

    Raises UsageError when that leaves none or several.
    """
    if name is not None:
        alike = [account for account in accounts.values() if account.name.lower() == name.lower()]
        exact = [account for account in alike if account.name == name]
        if len(exact or alike) == 1:
            return (exact or alike)[0]
        # Of other channels' accounts nothing is said: whoever types this has not been looked up yet.
        names = [account.name for account in accounts.values() if channel is None or channel in account.channels]
        near = get_close_matches(name, names, n=1)
        nearest = f"; the nearest is {near[0]}" if near else ""
        raise UsageError(
            f"There is no account “{name}” here. There are: {', '.join(names) or 'none'}{nearest}.",
            word=name,
        )
    everywhere = list(accounts.values())
    here = [account for account in everywhere if channel in account.channels]
    possible = here or everywhere
    for candidates in ([account for account in possible if account.default], possible):
        if len(candidates) == 1:
            return candidates[0]
    raise UsageError(f"Say which account, with “on” and its name: {', '.join(account.name for account in possible)}.")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The requester alone may go on."""


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """Other people have to agree first; `reasons` say why, for a person."""

    people: int
    reasons: tuple[str, ...]
    always: tuple[str, ...] = field(default=(), compare=False)
    """Of the reasons those that hold for a word, whatever the size."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nobody may do this."""

    reason: str


Verdict = Allowed | NeedsApproval | Denied


def judge(approval: Approval, *, stakes: tuple[str, ...], at_most: int | None, ran_alone: int = 0) -> Verdict:
    """Judge a cancel by its blast radius: `at_most` devices, on top of `ran_alone` in the account's window.

    `stakes` are the status words that would be hit, and `strategy` (`Plan.stakes`).
    """
    if not stakes:
        return Denied("no status was named, so nothing can be cancelled")
    always = tuple(f"“{word}” always needs one" for word in stakes if word in approval.always)
    reasons = [*always]
    if at_most is None:
        reasons.append("the cloud does not tell how many devices it is")
    elif at_most > approval.above:
        reasons.append(f"up to {at_most:,} devices are more than {approval.above:,}")
    elif at_most + ran_alone > approval.above:
        reasons.append(
            f"up to {at_most:,} devices and the {ran_alone:,} run alone lately are more than {approval.above:,}"
        )
    return NeedsApproval(approval.people, tuple(reasons), always) if reasons else Allowed()


def alone(account: Account) -> str:
    """Say who can run how much alone on an account, on one line, and who has to approve the rest."""
    approval = account.approval
    who = ", ".join(account.requesters) or "nobody"
    where = ", ".join(account.channels) or "no channel"
    more = f"{', '.join(approval.always)} and more" if approval.always else "more"
    people = "1 approval" if approval.people == 1 else f"{approval.people} approvals"
    rest = f"{more} needs {people} of {', '.join(account.approvers) or 'nobody'}"
    return f"{account.name} ({account.cloud}, in {where}): {who} may cancel up to {approval.above:,} alone; {rest}"


def unguarded(account: Account) -> str | None:
    """Warn that nobody may break glass on an account, where that is so."""
    if account.approval.break_glass:
        return None
    return f"accounts.{account.name}: nobody may break glass when no approver answers"


def policy_in_force(account: Account) -> dict[str, Any]:
    """Return an account's approval rules, and whom they name, as the JSON object that stands beside each vote."""
    approval = account.approval
    return {
        "above": approval.above,
        "always": list(approval.always),
        "people": approval.people,
        "expires": int(approval.expires.total_seconds()),
        "run_within": int(approval.run_within.total_seconds()),
        "window": int(approval.window.total_seconds()),
        "requesters": list(account.requesters),
        "approvers": list(account.approvers),
        "break_glass": list(approval.break_glass),
    }


def rules_in(policy: Mapping[str, Any]) -> Approval:
    """Return the approval rules that a policy in force stands for, as far as they decide who has to agree."""
    return Approval(above=policy["above"], always=tuple(policy["always"]), people=policy["people"])
