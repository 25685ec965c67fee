"""DemogPairs: photos in a folder per person, and for each of six groups a list of them (Asian_Females.txt, …).

A list has one photo a line, person/photo.jpg, alone or as one of several columns. The set publishes no pair lists.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from audit.fairness.sets.listing import PHOTO_SUFFIXES, Listing, directory, once_each
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, LeftOut, read_text

_LIST: Final = re.compile(r"(Asian|Black|White)_(Females|Males)(?:[_ .-].*)?\.txt", re.IGNORECASE)
_SEX: Final = {"females": "female", "males": "male"}


def read_demogpairs(folder: Path) -> Listing:
    """The photos of all lists below the folder, with sex and race from the name of the list that holds them."""
    lists = sorted(path for path in directory(folder).rglob("*.txt") if _LIST.fullmatch(path.name))
    if not lists:
        raise DatasetError(f"Below {folder} are no lists like Asian_Females.txt. Name the directory of DemogPairs.")
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for path in lists:
        match = _LIST.fullmatch(path.name)
        assert match is not None
        labels = {"race": match[1].capitalize(), "sex": _SEX[match[2].lower()]}
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            named = [word for word in text.split() if PurePosixPath(word).suffix.lower() in PHOTO_SUFFIXES]
            if len(named) == 1 and "/" in named[0]:
                rows.append(Row(line, PurePosixPath(named[0]).parent.name, named[0], labels))
            elif text.strip() and line > 1:  # a first line may be a header
                reason = f"Line {line} of {path.name} names no photo as person/photo.jpg."
                left_out.append(LeftOut(line, text.strip()[:80], "bad_row", reason))
    photos = _photo_folder(folder, rows)
    return Listing(photos, once_each(rows), ("race", "sex"), (), tuple(left_out))


def _photo_folder(folder: Path, rows: list[Row]) -> Path:
    """Where the photos lie: in the folder itself or in one of its folders, whatever that is called."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for row in rows:
        for place in places:
            if (place / row.file).is_file():
                return place
    raise DatasetError(f"None of the photos that the lists name is in {folder} or a folder of it.")
