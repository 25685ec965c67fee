"""Photos of a benchmark set: each row checked, each file hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.fairness.cohorts import label_in
from audit.fairness.sets.labels import one_label_per_person
from audit.fairness.sets.rows import DatasetError, LeftOut, Progress

MAX_PERSON_ID = 200


@dataclass(frozen=True)
class Row:
    """One photo as a layout names it, not yet looked at. `labels`: raw cells by cohort column."""

    line: int
    person: str
    file: str
    labels: Mapping[str, str]
    too_many_cells: bool = False


@dataclass(frozen=True)
class Photo:
    """One usable photo."""

    row: int
    person: str
    file: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class PhotoSet:
    """Photos that were read. `labels`: column -> one label for each photo; `set_hash` freezes list and files."""

    name: str
    photos: tuple[Photo, ...]
    labels: Mapping[str, tuple[str, ...]]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    set_hash: str

    @property
    def people(self) -> list[str]:
        return [photo.person for photo in self.photos]


def collect(
    name: str,
    folder: Path,
    rows: Sequence[Row],
    columns: Sequence[str],
    digest: str,
    *,
    source: str,
    progress: Progress | None = None,
) -> PhotoSet:
    """Check every row and hash its file below `folder`. `digest` stands for the list itself in the hash of the set,
    `source` names it in messages. DatasetError when nothing is left.
    """
    folder = folder.resolve()
    photos: list[Photo] = []
    used: list[Row] = []
    left_out: list[LeftOut] = []
    seen_files: dict[Path, Photo] = {}
    seen_contents: dict[str, Photo] = {}
    for done, row in enumerate(rows, start=1):
        photo = _check(row, folder, seen_files, seen_contents)
        if isinstance(photo, LeftOut):
            left_out.append(photo)
        else:
            seen_files[photo.path] = seen_contents[photo.sha256] = photo
            photos.append(photo)
            used.append(row)
        if progress:
            progress(done, len(rows))
    if not photos:
        why = f" The first reason: {left_out[0].reason}" if left_out else ""
        raise DatasetError(f"No row of {source} can be used.{why}")
    raw = {column: [label_in(column, row.labels.get(column, "")) for row in used] for column in columns}
    labels, notes = one_label_per_person([photo.person for photo in photos], raw)
    files = "".join(f"{photo.sha256}  {photo.file}\n" for photo in sorted(photos, key=lambda photo: photo.file))
    set_hash = hashlib.sha256(f"glasscase/benchmark-set/v1\n{digest}\n{files}".encode()).hexdigest()
    return PhotoSet(name, tuple(photos), labels, tuple(left_out), notes, set_hash)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check(
    row: Row, folder: Path, seen_files: Mapping[Path, Photo], seen_contents: Mapping[str, Photo]
) -> Photo | LeftOut:
    file, person = row.file, row.person

    def out(code: str, reason: str) -> LeftOut:
        return LeftOut(row.line, (file or person)[:MAX_PERSON_ID], code, f"Line {row.line}: {reason}")

    if row.too_many_cells:
        return out("too_many_cells", "it has more cells than the header.")
    if not person:
        return out("no_person", "it names no person.")
    if len(person) > MAX_PERSON_ID or not person.isprintable():
        return out("bad_person", f"the person's id is longer than {MAX_PERSON_ID} characters or not printable.")
    if not file or not file.isprintable():
        return out("no_file", "it names no file." if not file else "the name of its file is not printable.")
    shown = file[:MAX_PERSON_ID]
    try:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder):
            return out("outside", f"{shown} lies outside the manifest's folder.")
        if not path.is_file():
            return out("missing", f"{shown} does not exist.")
        if path in seen_files:
            return _again(out, shown, person, seen_files[path])
        digest = file_sha256(path)
    except OSError as error:
        return out("unreadable", f"{shown} cannot be read: {error.strerror}.")
    if digest in seen_contents:
        return _again(out, shown, person, seen_contents[digest])
    return Photo(row.line, person, file, path, digest)


def _again(out: Callable[[str, str], LeftOut], file: str, person: str, first: Photo) -> LeftOut:
    if first.person == person:
        return out("duplicate", f"{file} is the same photo as in line {first.row}.")
    return out("two_people", f"{file} is the same photo as in line {first.row}, where it shows {first.person}.")
