"""Lists of devices as files: which event brings one, and that no spreadsheet runs what is in it."""

import csv
import re
from functools import partial
from io import StringIO
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import decisions, running
from bot.domain.call import Answer, Outcome
from bot.domain.cancellation import Phase
from bot.domain.decisions import Decision
from bot.domain.events import BOT, Event
from bot.domain.leftover import Leftover
from bot.domain.order import CancelDevices, listed
from bot.domain.plan import Job, Preview, freeze
from bot.domain.policy import Allowed
from bot.domain.reading import Named, Reading
from bot.domain.status import Status
from bot.playground.slack.block_kit import problems
from bot.slack.card import card
from bot.slack.message import Message
from bot.slack.sheets import COLUMNS, FEW, Sheet, beside, unattached, written
from tests.builders import (
    ACCOUNT,
    COUNTS,
    NOW,
    Life,
    account,
    confirm,
    finish,
    record,
    requested,
    send,
    send_rest,
    verify,
)
from tests.builders import EVIDENCE as SEEN

GONE: Final = Answer(outcome=Outcome.FAILED, code="iot.ota.Nope", message="=no, never")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class Listed:
    """A cancellation of named devices, some of which are not there."""

    def __init__(self, there: int, absent: int, *, per_call: int = 200) -> None:
        self.present = tuple(f"d{n:05}" for n in range(there))
        self.absent = tuple(f"x{n:05}" for n in range(absent))
        everything = (*self.present, *self.absent)
        self.lists = {listed(self.present).sha256: self.present, listed(everything).sha256: everything}
        order = CancelDevices(names=everything, job="J1", reason="it bricks")
        on = account(names_per_call=per_call)
        named = Named(counts={Status.QUEUED: there}, absent=absent)
        reading = Reading(at=NOW, counts=COUNTS, canceled=0, named=named)
        shown = Preview(job=Job(id="J1", product="P1", firmware="F1"), reading=reading)
        plan = freeze(order, shown, on, {"J1": self.present})
        self.shown, self.on = shown, on
        opening = decisions.requested("U0ANN", order, ACCOUNT, channel="C0OPS", via="slack")
        self.life = Life(opening=opening).after(
            lambda state, now: decisions.show_preview(
                state, now, preview=shown, plan=plan, estimate=1, verdict=Allowed(), account=on, evidence=SEEN
            )
        )

    def ran(self, *made: Decision) -> "Listed":
        """Confirm and start on what was seen, and make further decisions."""
        begun = partial(running.start, reading=self.shown.reading, account=self.on, evidence=SEEN)
        self.life.after(confirm(), begun, *made)
        return self

    def names(self, sha256: str | None) -> tuple[str, ...]:
        """Return a list, as the ledger does."""
        return self.lists[sha256] if sha256 else ()

    def told(self, kind: str) -> Sheet | Message | None:
        """Return what the latest event of a kind adds to the thread."""
        event = next(event for event in reversed(self.life.events) if event.kind == kind)
        return beside(event, self.life.state, self.names, lambda: self.life.events)


def rows(sheet: Any) -> list[list[str]]:
    """Read a file as a spreadsheet does."""
    assert isinstance(sheet, Sheet)
    return list(csv.reader(StringIO(sheet.content.decode(), newline="")))


def failed(there: int = 3, absent: int = 1) -> Listed:
    """Run calls of two devices, of which the first is taken and the second is not."""
    made = Listed(there, absent, per_call=2)
    return made.ran(send(1, count=2), record(call=1), send(2, count=1), record(GONE, 2), finish())


def test_what_was_not_cancelled_is_listed() -> None:
    """Each device that no taken call had in it stands in the file, with its call and the cloud's words."""
    sheet = failed().told("finished")

    assert [
        list(COLUMNS),
        ["d00002", "J1", "failed", "2", "iot.ota.Nope", "'=no, never"],
        ["x00000", "J1", "had nothing that could be cancelled", "", "", ""],
    ] == rows(sheet)
    assert isinstance(sheet, Sheet)
    assert ("not-cancelled-1.csv", "2 devices were not cancelled; the file says why of each.") == (
        sheet.name,
        sheet.comment,
    )


def test_nothing_is_attached_where_all_were_taken() -> None:
    """A run that left nobody out brings no file."""
    made = Listed(2, 0).ran(send(count=2), record(), finish())

    assert None is made.told("finished")


