"""Cohort labels belong to people, not to photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.fairness.cohorts import UNKNOWN


def one_label_per_person(
    people: Sequence[str], raw: Mapping[str, Sequence[str]]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Blanks take the person's other label, contradictions become "unknown" with a note. Labels that differ only in
    upper and lower case are one, in the spelling that comes first.
    """
    labels: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for column, values in raw.items():
        spelling: dict[str, str] = {}
        of_person: dict[str, str] = {}
        torn: set[str] = set()
        for person, value in zip(people, values, strict=True):
            label = spelling.setdefault(value.casefold(), value)
            known = of_person.setdefault(person, label)
            if known == UNKNOWN:
                of_person[person] = label
            elif label not in (UNKNOWN, known):
                torn.add(person)
        notes += [f'Person {person} has different labels in "{column}": counted as unknown.' for person in sorted(torn)]
        labels[column] = tuple(UNKNOWN if person in torn else of_person[person] for person in people)
    return labels, tuple(notes)


def notes_on(people: Sequence[str], labels: Mapping[str, Sequence[str]]) -> list[str]:
    """What the labels of a set do not allow to measure: cohorts of one person, people without a label."""
    notes = []
    for column, values in labels.items():
        members: dict[str, set[str]] = {}
        for person, label in zip(people, values, strict=True):
            members.setdefault(label, set()).add(person)
        notes += [
            f'Cohort "{label}" in "{column}" has one person: false matches within it cannot be measured.'
            for label, found in sorted(members.items())
            if len(found) == 1 and label != UNKNOWN
        ]
        if UNKNOWN in members:
            notes.append(
                f'People without a label in "{column}", counted as a cohort of their own: {len(members[UNKNOWN])}.'
            )
    return notes
