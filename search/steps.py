"""The numbered path of a search, for its page: drawn from the log, so that it shows what can be proven."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from core import database
from search import methods, shards, states, trail
from search.models import RequestState, Review, ReviewState, SearchRequest
from search.review_states import said as said_of

_WITHOUT_LEAD: Final = frozenset({ReviewState.DISAGREED, ReviewState.NO_LEAD})


class Progress(StrEnum):
    DONE = "done"
    NOW = "now"
    LATER = "later"
    STOPPED = "stopped"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Step:
    """One step: `at` when it was done, `entry` its entry in the log, `sentence` what it means or waits for."""

    code: str
    name: str
    state: Progress
    at: datetime | None = None
    entry: uuid.UUID | None = None
    sentence: str = ""


def steps(request: SearchRequest) -> list[Step]:
    """The steps in order. The first one that is not done is `now`, or `stopped` where the request has ended before."""
    said = trail.entries(database.session(), request.id)
    return _paced(request, list(_facts(request, said)))


def afterwards(request: SearchRequest) -> list[Step]:
    """Review and outcome: what follows the result, as far as it has come. Says nothing of what an examiner concluded
    before both have."""
    done = request.state == RequestState.DONE
    if not done:
        later = Progress.LEFT_OUT if request.state in states.FINAL else Progress.LATER
        return [
            Step("review", "Review by two examiners", later, sentence="They compare the candidates with the photo."),
            Step("release", "Release by a supervisor", later),
            Step("outcome", "Outcome", later, sentence="What other evidence showed, and what became of the case."),
        ]
    said = trail.entries(database.session(), request.id)
    review = Review.objects.filter(request=request).first()
    return _paced(request, list(_review_facts(review.state if review else ReviewState.FIRST, said)))


def _review_facts(state: str, said: list[trail.Entry]) -> Iterable[Step]:
    decided = [entry for entry in said if entry.type == "search:review:decided"]
    concluded = _last(said, "search:review:concluded")
    waits = "Examiners compare the candidates with the photo, each without knowing what the other concluded."
    for seat, name in enumerate(("First examiner", "Second examiner"), 1):
        entry = next((one for one in decided if one.fields["seat"] == seat), None)
        if entry is None and concluded is not None:
            yield Step(f"review_{seat}", name, Progress.LEFT_OUT, sentence="There was nobody to compare.")
        else:
            yield _step(f"review_{seat}", name, entry, entry.at if entry else None, waits)
    released = _last(said, "search:lead:released", "search:lead:withheld")
    if released is None and state in _WITHOUT_LEAD:
        yield Step(
            "release", "Release", Progress.LEFT_OUT, entry=concluded.id if concluded else None, sentence=said_of(state)
        )
        yield Step("outcome", "Outcome", Progress.LEFT_OUT)
        return
    name = "Lead withheld" if state == ReviewState.WITHHELD else "Released by a supervisor"
    yield _step("release", name, released, released.at if released else None, "A supervisor releases or withholds it.")
    if state == ReviewState.WITHHELD:
        yield Step("outcome", "Outcome", Progress.LEFT_OUT)
        return
    recorded = _last(said, "search:outcome:recorded") if state == ReviewState.RECORDED else None
    yield _step(
        "outcome",
        "Outcome",
        recorded,
        recorded.at if recorded else None,
        "What other evidence showed, and what became of the case.",
    )


def _last(said: Iterable[trail.Entry], *types: str) -> trail.Entry | None:
    found = [entry for entry in said if entry.type in types]
    return found[-1] if found else None


def _step(code: str, name: str, entry: trail.Entry | None, at: datetime | None = None, sentence: str = "") -> Step:
    done = at is not None
    return Step(code, name, Progress.DONE if done else Progress.LATER, at, entry.id if entry else None, sentence)


def _facts(request: SearchRequest, said: list[trail.Entry]) -> Iterable[Step]:
    submitted = _last(said, "search:request:submitted")
    yield _step("requested", "Requested", submitted, submitted.at if submitted else None)
    held, cleared = _last(said, "search:request:held"), _last(said, "search:request:cleared")
    if held is not None:
        decided = cleared.at if cleared is not None and cleared.fields["decision"] == "cleared" else None
        yield _step("cleared", "Cleared by counsel", cleared or held, decided, "Counsel reads the request first.")
    approved = _last([e for e in said if e.fields.get("params") == request.params], "search:request:approved")
    yield _approval(request, approved)
    intent = _last(said, "search:intent:filed")
    yield _step("intent", "Intent filed", intent, intent.at if intent else None)
    yield _step("receipt", "Intent in the signed log", intent, intent.covered_at if intent else None)
    bound = _last(said, "search:probe:bound")
    yield _step("bound", "Face read and bound to the request", bound, bound.at if bound else None)
    result = _last(said, "search:result:stored")
    yield _step("searched", "Gallery searched", result, result.at if result else None, methods.of(said))
    if request.shards:
        merged = _last(said, shards.MERGED)
        yield _step(
            "result",
            f"Results of all {len(request.shards)} servers in their signed logs",
            merged,
            merged.covered_at if merged else None,
        )
    else:
        yield _step("result", "Result in the signed log", result, result.covered_at if result else None)


def _approval(request: SearchRequest, approved: trail.Entry | None) -> Step:
    name = "Approved by another person"
    if approved is not None and request.decided_at is not None:
        return _step("approved", name, approved, approved.at)
    ran_first = request.state in (
        RequestState.READY,
        RequestState.RUNNING,
        RequestState.INCOMPLETE,
        RequestState.DONE,
    )
    if ran_first and request.emergency:
        due = f" by {request.deadline_at:%d %B %Y %H:%M} UTC" if request.deadline_at else ""
        return Step("approved", name, Progress.LEFT_OUT, sentence=f"Emergency: the approval has to follow{due}.")
    if ran_first:
        return Step("approved", name, Progress.LEFT_OUT, sentence="No approval is needed for this gallery and purpose.")
    return Step("approved", name, Progress.LATER, sentence="A supervisor has been asked.")


def _paced(request: SearchRequest, found: list[Step]) -> list[Step]:
    ended = request.state in states.FINAL and request.state != RequestState.DONE
    for place, step in enumerate(found):
        if step.state is Progress.LATER:
            state = Progress.STOPPED if ended else Progress.NOW
            found[place] = replace(step, state=state, sentence=request.problem or step.sentence)
            break
    return found
