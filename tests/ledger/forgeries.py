"""What somebody who may write the ledger's file may have its history say, with every digest made anew."""

from hashlib import sha256

from bot.domain.events import canonical
from tests.ledger.forger import Forger, Forgery


def nobodys_vote(forger: Forger) -> None:
    forger.of("approved")["body"]["evidence"]["groups"] = []


def anothers_vote(forger: Forger) -> None:
    forger.of("approved")["actor"] = "U0EVE"


def a_guests_vote(forger: Forger) -> None:
    forger.of("approved")["body"]["evidence"]["flags"] = ["guest"]


def own_vote(forger: Forger) -> None:
    forger.of("approved")["actor"] = "U0ANN"


def second_vote(forger: Forger) -> None:
    forger.of("confirmed")["body"]["needs"] = 2
    forger.of("approved")["body"]["needs"] = 2
    forger.copy(forger.of("approved"), after=forger.of("approved"))


def no_vote(forger: Forger) -> None:
    forger.drop(forger.of("approved"))


def nobody_needed(forger: Forger) -> None:
    forger.of("confirmed")["body"]["needs"] = 0
    forger.drop(forger.of("approved"))


def another_limit(forger: Forger) -> None:
    forger.of("approved")["body"] |= {"needs": 0}


def a_vote_for_another_plan(forger: Forger) -> None:
    forger.of("approved")["body"]["plan"] = "ab" * 32


def a_start_of_another_plan(forger: Forger) -> None:
    forger.of("started")["body"]["plan"] = "ab" * 32


def another_plan(forger: Forger) -> None:
    forger.of("previewed")["body"]["plan"]["job"] = "J2"


def another_plan_with_its_digest(forger: Forger) -> None:
    body = forger.of("previewed")["body"]
    body["plan"]["endpoint"] = "https://elsewhere"
    body["digest"] = sha256(canonical(body["plan"]).encode()).hexdigest()


def a_late_start(forger: Forger) -> None:
    forger.delay(forger.of("started"), 1)


def a_start_with_more(forger: Forger) -> None:
    body = forger.of("started")["body"]
    body["asked"] = body["reading"]["named"]["counts"]["queued"] = 451


def a_start_unseen(forger: Forger) -> None:
    del forger.of("started")["body"]["evidence"]["approvers"]["U0LEA"]


def a_call_beyond(forger: Forger) -> None:
    forger.of("call_sent", nth=3)["body"]["call"] = 99


def another_call(forger: Forger) -> None:
    forger.of("call_sent", cancellation=1)["body"]["action"] = "DeleteJob"


def more_in_a_call(forger: Forger) -> None:
    forger.of("call_sent")["body"]["count"] = 201


def done_and_sent_again(forger: Forger) -> None:
    last = forger.of("call_finished", nth=1)
    forger.copy(forger.of("call_sent", nth=1), after=last)["body"]["attempt"] = 3


def no_result(forger: Forger) -> None:
    forger.drop(forger.of("call_finished", cancellation=1))


def two_results(forger: Forger) -> None:
    first = forger.of("call_finished")
    forger.copy(first, after=first)


def sent_after_a_stop(forger: Forger) -> None:
    forger.put(forger.of("call_sent", nth=2), "stopped", "U0LEA")


def other_figures(forger: Forger) -> None:
    forger.of("finished")["body"]["accepted"] = 450


def another_end(forger: Forger) -> None:
    forger.of("finished")["body"]["result"] = "Done"


def seen_otherwise(forger: Forger) -> None:
    forger.of("verified")["body"]["confirmed"] = 450


def somebody_elses_glass(forger: Forger) -> None:
    forger.of("broke_glass", cancellation=3)["body"]["policy"]["break_glass"] = []


def somebody_elses_confirmation(forger: Forger) -> None:
    forger.of("confirmed")["actor"] = "U0EVE"


def a_bots_word(forger: Forger) -> None:
    forger.of("finished")["actor"] = "U0EVE"


def out_of_its_time(forger: Forger) -> None:
    forger.put(forger.of("verified"), "voided", reason="no")


def without_its_words(forger: Forger) -> None:
    del forger.of("confirmed")["body"]["evidence"]


def opened_twice(forger: Forger) -> None:
    forger.copy(forger.of("requested"), after=forger.of("requested"))


