"""The tour: an order on each cloud, played by clicks against the real bot, as a transcript of what people see."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from bot.config import load
from bot.domain.wording import COMMAND
from bot.playground.cloud.calls import Arrival
from bot.playground.jobs_ready import LAMPS, METERS, TURBINES
from bot.playground.slack.local_slack import LocalSlack
from bot.playground.slack.values import Delivery, Message
from bot.playground.world import ANN, AUDIT, BEN, JOB, LEA, OPS, SECRETS, World
from bot.wiring.engine import open_ledger

PATIENCE = 20.0
"""Seconds for each scene; each takes a second or two."""
TOLD = ("Job", "job", "Cancel", "ProductKey", "FirmwareId", "DeviceName.", "deviceKeys.")
"""What the parameters begin with that are told of a call."""
MOST_NAMED = 3
"""Devices of one call that are named."""


def play(world: World) -> None:
    """Play the tour in `world`; raises TimeoutError when something did not go as it should."""
    slack = world.stage.slack
    _title("A firmware update goes wrong. The bot is connected to a local Slack and to three simulated clouds")
    _indent(world.ready)
    _counts(world, "Alibaba Cloud says of the job")
    _slip(slack)
    card = _order(slack)
    _outsider(slack, card)
    _confirm(slack, card)
    _title("What the bot sent to Alibaba Cloud: one signed call, every flag said outright")
    _calls(world.aliyun.arrivals)
    _counts(world, "Alibaba Cloud says of the job now")
    _second_person(world)
    _devices(world)
    _listed(world)
    _audit(slack)
    _verify(world.folder)


# --- Alibaba Cloud: a job's tasks, in one call --------------------------------------------------------------------


def _slip(slack: LocalSlack) -> None:
    _title("Ann is on call and mistypes a status on her phone")
    _types(slack, f"job {JOB} queud,notified because 1.4.2 bricks pumps")


def _order(slack: LocalSlack) -> Message:
    _title("She types it again")
    card = _ordered(slack, f"job {JOB} queued,notified because 1.4.2 bricks pumps")
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
    _sees(slack, "Everybody in #ota-ops, on the same card,", _confirmed(slack, card))
    replies = slack.wait_for(lambda: slack.thread(OPS, card.ts), PATIENCE)
    _sees(slack, "Ann, whose phone rings because the reply mentions her,", replies[-1])


# --- a large batch, and the second person --------------------------------------------------------------------------


def _second_person(world: World) -> None:
    slack = world.stage.slack
    _title("18,000 meters wait for another bad image: more than Ann may cancel alone")
    card = _ordered(slack, f"job {METERS.job} queued,notified because 5.2.0 drains batteries")
    _sees(slack, "Everybody in #ota-ops", card)
    _title("She confirms, and the approvers are asked")
    before = len(slack.dms(LEA))
    slack.press(ANN, card, "confirm")
    waiting = slack.wait_for(lambda: _now(slack, card, "Waiting for approval"), PATIENCE)
    _sees(slack, "Everybody in #ota-ops, on the same card,", waiting)
    called = slack.wait_for(lambda: slack.dms(LEA)[before:], PATIENCE)
    _sees(slack, "Lea, whose phone rings,", called[0])
    _title("Ann may not give that approval herself")
    refused = len(slack.ephemerals(ANN))
    slack.press(ANN, card, "approve")
    _sees(slack, "Ann alone", slack.wait_for(lambda: slack.ephemerals(ANN)[refused:], PATIENCE)[0])
    _title("Lea approves exactly this plan, and it runs")
    slack.press(LEA, card, "approve")
    _sees(slack, "Everybody in #ota-ops", slack.wait_for(lambda: _now(slack, card, "Done"), PATIENCE))


# --- Tuya: devices by their names; EnOS: a job's tasks, which the bot lists --------------------------------------


def _devices(world: World) -> None:
    slack, fleet = world.stage.slack, world.tuya.fleet
    names = [*fleet.devices(LAMPS.job, "QUEUED")[:1], *fleet.devices(LAMPS.job, "NOTIFIED")[:1]]
    _title("On Tuya two lamps flicker; Ann names them")
    card = _ordered(slack, f"devices {','.join(names)} job {LAMPS.job} on lamps because they flicker")
    _sees(slack, "Everybody in #ota-ops", card)
    _title("She presses the red button, and Tuya gets one call with two names")
    _calls(world.tuya.arrivals, _confirmed(slack, card))


def _listed(world: World) -> None:
    _title("EnOS cancels by device alone, so of a job the bot lists the tasks that wait")
    card = _ordered(world.stage.slack, f"job {TURBINES.job} queued,notified on wind because 4.1.0 stalls turbines")
    listed = [one for one in world.enos.arrivals if " in (" in one.params.get("expression", "")]
    _indent(f"searchTask {listed[0].params['expression']}")
    _sees(world.stage.slack, "Everybody in #ota-ops", card)
    _title("Confirmed, they are looked at once more and cancelled by their keys")
    _calls(world.enos.arrivals, _confirmed(world.stage.slack, card))


# --- the record ---------------------------------------------------------------------------------------------------


def _audit(slack: LocalSlack) -> None:
    _title("The audit channel has a line for each decision, with the event's id and digest")
    slack.wait_for(lambda: any("#4 done:" in line.text for line in slack.messages(AUDIT)), PATIENCE)
    for line in slack.messages(AUDIT):
        _indent(slack.plain(line))


def _verify(folder: Path) -> None:
    _title("An auditor recomputes the ledger")
    ledger = open_ledger(load(folder / "ota-bot.toml", SECRETS, needs=frozenset()), readonly=True)
    found = ledger.verify()
    ledger.close()
    _indent(f"The chain holds: {found.events} events, head {found.head}.")


# --- what people do and see ---------------------------------------------------------------------------------------


def _types(slack: LocalSlack, text: str) -> None:
    delivery: Delivery = slack.command(ANN, OPS, text)
    _indent(f"{COMMAND} {text}")
    _indent(f"Ann alone sees, after {round((delivery.acked_in or 0) * 1000)} ms:\n{delivery.shown}")


def _ordered(slack: LocalSlack, text: str) -> Message:
    """Type an order and return its card."""
    before = len(slack.messages(OPS))
    _types(slack, text)
    return slack.wait_for(lambda: slack.messages(OPS)[before:], PATIENCE)[0]


def _confirmed(slack: LocalSlack, card: Message) -> Message:
    """Press the red button and return the card once all is done."""
    slack.press(ANN, card, "confirm")
    done = slack.wait_for(lambda: _now(slack, card, "Done"), PATIENCE)
    return done or card


def _now(slack: LocalSlack, card: Message, state: str) -> Message | None:
    latest = slack.message(card.channel, card.ts)
    return latest if latest is not None and latest.text.startswith(state) else None


def _calls(arrivals: Iterable[Arrival], done: Message | None = None) -> None:
    """Tell of the calls that cancelled what they said, and of the card what came of them."""
    for arrival in arrivals:
        if arrival.action.lower().startswith("cancel"):
            said = {name: value for name, value in arrival.params.items() if name.startswith(TOLD)}
            names = [value for name, value in said.items() if "." in name]
            more = f", … {names[-1]} ({len(names)})" if len(names) > MOST_NAMED else ""
            named = {"devices": f"{', '.join(names[:MOST_NAMED])}{more}"} if names else {}
            flags = {name: value for name, value in sorted(said.items()) if "." not in name}
            _indent(arrival.action + "".join(f"\n  {name}={value}" for name, value in {**flags, **named}.items()))
    if done is not None:
        _indent(done.text)


def _counts(world: World, lead: str) -> None:
    counts = world.aliyun.fleet.counts(JOB)
    _indent(f"{lead}: " + ", ".join(f"{counts[status]} {status}" for status in counts))


def _sees(slack: LocalSlack, who: str, message: Message | None) -> None:
    if message is not None:
        _indent(f"{who} sees:\n{slack.plain(message)}")


def _title(text: str) -> None:
    print(f"\n== {text} ==", flush=True)


def _indent(text: str) -> None:
    print(textwrap.indent(text, "   "), flush=True)
