"""Zip files that are sent while they are made: nothing larger than one piece is held in memory or on a disk."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final

Member = tuple[str, Iterable[bytes]]  # name, and content in pieces

_PIECE: Final = 64 * 1024  # bytes


class _Sent:
    """What the zip module writes to; it cannot go back."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing below to flush."""

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        self.waiting = 0
        return taken


def stream(members: Iterable[Member]) -> Iterator[bytes]:
    """The bytes of a zip file with these members. One that breaks off has no directory, so no program opens it."""
    sent = _Sent()
    now = time.gmtime()[:6]
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, pieces in members:
            member = zipfile.ZipInfo(name, now)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            with archive.open(member, "w", force_zip64=True) as file:
                for piece in pieces:
                    file.write(piece)
                    if sent.waiting >= _PIECE:
                        yield sent.take()
            yield sent.take()
    yield sent.take()