def a_gap(forger: Forger) -> None:
    for row in forger.rows:
        row["cancellation"] = 7 if row["cancellation"] == 3 else row["cancellation"]


def replanned(forger: Forger, **changes: object) -> None:
    """Freeze another plan into the large cancellation, and have everybody agree to that one."""
    previewed = forger.of("previewed")["body"]
    previewed["plan"] |= changes
    previewed["digest"] = sha256(canonical(previewed["plan"]).encode()).hexdigest()
    for kind in ("confirmed", "approved", "started"):
        forger.of(kind)["body"]["plan"] = previewed["digest"]


def a_plan_for_another_job(forger: Forger) -> None:
    step = forger.of("previewed")["body"]["plan"]["steps"][0]
    replanned(forger, steps=[{**step, "job": "J2"}])


def a_plan_with_another_operation(forger: Forger) -> None:
    step = forger.of("previewed")["body"]["plan"]["steps"][0]
    replanned(forger, steps=[{**step, "action": "DeleteOTAJob"}])


def a_plan_for_the_whole_job(forger: Forger) -> None:
    step = forger.of("previewed")["body"]["plan"]["steps"][0]
    replanned(forger, steps=[{**step, "names": None, "count": 0, "calls": 1}])


def a_plan_with_other_statuses(forger: Forger) -> None:
    replanned(forger, statuses=["queued"])


def a_plan_with_more_calls(forger: Forger) -> None:
    step = forger.of("previewed")["body"]["plan"]["steps"][0]
    replanned(forger, steps=[{**step, "calls": 4}])


def a_plan_for_more(forger: Forger) -> None:
    replanned(forger, at_most=4500)


def a_start_on_nobody(forger: Forger) -> None:
    forger.of("started")["body"]["evidence"]["approvers"]["U0LEA"]["groups"] = []


def a_start_of_nobody(forger: Forger) -> None:
    body = forger.of("started")["body"]
    body["evidence"]["groups"] = []
    body["policy"]["requesters"] = ["S0ONCALL"]


def evidence_of_nobody(forger: Forger) -> None:
    del forger.of("approved")["body"]["evidence"]["person"]


def a_failure_that_a_read_turned_into_success(forger: Forger) -> None:
    failed = forger.of("call_finished", nth=5)
    forger.copy(failed, after=failed)["body"] |= {"outcome": "done", "by": "read", "count": 1}


def a_result_of_something_else(forger: Forger) -> None:
    forger.of("call_finished")["body"]["action"] = "DeleteOTAJob"


def more_cancelled_than_left_out(forger: Forger) -> None:
    forger.of("call_split")["body"]["canceled"] = 1000


def less_than_nothing(forger: Forger) -> None:
    forger.of("call_sent", cancellation=1)["body"]["count"] = -1


def stopped_by_the_bot(forger: Forger) -> None:
    forger.put(forger.of("finished"), "stopped")


def started_after_a_stop(forger: Forger) -> None:
    forger.put(forger.of("started"), "stopped", "U0LEA")


def ordered_by_the_bot(forger: Forger) -> None:
    for kind in ("requested", "confirmed"):
        forger.of(kind)["actor"] = "bot"


def a_call_of_no_cancellation(forger: Forger) -> None:
    sent = forger.of("call_sent", cancellation=1)
    forger.copy(sent, after=sent)["cancellation"] = None


def ordered_again_as_nothing(forger: Forger) -> None:
    forger.put(forger.of("requested", cancellation=3), "retried", "U0ANN", **{"as": 9}) | {"cancellation": 2}
    forger.of("retried", cancellation=3)["cancellation"] = 2


def without_a_version(forger: Forger) -> None:
    del forger.of("finished")["body"]["v"]


def without_a_reason(forger: Forger) -> None:
    forger.of("broke_glass", cancellation=3)["body"]["reason"] = " "


def an_end_before_its_time(forger: Forger) -> None:
    forger.put(forger.of("approved"), "expired", waited_for="approval")


