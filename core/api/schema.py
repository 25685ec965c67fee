"""How the OpenAPI schema of the API is made: named operations, and one shape of refusals at each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import PUBLIC
from core.api.views import View

Handler = TypeVar("Handler", bound=Callable[..., Any])

DESCRIPTION: Final = """\
Everything that the pages of Glasscase do, for programs. Every search belongs to a case, carries a written reason, and is
recorded in a log that nobody can quietly change.

**Sign-in.** `Authorization: Bearer gct_…` with a token made under “My account” (`Token gct_…` works too), or the session of
a browser with its CSRF token.

**Refusals.** Whatever is no success has one shape, `Problem`: 422 something is missing or wrong, field by field; 403 you may
not; 404 there is no such thing for you; 409 not in this state; 413 too large; 503 a part of the system does not answer and
nothing was done. A refused search is an entry of the log with its reasons.

**A search.** `POST /requests/`, `PUT /requests/{id}/probe/`, wait until `GET /requests/{id}/faces/` says `checked`, choose
with `POST /requests/{id}/face/`, `POST /requests/{id}/submit/`; a supervisor answers `POST /requests/{id}/approve/`; an
examiner reads with `POST /requests/{id}/readings/` and decides with `POST /requests/{id}/decisions/`, then a second one
does; a supervisor answers `POST /requests/{id}/release/`; the officer reads with `POST /leads/{id}/readings/`.
`GET /requests/{id}/receipts/` proves each step.
"""
_STATUSES: Final = {
    "400": "The request cannot be read.",
    "401": "Nobody is signed in, or the token does not work.",
    "403": "This person may not.",
    "404": "There is no such thing for this person.",
    "406": "The address has no such representation.",
    "409": "Not in this state.",
    "413": "The body is too large.",
    "415": "The address does not take this kind of content.",
    "422": "Something is missing or wrong: see the fields and the refusals.",
    "503": "A part of the system does not answer; nothing was done.",
}
_OF_BODIES: Final = {"400", "413", "415"}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Why something was refused.",
    "required": ["code", "sentence", "fields", "refusals"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "string", "description": "The kind of refusal, for programs."},
        "sentence": {"type": "string", "description": "What to do, for the person who asked."},
        "fields": {
            "type": "object",
            "description": "What is wrong, field by field.",
            "additionalProperties": _TEXTS,
        },
        "refusals": {
            "type": "array",
            "description": "The rules that refuse a search.",
            "items": {"$ref": "#/components/schemas/RuleRefusal"},
        },
    },
}
_REFUSAL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["rule", "field", "sentence", "citation", "caveat"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "field": {"type": "string"},
        "sentence": {"type": "string"},
        "citation": {"type": "string", "description": "The law; empty for a house rule."},
        "caveat": {"type": "string", "description": "A warning where the citation was not compared with its source."},
    },
}
BINARY: Final = OpenApiTypes.BINARY
_CONTENTS: Final = {"application/json": OpenApiTypes.OBJECT, "text/plain": OpenApiTypes.STR}


def operation(
    name: str,
    summary: str,
    *,
    takes: Any = None,
    gives: Any = None,
    status: int = 200,
    query: Any = None,
    media_type: str = "",
) -> Callable[[Handler], Handler]:
    """Describes a handler: input and output serializers, the status of success, a serializer of its parameters.

    With `media_type` the answer is a file of that type.
    """
    answer: Any = gives if gives is not None else OpenApiResponse(description="Done; no content.")
    key: Any = (status, media_type) if media_type else status
    return extend_schema(
        operation_id=name,
        summary=summary,
        request=takes,
        responses={key: _CONTENTS.get(media_type, BINARY) if media_type else answer},
        parameters=[query] if query is not None else None,
    )


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Postprocessing hook: every operation may answer with a Problem."""
    result["info"]["description"] = DESCRIPTION
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"], schemas["RuleRefusal"] = _PROBLEM, _REFUSAL
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {
        f"Problem{status}": {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, description in _STATUSES.items()
    }
    for path in result.get("paths", {}).values():
        for one in path.values():
            for status in sorted(_STATUSES if "requestBody" in one else _STATUSES.keys() - _OF_BODIES):
                one["responses"].setdefault(status, {"$ref": f"#/components/responses/Problem{status}"})
    return result


class SessionScheme(OpenApiAuthenticationExtension):
    """How the schema names a browser's session."""

    target_class = "core.api.session.Session"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The security scheme of OpenAPI 3."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


@cache
def document() -> dict[str, Any]:
    """The schema: the same for everybody, made once in a process."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


class SchemaView(View):
    """The OpenAPI schema, as committed in docs/openapi.yaml."""

    access = PUBLIC
    renderer_classes = (OpenApiYamlRenderer, OpenApiJsonRenderer)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(document())
