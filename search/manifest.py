"""Manifests: CSV files that say which photo shows whom. Read row by row; a bad row is reported, not fatal."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from core.exceptions import Invalid

PERSON: Final = "person_id"
FILE: Final = "file"
MAX_BYTES: Final = 256 * 1024 * 1024
MAX_COLUMNS: Final = 32
LONGEST_PERSON: Final = 200
LONGEST_FILE: Final = 500
LONGEST_VALUE: Final = 200


@dataclass(frozen=True)
class Row:
    """One row; `number` counts from 1 without the heading. With a `reason` it cannot be enrolled."""

    number: int
    person_ref: str
    file: str
    attributes: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A row that was not enrolled, and why."""

    row: int
    person_ref: str
    file: str
    reason: str
    sentence: str


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read: `folder` holds its photos, `sha256` is that of its bytes."""

    folder: Path
    sha256: str
    rows: list[Row]


def read(path: Path) -> Manifest:
    """Read a manifest with the columns person_id and file; all others become attributes.

    Files are given relative to the manifest's folder and have to lie inside it. Raises Invalid (field manifest) when the
    file cannot be read as such a table.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid("The manifest is too large. Split it into several.")
        data = path.read_bytes()
    except OSError as problem:
        raise _invalid(f"The manifest {path} cannot be read ({problem.strerror}).") from problem
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid("The manifest is not UTF-8 text. Save it as CSV in UTF-8.") from None
    try:
        rows = list(_rows(csv.DictReader(io.StringIO(text, newline=""), strict=True)))
    except csv.Error as problem:
        raise _invalid(f"The manifest is not a CSV table: {problem}.") from problem
    if not rows:
        raise _invalid("The manifest has no rows. Write one row for each photo.")
    return Manifest(path.resolve().parent, hashlib.sha256(data).hexdigest(), rows)


def inside(folder: Path, file: str) -> Path | None:
    """The real path of a row's file if it lies inside the folder, links followed; else None."""
    place = Path(os.path.realpath(folder / file))
    return place if place.is_relative_to(os.path.realpath(folder)) else None


def shown(text: str, longest: int) -> str:
    """The beginning of a text from a file, without what cannot be shown."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:longest]
    )


def _rows(table: csv.DictReader[str]) -> Iterator[Row]:
    columns = list(table.fieldnames or [])
    missing = [name for name in (PERSON, FILE) if name not in columns]
    if missing:
        raise _invalid(f"The manifest has no column {missing[0]!r}. Its first line names the columns.")
    if len(columns) > MAX_COLUMNS or len(set(columns)) != len(columns):
        raise _invalid(f"The manifest needs different names for its columns, and at most {MAX_COLUMNS} of them.")
    first: dict[str, int] = {}
    for number, values in enumerate(table, 1):
        row = _row(number, values)
        if not row.reason:
            earlier = first.setdefault(row.file, number)
            if earlier != number:
                row = _left_out(row, "same_photo", f"Row {earlier} names the same file.")
        yield row


def _row(number: int, values: dict[str, str]) -> Row:
    extra = values.pop(None, None)  # type: ignore[call-overload]  # where csv puts what has no column
    plain = {name: (value or "").strip() for name, value in values.items()}
    person_ref, file = plain.pop(PERSON), plain.pop(FILE)
    attributes = {name: value for name, value in plain.items() if name and value}
    row = Row(number, shown(person_ref, LONGEST_PERSON), shown(file, LONGEST_FILE), attributes)
    everything = [person_ref, file, *attributes, *attributes.values()]
    if extra is not None:
        return _left_out(row, "bad_row", "The row has more values than there are columns.")
    if not all(value.isprintable() for value in everything):
        return _left_out(row, "bad_row", "The row holds characters that cannot be shown.")
    if not person_ref or len(person_ref) > LONGEST_PERSON:
        return _left_out(row, "bad_row", f"The person_id is missing or longer than {LONGEST_PERSON} characters.")
    if not file or len(file) > LONGEST_FILE:
        return _left_out(row, "bad_row", f"The file is missing or longer than {LONGEST_FILE} characters.")
    if any(len(value) > LONGEST_VALUE for value in (*attributes, *attributes.values())):
        return _left_out(row, "bad_row", f"A value is longer than {LONGEST_VALUE} characters.")
    normal = PurePosixPath(file)
    if normal.is_absolute() or ".." in normal.parts:
        return _left_out(row, "outside_folder", "The file has to lie inside the manifest's folder.")
    return Row(number, person_ref, str(normal), attributes)


def _left_out(row: Row, reason: str, sentence: str) -> Row:
    attributes = {} if reason == "bad_row" else row.attributes
    return Row(row.number, row.person_ref, row.file, attributes, reason, sentence)


def _invalid(sentence: str) -> Invalid:
    return Invalid(sentence, {"manifest": [sentence]})
