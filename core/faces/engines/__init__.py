"""What a face engine is: it finds faces, aligns and embeds one of them, and says which face model it is.

The adapters import their libraries when they are loaded, never before: importing this package costs nothing, and
the web process need not load a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import rfc8785
from numpy.typing import NDArray

from core.faces.face import Face

LicenceStatus = Literal["permissive", "non-commercial", "unknown"]
COSINE = "cosine of unit vectors"
LONGEST_SIDE = 1600  # detection works on a copy reduced to this; alignment and embedding on the photo itself


class UnusableModel(Exception):
    """A face model cannot be loaded or used. `code` for programs, `sentence` for whoever set it up."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True)
class ModelIdentity:
    """Which face model gave a score. Scores of two identities are never compared.

    files: name -> SHA-256 (64 hex digits) of every file that takes part. parameters: what the adapter itself adds
    (sizes, borders, its own revision); numbers as integers, others as text. versions: of the libraries, recorded
    for replays but not part of the hash, because a patch release moves scores by less than a stored step.
    """

    engine: str
    name: str
    dimension: int
    files: Mapping[str, str]
    detector: str
    alignment: str
    parameters: Mapping[str, int | str]
    licence: str
    licence_status: LicenceStatus
    versions: Mapping[str, str] = field(default_factory=dict)
    score_rule: str = COSINE

    @cached_property
    def hash(self) -> str:
        """SHA-256 (64 hex digits) over the RFC 8785 JSON of everything that determines scores.

        Names, licence and library versions are left out: renaming a folder makes no other model.
        """
        decisive: dict[str, Any] = {
            "engine": self.engine,
            "dimension": self.dimension,
            "files": sorted(self.files.values()),
            "detector": self.detector,
            "alignment": self.alignment,
            "score_rule": self.score_rule,
            "parameters": dict(self.parameters),
        }
        return hashlib.sha256(rfc8785.dumps(decisive)).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """JSON values for model records and reports."""
        return {**asdict(self), "hash": self.hash}


class Engine(Protocol):
    """One loaded face model. `rgb` is always (height, width, 3) uint8 of an upright photo."""

    def identity(self) -> ModelIdentity: ...

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """All faces, from left to right. Computes no embedding."""
        ...

    def aligned_crop(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        """(side, side, 3) uint8: exactly the pixels that the recogniser sees."""
        ...

    def embed(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """(dimension,) float32 of length 1 for this face. Raises UnusableModel if the face is of another detector."""
        ...


def load(
    name: str,
    directory: Path | None = None,
    *,
    files: Mapping[str, str] | None = None,
    licence: str = "",
    licence_status: LicenceStatus = "unknown",
) -> Engine:
    """Load the adapter `name`: "dlib" (brings its own files) or "insightface" (needs an absolute, existing directory).

    files: expected SHA-256 by file name; loading is refused when one differs. Raises UnusableModel.
    """
    if name == "dlib":
        from core.faces.engines.dlib import DlibEngine

        return DlibEngine()
    if name == "insightface":
        from core.faces.engines.insightface import InsightFaceEngine

        if directory is None:
            raise UnusableModel("no_directory", "Name the directory that holds the model's ONNX files.")
        return InsightFaceEngine(directory, files=files, licence=licence, licence_status=licence_status)
    raise UnusableModel("unknown_engine", f"There is no face engine {name!r}; there are 'dlib' and 'insightface'.")


def file_sha256(path: Path) -> str:
    """64 hex digits, reading in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reduced(rgb: NDArray[np.uint8], longest_side: int = LONGEST_SIDE) -> tuple[NDArray[np.uint8], float]:
    """A copy no longer than `longest_side`, averaged down, and the factor that maps its coordinates back."""
    import cv2

    height, width = rgb.shape[:2]
    factor = max(height, width) / longest_side
    if factor <= 1:
        return rgb, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), factor


def unit(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    """The vector at length 1. Raises UnusableModel for a vector that has no direction."""
    wide = vector.astype(np.float64).ravel()
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length) or length < 1e-9:
        raise UnusableModel("no_embedding", "The face model gave no usable embedding for this face.")
    return (wide / length).astype(np.float32)
