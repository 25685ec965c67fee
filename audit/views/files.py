"""Files as answers: to be saved, never shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

from django.http import HttpResponse, StreamingHttpResponse

Answer = TypeVar("Answer", HttpResponse, StreamingHttpResponse)

ENTRY_TYPE: Final = "application/json"
RECEIPT_TYPE: Final = "text/plain; charset=utf-8"
PROGRAM_TYPE: Final = "application/octet-stream"
ZIP_TYPE: Final = "application/zip"


def file(data: bytes, content_type: str, name: str) -> HttpResponse:
    """A file at once."""
    return _saved(HttpResponse(data, content_type=content_type), name)


def streamed(pieces: Iterator[bytes], name: str) -> StreamingHttpResponse:
    """A zip file, sent while it is made."""
    return _saved(StreamingHttpResponse(pieces, content_type=ZIP_TYPE), name)


def _saved(response: Answer, name: str) -> Answer:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
