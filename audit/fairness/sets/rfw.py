"""RFW: four groups, each with 6,000 pairs in txts/Group/Group_pairs.txt and photos in data/Group/id/id_0001.jpg."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.fairness.sets.listing import Listing, directory, once_each
from audit.fairness.sets.pair_lists import read_pair_list
from audit.fairness.sets.rows import DatasetError

GROUPS: Final = ("African", "Asian", "Caucasian", "Indian")


def read_rfw(folder: Path) -> Listing:
    """The pairs of all four groups; "race" is the only cohort column, as the set's authors assigned it."""
    directory(folder, "data")
    lists = {group: folder / "txts" / group / f"{group}_pairs.txt" for group in GROUPS}
    missing = [str(path.relative_to(folder)) for path in lists.values() if not path.is_file()]
    if missing:
        raise DatasetError(f"RFW needs the pair lists of all four groups. Missing: {', '.join(missing)}.")
    read = [read_pair_list(path, f"{group}/", {"race": group}) for group, path in lists.items()]
    return Listing(
        folder / "data",
        once_each(row for one in read for row in one.rows),
        ("race",),
        tuple(pair for one in read for pair in one.pairs),
        tuple(item for one in read for item in one.left_out),
    )
