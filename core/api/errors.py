"""Every answer of the API that is no success has one shape: `core.problems.body`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core import problems

WHOLE = "request"
"""The name under which stands what is wrong with a request as a whole."""
_SEE_FIELDS = "Something is missing or wrong: see the fields."
_log = structlog.get_logger(__name__)

_SENTENCES: Mapping[type[exceptions.APIException], str] = {
    exceptions.NotAuthenticated: "Sign in first: send a token as `Authorization: Bearer …`.",
    exceptions.NotFound: problems.NOT_FOUND,
    exceptions.MethodNotAllowed: "This address does not know this method. See the schema at /api/v1/schema/.",
    exceptions.NotAcceptable: "This address cannot answer in the format that was asked for. Accept another one.",
    exceptions.UnsupportedMediaType: "This address does not take this kind of content. See the schema.",
}


class TooLarge(exceptions.APIException):
    """The body is larger than this address takes; nothing of it was read."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None leaves a fault of the program to Django, which answers 500 and logs it."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, RequestDataTooBig):
        error = TooLarge("The request is too large.")
    elif isinstance(error, SuspiciousOperation):
        error = exceptions.ParseError("The request cannot be read.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(problems.NOT_ALLOWED)
    explained = problems.describe(error)
    if explained is not None:
        if explained[0] >= status.HTTP_500_INTERNAL_SERVER_ERROR:
            _log.warning("unavailable", error=type(error).__name__)
        return Response(problems.body(*explained, error), status=explained[0])
    response = exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, exceptions.ValidationError):
        body = problems.body(422, _SEE_FIELDS)
        body["fields"] = flat(error.detail)
        return Response(body, status=422)
    headers = {name: response[name] for name in ("WWW-Authenticate", "Retry-After") if name in response}
    sentence = _SENTENCES.get(type(error)) or str(error.detail)
    return Response(problems.body(response.status_code, sentence), status=response.status_code, headers=headers)


def flat(detail: Any, name: str = "") -> dict[str, list[str]]:
    """What a serializer says as one level: {"rows.2.number": ["…"]}."""
    if isinstance(detail, Mapping):
        parts = [(WHOLE if key == "non_field_errors" else str(key), value) for key, value in detail.items()]
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        sentences = [str(each) for each in detail if isinstance(each, str)]
        found = {name or WHOLE: sentences} if sentences else {}
        for place, value in enumerate(detail):
            if not isinstance(value, str):
                found |= flat(value, f"{name}.{place}" if name else str(place))
        return found
    else:
        return {name or WHOLE: [str(detail)]}
    flattened: dict[str, list[str]] = {}
    for key, value in parts:
        flattened |= flat(value, f"{name}.{key}" if name else key)
    return flattened
