"""Candidates, for examiners: each opening is an entry of the log first, shows the list once, and takes one decision."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access, database
from core.exceptions import Invalid
from core.person_roles import Permission
from core.views.requests import person
from search import intake, measured, methods, permissions, photo_views, readings, reviews, sealed, selectors, trail
from search.models import RequestState
from search.review_forms import FindingForm, ReviewNoteForm, finding_forms, refuse
from search.views.status import picture

_EXAMINER = access.having(Permission.REVIEW_CANDIDATES)


@_EXAMINER
@require_safe
def reading_list(request: HttpRequest) -> HttpResponse:
    """The searches on whose candidates this examiner may decide, and the others whose candidates they may read."""
    by = person(request)
    waiting = list(reviews.queue(by))
    others = selectors.results_to_read(by).exclude(pk__in=[one.pk for one in waiting]).select_related("review")
    return render(request, "search/readings.html", {"waiting": waiting, "others": others})


@_EXAMINER
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def candidates(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """GET says what opening means; POST opens the list: an entry each time."""
    by = person(request)
    found = selectors.request(by, search_id)
    if request.method != "POST":
        permissions.check_can_view_candidates(by, found)
        context = {"search": found, "ready": found.state == RequestState.DONE}
        return render(request, "search/candidates_closed.html", context)
    reading = readings.open_candidates(by=by, request=found)
    return _show(request, reading, finding_forms(reading.candidates), ReviewNoteForm())


@_EXAMINER
@never_cache
@require_POST
def review_decide(request: HttpRequest, search_id: uuid.UUID, view_id: uuid.UUID) -> HttpResponse:
    """Records an examiner's decision on the candidates that the reading `view_id` showed."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_review(by, found)
    reading = readings.again(by=by, reading=reviews.reading(by, found, view_id))
    forms, note = finding_forms(reading.candidates, request.POST), ReviewNoteForm(request.POST)
    if all([note.is_valid(), *(form.is_valid() for form in forms)]):
        findings = [form.finding() for form in forms]
        try:
            reviews.decide(by=by, request=found, view=view_id, findings=findings, note=note.cleaned_data["note"])
        except Invalid as error:
            refuse(forms, note, error)
        else:
            messages.success(request, "Your decision is in the log. It cannot be changed.")
            return redirect("search", search_id=found.pk)
    return _show(request, reading, forms, note, 422)


def _show(
    request: HttpRequest, reading: readings.Reading, forms: list[FindingForm], note: ReviewNoteForm, status: int = 200
) -> HttpResponse:
    found, by = reading.request, person(request)
    size = measured.gallery_size(found)
    context = {
        "search": found,
        "reading": reading,
        "rows": list(zip(reading.candidates, forms, strict=True)),
        "note": note,
        "wrong": [form for form in forms if form.errors],
        "may_decide": reviews.queue(by).filter(pk=found.pk).exists(),
        "measured": measured.of(found, size),
        "gallery_size": size,
        "method": methods.of(trail.entries(database.session(), found.id)),
    }
    page = "search/candidates.html" if reading.candidates else "search/no_candidate.html"
    return render(request, page, context, status=status)


@access.roles("examiner", "supervisor")
@never_cache
@require_safe
def probe_crop(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The chosen face of the photo as the face model saw it."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_see_justification(by, found)
    shown = sealed.read_file(found, sealed.crop_path(found))
    photo_views.record(by, found)
    return picture(shown, "image/png")


@_EXAMINER
@never_cache
@require_safe
def probe_whole(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The whole photo without boxes."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_see_justification(by, found)
    shown = intake.probe_image(found)
    photo_views.record(by, found)
    return picture(shown)


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
