"""Candidates, for examiners: each opening is an entry of the log first, and shows the list once."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core import access, database
from core.person_roles import Permission
from core.views.requests import person
from search import intake, measured, permissions, readings, sealed, selectors
from search.gate import client
from search.models import RequestState, SearchRequest
from search.views.status import picture

_EXAMINER = access.having(Permission.REVIEW_CANDIDATES)


@_EXAMINER
@require_safe
def reading_list(request: HttpRequest) -> HttpResponse:
    """The searches whose candidates this examiner may read."""
    return render(request, "search/readings.html", {"rows": selectors.results_to_read(person(request))})


@_EXAMINER
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def candidates(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """GET says what opening means; POST opens the list: an entry each time."""
    by = person(request)
    found = selectors.request(by, search_id)
    context = {"search": found, "ready": found.state == RequestState.DONE}
    if request.method != "POST":
        permissions.check_can_view_candidates(by, found)
        return render(request, "search/candidates_closed.html", context)
    reading = readings.open_candidates(by=by, request=found)
    context |= {
        "reading": reading,
        "measured": measured.of(found),
        "gallery_size": _gallery_size(found),
        "highest": max((row.score_milli for row in reading.candidates), default=None),
    }
    return render(request, "search/candidates.html" if reading.candidates else "search/no_candidate.html", context)


@_EXAMINER
@never_cache
@require_safe
def probe_crop(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The chosen face of the photo as the face model saw it."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_see_justification(by, found)
    return picture(sealed.read_file(found, sealed.crop_path(found)), "image/png")


@_EXAMINER
@never_cache
@require_safe
def probe_whole(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The whole photo without boxes."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_see_justification(by, found)
    return picture(intake.probe_image(found))


@_EXAMINER
@never_cache
@require_safe
def candidate_crop(request: HttpRequest, view_id: uuid.UUID, template_id: uuid.UUID) -> HttpResponse:
    """A candidate's face as the face model saw it: for the reader of this reading, while it lasts."""
    return picture(readings.crop(by=person(request), view=view_id, template=template_id), "image/png")


@_EXAMINER
@never_cache
@require_safe
def candidate_photo(request: HttpRequest, view_id: uuid.UUID, template_id: uuid.UUID) -> HttpResponse:
    """A candidate's enrolled photo: for the reader of this reading, while it lasts."""
    return picture(readings.photo(by=person(request), view=view_id, template=template_id))


def _gallery_size(found: SearchRequest) -> int | None:
    if found.gallery_id is None:
        return None
    with database.connect("app") as own:
        return next(
            (one.templates for one in client.editions(own, found.gallery_id) if one.edition == found.edition), None
        )
