"""MORPH: a table with id_num, dob, doa, race, gender, age and photo (or id instead of id_num), photos below its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from audit.fairness.sets.listing import Listing
from audit.fairness.sets.photos import Row
from audit.fairness.sets.rows import DatasetError, read_table

_SEX: Final = {"m": "male", "f": "female"}
_YEAR: Final = re.compile(r"(?:^|\D)((?:18|19|20)\d\d)(?:\D|$)", re.ASCII)


def read_morph(path: Path) -> Listing:
    """The photos with sex, race (the published codes) and year of birth: from dob, else from doa and age."""
    if not path.is_file():
        raise DatasetError(f"There is no table {path}. Name a CSV file with the columns id_num, photo, race, gender.")
    table = read_table(path, ("photo", "race", "gender"))
    person = next((name for name in ("id_num", "id") if name in table.columns), None)
    if person is None or not {"dob", "age"} & set(table.columns):
        raise DatasetError(f"{path.name} needs a column id_num (or id) and one of dob and age.")
    rows = []
    for line, cells in table.rows:
        text = {name: (value or "").strip() for name, value in cells.items() if name}
        sex = _SEX.get(text["gender"].casefold(), text["gender"])
        labels = {"sex": sex, "race": text["race"], "birth_year": _birth_year(text)}
        rows.append(Row(line, text[person], text["photo"], labels, too_many_cells="" in cells))
    return Listing(path.parent, tuple(rows), ("birth_year", "race", "sex"))


def _birth_year(cells: dict[str, str]) -> str:
    """Four digits, or nothing: an age without the date of the photo says no year."""
    if born := _YEAR.search(cells.get("dob", "")):
        return born[1]
    taken, age = _YEAR.search(cells.get("doa", "")), cells.get("age", "")
    return str(int(taken[1]) - int(age)) if taken and age.isdecimal() and int(age) < 130 else ""
