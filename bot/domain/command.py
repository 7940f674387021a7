"""The words of the slash command: one table that reads them, writes them, and explains them.

Words, no flags and no quotes, because Slack turns `--` and `"` into `—` and `“`.
"""

from collections.abc import Container
from typing import Final

from bot.domain import words as w
from bot.domain.cursor import Cursor, MisfitError
from bot.domain.errors import UsageError
from bot.domain.grammar import Form, Keyword, Maybe, Nested, One, Reason, Several, read, written
from bot.domain.order import (
    AskHelp,
    AskJobs,
    AskList,
    AskPending,
    AskPreview,
    AskShow,
    CancelDevices,
    CancelJob,
    CancelStrategy,
    OpenForm,
    Order,
    RetryOne,
    StopOne,
)
from bot.domain.slips import nearest

LONGEST_HINT: Final = 1_000  # https://docs.slack.dev/reference/app-manifest, usage_hint

_JOB: Final = One("job", w.JOB)
_STATUSES: Final = Several("statuses", w.STATUS, before=("on", "because"))
_NAMES: Final = Several("names", w.DEVICE, before=("job", "product"))
_NUMBER: Final = One("id", w.NUMBER)
_ON: Final = Maybe((Keyword("on"), One("account", w.ACCOUNT)))
_TAIL: Final = (_ON, Maybe((Keyword("because"), Reason())))

CANCELS: Final = (
    Form(
        order=CancelJob,
        parts=(Keyword("job"), _JOB, _STATUSES, *_TAIL),
        summary="cancels a job's tasks in these statuses",
        example="job Jn4wOp3v queued,notified because the canary failed",
    ),
    Form(
        order=CancelJob,
        parts=(Keyword("job"), _JOB, *_TAIL),
        summary="shows a job's counts, and the line to type for each choice",
        example="job Jn4wOp3v",
    ),
    Form(
        order=CancelDevices,
        parts=(Keyword("devices"), _NAMES, Keyword("job"), _JOB, *_TAIL),
        summary="cancels these devices' tasks of a job",
        example="devices pump-1,pump-2 job Jn4wOp3v because they are in use",
    ),
    Form(
        order=CancelDevices,
        parts=(
            *(Keyword("devices"), _NAMES),
            *(Keyword("product"), One("product", w.PRODUCT)),
            *(Keyword("firmware"), One("firmware", w.FIRMWARE)),
            *_TAIL,
        ),
        summary="cancels these devices' tasks of a firmware",
        example="devices pump-1,pump-2 product a1B2c3 firmware Fw7tQ2 because it bricks them",
    ),
    Form(
        order=CancelStrategy,
        parts=(Keyword("strategy"), _JOB, Maybe((Keyword("and"), _STATUSES)), *_TAIL),
        summary="stops a dynamic batch; with statuses also its waiting tasks, strategy first",
        example="strategy Jn4wOp3v and queued because the canary failed",
    ),
)

FORMS: Final = (
    *CANCELS,
    Form(
        order=AskPreview,
        parts=(Keyword("preview"), Nested(CANCELS)),
        summary="shows what an order would hit, and changes nothing",
        example="preview job Jn4wOp3v queued",
    ),
    Form(
        order=AskJobs,
        parts=(Keyword("jobs"), _ON),
        summary="shows the running batches, newest first, with their counts",
        example="jobs on prod-cn",
    ),
    Form(order=AskList, parts=(Keyword("list"),), summary="shows the latest cancellations", example="list"),
    Form(
        order=AskPending,
        parts=(Keyword("pending"),),
        summary="shows the cancellations that wait for somebody",
        example="pending",
    ),
    Form(
        order=AskShow,
        parts=(Keyword("show"), _NUMBER),
        summary="shows a cancellation and its history",
        example="show 41",
    ),
    Form(order=StopOne, parts=(Keyword("stop"), _NUMBER), summary="stops a cancellation's run", example="stop 41"),
    Form(
        order=RetryOne,
        parts=(Keyword("retry"), _NUMBER),
        summary="orders again what a cancellation left over",
        example="retry 41",
    ),
    Form(order=AskHelp, parts=(Keyword("help"),), summary="shows these words", example="help"),
    Form(order=OpenForm, parts=(), summary="opens the form: pick, type or upload the devices", example=""),
)
"""Every way to fill the command line, in the order in which the help shows them."""


def parse(text: str) -> Order:
    """Return the order that `text` stands for.

    Raises `UsageError` for anything else: its message quotes the wrong word and says what was expected there, and its
    `nearest` is a complete command that parses.
    """
    if len(text) > w.LONGEST_TEXT:
        raise UsageError(
            f"That is {len(text):,} characters long, and {w.LONGEST_TEXT:,} is the most. "
            f"For many devices type {w.COMMAND} alone, and upload a file."
        )
    cursor = Cursor(text)
    try:
        return read(cursor, FORMS)
    except MisfitError:
        word = w.shown(cursor.wrong.text) if cursor.wrong else ""
        raise UsageError(_complaint(cursor, word), word=word, nearest=nearest(cursor, FORMS)) from None


def _complaint(cursor: Cursor, word: str) -> str:
    *others, last = cursor.expected or ("nothing more",)
    expected = f"{', '.join(others)} or {last}" if others else last
    if word:
        return f"“{word}” does not fit there: expected {expected}."
    after = w.shown(cursor.words[-1].text)
    return f"Something is missing after “{after}”: expected {expected}."


def words(order: Order) -> str:
    """Return the canonical words of `order`: `parse` makes the same order of them, if they are not too long for it."""
    return written(order, FORMS)


def usage(form: Form) -> str:
    """Return how `form` is typed, without the command's name."""
    return form.usage()


def help_text(command: str = w.COMMAND, verbs: Container[str] | None = None) -> str:
    """Return two plain lines for each form: how it is typed after `command`, and what it does.

    `verbs` limits it to the forms that begin with one of them.
    """
    told = [form for form in FORMS if verbs is None or form.verb in verbs]
    return "\n".join(f"{command} {usage(form)}".rstrip() + f"\n    {form.summary}" for form in told)


def usage_hint() -> str:
    """Return the hint that Slack shows while the command is typed."""
    verbs = dict.fromkeys(form.verb for form in FORMS if form.verb)
    first = FORMS[0]
    needed = " ".join(part.usage() for part in first.parts if not isinstance(part, Maybe))
    return " | ".join([needed, *(verb for verb in verbs if verb != first.verb)])
