"""Score tables of systems that nobody can look into: score,same,cohort_a,cohort_b,id_a,id_b, one pair a line.

BFW's own table is read, too; its column of scores is named by the face model. Rows are read one by one into a file of
fixed-length records, so a table of any length needs memory for its people only.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from audit.fairness.cohorts import UNKNOWN, clean
from audit.fairness.pairs import ROW, Pairs
from audit.fairness.scores import SCALE
from audit.fairness.sets import bfw
from audit.fairness.sets.labels import notes_on
from audit.fairness.sets.photos import MAX_PERSON_ID, file_sha256
from audit.fairness.sets.rows import DatasetError, LeftOut, Progress, csv_problem
from audit.fairness.sets.samples import Samples

COLUMNS: Final = ("score", "same", "cohort_a", "cohort_b", "id_a", "id_b")
COHORT: Final = "cohort"
MAX_PEOPLE: Final = 2_000_000
MOST_LEFT_OUT: Final = 10_000  # rows that are named one by one; the rest is counted
_SAME: Final = {"1": True, "0": False, "true": True, "false": False, "1.0": True, "0.0": False}
_ROWS: Final = 100_000
NOTE: Final = (
    "Only scores were given: photos and failures to extract are not known, and the number of images is that of people. "
    "The scores are the word of whoever made them."
)


@dataclass
class _People:
    """The people of a table, numbered as they come, each with one cohort."""

    number: dict[str, int] = field(default_factory=dict)
    cohort: list[str] = field(default_factory=list)
    as_written: list[str] = field(default_factory=list)
    torn: set[int] = field(default_factory=set)

    def add(self, person: str, cohort: str) -> int:
        found = self.number.get(person)
        if found is None:
            if len(self.number) >= MAX_PEOPLE:
                raise DatasetError(f"The table has more than {MAX_PEOPLE:,} people. Split it.")
            found = self.number[person] = len(self.number)
            self.as_written.append(cohort)
            self.cohort.append(clean(cohort))
        elif self.as_written[found] != cohort:
            self._again(found, clean(cohort))
        return found

    def _again(self, person: int, label: str) -> None:
        known = self.cohort[person]
        if known == UNKNOWN:
            self.cohort[person] = label
        elif label not in (UNKNOWN, known):
            self.torn.add(person)


def read_scores(path: Path, keep: Path, model: str = "", progress: Progress | None = None) -> tuple[Pairs, Samples]:
    """Read a score table; `keep` is a file for its records. The samples say what the report says of the set.

    DatasetError when the file is not such a table or no row of it can be used.
    """
    people = _People()
    left_out: list[LeftOut] = []
    more: Counter[str] = Counter()
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, keep.open("wb") as out:
            records: list[tuple[int, int, int, bool, int, int]] = []
            for found in _rows(raw, path, people, model):
                if isinstance(found, LeftOut):
                    if len(left_out) < MOST_LEFT_OUT:
                        left_out.append(found)
                    else:
                        more[found.code] += 1
                    continue
                records.append(found)
                if len(records) == _ROWS:
                    np.array(records, ROW).tofile(out)
                    records.clear()
                    if progress:
                        progress(raw.tell(), size)
            np.array(records, ROW).tofile(out)
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read: {error.strerror}.") from error
    if not keep.stat().st_size:
        why = f" The first reason: {left_out[0].reason}" if left_out else ""
        raise DatasetError(f"No row of {path.name} can be used.{why}")
    names = tuple(people.number)
    cohorts = [UNKNOWN if number in people.torn else label for number, label in enumerate(people.cohort)]
    notes = [NOTE]
    notes += [f"{count} more rows were left out and are not named one by one: {code}." for code, count in more.items()]
    if people.torn:
        notes.append(f"People with different cohorts in different rows, counted as unknown: {len(people.torn)}.")
    labels = {COHORT: cohorts}
    notes += notes_on(names, labels)
    nothing = np.zeros(len(names), np.int64)
    pairs = Pairs(names, labels, np.memmap(keep, ROW, "r"), nothing, nothing)
    extracted = np.ones(len(names), dtype=bool)
    vectors = np.zeros((len(names), 0), np.float32)
    digest = file_sha256(path)
    return pairs, Samples(path.stem, names, labels, vectors, extracted, digest, tuple(left_out), (), tuple(notes))


def _rows(
    raw: BinaryIO, path: Path, people: _People, model: str
) -> Iterator[tuple[int, int, int, bool, int, int] | LeftOut]:
    text = io.TextIOWrapper(raw, "utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        places, fold = _places(header, path, model)
        score_at, same_at, cohort_a_at, cohort_b_at, a_at, b_at = places
        width = len(header)
        for cells in reader:
            line = reader.line_num
            if len(cells) != width:
                if cells:
                    yield _out(line, cells, "cells", f"it has {len(cells)} cells and the header {width}.")
                continue
            try:
                score = float(cells[score_at])
            except ValueError:
                score = math.nan
            if not -1 <= score <= 1:
                yield _out(line, cells, "bad_score", "its score is no number between -1 and 1. Scale scores to that.")
                continue
            same, a, b = _SAME.get(cells[same_at].strip().casefold()), cells[a_at].strip(), cells[b_at].strip()
            if same is None:
                yield _out(line, cells, "bad_same", '"same" is 1 for one person and 0 for two.')
            elif not (0 < len(a) <= MAX_PERSON_ID and 0 < len(b) <= MAX_PERSON_ID and (a + b).isprintable()):
                yield _out(
                    line, cells, "bad_person", f"an id is missing, not printable or over {MAX_PERSON_ID} characters."
                )
            elif same != (a == b):
                yield _out(line, cells, "contradiction", f'"same" is {int(same)}, and the ids say otherwise.')
            elif fold is not None and not (cells[fold].isdecimal() and int(cells[fold]) < 1000):
                yield _out(line, cells, "bad_fold", "the fold is no number below 1000.")
            else:
                yield (
                    people.add(a, cells[cohort_a_at]),
                    people.add(b, cells[cohort_b_at]),
                    round(score * SCALE),
                    same,
                    1,
                    int(cells[fold]) if fold is not None else 0,
                )
    except csv.Error as error:
        raise DatasetError(csv_problem(path, reader.line_num, error)) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not UTF-8 text. Save it as CSV in UTF-8.") from error
    finally:
        text.detach()  # whoever opened the file closes it


def _places(header: list[str], path: Path, model: str) -> tuple[list[int], int | None]:
    """Where the columns are, in the order of COLUMNS, and the fold of BFW's table."""
    if len(set(header)) != len(header):
        raise DatasetError(f"{path.name} has two columns with the same name.")
    if set(bfw.COLUMNS) <= set(header):
        if model not in header or model in bfw.COLUMNS:
            raise DatasetError(f"{path.name} is BFW's table. Name its column of scores as the face model.")
        wanted = (model, "label", "att1", "att2", "id1", "id2")
        return [header.index(name) for name in wanted], header.index("fold")
    for column in COLUMNS:
        if column not in header:
            raise DatasetError(
                f'{path.name} has no column "{column}". Its columns: {", ".join(header)[:300] or "none"}.'
            )
    return [header.index(name) for name in COLUMNS], None


def _out(line: int, cells: list[str], code: str, reason: str) -> LeftOut:
    return LeftOut(line, ",".join(cells)[:80], code, f"Line {line}: {reason}")
