"""What guards an account: who may do how much there. A change of it is an event, so that lowering it is seen."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bot.domain.account import Account
from bot.domain.decisions import event
from bot.domain.events import Kind, NewEvent
from bot.domain.policy import policy_in_force

Guard = dict[str, Any]
"""An account's guard as a JSON object."""


def guard(account: Account) -> Guard:
    """Return what guards an account: its approval rules, people, channels, quota and limits."""
    return {
        **policy_in_force(account),
        "channels": list(account.channels),
        "quota": account.quota,
        "qps": {name: f"{rate:g}" for name, rate in asdict(account.qps).items()},  # no floats in the ledger
        "names_per_call": account.names_per_call,
    }


def changes(actor: str, before: Mapping[str, Guard], after: Mapping[str, Guard]) -> Iterator[NewEvent]:
    """Yield an event for each account whose guard is another than before, new or gone; none at the very first start."""
    for account in sorted({*before, *after}) if before else ():
        old, new = before.get(account), after.get(account)
        if old != new:
            yield event(Kind.GUARD_CHANGED, actor, account=account, before=old, after=new)


def guard_line(account: str, before: Guard | None, after: Guard | None) -> str:
    """Say in one sentence what has changed about an account's guard."""
    if before is None or after is None:
        return f"account {account} is {'new' if before is None else 'gone'}: {_written(after or before)}"
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return f"guard of {account} changed: " + "; ".join(
        f"{name} from {_written(before.get(name))} to {_written(after.get(name))}" for name in changed
    )


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "nobody"
    return str(value)