FORGERIES: dict[Forgery, tuple[str, str]] = {
    a_plan_for_another_job: ("previewed", "its plan is for other jobs than were seen"),
    a_plan_with_another_operation: ("previewed", "its plan has other operations than the order needs: DeleteOTAJob"),
    a_plan_for_the_whole_job: ("previewed", "its plan has other calls than it needs"),
    a_plan_with_other_statuses: ("previewed", "its plan hits other statuses than were ordered"),
    a_plan_with_more_calls: ("previewed", "its plan has other calls than it needs"),
    a_plan_for_more: ("previewed", "its plan hits at most 4500, and its preview says 450"),
    a_start_on_nobody: ("started", "it started on somebody who may not: it is by U0LEA, who was not entitled"),
    a_start_of_nobody: ("started", "it started on somebody who may not: it is by U0ANN, who was not entitled"),
    evidence_of_nobody: ("approved", "approved does not say of whom its evidence is"),
    a_failure_that_a_read_turned_into_success: ("call_finished", "attempt 1 of call 5 has two results"),
    a_result_of_something_else: ("call_finished", "it is the result of DeleteOTAJob, and call 1 is"),
    more_cancelled_than_left_out: ("call_split", "call 2 says that 1000 of the devices that it left out"),
    less_than_nothing: ("call_sent", "call 1 was sent with -1 devices"),
    stopped_by_the_bot: ("stopped", "the bot does not stop anything by itself"),
    started_after_a_stop: ("started", "it started after U0LEA had stopped it"),
    ordered_by_the_bot: ("requested", "bot does not order there"),
    a_call_of_no_cancellation: ("call_sent", "call_sent belongs to no cancellation"),
    ordered_again_as_nothing: ("requested", "#9 was to be opened here, as what #2 left over"),
    without_a_version: ("finished", "its body does not say of which version it is"),
    without_a_reason: ("broke_glass", "the glass was broken without a reason"),
    an_end_before_its_time: ("expired", "expired came before its deadline"),
    nobodys_vote: ("approved", "U0LEA, who was not entitled: the approvers were S0LEADS"),
    anothers_vote: ("approved", "it is by U0EVE, and its evidence is about U0LEA"),
    a_guests_vote: ("approved", "U0LEA may do nothing here: guest"),
    own_vote: ("approved", "by U0ANN, who asked for #2"),
    second_vote: ("approved", "U0LEA approved #2 twice"),
    no_vote: ("started", "started came when #2 was “Waiting for approval”"),
    nobody_needed: ("confirmed", "its rules ask for 1 approvals, and it went on with 0"),
    another_limit: ("approved", "its rules ask for 1 approvals, and it says 0"),
    a_vote_for_another_plan: ("approved", "approved is about plan abababababab, and #2 showed"),
    a_start_of_another_plan: ("started", "started is about plan abababababab, and #2 showed"),
    another_plan: ("previewed", "its plan does not have the SHA-256"),
    another_plan_with_its_digest: ("confirmed", "confirmed is about plan"),
    a_late_start: ("started", "started came after its deadline"),
    a_start_with_more: ("started", "it started with 451 devices, more than the 450 that were confirmed"),
    a_start_unseen: ("started", "without another look at U0LEA, who had approved it"),
    a_call_beyond: ("call_sent", "call 99 is not in the plan"),
    another_call: ("call_sent", "call 1 is DeleteJob, and in the plan CancelOTATaskByJob"),
    more_in_a_call: ("call_sent", "call 1 was sent with 201 devices, and its plan has 200 for it"),
    done_and_sent_again: ("call_sent", "call 1 was at its end"),
    no_result: ("finished", "it ended, and call 1 has no result"),
    two_results: ("call_finished", "attempt 1 of call 1 has two results"),
    sent_after_a_stop: ("call_sent", "call_sent came after U0LEA had stopped it"),
    other_figures: ("finished", "it says accepted 450, and its calls say"),
    another_end: ("finished", "it says “Done”, and its calls say “Partly done”"),
    seen_otherwise: ("verified", "it says confirmed 450"),
    somebody_elses_glass: ("broke_glass", "U0BOB broke the glass, and was not listed for that"),
    somebody_elses_confirmation: ("confirmed", "and only U0ANN, who asked for #2, may do that"),
    a_bots_word: ("finished", "finished is the bot's to say, and it is by U0EVE"),
    out_of_its_time: ("voided", "voided came when #2 was “Running”"),
    without_its_words: ("confirmed", "it holds what the ledger never writes"),
    opened_twice: ("requested", "#2 was opened, and the next one was #3"),
    a_gap: ("requested", "#7 was opened, and the next one was #3"),
}
"""Each forgery, with the kind of the event that is named for it, and the reason."""
