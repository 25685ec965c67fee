"""BFW: one table of pairs (fold,p1,p2,label,id1,id2,att1,att2, … and a column of scores for each model) and photos.

The photos are below the table's folder as p1 and p2 name them (asian_females/n000009/0010_01.jpg).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.fairness.sets.listing import Listing, Pair, once_each
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, LeftOut, read_table

TABLE: Final = "bfw-datatable.csv"
COLUMNS: Final = ("fold", "p1", "p2", "label", "id1", "id2", "att1", "att2")
# A column of the table for each label, and what we call it.
_LABELS: Final = {"subgroup": "att", "sex": "g", "ethnicity": "e"}


def read_bfw(folder: Path) -> Listing:
    """The pairs of BFW's table and the photos they name; subgroup, sex and ethnicity as the set's authors assigned."""
    path = bfw_table(folder)
    table = read_table(path, COLUMNS)
    labels = {name: column for name, column in _LABELS.items() if {f"{column}1", f"{column}2"} <= set(table.columns)}
    pairs: list[Pair] = []
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for line, cells in table.rows:
        text = {name: (value or "").strip() for name, value in cells.items() if name}
        if "" in cells or text["label"] not in ("0", "1", "0.0", "1.0") or not text["fold"].isdecimal():
            reason = f"Line {line}: the fold is a number and the label 0 or 1, in as many cells as the header has."
            left_out.append(LeftOut(line, text["p1"][:200], "bad_pair", reason))
            continue
        same = text["label"][0] == "1"
        if same != (text["id1"] == text["id2"]):
            reason = f"Line {line}: the label says {'one person' if same else 'two people'}, id1 and id2 do not."
            left_out.append(LeftOut(line, text["p1"][:200], "contradiction", reason))
            continue
        pairs.append(Pair(line, text["p1"], text["p2"], same, int(text["fold"])))
        rows += [
            Row(line, text[f"id{side}"], text[f"p{side}"], {name: text[f"{at}{side}"] for name, at in labels.items()})
            for side in (1, 2)
        ]
    return Listing(path.parent, once_each(rows), tuple(labels), tuple(pairs), tuple(left_out))


def bfw_table(folder: Path) -> Path:
    """The table itself, or in the folder that was named. DatasetError when there is none."""
    path = folder / TABLE if folder.is_dir() else folder
    if not path.is_file():
        raise DatasetError(f"There is no table {path}. Name BFW's {TABLE} or the folder that holds it.")
    return path
