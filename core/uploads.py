"""Files that people send: kept in memory while the request lasts, never on a disk, and only so much of them.

Django would write everything larger than a few megabytes into a temporary file: a photo of somebody in clear, outside the
key store. What is beyond the limit is read and dropped; what is kept is then too large for every service, which says so.
"""

from __future__ import annotations

import io
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler

LARGEST_FILE: Final = 26 * 1000 * 1000
"""Bytes kept of one file: more than any service takes, so that nothing cut off is ever taken for whole."""
LARGEST_REQUEST: Final = 2 * LARGEST_FILE
"""Bytes kept of all files of one request: a photo and a document."""


class Memory(FileUploadHandler):
    """Keeps the files of one request in memory."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._kept = 0
        self._file = io.BytesIO()

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file begins."""
        super().new_file(*args, **kwargs)
        self._file = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """A part of the file; what is beyond its limit is dropped. Raises RequestDataTooBig for too much in all."""
        self._kept += self._file.write(raw_data[: max(LARGEST_FILE - self._file.tell(), 0)])
        if self._kept > LARGEST_REQUEST:
            raise RequestDataTooBig("The files of this request are too large together.")

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        """The file ends; `file_size` is what was sent."""
        size = self._file.tell()
        self._file.seek(0)
        return InMemoryUploadedFile(
            self._file, self.field_name, self.file_name, self.content_type, size, self.charset, self.content_type_extra
        )
