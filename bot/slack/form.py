"""The form: opened at once, filled with what the person may use, and taken like a typed order.

A trigger lives for 3 s, too short for asking Slack who somebody is: a view that says so is opened first. Nothing that
comes back in the form is authority: who sent it is taken from the payload and looked up like any asker.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from cachetools import TTLCache
from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.domain.account import Account
from bot.domain.decisions import refused
from bot.domain.errors import Error, LedgerError
from bot.domain.policy import Role, Sight, fault
from bot.domain.wording import COMMAND
from bot.engine.directory import UNHURRIED
from bot.engine.keeper import Halt, Keeper
from bot.engine.rooms import HOUR, Rooms, remember
from bot.slack.answers import Answers
from bot.slack.form_fields import MisfilledError, Operation, filled, order_of
from bot.slack.form_views import Choice, Usable, form, instead, loading
from bot.slack.message import notice, said
from bot.slack.orders import Answered, Asked, Orders
from bot.slack.people import text_at

GONE: Final = frozenset({"not_found", "hash_conflict", "view_not_found"})
"""Slack's words for a view that was closed, or has changed meanwhile: nobody waits for this one any more."""
RESTARTING: Final = "I am being restarted. Nothing was done; try again in a minute."

log = structlog.get_logger()


class Form:
    """Opens the form, redraws it as it is filled in, and takes what is sent."""

    def __init__(
        self, rooms: Rooms, client: WebClient, *, orders: Orders, keeper: Keeper, answers: Answers, halt: Halt
    ) -> None:
        self._rooms = rooms
        self._client = client
        self._orders = orders
        self._keeper = keeper
        self._answers = answers
        self._halt = halt
        self._late: TTLCache[str, int] = TTLCache(10_000, HOUR.total_seconds())
        self._lock = threading.Lock()

    # --- opening -------------------------------------------------------------------------------------------------

    def shortcut(self, ack: Ack, body: dict[str, Any]) -> None:
        """Open the form for somebody who used the shortcut: on every account they may use anywhere."""
        ack()
        user, trigger = text_at(body, "user", "id"), text_at(body, "trigger_id")
        if self._halt.closed:
            # The workers take nothing any more, and it is the person's only answer.
            self._tried(lambda: self._client.views_open(trigger_id=trigger, view=instead(RESTARTING)))
            return
        self._keeper.answer(lambda: self.open(user, "", trigger, None))

    def open(self, user: str, channel: str, trigger: str, url: str | None) -> None:
        """Open the form at once, and fill it in when it is known what the person may use in that channel, or anywhere.

        Called off the threads that acknowledge.
        """
        opened: list[Any] = []
        failed = self._tried(
            lambda: opened.append(self._client.views_open(trigger_id=trigger, view=loading(channel)).get("view"))
        )
        view = opened[0] if opened else None
        if isinstance(view, Mapping):
            self._fill(view, user, Choice(usable=(), account="", operation=Operation.JOB, channel=channel))
            return
        text = f"The form could not be opened ({failed or 'no view'}). Nothing was done; type {COMMAND} again."
        self._answers.answer(url, channel or None, user, said(text))

    def changed(self, ack: Ack, body: dict[str, Any]) -> None:
        """Redraw the form, when the account or the operation is another."""
        ack()
        view = body.get("view")
        if isinstance(view, Mapping):
            held = filled(view)
            operation = held.text("operation")
            choice = Choice(
                usable=(),
                account=held.text("account"),
                operation=Operation(operation) if operation in set(Operation) else Operation.JOB,
                channel=_channel(view),
            )
            user = text_at(body, "user", "id")
            self._keeper.answer(lambda: self._fill(view, user, choice))

    def _fill(self, view: Mapping[str, Any], user: str, choice: Choice) -> None:
        try:
            usable, refusal = self._usable(user, choice.channel)
            drawn = form(replace(choice, usable=usable)) if usable else instead(refusal)
        except Error as error:
            drawn = instead(f"{error} Nothing was done. Close this and try again.")
        except Exception:
            log.exception("form_failed", user=user)
            drawn = instead("I failed at that, and my log says why. Nothing was done. Close this and try again.")
        # The hash: what the person has chosen meanwhile is drawn by its own update, not undone by this one.
        self._tried(lambda: self._client.views_update(view_id=view.get("id"), hash=view.get("hash"), view=drawn))

    def _usable(self, user: str, channel: str) -> tuple[tuple[Usable, ...], str]:
        """Return what this person may order on, the default first; or why there is nothing, which is remembered."""
        found, faults = list[Usable](), list[tuple[str, Sight]]()
        for account in self._rooms.accounts.values():
            here = [one for one in account.channels if channel in ("", one)]
            sights = {one: self._rooms.directory.look(user, one, account, within=UNHURRIED) for one in here}
            wrong = {one: why for one in here if (why := fault(sights[one], account, Role.REQUEST)) is not None}
            faults += [(why, sights[one]) for one, why in wrong.items()]
            channels = [one for one in here if one not in wrong]
            if channels:
                found.append(Usable(account=account, channels=self._named(account, channels, channel)))
        if found or not faults:
            nowhere = f"No account may be used {'in this channel' if channel else 'in any channel'}. Nothing was done."
            return tuple(sorted(found, key=lambda one: not one.account.default)), nowhere
        reason, sight = faults[0]
        remember(self._rooms.ledger, refused(user, reason, what="form", evidence=sight.evidence))
        return (), f"Refused: {reason}. Nothing was done."

    def _named(self, account: Account, channels: list[str], typed_in: str) -> tuple[tuple[str, str], ...]:
        """Return channels with their names, where there is one to choose."""
        asked = not typed_in and len(account.channels) > 1
        return tuple((one, self._name(one) if asked else one) for one in channels)

    def _name(self, channel: str) -> str:
        try:
            found = self._client.conversations_info(channel=channel).get("channel")
        except (SlackClientError, OSError):
            return channel
        return str((found.get("name") if isinstance(found, Mapping) else None) or channel)

    def _tried(self, call: Any) -> str:
        """Call Slack; return why it did not work, or nothing. Nobody has to hear of a view that is closed already."""
        try:
            call()
        except (SlackClientError, OSError) as error:
            why = str(error.response.get("error")) if isinstance(error, SlackApiError) else type(error).__name__
            if why not in GONE:
                log.warning("view_failed", error=why)
            return why
        return ""

    # --- taking what was sent ------------------------------------------------------------------------------------

    def submitted(self, ack: Ack, body: dict[str, Any], view: dict[str, Any], context: BoltContext) -> None:
        """Take a form: what is wrong is said on its fields; else it is stored, acknowledged and then checked."""
        asked = Asked(
            user=text_at(body, "user", "id"),
            channel="",
            url=None,
            delivery=None,
            in_time=context["in_time"],
            again="send it again",
        )
        try:
            self._submitted(ack, view, asked)
        except MisfilledError as misfilled:
            self._mend(ack, view, misfilled.errors)
        except LedgerError as error:
            self._mend(ack, view, {"account": str(error)})
        except Exception:
            # Without an acknowledgement the person would see that it failed, and send it again.
            log.exception("form_failed", user=asked.user)
            text = "I failed at that, and my log says why. Look with “list” before you send it again."
            self._mend(ack, view, {"account": text})

    def _mend(self, ack: Ack, view: Mapping[str, Any], errors: Mapping[str, str]) -> None:
        """Say what is wrong on the fields; in the form's place where it has none, as one of another version."""
        shown = _by_block(view, errors)
        if shown:
            ack(response_action="errors", errors=shown)
        else:
            ack(response_action="update", view=notice(" ".join(errors.values())))

    def _submitted(self, ack: Ack, view: Mapping[str, Any], asked: Asked) -> None:
        if self._halt.closed:
            raise MisfilledError({"account": RESTARTING})
        if not asked.in_time():
            raise MisfilledError({"account": "That reached me too late. Nothing was done; send it again."})
        held = filled(view)
        account = self._rooms.accounts.get(held.text("account"))
        if account is None:
            raise MisfilledError({"account": "That account is not configured any more. Open the form again."})
        order = order_of(held)
        place = _channel(view) or held.text("channel") or next(iter(account.channels), "")
        sent = f"{view.get('id')}\n{view.get('hash')}\n{asked.user}"
        # Sent again after it was given up on, it is another delivery; for the rest one form makes one order.
        with self._lock:
            late = self._late.get(sent, 0)
        asked = replace(asked, channel=place, delivery=f"{sent}\n{late}")
        answered = self._orders.take(replace(order, account=account.name), account, asked)
        if answered.late:
            with self._lock:
                # Two deliveries of one sending may both have been late: they are one sending still.
                self._late[sent] = max(self._late.get(sent, 0), late + 1)
        if answered.fault:
            raise MisfilledError({"statuses" if held.statuses else "operation": answered.fault})
        ack(response_action="clear")
        self._keeper.answer(lambda: self._follow(answered, asked))

    def _follow(self, answered: Answered, asked: Asked) -> None:
        """Say what a command's acknowledgement says, as a form goes without a word, and only then go on."""
        self._answers.answer(None, asked.channel, asked.user, answered.message)
        if answered.then is not None:
            answered.then()


def _by_block(view: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, str]:
    """Return errors by the block that shows their field; those of fields that are not shown, on the first block."""
    listed = view.get("blocks")
    inputs = [block for block in listed if text_at(block, "type") == "input"] if isinstance(listed, list) else []
    blocks = {text_at(block, "element", "action_id"): text_at(block, "block_id") for block in inputs}
    shown: dict[str, str] = {}
    for name, error in errors.items() if blocks else ():
        block = blocks.get(name, next(iter(blocks.values())))
        shown[block] = f"{shown[block]} {error}" if block in shown else error
    return shown


def _channel(view: Mapping[str, Any]) -> str:
    """Return where the form was asked for: a hint that is looked up anew, as whatever comes from Slack."""
    try:
        found = json.loads(str(view.get("private_metadata") or "{}"))
    except ValueError:
        return ""
    channel = found.get("channel") if isinstance(found, dict) else None
    return channel if isinstance(channel, str) else ""
