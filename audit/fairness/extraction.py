"""Photos of a benchmark set -> embeddings, one face each, remembered so that a run can be resumed or repeated.

The memory is a folder: one file per face model and photo. It holds biometric data of benchmark people, so it is
readable by its owner only.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from audit.fairness.sets.photos import Photo, PhotoSet
from audit.fairness.sets.rows import DatasetError, LeftOut
from audit.fairness.sets.samples import Samples
from core.faces.decode import UnusablePhoto, decode
from core.faces.engines import UnusableModel


class Face(Protocol):
    @property
    def box(self) -> tuple[float, float, float, float]: ...


class Identity(Protocol):
    @property
    def hash(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def as_dict(self) -> dict[str, Any]: ...


class Engine(Protocol):
    """What is needed of a face model; `core.faces.engines` has two."""

    def identity(self) -> Identity: ...

    def detect(self, rgb: npt.NDArray[np.uint8]) -> list[Any]: ...

    def embed(self, rgb: npt.NDArray[np.uint8], face: Any) -> npt.NDArray[np.float32]: ...


def extract(
    photos: PhotoSet,
    engine: Engine,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Detect and embed the face with the largest box in every photo.

    A photo that cannot be decoded, shows no face or gives no embedding is a failure to extract. What is in cache_dir
    for this face model and these bytes is not computed again. DatasetError when a file changed since it was hashed.
    """
    identity = engine.identity()
    folder = cache_dir / identity.hash if cache_dir else None
    vectors = np.zeros((len(photos.photos), identity.dimension), np.float32)
    extracted = np.zeros(len(photos.photos), dtype=bool)
    failures: list[LeftOut] = []
    several = 0
    for index, photo in enumerate(photos.photos):
        place = folder / photo.sha256[:2] / f"{photo.sha256}.npz" if folder else None
        known = _recall(place, identity.dimension) if place else None
        if known is None:
            known = _embed(photo, engine)
            if place:
                _remember(place, known)
        if known.code:
            failures.append(LeftOut(photo.row, photo.file, known.code, f"Line {photo.row}: {known.reason}"))
        else:
            vectors[index], extracted[index] = known.vector, True
            several += known.faces > 1
        if progress:
            progress(index + 1, len(photos.photos))
    notes = list(photos.notes)
    if several:
        notes.append(f"Photos with several faces, of which the one with the largest box was taken: {several}.")
    return Samples(
        photos.name,
        photos.people,
        photos.labels,
        vectors,
        extracted,
        photos.set_hash,
        photos.left_out,
        tuple(failures),
        tuple(notes),
    )


class _Extracted:
    """One photo's embedding, or the code and sentence why it has none."""

    def __init__(self, vector: npt.NDArray[np.float32], faces: int, code: str = "", reason: str = "") -> None:
        self.vector, self.faces, self.code, self.reason = vector, faces, code, reason


_NOTHING = np.zeros(0, np.float32)


def _embed(photo: Photo, engine: Engine) -> _Extracted:
    try:
        decoded = decode(photo.path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{photo.file} could be read at first and now cannot: {error.strerror}.") from error
    except UnusablePhoto as error:
        return _Extracted(_NOTHING, 0, error.code, error.sentence)
    if decoded.sha256 != photo.sha256:
        raise DatasetError(f"{photo.file} changed while the evaluation ran. Run it again on a set that stays as it is.")
    faces = engine.detect(decoded.rgb)
    if not faces:
        return _Extracted(_NOTHING, 0, "no_face", "No face was found in this photo.")
    largest = max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
    try:
        return _Extracted(engine.embed(decoded.rgb, largest), len(faces))
    except UnusableModel as error:
        if error.code != "no_embedding":
            raise
        return _Extracted(_NOTHING, len(faces), error.code, error.sentence)


def _recall(place: Path, dimension: int) -> _Extracted | None:
    """What is remembered; None when there is nothing or the file is damaged."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            found = _Extracted(stored["vector"], int(stored["faces"]), str(stored["code"]), str(stored["reason"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.code or found.vector.shape == (dimension,) else None


def _remember(place: Path, found: _Extracted) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent)  # created 0600; renamed when whole, so a crash leaves no half
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, vector=found.vector, faces=found.faces, code=found.code, reason=found.reason)
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise
