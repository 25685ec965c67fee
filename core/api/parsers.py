"""Parsers that refuse what is too large before they read it.

The web server hands over no more bytes than Content-Length says, so the header is a limit that holds.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Mapping
from typing import IO, Any, ClassVar, Final

from rest_framework import parsers
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.utils import json as strict_json

from core.api.errors import TooLarge

SMALL: Final = 256 * 1024
TABLE: Final = 2 * 1024 * 1024
SET: Final = 64 * 1000 * 1000
FILE: Final = 26 * 1000 * 1000
"""A little more than the largest file, so that its own sentence is said about a file that is just too large."""


def limit(context: Mapping[str, Any] | None, most: int) -> None:
    """Raises TooLarge when the body has more than `most` bytes."""
    request: Request | None = (context or {}).get("request")
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0) if request is not None else 0
    except ValueError:
        raise ParseError("The length of the request is no number.") from None
    if length > most:
        raise TooLarge(f"The request has {length / 1e6:.1f} MB; at most {most / 1e6:.1f} MB are taken here.")


class JSON(parsers.JSONParser):
    """JSON of at most `most` bytes."""

    most: ClassVar[int] = SMALL

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit(parser_context, self.most)
        try:
            text = codecs.decode(stream.read(), "utf-8")
            return json.loads(text, parse_constant=strict_json.strict_constant)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"This is not JSON: {error}.") from None


class Table(JSON):
    """JSON that may hold many rows."""

    most = TABLE


class CSV(parsers.BaseParser):
    """A table as text/csv in UTF-8 with a heading; the same as JSON {"rows": [{column: value}]}."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, list[dict[str, str]]]:
        limit(parser_context, TABLE)
        try:
            text = stream.read().decode("utf-8-sig")
            table = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="", restval="")
            rows = [{key: value for key, value in row.items() if key} for row in table]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValidationError({"rows": [f"This is not a CSV table in UTF-8: {error}."]}) from None
        return {"rows": rows}


class Form(parsers.MultiPartParser):
    """A form with a file."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit(parser_context, FILE)
        return super().parse(stream, media_type, parser_context)


class Zip(parsers.BaseParser):
    """A set of photos as the body itself."""

    media_type = "application/octet-stream"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        limit(parser_context, SET)
        return {"set": stream.read()}


class _Photo(parsers.BaseParser):
    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        limit(parser_context, FILE)
        return {"probe": stream.read()}


class JPEGPhoto(_Photo):
    """A photo as the body itself."""

    media_type = "image/jpeg"


class PNGPhoto(_Photo):
    """A photo as the body itself."""

    media_type = "image/png"


class WebPPhoto(_Photo):
    """A photo as the body itself."""

    media_type = "image/webp"
