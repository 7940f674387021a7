"""The tour: the main job, played by real people's clicks against the real bot, as a transcript of what they see."""

import textwrap
from pathlib import Path

from bot.config import load
from bot.domain.wording import COMMAND
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, AUDIT, BEN, JOB, OPS, SECRETS, World
from bot.wiring import open_ledger

PATIENCE = 20.0
"""Seconds for each scene; each takes a second or two."""


def play(world: World) -> None:
    """Play the tour in `world`; raises TimeoutError when something did not go as it should."""
    _title("A firmware update goes wrong. The bot is connected to a local Slack and a simulated cloud")
    _indent(world.ready)
    _counts(world, "The cloud says of the job")
    _slip(world.stage.slack)
    card = _order(world.stage.slack)
    _outsider(world.stage.slack, card)
    _confirm(world.stage.slack, card)
    _call(world)
    _counts(world, "The cloud says of the job now")
    _audit(world.stage.slack)
    _verify(world.folder)


def _slip(slack: LocalSlack) -> None:
    _title("Ann is on call and mistypes a status on her phone")
    _types(slack, f"job {JOB} queud,notified because 1.4.2 bricks pumps")


def _order(slack: LocalSlack) -> Message:
    _title("She types it again")
    _types(slack, f"job {JOB} queued,notified because 1.4.2 bricks pumps")
    card = slack.wait_for(lambda: slack.messages(OPS), PATIENCE)[0]
    _sees(slack, "Everybody in #ota-ops", card)
    return card


def _outsider(slack: LocalSlack, card: Message) -> None:
    _title("Ben, who is not on call, presses the red button")
    before = len(slack.ephemerals(BEN))
    slack.press(BEN, card, "confirm")
    refusals = slack.wait_for(lambda: slack.ephemerals(BEN)[before:], PATIENCE)
    _sees(slack, "Ben alone", refusals[0])


def _confirm(slack: LocalSlack, card: Message) -> None:
    button = next(button for button in card.buttons if button.action_id == "confirm")
    _title(f"Ann presses “{button.label}”, and Slack asks her once more")
    if button.confirm:
        _indent("\n".join(str(button.confirm[part]["text"]) for part in ("title", "text", "confirm")))
    slack.press(ANN, card, "confirm")
    done = slack.wait_for(lambda: _now(slack, card, "Done"), PATIENCE)
    _sees(slack, "Everybody in #ota-ops, on the same card,", done)
    replies = slack.wait_for(lambda: slack.thread(OPS, card.ts), PATIENCE)
    _sees(slack, "Ann, whose phone rings because the reply mentions her,", replies[-1])


def _call(world: World) -> None:
    _title("What the bot sent to the cloud: one signed call, every flag said outright")
    for arrival in world.stage.cloud.arrivals:
        if arrival.action.startswith("Cancel"):
            flags = {name: value for name, value in arrival.params.items() if name.startswith(("Job", "Cancel"))}
            _indent(arrival.action + "".join(f"\n  {name}={value}" for name, value in sorted(flags.items())))


def _audit(slack: LocalSlack) -> None:
    _title("The audit channel has a line for each decision, with the event's id and digest")
    slack.wait_for(lambda: any("done:" in line.text for line in slack.messages(AUDIT)), PATIENCE)
    for line in slack.messages(AUDIT):
        _indent(slack.plain(line))


def _verify(folder: Path) -> None:
    _title("An auditor recomputes the ledger")
    ledger = open_ledger(load(folder / "ota-bot.toml", SECRETS, needs=frozenset()), readonly=True)
    found = ledger.verify()
    ledger.close()
    _indent(f"The chain holds: {found.events} events, head {found.head}.")


def _types(slack: LocalSlack, text: str) -> None:
    delivery: Delivery = slack.command(ANN, OPS, text)
    _indent(f"{COMMAND} {text}")
    _indent(f"Ann alone sees, after {round((delivery.acked_in or 0) * 1000)} ms:\n{delivery.shown}")


def _now(slack: LocalSlack, card: Message, state: str) -> Message | None:
    latest = slack.message(card.channel, card.ts)
    return latest if latest is not None and latest.text.startswith(state) else None


def _counts(world: World, lead: str) -> None:
    counts = world.stage.cloud.fleet.counts(JOB)
    _indent(f"{lead}: " + ", ".join(f"{counts[status]} {status}" for status in counts))


def _sees(slack: LocalSlack, who: str, message: Message | None) -> None:
    if message is not None:
        _indent(f"{who} sees:\n{slack.plain(message)}")


def _title(text: str) -> None:
    print(f"\n== {text} ==", flush=True)


def _indent(text: str) -> None:
    print(textwrap.indent(text, "   "), flush=True)
