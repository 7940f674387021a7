"""Draws the Home tab: what waits for somebody, what runs, their latest, and their accounts. Pure.

Cancellations are drawn by the same functions as the answers to `list` and `pending`. Mentions ring nobody here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.clouds.health import Heard
from bot.domain.account import Account
from bot.domain.account import Cloud as CloudName
from bot.domain.approval import BOUNDLESS
from bot.domain.cancellation import State
from bot.domain.wording import listing, number, seconds
from bot.domain.words import COMMAND
from bot.slack.escape import code, mention, safe
from bot.slack.lists import entry
from bot.slack.message import dated, mrkdwn, plain_text, section

MOST: Final = 15
"""Cancellations shown of those that wait, and of those that run; a Home has no more than 100 blocks."""
LATEST: Final = 5
"""One's own cancellations that are shown."""
MOST_ACCOUNTS: Final = 30
MOST_NAMED: Final = 10
"""Channels, people and operations that are named of an account."""
CLOUDS: Final[Mapping[CloudName, str]] = {
    CloudName.ALIYUN: "Alibaba Cloud",
    CloudName.TUYA: "Tuya",
    CloudName.ENOS: "EnOS",
}
NOBODY: Final = (
    "Hello! You are not among the people who may order or approve cancellations here. Guests and people of other"
    " organisations never are; should you be, ask whoever runs this bot to list you."
)
UNKNOWN: Final = "Slack does not tell me just now who you are, so I show you nothing. Open this tab again in a minute."
OVER: Final = "Open this tab again to see what waits for you and what runs; what stood here was an hour old."
FREE: Final = 1.0
"""Seconds ahead up to which the next call counts as free: so wide is the slot of a slow operation."""
COARSE: Final = 5
"""Seconds to which a wait is rounded: one that is told to the second is another one each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A cancellation, and the way to its card as mrkdwn."""

    state: State
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account as one person may use it."""

    account: Account
    orders: bool
    """Whether they may order on it."""
    ran_alone: int = 0
    """What they have run alone in the account's window."""
    heard: Heard | None = None
    slots: Mapping[str, tuple[float, float]]
    """Of each operation the seconds to its next slot, and how many times wider than usual it is spaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that somebody's Home shows."""

    waiting: Sequence[Listed] = ()
    running: Sequence[Listed] = ()
    latest: Sequence[Listed] = ()
    accounts: Sequence[Standing] = ()


def home(seen: Seen) -> dict[str, Any]:
    """Draw a Home tab."""
    accounts = [section(_account(one)) for one in seen.accounts[:MOST_ACCOUNTS]]
    commands = f"{code(COMMAND)} opens the form · {code(f'{COMMAND} pending')} · {code(f'{COMMAND} help')}"
    return _view(
        *_listed("What waits for you", seen.waiting, "Nothing waits for you."),
        *_listed("What runs", seen.running, "Nothing runs."),
        *_listed("Your latest", seen.latest[:LATEST], "You have ordered nothing lately."),
        _header("Accounts"),
        *accounts,
        *_more(len(seen.accounts) - MOST_ACCOUNTS),
        {"type": "context", "elements": [mrkdwn(commands)]},
    )


def notice(text: str) -> dict[str, Any]:
    """Draw a Home tab that says one thing."""
    return _view(section(text))


def _view(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "home", "blocks": list(blocks)}


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": plain_text(text, 150)}


def _listed(title: str, shown: Sequence[Listed], none: str) -> list[dict[str, Any]]:
    entries = [section(entry(one.state, one.link)) for one in shown[:MOST]]
    return [_header(title), *(entries or [section(none)]), *_more(len(shown) - MOST)]


def _more(count: int) -> list[dict[str, Any]]:
    return [{"type": "context", "elements": [mrkdwn(f"… and {number(count)} more.")]}] if count > 0 else []


# --- an account ----------------------------------------------------------------------------------------------------


def _account(standing: Standing) -> str:
    account = standing.account
    channels = ", ".join(f"<#{channel}>" for channel in account.channels[:MOST_NAMED]) or "no channel"
    title = f"*{safe(account.name, 100)}* · {CLOUDS[account.cloud]} · in {channels}"
    return "\n".join((title, _allowance(standing), _cloud(standing.heard), _quota(standing.slots)))


def _allowance(standing: Standing) -> str:
    """Say how much somebody may run alone, how much of that is used, and who approves the rest."""
    approval = standing.account.approval
    whom = ", ".join(mention(name) for name in standing.account.approvers[:MOST_NAMED]) or "nobody"
    people = "1 approval" if approval.people == 1 else f"{number(approval.people)} approvals"
    always = f"; {safe(listing(approval.always), 200)} always" if approval.always else ""
    rest = f"More needs {people} of {whom}{always}."
    if not standing.orders:
        more = f"more than {number(approval.above)} devices need"
        return f"You may approve here, and not order: {more} {people} of {whom}{always}."
    within = seconds(int(approval.window.total_seconds()))
    used = "an unknown number" if standing.ran_alone >= BOUNDLESS else number(standing.ran_alone)
    return f"You may cancel up to {number(approval.above)} devices alone within {within}, and have used {used}. {rest}"


def _cloud(heard: Heard | None) -> str:
    if heard is None:
        return "Cloud: not asked yet since my start."
    answered = f"answered last {dated(heard.answered)}" if heard.answered else "not answered since my start"
    if heard.well:
        return f"Cloud: {answered}."
    silent = f" {dated(heard.silent)}" if heard.silent else ""
    return f"Cloud: *no answer*{silent} ({safe(heard.why, 200)}); {answered}."


def _quota(slots: Mapping[str, tuple[float, float]]) -> str:
    """Say how far ahead an account's calls are reserved, and what its cloud has throttled."""
    taken = {operation: ahead for operation, (ahead, _slow) in slots.items() if ahead > FREE}
    reserved = [f"{safe(one, 100)} about {_coarse(ahead)} ahead" for one, ahead in sorted(taken.items())[:MOST_NAMED]]
    slowed = [one for one, (_ahead, slow) in sorted(slots.items()) if slow > 1]
    slow = [f"{safe(one, 100)} {slots[one][1]:.1f} times wider" for one in slowed[:MOST_NAMED]]
    throttled = f" *Throttled*, so its calls are spaced: {'; '.join(slow)}." if slow else ""
    return f"Quota: {'reserved, ' + '; '.join(reserved) if reserved else 'free'}.{throttled}"


def _coarse(ahead: float) -> str:
    return seconds(max(COARSE, round(ahead / COARSE) * COARSE))
