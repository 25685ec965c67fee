"""dlib: HOG detector, five landmarks, ResNet embedding of 128 numbers. Permissively licensed, on every machine.

The files come with the package face_recognition_models, which is found but never imported (it fails on import). Its
68-point predictor may not be used commercially and is not touched. The documented comparison of these embeddings is
the Euclidean distance between vectors that are *not* of unit length; here they are normalised and compared by cosine
like every other model's, and thresholds are measured on that. Published thresholds for dlib do not apply.

dlib's objects crash the process when two threads share them, so an engine works only where it was loaded.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.faces.engines import LONGEST_SIDE, ModelIdentity, UnusableModel, file_sha256, reduced, unit
from core.faces.face import Face

DETECTOR = "dlib-hog"
CHIP_SIDE = 150
UPSAMPLE = 1  # finds faces from about 40 pixels; 0 misses one in thirteen of small portraits
FILES = {
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
}
LICENCE = (
    "Library: Boost Software License 1.0. Recogniser and five-point predictor: public domain (CC0 1.0), released by "
    "their author Davis King, who trained the recogniser on FaceScrub, VGG Face and photos collected from the web."
)


class DlibEngine:
    """The embedded default. One per process and thread; `_here` refuses use anywhere else with a sentence."""

    def __init__(self) -> None:
        directory = model_directory()
        for name, expected in FILES.items():
            path = directory / name
            if not path.is_file():
                raise UnusableModel("file_missing", f"The package face_recognition_models has no file {name}.")
            if file_sha256(path) != expected:
                raise UnusableModel("file_changed", f"{name} is not the file this product was measured with.")
        import dlib

        predictor, recogniser = (str(directory / name) for name in FILES)
        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(predictor)
        self._recogniser = dlib.face_recognition_model_v1(recogniser)
        self._home = (os.getpid(), threading.get_ident())
        self._identity = ModelIdentity(
            engine="dlib",
            name="dlib",
            dimension=128,
            files=dict(FILES),
            detector="dlib frontal HOG detector with five-point predictor",
            alignment=f"dlib face chip, {CHIP_SIDE} px, padding 0.25",
            parameters={"adapter": 1, "chip": CHIP_SIDE, "longest_side": LONGEST_SIDE, "upsample": UPSAMPLE},
            licence=LICENCE,
            licence_status="permissive",
            versions={"dlib-bin": metadata.version("dlib-bin"), "numpy": np.__version__},
        )

    def identity(self) -> ModelIdentity:
        return self._identity

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        self._here()
        small, factor = reduced(rgb)
        small = np.ascontiguousarray(small)
        height, width = rgb.shape[:2]
        rectangles, scores, _ = self._detector.run(small, UPSAMPLE, 0.0)
        faces = []
        for rectangle, score in zip(rectangles, scores, strict=True):
            shape = self._predictor(small, rectangle)
            points = np.array([[shape.part(i).x, shape.part(i).y] for i in range(5)], np.float32)
            edges = (rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1)
            x0, y0, x1, y1 = (
                float(np.clip(edge * factor, 0, size))
                for edge, size in zip(edges, (width, height, width, height), strict=True)
            )
            if x1 > x0 and y1 > y0:
                faces.append(Face((x0, y0, x1, y1), points * np.float32(factor), float(score), DETECTOR, "corners"))
        return sorted(faces, key=lambda face: face.box)

    def aligned_crop(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        self._here()
        if face.detector != DETECTOR:
            raise UnusableModel(
                "other_detector", f"This face was found by {face.detector!r}; detect it with dlib again."
            )
        dlib = self._dlib
        x0, y0, x1, y1 = (round(edge) for edge in face.box)
        points = [dlib.point(round(float(x)), round(float(y))) for x, y in face.landmarks]
        shape = dlib.full_object_detection(dlib.rectangle(x0, y0, x1 - 1, y1 - 1), points)
        chip: NDArray[np.uint8] = dlib.get_face_chip(np.ascontiguousarray(rgb), shape, size=CHIP_SIDE)
        return chip

    def embed(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        chip = self.aligned_crop(rgb, face)
        return unit(np.array(self._recogniser.compute_face_descriptor(chip)))

    def _here(self) -> None:
        if self._home != (os.getpid(), threading.get_ident()):
            raise UnusableModel(
                "other_thread",
                "The dlib engine was loaded in another thread or process and would crash here; load one of its own.",
            )


def model_directory() -> Path:
    """The folder with dlib's model files. Raises UnusableModel when the package is not installed."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise UnusableModel("not_installed", "The package face_recognition_models is not installed.")
    return Path(next(iter(spec.submodule_search_locations))) / "models"
