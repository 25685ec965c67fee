"""The archive of checkpoints: every one that was published, written once and never again, outside the database.

    <directory>/<hex SHA-256 of the origin>/000/000/000/012/345.<16 hex digits of the note's SHA-256>

is a checkpoint of 12,345 entries. A signer that was restored together with its database finds here what it has signed
since. That helps only as far as the archive is not restored with them: keep it on another machine or on media that can
be written once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from audit.log.checkpoint import MAX_NOTE_SIZE, NoteError, SignedCheckpoint, VerifierKey, open_checkpoint
from core import state

_GROUPS: Final = 5  # of three digits each
_MODE: Final = 0o400
_ATTEMPTS: Final = 100


class ArchiveDamaged(OSError):
    """A checkpoint cannot be put into the archive, because what stands in its place is something else."""


class Archive:
    """The checkpoints of the log `origin` below `directory`. Nothing here overwrites or removes a file."""

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        self._top = directory / hashlib.sha256(origin.encode()).hexdigest()

    def keep(self, size: int, note: bytes) -> None:
        """Put a checkpoint of `size` entries into the archive: on disk when this returns. Harmless to repeat.

        A file that a killed process left unfinished stays; the whole one gets the same name and a number behind it.
        Raises OSError where the archive cannot be written.
        """
        digits = f"{size:0{3 * _GROUPS}d}"
        *folders, last = (digits[at : at + 3] for at in range(0, len(digits), 3))
        name = f"{last}.{hashlib.sha256(note).hexdigest()[:16]}"
        for attempt in range(_ATTEMPTS):
            place = self._top.joinpath(*folders, f"{name}.{attempt}" if attempt else name)
            try:
                state.create_durably(place, note, mode=_MODE)
            except FileExistsError:
                if _read(place) != note:
                    continue
                # Whoever wrote it may have been killed before it was on disk.
                state.flush_directory(place.parent)
            return
        raise ArchiveDamaged(f"{self._top} holds {_ATTEMPTS} damaged files for the checkpoint of {size} entries.")

    def holds(self, note: bytes, size: int) -> bool:
        """Whether exactly this checkpoint of `size` entries is in the archive."""
        equal = takewhile(lambda found: found[0] == size, self._descending(size))
        return any(_read(place) == note for _, place in equal)

    def largest(self, keys: Sequence[VerifierKey]) -> SignedCheckpoint | None:
        """The largest checkpoint that verifies under one of `keys`, or None. Unfinished files are passed over."""
        return next(self.checkpoints(keys), None)

    def checkpoints(self, keys: Sequence[VerifierKey], *, up_to: int | None = None) -> Iterator[SignedCheckpoint]:
        """The checkpoints of at most `up_to` entries that verify under one of `keys`, the largest first."""
        for size, place in self._descending(up_to):
            with contextlib.suppress(NoteError):
                signed = open_checkpoint(_read(place), keys)
                if signed.checkpoint.size == size:
                    yield signed

    def _descending(self, up_to: int | None = None) -> Iterator[tuple[int, Path]]:
        """Size and file of every checkpoint, the largest size first."""
        limit = 10 ** (3 * _GROUPS) if up_to is None else up_to

        def walk(folder: Path, start: int, depth: int) -> Iterator[tuple[int, Path]]:
            span = 1000 ** (_GROUPS - depth - 1)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for place in sorted(folder.iterdir(), key=lambda found: found.name, reverse=True):
                    digits = place.name[:3]
                    first = start + int(digits) * span if digits.isdecimal() and digits.isascii() else limit + 1
                    if first > limit:
                        continue
                    if depth == _GROUPS - 1:
                        yield first, place
                    else:
                        yield from walk(place, first, depth + 1)

        return walk(self._top, 0, 0)


def _read(place: Path) -> bytes:
    with place.open("rb") as file:
        return file.read(MAX_NOTE_SIZE + 1)
