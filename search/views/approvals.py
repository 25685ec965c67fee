"""Approvals: what waits, what exactly is approved, and the secret that approves it; photos below the quality limits."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access, approvers
from core.exceptions import Invalid, NotFound
from core.models import User
from core.person_roles import Permission
from core.views.requests import person
from search import approvals, intake, permissions, requests, selectors
from search.forms import ApprovalForm, NoteForm
from search.models import RequestState, SearchRequest
from search.vocabulary import PURPOSES

_APPROVERS = access.roles("supervisor", "counsel")


@_APPROVERS
@require_safe
def approval_list(request: HttpRequest) -> HttpResponse:
    """What waits for this person: requests, and photos below the quality limits."""
    by = person(request)
    context = {
        "rows": approvals.queue(by),
        "photos": selectors.photos_to_accept(by),
        "accepts_photos": by.is_active and "supervisor" in by.roles,
        "approver_state": approvers.state(by),
    }
    return render(request, "search/approvals.html", context)


@_APPROVERS
@never_cache
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
def approval(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """One request: everything that the approval covers; POST approves it."""
    by = person(request)
    found = _shown(by, search_id)
    form = ApprovalForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            secret, proof = form.cleaned_data["secret"], form.cleaned_data["passkey"]
            done = approvals.approve(by=by, request=found, secret=secret, proof=proof)
        except Invalid as error:
            form.refuse(error)
        else:
            missing = approvals.approvals_asked(done) - approvals.approvals_given(done)
            said = "Approved." if missing <= 0 else f"Approved. It waits for {missing} more."
            messages.success(request, said)
            return redirect("search", search_id=done.pk)
    return _page(request, found, form, NoteForm())


@access.having(Permission.APPROVE_SEARCHES)
@require_POST
def approval_reject(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """Turn a request down, with a reason."""
    by = person(request)
    found = _shown(by, search_id)
    form = NoteForm(request.POST)
    if form.is_valid():
        try:
            approvals.reject(by=by, request=found, note=form.cleaned_data["note"])
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The request is turned down. Nothing is searched.")
            return redirect("search", search_id=found.pk)
    return _page(request, found, ApprovalForm(), form)


@access.having(Permission.OVERRIDE_QUALITY)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def photo_accept(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """A photo below the quality limits: look at it, accept it with a reason, or leave it."""
    by = person(request)
    found = selectors.request(by, search_id)
    form = NoteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            requests.override_quality(by=by, request=found, note=form.cleaned_data["note"])
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, f"The photo is accepted. {found.requester} can request the search now.")
            return redirect("approvals")
    permissions.check_can_override_quality(by, found)
    face = next((one for one in intake.faces(found) if one.number == found.chosen_face), None)
    context = {"search": found, "face": face, "form": form}
    return render(request, "search/photo_accept.html", context, status=422 if form.errors else 200)


def _shown(by: User, search_id: uuid.UUID) -> SearchRequest:
    found = selectors.request(by, search_id)
    if found.state == RequestState.DRAFT:
        raise NotFound("There is no such search for you.")
    return found


def _page(request: HttpRequest, found: SearchRequest, secret: ApprovalForm, note: NoteForm) -> HttpResponse:
    by = person(request)
    found.refresh_from_db()
    permissions.check_can_see_justification(by, found)
    options = approvals.passkey_options(by, found)
    context = {
        "search": found,
        "waits": approvals.queue(by).filter(pk=found.pk).exists(),
        "own": found.requester_id == by.id,
        "words": requests.typed(found).justification,
        "documents": list(found.attachments.order_by("filed_at")),
        "asked": approvals.approvals_asked(found),
        "given": approvals.approvals_given(found),
        "form": secret,
        "note_form": note,
        "approver_state": approvers.state(by),
        "passkey_data": {"request_options": options} if options else None,
        "needs_passkey": approvals.needs_passkey(),
        "may_reject": found.state == RequestState.AWAITING_APPROVAL and "supervisor" in by.roles,
        "purpose_note": PURPOSES[found.purpose].description if found.purpose in PURPOSES else "",
    }
    return render(request, "search/approval.html", context, status=422 if secret.errors or note.errors else 200)
