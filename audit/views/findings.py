"""Findings: the list for everybody who reads reports, filing and closing for the board."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audit import evaluations, findings
from audit.models import Finding
from audit.oversight import entries
from audit.permissions import can_file_findings
from audit.views.forms import FindingForm, ResolutionForm
from core import access
from core.exceptions import Invalid, NotFound
from core.person_roles import Permission
from core.views.requests import person

# What a finding says may name people and cases: the board alone reads all of them, those who answer for the models
# only what is about a report.
_READERS = access.having_any(Permission.FILE_FINDINGS, Permission.RUN_EVALUATIONS, Permission.PROPOSE_POLICY)
_BOARD = access.having(Permission.FILE_FINDINGS)


@_READERS
@require_safe
@never_cache
def finding_list(request: HttpRequest) -> HttpResponse:
    """The open findings first."""
    return _page(request)


@_BOARD
@require_POST
@never_cache
def finding_file(request: HttpRequest) -> HttpResponse:
    """File one."""
    form = FindingForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            evaluation = evaluations.published(given["report"]) if given["report"] else None
            entry = entries.one(given["entry"]).id if given["entry"] else None
            findings.file(by=person(request), text=given["text"], evaluation=evaluation, entry=entry)
        except Invalid as error:
            form.refuse(error)
        except NotFound as error:
            form.add_error("entry" if given["entry"] else "report", error.sentence)
        else:
            messages.success(request, "The finding is filed. It is an entry of the log.")
            return redirect("findings")
    return _page(request, form=form)


@_BOARD
@require_POST
@never_cache
def finding_close(request: HttpRequest, finding_id: uuid.UUID) -> HttpResponse:
    """Close one with what came of it."""
    finding = findings.one(finding_id)
    form = ResolutionForm(request.POST, prefix=str(finding.pk))
    if form.is_valid():
        try:
            findings.close(by=person(request), finding=finding, resolution=form.cleaned_data["resolution"])
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The finding is closed. What came of it is an entry of the log.")
            return redirect("findings")
    return _page(request, closing={finding.pk: form})


def _page(
    request: HttpRequest, *, form: FindingForm | None = None, closing: Mapping[uuid.UUID, Any] | None = None
) -> HttpResponse:
    files = can_file_findings(person(request))
    found = Finding.objects.select_related("evaluation", "opened_by", "closed_by").order_by("-opened_at")
    if not files:  # not what is about an entry: a search, a case, somebody's act
        found = found.filter(entry=None).exclude(evaluation=None)
    waiting = [
        {
            "finding": one,
            "text": findings.words(one)[0],
            "form": (closing or {}).get(one.pk, ResolutionForm(prefix=str(one.pk))) if files else None,
        }
        for one in found.filter(closed_at=None)
    ]
    context = {
        "waiting": waiting,
        "closed": [(one, *findings.words(one)) for one in found.exclude(closed_at=None)[:100]],
        "form": (form or FindingForm()) if files else None,
        "form_open": form is not None,
        "failed": next(iter((closing or {}).values()), form),
    }
    return render(request, "audit/findings.html", context, status=422 if form or closing else 200)
