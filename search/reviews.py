"""Review: two examiners decide on the candidates of a search, each without knowing what the other concluded.

A decision is sealed, in its row and in the log, until the other one is there; then one entry says what the two amount to.
A second decision is asked for whatever the first was: a queue that knew better would tell.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.log import journal
from core import database
from core.exceptions import Invalid, NotAllowed, NotFound
from core.models import User
from core.permissions import has, signature
from core.person_roles import Permission
from search import comparison, permissions, readings, review_states, sealed, states, trail
from search.comparison import Finding
from search.exceptions import StateConflict
from search.models import CandidateReading, RequestState, Review, ReviewDecision, ReviewState, SearchRequest

_SEALED: Final = "decision"
LONGEST_NOTE: Final = 10_000
"""Characters."""


@dataclass(frozen=True)
class Decision:
    """A decision as its readers see it. `seat` is 1 or 2; `blind`: without ranks and scores."""

    seat: int
    examiner: User
    blind: bool
    decided_at: datetime
    entry: uuid.UUID
    findings: tuple[Finding, ...]
    note: str


def queue(by: User) -> QuerySet[SearchRequest]:
    """The finished searches on whose candidates this examiner may decide, oldest first."""
    if not has(by, Permission.REVIEW_CANDIDATES) or by.agency_id is None:
        return SearchRequest.objects.none()
    waits = Q(review=None) | Q(review__state__in=review_states.OPEN)
    return (
        SearchRequest.objects.filter(waits, state=RequestState.DONE, requester__agency=by.agency_id)
        .exclude(requester=by)
        .exclude(decided_by=by)
        .exclude(decisions__examiner=by)
        .exclude(disclosures__made_by=by)
        .select_related("requester", "case", "gallery", "review")
        .order_by("done_at")
    )


def state(request: SearchRequest) -> ReviewState:
    """How far the review of a finished search is."""
    found = Review.objects.filter(request=request).first()
    return ReviewState(found.state) if found else ReviewState.FIRST


def reading(by: User, request: SearchRequest, view: uuid.UUID) -> CandidateReading:
    """An own reading of the candidates of `request`. Raises NotFound."""
    found = CandidateReading.objects.select_related("request__requester", "reader").filter(view=view).first()
    if found is None or found.request_id != request.id or found.reader_id != by.id:
        raise NotFound("There is no such reading of yours. Open the candidates first.")
    return found


def decide(
    *, by: User, request: SearchRequest, view: uuid.UUID, findings: Sequence[Finding], note: str = ""
) -> ReviewDecision:
    """Records what an examiner concludes about every candidate of their reading `view`; for an empty list, that it is empty.

    Raises NotAllowed (one's own search, approved or disclosed by oneself, training expired), NotFound (no such reading of theirs),
    Invalid (field by field), StateConflict (decided before, or two others have).
    """
    _check_may(by, request)
    read = reading(by, request, view)
    shown = readings.again(by=by, reading=read)  # not from an earlier sitting
    listed = [template for template, _ in readings.shown(read)["candidates"]]
    unseen = [str(row.template) for row in shown.candidates if not row.can_be_seen]
    wrong = comparison.problems(findings, listed, note, unseen)
    if len(note) > LONGEST_NOTE:
        wrong["note"] = [f"The note has at most {LONGEST_NOTE:,} characters."]
    if wrong:
        raise Invalid("The decision is not complete: see the candidates.", wrong)
    with transaction.atomic():
        # The request's row is locked before anything is read: of two tabs, the second finds what the first did.
        request = SearchRequest.objects.select_for_update(of=("self",)).select_related("requester").get(pk=request.pk)
        _check_may(by, request)
        review, _ = Review.objects.get_or_create(request=request)
        if request.decisions.filter(examiner=by).exists():
            raise StateConflict("You have decided on these candidates already. A decision is not changed afterwards.")
        if review.state not in review_states.OPEN:
            raise StateConflict(review_states.said(review.state))
        made = _record(by, request, read, findings, note)
        _go_on(by, review, request, len(listed))
    return made


def decisions(by: User, request: SearchRequest) -> list[Decision]:
    """The decisions that a person may read: both once the review is over, before that their own alone.

    Raises NotAllowed, NotFound after erasure.
    """
    permissions.check_can_see_decisions(by, request)
    found = request.decisions.select_related("examiner", "reading", "request").order_by("seat")
    if state(request) in review_states.OPEN:
        found = found.filter(examiner=by)
    return [read(one) for one in found]


def read(decision: ReviewDecision) -> Decision:
    """Opens a decision. Whoever shows it has asked who may. Raises NotFound after erasure."""
    values = sealed.unseal(decision.request, _SEALED, decision.sealed)
    return Decision(
        decision.seat,
        decision.examiner,
        decision.reading.blind,
        decision.decided_at,
        decision.entry,
        tuple(Finding.of(one) for one in values["findings"]),
        values["note"],
    )


def agreed(request: SearchRequest) -> set[str]:
    """The templates that both examiners support; empty before both have decided."""
    both = [read(one).findings for one in request.decisions.select_related("examiner", "reading", "request")]
    return comparison.agreed(*both) if len(both) == 2 else set()


def _check_may(by: User, request: SearchRequest) -> None:
    permissions.check_can_review(by, request)
    if by.training_until is None or by.training_until < timezone.localdate():
        raise NotAllowed("Your training is not current. Ask your administrator to record it, then decide.")
    if by.id in trail.approvers(database.session(), request.id, request.params):
        raise NotAllowed("You approved this search: another examiner has to decide on it.")
    if request.state != RequestState.DONE:
        raise StateConflict(
            "The result is not there yet." if request.state not in states.FINAL else states.said(request.state)
        )


def _record(
    by: User, request: SearchRequest, read: CandidateReading, findings: Sequence[Finding], note: str
) -> ReviewDecision:
    seat = request.decisions.count() + 1
    said = [asdict(one) for one in findings]
    entry = journal.record(
        "search:review:decided",
        vault_record=request.id,
        values={"findings": said, "note": note.strip() or None},
        request=request.id,
        view=read.view,
        seat=seat,
        blind=read.blind,
        **signature(by, Permission.REVIEW_CANDIDATES),
    )
    return ReviewDecision.objects.create(
        request=request,
        seat=seat,
        examiner=by,
        requester_id=request.requester_id,
        approver_id=request.decided_by_id,
        reading=read,
        sealed=sealed.seal(request, _SEALED, {"findings": said, "note": note.strip()}),
        entry=entry,
        decided_at=timezone.now(),
    )


def _go_on(by: User, review: Review, request: SearchRequest, candidates: int) -> None:
    both = list(request.decisions.select_related("examiner", "reading", "request").order_by("seat"))
    if candidates == 0:
        # Nobody to compare: the signed result says so, and a second pair of eyes has nothing to add.
        review_states.move(review, ReviewState.NO_LEAD)
    elif len(both) == 1:
        review_states.move(review, ReviewState.SECOND)
    else:
        review_states.move(review, comparison.together(*(read(one).findings for one in both)))
    review.save()
    if review.state not in review_states.OPEN:
        journal.record(
            "search:review:concluded",
            request=request.id,
            outcome=ReviewState(review.state).value,
            examiners=[one.examiner_id for one in both],
            candidates=candidates,
            agreed=len(agreed(request)),
            **signature(by, Permission.REVIEW_CANDIDATES),
        )
