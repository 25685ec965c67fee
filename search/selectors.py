"""What a person may see of cases and searches, for pages, API and the board. Reading only; nothing here writes."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from core.exceptions import NotFound
from core.models import User
from core.permissions import has
from core.person_roles import Permission
from search import permissions
from search.models import Case, CaseStatus, Gallery, RequestState, SearchRequest


def cases(by: User) -> QuerySet[Case]:
    """The cases that a person may see, newest first."""
    found = Case.objects.select_related("agency", "opened_by").order_by("-opened_at")
    if has(by, Permission.SAMPLE_SEARCHES):
        return found
    found = found.filter(agency=by.agency_id)
    if has(by, Permission.CONFIRM_CASES) or has(by, Permission.DECIDE_HOLDS):
        return found
    if not has(by, Permission.READ_CASES):
        return found.none()
    return found.filter(Q(officers=by) | Q(opened_by=by)).distinct()


def case(by: User, identity: uuid.UUID | str) -> Case:
    """One case that a person may see. Raises NotFound."""
    try:
        return cases(by).get(pk=identity)
    except (Case.DoesNotExist, ValidationError, ValueError) as error:
        raise NotFound("There is no such case for you.") from error


def unconfirmed_cases(by: User) -> QuerySet[Case]:
    """The cases that wait for this supervisor."""
    if not has(by, Permission.CONFIRM_CASES):
        return Case.objects.none()
    return cases(by).filter(status=CaseStatus.UNCONFIRMED).exclude(opened_by=by)


def searchable_cases(by: User) -> QuerySet[Case]:
    """The cases in which an officer may request a search now."""
    return (
        Case.objects.filter(agency=by.agency_id, officers=by, status=CaseStatus.OPEN)
        .exclude(confirmed_at=None)
        .order_by("-opened_at")
    )


def galleries(by: User) -> QuerySet[Gallery]:
    """The galleries of the person's agency, by name; all of them for the board."""
    found = Gallery.objects.order_by("name")
    return found if has(by, Permission.SAMPLE_SEARCHES) else found.filter(agency=by.agency_id)


def requests(by: User) -> QuerySet[SearchRequest]:
    """The search requests whose status a person may see, newest first. Drafts are seen by their officer alone."""
    found = SearchRequest.objects.select_related("requester", "case", "gallery").order_by("-created_at")
    own = Q(requester=by)
    if has(by, Permission.SAMPLE_SEARCHES):
        return found.exclude(state=RequestState.DRAFT)
    decides = (Permission.APPROVE_SEARCHES, Permission.DECIDE_HOLDS, Permission.REVIEW_CANDIDATES)
    if any(has(by, one) for one in decides):
        return found.filter(own | (Q(requester__agency=by.agency_id) & ~Q(state=RequestState.DRAFT)))
    return found.filter(own)


def request(by: User, identity: uuid.UUID | str) -> SearchRequest:
    """One search request that a person may see. Raises NotFound.

    A supervisor also sees drafts whose photo waits to be accepted.
    """
    try:
        found = SearchRequest.objects.select_related("requester__agency", "case", "gallery").get(pk=identity)
    except (SearchRequest.DoesNotExist, ValidationError, ValueError) as error:
        raise NotFound("There is no such search for you.") from error
    draft = found.state == RequestState.DRAFT and found.requester_id != by.id
    if (draft and not photos_to_accept(by).filter(pk=found.pk).exists()) or not permissions.can_see_request(by, found):
        raise NotFound("There is no such search for you.")
    return found


def photos_to_accept(by: User) -> QuerySet[SearchRequest]:
    """Drafts whose chosen face is below the quality limits, for supervisors."""
    if not has(by, Permission.OVERRIDE_QUALITY):
        return SearchRequest.objects.none()
    return (
        SearchRequest.objects.filter(
            state=RequestState.DRAFT,
            requester__agency=by.agency_id,
            quality_overridden_at=None,
            chosen_face__isnull=False,
        )
        .exclude(shortfalls=[])
        .exclude(requester=by)
        .select_related("requester", "case")
        .order_by("-created_at")
    )


def results_to_read(by: User) -> QuerySet[SearchRequest]:
    """The searches whose candidates this examiner may read, newest first."""
    if not has(by, Permission.REVIEW_CANDIDATES):
        return SearchRequest.objects.none()
    return requests(by).filter(state=RequestState.DONE).exclude(requester=by).order_by("-done_at")
