"""Disclosure of a search, for supervisors."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from core import access
from core.exceptions import Invalid
from core.person_roles import Permission
from core.views.requests import person
from search import disclosures, selectors
from search.lead_forms import DisclosureForm
from search.models import RequestState
from search.views.status import download


@access.having(Permission.RELEASE_LEADS)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def disclose(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """What a bundle holds and to whom it goes; POST answers with the zip."""
    by = person(request)
    found = selectors.request(by, search_id)
    earlier = [(row, disclosures.recipient(row)) for row in disclosures.of_request(by, found)]
    form = DisclosureForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = disclosures.make(by=by, request=found, fields=disclosures.DisclosureFields(**form.cleaned_data))
        except Invalid as error:
            form.refuse(error)
        else:
            return download(made.content, made.name, "application/zip")
    context = {"search": found, "form": form, "earlier": earlier, "ready": found.state == RequestState.DONE}
    return render(request, "search/disclose.html", context, status=422 if form.errors else 200)
