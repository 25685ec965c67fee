"""Held searches, for counsel."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core import access
from core.exceptions import Invalid, NotFound
from core.person_roles import Permission
from core.views.requests import person
from search import holds, requests, selectors
from search.forms import NoteForm
from search.models import RequestState
from search.policies import POLICIES
from search.vocabulary import PROHIBITED_PURPOSES

_COUNSEL = access.having(Permission.DECIDE_HOLDS)


@_COUNSEL
@require_safe
def hold_list(request: HttpRequest) -> HttpResponse:
    """The held requests of the agency."""
    return render(request, "search/holds.html", {"rows": holds.queue(person(request))})


@_COUNSEL
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def hold(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """One held request: which rule stopped it and the words; POST clears it or turns it down."""
    by = person(request)
    found = selectors.request(by, search_id)
    if found.state == RequestState.DRAFT:
        raise NotFound("There is no such search for you.")
    form = NoteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        clears = request.POST.get("do") == "clear"
        decide = holds.clear if clears else holds.uphold
        try:
            decided = decide(by=by, request=found, note=form.cleaned_data["note"])
        except Invalid as error:
            form.refuse(error)
        else:
            if clears and decided.state == RequestState.REFUSED:
                messages.warning(request, "Cleared, but another rule stands against the search by now.")
            else:
                messages.success(request, "The search may go on." if clears else "The search is turned down.")
            return redirect("search", search_id=found.pk)
    context = {
        "search": found,
        "waits": holds.queue(by).filter(pk=found.pk).exists(),
        "reasons": [_reason(code) for code in found.held_reasons],
        "words": requests.typed(found).justification,
        "documents": list(found.attachments.order_by("filed_at")),
        "form": form,
    }
    return render(request, "search/hold.html", context, status=422 if form.errors else 200)


def _reason(code: str) -> str:
    term = PROHIBITED_PURPOSES.get(code.partition(":")[2])
    if term is not None:
        return f"The reason reads like: {term.label.lower()}. {term.description}"
    return POLICIES[code].summary if code in POLICIES else code
