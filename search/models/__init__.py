"""What officers, supervisors and custodians work on. Templates and the log have no models: the database guards them."""

from __future__ import annotations

from search.models.cases import Case, CaseAssignment, CaseStatus
from search.models.galleries import EnrolledPhoto, Enrolment, EnrolmentItem, FaceModel, Gallery
from search.models.requests import Attachment, RequestState, SearchRequest

__all__ = [
    "Attachment",
    "Case",
    "CaseAssignment",
    "CaseStatus",
    "EnrolledPhoto",
    "Enrolment",
    "EnrolmentItem",
    "FaceModel",
    "Gallery",
    "RequestState",
    "SearchRequest",
]
