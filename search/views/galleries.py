"""Galleries: what there is, why it may exist, its editions and enrolments; a custodian creates and switches."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from core import access, approvers
from core.exceptions import Conflict, Invalid, NotFound
from core.models import JobState, User
from core.permissions import has
from core.person_roles import Permission
from core.views.requests import person
from search import enrolment as enrolments
from search import face_models, galleries, permissions, reembedding, selectors, sub_galleries
from search.forms import ApproverForm, EditionForm, GalleryForm, SwitchForm, TwoApproversForm
from search.models import Enrolment, FaceModel, Gallery
from search.proposals import Signature

PAGE = 100
_READERS = access.roles("officer", "supervisor", "counsel", "custodian", "board")
_CUSTODIAN = access.having(Permission.KEEP_GALLERIES)


@_READERS
@require_safe
def gallery_list(request: HttpRequest) -> HttpResponse:
    """The galleries of one's agency."""
    by = person(request)
    rows = [{"gallery": one, "edition": galleries.current_edition(one)} for one in selectors.galleries(by)]
    return render(request, "search/galleries.html", {"rows": rows, "may_create": has(by, Permission.KEEP_GALLERIES)})


@_CUSTODIAN
@require_http_methods(["GET", "HEAD", "POST"])
def gallery_create(request: HttpRequest) -> HttpResponse:
    """A new gallery without photos."""
    by = person(request)
    form = GalleryForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            if by.agency is None:
                raise Invalid("You belong to no agency yet. Ask your administrator to enter it.")
            made = galleries.create(
                by=by, agency=by.agency, **values | {"retention_days": values["retention_days"] or 0}
            )
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.add_error("name", error.sentence)
        else:
            messages.success(request, f"The gallery {made.name} is there. It has no photos yet.")
            return redirect("gallery", gallery_id=made.pk)
    return render(request, "search/gallery_create.html", {"form": form}, status=422 if form.errors else 200)


@_READERS
@never_cache
@require_safe
def gallery_detail(request: HttpRequest, gallery_id: uuid.UUID) -> HttpResponse:
    """One gallery: its rule, its editions, what was enrolled."""
    by = person(request)
    return _page(request, _gallery(by, gallery_id))


@_CUSTODIAN
@never_cache
@sensitive_post_parameters("secret")
@require_POST
def edition_register(request: HttpRequest, gallery_id: uuid.UUID) -> HttpResponse:
    """A new edition under a face model, approved by somebody else."""
    by = person(request)
    gallery = _gallery(by, gallery_id)
    form = EditionForm(request.POST, approvers=_approvers(by), face_models=_face_models(gallery))
    if form.is_valid() and _signed(form):
        model = FaceModel.objects.filter(pk=form.cleaned_data["face_model"]).first()
        if model is None:
            form.add_error("face_model", "Choose a face model.")
        else:
            assert form.signer is not None
            try:
                galleries.register_edition(
                    by=by, gallery=gallery, face_model=model, approver=form.signer, secret=form.cleaned_data["secret"]
                )
            except Invalid as error:
                form.refuse(error)
            else:
                messages.success(request, "The edition is registered. It has no photos yet.")
                return redirect("gallery", gallery_id=gallery.pk)
    return _page(request, gallery, edition_form=form)


@_CUSTODIAN
@never_cache
@sensitive_post_parameters("secret")
@require_POST
def edition_switch(request: HttpRequest, gallery_id: uuid.UUID, edition: int) -> HttpResponse:
    """Make another edition the one that is searched, approved by somebody else."""
    by = person(request)
    gallery = _gallery(by, gallery_id)
    if all(one.edition != edition for one in galleries.editions(gallery)):
        raise NotFound("There is no such edition.")
    form = SwitchForm(request.POST, approvers=_approvers(by), prefix=f"switch-{edition}")
    if form.is_valid() and _signed(form):
        assert form.signer is not None
        try:
            galleries.switch_edition(
                by=by,
                gallery=gallery,
                edition=edition,
                approver=form.signer,
                secret=form.cleaned_data["secret"],
                missing=form.cleaned_data["missing"] or 0,
            )
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, f"Edition {edition} is searched from now on.")
            return redirect("gallery", gallery_id=gallery.pk)
    return _page(request, gallery, switch_form=form, switch_to=edition)


@_CUSTODIAN
@never_cache
@sensitive_post_parameters("secret_1", "secret_2")
@require_POST
def edition_reembed(request: HttpRequest, gallery_id: uuid.UUID, edition: int) -> HttpResponse:
    """Read the photos of the searched edition again for this one, approved by two others."""
    by = person(request)
    gallery = _gallery(by, gallery_id)
    target = next((one for one in galleries.editions(gallery) if one.edition == edition), None)
    if target is None:
        raise NotFound("There is no such edition.")
    form = TwoApproversForm(request.POST, approvers=_approvers(by), prefix=f"reembed-{edition}")
    if form.is_valid():
        try:
            run = reembedding.start(
                by=by,
                gallery=gallery,
                face_model=face_models.by_hash(target.model),
                signatures=[Signature(approver, secret) for approver, secret in form.signatures()],
            )
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The photos are read again. Searches go on in the edition that is searched now.")
            return redirect("enrolment", enrolment_id=run.pk)
    return _page(request, gallery, reembed_form=form, reembed_to=edition)


