"""Refusals and failures as answers: a page for people, RFC 9457 problem details for the API. One shape for each.

A problem of the API: `{"status": 409, "title": …, "detail": sentence, "errors": {field: [sentence]}, "refusals": […]}`;
`errors` and `refusals` stand there only when there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from audit.log.journal import LogUnavailable
from core.exceptions import GlasscaseError

TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Not possible now",
    422: "Something is missing or wrong",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "Not available now",
}
NOT_ALLOWED = "Your role does not allow this. Ask your administrator which role you need."
NOT_FOUND = "There is nothing at this address, or nothing that you may see. Check the address."
DOWN = "The database or the log does not answer, so nothing was done. Try again in a minute."
BROKEN = "Something went wrong on our side, and it was noted. Try again; if it happens again, tell your administrator."


def title(status: int) -> str:
    """A short heading for a status."""
    return TITLES.get(status) or HTTPStatus(status).phrase


def describe(error: BaseException) -> tuple[int, str] | None:
    """The status and sentence of an error that is ours to explain; None for a fault of the program."""
    if isinstance(error, GlasscaseError):
        return error.status, error.sentence
    if isinstance(error, LogUnavailable):
        return 503, str(error)
    if isinstance(error, (OperationalError, InterfaceError)):
        return 503, DOWN
    return None


def body(status: int, sentence: str, error: BaseException | None = None) -> dict[str, Any]:
    """The problem details of an answer."""
    problem: dict[str, Any] = {"status": status, "title": title(status), "detail": sentence}
    errors = getattr(error, "field_errors", None)
    if errors:
        problem["errors"] = errors
    refusals = getattr(error, "refusals", None)
    if refusals:
        problem["refusals"] = [{"rule": refusal.code, "sentence": refusal.sentence} for refusal in refusals]
    return problem


def answer(request: HttpRequest, status: int, sentence: str, error: BaseException | None = None) -> HttpResponse:
    """A page, or problem details below /api/. Failures (5xx) are rendered without looking at session or database."""
    if request.path.startswith("/api/"):
        return JsonResponse(body(status, sentence, error), status=status, content_type="application/problem+json")
    context = {"title": title(status), "status": status, "sentence": sentence, "error": error}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return HttpResponse(render_to_string("core/unavailable.html", context), status=status)
    return render(request, "core/error.html", context, status=status)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the same shape whatever was raised; None leaves a fault to Django."""
    if isinstance(error, Http404):
        error = exceptions.NotFound(NOT_FOUND)
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(NOT_ALLOWED)
    explained = describe(error)
    if explained is not None:
        status, sentence = explained
        problem = body(status, sentence, error)
        headers: dict[str, str] = {}
    else:
        response = exception_handler(error, context)
        if response is None or not isinstance(error, exceptions.APIException):
            return None
        if isinstance(error, exceptions.ValidationError):
            status, sentence = 422, "Something is missing or wrong: see the fields."
            problem = {**body(status, sentence), "errors": error.detail}
        else:
            status = response.status_code
            problem = body(status, str(error.detail))
        headers = {name: response[name] for name in ("WWW-Authenticate", "Retry-After") if name in response}
    return Response(problem, status=status, headers=headers, content_type="application/problem+json")
