"""Answers to what no view answered."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse

from core import problems

STALE_FORM = "This form is out of date or came from another page. Go back, reload the page and send it again."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return problems.answer(request, 400, "The request cannot be read. Go back and try again.")


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return problems.answer(request, 403, problems.NOT_ALLOWED)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return problems.answer(request, 404, problems.NOT_FOUND)


def failed(request: HttpRequest) -> HttpResponse:
    """503 when database or log do not answer, else 500."""
    error = sys.exc_info()[1]
    explained = problems.describe(error) if error is not None else None
    return problems.answer(request, *(explained or (500, problems.BROKEN)))


def too_many(request: HttpRequest) -> HttpResponse:
    """429, for allauth's limits."""
    return problems.answer(request, 429, "There were too many attempts. Wait a minute, then try again.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: 403."""
    return problems.answer(request, 403, STALE_FORM)