def test_few_that_are_left_out_are_named() -> None:
    """Up to ten names that the plan leaves out stand in the thread."""
    told = Listed(2, 2).told("previewed")

    assert isinstance(told, Message)
    assert "Left out, as there is nothing to cancel for them: `x00000`, `x00001`." == told.text


def test_many_that_are_left_out_are_a_file() -> None:
    """More than ten that the plan leaves out are a file, and a count on the card."""
    made = Listed(2, FEW + 1)

    told = made.told("previewed")

    assert [f"x{n:05}" for n in range(FEW + 1)] == [row[0] for row in rows(told)[1:]]
    assert isinstance(told, Sheet)
    assert "11 of the devices named are left out, as there is nothing to cancel for them." == told.comment
    assert "queued 2, 11 not found" in str(card(made.life.state).blocks)


@pytest.mark.parametrize("kind", ["previewed", "confirmed"])
def test_other_events_bring_no_file(kind: str) -> None:
    """Where nobody is left out, and for every other event, there is nothing to add."""
    made = Listed(2, 0)
    made.life.after(confirm())

    assert None is made.told(kind)


def test_a_cancel_by_job_has_no_list() -> None:
    """Nobody knows the names of a cancel by job: it brings no file."""
    event = Event(
        id=9, cancellation=1, seq=9, at=NOW, actor=BOT, kind="finished", body={"v": 1, "result": "Failed"}, digest=""
    )

    assert None is beside(event, Life(opening=requested()).state, lambda _: (), tuple)


@settings(deadline=None)
@given(st.lists(st.builds(Leftover, device=st.text(), job=st.text(), why=st.text(), code=st.text(), message=st.text())))
def test_no_cell_is_a_formula(devices: list[Leftover]) -> None:
    """Whatever stands in names and messages, no cell begins as a formula does, and the rest is as it was."""
    _, *found = rows(Sheet(name="a.csv", comment="", content=written(devices)))

    assert [] == [cell for row in found for cell in row if cell.startswith(FORMULA)]
    for row, one in zip(found, devices, strict=True):
        quote = "'" if one.device.startswith(FORMULA) else ""
        assert f"{quote}{one.device}" == row[0]


def test_a_file_in_rfc_4180() -> None:
    """Lines end with CR LF, and a cell with a comma, a quote or a line end is quoted."""
    content = written([Leftover(device='a,"b', job="J1", why="x\ny")])

    assert b'device,job,why,call,code,message\r\n"a,""b",J1,"x\ny",,,\r\n' == content


def test_a_file_that_is_not_taken_is_said() -> None:
    """In the place of a file that Slack does not take stands why, whom it names, and what there is to press."""
    sheet = failed().told("finished")

    assert isinstance(sheet, Sheet)
    assert (
        "2 devices were not cancelled; the file says why of each. I could not attach it: Slack answered missing_scope."
        " I lack the scope files:write: install me anew with manifest.yml. They are `d00002`, `x00000`."
        " “Ask again” on the card orders what is left."
    ) == unattached(sheet, "missing_scope").text


def test_of_many_in_a_file_that_is_not_taken_a_few_are_named() -> None:
    """A message in the place of a long file names ten of its devices, and only what exists to be typed or pressed."""
    sheet = Listed(2, 1_200).told("previewed")

    assert isinstance(sheet, Sheet)
    assert unattached(sheet, "storage_limit_reached").text.endswith(
        "Slack answered storage_limit_reached. They are "
        + ", ".join(f"`x{n:05}`" for n in range(FEW))
        + " and 1,190 more."
    )


def test_who_moved_on_is_in_the_file() -> None:
    """A device that its call left out stands in the file, also where the cloud took the rest of the call."""
    sheet = Listed(3, 0).ran(send_rest(1, moved=1), record(), verify(), finish()).told("finished")

    assert ["d00000", "J1", "had moved on before its call was sent", "1", "", ""] == rows(sheet)[1]


@pytest.mark.parametrize("made", [Listed(3, 12), failed()], ids=["waiting", "ended"])
def test_slack_takes_the_cards(made: Listed) -> None:
    """A card of named devices keeps to Block Kit's limits and has no other state word on it."""
    drawn = card(made.life.state)
    others = [phase.value for phase in Phase if phase is not made.life.state.phase]

    assert [] == problems("message", list(drawn.blocks))
    assert [] == [word for word in others if re.search(rf"\b{word}\b", f"{drawn.blocks} {drawn.text}")]
