"""From the file of a photo to an embedding: what a process computes, without the database.

No Django here: extra processes import this module and load a face model of their own, because models neither survive a
fork nor may be shared between threads.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.faces import registry
from core.faces.decode import MAX_BYTES, UnusablePhoto, decode, encode_clean, encode_pixels
from core.faces.engines import Engine, UnusableModel
from core.faces.quality import Limits, check, load_limits, measure

LIMITS: Final = Path(__file__).with_name("enrolment_limits.toml")


@dataclass(frozen=True)
class Task:
    """One photo to read. `place` is None when it lies outside the folder it may be read from.

    model: hash of the face model that `name` has to be; a changed file gives another one. Of a photo that is enrolled
    already, `data` is what was kept of it, and `sha256` what its file had.
    """

    place: Path | None
    name: str
    models_dir: Path | None
    model: str
    data: bytes | None = None
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Extracted:
    """What came of a photo: an embedding, or the reason why there is none.

    sha256: of the file ("" when it could not be read). photo: clean JPEG. crop: PNG of what the recogniser saw.
    embedding: float32 (d,) of length 1.
    """

    reason: str = ""
    sentence: str = ""
    sha256: str = ""
    photo: bytes = b""
    crop: bytes = b""
    embedding: NDArray[np.float32] | None = None


Extractor = Callable[[Iterable[list[Task]]], Iterator[list[Extracted]]]


def extract(task: Task) -> Extracted:
    """Decode, detect, measure, embed. Raises UnusableModel; whatever is wrong with the photo becomes a reason."""
    data = task.data
    if data is None:
        if task.place is None:
            return Extracted("outside_folder", "The file has to lie inside the manifest's folder.")
        try:
            data = _read(task.place)
        except OSError:
            return Extracted("missing_file", "There is no such file, or it cannot be read.")
    elif not data:
        return Extracted("photo_gone", "The photo is not kept any more.")
    try:
        photo = decode(data)
    except UnusablePhoto as problem:
        return Extracted("unreadable", problem.sentence)
    sha256 = task.sha256 or photo.sha256
    engine = _engine(task)
    faces = engine.detect(photo.rgb)
    if not faces:
        return Extracted("no_face", "No face was found. Use a photo of one person from the front.", sha256)
    if len(faces) > 1:
        return Extracted(
            "several_faces", f"{len(faces)} faces were found. Cut the photo to the one that is meant.", sha256
        )
    shortfalls = check(measure(photo.rgb, faces[0]), _limits())
    if shortfalls:
        return Extracted(shortfalls[0].code, shortfalls[0].sentence, sha256)
    try:
        embedding = engine.embed(photo.rgb, faces[0])
    except UnusableModel as problem:
        if problem.code != "no_embedding":
            raise
        return Extracted("no_embedding", problem.sentence, sha256)
    crop = encode_pixels(engine.aligned_crop(photo.rgb, faces[0]), format="PNG")
    # What was kept is kept as it is: encoded again and again, a photo would lose a little each time.
    kept = encode_clean(photo) if task.data is None else task.data
    return Extracted(sha256=sha256, photo=kept, crop=crop, embedding=embedding)


@contextmanager
def extractors(processes: int) -> Iterator[Extractor]:
    """A function that maps chunks of tasks to chunks of results, in order, in this process or in several.

    With several, the next chunk is computed while the caller stores the last one. A process that belongs to a pool
    itself (a prefork worker) may not have children and computes alone.
    """
    if processes < 2 or multiprocessing.current_process().daemon:
        yield lambda chunks: ([extract(task) for task in chunk] for chunk in chunks)
        return
    # Spawned, not forked: this process holds connections and threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(os.getpid(),)) as pool:
        try:
            yield lambda chunks: _ahead(pool, chunks)
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(pool: ProcessPoolExecutor, chunks: Iterable[list[Task]]) -> Iterator[list[Extracted]]:
    computing: list[Future[Extracted]] = []
    for chunk in chunks:
        upcoming = [pool.submit(extract, task) for task in chunk]
        if computing:
            yield [future.result() for future in computing]
        computing = upcoming
    if computing:
        yield [future.result() for future in computing]


def _start(parent: int) -> None:
    """Begin a pool process: one thread for OpenCV, and no life after a parent that was killed."""
    import cv2

    cv2.setNumThreads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="watches the parent", daemon=True).start()


def _read(place: Path) -> bytes:
    # Not blocking: a named pipe in the folder must not stop the enrolment.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a file")
        return file.read(MAX_BYTES + 1)


def _engine(task: Task) -> Engine:
    loaded = registry.engine(task.name, task.models_dir)
    if loaded.identity().hash != task.model:
        raise UnusableModel(
            "other_model",
            f"The files of the face model {task.name} were changed: scores would not compare. Restore them.",
        )
    return loaded


@lru_cache(maxsize=1)
def _limits() -> Limits:
    return load_limits(LIMITS)
