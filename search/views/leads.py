"""Leads: the supervisor's decision, the officer's page, and what became of it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access
from core.exceptions import Invalid
from core.person_roles import Permission
from core.views.requests import person
from search import leads, measured, outcomes, permissions, readings, selectors
from search.lead_forms import OutcomeForm, ReleaseForm
from search.views.status import picture

_SUPERVISORS = access.having(Permission.RELEASE_LEADS)
_READERS = access.roles("officer", "supervisor", "counsel")
_RECORDERS = access.roles("officer", "supervisor")


@_SUPERVISORS
@require_safe
def release_list(request: HttpRequest) -> HttpResponse:
    """The reviews in which two examiners agree and a supervisor has to decide."""
    return render(request, "search/releases.html", {"rows": leads.queue(person(request))})


@_SUPERVISORS
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def release(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """GET says what opening means; POST opens what both examiners support: an entry each time."""
    by = person(request)
    found = selectors.request(by, search_id)
    permissions.check_can_supervise_lead(by, found)
    if request.method != "POST":
        waits = leads.queue(by).filter(pk=found.pk).exists()
        return render(request, "search/release_closed.html", {"search": found, "waits": waits})
    agreed = leads.open_agreed(by=by, request=found)
    form = ReleaseForm(rows=agreed.candidates, initial={"templates": [str(row.template) for row in agreed.candidates]})
    return _show(request, agreed, form)


@_SUPERVISORS
@never_cache
@require_POST
def release_decide(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """Releases the chosen candidates, or withholds them all."""
    by = person(request)
    found = selectors.request(by, search_id)
    note = request.POST.get("note", "")[:2000]
    try:
        if request.POST.get("do") == "release":
            leads.release(by=by, request=found, templates=request.POST.getlist("templates"), note=note)
            messages.success(request, "Released. Whoever asked for the search can read the lead now.")
        else:
            leads.withhold(by=by, request=found, note=note)
            messages.success(request, "Withheld. No lead leaves this search.")
    except Invalid as error:
        agreed = leads.open_agreed(by=by, request=found)
        form = ReleaseForm(request.POST, rows=agreed.candidates)
        form.is_valid()
        form.refuse(error)
        return _show(request, agreed, form, 422)
    return redirect("search", search_id=found.pk)


@_SUPERVISORS
@never_cache
@require_safe
def agreed_crop(request: HttpRequest, view_id: uuid.UUID, template_id: uuid.UUID) -> HttpResponse:
    """An agreed candidate's face as the face model saw it: for the supervisor who opened it, while the reading lasts."""
    return picture(readings.crop(by=person(request), view=view_id, template=template_id), "image/png")


@_READERS
@require_safe
def lead_list(request: HttpRequest) -> HttpResponse:
    """The leads that this person may read."""
    by = person(request)
    late = set(outcomes.overdue(by).values_list("pk", flat=True))
    rows = [
        (lead, max(lead.outcomes.all(), key=lambda row: row.number, default=None), lead.pk in late)
        for lead in leads.visible(by).prefetch_related("outcomes")
    ]
    return render(request, "search/leads.html", {"rows": rows})


@_READERS
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def lead(request: HttpRequest, lead_id: uuid.UUID) -> HttpResponse:
    """GET says what opening means; POST opens the lead: an entry each time."""
    by = person(request)
    found = leads.find(by, lead_id)
    if request.method != "POST":
        return render(request, "search/lead_closed.html", {"lead": found, "search": found.request})
    page = leads.open_lead(by=by, lead=found)
    context = {
        "page": page,
        "lead": found,
        "search": found.request,
        "measured": page.measured,
        "records": outcomes.of(by, found),
        "due": outcomes.due(found),
        "receipts": readings.receipts(by=by, request=found.request),
        "may_record": permissions.can_record_outcome(by, found.request),
        "may_disclose": permissions.can_disclose(by, found.request),
    }
    return render(request, "search/lead.html", context)


@_READERS
@never_cache
@require_safe
def lead_picture(request: HttpRequest, lead_id: uuid.UUID, kind: str) -> HttpResponse:
    """One picture of a lead, while the reading lasts."""
    by = person(request)
    content = leads.picture(by=by, lead=leads.find(by, lead_id), kind=kind)
    return picture(content, leads.PICTURES[kind])


@_RECORDERS
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def outcome(request: HttpRequest, lead_id: uuid.UUID) -> HttpResponse:
    """Adds a record of what became of a lead."""
    by = person(request)
    found = leads.find(by, lead_id)
    form = OutcomeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            outcomes.record(by=by, lead=found, fields=form.outcome())
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "Recorded. A correction is a further record; none is ever changed.")
            return redirect("lead", lead_id=found.pk)
    context = {"form": form, "lead": found, "search": found.request, "records": outcomes.of(by, found)}
    return render(request, "search/outcome.html", context, status=422 if form.errors else 200)


def _show(request: HttpRequest, agreed: leads.Agreed, form: ReleaseForm, status: int = 200) -> HttpResponse:
    context = {
        "search": agreed.request,
        "agreed": agreed,
        "form": form,
        "measured": measured.of(agreed.request),
        "unapproved": agreed.request.emergency and agreed.request.decided_at is None,
    }
    return render(request, "search/release.html", context, status=status)
