"""What every view of the API shares. Views read the input, call one service and write the output; they hold no rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpResponse
from rest_framework import pagination
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from core.access import Access
from core.api.parsers import JSON
from core.exceptions import Invalid, NotAllowed
from core.models import User

Row = TypeVar("Row", bound=Model)


class Pages(pagination.PageNumberPagination):
    """`?page=2&page_size=100`: {"count", "next", "previous", "results"}."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class View(APIView):
    """A view of the API. `access` says who may knock: on the class, or on a handler by the decorators of `core.access`."""

    access: ClassVar[Access]
    parser_classes: Any = (JSON,)
    pagination_class: ClassVar[type[Pages] | None] = None

    @property
    def person(self) -> User:
        """Who asks. Raises NotAllowed for a view that was declared wrongly."""
        user = self.request.user
        if not isinstance(user, User):
            raise NotAllowed("Sign in first.")
        return user

    def given(self, form: type[Serializer[Any]], data: Any = None, *, partial: bool = False) -> dict[str, Any]:
        """The body, read by an input serializer. Raises ValidationError."""
        read = form(data=self.request.data if data is None else data, partial=partial, context={"by": self.person})
        read.is_valid(raise_exception=True)
        return dict(read.validated_data)

    def asked(self, form: type[Serializer[Any]]) -> dict[str, Any]:
        """The parameters after the question mark, read by an input serializer. Raises ValidationError."""
        return self.given(form, self.request.query_params)

    def answer(
        self, form: type[BaseSerializer[Any]], thing: Any, status: int = 200, *, many: bool = False, **context: Any
    ) -> Response:
        """The answer, written by an output serializer."""
        return Response(form(thing, many=many, context={"by": self.person, **context}).data, status=status)

    def pages(self, form: type[BaseSerializer[Any]], rows: QuerySet[Row]) -> Response:
        """One page of rows, written by an output serializer."""
        paginator = Pages()
        page = paginator.paginate_queryset(rows, self.request, view=self)
        return paginator.get_paginated_response(form(page, many=True, context={"by": self.person}).data)

    def uploaded(self, field: str) -> tuple[bytes, str]:
        """Content and name of the file in a form, or the body itself. Raises Invalid naming the field."""
        data = self.request.data
        file = data.get(field) if isinstance(data, Mapping) else None
        if isinstance(file, bytes):
            return file, field
        if file is None or not hasattr(file, "chunks"):
            sentence = "Choose a file."
            raise Invalid(sentence, {field: [sentence]})
        return file.read(), file.name or field

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Nothing that the API says is kept by caches."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished.setdefault("Cache-Control", "no-store")
        return finished


class _AnyType(DefaultContentNegotiation):
    """One representation, whatever the reader says to accept: refusals come as JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        chosen = next(iter(renderers))
        return chosen, str(chosen.media_type)


class Files(View):
    """A view whose answer is a file."""

    content_negotiation_class = _AnyType


def binary(content: bytes, media_type: str, name: str = "") -> HttpResponse:
    """A file as the answer, to be saved under `name` when there is one."""
    response = HttpResponse(content, content_type=media_type)
    response["X-Content-Type-Options"] = "nosniff"
    if name:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
