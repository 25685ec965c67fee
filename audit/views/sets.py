"""Benchmark sets: what face models are measured on, whose labels they have, and what was left out."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import benchmarks, permissions
from audit.models import BenchmarkSet
from core import access
from core.api.views import binary
from core.person_roles import Permission
from core.views.requests import person

_READERS = access.having(Permission.READ_EVALUATIONS)


@_READERS
@require_safe
def set_list(request: HttpRequest) -> HttpResponse:
    """The frozen sets."""
    context = {
        "sets": BenchmarkSet.objects.order_by("name"),
        "may_run": permissions.can_run_evaluations(person(request)),
    }
    return render(request, "audit/benchmark_sets.html", context)


@_READERS
@require_safe
def set_detail(request: HttpRequest, set_id: uuid.UUID) -> HttpResponse:
    """One set: its make-up, licence, notes, and how much was left out."""
    found = benchmarks.find(str(set_id))
    context = {
        "set": found,
        "layout": benchmarks.layouts().get(found.layout, found.layout),
        "reasons": benchmarks.left_out_reasons(found) if found.left_out else {},
        "may_run": permissions.can_run_evaluations(person(request)),
    }
    return render(request, "audit/benchmark_set.html", context)


@access.having(Permission.RUN_EVALUATIONS)
@never_cache
@require_safe
def left_out(request: HttpRequest, set_id: uuid.UUID) -> HttpResponse:
    """The report of what was left out, row by row. It names people and files, so it is the custodian's."""
    path = benchmarks.left_out_file(benchmarks.find(str(set_id)))
    return binary(path.read_bytes(), "text/csv", "left_out.csv")
