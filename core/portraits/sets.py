"""Whole sets of generated people as JPEG files with a manifest, drawn once and kept."""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.portraits import VERSION, portrait_jpeg

Progress = Callable[[int, int], None]

COLUMNS = ("person_id", "file", "photo", "cohort")
COHORTS = ("a", "b")

# Identities 0..339 of version 1 at strength 0.6 and spread 1.0, without those in whose photos 0, 1 and 2 dlib's detector
# missed the face once or gave it a score below 0.4, so close to missing it that another machine might. The list is part
# of the version.
_SCANNED = 340
_HARD_TO_FIND = frozenset(
    (49, 51, 55, 79, 112, 127, 129, 146, 171, 205, 206, 223, 232, 237, 256, 279, 281, 292, 317, 320, 325, 329, 333)
)
SEEDS = tuple(seed for seed in range(_SCANNED) if seed not in _HARD_TO_FIND)

_IN_PROCESS = 6  # fewer portraits than this are drawn before another process has started


@dataclass(frozen=True)
class _Job:
    path: Path
    identity: int
    photo: int
    strength: float
    spread: float


def person_id(seed: int) -> str:
    """What a generated person is called in manifests."""
    return f"G{seed:04d}"


def cohort(seed: int) -> str:
    """A made-up group, "a" or "b": drawn by hash, independent of anything that can be seen in the portrait."""
    return COHORTS[hashlib.sha256(b"cohort" + seed.to_bytes(4, "big")).digest()[0] % len(COHORTS)]


def render_set(
    directory: Path,
    people: int,
    photos_per_person: int,
    *,
    first: int = 0,
    first_photo: int = 0,
    manifest: str = "manifest.csv",
    strength: float = 0.6,
    spread: float = 1.0,
    processes: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Draw what is not there yet, write `directory/manifest` and return its path.

    directory: cache, may be shared by any number of sets. people: how many, taken from SEEDS from position `first` on,
    so that sets with ranges that do not overlap share nobody. Photos first_photo, first_photo + 1, ... of each. The
    manifest has COLUMNS, with `file` relative to it. progress(done, total) is called from this process.
    Raises ValueError when there are not so many people.
    """
    chosen = SEEDS[first : first + people]
    if first < 0 or len(chosen) < people:
        raise ValueError(
            f"there are {len(SEEDS)} generated people; {people} from position {first} on are not among them"
        )
    folder = Path(f"v{VERSION}-strength{strength:g}-spread{spread:g}")
    photos = range(first_photo, first_photo + photos_per_person)
    files = {(seed, photo): folder / f"{person_id(seed)}_{photo}.jpg" for seed in chosen for photo in photos}
    (directory / folder).mkdir(parents=True, exist_ok=True)
    missing = [
        _Job(directory / file, seed, photo, strength, spread)
        for (seed, photo), file in files.items()
        if not (directory / file).exists()
    ]
    done = len(files) - len(missing)
    for _ in _drawn(missing, processes):
        done += 1
        if progress is not None:
            progress(done, len(files))
    if progress is not None and not missing:
        progress(done, len(files))
    path = directory / manifest
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((person_id(seed), file.as_posix(), photo, cohort(seed)) for (seed, photo), file in files.items())
    partial.replace(path)
    return path


def _drawn(jobs: list[_Job], processes: int) -> Iterable[None]:
    # A daemonic process (a prefork worker) may not have children: it draws by itself.
    if processes < 2 or len(jobs) < _IN_PROCESS or multiprocessing.current_process().daemon:
        yield from map(_draw, jobs)
        return
    # Spawned, not forked: the parent may hold threads, models and database connections.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool:
        yield from pool.map(_draw, jobs, chunksize=4)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _draw(job: _Job) -> None:
    """Write one portrait so that a reader, or a second writer, never sees half of it."""
    partial = job.path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(portrait_jpeg(job.identity, job.photo, job.strength, job.spread))
    partial.replace(job.path)
