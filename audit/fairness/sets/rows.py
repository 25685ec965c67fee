"""Rows of benchmark sets: tables read row by row, and what is said of a row that cannot be used."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# (done, total)
Progress = Callable[[int, int], None]


class DatasetError(ValueError):
    """A benchmark set cannot be used at all; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class LeftOut:
    """One row that is not used. `row` counts lines of a table (the header is 1) or rows of an array (from 1)."""

    row: int
    what: str  # the file, or the person where there is no file
    code: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns, each row with the number of its line, and the SHA-256 of its bytes.

    A row with more cells than there are columns has the rest under the key "".
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str | None]]]
    sha256: str


def read_bytes(path: Path) -> bytes:
    """The bytes of a small file of a set. DatasetError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read: {error.strerror}.") from error


def read_text(path: Path) -> str:
    """The text of a small file of a set, without a byte order mark. DatasetError when it is not UTF-8."""
    return _text(path, read_bytes(path))


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8 text. Save it in UTF-8.") from error


def read_table(path: Path, required: Sequence[str]) -> Table:
    """Read a CSV file with a header. DatasetError when it is none or lacks a column."""
    data = read_bytes(path)
    reader = csv.DictReader(io.StringIO(_text(path, data), newline=""), restkey="", strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        for column in required:
            if column not in header:
                raise DatasetError(f'{path.name} has no column "{column}". Its columns: {", ".join(header) or "none"}.')
        if len(set(header)) != len(header):
            raise DatasetError(f"{path.name} has two columns with the same name.")
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DatasetError(csv_problem(path, reader.line_num, error)) from error
    return Table(tuple(header), rows, hashlib.sha256(data).hexdigest())


def csv_problem(path: Path, line: int, error: csv.Error) -> str:
    """Why a file is not CSV, as a sentence."""
    if "field larger" in str(error):
        limit = csv.field_size_limit()
        return (
            f"Near line {line} of {path.name} a cell has more than {limit:,} characters. Is a quotation mark missing?"
        )
    return f"Line {line} of {path.name} is not CSV: {error}."
