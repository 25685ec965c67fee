"""Search requests of an officer: mine, a new one on one page, and what is changed in a draft."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access
from core.exceptions import Invalid, NotFound
from core.models import User
from core.person_roles import Permission
from core.views.requests import person
from search import gathering, intake, law, permissions, requests, sealed, selectors, states
from search.exceptions import SearchRefused, StateConflict
from search.forms import SearchForm
from search.gathering import RequestFields
from search.law import NoLawPack, Requirement
from search.models import RequestState, SearchRequest
from search.vocabulary import OFFENCES, PURPOSES

PAGE: Final = 50
# What stands against a draft only because its photo has just come: the page waits instead of asking the rules.
_ONLY_PHOTO: Final = frozenset({"probe:not_checked", "probe:other_model", "probe:face_not_chosen"})
_OFFICER = access.having(Permission.REQUEST_SEARCHES)


@access.roles("officer", "supervisor", "examiner", "counsel", "board")
@require_safe
def search_list(request: HttpRequest) -> HttpResponse:
    """The searches one may see, newest first."""
    by = person(request)
    page = Paginator(selectors.requests(by), PAGE).get_page(request.GET.get("page"))
    return render(request, "search/searches.html", {"page": page, "may_request": permissions.can_request_search(by)})


@_OFFICER
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def search_new(request: HttpRequest) -> HttpResponse:
    """A new search. The first POST makes the draft; from then on nothing that was typed or sent is lost."""
    by = person(request)
    permissions.check_can_request_search(by)
    if request.method == "POST":
        return _save(request, requests.draft(by=by))
    fields = RequestFields(case_number=request.GET.get("case", "")[:60])
    case = gathering.find_case(by, fields.case_number)
    initial = SearchForm.initial_of(fields) | ({"offence": case.offence} if case is not None else {})
    return _page(request, None, SearchForm(galleries=selectors.galleries(by), initial=initial))


@_OFFICER
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def search_edit(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """A draft: filled in, saved, submitted."""
    by = person(request)
    draft = _mine(by, search_id)
    if request.method == "POST":
        return _save(request, draft)
    if draft.state != RequestState.DRAFT:
        return redirect("search", search_id=draft.pk)
    initial = SearchForm.initial_of(requests.typed(draft))
    if draft.gallery_id is not None:  # typed by its name, as commands do
        initial["gallery"] = str(draft.gallery_id)
    form = SearchForm(galleries=selectors.galleries(by), initial=initial)
    return _page(request, draft, form)


@_OFFICER
@require_safe
def search_requirements(request: HttpRequest) -> HttpResponse:
    """What the law pack asks of a search with this purpose and offence: a part of the page, swapped in as one chooses."""
    by = person(request)
    asked = _asked(by, request.GET.get("purpose", ""), request.GET.get("offence", ""), "emergency" in request.GET)
    return render(request, "search/parts/requirements.html", asked | {"swap": True})


@_OFFICER
@never_cache
@require_safe
def search_photo(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The photo of a draft with its faces: a part of the page, asked for again until the photo has been checked."""
    draft = _mine(person(request), search_id)
    return render(request, "search/parts/photo.html", _photo(draft))


