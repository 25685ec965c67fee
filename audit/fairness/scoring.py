"""A tester's own labelled photos compared with each other, in one process that keeps nothing.

The set is a ZIP file with `manifest.csv` (columns `person_id,file` and, if wanted, `cohort`) and the photos. The answer is a
score table in the layout that evaluations read (`score,same,cohort_a,cohort_b,id_a,id_b`), with the two files of each row.

    python -m audit.fairness.scoring MODEL [MODELS_DIR] < set.zip > answer.json

Source of the duty: RCW 43.386.040 (an application programming interface for independent testing). No Django here: the web
process starts this one, so that no face model is loaded into it and all memory is given back.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from audit.fairness.cohorts import UNKNOWN
from audit.fairness.extraction import Engine
from core.faces import registry
from core.faces.decode import UnusablePhoto, decode
from core.faces.engines import UnusableModel

MOST_PHOTOS: Final = 200
MOST_BYTES: Final = 64_000_000
MANIFEST: Final = "manifest.csv"
REFUSED: Final = 2  # exit status: the answer holds the sentence
_LONGEST: Final = 200


class UnusableSet(ValueError):
    """The set cannot be scored; the message says what to do."""


@dataclass(frozen=True)
class Item:
    """One row of the manifest with its photo's bytes."""

    person: str
    file: str
    cohort: str
    photo: bytes


def read(data: bytes) -> list[Item]:
    """The photos of a ZIP file in the manifest's order. Raises UnusableSet."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise UnusableSet("This is not a ZIP file. Pack manifest.csv and the photos into one.") from None
    if sum(member.file_size for member in members.values()) > MOST_BYTES:
        raise UnusableSet(f"The set unpacks to more than {MOST_BYTES // 1_000_000} MB. Send smaller sets.")
    if MANIFEST not in members:
        raise UnusableSet(f"The ZIP file has no {MANIFEST} at its top.")
    rows = _rows(_content(archive, members[MANIFEST]))
    items, seen = [], set()
    for line, row in enumerate(rows, start=2):
        person, file = (row.get("person_id") or "").strip(), (row.get("file") or "").strip()
        cohort = (row.get("cohort") or "").strip() or UNKNOWN
        if not person or len(person) > _LONGEST or len(cohort) > _LONGEST:
            raise UnusableSet(f"Line {line} of {MANIFEST}: person_id and cohort have 1 to {_LONGEST} characters.")
        if file not in members or file == MANIFEST:
            raise UnusableSet(f"Line {line} of {MANIFEST}: the ZIP file has no file of that name.")
        if file in seen:
            raise UnusableSet(f"Line {line} of {MANIFEST}: this file stands there twice.")
        seen.add(file)
        items.append(Item(person, file, cohort, _content(archive, members[file])))
    if not 2 <= len(items) <= MOST_PHOTOS:
        raise UnusableSet(f"A set has 2 to {MOST_PHOTOS} photos, and this one has {len(items)}.")
    return items


def _rows(data: bytes) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error):
        raise UnusableSet(f"{MANIFEST} is not a CSV file in UTF-8.") from None
    if not {"person_id", "file"} <= set(reader.fieldnames or ()):
        raise UnusableSet(f"{MANIFEST} needs the columns person_id and file.")
    return rows


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The member's bytes: never more than it declares, so that the sum above holds."""
    try:
        with archive.open(member) as stream:
            return stream.read(member.file_size)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError, OSError, EOFError):
        raise UnusableSet(f"{member.filename[:80]} in the ZIP file is damaged or encrypted.") from None


def score(items: list[Item], engine: Engine) -> dict[str, Any]:
    """Every pair of photos that gave an embedding: the integer score in millionths as everywhere, as a decimal."""
    vectors, kept, failures = [], [], []
    for item in items:
        try:
            rgb = decode(item.photo).rgb
            faces = engine.detect(rgb)
            if not faces:
                failures.append({"file": item.file, "code": "no_face"})
                continue
            largest = max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
            vectors.append(engine.embed(rgb, largest).astype(np.float64))
            kept.append(item)
        except UnusablePhoto as problem:
            failures.append({"file": item.file, "code": problem.code})
        except UnusableModel as problem:
            if problem.code != "no_embedding":
                raise
            failures.append({"file": item.file, "code": problem.code})
    rows: list[list[Any]] = []
    if len(kept) > 1:
        products = np.stack(vectors) @ np.stack(vectors).T
        for a in range(len(kept)):
            for b in range(a + 1, len(kept)):
                one, other = kept[a], kept[b]
                value = round(float(products[a, b]) * 1e6) / 1e6
                same = int(one.person == other.person)
                rows.append([value, same, one.cohort, other.cohort, one.person, other.person, one.file, other.file])
    identity = engine.identity()
    return {
        "face_model": identity.hash,
        "photos": len(items),
        "extracted": len(kept),
        "failures": failures,
        "columns": ["score", "same", "cohort_a", "cohort_b", "id_a", "id_b", "file_a", "file_b"],
        "rows": rows,
    }


def main(arguments: list[str]) -> int:
    """Reads the set from standard input and writes the answer, or what is wrong, as one JSON object."""
    name, *place = arguments
    try:
        # The set first: what is wrong with it is said without loading a model.
        items = read(sys.stdin.buffer.read(MOST_BYTES + 1))
        answer = score(items, registry.engine(name, Path(place[0]) if place else None))
    except UnusableSet as problem:
        answer = {"problem": str(problem)}
    except UnusableModel as problem:
        answer = {"problem": problem.sentence}
    json.dump(answer, sys.stdout)
    return REFUSED if "problem" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
