"""The portraits of a run: real ones where GLASSCASE_FACES names them, else generated ones."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.figures import say
from core import state
from core.portraits.sets import render_set


@dataclass(frozen=True)
class Portraits:
    """Manifests of everybody's first photo, and of the second photos of those who have one."""

    of: str
    first: Path
    second: Path


def prepare(*, quick: bool) -> Portraits:
    """The portraits, in the state directory; a quick run takes few."""
    faces = os.environ.get("GLASSCASE_FACES", "")
    place = state.directory("portraits")
    if not faces:
        people, again = (10, 5) if quick else (80, 40)
        say(f"drawing {people + again} portraits of {people} people who do not exist")
        return Portraits(
            "generated",
            render_set(place, people, 1, manifest="first.csv"),
            render_set(place, again, 1, first_photo=1, manifest="second.csv"),
        )
    with (Path(faces) / "congress" / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["person_id"], row["file"]) for row in csv.DictReader(file)]
    second = [row for row in rows if row[1].endswith("_b.jpg")]
    first = [row for row in rows if row not in second]
    if quick:
        second = second[:5]
        first = [row for row in first if row[0] in {person for person, _ in second}]
    # A manifest's photos lie in its own folder.
    for _, name in [*first, *second]:
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(faces) / "congress" / name, place / name)
    return Portraits("congress", _written(place / "first.csv", first), _written(place / "second.csv", second))


def copies(of: Portraits, number: int) -> Path:
    """A manifest of all photos, each `number` times: the same pixels in files that differ in what follows the picture."""
    place = of.first.parent / "copies"
    place.mkdir(exist_ok=True)
    rows: list[tuple[str, str]] = []
    for person, file in [*read(of.first), *read(of.second)]:
        for copy in range(number):
            name = f"{len(rows)}{file.suffix}"
            (place / name).write_bytes(file.read_bytes() + f"copy {copy}".encode())
            rows.append((person, name))
    return _written(place / "copies.csv", rows)


def read(manifest: Path) -> list[tuple[str, Path]]:
    """person_id and file of every row."""
    with manifest.open(encoding="utf-8", newline="") as file:
        return [(row["person_id"], manifest.parent / row["file"]) for row in csv.DictReader(file)]


def _written(place: Path, rows: list[tuple[str, str]]) -> Path:
    with place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("person_id", "file"))
        writer.writerows(rows)
    return place
