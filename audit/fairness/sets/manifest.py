"""Manifests: CSV files with the columns `person_id` and `file` (relative to the manifest's folder) and cohort columns.

What cannot be used is left out and reported, row by row; what makes the whole set unusable is a DatasetError.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.fairness.cohorts import columns_of
from audit.fairness.sets.photos import PhotoSet, Row, collect
from audit.fairness.sets.rows import Progress, Table, read_table

REQUIRED = ("person_id", "file")


def read_manifest(path: Path, cohort_columns: Sequence[str], progress: Progress | None = None) -> PhotoSet:
    """Read and check a manifest and hash its photos. `cohort_columns` may name intersections ("sex x birth_year").

    DatasetError when the file is not such a CSV, a column is missing or nothing is left.
    """
    columns = sorted({column for axis in cohort_columns if axis for column in columns_of(axis)})
    table = read_table(path, [*REQUIRED, *columns])
    return collect(
        path.stem, path.parent, rows_of(table, columns), columns, table.sha256, source=path.name, progress=progress
    )


def rows_of(table: Table, columns: Sequence[str]) -> list[Row]:
    """The rows of a manifest's table with these cohort columns."""
    return [
        Row(
            line,
            (cells["person_id"] or "").strip(),
            (cells["file"] or "").strip(),
            {column: cells[column] or "" for column in columns},
            too_many_cells="" in cells,
        )
        for line, cells in table.rows
    ]
