"""The page on which the board states that a part of the log holds no search for a case."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from audit.oversight import absences
from audit.views.files import ENTRY_TYPE, file
from audit.views.forms import AbsenceForm
from core import access
from core.exceptions import Invalid
from core.person_roles import Permission
from core.views.requests import person


@access.having(Permission.SAMPLE_SEARCHES)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def absence_page(request: HttpRequest) -> HttpResponse:
    """The form; or, once it is filled in, the statement as a file. That it was made is an entry."""
    form = AbsenceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        try:
            stated = absences.state(
                by=person(request),
                number=chosen["number"],
                first=chosen["first"],
                last=chosen["last"],
                most=absences.MOST_AT_ONCE,
            )
        except Invalid as invalid:
            form.refuse(invalid)
        else:
            return file(stated.encode(), ENTRY_TYPE, absences.file_name(stated))
    return render(request, "audit/absence.html", {"form": form}, status=422 if form.errors else 200)
