"""A plain folder per person, with a people.csv (person_id and cohort columns) beside the folders if there are labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from audit.fairness.sets.listing import PEOPLE, PHOTO_SUFFIXES, Listing, directory
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, LeftOut, read_table


def read_folders(folder: Path) -> Listing:
    """Every photo below the folders of people; other files are left out."""
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    people = sorted(path for path in directory(folder).iterdir() if path.is_dir())
    for person in people:
        for path in sorted(path for path in person.rglob("*") if not path.is_dir()):
            file = path.relative_to(folder).as_posix()
            number = len(rows) + len(left_out) + 1
            if path.suffix.lower() in PHOTO_SUFFIXES:
                rows.append(Row(number, person.name, file, {}))
            else:
                left_out.append(LeftOut(number, file[:200], "no_photo", f"Number {number}: {file[:200]} is no photo."))
    if not rows:
        raise DatasetError(f"{folder} holds no folder with photos. Give each person a folder of their own.")
    return with_people(Listing(folder, tuple(rows), left_out=tuple(left_out)))


def with_people(listing: Listing) -> Listing:
    """The listing with the labels of a people.csv in its folder, if there is one."""
    path = listing.folder / PEOPLE
    if not path.is_file():
        return listing
    table = read_table(path, ("person_id",))
    columns = tuple(name for name in table.columns if name and name != "person_id")
    labels: dict[str, dict[str, str]] = {}
    left_out = list(listing.left_out)
    for line, cells in table.rows:
        person = (cells["person_id"] or "").strip()
        if "" in cells or not person or person in labels:
            why = "it has more cells than the header" if "" in cells else "its person_id is missing or there twice"
            left_out.append(LeftOut(line, person[:200], "bad_person", f"Line {line} of {PEOPLE}: {why}."))
            continue
        labels[person] = {name: cells[name] or "" for name in columns}
    rows = tuple(replace(row, labels=labels.get(row.person, {})) for row in listing.rows)
    return replace(listing, rows=rows, columns=columns, left_out=tuple(left_out))
