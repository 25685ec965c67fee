"""Frozen sets: a list of photos with the SHA-256 of each file, the pairs of its protocol, and what was left out.

A frozen set is a folder with manifest.csv (line, person_id, file, sha256, a column for each cohort), pairs.csv where the set
has fixed pairs, left_out.csv and set.json. Its SHA-256 covers manifest.csv and pairs.csv, and so every photo and label.
The photos stay where they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from audit.fairness.sets.labels import notes_on
from audit.fairness.sets.listing import Listing, Pair
from audit.fairness.sets.photos import Photo, PhotoSet, collect, file_sha256
from audit.fairness.sets.rows import DatasetError, LeftOut, Progress, read_bytes, read_table

FORMAT: Final = "glasscase/frozen-set/v1"
MANIFEST: Final = "manifest.csv"
PAIRS: Final = "pairs.csv"
LEFT_OUT: Final = "left_out.csv"
ABOUT: Final = "set.json"
_FIXED: Final = ("line", "person_id", "file", "sha256")


@dataclass(frozen=True)
class FrozenSet:
    """A frozen set in memory. `photos.set_hash` is its SHA-256."""

    photos: PhotoSet
    pairs: tuple[Pair, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.photos.labels)


@dataclass(frozen=True)
class Change:
    """What is no longer as it was frozen: `what` names a file, `code` is "changed", "missing" or "unreadable"."""

    what: str
    code: str
    sentence: str


def freeze(name: str, listing: Listing, progress: Progress | None = None) -> FrozenSet:
    """Check and hash every photo of a listing. Pairs with a photo that is left out are left out, too.

    DatasetError when nothing is left.
    """
    clash = sorted(set(listing.columns) & set(_FIXED))
    if clash:
        raise DatasetError(f'A cohort column cannot be called "{clash[0]}". Rename it.')
    photos = collect(name, listing.folder, listing.rows, listing.columns, "", source=name, progress=progress)
    usable = {photo.file for photo in photos.photos}
    pairs = tuple(pair for pair in listing.pairs if {pair.file_a, pair.file_b} <= usable)
    if listing.pairs and not pairs:
        raise DatasetError(f"No pair of {name} can be used: of each a photo was left out.")
    lost = [
        LeftOut(
            pair.line,
            f"{pair.file_a} {pair.file_b}"[:200],
            "pair",
            f"Line {pair.line}: a photo of this pair is missing.",
        )
        for pair in listing.pairs
        if not {pair.file_a, pair.file_b} <= usable
    ]
    people = photos.people
    if len(set(people)) < 2:
        raise DatasetError(f"{name} has one person only. Nothing can be compared: at least two people are needed.")
    notes = (*listing.notes, *photos.notes, *notes_on(people, photos.labels))
    left_out = (*listing.left_out, *photos.left_out, *lost)
    labelled = {column: photos.labels[column] for column in sorted(photos.labels)}
    kept = replace(photos, labels=labelled, left_out=left_out, notes=notes)
    return FrozenSet(replace(kept, set_hash=_sha256(_manifest(kept), _pairs(pairs))), pairs)


def write(frozen: FrozenSet, folder: Path, photo_folder: Path) -> None:
    """Write a frozen set into an empty folder; set.json last, so that a folder with one is complete."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(_manifest(frozen.photos))
    if frozen.pairs:
        (folder / PAIRS).write_bytes(_pairs(frozen.pairs))
    (folder / LEFT_OUT).write_bytes(left_out_csv(frozen.photos.left_out))
    about = {
        "format": FORMAT,
        "name": frozen.photos.name,
        "photos": str(photo_folder.resolve()),
        "sha256": frozen.photos.set_hash,
        "notes": list(frozen.photos.notes),
    }
    (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_frozen(folder: Path) -> FrozenSet:
    """Read a frozen set again; looks at no photo. DatasetError when it is incomplete."""
    try:
        about = json.loads(read_bytes(folder / ABOUT))
        photo_folder, name, digest = Path(about["photos"]), str(about["name"]), str(about["sha256"])
        notes = tuple(str(note) for note in about["notes"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"The frozen set in {folder} is damaged: {ABOUT} cannot be read.") from error
    table = read_table(folder / MANIFEST, _FIXED)
    columns = [column for column in table.columns if column not in _FIXED]
    cells = [{key: value or "" for key, value in row.items()} for _, row in table.rows]
    photos = tuple(
        Photo(int(row["line"]), row["person_id"], row["file"], photo_folder / row["file"], row["sha256"])
        for row in cells
    )
    labels = {column: tuple(row[column] for row in cells) for column in columns}
    pairs = tuple(_read_pairs(folder / PAIRS)) if (folder / PAIRS).is_file() else ()
    return FrozenSet(PhotoSet(name, photos, labels, tuple(_read_left_out(folder)), notes, digest), pairs)


def list_sha256(folder: Path) -> str:
    """The SHA-256 that a frozen set has now, by its files. DatasetError when one is missing."""
    pairs = folder / PAIRS
    return _sha256(read_bytes(folder / MANIFEST), read_bytes(pairs) if pairs.is_file() else b"")


def changes(folder: Path, sha256: str, progress: Progress | None = None) -> list[Change]:
    """What differs from the set that was frozen with this SHA-256: its list, and each photo hashed again."""
    found = []
    try:
        if list_sha256(folder) != sha256:
            found.append(Change(MANIFEST, "changed", "The frozen list of photos, labels or pairs has been changed."))
        photos = read_frozen(folder).photos.photos
    except DatasetError as problem:
        return [*found, Change(MANIFEST, "missing", str(problem))]
    for done, photo in enumerate(photos, start=1):
        try:
            if file_sha256(photo.path) != photo.sha256:
                found.append(Change(photo.file, "changed", f"{photo.file} has been changed since the set was frozen."))
        except FileNotFoundError:
            found.append(Change(photo.file, "missing", f"{photo.file} is no longer there."))
        except OSError as error:
            found.append(Change(photo.file, "unreadable", f"{photo.file} cannot be read: {error.strerror}."))
        if progress:
            progress(done, len(photos))
    return found


def left_out_csv(items: Sequence[LeftOut]) -> bytes:
    """The report of what was left out and why: one row each."""
    rows = [[str(item.row), item.what, item.code, item.reason] for item in items]
    return _csv([["row", "what", "code", "reason"], *rows])


def _manifest(photos: PhotoSet) -> bytes:
    columns = list(photos.labels)
    rows = [
        [str(photo.row), photo.person, photo.file, photo.sha256, *(photos.labels[column][index] for column in columns)]
        for index, photo in enumerate(photos.photos)
    ]
    return _csv([[*_FIXED, *columns], *rows])


def _pairs(pairs: Sequence[Pair]) -> bytes:
    if not pairs:
        return b""
    rows = [[str(pair.line), str(pair.fold), pair.file_a, pair.file_b, str(int(pair.same))] for pair in pairs]
    return _csv([["line", "fold", "file_a", "file_b", "same"], *rows])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _sha256(manifest: bytes, pairs: bytes) -> str:
    parts = f"{FORMAT}\n{hashlib.sha256(manifest).hexdigest()}\n{hashlib.sha256(pairs).hexdigest()}\n"
    return hashlib.sha256(parts.encode()).hexdigest()


def _read_pairs(path: Path) -> Iterator[Pair]:
    for _, row in read_table(path, ("line", "fold", "file_a", "file_b", "same")).rows:
        yield Pair(
            int(row["line"] or 0), row["file_a"] or "", row["file_b"] or "", row["same"] == "1", int(row["fold"] or 0)
        )


def _read_left_out(folder: Path) -> Iterator[LeftOut]:
    for _, row in read_table(folder / LEFT_OUT, ("row", "what", "code", "reason")).rows:
        yield LeftOut(int(row["row"] or 0), row["what"] or "", row["code"] or "", row["reason"] or "")
