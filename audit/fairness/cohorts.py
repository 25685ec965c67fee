"""Cohort labels: cleaned, "unknown" kept as a cohort of its own, several columns joined into one ("female x 1950s")."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

UNKNOWN = "unknown"
JOIN = " x "
BIRTH_YEAR = "birth_year"
MAX_LABEL = 80
_BLANK = {"", "-", "?", "n/a", "na", "nan", "none", "null", UNKNOWN}


class CohortError(ValueError):
    """The cohort columns that were asked for cannot be used; the message says why."""


def clean(label: str) -> str:
    """A label with one space between words and no control characters; "unknown" for blanks and over-long labels."""
    shown = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in label)
    shown = re.sub(r"\s+", " ", shown).strip()
    return UNKNOWN if shown.casefold() in _BLANK or len(shown) > MAX_LABEL else shown


def label_in(column: str, value: str) -> str:
    """The cohort that a cell stands for. A birth year becomes its decade, because a year is too narrow a group."""
    label = clean(value)
    if column != BIRTH_YEAR or label == UNKNOWN:
        return label
    return f"born {label[:3]}0s" if re.fullmatch(r"(1[89]|20)\d\d", label, re.ASCII) else UNKNOWN


def columns_of(axis: str) -> tuple[str, ...]:
    """The manifest columns of one division: "sex" or "sex x birth_year"."""
    columns = tuple(part.strip() for part in axis.split(JOIN))
    if not all(columns) or len(set(columns)) != len(columns):
        raise CohortError(f'The cohort "{axis}" must be a column, or different columns joined by "{JOIN.strip()}".')
    return columns


def cohort_labels(labels: Mapping[str, Sequence[str]], axis: str, photos: int) -> list[str]:
    """One cohort for each of the photos. A photo with a blank in any column of an intersection is "unknown".

    CohortError when a column is missing from the labels. An empty axis puts everybody into "everybody".
    """
    if not axis:
        return ["everybody"] * photos
    columns = columns_of(axis)
    for column in columns:
        if column not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise CohortError(f'There is no cohort column "{column}" (there are: {known}).')
    joined = []
    for values in zip(*(labels[column] for column in columns), strict=True):
        joined.append(UNKNOWN if UNKNOWN in values else JOIN.join(values))
    return joined
