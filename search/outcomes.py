"""Outcomes: what became of a lead, as far as evidence independent of the search shows, and what became of the case.

A record is never changed; a correction is the next one, and the last one holds. A charge sets a legal hold on the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.fairness.operational import LeadTruth
from audit.log import journal
from core.exceptions import Invalid, NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import law, leads, legal_holds, outcome_rules, permissions, review_states, sealed, shards
from search.exceptions import gate_sentences
from search.law_pack import DisclosureRule
from search.models import Lead, LeadOutcome, Review, ReviewState, SearchRequest
from search.obligations import disclosures_due
from search.outcome_rules import OutcomeFields
from search.vocabulary import HOLDING

OVERDUE: Final = timedelta(days=30)
"""After so long without a record, a lead is shown as overdue."""
_SEALED: Final = "outcome"


@dataclass(frozen=True)
class Recorded:
    """One record with its note. `fields` is what was typed."""

    row: LeadOutcome
    fields: OutcomeFields


def record(*, by: User, lead: Lead, fields: OutcomeFields) -> LeadOutcome:
    """Adds a record. Raises NotAllowed, Invalid (field by field), NotFound after erasure; Unavailable where
    a server cannot be told of the legal hold: nothing is recorded then."""
    permissions.check_can_record_outcome(by, lead.request)
    today = timezone.localdate()
    wrong = outcome_rules.problems(fields, released_on=timezone.localdate(lead.released_at), today=today)
    if wrong:
        raise Invalid("The outcome is not complete: see the fields.", wrong)
    with transaction.atomic(), gate_sentences():
        request = (
            SearchRequest.objects.select_for_update(of=("self",)).select_related("requester").get(pk=lead.request_id)
        )
        number = lead.outcomes.count() + 1
        role = Permission.RELEASE_LEADS if lead.requester_id != by.id else Permission.REQUEST_SEARCHES
        entry = journal.record(
            "search:outcome:recorded",
            vault_record=request.id,
            values={"note": fields.note.strip() or None},
            request=request.id,
            lead=lead.id,
            number=number,
            truth=fields.truth,
            procedure=fields.procedure,
            evidence=sorted(fields.evidence),
            disclosed=_milliseconds(fields),
            **signature(by, role),
        )
        made = LeadOutcome.objects.create(
            lead=lead,
            number=number,
            truth=fields.truth,
            procedure=fields.procedure,
            evidence=sorted(fields.evidence),
            disclosed_on=fields.disclosed_on,
            sealed=sealed.seal(request, _SEALED, fields.note.strip()),
            recorded_by=by,
            recorded_at=timezone.now(),
            entry=entry,
        )
        if fields.procedure in HOLDING:
            legal_holds.place(request.id, at=shards.others_of(request))
        review = Review.objects.select_for_update().get(request=request)
        if review.state == ReviewState.RELEASED and not request.leads.filter(outcomes=None).exists():
            review_states.move(review, ReviewState.RECORDED)
            review.save()
    return made


def of(by: User, lead: Lead) -> list[Recorded]:
    """Every record of a lead, oldest first; the last one holds. Raises NotAllowed, NotFound after erasure."""
    permissions.check_can_see_lead(by, lead.request)
    return [
        Recorded(
            row,
            OutcomeFields(
                truth=row.truth,
                procedure=row.procedure,
                evidence=tuple(row.evidence),
                disclosed_on=row.disclosed_on,
                note=sealed.unseal(lead.request, _SEALED, row.sealed),
            ),
        )
        for row in lead.outcomes.select_related("recorded_by").order_by("number")
    ]


def due(lead: Lead) -> list[DisclosureRule]:
    """What the law pack of the search asks to tell, after the steps recorded so far."""
    rows = list(lead.outcomes.all())
    submitted = lead.request.submitted_at
    assert submitted is not None
    return disclosures_due(
        law.pack(lead.request.law_pack, submitted),
        {row.procedure for row in rows},
        disclosed=any(row.disclosed_on for row in rows) or lead.request.disclosures.exists(),
    )


def overdue(by: User) -> QuerySet[Lead]:
    """Leads without any record after OVERDUE, of those that this person may read."""
    return leads.visible(by).filter(outcomes=None, released_at__lt=timezone.now() - OVERDUE)


def _milliseconds(fields: OutcomeFields) -> int | None:
    if fields.disclosed_on is None:
        return None
    return round(datetime.combine(fields.disclosed_on, time(), UTC).timestamp() * 1000)


def truths() -> list[LeadTruth]:
    """Every released lead as statistics need it. Cohorts are those of the gallery's record; after erasure there are none."""
    found = []
    rows = Lead.objects.select_related("request").prefetch_related("outcomes").order_by("released_at")
    for lead in rows:
        last = max(lead.outcomes.all(), key=lambda row: row.number, default=None)
        try:
            cohorts = leads.unsealed(lead)["attributes"]
        except NotFound:
            cohorts = {}
        request = lead.request
        truth = last.truth if last else "not_known"
        found.append(LeadTruth(str(request.case_id), request.offence, request.face_model, truth, cohorts))
    return found
