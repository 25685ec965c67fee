"""Pair lists in the format of LFW's pairs.txt, which RFW uses too.

A line with three fields is a pair of one person (name, number, number), one with four a pair of two people (name,
number, name, number), separated by tabs; photo 12 of a person is the file name/name_0012.jpg. LFW starts with a line
"folds<TAB>pairs of each kind per fold" (10, 300); RFW has no such line and the same ten folds of 300 + 300.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.fairness.sets.listing import Pair
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, LeftOut, read_text

FOLDS: Final = 10
OF_EACH_KIND: Final = 300


@dataclass(frozen=True)
class PairList:
    """The pairs of one list, the photos they name, and the lines that are not understood."""

    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]


def read_pair_list(path: Path, below: str, labels: dict[str, str]) -> PairList:
    """Read a pair list whose photos lie in the folder `below` (relative, may be empty) and all have these labels.

    DatasetError when it is no pair list or its first line announces another number of pairs than there are.
    """
    lines = read_text(path).splitlines()
    each, announced, first = OF_EACH_KIND, None, 1
    if lines and len(start := lines[0].split()) <= 2 and all(part.isdecimal() for part in start) and start:
        folds, each = (int(start[0]), int(start[1])) if len(start) == 2 else (1, int(start[0]))
        announced, first = 2 * folds * each, 2
        if not folds or not each:
            raise DatasetError(f"The first line of {path.name} announces no pairs.")
    pairs: list[Pair] = []
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    counted = 0
    for number, line in enumerate(lines[first - 1 :], start=first):
        if not line.strip():
            continue
        fold = counted // (2 * each) + 1
        counted += 1
        named = _photos(line, below)
        if named is None:
            left_out.append(
                LeftOut(number, line[:80].strip(), "bad_pair", f"Line {number} of {path.name} is no pair of photos.")
            )
            continue
        (person_a, file_a), (person_b, file_b) = named
        pairs.append(Pair(number, file_a, file_b, person_a == person_b, fold))
        rows += [Row(number, person_a, file_a, labels), Row(number, person_b, file_b, labels)]
    if announced is not None and counted != announced:
        raise DatasetError(
            f"{path.name} announces {announced} pairs and has {counted}. Take the file as it was published."
        )
    if not pairs:
        raise DatasetError(f"{path.name} holds no pair: lines are name, number, number or name, number, name, number.")
    return PairList(tuple(pairs), tuple(rows), tuple(left_out))


def _photos(line: str, below: str) -> tuple[tuple[str, str], tuple[str, str]] | None:
    fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
    if len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
    if len(fields) != 4 or not (fields[0] and fields[2] and fields[1].isdecimal() and fields[3].isdecimal()):
        return None
    a, number_a, b, number_b = fields
    return (a, _file(below, a, number_a)), (b, _file(below, b, number_b))


def _file(below: str, person: str, number: str) -> str:
    return f"{below}{person}/{person}_{int(number):04}.jpg"
