"""Benchmark sets: a manifest of photos, or embeddings that somebody else computed, read row by row.

A manifest is a CSV file with the columns `person_id` and `file` (relative to the manifest's folder) and any cohort
columns. What cannot be used is left out and reported, row by row; what makes the whole set unusable is a DatasetError.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.fairness.cohorts import UNKNOWN, cohort_labels, columns_of, label_in
from audit.fairness.comparisons import Floats

REQUIRED = ("person_id", "file")
MAX_PERSON_ID = 200
MAX_DIMENSION = 4096


class DatasetError(ValueError):
    """A benchmark set cannot be used at all; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class LeftOut:
    """One row that is not used. `row` counts lines of a manifest (the header is 1) or rows of an array (from 1)."""

    row: int
    what: str  # the file, or the person where there is no file
    code: str
    reason: str


@dataclass(frozen=True)
class Photo:
    """One usable row of a manifest."""

    row: int
    person: str
    file: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class PhotoSet:
    """A manifest that was read. `labels`: column -> one label for each photo; `set_hash` freezes manifest and files."""

    name: str
    photos: tuple[Photo, ...]
    labels: Mapping[str, tuple[str, ...]]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    set_hash: str

    @property
    def people(self) -> list[str]:
        return [photo.person for photo in self.photos]


@dataclass(frozen=True, eq=False)
class Samples:
    """What an evaluation measures: one row per photo.

    people        (n,) person of each photo
    labels        column -> (n,) cohort labels
    embeddings    (n, d) float32; rows without an embedding are zero
    extracted     (n,) bool: False where the photo gave no embedding (a failure to extract)
    """

    name: str
    people: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    embeddings: Floats
    extracted: npt.NDArray[np.bool_]
    set_hash: str
    left_out: tuple[LeftOut, ...] = ()
    failures: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def cohorts(self, axis: str) -> list[str]:
        """The cohort of each photo for "sex", "sex x birth_year" or "" (everybody in one)."""
        return cohort_labels(self.labels, axis, len(self.people))


