"""FairFace: a table of photos with file, age, gender and race, and no identities.

Every photo counts as a person of its own, so there are impostor pairs and failures to extract, and no genuine pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.fairness.sets.listing import Listing
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, read_table

COLUMNS: Final = ("file", "age", "gender", "race")
NOTE: Final = (
    "This set names no people: each photo counts as a person of its own. It shows false matches and failures to "
    "extract, and no false non-matches. Two photos of one person would count as a false match."
)


def read_fairface(path: Path) -> Listing:
    """The photos of an attribute table (fairface_label_val.csv), below its folder; age stays the published band."""
    if not path.is_file():
        raise DatasetError(f"There is no table {path}. Name a CSV file with the columns {', '.join(COLUMNS)}.")
    table = read_table(path, COLUMNS)
    rows = []
    for line, cells in table.rows:
        file = (cells["file"] or "").strip()
        labels = {"sex": cells["gender"] or "", "race": cells["race"] or "", "age": cells["age"] or ""}
        rows.append(Row(line, file, file, labels, too_many_cells="" in cells))
    return Listing(path.parent, tuple(rows), ("age", "race", "sex"), notes=(NOTE,))
