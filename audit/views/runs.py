"""Evaluations while they run: started from a form, followed, paused, resumed and cancelled by a custodian."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from audit import evaluations, permissions
from audit.evaluation_progress import progress
from audit.models import Evaluation
from audit.views.run_forms import EvaluationForm
from core import access
from core.exceptions import Invalid
from core.models import User
from core.person_roles import Permission
from core.views.requests import person

PAGE = 50
_READERS = access.having(Permission.READ_EVALUATIONS)
_RUNNERS = access.having(Permission.RUN_EVALUATIONS)


@_READERS
@never_cache
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """All evaluations, newest first, whatever became of them: one that failed is not hidden."""
    rows = Evaluation.objects.select_related("benchmark_set").order_by("-started_at")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "may_run": permissions.can_run_evaluations(person(request))}
    return render(request, "audit/evaluation_runs.html", context)


@_RUNNERS
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def run_start(request: HttpRequest) -> HttpResponse:
    """Start an evaluation on a frozen set."""
    form = EvaluationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = evaluations.start(by=person(request), **form.wanted())
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The evaluation is started. Workers do it; this page may be closed.")
            return redirect("evaluation_run", run_id=made.pk)
    return render(request, "audit/evaluation_start.html", {"form": form}, status=422 if form.errors else 200)


@_READERS
@never_cache
@require_safe
def run_detail(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """One evaluation: what it measures, how far it is, what became of it."""
    context = _context(person(request), evaluations.find(run_id))
    return render(request, "audit/evaluation_run.html", context)


@_READERS
@never_cache
@require_safe
def run_progress(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The progress alone: a part of the page, asked for again while it runs."""
    context = _context(person(request), evaluations.find(run_id))
    if not context["running"]:
        return HttpResponseClientRefresh()
    return render(request, "audit/parts/evaluation_progress.html", context)


@_RUNNERS
@require_POST
def run_pause(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Let workers begin nothing more."""
    return _act(request, run_id, evaluations.pause, "Paused. What is done stays done.")


@_RUNNERS
@require_POST
def run_resume(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Go on where it stopped."""
    return _act(request, run_id, evaluations.resume, "The evaluation goes on where it stopped.")


@_RUNNERS
@require_POST
def run_cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Stop for good."""
    return _act(request, run_id, evaluations.cancel, "The evaluation is cancelled.")


def _act(request: HttpRequest, run_id: uuid.UUID, act: Callable[..., None], said: str) -> HttpResponse:
    evaluation = evaluations.find(run_id)
    act(by=person(request), evaluation=evaluation)
    messages.success(request, said)
    return redirect("evaluation_run", run_id=evaluation.pk)


def _context(by: User, evaluation: Evaluation) -> dict[str, Any]:
    running = evaluation.state == "running"
    found = progress(evaluation) if running else None
    return {
        "evaluation": evaluation,
        "running": running,
        "progress": found,
        "left": None if found is None or found.seconds_left is None else _in_words(found.seconds_left),
        "may_run": permissions.can_run_evaluations(by),
    }


def _in_words(seconds: float) -> str:
    """A time as people say it: in minutes, or hours and minutes."""
    if seconds < 90:
        return f"about {max(round(seconds / 10) * 10, 10)} seconds"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} minutes"
    return f"about {minutes // 60} h {minutes % 60:02} min"
