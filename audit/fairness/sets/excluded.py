"""Pairs of people whose labels a review found wrong: CSV files with the columns `person_a` and `person_b`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from audit.fairness.sets.rows import DatasetError, read_table

Pair = tuple[str, str]


def in_order(pairs: Iterable[Pair]) -> list[Pair]:
    """Each pair once, the lower id first, sorted: whoever says the same gets the same report."""
    return sorted({(min(pair), max(pair)) for pair in pairs})


def read_excluded(path: Path) -> list[Pair]:
    """The pairs of a file. DatasetError when it is no such file, a cell is empty or somebody is paired with themselves."""
    pairs = []
    for line, cells in read_table(path, ("person_a", "person_b")).rows:
        a, b = ((cells[column] or "").strip() for column in ("person_a", "person_b"))
        if not a or not b:
            raise DatasetError(f"Line {line} of {path.name} does not name two people.")
        if a == b:
            raise DatasetError(f"Line {line} of {path.name} names {a} twice. A pair to leave out has two people.")
        pairs.append((a, b))
    return in_order(pairs)
