"""What a published layout names, before any file is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, LeftOut

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
PEOPLE: Final = "people.csv"


@dataclass(frozen=True)
class Pair:
    """One pair of a protocol with fixed pairs. `fold` counts from 1; 0 where the protocol has none."""

    line: int
    file_a: str
    file_b: str
    same: bool
    fold: int


@dataclass(frozen=True)
class Listing:
    """The photos (below `folder`) and pairs that a layout names. `columns`: its cohort columns."""

    folder: Path
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def once_each(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows without repetitions of a file: pair lists name a photo as often as they use it."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.file, row)
    return tuple(found.values())


def directory(folder: Path, *names: str) -> Path:
    """A directory of a layout. DatasetError naming what is missing."""
    place = folder.joinpath(*names)
    if not place.is_dir():
        raise DatasetError(f"There is no directory {place}. Name the directory that holds the set as it was published.")
    return place
