"""Given pairs in a re-run bundle: who was compared with whom, the score, and each person's half and cohorts, by number.

People are numbered as they come in the table or the list of photos; no id of the set is in it. Columns are written and
read in blocks, so a bundle takes no memory for the table but that of the reader's own copy.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from audit.fairness.pairs import BLOCK, ROW, PairEvidence
from audit.fairness.scores import Ints

COLUMNS: Final = ROW.names or ()
_PART: Final = 1 << 22


def describe(evidence: PairEvidence) -> dict[str, Any]:
    """All but the table, for a JSON file."""
    return {
        "pairs": len(evidence.table),
        "choosing": np.flatnonzero(evidence.choosing).tolist(),
        "cohort": {division: _numbered(labels) for division, labels in evidence.cohort.items()},
        "photos": evidence.photos.tolist(),
        "lost": evidence.lost.tolist(),
    }


def _numbered(labels: Any) -> dict[str, Any]:
    names = sorted(set(labels))
    number = {name: place for place, name in enumerate(names)}
    return {"names": names, "of": [number[label] for label in labels]}


def add_columns(archive: zipfile.ZipFile, evidence: PairEvidence, member: Any) -> None:
    """Add each column of the table as an .npy file; member(name) gives its entry in the archive."""
    for column in COLUMNS:
        kind = ROW[column]
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": kind.str, "fortran_order": False, "shape": (len(evidence.table),)}
        )
        entry = member(f"{column}.npy")
        entry.file_size = len(head.getvalue()) + len(evidence.table) * kind.itemsize
        with archive.open(entry, "w") as out:
            out.write(head.getvalue())
            for block in evidence.blocks():
                out.write(np.ascontiguousarray(block[column]).tobytes())


def read(archive: zipfile.ZipFile, described: Mapping[str, Any], place: str) -> PairEvidence:
    """The evidence of a bundle. KeyError, TypeError or ValueError when it is not whole."""
    table = np.empty(described["pairs"], ROW)
    for column in COLUMNS:
        with archive.open(f"{place}{column}.npy") as data:
            if np.lib.format.read_magic(data) != (1, 0):
                raise ValueError(f"The column {column} has another format.")
            shape, _, kind = np.lib.format.read_array_header_1_0(data)
            if shape != table.shape or kind != ROW[column]:
                raise ValueError(f"The column {column} has another length or type.")
            for start in range(0, len(table), BLOCK):
                part = table[start : start + BLOCK]
                part[column] = np.frombuffer(_exactly(data, len(part) * kind.itemsize), kind)
    photos: Ints = np.array(described["photos"], np.int64)
    choosing = np.zeros(len(photos), dtype=bool)
    choosing[described["choosing"]] = True
    if len(table) and not 0 <= min(table["a"].min(), table["b"].min()) <= max(table["a"].max(), table["b"].max()) < len(
        photos
    ):
        raise ValueError("The table names people that there are not.")
    cohort = {division: [one["names"][n] for n in one["of"]] for division, one in described["cohort"].items()}
    return PairEvidence(table, choosing, cohort, photos, np.array(described["lost"], np.int64))


def _exactly(data: Any, wanted: int) -> bytes:
    found = data.read(wanted)
    while len(found) < wanted:
        more = data.read(min(_PART, wanted - len(found)))
        if not more:
            raise ValueError("A column ends too early.")
        found += more
    return bytes(found)
