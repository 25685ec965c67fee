"""What officers, supervisors and custodians work on. Templates and the log have no models: the database guards them."""

from __future__ import annotations

from search.models.cases import Case, CaseAssignment, CaseStatus
from search.models.galleries import EnrolledPhoto, Enrolment, EnrolmentItem, FaceModel, Gallery
from search.models.requests import Attachment, RequestState, SearchRequest
from search.models.reviews import CandidateReading, Disclosure, Lead, LeadOutcome, Review, ReviewDecision, ReviewState

__all__ = [
    "Attachment",
    "CandidateReading",
    "Case",
    "CaseAssignment",
    "CaseStatus",
    "Disclosure",
    "EnrolledPhoto",
    "Enrolment",
    "EnrolmentItem",
    "FaceModel",
    "Gallery",
    "Lead",
    "LeadOutcome",
    "RequestState",
    "Review",
    "ReviewDecision",
    "ReviewState",
    "SearchRequest",
]
