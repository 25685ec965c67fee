"""LFW: `pairs.txt` and the photos as lfw/name/name_0001.jpg."""

from __future__ import annotations

from pathlib import Path

from audit.fairness.sets.folders import with_people
from audit.fairness.sets.listing import Listing, directory, once_each
from audit.fairness.sets.pair_lists import read_pair_list
from audit.fairness.sets.rows import DatasetError


def read_lfw(folder: Path) -> Listing:
    """The pairs of LFW's View 2 and the photos they name. LFW has no cohort labels; a people.csv may add them."""
    directory(folder)
    lists = [folder / "pairs.txt", folder.parent / "pairs.txt"]
    found = next((path for path in lists if path.is_file()), None)
    if found is None:
        raise DatasetError(f"There is no pairs.txt in {folder} or beside it. Put the published file there.")
    photos = folder / "lfw" if (folder / "lfw").is_dir() else folder
    read = read_pair_list(found, "", {})
    return with_people(Listing(photos, once_each(read.rows), (), read.pairs, read.left_out))
