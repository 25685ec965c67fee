"""Refusals and failures as answers: a page for people, JSON for the API. One shape for each.

The API's: `{"code": "conflict", "sentence": …, "fields": {field: [sentence]}, "refusals": [{"rule", "field", "sentence",
"citation", "caveat"}]}`, always with all four.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

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
CODES: Mapping[int, str] = {
    400: "unreadable",
    401: "not_signed_in",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_known",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many",
    500: "failed",
    503: "unavailable",
}
REFUSED = "refused"
# The SQLSTATE by which the log and the gate say that they take nothing now: the log is frozen.
_CLOSED = "GC503"
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
    refusal = error.__cause__ if isinstance(error, DatabaseError) else error
    if isinstance(refusal, psycopg.Error) and refusal.sqlstate == _CLOSED:
        return 503, refusal.diag.message_primary or DOWN
    # Django's connection, and the own ones on which entries and acts of the gate are committed.
    if isinstance(error, (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)):
        return 503, DOWN
    return None


def body(status: int, sentence: str, error: BaseException | None = None) -> dict[str, Any]:
    """The API's answer."""
    refusals = getattr(error, "refusals", None) or []
    return {
        "code": REFUSED if refusals else CODES.get(status, "failed"),
        "sentence": sentence,
        "fields": dict(getattr(error, "field_errors", None) or {}),
        "refusals": [
            {
                "rule": refusal.code,
                "field": refusal.field,
                "sentence": refusal.sentence,
                "citation": refusal.citation,
                "caveat": refusal.caveat,
            }
            for refusal in refusals
        ],
    }


def answer(request: HttpRequest, status: int, sentence: str, error: BaseException | None = None) -> HttpResponse:
    """A page, or JSON below /api/. Failures (5xx) are rendered without looking at session or database."""
    if request.path.startswith("/api/"):
        return JsonResponse(body(status, sentence, error), status=status)
    context = {"title": title(status), "status": status, "sentence": sentence, "error": error}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return HttpResponse(render_to_string("core/unavailable.html", context), status=status)
    return render(request, "core/error.html", context, status=status)
