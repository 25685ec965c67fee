"""Reports on error rates: the list, one report, two beside each other, and their files. Every download is an entry."""

from __future__ import annotations

import mimetypes
import uuid
from typing import Final

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audit import comparison, evaluations, evaluator_file, reports
from audit.fairness import bundle
from audit.models import Evaluation
from audit.permissions import can_file_findings, can_run_evaluations
from audit.views.forms import CompareForm, FindingForm, ReportFilterForm
from core import access
from core.exceptions import NotFound
from core.person_roles import Permission
from core.views.requests import person

_READERS = access.having(Permission.READ_EVALUATIONS)
_MOST: Final = 200
_FIGURES: Final = {".svg": "image/svg+xml", ".png": "image/png"}


@_READERS
@require_safe
@never_cache
def report_list(request: HttpRequest) -> HttpResponse:
    """The published reports, newest first, of one face model, set or verdict where that is asked for."""
    models, sets = reports.choices()
    form = ReportFilterForm(request.GET or None, models=models, sets=sets)
    asked = form.cleaned_data if form.is_valid() else {}
    found = list(reports.published(**asked)[: _MOST + 1])
    context = {
        "form": form,
        "found": found[:_MOST],
        "more": len(found) > _MOST,
        "filtered": any(asked.values()),
        "compare": CompareForm(found=found[:_MOST]) if len(found) > 1 else None,
    }
    return render(request, "audit/reports.html", context, status=422 if form.errors else 200)


@_READERS
@require_safe
@never_cache
def report_page(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """One report: what was found, on whom, what it does not show, and everything to download."""
    evaluation = evaluations.published(evaluation_id)
    report = reports.read(evaluation)
    found = reports.files(evaluation)
    context = {
        "report": report,
        "searches": report.searches,
        "evaluation": evaluation,
        "files": found,
        "figures": [one.name for one in found if one.name.endswith(".svg")],
        "can_be_repeated": any(one.name == bundle.FILE for one in found),
        "evaluator": evaluator_file.NAME,
        "evaluator_digest": evaluator_file.FILE.digest(),
        "findings": evaluation.findings.order_by("-opened_at"),
        "repetitions": evaluation.repetitions.exclude(published_at=None).order_by("-published_at"),
        "reviews_labels": can_run_evaluations(person(request)),
        "finding_form": FindingForm() if can_file_findings(person(request)) else None,
    }
    return render(request, "audit/report.html", context)


@_READERS
@require_safe
@never_cache
def report_compare(request: HttpRequest) -> HttpResponse:
    """Two reports side by side."""
    found = list(reports.published()[:_MOST])
    form = CompareForm(request.GET or None, found=found)
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        first, second = (
            reports.read(_one(found, form.cleaned_data["first"])),
            reports.read(_one(found, form.cleaned_data["second"])),
        )
        context |= {
            "first": first,
            "second": second,
            "cautions": list(comparison.cautions(first, second)),
            "pairs": comparison.pairs(first, second),
            "statistics": reports.STATISTICS,
        }
    return render(request, "audit/compare.html", context, status=422 if form.errors else 200)


@_READERS
@require_POST
@never_cache
def report_file(request: HttpRequest, evaluation_id: uuid.UUID, name: str) -> FileResponse:
    """One file to keep; the download is in the log before it begins."""
    evaluation = evaluations.published(evaluation_id)
    path = evaluations.download(by=person(request), evaluation=evaluation, name=name)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response = FileResponse(path.open("rb"), as_attachment=True, filename=path.name, content_type=kind)
    response["X-Content-Type-Options"] = "nosniff"
    return response


@_READERS
@require_safe
@never_cache
def report_figure(request: HttpRequest, evaluation_id: uuid.UUID, name: str) -> FileResponse:
    """A figure as part of its page."""
    path = evaluations.file(evaluations.published(evaluation_id), name)
    if path.suffix not in _FIGURES:
        raise NotFound("The report has no such figure.")
    response = FileResponse(path.open("rb"), content_type=_FIGURES[path.suffix])
    response["X-Content-Type-Options"] = "nosniff"
    return response


@_READERS
@require_safe
def evaluator(request: HttpRequest) -> HttpResponse:
    """The program that gives every number of a report again, as one file."""
    response = HttpResponse(evaluator_file.FILE.build(), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{evaluator_file.NAME}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _one(found: list[Evaluation], identity: str) -> Evaluation:
    return next(one for one in found if str(one.pk) == identity)