@_CUSTODIAN
@require_POST
def enrolment_pause(request: HttpRequest, enrolment_id: uuid.UUID) -> HttpResponse:
    """Stop an enrolment that runs; it can be gone on with."""
    by = person(request)
    enrolments.pause(by=by, enrolment=_enrolment(by, enrolment_id))
    return redirect("enrolment", enrolment_id=enrolment_id)


@_CUSTODIAN
@require_POST
def enrolment_resume(request: HttpRequest, enrolment_id: uuid.UUID) -> HttpResponse:
    """Go on with an enrolment that was paused or has stopped."""
    by = person(request)
    enrolments.resume(by=by, enrolment=_enrolment(by, enrolment_id))
    return redirect("enrolment", enrolment_id=enrolment_id)


@_READERS
@never_cache
@require_safe
def enrolment_detail(request: HttpRequest, enrolment_id: uuid.UUID) -> HttpResponse:
    """One enrolment: how far it is, and every photo that was left out, with its reason."""
    by = person(request)
    found = _enrolment(by, enrolment_id)
    context = _progress(found)
    report = enrolments.report(found)
    page = Paginator(report.left_out, PAGE).get_page(request.GET.get("page"))
    keeps = permissions.can_keep_galleries(by, found.gallery.agency_id)
    imported = found.source == Enrolment.Source.TEMPLATES
    context |= {"report": report, "page": page, "keeps": keeps, "imported": imported}
    context["reembedded"] = found.source == Enrolment.Source.REEMBEDDED
    return render(request, "search/enrolment.html", context)


@_READERS
@never_cache
@require_safe
def enrolment_progress(request: HttpRequest, enrolment_id: uuid.UUID) -> HttpResponse:
    """The progress of an enrolment alone: a part of the page, asked for again while it runs."""
    context = _progress(_enrolment(person(request), enrolment_id))
    if not context["running"]:
        return HttpResponseClientRefresh()
    return render(request, "search/parts/enrolment_progress.html", context)


def _gallery(by: User, gallery_id: uuid.UUID) -> Gallery:
    found = selectors.galleries(by).filter(pk=gallery_id).select_related("agency").first()
    if found is None:
        raise NotFound("There is no such gallery for you.")
    return found


def _enrolment(by: User, enrolment_id: uuid.UUID) -> Enrolment:
    found = enrolments.find(enrolment_id)
    _gallery(by, found.gallery_id)
    return found


def _progress(found: Enrolment) -> dict[str, Any]:
    job = enrolments.job_of(found)
    running = job.state in (JobState.QUEUED, JobState.RUNNING)
    return {"enrolment": found, "job": job, "running": running}


def _approvers(by: User) -> list[User]:
    people = User.objects.filter(agency=by.agency_id, is_active=True).exclude(pk=by.pk).order_by("full_name")
    return [one for one in people if approvers.state(one) == "enrolled"]


def _face_models(gallery: Gallery) -> list[tuple[str, Any]]:
    taken = {one.model for one in galleries.editions(gallery)}
    return [
        (one.hash, f"{one.name} ({one.hash[:12]})")
        for one in FaceModel.objects.order_by("name")
        if one.hash not in taken
    ]


def _signed(form: ApproverForm) -> bool:
    if form.signer is None:
        form.add_error("approver", "Choose who approves this.")
    if not form.cleaned_data.get("secret"):
        form.add_error("secret", "That person has to type the approval secret.")
    return not form.errors


def _page(
    request: HttpRequest,
    gallery: Gallery,
    *,
    edition_form: EditionForm | None = None,
    switch_form: SwitchForm | None = None,
    switch_to: int | None = None,
    reembed_form: TwoApproversForm | None = None,
    reembed_to: int | None = None,
) -> HttpResponse:
    by = person(request)
    keeps = permissions.can_keep_galleries(by, gallery.agency_id)
    names = dict(FaceModel.objects.values_list("hash", "name"))
    rows = []
    people = _approvers(by) if keeps else []
    imported = galleries.imported(gallery)
    for one in galleries.editions(gallery):
        missing = galleries.people_missing(gallery, one.edition) if keeps and not one.is_current else 0
        form: SwitchForm | None = SwitchForm(
            approvers=people, prefix=f"switch-{one.edition}", initial={"missing": missing}
        )
        again: TwoApproversForm | None = TwoApproversForm(approvers=people, prefix=f"reembed-{one.edition}")
        if one.edition == switch_to:
            form = switch_form
        if one.edition == reembed_to:
            again = reembed_form
        rows.append(
            {
                "edition": one,
                "name": names.get(one.model, "unknown"),
                "imported": imported.get(one.edition, 0),
                "missing": missing,
                "form": form,
                "open": one.edition == switch_to,
                "parts": sub_galleries.shown(gallery, one.edition),
                "reembed_form": again,
                "reembed_open": one.edition == reembed_to,
            }
        )
    offered = _face_models(gallery) if keeps else []
    context = {
        "gallery": gallery,
        "rows": rows,
        "searched": galleries.current_edition(gallery),
        "keeps": keeps,
        "overdue": galleries.overdue(gallery).count() if keeps else 0,
        "enrolments": gallery.enrolments.select_related("face_model", "started_by").order_by("-started_at"),
        "edition_form": edition_form or (EditionForm(approvers=people, face_models=offered) if offered else None),
    }
    wrong = any(form is not None and form.errors for form in (edition_form, switch_form, reembed_form))
    return render(request, "search/gallery.html", context, status=422 if wrong else 200)