@_OFFICER
@require_POST
def search_discard(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """Take a request back: a draft, or one that has not run."""
    by = person(request)
    withdrawn = requests.withdraw(by=by, request=_mine(by, search_id))
    messages.success(request, "The request is withdrawn. Nothing is searched.")
    return redirect("search", search_id=withdrawn.pk)


@_OFFICER
@require_POST
def search_attach(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """File a document later, as emergencies allow."""
    by = person(request)
    found = _mine(by, search_id)
    file = request.FILES.get("attachments")
    data = file.read() if file else b""
    name = (file.name if file else "") or "document"
    requests.attach(by=by, request=found, kind=request.POST.get("attachment_kind", ""), name=name, data=data)
    messages.success(request, "The document is filed.")
    return redirect("search", search_id=found.pk)


def _mine(by: User, search_id: uuid.UUID) -> SearchRequest:
    found = selectors.request(by, search_id)
    if found.requester_id != by.id:
        raise NotFound("There is no such search for you.")
    return found


def _save(request: HttpRequest, draft: SearchRequest) -> HttpResponse:
    """Keeps what came, whatever is wrong with it; then submits when that was asked for and nothing is wrong with the form."""
    by = person(request)
    form = SearchForm(request.POST, request.FILES, galleries=selectors.galleries(by))
    submits = request.POST.get("do") == "submit"
    form.is_valid()
    fields = form.typed()
    if draft.state != RequestState.DRAFT:
        if not submits:
            raise StateConflict(states.said(draft.state))
        requests.submit(by=by, request=draft, fields=fields)
    draft = requests.fill_in(by=by, request=draft, fields=fields)
    for keep in (_keep_photo, _keep_document, _keep_choice):
        try:
            draft = keep(by, draft, form)
        except Invalid as error:
            form.refuse(error)
    if form.errors:
        if submits:
            requests.record_refusal(by=by, request=draft, code="request:unreadable")
        return _page(request, draft, form, status=422)
    if submits and not _waits_for_photo(draft, fields):
        return _submit(request, draft, form, fields)
    if submits:
        messages.warning(
            request, "Nothing was requested yet: the photo comes first. Check it below, then request the search."
        )
    else:
        messages.success(request, "Draft saved. Nothing was requested yet.")
    return _to_photo(draft)


def _to_photo(draft: SearchRequest) -> HttpResponseRedirect:
    return redirect(reverse("search_edit", args=[draft.pk]) + "#photo")


def _keep_photo(by: User, draft: SearchRequest, form: SearchForm) -> SearchRequest:
    file = form.cleaned_data.get("probe") or form.files.get("probe")
    return intake.receive(by=by, data=file.read(), request=draft) if file else draft


def _keep_document(by: User, draft: SearchRequest, form: SearchForm) -> SearchRequest:
    file = form.cleaned_data.get("attachments") or form.files.get("attachments")
    if file:
        kind = form.cleaned_data.get("attachment_kind", "")
        requests.attach(by=by, request=draft, kind=kind, name=file.name or "document", data=file.read())
    return draft


def _keep_choice(by: User, draft: SearchRequest, form: SearchForm) -> SearchRequest:
    number = form.cleaned_data.get("chosen_face")
    if number is None or form.files.get("probe") or draft.probe_checked_at is None:
        return draft
    return intake.choose_face(by=by, request=draft, face=number)


def _waits_for_photo(draft: SearchRequest, fields: RequestFields) -> bool:
    """Whether nothing stands against the draft but that its photo was not looked at, by us or by the officer."""
    if "image" not in sealed.read(draft) or (draft.probe_checked_at is not None and draft.faces_found < 2):
        return False
    if draft.chosen_face is not None:
        return False
    gathered = gathering.gather(request=draft, values=sealed.read(draft), fields=fields, now=timezone.now())
    codes = {refusal.code for refusal in gathered.refusing}
    return bool(codes) and codes <= _ONLY_PHOTO


def _submit(request: HttpRequest, draft: SearchRequest, form: SearchForm, fields: RequestFields) -> HttpResponse:
    try:
        submitted = requests.submit(by=person(request), request=draft, fields=fields)
    except SearchRefused as refused:
        if refused.status != 422:
            context = {"refused": refused, "draft": draft}
            return render(request, "search/refused.html", context, status=refused.status)
        form.refuse_each(refused.refusals)
        return _page(request, draft, form, status=422, refused=refused)
    messages.success(request, "The request is in. You can follow it here.")
    return redirect("search", search_id=submitted.pk)


def _page(
    request: HttpRequest,
    draft: SearchRequest | None,
    form: SearchForm,
    *,
    status: int = 200,
    refused: SearchRefused | None = None,
) -> HttpResponse:
    by = person(request)
    if draft is not None:
        draft.refresh_from_db()
    context: dict[str, Any] = {
        "form": form,
        "draft": draft,
        "refused": refused,
        "cases": selectors.searchable_cases(by)[:200],
        "documents": list(draft.attachments.order_by("filed_at")) if draft is not None else [],
        "purposes": PURPOSES.values(),
        "swap": False,
        **_asked(
            by, str(form["purpose"].value() or ""), str(form["offence"].value() or ""), bool(form["emergency"].value())
        ),
        **(_photo(draft) if draft is not None else {"photo_state": "none"}),
    }
    return render(request, "search/search_form.html", context, status=status)


def _photo(draft: SearchRequest) -> dict[str, Any]:
    """What the page shows of a draft's photo: none, checking, no face, one face, several."""
    if "image" not in sealed.read(draft):
        return {"photo_state": "none", "draft": draft}
    if draft.probe_checked_at is None:
        return {"photo_state": "checking", "draft": draft}
    faces = intake.faces(draft)
    state = "several" if len(faces) > 1 else "one" if faces else "no_face"
    return {"photo_state": state, "draft": draft, "faces": faces, "overridden": draft.quality_overridden_at}


def _asked(by: User, purpose: str, offence: str, emergency: bool) -> dict[str, Any]:
    """What the agency's law pack asks: as a list, and field by field."""
    try:
        pack = law.pack(by.agency.law_pack if by.agency else "", timezone.now())
    except NoLawPack as reason:
        return {
            "pack": None,
            "pack_problem": str(reason),
            "asked": [],
            "asked_of": dict.fromkeys(SearchForm.base_fields, ()),
            "asked_fields": [],
            "least": 0,
            "purpose_note": "",
            "offence_note": "",
        }
    asked = law.requirements(pack, purpose, offence, emergency=emergency)
    asked_of: dict[str, list[Requirement]] = {name: [] for name in SearchForm.base_fields}
    for requirement in asked:
        asked_of.setdefault(requirement.field, []).append(requirement)
    return {
        "pack": pack,
        "pack_problem": "",
        "asked": [one for one in asked if one.field in ("approval", "training")],
        "asked_of": asked_of,
        "asked_fields": [(name, asked_of[name]) for name in SearchForm.base_fields if name != "chosen_face"],
        "purpose_note": PURPOSES[purpose].description if purpose in PURPOSES else "",
        "offence_note": OFFENCES[offence].description if offence in OFFENCES else "",
        "least": pack.justification.min_characters,
    }