def read_manifest(
    path: Path, cohort_columns: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> PhotoSet:
    """Read and check a manifest and hash its photos. `cohort_columns` may name intersections ("sex x birth_year").

    DatasetError when the file is not such a CSV, a column is missing or nothing is left.
    """
    columns = sorted({column for axis in cohort_columns if axis for column in columns_of(axis)})
    rows, digest = _read_rows(path, columns)
    folder = path.parent.resolve()
    photos: list[Photo] = []
    cells: list[list[str]] = []
    left_out: list[LeftOut] = []
    seen_files: dict[Path, Photo] = {}
    seen_contents: dict[str, Photo] = {}
    for done, (line, row) in enumerate(rows, start=1):
        photo = _check_row(line, row, folder, seen_files, seen_contents)
        if isinstance(photo, LeftOut):
            left_out.append(photo)
        else:
            seen_files[photo.path] = seen_contents[photo.sha256] = photo
            photos.append(photo)
            cells.append([label_in(column, row[column] or "") for column in columns])
        if progress:
            progress(done, len(rows))
    if not photos:
        why = f" The first reason: {left_out[0].reason}" if left_out else ""
        raise DatasetError(f"No row of {path.name} can be used.{why}")
    raw = {column: [row[index] for row in cells] for index, column in enumerate(columns)}
    labels, notes = _one_label_per_person([photo.person for photo in photos], raw)
    files = "".join(f"{photo.sha256}  {photo.file}\n" for photo in sorted(photos, key=lambda photo: photo.file))
    set_hash = hashlib.sha256(f"glasscase/benchmark-set/v1\n{digest}\n{files}".encode()).hexdigest()
    return PhotoSet(path.stem, tuple(photos), labels, tuple(left_out), notes, set_hash)


def _read_rows(path: Path, columns: Sequence[str]) -> tuple[list[tuple[int, dict[str, str | None]]], str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"The manifest {path.name} cannot be read: {error.strerror}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"The manifest {path.name} is not UTF-8 text. Save it as CSV in UTF-8.") from error
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="", strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        for column in (*REQUIRED, *columns):
            if column not in header:
                raise DatasetError(f'{path.name} has no column "{column}". Its columns: {", ".join(header) or "none"}.')
        if len(set(header)) != len(header):
            raise DatasetError(f"{path.name} has two columns with the same name.")
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DatasetError(f"Line {reader.line_num} of {path.name} is not CSV: {error}.") from error
    return rows, hashlib.sha256(data).hexdigest()


def _check_row(
    line: int,
    row: Mapping[str, object],
    folder: Path,
    seen_files: Mapping[Path, Photo],
    seen_contents: Mapping[str, Photo],
) -> Photo | LeftOut:
    file, person = str(row["file"] or "").strip(), str(row["person_id"] or "").strip()

    def out(code: str, reason: str) -> LeftOut:
        return LeftOut(line, file or person, code, f"Line {line}: {reason}")

    if "" in row:
        return out("too_many_cells", "it has more cells than the header.")
    if not person:
        return out("no_person", "it names no person.")
    if len(person) > MAX_PERSON_ID or not person.isprintable():
        return out("bad_person", f"the person's id is longer than {MAX_PERSON_ID} characters or not printable.")
    if not file or not file.isprintable():
        return out("no_file", "it names no file." if not file else "the name of its file is not printable.")
    try:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder):
            return out("outside", f"{file} lies outside the manifest's folder.")
        if not path.is_file():
            return out("missing", f"{file} does not exist.")
        if path in seen_files:
            return _again(out, file, person, seen_files[path])
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return out("unreadable", f"{file} cannot be read: {error.strerror}.")
    if digest in seen_contents:
        return _again(out, file, person, seen_contents[digest])
    return Photo(line, person, file, path, digest)


def _again(out: Callable[[str, str], LeftOut], file: str, person: str, first: Photo) -> LeftOut:
    if first.person == person:
        return out("duplicate", f"{file} is the same photo as in line {first.row}.")
    return out("two_people", f"{file} is the same photo as in line {first.row}, where it shows {first.person}.")


def _one_label_per_person(
    people: Sequence[str], raw: Mapping[str, Sequence[str]]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Labels belong to people: blanks take the person's other label, contradictions become "unknown" with a note.
    Labels that differ only in upper and lower case are one, in the spelling that comes first."""
    labels: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for column, values in raw.items():
        spelling: dict[str, str] = {}
        of_person: dict[str, str] = {}
        torn: set[str] = set()
        for person, value in zip(people, values, strict=True):
            label = spelling.setdefault(value.casefold(), value)
            known = of_person.setdefault(person, label)
            if known == UNKNOWN:
                of_person[person] = label
            elif label not in (UNKNOWN, known):
                torn.add(person)
        notes += [f'Person {person} has different labels in "{column}": counted as unknown.' for person in sorted(torn)]
        labels[column] = tuple(UNKNOWN if person in torn else of_person[person] for person in people)
    return labels, tuple(notes)


def read_embeddings(path: Path) -> Samples:
    """Read an .npz file: `embeddings` (n, d) floats, `person_id` (n,), every other array of n texts or integers a
    cohort column. Rows whose embedding is zero or not a number are failures to extract; repeated rows are left out.

    DatasetError when the arrays are missing, do not fit together or hold Python objects.
    """
    vectors, people, raw = _read_arrays(path)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    extracted = np.isfinite(norms) & (norms > 0)
    failures, left_out, keep = [], [], []
    seen: dict[bytes, int] = {}
    for index, person in enumerate(people):
        row = index + 1
        if not person or len(person) > MAX_PERSON_ID or not person.isprintable():
            left_out.append(LeftOut(row, person, "no_person", f"Row {row}: it has no usable person id."))
            continue
        if extracted[index]:
            first = seen.setdefault(hashlib.blake2b(vectors[index].tobytes(), digest_size=16).digest(), index)
            if first != index:
                same = people[first] == person
                whose = "" if same else f", where it is of {people[first]}"
                code = "duplicate" if same else "two_people"
                left_out.append(
                    LeftOut(row, person, code, f"Row {row}: the same embedding as in row {first + 1}{whose}.")
                )
                continue
        else:
            what = "zero" if norms[index] == 0 else "not a number"
            failures.append(
                LeftOut(row, person, "no_embedding", f"Row {row}: its embedding is {what}: a failure to extract.")
            )
        keep.append(index)
    if not extracted[keep].any():
        raise DatasetError(f"{path.name} holds no usable embedding.")
    chosen = [people[index] for index in keep]
    labels, notes = _one_label_per_person(
        chosen, {column: [label_in(column, values[index]) for index in keep] for column, values in raw.items()}
    )
    vectors[~extracted] = 0
    everything = len(keep) == len(people)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Samples(
        path.stem,
        chosen,
        labels,
        vectors if everything else vectors[keep],
        extracted if everything else extracted[keep],
        digest,
        tuple(left_out),
        tuple(failures),
        notes,
    )


def _read_arrays(path: Path) -> tuple[Floats, list[str], dict[str, list[str]]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path.name} is not an .npz file that can be read.") from error
    except (ValueError, TypeError) as error:  # object arrays; a plain .npy, which is no archive
        raise DatasetError(
            f"{path.name} holds something else than plain arrays. Embeddings of different lengths cannot be compared: "
            "save one table of floats per face model."
        ) from error
    for name in ("embeddings", "person_id"):
        if name not in arrays:
            raise DatasetError(f'{path.name} has no array "{name}". Its arrays: {", ".join(sorted(arrays)) or "none"}.')
    vectors = arrays.pop("embeddings")
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size or vectors.shape[1] > MAX_DIMENSION:
        raise DatasetError(
            f'"embeddings" must be a table of floats with one row per photo and at most {MAX_DIMENSION} columns; it '
            f"has the shape {vectors.shape} and the type {vectors.dtype}."
        )
    count = len(vectors)
    texts: dict[str, list[str]] = {}
    for name, array in sorted(arrays.items()):
        if array.shape != (count,) or array.dtype.kind not in "USiub":
            raise DatasetError(f'"{name}" must hold one text or integer for each of the {count} embeddings.')
        values = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        texts[name] = [str(value).strip() for value in values.tolist()]
    with np.errstate(over="ignore"):
        return vectors.astype(np.float32, copy=False), texts.pop("person_id"), texts
